//! Counters of searches and answers: counted in shared memory, where the library is preloaded, and stored by workers.
//!
//! A call is counted whatever becomes of its transaction, also in a read-only one and on a standby, and takes no
//! transaction id. The table has what was stored last, under the incarnation of the slot it was read from; the view adds
//! what the slot counted since. A server that stops keeps its slots in a file until it starts again, one that crashes loses what was not
//! stored.
#![allow(unsafe_code)] // shared memory, hooks of the postmaster

use crate::sys::failed::Failed;
use crate::sys::guc;
use crate::sys::privileges::current_user;
use crate::sys::process::{is_preloading, is_standby};
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{execute, query, read, required};
use crate::sys::transaction::Host;
use crate::sys::workers::wake::wake_indexer;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::shmem::AssertPGRXSharedMemory;
use pgrx::{PgLwLock, pg_guard, pg_shmem_init, pg_sys};
use rag::search::query_stats::{Call, Counted, End, Key, Kind, QueryStats, SLOTS, WIDTH};
use std::cell::Cell;
use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

static STATS: PgLwLock<AssertPGRXSharedMemory<QueryStats>> =
    // SAFETY: the name is this library's alone.
    unsafe { PgLwLock::new(c"rag_pg query stats") };

static IS_SHARED: AtomicBool = AtomicBool::new(false);

static mut PREVIOUS_STARTUP: pg_sys::shmem_startup_hook_type = None;

/// Where slots are kept while the server is down, in the data directory.
const FILE: &str = "pg_stat/rag_pg.stat";
const NEW_FILE: &str = "pg_stat/rag_pg.stat.tmp";

/// How long a worker waits between two transactions that store.
const STORE_EVERY: Duration = Duration::from_secs(10);
/// How old counters that are not stored become, in microseconds, before a call of the collection calls a worker.
const PATIENCE: i64 = 60_000_000;
/// How long a collection or database that is not seen keeps its slots after its last call, in microseconds: a transaction that
/// creates it may be under way.
const GONE_AFTER: i64 = 3_600_000_000;

thread_local! {
    /// Where this process found its last slot.
    static HINT: Cell<usize> = const { Cell::new(0) };
    /// When this process last stored.
    static STORED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Reserves shared memory while the library is preloaded.
pub fn init() {
    if !is_preloading() {
        return;
    }
    // SAFETY: plain values and atomics; those that are no atomics change under the exclusive lock alone.
    pg_shmem_init!(STATS = unsafe { AssertPGRXSharedMemory::new(QueryStats::new(now())) });
    IS_SHARED.store(true, Relaxed);
    // SAFETY: the postmaster, single-threaded, chains hooks as its extensions do.
    unsafe {
        PREVIOUS_STARTUP = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(start_up);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn start_up() {
    // SAFETY: called by the postmaster when shared memory is there, again after a crash.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP {
            pg_guard_ffi_boundary(|| previous());
        }
        if pg_sys::IsUnderPostmaster {
            return;
        }
        pg_sys::on_shmem_exit(Some(at_exit), pg_sys::Datum::from(0));
    }
    let Ok(bytes) = fs::read(FILE) else { return };
    // What is in memory from here on is not to be read again after a crash.
    let is_removed = fs::remove_file(FILE).is_ok();
    if !is_removed || !STATS.exclusive().load(&bytes) {
        pgrx::warning!(
            "rag_pg: searches and answers counted before the server stopped are lost: \"{FILE}\" is damaged"
        );
    }
}

/// The postmaster's last act.
#[pg_guard]
unsafe extern "C-unwind" fn at_exit(code: std::ffi::c_int, _arg: pg_sys::Datum) {
    if code != 0 {
        return; // Of memory that a crash left behind nothing is kept.
    }
    let bytes = STATS.share().to_bytes();
    let written = fs::write(NEW_FILE, bytes).and_then(|()| fs::rename(NEW_FILE, FILE));
    if let Err(error) = written {
        pgrx::log!("rag_pg: could not write \"{FILE}\": {error}");
    }
}

fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

fn database() -> u32 {
    // SAFETY: reads this process's variable.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// A search or an answer under way. What ends without [`Counting::end`] has failed, or was cancelled.
pub struct Counting {
    kind: Kind,
    since: Instant,
    collection: Option<i32>,
}

impl Counting {
    /// One that begins now.
    pub fn begin(kind: Kind) -> Self {
        Self { kind, since: Instant::now(), collection: None }
    }

    /// Of a collection; before that is known, nothing is counted.
    pub fn set_collection(&mut self, collection: i32) {
        self.collection = Some(collection);
    }

    /// It has ended, with a result or without one.
    pub fn end(mut self, has_result: bool) {
        let end = if has_result { End::Found } else { End::Nothing };
        if let Some(collection) = self.collection.take() {
            count(collection, self.kind, end, self.since.elapsed());
        }
    }

    /// Another process counts this call.
    pub fn hand_over(mut self) {
        self.collection = None;
    }
}

impl Drop for Counting {
    /// Runs also while an error unwinds or a transaction aborts: shared memory only.
    fn drop(&mut self) {
        if let Some(collection) = self.collection {
            count(collection, self.kind, End::Failed, self.since.elapsed());
        }
    }
}

/// Counts a call of a collection of this database that took so long.
pub fn count(collection: i32, kind: Kind, end: End, took: Duration) {
    if !IS_SHARED.load(Relaxed) {
        return;
    }
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let call = Call { kind, end, micros, now: now() };
    let key = Key { database: database(), collection };
    let counted = try_count(key, &call).or_else(|| {
        STATS.exclusive().claim(key, call.now)?;
        try_count(key, &call)
    });
    match counted {
        Some(true) if guc::worker::workers() > 0 && !is_standby() => wake_indexer(),
        Some(_) => {}
        None => STATS.share().lose(),
    }
}

/// `None` where the collection has no slot; else whether a worker should store.
fn try_count(key: Key, call: &Call) -> Option<bool> {
    let stats = STATS.share();
    let at = stats.find(key, HINT.get())?;
    HINT.set(at);
    Some(stats.count(at, call, PATIENCE))
}

/// Stores what this database's slots say, now and then. What cannot be stored now is later. An error is a wish to stop.
pub fn store(host: &Host) -> Result<(), Failed> {
    if !IS_SHARED.load(Relaxed) || STORED.get().is_some_and(|at| at.elapsed() < STORE_EVERY) {
        return Ok(());
    }
    STORED.set(Some(Instant::now()));
    let lost = STATS.share().take_lost();
    if lost > 0 {
        pgrx::log!(
            "rag_pg: {lost} searches and answers were not counted: the server has counters for {SLOTS} collections"
        );
    }
    if STATS.share().is_stored(database()) {
        return Ok(());
    }
    match host.transaction(|| Ok(write())) {
        Ok((counted, gone)) => {
            let (database, now) = (database(), now());
            STATS.share().stored(database, &counted, now);
            if !gone.is_empty() {
                STATS.exclusive().forget(|key, used_at| {
                    let is_gone = key.database == database && gone.contains(&key.collection);
                    is_gone && is_old(used_at, now)
                });
            }
            Ok(())
        }
        Err(failed) if failed.is_cancel() => Err(failed),
        Err(failed) => {
            failed.warn();
            Ok(())
        }
    }
}

/// Writes what is not stored; returns it, and the collections among it that are not there.
fn write() -> (Vec<Counted>, Vec<i32>) {
    as_extension_owner(|| {
        // Whoever stored before has committed, so that what is read below is newer than the table.
        execute("LOCK TABLE rag.query_total IN SHARE ROW EXCLUSIVE MODE", &[]);
        let counted = STATS.share().read(database(), true);
        let sql = statement!("search/query_stats_store");
        let args = arguments(&counted);
        let gone = query(sql, &args, |row| required(&row, 1));
        (counted, gone)
    })
}

/// One element a collection and kind: collections, kinds, incarnations; all numbers in a row; how many each has.
fn arguments(counted: &[Counted]) -> [pgrx::datum::DatumWithOid<'static>; 5] {
    let rows = || counted.iter().flat_map(|one| Kind::ALL.map(|kind| (one, kind)));
    let numbers = rows().flat_map(|(one, kind)| one.numbers[kind as usize]);
    [
        rows().map(|(one, _)| one.collection).collect::<Vec<i32>>().into(),
        rows().map(|(_, kind)| kind.as_str()).collect::<Vec<&str>>().into(),
        rows().map(|(one, _)| one.incarnation).collect::<Vec<i64>>().into(),
        numbers.map(u64::cast_signed).collect::<Vec<i64>>().into(),
        i32::try_from(WIDTH).unwrap_or(i32::MAX).into(),
    ]
}

/// Counters of a collection and kind.
pub struct Row {
    /// Its name.
    pub collection: String,
    /// `search` or `answer`.
    pub kind: String,
    /// See [`WIDTH`].
    pub numbers: Vec<i64>,
}

/// Counters of the collections that the caller may know them of.
pub fn rows() -> Vec<Row> {
    let is_shared = IS_SHARED.load(Relaxed);
    let counted = if is_shared { STATS.share().read(database(), false) } else { Vec::new() };
    let [collections, kinds, incarnations, numbers, width] = arguments(&counted);
    let args =
        [collections, kinds, incarnations, numbers, width, current_user().into(), is_shared.into()];
    let sql = statement!("search/query_stats_read");
    as_extension_owner(|| {
        read(sql, &args, |row| Row {
            collection: required(&row, 1),
            kind: required(&row, 2),
            numbers: required(&row, 3),
        })
    })
}

fn is_old(used_at: i64, now: i64) -> bool {
    now.saturating_sub(used_at) > GONE_AFTER
}

/// Frees the slots of databases that were dropped.
pub fn forget_databases(is_there: impl Fn(pg_sys::Oid) -> bool) {
    if IS_SHARED.load(Relaxed) {
        let now = now();
        STATS
            .exclusive()
            .forget(|key, used_at| is_old(used_at, now) && !is_there(key.database.into()));
    }
}
