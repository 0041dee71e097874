//! What pgrx does not bind: functions, variables and the beginnings of structs of PostgreSQL, declared by hand.
//!
//! Each function is called behind pgrx's guard, so that an ERROR unwinds instead of jumping over Rust's frames.
//! `tests/abi/abi.c` compares every declaration with the headers of the PostgreSQL at hand, in lint.
#![allow(unsafe_code)] // C

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, Datum};
use std::ffi::c_int;

/// `STATEMENT_TIMEOUT` of `utils/timeout.h`.
const STATEMENT_TIMEOUT: c_int = 3;

/// The beginning of `PQcommMethods` of `libpq/libpq.h`.
#[repr(C)]
struct CommMethods {
    comm_reset: Option<unsafe extern "C-unwind" fn()>,
    flush: Option<unsafe extern "C-unwind" fn() -> c_int>,
}

mod c {
    use super::{CommMethods, Datum, c_int};

    unsafe extern "C-unwind" {
        pub static PqCommMethods: *const CommMethods;
        pub fn datum_image_eq(
            value1: Datum,
            value2: Datum,
            type_by_value: bool,
            type_length: c_int,
        ) -> bool;
        pub fn die(signal: c_int);
        pub fn disable_timeout(id: c_int, keep_indicator: bool);
        pub fn enable_timeout_after(id: c_int, delay_ms: c_int);
    }
}

/// PostgreSQL's handler of SIGTERM, which ends a running statement and the process.
///
/// pgrx's own handler only sets a flag, and pgrx binds this one as a Rust function, which a signal handler may not be.
pub const DIE: unsafe extern "C-unwind" fn(c_int) = c::die;

/// Whether two values that are not NULL have the same bytes once detoasted.
///
/// # Safety
/// Both are of a type that is passed this way.
pub unsafe fn datum_image_eq(a: Datum, b: Datum, by_value: bool, length: i16) -> bool {
    // SAFETY: as promised.
    unsafe { pg_guard_ffi_boundary(|| c::datum_image_eq(a, b, by_value, c_int::from(length))) }
}

/// Arms the statement timeout anew. An ERROR disarms it with its transaction.
pub fn enable_statement_timeout(delay_ms: c_int) {
    // SAFETY: timeouts are set up in every process that runs transactions.
    unsafe { pg_guard_ffi_boundary(|| c::enable_timeout_after(STATEMENT_TIMEOUT, delay_ms)) }
}

/// Disarms the statement timeout.
pub fn disable_statement_timeout() {
    // SAFETY: as above.
    unsafe { pg_guard_ffi_boundary(|| c::disable_timeout(STATEMENT_TIMEOUT, false)) }
}

/// Sends the rows that the client was given so far. PostgreSQL keeps them until there are 8 kB or the statement ends.
/// Does nothing where no client is connected.
pub fn flush_client() {
    // SAFETY: reads this process's variables. Between two rows the buffer holds whole messages. Sending may wait
    // for the client, where interrupts are served.
    unsafe {
        let is_remote = pg_sys::whereToSendOutput == pg_sys::CommandDest::DestRemote;
        if pg_sys::MyProcPort.is_null() || !is_remote {
            return;
        }
        if let Some(flush) = (*c::PqCommMethods).flush {
            // A client that is gone is noticed by PostgreSQL at the next interrupt.
            pg_guard_ffi_boundary(|| flush());
        }
    }
}
