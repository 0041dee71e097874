//! Settings of background workers.
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ffi::CString;
use std::sync::OnceLock;
use std::thread::available_parallelism;
use std::time::Duration;

/// Most workers that a database may have.
pub const MAX_WORKERS: usize = 16;

/// `rag_pg.workers` and `rag_pg.worker_threads` that leave the number to the machine.
const AUTOMATIC: i32 = -1;

static WORKERS: GucSetting<i32> = GucSetting::<i32>::new(AUTOMATIC);
static NICE: GucSetting<i32> =
    GucSetting::<i32>::new(if cfg!(target_os = "linux") { 10 } else { 0 });
static THREADS: GucSetting<i32> = GucSetting::<i32>::new(AUTOMATIC);
static NAPTIME: GucSetting<i32> = GucSetting::<i32>::new(60);
static STATEMENT_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(60_000);
static MAX_TOKENS_PER_SECOND: GucSetting<i32> = GucSetting::<i32>::new(0);
static DEBUG_STOP_AT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Most workers of a database; 0 means that only `rag_work` works.
pub fn workers() -> usize {
    match WORKERS.get() {
        AUTOMATIC => automatic_workers(),
        number => usize::try_from(number).unwrap_or_default().min(MAX_WORKERS),
    }
}

fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| available_parallelism().map_or(1, Into::into))
}

/// A quarter of the processors, and of the background processes that the server may have.
#[allow(unsafe_code)]
fn automatic_workers() -> usize {
    let processors = processors();
    // SAFETY: reads this process's variable.
    let processes = usize::try_from(unsafe { pgrx::pg_sys::max_worker_processes }).unwrap_or(1);
    (processors.min(processes) / 4).clamp(1, MAX_WORKERS)
}

/// Nice value of workers.
pub fn nice() -> i32 {
    NICE.get()
}

/// Threads that a worker runs models with. By itself a worker's share of a quarter of the processors: where workers are as many as that, one.
pub fn threads() -> usize {
    let share = processors() / 4 / workers().max(1);
    usize::try_from(THREADS.get()).unwrap_or(share).max(1)
}

/// Time between probes of databases that have not asked for a worker.
pub fn naptime() -> Duration {
    Duration::from_secs(u64::try_from(NAPTIME.get()).unwrap_or(60))
}

/// Longest time that one statement in tables of a collection may take in a worker; `None` for no limit.
pub fn statement_timeout() -> Option<Duration> {
    let milliseconds = u64::try_from(STATEMENT_TIMEOUT.get()).ok().filter(|most| *most > 0);
    milliseconds.map(Duration::from_millis)
}

/// Most tokens a second that documents are embedded with; `None` for no limit.
pub fn max_tokens_per_second() -> Option<u32> {
    u32::try_from(MAX_TOKENS_PER_SECOND.get()).ok().filter(|most| *most > 0)
}

/// Whether workers stop at this step of their loop, which tests of crashes ask for.
pub fn stops_at(step: &str) -> bool {
    DEBUG_STOP_AT.get().is_some_and(|wanted| wanted.to_bytes() == step.as_bytes())
}

/// Defines the settings. They are read by processes that belong to no session, so the configuration
/// file sets them and a reload applies them.
pub fn init() {
    GucRegistry::define_int_guc(
        c"rag_pg.workers",
        c"Most background workers that index documents in one database.",
        c"-1: a quarter of the processors, at least one. 0 turns them off: documents are then indexed by CALL rag_work() only. They count against max_worker_processes.",
        &WORKERS,
        AUTOMATIC,
        MAX_WORKERS as i32,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"rag_pg.worker_threads",
        c"Threads that a background worker runs a model with.",
        c"-1: a quarter of the processors divided by rag_pg.workers, at least one. More than one needs memory for a model of the worker's own; more workers use more cores better.",
        &THREADS,
        AUTOMATIC,
        64,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"rag_pg.worker_nice",
        c"Nice value of background workers, which lowers their priority where processors are short.",
        c"0: the server's priority; 19: the lowest. A smaller value applies to workers that start later.",
        &NICE,
        0,
        19,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"rag_pg.worker_naptime",
        c"Time after which the launcher looks into every database for work it was not called for.",
        c"Such as that of prepared transactions. Counts when shared_preload_libraries contains rag_pg.",
        &NAPTIME,
        1,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"rag_pg.worker_statement_timeout",
        c"Longest time that a background worker spends in one statement over the tables of a collection; 0 for no limit.",
        c"What the source's owner wrote runs in it, such as casts and column defaults. The collection is left for a while then, and the others go on.",
        &STATEMENT_TIMEOUT,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"rag_pg.max_tokens_per_second",
        c"Most tokens that documents are embedded with in a second; 0 for no limit.",
        c"One limit for all workers and CALL rag_work() of the server, so that a backfill leaves it time for others. Without preloading each process keeps to it by itself.",
        &MAX_TOKENS_PER_SECOND,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"rag_pg.debug_stop_at",
        c"Step of the loop at which background workers stop until this setting changes.",
        c"For tests of what happens when they are killed there.",
        &DEBUG_STOP_AT,
        GucContext::Sighup,
        GucFlags::NO_SHOW_ALL,
    );
}
