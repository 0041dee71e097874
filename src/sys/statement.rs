//! The statement that this backend runs, and how it calls a function.
#![allow(unsafe_code)] // reads PostgreSQL's state

use pgrx::pg_sys;

/// Identifies the client's statement.
pub fn current() -> pg_sys::TimestampTz {
    // SAFETY: reads this backend's state.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// Whether an argument, counted from 0, is the same for all rows: a literal or a parameter.
///
/// # Safety
/// `fcinfo` must be that of the call that runs.
pub unsafe fn is_stable_argument(fcinfo: pg_sys::FunctionCallInfo, argument: i32) -> bool {
    // SAFETY: a valid call; its expression, where there is one, lives as long.
    unsafe { pg_sys::get_fn_expr_arg_stable((*fcinfo).flinfo, argument) }
}
