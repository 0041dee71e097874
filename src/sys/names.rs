//! Names of catalog objects as SQL that means the same under any search path, and of roles.
//!
//! Everything is looked up in PostgreSQL's caches, which always show the latest state, and is `None` once the
//! object is gone.
#![allow(clippy::cast_ptr_alignment)] // tuples are aligned
#![allow(unsafe_code)] // the caches of catalogs

use crate::sys::privileges::current_user;
use crate::sys::spi::{read, required};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;
use std::ffi::{CStr, c_char};

/// A relation.
pub fn relation(oid: pg_sys::Oid) -> Option<String> {
    // SAFETY: cache look-ups inside a transaction; both names are copied.
    unsafe {
        let (schema, name) = (pg_sys::get_rel_namespace(oid), pg_sys::get_rel_name(oid));
        Some(format!("{}.{}", schema_name(schema)?, quoted(name)?))
    }
}

/// The schema of a relation.
pub fn schema_of(oid: pg_sys::Oid) -> Option<String> {
    // SAFETY: a cache look-up inside a transaction.
    schema_name(unsafe { pg_sys::get_rel_namespace(oid) })
}

/// A relation that exists.
pub fn relation_sql(oid: pg_sys::Oid) -> String {
    relation(oid).unwrap_or_default()
}

/// Schema of an extension.
pub fn extension_schema(extension: &str) -> String {
    let sql = "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e \
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = $1::name";
    read(sql, &[extension.into()], |row| required(&row, 1)).pop().unwrap_or_default()
}

/// `pg_class.relkind` of a relation.
pub fn kind(oid: pg_sys::Oid) -> Option<u8> {
    let form = cached::<pg_sys::FormData_pg_class>(pg_sys::SysCacheIdentifier::RELOID, oid)?;
    Some(form.relkind.to_ne_bytes()[0])
}

/// A column of a relation, unquoted.
pub fn column(relation: pg_sys::Oid, attribute: i16) -> Option<String> {
    // SAFETY: a cache look-up inside a transaction; the name is copied.
    unsafe { text(pg_sys::get_attname(relation, attribute, true)) }
}

/// A type with its modifier, -1 for none.
pub fn type_of(oid: pg_sys::Oid, modifier: i32) -> Option<String> {
    let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN
        | pg_sys::FORMAT_TYPE_FORCE_QUALIFY
        | pg_sys::FORMAT_TYPE_INVALID_AS_NULL;
    // SAFETY: cache look-ups inside a transaction; the result is a string of its own.
    unsafe { text(pg_sys::format_type_extended(oid, modifier, flags as pg_sys::bits16)) }
}

/// An operator, in the form `OPERATOR(schema.name)`.
pub fn operator(oid: pg_sys::Oid) -> Option<String> {
    let form = cached::<pg_sys::FormData_pg_operator>(pg_sys::SysCacheIdentifier::OPEROID, oid)?;
    let name = pgrx::name_data_to_str(&form.oprname);
    Some(format!("OPERATOR({}.{name})", schema_name(form.oprnamespace)?))
}

/// A collation.
pub fn collation(oid: pg_sys::Oid) -> Option<String> {
    let form = cached::<pg_sys::FormData_pg_collation>(pg_sys::SysCacheIdentifier::COLLOID, oid)?;
    let name = quote_identifier(pgrx::name_data_to_str(&form.collname));
    Some(format!("{}.{name}", schema_name(form.collnamespace)?))
}

/// Name of the role whose rights are in force, unquoted.
pub fn current_role() -> String {
    role_name(current_user()).unwrap_or_default()
}

/// A role's name, unquoted; `None` when there is no such role.
pub fn role_name(role: pg_sys::Oid) -> Option<String> {
    // SAFETY: a cache look-up inside a transaction; the name is copied.
    unsafe { text(pg_sys::GetUserNameFromId(role, true)) }
}

fn schema_name(oid: pg_sys::Oid) -> Option<String> {
    // SAFETY: a cache look-up inside a transaction; the name is copied.
    unsafe { quoted(pg_sys::get_namespace_name(oid)) }
}

/// A copy of the fixed part of a catalog's row.
fn cached<T: Copy>(cache: pg_sys::SysCacheIdentifier::Type, oid: pg_sys::Oid) -> Option<T> {
    // SAFETY: a cache look-up inside a transaction; T is the row type of this catalog, and copied before
    // the tuple is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache as i32, oid.into());
        if tuple.is_null() {
            return None;
        }
        let form = *pg_sys::GETSTRUCT(tuple).cast::<T>();
        pg_sys::ReleaseSysCache(tuple);
        Some(form)
    }
}

/// # Safety
/// `name` is NULL or a C string.
unsafe fn text(name: *const c_char) -> Option<String> {
    // SAFETY: the caller says so.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}

/// # Safety
/// As for [`text`].
unsafe fn quoted(name: *const c_char) -> Option<String> {
    // SAFETY: the caller says so.
    unsafe { text(name) }.map(quote_identifier)
}
