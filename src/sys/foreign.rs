//! Foreign servers of `postgres_fdw`, and statements on them: with the servers' own options and the caller's user mappings, as
//! `postgres_fdw` connects, but on many servers at once.
#![allow(clippy::cast_ptr_alignment)] // PostgreSQL aligns what it allocates for any type
#![allow(unsafe_code)] // reads catalogs through PostgreSQL's functions

pub mod calls;
mod libpq;
mod link;

pub use crate::sys::foreign::link::changes;
use crate::sys::names::role_name;
use crate::sys::privileges::current_user;
use pgrx::pg_sys::{self, Oid};
use rag::{Error, Result};
use std::ffi::CStr;

/// The wrapper whose servers are connected to.
const WRAPPER: &str = "postgres_fdw";

/// A server, and how the caller connects to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub oid: Oid,
    /// Its name, unquoted.
    pub name: String,
    /// The caller's user mapping, or that of all roles.
    pub mapping: Oid,
    /// For whom the connection is.
    user: Oid,
    /// Options of server and mapping.
    options: Vec<(String, String)>,
}

impl Server {
    /// A server as the caller may use it; an error without a user mapping, as `postgres_fdw` has it.
    pub fn of_caller(oid: Oid) -> Result<Self> {
        let user = current_user();
        // SAFETY: in a transaction. The server exists: a foreign table depends on it. Names and options are copied.
        unsafe {
            let server = &*pg_sys::GetForeignServer(oid);
            let wrapper = &*pg_sys::GetForeignDataWrapper(server.fdwid);
            let name = text(server.servername);
            if text(wrapper.fdwname) != WRAPPER {
                return Err(Error::unsupported(format!(
                    "server \"{name}\" is of foreign-data wrapper \"{}\", not {WRAPPER}",
                    text(wrapper.fdwname)
                ))
                .with_hint(
                    "Each partition is a table of this server or one of a postgres_fdw server.",
                ));
            }
            let mapping = mapping_of(user, oid, &name)?;
            let mut options = options_of(server.options);
            options.extend(options_of(mapping.options));
            Ok(Self { oid, name, mapping: mapping.umid, user, options })
        }
    }

    /// The role on the server that a role's user mapping names.
    pub fn role_there(&self, role: Oid) -> Result<String> {
        // SAFETY: in a transaction. Options are copied.
        let options = unsafe { options_of(mapping_of(role, self.oid, &self.name)?.options) };
        let user = options.into_iter().find(|(key, _)| key == "user");
        user.map(|(_, name)| pgrx::spi::quote_identifier(name)).ok_or_else(|| {
            let (role, name) = (role_name(role).unwrap_or_default(), &self.name);
            Error::not_ready(format!(
                "the user mapping of role \"{role}\" for server \"{name}\" names no user"
            ))
            .with_hint("ALTER USER MAPPING ... OPTIONS (ADD user '...');")
        })
    }

    fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the caller must prove with a password of their own who they are on the other side: else the server's own operating
    /// system user, or a file of its, would vouch for them.
    fn requires_password(&self) -> bool {
        // SAFETY: a cache look-up in a transaction.
        let is_superuser = unsafe { pg_sys::superuser_arg(self.user) };
        // Only a superuser may set it to false.
        let is_waived = self.option("password_required").is_some_and(is_false);
        !is_superuser && !is_waived
    }

    /// An error before a connection is tried that could not be accepted.
    fn require_credential(&self) -> Result<()> {
        if !self.requires_password() || self.option("password").is_some_and(|word| !word.is_empty())
        {
            return Ok(());
        }
        Err(Error::forbidden(format!("password is required for server \"{}\"", self.name))
            .with_detail("Non-superusers must provide a password in the user mapping.")
            .with_hint("ALTER USER MAPPING ... OPTIONS (ADD password '...');"))
    }

    /// An error after a connection was made for which no password was asked.
    fn refused_without_password(&self) -> Error {
        Error::forbidden(format!("password is required for server \"{}\"", self.name))
            .with_detail(
                "Non-superuser cannot connect if the server does not request a password.",
            )
            .with_hint("The server's authentication method must be changed, or password_required=false be set in the user mapping by a superuser.")
    }
}

/// How PostgreSQL reads a boolean option, as far as it means false.
fn is_false(value: &str) -> bool {
    ["false", "off", "no", "0", "f", "n"].contains(&value.to_ascii_lowercase().as_str())
}

/// The user mapping of a role, or that of all roles.
///
/// # Safety
/// A server of this name, in a transaction.
unsafe fn mapping_of(user: Oid, server: Oid, name: &str) -> Result<&'static pg_sys::UserMapping> {
    if has_mapping(user, server) {
        // SAFETY: as promised; there is one. It lasts until the transaction's end.
        return Ok(unsafe { &*pg_sys::GetUserMapping(user, server) });
    }
    let role = role_name(user).unwrap_or_default();
    Err(Error::undefined(format!(
        "user mapping of role \"{role}\" not found for server \"{name}\""
    ))
    .with_hint(format!(
        "CREATE USER MAPPING FOR {} SERVER {} OPTIONS (user '...', password '...');",
        pgrx::spi::quote_identifier(&role),
        pgrx::spi::quote_identifier(name)
    )))
}

fn has_mapping(user: Oid, server: Oid) -> bool {
    let cache = pg_sys::SysCacheIdentifier::USERMAPPINGUSERSERVER as i32;
    [user, Oid::INVALID].into_iter().any(|user| {
        // SAFETY: a cache look-up in a transaction.
        unsafe {
            let tuple = pg_sys::SearchSysCache2(cache, user.into(), server.into());
            if tuple.is_null() {
                return false;
            }
            pg_sys::ReleaseSysCache(tuple);
            true
        }
    })
}

/// # Safety
/// A list of `DefElem`, or NULL.
unsafe fn options_of(list: *mut pg_sys::List) -> Vec<(String, String)> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: as promised: a list has so many elements, and options have texts.
    unsafe {
        let cells = std::slice::from_raw_parts((*list).elements, (*list).length as usize);
        let options = cells.iter().map(|cell| cell.ptr_value.cast::<pg_sys::DefElem>());
        options
            .map(|option| (text((*option).defname), text(pg_sys::defGetString(option))))
            .collect()
    }
}

/// # Safety
/// A C string.
unsafe fn text(name: *const std::ffi::c_char) -> String {
    // SAFETY: as promised.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}
