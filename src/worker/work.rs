//! What a worker process works off, one step a turn.
use crate::sys::failed::Failed;
use crate::sys::transaction::Host;

/// What a turn came to.
#[derive(Debug, Clone, Copy)]
pub enum Turn {
    /// Something was done, and there may be more.
    Worked,
    /// All there is to do is being done elsewhere, on other threads.
    Underway,
    /// Nothing can be done now.
    Idle {
        /// When the next job is ready, as a `timestamptz`, if there is one.
        ready_at: Option<i64>,
        /// Other backends are at work on some.
        is_claimed: bool,
    },
}

/// What a worker works off.
pub trait Work {
    /// Where it runs.
    fn host(&self) -> &Host;
    /// Sets in order what processes left behind that are gone.
    fn begin(&mut self) -> Result<(), Failed>;
    /// Does a step. `is_called` says whether there may be something new.
    fn turn(&mut self, is_called: bool) -> Result<Turn, Failed>;
    /// Puts down what is under way, since the process ends.
    fn put_down(&mut self);
}
