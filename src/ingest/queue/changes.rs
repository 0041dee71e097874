//! Turns changes into jobs, and lists the generations with work.
use crate::sys::lock_retry;
use crate::sys::rights::{as_extension_owner, with_lock_timeout};
use crate::sys::rows::row;
use crate::sys::spi::{execute, query, required};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use rag::search::calibration::MIN_CHUNKS;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Most rows of `rag.change` taken at once, as many of each collection: up to 100,000 keys.
const MAX_CHANGE_ROWS: i32 = 100;
/// How long changes are taken before any document is indexed.
const TIME_BUDGET: Duration = Duration::from_millis(500);

thread_local! {
    /// The last collection of the previous call, if not all take part in one.
    static LAST_COLLECTION: Cell<i32> = const { Cell::new(0) };
}

/// What became of committed changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coalesced {
    /// There were none.
    None,
    /// At least some of them are jobs now.
    Taken,
    /// Other backends have locked them, or their generations.
    Locked,
}

/// Turns committed changes of `collections` (`None`: all) into jobs.
pub fn coalesce(collections: Option<&[i32]>) -> Coalesced {
    as_extension_owner(|| {
        let collections = || collections.map(<[i32]>::to_vec);
        let has_changes = statement!("ingest/has_changes");
        if !query(has_changes, &[collections().into()], |row| required::<bool>(&row, 1))[0] {
            return Coalesced::None;
        }
        let lock = statement!("ingest/lock_generations");
        let held: Vec<i32> = query(lock, &[collections().into()], |row| required(&row, 1));
        let started = Instant::now();
        let mut changes = Coalesced::Locked;
        // A job may be locked by a long transaction.
        with_lock_timeout(lock_retry::SHORT, || {
            loop {
                let (taken, has_more) = take(collections(), &held);
                if taken > 0 {
                    changes = Coalesced::Taken;
                }
                if !has_more || started.elapsed() >= TIME_BUDGET {
                    return changes;
                }
            }
        })
    })
}

row! {
    struct CoalescedRow {
        taken: i64,
        scans: Option<Vec<i32>>,
        has_more: bool,
        last: Option<i32>,
    }
}

/// Turns a batch of changes into jobs and starts the scans among them. Returns the number of changes, and whether there may be
/// more.
fn take(collections: Option<Vec<i32>>, held: &[i32]) -> (i64, bool) {
    let args = [
        collections.into(),
        MAX_CHANGE_ROWS.into(),
        held.to_vec().into(),
        LAST_COLLECTION.get().into(),
    ];
    let rows = query(statement!("ingest/coalesce"), &args, |row| CoalescedRow::read(&row));
    let row = rows.into_iter().next().expect("a SELECT without FROM returns a row");
    LAST_COLLECTION.set(row.last.unwrap_or_default());
    if let Some(scans) = row.scans {
        execute(statement!("ingest/requeue_jobs"), &[scans.into()]);
    }
    (row.taken, row.has_more)
}

/// Those of `collections` (`None`: all) that have changes.
pub fn changed(collections: Option<&[i32]>) -> Vec<i32> {
    let sql = statement!("ingest/changed_collections");
    let args = [collections.map(<[i32]>::to_vec).into()];
    as_extension_owner(|| query(sql, &args, |row| required(&row, 1)))
}

/// What can be done for a generation, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkStep {
    /// A scan compares source and documents.
    Scan,
    /// A new generation is complete; searches switch to it.
    Switch,
    /// Jobs are ready.
    Jobs,
    /// The vector index is missing after the first load.
    Index,
    /// It has grown since its signals were calibrated, and nobody is at it.
    Calibrate,
}

/// What to do for a generation now.
#[derive(Debug, Clone, Copy)]
pub struct PendingWork {
    /// The generation.
    pub generation: i32,
    /// What can be done for it now.
    pub step: Option<WorkStep>,
    /// Its vector index is to be built, whatever the step.
    pub wants_index: bool,
    /// Searches do not use it yet.
    pub is_building: bool,
    /// When its next job is ready, as a `timestamptz`.
    pub ready_at: Option<i64>,
    /// Another backend has claimed one of its jobs.
    pub is_claimed: bool,
}

impl PendingWork {
    /// Whether documents of it are to be indexed now.
    pub fn has_jobs(&self) -> bool {
        matches!(self.step, Some(WorkStep::Scan | WorkStep::Jobs))
    }
}

row! {
    struct PendingWorkRow {
        generation_id: i32,
        has_scan: bool,
        has_jobs: bool,
        wants_index: bool,
        ready_at: Option<TimestampWithTimeZone>,
        is_claimed: bool,
        can_switch: bool,
        is_building: bool,
        wants_calibration: bool,
    }
}

/// Generations of `collections` (`None`: all) that are not paused.
pub fn pending_work(collections: Option<&[i32]>) -> Vec<PendingWork> {
    let args = [collections.map(<[i32]>::to_vec).into(), MIN_CHUNKS.into()];
    let rows = as_extension_owner(|| {
        query(statement!("ingest/pending_work"), &args, |row| PendingWorkRow::read(&row))
    });
    let work = |row: PendingWorkRow| PendingWork {
        generation: row.generation_id,
        step: [
            (row.has_scan, WorkStep::Scan),
            (row.can_switch, WorkStep::Switch),
            (row.has_jobs, WorkStep::Jobs),
            (row.wants_index, WorkStep::Index),
            (row.wants_calibration, WorkStep::Calibrate),
        ]
        .into_iter()
        .find_map(|(is_next, step)| is_next.then_some(step)),
        wants_index: row.wants_index,
        is_building: row.is_building,
        ready_at: row.ready_at.map(pg_sys::TimestampTz::from),
        is_claimed: row.is_claimed,
    };
    rows.into_iter().map(work).collect()
}

/// Releases the jobs of backends that are gone.
pub fn release_lost() {
    as_extension_owner(|| {
        execute(statement!("ingest/release_lost"), &[]);
    });
}
