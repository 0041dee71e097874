//! Runs blocking work on a thread of its own while the caller keeps running its checkpoint.
#![allow(unsafe_code)] // Signal masks are libc's.
use super::Checkpoint;
use crate::{Error, Result};
use std::mem::MaybeUninit;
use std::panic;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the caller's checkpoint runs meanwhile.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(10);

/// Runs `work` on a thread and calls `checkpoint` every 10 ms until it is done. When the checkpoint
/// fails or unwinds, `stop` is called, the thread is waited for, and the failure goes on. A panic of
/// `work` goes on in the caller.
///
/// The thread has every signal blocked, so that a server's handlers run on its main thread only.
pub fn run_watched<T: Send>(
    work: impl FnOnce() -> T + Send,
    stop: impl Fn(),
    checkpoint: Checkpoint<'_>,
) -> Result<T> {
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let handle = with_signals_blocked(|| {
            thread::Builder::new().spawn_scoped(scope, move || {
                let result = work();
                drop(done);
                result
            })
        })
        .map_err(|error| not_started(&error))?;
        // Dropped while unwinding too; the scope then waits for the thread.
        let guard = OnDrop(&stop);
        while is_done.recv_timeout(CHECKPOINT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            checkpoint()?;
        }
        std::mem::forget(guard);
        Ok(handle.join().unwrap_or_else(|payload| panic::resume_unwind(payload)))
    })
}

struct OnDrop<'a, F: Fn()>(&'a F);

impl<F: Fn()> Drop for OnDrop<'_, F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Starts a detached thread with every signal blocked.
pub fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    with_signals_blocked(|| thread::Builder::new().spawn(work)).map_err(|error| not_started(&error))
}

/// A limit of processes or of memory; both pass.
fn not_started(error: &std::io::Error) -> Error {
    Error::out_of_memory("could not start a thread")
        .with_detail(error.to_string())
        .with_hint("The operating system's limit of processes or memory may be reached.")
}

/// Runs `body` with every signal blocked on this thread; threads it starts inherit the mask.
pub fn with_signals_blocked<T>(body: impl FnOnce() -> T) -> T {
    let _restore = MaskGuard::block_all();
    body()
}

struct MaskGuard(libc::sigset_t);

impl MaskGuard {
    fn block_all() -> Self {
        let mut all = MaybeUninit::uninit();
        let mut old = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises `all`; pthread_sigmask reads it and initialises `old`. It
        // fails only for an unknown first argument.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
            Self(old.assume_init())
        }
    }
}

impl Drop for MaskGuard {
    fn drop(&mut self) {
        // SAFETY: the set was initialised by `block_all`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn returns_what_the_work_returns() {
        let mut checks = 0;
        let work = || {
            thread::sleep(Duration::from_millis(50));
            7
        };
        let result = run_watched(work, || unreachable!(), &mut || {
            checks += 1;
            Ok(())
        });
        assert_eq!(result.unwrap(), 7);
        assert!(checks >= 1);
    }

    #[test]
    fn a_failing_checkpoint_stops_the_work() {
        let stopped = AtomicBool::new(false);
        let work = || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
        };
        let result = run_watched(work, || stopped.store(true, Ordering::Relaxed), &mut || {
            Err(Error::cancelled())
        });
        assert!(result.unwrap_err().is_cancelled());
    }

    #[test]
    fn an_unwinding_checkpoint_stops_the_work() {
        let stopped = AtomicBool::new(false);
        let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            let work = || {
                while !stopped.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
            };
            run_watched(work, || stopped.store(true, Ordering::Relaxed), &mut || panic!("cancel"))
        }));
        assert!(outcome.is_err());
        assert!(stopped.load(Ordering::Relaxed));
    }

    #[test]
    fn a_panic_of_the_work_arrives_in_the_caller() {
        let outcome = panic::catch_unwind(|| {
            run_watched(|| panic!("work"), || (), &mut || Ok(())).map(|(): ()| ())
        });
        assert!(outcome.is_err());
    }
}
