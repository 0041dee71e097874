//! A queue that a worker process drains, one step a turn.
use crate::sys::failed::Failed;
use crate::sys::transaction::Host;

/// How a turn ended.
#[derive(Debug, Clone, Copy)]
pub enum TurnEnd {
    /// A step was done, and there may be more.
    Worked,
    /// Other threads of this process are working.
    Underway,
    /// There is nothing to do now.
    Idle {
        /// When the next job is ready, as a `timestamptz`, if there is one.
        ready_at: Option<i64>,
        /// Other backends are working on jobs of the queue.
        is_claimed: bool,
    },
}

/// A queue.
pub trait Work {
    /// Where its transactions run.
    fn host(&self) -> &Host;
    /// Cleans up after processes that are gone.
    fn begin(&mut self) -> Result<(), Failed>;
    /// Does a step. `is_wake_requested`: there may be new work.
    fn turn(&mut self, is_wake_requested: bool) -> Result<TurnEnd, Failed>;
    /// Whether this process holds results that another would have to pay for again.
    fn holds_results(&mut self) -> bool;
    /// Ends what is under way before the process exits.
    fn shut_down(&mut self);
}
