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
use crate::sys::process::{database, is_preloading, is_standby, now};
use crate::sys::rights::as_extension_owner;
use crate::sys::rows::row;
use crate::sys::shmem::{Area, reserve};
use crate::sys::spi::{execute, query, read, required};
use crate::sys::transaction::Host;
use crate::sys::workers::wake::wake_indexer;
use pgrx::{pg_guard, pg_sys};
use rag::search::query_stats::{Call, Counted, End, Key, Kind, QueryStats, SLOTS, WIDTH};
use std::cell::Cell;
use std::ffi::c_void;
use std::fs;
use std::sync::atomic::AtomicPtr;
use std::time::{Duration, Instant};

static STATS: Area = Area {
    name: c"rag_pg query stats",
    bytes: || size_of::<QueryStats>(),
    initialise,
    start: AtomicPtr::new(std::ptr::null_mut()),
};

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
    if is_preloading() {
        reserve(&STATS);
    }
}

/// Called by the postmaster when it starts, and again after a crash of a process.
unsafe fn initialise(start: *mut c_void) {
    // SAFETY: the memory is as large as was requested, and aligned for any type.
    let stats = unsafe {
        start.cast::<QueryStats>().write(QueryStats::new(now()));
        pg_sys::on_shmem_exit(Some(at_exit), pg_sys::Datum::from(0));
        &mut *start.cast::<QueryStats>()
    };
    let Ok(bytes) = fs::read(FILE) else { return };
    // What is in memory from here on is not to be read again after a crash.
    let is_removed = fs::remove_file(FILE).is_ok();
    if !is_removed || !stats.load(&bytes) {
        pgrx::warning!(
            "rag_pg: searches and answers counted before the server stopped are lost: \"{FILE}\" is damaged"
        );
    }
}

/// Runs `body` on the counters, which other processes count in meanwhile; `None` where there are none.
fn with_stats<T>(body: impl FnOnce(&QueryStats) -> T) -> Option<T> {
    let start = STATS.start()?;
    // SAFETY: initialised before any process could see it; those that are no atomics change under the exclusive lock alone.
    Some(STATS.shared(|| body(unsafe { &*start.cast::<QueryStats>() })))
}

/// Runs `body` on the counters, which no other process uses meanwhile.
fn with_stats_mut<T>(body: impl FnOnce(&mut QueryStats) -> T) -> Option<T> {
    let start = STATS.start()?;
    // SAFETY: as above, under the exclusive lock.
    Some(STATS.exclusively(|| body(unsafe { &mut *start.cast::<QueryStats>() })))
}

/// The postmaster's last act.
#[pg_guard]
unsafe extern "C-unwind" fn at_exit(code: std::ffi::c_int, _arg: pg_sys::Datum) {
    if code != 0 {
        return; // Of memory that a crash left behind nothing is kept.
    }
    let Some(bytes) = with_stats(QueryStats::to_bytes) else { return };
    let written = fs::write(NEW_FILE, bytes).and_then(|()| fs::rename(NEW_FILE, FILE));
    if let Err(error) = written {
        pgrx::log!("rag_pg: could not write \"{FILE}\": {error}");
    }
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
    if STATS.start().is_none() {
        return;
    }
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let call = Call { kind, end, micros, now: now() };
    let key = Key { database: database().to_u32(), collection };
    let counted = try_count(key, &call).or_else(|| {
        with_stats_mut(|stats| stats.claim(key, call.now)).flatten()?;
        try_count(key, &call)
    });
    match counted {
        Some(true) if guc::worker::workers() > 0 && !is_standby() => wake_indexer(),
        Some(_) => {}
        None => with_stats(QueryStats::lose).unwrap_or_default(),
    }
}

/// `None` where the collection has no slot; else whether a worker should store.
fn try_count(key: Key, call: &Call) -> Option<bool> {
    with_stats(|stats| {
        let at = stats.find(key, HINT.get())?;
        HINT.set(at);
        Some(stats.count(at, call, PATIENCE))
    })
    .flatten()
}

/// Stores what this database's slots count, now and then. What cannot be stored now is stored later. An error is a request to
/// stop.
pub fn store(host: &Host) -> Result<(), Failed> {
    if STORED.get().is_some_and(|at| at.elapsed() < STORE_EVERY) {
        return Ok(());
    }
    STORED.set(Some(Instant::now()));
    let here = database().to_u32();
    let Some((lost, is_stored)) = with_stats(|stats| (stats.take_lost(), stats.is_stored(here)))
    else {
        return Ok(());
    };
    if lost > 0 {
        pgrx::log!(
            "rag_pg: {lost} searches and answers were not counted: the server has counters for {SLOTS} collections"
        );
    }
    if is_stored {
        return Ok(());
    }
    match host.transaction(|| Ok(write(here))) {
        Ok((counted, gone)) => {
            let now = now();
            with_stats(|stats| stats.stored(here, &counted, now));
            if !gone.is_empty() {
                with_stats_mut(|stats| {
                    stats.forget(|key, used_at| {
                        let is_gone = key.database == here && gone.contains(&key.collection);
                        is_gone && is_old(used_at, now)
                    });
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
fn write(database: u32) -> (Vec<Counted>, Vec<i32>) {
    as_extension_owner(|| {
        // Whoever stored before has committed, so that what is read below is newer than the table.
        execute("LOCK TABLE rag.query_total IN SHARE ROW EXCLUSIVE MODE", &[]);
        let counted = with_stats(|stats| stats.read(database, true)).unwrap_or_default();
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

row! {
    /// Counters of a collection and kind.
    pub struct QueryTotals {
        pub collection: String,
        /// `search` or `answer`.
        pub kind: String,
        /// See [`WIDTH`].
        pub numbers: Vec<i64>,
    }
}

/// Counters of the collections that the caller may know them of.
pub fn totals() -> Vec<QueryTotals> {
    let counted = with_stats(|stats| stats.read(database().to_u32(), false));
    let is_counted = counted.is_some();
    let [collections, kinds, incarnations, numbers, width] =
        arguments(&counted.unwrap_or_default());
    let args = [
        collections,
        kinds,
        incarnations,
        numbers,
        width,
        current_user().into(),
        is_counted.into(),
    ];
    let sql = statement!("search/query_stats_read");
    as_extension_owner(|| read(sql, &args, |row| QueryTotals::read(&row)))
}

fn is_old(used_at: i64, now: i64) -> bool {
    now.saturating_sub(used_at) > GONE_AFTER
}

/// Frees the slots of databases that were dropped.
pub fn forget_databases(is_there: impl Fn(pg_sys::Oid) -> bool) {
    let now = now();
    with_stats_mut(|stats| {
        stats.forget(|key, used_at| is_old(used_at, now) && !is_there(key.database.into()));
    });
}
