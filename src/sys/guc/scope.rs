//! Settings that hold for a while.
#![allow(unsafe_code)] // nests settings as functions with SET clauses do

use pgrx::pg_sys;
use std::ffi::{CStr, CString};

/// Settings in force until dropped or until an ERROR. Never the search path while policies apply: they need the
/// caller's.
pub struct Scope {
    level: i32,
}

impl Scope {
    /// Begins with the settings as they are.
    pub fn begin() -> Self {
        // SAFETY: opens a level of settings, which drop or the end of the transaction closes.
        Self { level: unsafe { pg_sys::NewGUCNestLevel() } }
    }

    /// A setting as it is now; `None` where there is no such setting.
    pub fn current(name: &CStr) -> Option<String> {
        // SAFETY: returns a string that lasts until the setting changes, or NULL for no such setting.
        unsafe {
            let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
            (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
        }
    }

    /// Changes a setting, one that every user may set.
    pub fn set(&mut self, name: &CStr, value: &str) {
        self.set_to(name, &CString::new(value).expect("values hold no zero byte"));
    }

    /// The same to a constant.
    pub fn set_to(&mut self, name: &CStr, value: &CStr) {
        // SAFETY: for this level, the innermost.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // After an ERROR the abort of the (sub)transaction puts the settings back.
        if !std::thread::panicking() {
            // SAFETY: levels nest as scopes do, so this one is the innermost.
            unsafe { pg_sys::AtEOXact_GUC(false, self.level) };
        }
    }
}
