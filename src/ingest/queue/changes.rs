//! From changes to jobs, and which generations have any.
use crate::sys::rights::{as_extension_owner, with_lock_timeout};
use crate::sys::rows::row;
use crate::sys::spi::{column, execute, query, required};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use std::time::{Duration, Instant};

/// Most rows of `rag.change` taken at once: up to 100,000 keys.
const CHANGES: i32 = 100;
/// How long rows are taken before anything is indexed. They are taken in the order written, whatever collection they are
/// of: few enough would keep a change waiting until the changes of others before it are indexed.
const BUDGET: Duration = Duration::from_millis(500);

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

/// Turns waiting changes of `collections` (`None`: all) into jobs.
pub fn coalesce(collections: Option<&[i32]>) -> Coalesced {
    as_extension_owner(|| {
        let collections = || collections.map(<[i32]>::to_vec);
        let has_changes = statement!("ingest/has_changes");
        if !query(has_changes, &[collections().into()], |row| required::<bool>(&row, 1))[0] {
            return Coalesced::None;
        }
        let lock = statement!("ingest/hold_generations");
        let held: Vec<i32> = query(lock, &[collections().into()], |row| required(&row, 1));
        let started = Instant::now();
        let mut changes = Coalesced::Locked;
        // A job that somebody holds, in a transaction that may be open for long, is not waited for.
        with_lock_timeout(c"100ms", || {
            loop {
                let taken = take(collections(), &held);
                if taken > 0 {
                    changes = Coalesced::Taken;
                }
                if taken < i64::from(CHANGES) || started.elapsed() >= BUDGET {
                    return changes;
                }
            }
        })
    })
}

/// Turns some changes into jobs, and starts the comparisons among them. How many rows there were.
fn take(collections: Option<Vec<i32>>, held: &[i32]) -> i64 {
    let sql = statement!("ingest/coalesce");
    let args = [collections.into(), CHANGES.into(), held.to_vec().into()];
    let row = query(sql, &args, |row| {
        (required::<i64>(&row, 1), column::<Vec<i32>>(&row, 3).unwrap_or_default())
    });
    let (taken, compared) = row.into_iter().next().unwrap_or_default();
    if !compared.is_empty() {
        execute(statement!("ingest/restart"), &[compared.into()]);
    }
    taken
}

/// Those of `collections` (`None`: all) that have changes.
pub fn changed(collections: Option<&[i32]>) -> Vec<i32> {
    let sql = statement!("ingest/changed_collections");
    let args = [collections.map(<[i32]>::to_vec).into()];
    as_extension_owner(|| query(sql, &args, |row| required(&row, 1)))
}

/// What can be done for a generation, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A comparison of source and documents is under way.
    Scan,
    /// A new generation is complete, and searches are to switch to it.
    Switch,
    /// Jobs are ready.
    Jobs,
    /// The first load is in and the vector index is not.
    Index,
}

/// A generation and what there is to do for it now.
#[derive(Debug, Clone, Copy)]
pub struct PendingWork {
    /// The generation.
    pub generation: i32,
    /// What can be done for it now.
    pub step: Option<Step>,
    /// Its vector index is to be built, whether or not there is other work.
    pub wants_index: bool,
    /// Nobody searches it yet.
    pub is_building: bool,
    /// When its next job is ready, as a `timestamptz`.
    pub ready_at: Option<i64>,
    /// Another backend works on one of its jobs.
    pub is_claimed: bool,
}

impl PendingWork {
    /// Whether documents of it are to be indexed now.
    pub fn has_jobs(&self) -> bool {
        matches!(self.step, Some(Step::Scan | Step::Jobs))
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
    }
}

/// Generations of `collections` (`None`: all) that are not paused.
pub fn pending_work(collections: Option<&[i32]>) -> Vec<PendingWork> {
    let args = [collections.map(<[i32]>::to_vec).into()];
    let rows = as_extension_owner(|| {
        query(statement!("ingest/list"), &args, |row| PendingWorkRow::read(&row))
    });
    let work = |row: PendingWorkRow| PendingWork {
        generation: row.generation_id,
        step: [
            (row.has_scan, Step::Scan),
            (row.can_switch, Step::Switch),
            (row.has_jobs, Step::Jobs),
            (row.wants_index, Step::Index),
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

/// Frees the claims of backends that are gone.
pub fn release_lost() {
    as_extension_owner(|| {
        execute(statement!("ingest/release_lost"), &[]);
    });
}
