//! How a search went: times, and what it did otherwise than asked.
use crate::search::engine::lexical_leg::LexicalLeg;
use pgrx::pg_sys;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How a search went.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// Embedding the question.
    pub embed: Duration,
    /// Running the statement that gathers candidates.
    pub gather: Duration,
    /// Ordering the candidates.
    pub rank: Duration,
    /// Everything.
    pub total: Duration,
    /// Whether phrases were taken as words, because no chunk has them.
    pub is_relaxed: bool,
    /// Whether the vector index ended its scan early, and what passes filter and policies is too much to
    /// compare all of it.
    pub is_cut: bool,
    /// Whether too little of what another extension's index found passed, so that ours was asked.
    pub is_short: bool,
    /// The statement that gathered the candidates.
    pub(super) gathered: Gathering,
}

impl Trace {
    /// The time of each step and of everything, in milliseconds.
    pub fn times(&self) -> [(&'static str, f64); 4] {
        [("embed", self.embed), ("gather", self.gather), ("rank", self.rank), ("total", self.total)]
            .map(|(step, time)| (step, milliseconds(time)))
    }
}

/// Milliseconds, to the microsecond.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// What a gathering statement is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathering {
    /// A `tsquery` in its text form that every chunk must match.
    pub must_match: Option<String>,
    /// Whether the legs themselves ask the source which rows there are.
    pub is_strict: bool,
    /// Candidates wanted.
    pub limit: usize,
    /// Where all chunks lie that filter and policies leave, if they are few enough to compare each. Good as long as the
    /// search's snapshot is: chunks are never updated, and no vacuum takes away what a snapshot sees.
    pub few: Option<Rc<Vec<pg_sys::ItemPointerData>>>,
    /// What the lexical leg found.
    pub lexical: Rc<LexicalLeg>,
}

/// Adds the time that `body` takes to `time`.
pub(super) fn timed<T>(time: &mut Duration, body: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = body();
    *time += started.elapsed();
    result
}
