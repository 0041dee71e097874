//! Whether the planner asks only to estimate.
//!
//! The planner runs stable functions of constants to guess how many rows a condition leaves. It throws the
//! value away, so a call of a provider would be paid for nothing, and `EXPLAIN` would make one.
#![allow(unsafe_code)] // a hook

use pgrx::{pg_guard, pg_sys};
use std::cell::Cell;
use std::ffi::{c_char, c_int};

thread_local! {
    /// The error context in which the innermost planner runs; `None` outside of planning.
    static PLANNING: Cell<Option<usize>> = const { Cell::new(None) };
    static NEXT: Cell<pg_sys::planner_hook_type> = const { Cell::new(None) };
}

/// Whether the function that asks was called by the planner itself.
///
/// Within another function that the planner runs it was not: a function in PL/pgSQL or SQL has put an
/// error context of its own on the stack, and its result may be kept.
pub fn is_estimating() -> bool {
    PLANNING.get() == Some(error_context())
}

fn error_context() -> usize {
    // SAFETY: reads this backend's variable.
    unsafe { pg_sys::error_context_stack as usize }
}

/// Puts what was there before back, also when planning ends by an error.
struct Restore(Option<usize>);

impl Drop for Restore {
    fn drop(&mut self) {
        PLANNING.set(self.0);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn planner(
    parse: *mut pg_sys::Query,
    text: *const c_char,
    options: c_int,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    let _restore = Restore(PLANNING.replace(Some(error_context())));
    // SAFETY: the arguments go on as they came, to whoever was hooked in before.
    unsafe {
        match NEXT.get() {
            Some(next) => next(parse, text, options, parameters),
            None => pg_sys::standard_planner(parse, text, options, parameters),
        }
    }
}

/// Hooks into the planner; called once, while the library is loaded.
pub fn init() {
    // SAFETY: sets this process's hook, keeping the one before.
    unsafe {
        NEXT.set(pg_sys::planner_hook);
        pg_sys::planner_hook = Some(planner);
    }
}
