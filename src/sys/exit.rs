//! How a process that holds ONNX Runtime ends.
#![allow(unsafe_code)] // A hook of libc's.
use crate::sys::process;
use pgrx::pg_sys;
use std::ffi::{c_int, c_void};
use std::sync::Once;

static INSTALLED: Once = Once::new();

unsafe extern "C" {
    // glibc's; unlike `atexit` it passes the exit status to the handler.
    fn on_exit(function: unsafe extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    fn fflush(stream: *mut c_void) -> c_int;
}

/// Ends this process the way every process of the server ends.
#[allow(unreachable_code)] // The binding says that it does not return, but for PostgreSQL 18.
pub fn end_process(status: c_int) -> ! {
    // SAFETY: runs PostgreSQL's own ending.
    unsafe { pg_sys::proc_exit(status) };
    unreachable!("proc_exit does not return")
}

/// Ends backends without ONNX Runtime's C++ destructors: run over memory shared with the
/// postmaster they copy all of it (a connection that only said `SELECT 1` took 15 ms instead of 2),
/// and with threads of a session alive they may hang. To be called once the library is loaded:
/// handlers run in reverse order of their registration.
pub fn install() {
    INSTALLED.call_once(|| {
        // SAFETY: the handler lives as long as the process, since PostgreSQL never unloads a
        // library. A refusal (no memory) costs speed only.
        unsafe { on_exit(leave, std::ptr::null_mut()) };
    });
}

/// Leaves at once where PostgreSQL has finished its own ending. Anything else — the postmaster,
/// `postgres -C`, a library that calls `exit` in the middle of a backend — goes the usual way, on
/// which PostgreSQL's own exit handler still has to run.
unsafe extern "C" fn leave(status: c_int, _: *mut c_void) {
    if process::is_under_postmaster() && process::is_exiting() {
        // SAFETY: what exit itself would end with.
        unsafe {
            fflush(std::ptr::null_mut());
            libc::_exit(status);
        }
    }
}
