//! A background process of the server's: its signals, settings, priority and waits.
#![allow(unsafe_code)] // a process of the server's

use crate::sys::exit;
use crate::sys::ffi;
use crate::sys::guc;
use crate::sys::process::now;
use crate::sys::rights::PARSE_SETTINGS;
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use std::ffi::CStr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Settings for the life of a background process, whatever the configuration, its database or its role say, which is
/// meant for sessions. Limits of a transaction are set where it begins.
const PROCESS_SETTINGS: &[(&CStr, &CStr)] = &[
    // First: as another role it could set nothing.
    (c"role", c"none"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_isolation", c"read committed"),
    (c"statement_timeout", c"0"),
];

/// Sets up signals: SIGTERM ends the process at once, SIGHUP reloads the configuration.
pub fn attach() {
    // SAFETY: signals are still blocked; both handlers are PostgreSQL's way.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(pg_sys::SIGTERM.cast_signed(), Some(ffi::DIE));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(pg_sys::SIGTERM.cast_signed(), Some(ffi::DIE));
    }
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP);
}

/// Waits for this process's latch; acts on interrupts and reads the configuration again when asked to.
/// Ends the process when the postmaster is gone: nothing else would, and the server could not be
/// restarted while it runs.
pub fn wait(most: Duration) {
    if !BackgroundWorker::wait_latch(Some(most)) {
        exit::end_process(1);
    }
    if BackgroundWorker::sighup_received() {
        // SAFETY: outside of a transaction, as PostgreSQL's own processes do it.
        unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        apply_nice();
    }
    if IS_GROUP_BEHIND.load(Relaxed) {
        follow_nice_as_group();
    }
}

/// Connects a background process to a database as the bootstrap superuser. Its search path is the extension's own from
/// the first statement on: that of the database, or one of `"$user"` and `public`, may hold operators of any user's.
pub fn connect(database: pg_sys::Oid) {
    // SAFETY: a process that is connected to nothing yet.
    unsafe { pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0) };
    for (name, value) in PROCESS_SETTINGS.iter().chain(&PARSE_SETTINGS) {
        set(name, value);
    }
    // PostgreSQL 17 and newer.
    if has_setting(c"transaction_timeout") {
        set(c"transaction_timeout", c"0");
    }
}

/// Whether this server has a setting, of a number.
fn has_setting(name: &CStr) -> bool {
    // SAFETY: a static text. NULL stands for one that is not known.
    unsafe { !pg_sys::GetConfigOption(name.as_ptr(), true, false).is_null() }
}

/// Sets a setting for the life of this process.
pub fn set(name: &CStr, value: &CStr) {
    let (context, source) = (pg_sys::GucContext::PGC_SUSET, pg_sys::GucSource::PGC_S_OVERRIDE);
    // SAFETY: static texts; a database's defaults do not bind a worker.
    unsafe { pg_sys::SetConfigOption(name.as_ptr(), value.as_ptr(), context, source) };
}

/// Time until a timestamp; 10 ms when it is past.
pub fn until(at: i64) -> Duration {
    Duration::from_micros(u64::try_from(at - now()).unwrap_or(0)).max(Duration::from_millis(10))
}

pub fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Whether this process runs at low priority.
static IS_LOW_PRIORITY: AtomicBool = AtomicBool::new(false);

/// Runs this process at low priority from now on: see `rag_pg.worker_nice`.
pub fn lower_priority() {
    IS_LOW_PRIORITY.store(true, Relaxed);
    apply_nice();
}

/// Applies `rag_pg.worker_nice` in a process at low priority. A process cannot lower its nice value again: a smaller setting
/// applies to processes that start later. A server that runs with a higher nice value keeps it.
fn apply_nice() {
    let nice = guc::worker::nice();
    if nice == 0 || !IS_LOW_PRIORITY.load(Relaxed) {
        return;
    }
    // SAFETY: the priority of this process alone; where it may not be changed it stays.
    unsafe {
        if libc::getpriority(libc::PRIO_PROCESS, 0) < nice {
            libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        }
    }
    follow_nice_as_group();
}

/// Whether the kernel has not taken the priority of this process's group yet.
static IS_GROUP_BEHIND: AtomicBool = AtomicBool::new(false);

/// Linux, as most distributions set it up, divides the processors between sessions (of `setsid`, which each process of the server's
/// calls) and looks at the priority of a process only within its session (`sched(7)`, autogroups).
fn follow_nice_as_group() {
    // SAFETY: reads numbers of this process.
    let is_alone = unsafe { libc::getsid(0) == libc::getpid() };
    if !is_alone {
        return;
    }
    let written = std::fs::write("/proc/self/autogroup", guc::worker::nice().to_string());
    // The kernel takes ten of these a second from all processes together.
    let is_behind = written.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    IS_GROUP_BEHIND.store(is_behind, Relaxed);
}
