//! The launcher: starts workers in databases with work. It is connected to no database.
#![allow(unsafe_code)] // a process of the server's, which reads a shared catalog by hand

use crate::search::query_stats;
use crate::sys::background::{attach, until, wait};
use crate::sys::guc;
use crate::sys::process;
use crate::sys::workers::shared_state;
use crate::sys::workers::shared_state::{
    DatabaseEntry, WorkerKind, WorkerSlots, WorkerState, shared_state as state,
};
use crate::sys::workers::wake::worker;
use pgrx::bgworkers::{BackgroundWorkerBuilder, DynamicBackgroundWorker};
use pgrx::{pg_guard, pg_sys};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long a wake request may wait for busy workers before another worker is started, and how often to check.
const BUSY_WAIT: Duration = Duration::from_secs(1);
const BUSY_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a database's worker may look for work before the worker of the next database is started.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Registers the launcher with a server that will serve clients.
pub fn init() {
    if !process::is_preloading() || !process::serves_clients() {
        return;
    }
    shared_state::init();
    BackgroundWorkerBuilder::new("rag_pg launcher")
        .set_library("rag_pg")
        .set_function("rag_pg_launcher_main")
        .set_restart_time(Some(Duration::from_secs(5)))
        // From the end of recovery on: nothing can be indexed on a standby.
        .enable_spi_access()
        .load();
}

/// Entry point.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_pg_launcher_main(_arg: pg_sys::Datum) {
    attach();
    // SAFETY: no database: only shared catalogs can be read.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0);
    }
    if let Some(state) = state() {
        state.register_launcher();
        Launcher {
            state,
            workers: Vec::new(),
            probes: VecDeque::new(),
            probing: None,
            listed_at: None,
            unserved_since: HashMap::new(),
        }
        .run();
    }
}

struct Launcher {
    state: &'static WorkerState,
    workers: Vec<(pg_sys::Oid, WorkerKind, DynamicBackgroundWorker)>,
    /// Databases still to be probed for work, one at a time.
    probes: VecDeque<pg_sys::Oid>,
    /// The database being probed, and since when.
    probing: Option<(pg_sys::Oid, Instant)>,
    /// When databases were last listed.
    listed_at: Option<Instant>,
    /// Databases whose busy workers have not taken a wake request, and since when.
    unserved_since: HashMap<pg_sys::Oid, Instant>,
}

impl Launcher {
    fn run(mut self) {
        loop {
            self.workers.retain(|(.., worker)| is_alive(worker));
            let max_workers = guc::worker::workers();
            if max_workers > 0 {
                self.probe();
                self.wake_due();
                self.start(max_workers);
            }
            wait(if max_workers > 0 {
                self.sleep_time(max_workers)
            } else {
                guc::worker::naptime()
            });
        }
    }

    /// Every `rag_pg.worker_naptime`, has a worker look for work in each database, one after the other.
    fn probe(&mut self) {
        if self.listed_at.is_none_or(|at| at.elapsed() >= guc::worker::naptime()) {
            let databases = databases();
            for (database, entry) in self.state.entries() {
                if !databases.contains(&database) {
                    entry.clear();
                }
            }
            query_stats::forget_databases(|database| databases.contains(&database));
            self.probes = databases.into();
            self.listed_at = Some(Instant::now());
        }
        if self.probing.is_some_and(|(database, since)| {
            self.workers_of(database, WorkerKind::Index) > 0 && since.elapsed() < PROBE_TIMEOUT
        }) {
            return;
        }
        self.probing = None;
        while let Some(database) = self.probes.pop_front() {
            if self.workers_of(database, WorkerKind::Index) == 0
                && let Some(entry) = self.state.entry(database)
            {
                entry.slots(WorkerKind::Index).request_wake();
                self.probing = Some((database, Instant::now()));
                break;
            }
        }
    }

    fn wake_due(&self) {
        for (.., slots) in self.slots() {
            if slots.wake_at().is_some_and(|at| until(at) <= Duration::from_millis(10)) {
                slots.set_wake_at(None);
                slots.request_wake();
            }
        }
    }

    fn start(&mut self, max_workers: usize) {
        let state = self.state;
        for (database, entry) in state.entries() {
            for kind in WorkerKind::ALL {
                let slots = entry.slots(kind);
                let running = self.workers_of(database, kind);
                // A running worker takes the request itself.
                let is_first = running == 0 && slots.take_wake_request();
                let is_helper = kind == WorkerKind::Index
                    && running > 0
                    && running < max_workers
                    && (entry.take_helper_request() | self.has_waited(database, slots));
                if !is_first && !is_helper {
                    continue;
                }
                let me = process::pid();
                let Ok(worker) = worker(database, kind).set_notify_pid(me).load_dynamic() else {
                    // No process is free: retried after a short sleep.
                    slots.request_wake();
                    return;
                };
                self.workers.push((database, kind, worker));
            }
        }
    }

    /// Whether a wake request has waited for busy workers for a while.
    fn has_waited(&mut self, database: pg_sys::Oid, slots: &WorkerSlots) -> bool {
        if !slots.is_wake_requested() {
            self.unserved_since.remove(&database);
            return false;
        }
        let since = *self.unserved_since.entry(database).or_insert_with(Instant::now);
        since.elapsed() >= BUSY_WAIT && self.unserved_since.remove(&database).is_some()
    }

    fn slots(&self) -> impl Iterator<Item = (pg_sys::Oid, WorkerKind, &'static WorkerSlots)> {
        let slots = |(database, entry): (pg_sys::Oid, &'static DatabaseEntry)| {
            WorkerKind::ALL.map(|kind| (database, kind, entry.slots(kind)))
        };
        let state: &'static WorkerState = self.state;
        state.entries().flat_map(slots)
    }

    fn workers_of(&self, database: pg_sys::Oid, kind: WorkerKind) -> usize {
        self.workers.iter().filter(|(of, by, _)| (*of, *by) == (database, kind)).count()
    }

    fn sleep_time(&self, max_workers: usize) -> Duration {
        let naptime = guc::worker::naptime();
        let since = self.listed_at.map_or(naptime, |at| at.elapsed());
        let mut time = naptime.saturating_sub(since).max(Duration::from_millis(100));
        if !self.probes.is_empty() || self.probing.is_some() {
            time = time.min(PROBE_TIMEOUT);
        }
        for (database, kind, slots) in self.slots() {
            match self.workers_of(database, kind) {
                0 if slots.is_wake_requested() => time = time.min(PROBE_TIMEOUT),
                running if running > 0 && kind == WorkerKind::Index && running < max_workers => {
                    time = time.min(BUSY_CHECK_INTERVAL);
                }
                _ => {}
            }
            time = slots.wake_at().map_or(time, |at| time.min(until(at)));
        }
        time
    }
}

fn is_alive(worker: &DynamicBackgroundWorker) -> bool {
    use pgrx::bgworkers::BackgroundWorkerStatus::{NotYetStarted, Started};
    match worker.pid() {
        Ok(_) => true,
        Err(status) => matches!(status, NotYetStarted | Started),
    }
}

/// Databases that allow connections and are not templates.
fn databases() -> Vec<pg_sys::Oid> {
    let mut found = Vec::new();
    // SAFETY: a scan of a shared catalog in a transaction, as PostgreSQL's own launchers do it.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::GetTransactionSnapshot();
        let lock = pg_sys::AccessShareLock.cast_signed();
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, lock);
        let (none, keys) = (pg_sys::InvalidOid, std::ptr::null_mut());
        let scan = pg_sys::systable_beginscan(relation, none, false, std::ptr::null_mut(), 0, keys);
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            #[allow(clippy::cast_ptr_alignment)] // PostgreSQL aligns tuples
            let row = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            if row.datallowconn && !row.datistemplate && row.datconnlimit >= -1 {
                found.push(row.oid);
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, lock);
        pg_sys::CommitTransactionCommand();
    }
    found
}
