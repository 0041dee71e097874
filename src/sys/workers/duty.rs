//! What background workers are there for.
//!
//! Answers have a worker of their own: whoever waits for one is not to wait for a batch of documents first.
use crate::sys::guc::worker::MOST_WORKERS;

/// A kind of work, and of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Brings chunks up to date.
    Index,
    /// Has models write the answers that were submitted.
    Answer,
}

impl Duty {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Index, Self::Answer];

    /// What `pg_stat_activity` shows as the kind of process.
    pub fn process_name(self) -> &'static str {
        match self {
            Self::Index => "rag_pg worker",
            Self::Answer => "rag_pg answer worker",
        }
    }

    /// Most workers of the kind that a database has: one has as many answers under way as there may be.
    pub fn most_workers(self) -> usize {
        match self {
            Self::Index => MOST_WORKERS,
            Self::Answer => 1,
        }
    }
}
