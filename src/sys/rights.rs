//! Whose rights a statement runs with.
#![allow(clippy::cast_ptr_alignment)] // PostgreSQL aligns what it allocates for any type
#![allow(unsafe_code)] // switching users is a matter of process-wide C state

use crate::sys::guc::scope::Scope;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name, pg_sys};
use std::ffi::{CStr, CString};

/// The rights in force before a switch; put back on drop unless a transaction's abort does it.
struct Previous {
    user: pg_sys::Oid,
    context: i32,
    _settings: Scope,
}

impl Previous {
    fn switch(user: pg_sys::Oid, flags: u32, settings: &[(&CStr, &CStr)]) -> Self {
        let (mut previous, mut context) = (pg_sys::InvalidOid, 0);
        // SAFETY: plain reads and writes of this backend's state; the previous values are put back
        // by drop, or by the abort of the (sub)transaction when an ERROR unwinds.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&raw mut previous, &raw mut context);
            pg_sys::SetUserIdAndSecContext(user, context | flags.cast_signed());
        }
        let mut scope = Scope::begin();
        for (name, value) in settings {
            scope.set_to(name, value);
        }
        Self { user: previous, context, _settings: scope }
    }
}

impl Drop for Previous {
    fn drop(&mut self) {
        // After an ERROR the abort of the (sub)transaction puts them back.
        if !std::thread::panicking() {
            // SAFETY: scopes nest, so what was in force before comes back.
            unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) };
        }
    }
}

/// Runs `body` with the rights of the extension's owner. Only statements over finished values
/// belong in it: nothing a user wrote may run here.
pub fn as_extension_owner<R>(body: impl FnOnce() -> R) -> R {
    let flags = pg_sys::SECURITY_LOCAL_USERID_CHANGE;
    let _previous = Previous::switch(extension_owner(), flags, parsing_settings());
    body()
}

/// Runs `body` so that the statements in it resolve names, operators and types in `pg_catalog` alone, and read
/// literals in the standard way, whatever the session's settings are. An operator in a schema of somebody else's
/// that fits the operands better would otherwise run with the caller's rights.
pub fn with_own_parsing<R>(body: impl FnOnce() -> R) -> R {
    let _previous =
        (!parses_safely()).then(|| Previous::switch(current_user(), 0, parsing_settings()));
    body()
}

/// Runs `body` as the owner of a source, as foreign-key checks do: what the owner's own triggers,
/// casts and index expressions do then can neither leave the restriction nor gain rights.
pub fn as_source_owner<R>(owner: pg_sys::Oid, body: impl FnOnce() -> R) -> R {
    let flags = pg_sys::SECURITY_LOCAL_USERID_CHANGE
        | pg_sys::SECURITY_RESTRICTED_OPERATION
        | pg_sys::SECURITY_NOFORCE_RLS;
    let mut settings = parsing_settings().to_vec();
    settings.push((c"row_security", c"off"));
    settings.extend(KEY_TEXT);
    let _previous = Previous::switch(owner, flags, &settings);
    body()
}

/// Runs `body` with the settings under which keys are written and read as text, so that no session's
/// taste in dates or floats changes what a key is. The path is one of them: `regclass` and its like name what is on it
/// without its schema.
pub fn with_key_text<R>(body: impl FnOnce() -> R) -> R {
    let mut settings = KEY_TEXT.to_vec();
    settings.extend(parsing_settings());
    let _previous = Previous::switch(current_user(), 0, &settings);
    body()
}

/// The settings of [`with_key_text`] without the path, which the caller's own policies expect, until the result is dropped.
pub fn key_text_settings() -> impl Drop {
    Previous::switch(current_user(), 0, &KEY_TEXT)
}

/// Runs `body` so that a statement in it waits for a lock no longer than this.
pub fn with_lock_timeout<R>(timeout: &CStr, body: impl FnOnce() -> R) -> R {
    let _previous = Previous::switch(current_user(), 0, &[(c"lock_timeout", timeout)]);
    body()
}

/// Runs `body` so that no statement in it is compiled.
pub fn without_jit<R>(body: impl FnOnce() -> R) -> R {
    let _previous = Previous::switch(current_user(), 0, &[(c"jit", c"off")]);
    body()
}

/// The settings that types' output and input functions heed.
pub const KEY_TEXT: [(&CStr, &CStr); 7] = [
    (c"DateStyle", c"ISO, YMD"),
    (c"IntervalStyle", c"postgres"),
    (c"TimeZone", c"UTC"),
    (c"extra_float_digits", c"3"),
    (c"bytea_output", c"hex"),
    (c"lc_monetary", c"C"),
    (c"array_nulls", c"on"),
];

/// The settings under which the extension's own statements are parsed. `pg_temp` comes last: not named, it would come
/// first.
pub const PARSING: [(&CStr, &CStr); 2] =
    [(c"search_path", c"pg_catalog, pg_temp"), (c"standard_conforming_strings", c"on")];

/// Of [`PARSING`] what is not in force by default: each setting costs a microsecond, also in users' triggers.
fn parsing_settings() -> &'static [(&'static CStr, &'static CStr)] {
    // SAFETY: reads this backend's setting.
    let is_standard = unsafe { pg_sys::standard_conforming_strings };
    if is_standard { &PARSING[..1] } else { &PARSING }
}

/// Whether [`PARSING`] is in force already.
fn parses_safely() -> bool {
    // SAFETY: reads this backend's settings; the path is a C string, NULL before it is first set.
    unsafe {
        let path = pg_sys::namespace_search_path;
        pg_sys::standard_conforming_strings
            && !path.is_null()
            && CStr::from_ptr(path) == PARSING[0].1
    }
}

/// The role whose rights are in force.
pub fn current_user() -> pg_sys::Oid {
    // SAFETY: reads this backend's state.
    unsafe { pg_sys::GetUserId() }
}

/// Owner of the extension, taken from one of its tables.
fn extension_owner() -> pg_sys::Oid {
    // SAFETY: syscache look-ups inside a transaction; the tuple is released before returning.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"rag".as_ptr(), false);
        let table = pg_sys::get_relname_relid(c"change".as_ptr(), schema);
        relation_owner(table).expect("the extension's tables exist while its functions do")
    }
}

/// Owner of a relation, or `None` when it is gone.
pub fn relation_owner(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: a syscache look-up inside a transaction; the tuple is released before returning.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, relation.into());
        if tuple.is_null() {
            return None;
        }
        let class = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        let owner = (*class).relowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner)
    }
}

/// Whether the caller may read all of a table.
pub fn may_select(table: pg_sys::Oid) -> bool {
    // SAFETY: reads catalogs inside a transaction.
    unsafe {
        let wanted = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
        pg_sys::pg_class_aclcheck(table, pg_sys::GetUserId(), wanted)
            == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// Whether the caller may read these columns of a table.
pub fn may_select_columns(table: pg_sys::Oid, columns: &[&str]) -> bool {
    let may_select_column = |column: &&str| {
        let name = CString::new(*column).expect("names hold no zero byte");
        // SAFETY: reads catalogs inside a transaction; 0 stands for a column that is gone.
        unsafe {
            let number = pg_sys::get_attnum(table, name.as_ptr());
            let wanted = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
            number != 0
                && pg_sys::pg_attribute_aclcheck(table, number, pg_sys::GetUserId(), wanted)
                    == pg_sys::AclResult::ACLCHECK_OK
        }
    };
    may_select(table) || columns.iter().all(may_select_column)
}

/// Whether policies decide which rows of a table the caller sees. With `row_security` off, the statement
/// itself raises the error.
pub fn row_security_applies(table: pg_sys::Oid) -> bool {
    // SAFETY: reads catalogs inside a transaction; the invalid user stands for the caller.
    let result = unsafe { pg_sys::check_enable_rls(table, pg_sys::InvalidOid, true) };
    result == pg_sys::CheckEnableRlsResult::RLS_ENABLED.cast_signed()
}

/// Whether the caller may watch the server: a member of `pg_monitor`, or a superuser.
pub fn is_monitor() -> bool {
    // SAFETY: reads catalogs inside a transaction.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::ROLE_PG_MONITOR.into()) }
}

/// Name of the role whose rights are in force, unquoted.
pub fn current_role() -> String {
    // SAFETY: reads this backend's state.
    role_name(unsafe { pg_sys::GetUserId() }).unwrap_or_default()
}

/// A role's name, unquoted; `None` when there is no such role.
pub fn role_name(role: pg_sys::Oid) -> Option<String> {
    // SAFETY: a cache look-up inside a transaction; the name is copied.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// An error on a standby. pgrx takes a transaction id before it runs a statement that may write, which
/// there ends in an internal error of PostgreSQL's.
pub fn require_writable() {
    if is_standby() {
        let code = PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION;
        ErrorReport::new(code, "cannot change a collection during recovery", function_name!())
            .set_hint("Do so on the primary server: this standby follows it.")
            .report(PgLogLevel::ERROR);
    }
}

/// Whether this server follows another one, or is still recovering.
pub fn is_standby() -> bool {
    // SAFETY: reads state of the server.
    unsafe { pg_sys::RecoveryInProgress() }
}
