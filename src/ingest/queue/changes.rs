//! From changes to jobs, and which generations have any.
use crate::sys::rights::{as_extension_owner, with_lock_timeout};
use crate::sys::spi::{column, execute, query, required};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Most rows of `rag.change` taken at once, as many of each collection: up to 100,000 keys.
const CHANGES: i32 = 100;
/// How long rows are taken before anything is indexed.
const BUDGET: Duration = Duration::from_millis(500);

thread_local! {
    /// The collection that had its turn last, where there are more than have one at once.
    static LAST: Cell<i32> = const { Cell::new(0) };
}

/// What became of waiting changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changes {
    /// There were none.
    None,
    /// They are jobs now, or some of them are.
    Taken,
    /// Others are taking them, or are pruning the generations that they are for.
    HeldUp,
}

/// Turns waiting changes of `collections` (`None`: all) into jobs.
pub fn coalesce(collections: Option<&[i32]>) -> Changes {
    as_extension_owner(|| {
        let collections = || collections.map(<[i32]>::to_vec);
        let has_changes = statement!("ingest/has_changes");
        if !query(has_changes, &[collections().into()], |row| required::<bool>(&row, 1))[0] {
            return Changes::None;
        }
        let lock = statement!("ingest/hold_generations");
        let held: Vec<i32> = query(lock, &[collections().into()], |row| required(&row, 1));
        let started = Instant::now();
        let mut changes = Changes::HeldUp;
        // A job that somebody holds, in a transaction that may be open for long, is not waited for.
        with_lock_timeout(c"100ms", || {
            loop {
                let (taken, has_more) = take(collections(), &held);
                if taken > 0 {
                    changes = Changes::Taken;
                }
                if !has_more || started.elapsed() >= BUDGET {
                    return changes;
                }
            }
        })
    })
}

/// Turns some changes into jobs, and starts the comparisons among them. How many rows there were, and whether there may
/// be more.
fn take(collections: Option<Vec<i32>>, held: &[i32]) -> (i64, bool) {
    let sql = statement!("ingest/coalesce");
    let args = [collections.into(), CHANGES.into(), held.to_vec().into(), LAST.get().into()];
    let row = query(sql, &args, |row| {
        LAST.set(column(&row, 5).unwrap_or_default());
        let compared = column::<Vec<i32>>(&row, 3).unwrap_or_default();
        (required::<i64>(&row, 1), compared, required::<bool>(&row, 4))
    });
    let (taken, compared, has_more) = row.into_iter().next().unwrap_or_default();
    if !compared.is_empty() {
        execute(statement!("ingest/restart"), &[compared.into()]);
    }
    (taken, has_more)
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

/// Generations of `collections` (`None`: all) that are not paused.
pub fn list(collections: Option<&[i32]>) -> Vec<PendingWork> {
    as_extension_owner(|| {
        let sql = statement!("ingest/list");
        query(sql, &[collections.map(<[i32]>::to_vec).into()], |row| PendingWork {
            generation: required(&row, 1),
            step: [(Step::Scan, 2), (Step::Switch, 7), (Step::Jobs, 3), (Step::Index, 4)]
                .into_iter()
                .find_map(|(step, position)| required::<bool>(&row, position).then_some(step)),
            wants_index: required(&row, 4),
            is_building: required(&row, 8),
            ready_at: column::<TimestampWithTimeZone>(&row, 5).map(pg_sys::TimestampTz::from),
            is_claimed: required(&row, 6),
        })
    })
}

/// Frees the claims of backends that are gone.
pub fn release_lost() {
    as_extension_owner(|| {
        execute(statement!("ingest/release_lost"), &[]);
    });
}
