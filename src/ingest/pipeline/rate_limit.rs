//! Keeps workers together below `rag_pg.max_tokens_per_second`.
use crate::sys::failed::Failed;
use crate::sys::guc;
use crate::sys::process;
use crate::sys::transaction::Host;
use crate::sys::workers::shared_state::shared_state;
use rag::queue::throttle;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Longest sleep, so that a changed setting and an interrupt take effect soon, and the lease is kept.
pub const LONGEST_SLEEP: Duration = Duration::from_millis(200);

/// Without shared memory each process keeps to the rate by itself.
static OWN: AtomicI64 = AtomicI64::new(0);

/// Most tokens to embed at once: a second's worth, so that the rate is even and leases are renewed.
pub fn most_tokens() -> usize {
    guc::worker::max_tokens_per_second().map_or(usize::MAX, |most| most as usize)
}

/// Waits until `tokens` may be embedded; `most` are those of the largest possible text. Calls `keep_alive` between sleeps.
pub fn wait(
    host: &Host,
    tokens: usize,
    most: usize,
    mut keep_alive: impl FnMut() -> Result<(), Failed>,
) -> Result<(), Failed> {
    let filled_until = shared_state().map_or(&OWN, |state| state.rate_filled_until());
    // The setting is read each time: it may change meanwhile.
    while let Some(per_second) = guc::worker::max_tokens_per_second() {
        let (seen, now) = (filled_until.load(SeqCst), process::now());
        let most = tokens.max(most).max(per_second as usize);
        let until = throttle::filled(seen, now, most, per_second);
        let next =
            if until > now { until } else { throttle::begun(until, now, tokens, per_second) };
        if filled_until.compare_exchange(seen, next, SeqCst, SeqCst).is_err() {
            continue; // Another worker was faster.
        }
        let Ok(micros @ 1..) = u64::try_from(until - now) else { return Ok(()) };
        host.show(Some("rag_pg: waiting because of rag_pg.max_tokens_per_second"));
        host.sleep(Duration::from_micros(micros).min(LONGEST_SLEEP))?;
        keep_alive()?;
    }
    Ok(())
}
