//! Ends a session that has run out of memory; see [`rag::memory`].
#![allow(unsafe_code)] // reports without allocating or unwinding

use crate::sys::process;
use pgrx::pg_sys;
use rag::memory::set_last_resort;
use std::ffi::{c_char, c_int};
use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

// As `elog.h` has them; pgrx's own bindings catch errors by unwinding, which nothing below an allocator may do.
unsafe extern "C" {
    fn errstart(elevel: c_int, domain: *const c_char) -> bool;
    fn errcode(sqlerrcode: c_int) -> c_int;
    fn errmsg(format: *const c_char, ...) -> c_int;
    fn errdetail(format: *const c_char, ...) -> c_int;
    fn errfinish(filename: *const c_char, lineno: c_int, funcname: *const c_char);
}

/// SQLSTATE 53200 as PostgreSQL packs it.
const OUT_OF_MEMORY: c_int = 5 | 3 << 6 | 2 << 12;

/// The main thread's `pthread_t`; a fork keeps it.
static MAIN_THREAD: AtomicU64 = AtomicU64::new(0);
static IS_ENDING: AtomicBool = AtomicBool::new(false);
/// A helper thread has run out of memory, and waits for the end of the session.
static THREAD_WAITS: AtomicBool = AtomicBool::new(false);

/// Lets this process, and those forked from it, end their own session where memory runs out.
pub fn init() {
    MAIN_THREAD.store(this_thread(), Relaxed);
    set_last_resort(end_session);
}

/// Ends the session for a thread that could not go on.
pub fn end_for_thread() {
    if THREAD_WAITS.load(Relaxed) {
        end_session(0);
    }
}

/// Runs `body`, which runs a statement. If PostgreSQL has no memory left for it, the reserve goes to the ERROR, which is
/// copied wherever it is caught: without memory for the copy each catch fails with another ERROR, and the fifth of these is
/// a PANIC.
pub fn with_room_for_errors<R>(body: impl FnOnce() -> R) -> R {
    /// Also after an ERROR: what caught it has restored the stack as it was below this.
    struct Pop(*mut pg_sys::ErrorContextCallback);
    impl Drop for Pop {
        fn drop(&mut self) {
            set_error_contexts(self.0);
        }
    }
    // SAFETY: the callback lies on this stack and is taken off before it goes.
    unsafe {
        let previous = pg_sys::error_context_stack;
        let mut own = pg_sys::ErrorContextCallback {
            previous,
            callback: Some(make_room),
            arg: std::ptr::null_mut(),
        };
        pg_sys::error_context_stack = &raw mut own;
        let _pop = Pop(previous);
        body()
    }
}

/// Calls nothing of PostgreSQL's, which may be unwinding an ERROR.
fn set_error_contexts(top: *mut pg_sys::ErrorContextCallback) {
    // SAFETY: writes a variable of this process.
    unsafe { pg_sys::error_context_stack = top };
}

/// Called by PostgreSQL while it raises an ERROR or reports a message.
unsafe extern "C-unwind" fn make_room(_: *mut std::ffi::c_void) {
    // SAFETY: an error is being reported.
    if unsafe { pg_sys::geterrcode() } == OUT_OF_MEMORY {
        rag::memory::release_reserve();
    }
}

fn this_thread() -> u64 {
    // SAFETY: names the calling thread; it cannot fail.
    unsafe { libc::pthread_self() as u64 }
}

/// Returns only where there is no session to end; the process then aborts.
fn end_session(bytes: usize) {
    let is_session = process::is_under_postmaster() && !process::is_exiting();
    if !is_session {
        return;
    }
    if this_thread() != MAIN_THREAD.load(Relaxed) {
        THREAD_WAITS.store(true, Relaxed);
        loop {
            // SAFETY: waits; this thread has every signal blocked.
            unsafe { libc::pause() };
        }
    }
    if IS_ENDING.swap(true, Relaxed) {
        return;
    }
    // SAFETY: this is the main thread of a backend. FATAL ends the process from in here: nothing above is returned to
    // or unwound. PostgreSQL keeps memory in reserve for the report.
    unsafe {
        if errstart(pg_sys::FATAL as c_int, null()) {
            errcode(OUT_OF_MEMORY);
            errmsg(c"out of memory".as_ptr());
            errdetail(c"Failed on request of size %zu in rag_pg.".as_ptr(), bytes);
            errfinish(c"memory.rs".as_ptr(), 0, c"end_session".as_ptr());
        }
    }
}
