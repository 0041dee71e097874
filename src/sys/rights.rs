//! The role and the settings that a statement is parsed and run under.
#![allow(unsafe_code)] // switching users is a matter of process-wide C state

use crate::sys::guc::scope::Scope;
pub use crate::sys::privileges::current_user;
use crate::sys::privileges::relation_owner;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};
use std::time::Duration;

/// The user and settings before a switch; restored on drop, or by the abort of the transaction.
struct SavedUser {
    user: pg_sys::Oid,
    context: i32,
    _settings: Scope,
}

impl SavedUser {
    fn switch(user: pg_sys::Oid, flags: u32, settings: &[(&CStr, &CStr)]) -> Self {
        let (mut saved, mut context) = (pg_sys::InvalidOid, 0);
        // SAFETY: plain reads and writes of this backend's state; the saved values are put back
        // by drop, or by the abort of the (sub)transaction when an ERROR unwinds.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&raw mut saved, &raw mut context);
            pg_sys::SetUserIdAndSecContext(user, context | flags.cast_signed());
        }
        let mut scope = Scope::begin();
        for (name, value) in settings {
            scope.set_to(name, value);
        }
        Self { user: saved, context, _settings: scope }
    }
}

impl Drop for SavedUser {
    fn drop(&mut self) {
        // After an ERROR the abort of the (sub)transaction puts them back.
        if !std::thread::panicking() {
            // SAFETY: scopes nest, so what was in force before comes back.
            unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) };
        }
    }
}

/// Runs `body` as the extension's owner. Its statements may only use values that are computed already:
/// no code of a user's may run here.
pub fn as_extension_owner<R>(body: impl FnOnce() -> R) -> R {
    let flags = pg_sys::SECURITY_LOCAL_USERID_CHANGE;
    let _saved = SavedUser::switch(extension_owner(), flags, parsing_settings());
    body()
}

/// Runs `body` so that the statements in it resolve names, operators and types in `pg_catalog` alone, and read
/// literals in the standard way, whatever the session's settings are. Otherwise an operator in another user's schema
/// that matches the operands better would run with the caller's rights.
pub fn with_safe_search_path<R>(body: impl FnOnce() -> R) -> R {
    let _saved =
        (!parses_safely()).then(|| SavedUser::switch(current_user(), 0, parsing_settings()));
    body()
}

/// Runs `body` as the owner of a source, as foreign-key checks do: the owner's triggers,
/// casts and index expressions can neither leave the restricted operation nor gain rights.
pub fn as_source_owner<R>(owner: pg_sys::Oid, body: impl FnOnce() -> R) -> R {
    let flags = pg_sys::SECURITY_LOCAL_USERID_CHANGE
        | pg_sys::SECURITY_RESTRICTED_OPERATION
        | pg_sys::SECURITY_NOFORCE_RLS;
    let mut settings = parsing_settings().to_vec();
    settings.push((c"row_security", c"off"));
    settings.extend(KEY_TEXT_SETTINGS);
    let _saved = SavedUser::switch(owner, flags, &settings);
    body()
}

/// Runs `body` with the settings under which keys are written and read as text, so that a session's `DateStyle` or
/// `extra_float_digits` does not change a key. The search path is one of them: `regclass` and the like leave out the schema
/// of what is on it.
pub fn with_key_text<R>(body: impl FnOnce() -> R) -> R {
    let mut settings = KEY_TEXT_SETTINGS.to_vec();
    settings.extend(parsing_settings());
    let _saved = SavedUser::switch(current_user(), 0, &settings);
    body()
}

/// The settings of [`with_key_text`] without the path, which the caller's own policies expect, until the result is dropped.
pub fn key_text_settings() -> impl Drop {
    SavedUser::switch(current_user(), 0, &KEY_TEXT_SETTINGS)
}

/// Runs `body` so that a statement in it waits for a lock no longer than this.
pub fn with_lock_timeout<R>(timeout: Duration, body: impl FnOnce() -> R) -> R {
    let timeout = CString::new(format!("{}ms", timeout.as_millis())).expect("no NUL in it");
    let _saved = SavedUser::switch(current_user(), 0, &[(c"lock_timeout", &timeout)]);
    body()
}

/// Runs `body` without JIT compilation.
pub fn without_jit<R>(body: impl FnOnce() -> R) -> R {
    let _saved = SavedUser::switch(current_user(), 0, &[(c"jit", c"off")]);
    body()
}

/// The settings that output and input functions of types depend on.
pub const KEY_TEXT_SETTINGS: [(&CStr, &CStr); 7] = [
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
pub const PARSE_SETTINGS: [(&CStr, &CStr); 2] =
    [(c"search_path", c"pg_catalog, pg_temp"), (c"standard_conforming_strings", c"on")];

/// Of [`PARSE_SETTINGS`] what is not in force by default: each setting costs a microsecond, also in users' triggers.
fn parsing_settings() -> &'static [(&'static CStr, &'static CStr)] {
    // SAFETY: reads this backend's setting.
    let is_standard = unsafe { pg_sys::standard_conforming_strings };
    if is_standard { &PARSE_SETTINGS[..1] } else { &PARSE_SETTINGS }
}

/// Whether [`PARSE_SETTINGS`] is in force already.
fn parses_safely() -> bool {
    // SAFETY: reads this backend's settings; the path is a C string, NULL before it is first set.
    unsafe {
        let path = pg_sys::namespace_search_path;
        pg_sys::standard_conforming_strings
            && !path.is_null()
            && CStr::from_ptr(path) == PARSE_SETTINGS[0].1
    }
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
