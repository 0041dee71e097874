//! The launcher: starts workers where there is work. It is connected to no database.
#![allow(unsafe_code)] // a process of the server's, which reads a shared catalog by hand

use crate::search::query_stats;
use crate::sys::background::{attach, until, wait};
use crate::sys::guc;
use crate::sys::shmem::is_preloading;
use crate::sys::workers::board;
use crate::sys::workers::board::{Board, Entry, Post, board};
use crate::sys::workers::duty::Duty;
use crate::sys::workers::wake::worker;
use pgrx::bgworkers::{BackgroundWorkerBuilder, DynamicBackgroundWorker};
use pgrx::{pg_guard, pg_sys};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long work may wait while all workers of its database are busy, before another is started; and how often to look.
const WAIT: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(500);
/// How long a database's worker may take to look around before the next database's is started.
const PROBE: Duration = Duration::from_secs(5);

/// Registers the launcher with a server that will serve clients.
pub fn init() {
    // SAFETY: reads flags of this process.
    let serves = unsafe { pg_sys::IsPostmasterEnvironment && !pg_sys::IsBinaryUpgrade };
    if !is_preloading() || !serves {
        return;
    }
    board::init();
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
    if let Some(board) = board() {
        board.register_launcher();
        Launcher {
            board,
            workers: Vec::new(),
            probes: VecDeque::new(),
            probing: None,
            listed: None,
            waiting: HashMap::new(),
        }
        .run();
    }
}

struct Launcher {
    board: &'static Board,
    workers: Vec<(pg_sys::Oid, Duty, DynamicBackgroundWorker)>,
    /// Databases still to be looked into, one at a time.
    probes: VecDeque<pg_sys::Oid>,
    /// The one being looked into, and since when.
    probing: Option<(pg_sys::Oid, Instant)>,
    /// When they were last listed.
    listed: Option<Instant>,
    /// Databases whose workers have not looked at what was written, and since when.
    waiting: HashMap<pg_sys::Oid, Instant>,
}

impl Launcher {
    fn run(mut self) {
        loop {
            self.workers.retain(|(.., worker)| is_alive(worker));
            let most = guc::worker::workers();
            if most > 0 {
                self.probe();
                self.call_due();
                self.start(most);
            }
            // What is due waits for workers to be turned on.
            wait(if most > 0 { self.nap(most) } else { guc::worker::naptime() });
        }
    }

    /// Looks into every database now and then, one after the other.
    fn probe(&mut self) {
        if self.listed.is_none_or(|at| at.elapsed() >= guc::worker::naptime()) {
            let databases = databases();
            for (database, entry) in self.board.entries() {
                if !databases.contains(&database) {
                    entry.clear();
                }
            }
            query_stats::forget_databases(|database| databases.contains(&database));
            self.probes = databases.into();
            self.listed = Some(Instant::now());
        }
        if self.probing.is_some_and(|(database, since)| {
            self.workers_of(database, Duty::Index) > 0 && since.elapsed() < PROBE
        }) {
            return;
        }
        self.probing = None;
        while let Some(database) = self.probes.pop_front() {
            if self.workers_of(database, Duty::Index) == 0
                && let Some(entry) = self.board.entry(database)
            {
                entry.post(Duty::Index).want();
                self.probing = Some((database, Instant::now()));
                break;
            }
        }
    }

    fn call_due(&self) {
        for (.., post) in self.posts() {
            if post.due().is_some_and(|at| until(at) <= Duration::from_millis(10)) {
                post.set_due(None);
                post.want();
            }
        }
    }

    fn start(&mut self, most: usize) {
        let board = self.board;
        for (database, entry) in board.entries() {
            for duty in Duty::ALL {
                let post = entry.post(duty);
                let there = self.workers_of(database, duty);
                // A worker that is there looks at the flag itself.
                let wanted = there == 0 && post.take_wanted();
                let helps = duty == Duty::Index
                    && there > 0
                    && there < most
                    && (entry.take_busy() | self.has_waited(database, post));
                if !wanted && !helps {
                    continue;
                }
                // SAFETY: reads this process's variable.
                let me = unsafe { pg_sys::MyProcPid };
                let Ok(worker) = worker(database, duty).set_notify_pid(me).load_dynamic() else {
                    // No process is free; the next nap is short.
                    post.want();
                    return;
                };
                self.workers.push((database, duty, worker));
            }
        }
    }

    /// Whether something has waited for a while for workers that are there.
    fn has_waited(&mut self, database: pg_sys::Oid, post: &Post) -> bool {
        if !post.is_wanted() {
            self.waiting.remove(&database);
            return false;
        }
        let since = *self.waiting.entry(database).or_insert_with(Instant::now);
        since.elapsed() >= WAIT && self.waiting.remove(&database).is_some()
    }

    fn posts(&self) -> impl Iterator<Item = (pg_sys::Oid, Duty, &'static Post)> {
        let board = self.board;
        let posts = |(database, entry): (pg_sys::Oid, &'static Entry)| {
            Duty::ALL.map(|duty| (database, duty, entry.post(duty)))
        };
        board.entries().flat_map(posts)
    }

    fn workers_of(&self, database: pg_sys::Oid, duty: Duty) -> usize {
        self.workers.iter().filter(|(of, by, _)| (*of, *by) == (database, duty)).count()
    }

    fn nap(&self, most: usize) -> Duration {
        let naptime = guc::worker::naptime();
        let since = self.listed.map_or(naptime, |at| at.elapsed());
        let mut nap = naptime.saturating_sub(since).max(Duration::from_millis(100));
        if !self.probes.is_empty() || self.probing.is_some() {
            nap = nap.min(PROBE);
        }
        for (database, duty, post) in self.posts() {
            match self.workers_of(database, duty) {
                0 if post.is_wanted() => nap = nap.min(PROBE),
                there if there > 0 && duty == Duty::Index && there < most => nap = nap.min(LOOK),
                _ => {}
            }
            nap = post.due().map_or(nap, |at| nap.min(until(at)));
        }
        nap
    }
}

fn is_alive(worker: &DynamicBackgroundWorker) -> bool {
    use pgrx::bgworkers::BackgroundWorkerStatus::{NotYetStarted, Started};
    match worker.pid() {
        Ok(_) => true,
        Err(status) => matches!(status, NotYetStarted | Started),
    }
}

/// Databases that take connections and are no templates.
fn databases() -> Vec<pg_sys::Oid> {
    let mut found = Vec::new();
    // SAFETY: what PostgreSQL's own launchers do: a scan of a shared catalog in a transaction.
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
