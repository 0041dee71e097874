//! Stopping calls that another thread waits for.
use crate::{Error, Result};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Longest time that passes before a wait notices that it was cancelled.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A flag set by the thread that no longer wants the result, and checked by the threads that work on it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

/// As long as a call's result is wanted.
#[derive(Debug, Clone)]
pub(super) struct CallScope {
    cancel: Cancel,
    deadline: Instant,
    /// Of a stream: how long it may be silent, and when it ends at the latest.
    stream: Option<(Duration, Instant)>,
}

thread_local! {
    /// The cancel flag and deadline of the call on this thread. A connection outlives calls, so it cannot hold this
    /// itself.
    static CURRENT: RefCell<Option<CallScope>> = const { RefCell::new(None) };
}

impl Cancel {
    /// Asks for the end.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error when the end was asked for.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Error::cancelled()) } else { Ok(()) }
    }

    /// Sleeps, unless the end is asked for.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(POLL_INTERVAL));
        }
    }

    /// Runs `body`, whose connections give up at the deadline or when this is set. With `stream_end`, what is left until the deadline
    /// begins again with everything that is read, until then.
    pub(super) fn scope<R>(
        &self,
        deadline: Instant,
        stream_end: Option<Instant>,
        body: impl FnOnce() -> R,
    ) -> R {
        let silence = deadline.saturating_duration_since(Instant::now());
        let stream = stream_end.map(|end| (silence, end));
        let before = CURRENT.replace(Some(CallScope { cancel: self.clone(), deadline, stream }));
        let result = body();
        CURRENT.set(before);
        result
    }
}

impl CallScope {
    /// The cancel flag and deadline of the call on this thread.
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Something was read.
    pub fn heard() {
        CURRENT.with_borrow_mut(|scope| {
            if let Some(Self { deadline, stream: Some((silence, end)), .. }) = scope {
                *deadline = (Instant::now() + *silence).min(*end);
            }
        });
    }

    /// Whether the end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_set()
    }

    /// Whether the time is over.
    pub fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }
}
