//! Facts about this process and its server: variables of PostgreSQL's that are read without a catalog.
#![allow(unsafe_code)] // reads PostgreSQL's variables

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Oid, TimestampTz};
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};
use std::time::Duration;

/// The database this process is connected to.
pub fn database() -> Oid {
    // SAFETY: a variable of this process.
    unsafe { pg_sys::MyDatabaseId }
}

pub fn pid() -> i32 {
    // SAFETY: a variable of this process.
    unsafe { pg_sys::MyProcPid }
}

/// The time, as a `timestamptz`.
pub fn now() -> TimestampTz {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// Time that processors have run this process, all its threads together.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills in `time`.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// When the postmaster started, as a `timestamptz`.
pub fn postmaster_start() -> TimestampTz {
    // SAFETY: a variable that the postmaster set.
    unsafe { pg_sys::PgStartTime }
}

/// The identifier that `initdb` gave the cluster.
pub fn system_identifier() -> u64 {
    // SAFETY: in shared memory since the server's start.
    unsafe { pg_sys::GetSystemIdentifier() }
}

/// Whether the postmaster is loading `shared_preload_libraries`: the one time at which shared memory can be reserved and
/// workers registered.
pub fn is_preloading() -> bool {
    // SAFETY: a flag of this process.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// Whether the server serves clients: not in single-user mode, and not as `pg_upgrade` starts it.
pub fn serves_clients() -> bool {
    // SAFETY: flags of this process.
    unsafe { pg_sys::IsPostmasterEnvironment && !pg_sys::IsBinaryUpgrade }
}

/// Whether the postmaster forked this process.
pub fn is_under_postmaster() -> bool {
    // SAFETY: a flag of this process.
    unsafe { pg_sys::IsUnderPostmaster }
}

/// Whether `proc_exit` has begun.
pub fn is_exiting() -> bool {
    // SAFETY: a flag of this process.
    unsafe { pg_sys::proc_exit_inprogress }
}

pub fn is_background_worker() -> bool {
    // SAFETY: a variable of this process.
    unsafe { pg_sys::MyBackendType == pg_sys::BackendType::B_BG_WORKER }
}

/// Whether this server follows another one, or is still recovering.
pub fn is_standby() -> bool {
    // SAFETY: reads shared state of the server.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Whether this process runs a transaction, and so can read the catalog. The postmaster never does.
pub fn is_in_transaction() -> bool {
    // SAFETY: reads this process's state.
    unsafe { pg_sys::IsTransactionState() }
}

/// Whether a transaction runs that may write.
pub fn may_write() -> bool {
    // SAFETY: reads this process's state.
    let is_read_only = unsafe { pg_sys::XactReadOnly || pg_sys::IsInParallelMode() };
    is_in_transaction() && !is_read_only && !is_standby()
}

/// Whether the transaction has an id: without one it has written nothing.
pub fn has_transaction_id() -> bool {
    // SAFETY: reads this process's state.
    unsafe { pg_sys::GetCurrentTransactionIdIfAny() != pg_sys::InvalidTransactionId }
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
