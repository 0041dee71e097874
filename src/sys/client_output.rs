//! What the client has got so far.
#![allow(unsafe_code)] // the backend's connection

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, CommandDest};
use std::ffi::c_int;

/// The beginning of `PQcommMethods` of `libpq/libpq.h`, the same in every supported version.
#[repr(C)]
struct Methods {
    comm_reset: Option<unsafe extern "C-unwind" fn()>,
    flush: Option<unsafe extern "C-unwind" fn() -> c_int>,
}

unsafe extern "C-unwind" {
    // pgrx binds nothing of the kind.
    static PqCommMethods: *const Methods;
}

/// Sends the rows that the client was given so far. PostgreSQL keeps them until there are 8 kB or the statement ends.
/// Where no client is connected it does nothing.
pub fn flush() {
    // SAFETY: reads this process's variables. Between two rows the buffer holds whole messages. Sending may wait
    // for the client, where interrupts are served: an ERROR comes back as an unwinding.
    unsafe {
        if pg_sys::MyProcPort.is_null() || pg_sys::whereToSendOutput != CommandDest::DestRemote {
            return;
        }
        if let Some(flush) = (*PqCommMethods).flush {
            // A client that is gone is noticed by PostgreSQL at the next interrupt.
            pg_guard_ffi_boundary(|| flush());
        }
    }
}
