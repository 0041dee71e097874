//! Changes that need a lock that other sessions may hold for long.
//!
//! A session that waits for a strong lock makes later ones wait behind it. So the first attempts are short, and others proceed
//! between two attempts. The later ones are longer: transactions that overlap and are longer than an attempt would keep the
//! lock from it for ever.
use crate::sys::failed::Failed;
use crate::sys::interrupt::checkpoint;
use crate::sys::rights::with_lock_timeout;
use crate::sys::transaction::subtransaction;
use rag::{Error, Result};
use std::time::{Duration, Instant};

/// Time between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(200);

/// How long others may be kept waiting as a rule.
pub const SHORT: Duration = Duration::from_millis(100);

/// Time for all attempts.
const PATIENCE: Duration = Duration::from_secs(30);

/// `lock_timeout` of an attempt; 0 is the first. The longest are longer than `deadlock_timeout`, after which PostgreSQL cancels an
/// autovacuum that holds the lock.
pub fn attempt_timeout(attempt: u32) -> Duration {
    SHORT * (1 << attempt.min(4))
}

/// Runs `body` in a subtransaction, repeated until it gets its locks. `what` is named in the error if it does not.
pub fn with_short_locks<R>(what: &str, mut body: impl FnMut() -> Result<R>) -> Result<R> {
    let started = Instant::now();
    let mut attempt = 0;
    loop {
        let timeout = attempt_timeout(attempt);
        let failed = match subtransaction(|| with_lock_timeout(timeout, &mut body)) {
            Ok(value) => return Ok(value),
            Err(failed) if failed.is_lock_failure() => failed,
            Err(failed) => failed.rethrow(),
        };
        if started.elapsed() >= PATIENCE {
            return Err(busy(what, &failed));
        }
        pause()?;
        attempt += 1;
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
