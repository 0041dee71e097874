//! Changes that need a lock that other sessions may hold for long.
//!
//! A session that waits for a strong lock makes later ones wait behind it. So each attempt is short, and others proceed
//! between two attempts.
use crate::sys::failed::Failed;
use crate::sys::interrupt::checkpoint;
use crate::sys::rights::with_lock_timeout;
use crate::sys::transaction::subtransaction;
use rag::{Error, Result};
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// Time between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(200);

/// How long to try.
#[derive(Debug, Clone, Copy)]
pub struct LockPatience {
    /// `lock_timeout` of one attempt.
    pub each: &'static CStr,
    /// Time for all attempts.
    pub all: Duration,
}

/// Runs `body` in a subtransaction, repeated until it gets its locks. `what` is named in the error if it does not.
pub fn with_short_locks<R>(
    what: &str,
    patience: LockPatience,
    mut body: impl FnMut() -> Result<R>,
) -> Result<R> {
    let started = Instant::now();
    loop {
        let failed = match subtransaction(|| with_lock_timeout(patience.each, &mut body)) {
            Ok(value) => return Ok(value),
            Err(failed) if failed.is_lock_failure() => failed,
            Err(failed) => failed.rethrow(),
        };
        if started.elapsed() >= patience.all {
            return Err(busy(what, &failed));
        }
        pause()?;
    }
}

fn busy(what: &str, failed: &Failed) -> Error {
    Error::busy(format!("could not {what}: another session holds a lock on it"))
        .with_detail(failed.reason().to_owned())
        .with_hint(
            "Try again when transactions that use the collection have ended; pg_locks shows them.",
        )
}

fn pause() -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < ATTEMPT_INTERVAL {
        checkpoint()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
