//! The statement that this backend runs, and how it calls a function.
#![allow(unsafe_code)] // reads PostgreSQL's state

use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashSet;

/// Identifies the client's statement.
pub fn current() -> pg_sys::TimestampTz {
    // SAFETY: reads this backend's state.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

thread_local! {
    /// What was told in which statement.
    static TOLD: RefCell<(pg_sys::TimestampTz, HashSet<String>)> = RefCell::default();
}

/// Whether something is to be told that the client's statement was not told yet: one that calls a function for many rows gets one message.
pub fn is_news(what: &str) -> bool {
    TOLD.with_borrow_mut(|(statement, told)| {
        if std::mem::replace(statement, current()) != current() {
            told.clear();
        }
        told.insert(what.to_owned())
    })
}

/// Whether an argument, counted from 0, is the same for all rows: a literal or a parameter.
///
/// # Safety
/// `fcinfo` must be that of the call that runs.
pub unsafe fn is_stable_argument(fcinfo: pg_sys::FunctionCallInfo, argument: i32) -> bool {
    // SAFETY: a valid call; its expression, where there is one, lives as long.
    unsafe { pg_sys::get_fn_expr_arg_stable((*fcinfo).flinfo, argument) }
}
