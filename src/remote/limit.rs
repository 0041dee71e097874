//! Requests and tokens a minute, kept by everyone who shares a [`Pace`].
//!
//! Each pace is one moment: when the next request may leave, had all before been sent evenly spread
//! (the generic cell rate algorithm). Reserving moves it on, so that a pace in memory shared by
//! processes needs no lock, and a process that dies leaves nothing behind but one unused turn.
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const MINUTE: u64 = 60_000_000_000;

/// A reservation never lies further ahead; what says otherwise is damaged or of another boot.
const FURTHEST: u64 = 60 * MINUTE;

/// When the next request may leave. Moments are nanoseconds of [`now`]; all zero is a pace that
/// nobody has used.
#[derive(Debug, Default)]
pub struct Pace {
    request: AtomicU64,
    tokens: AtomicU64,
    /// Nothing leaves before: the provider asked for a pause.
    held: AtomicU64,
    /// Most tokens of a request that the provider took after it refused more; 0 when unknown.
    most_tokens: AtomicU64,
}

/// What a provider allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests a minute.
    pub requests: Option<u32>,
    /// Tokens a minute.
    pub tokens: Option<u32>,
}

/// Nanoseconds since this was first called in this process or, with preloading, in the one that it
/// was forked from.
pub fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    // Not 0, which stands for never.
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

impl Pace {
    /// Takes the next turn for a request of so many tokens and says how long to wait for it.
    ///
    /// `Err` is the wait there would be, when that is longer than `most`; nothing is taken then.
    pub fn reserve(
        &self,
        limits: Limits,
        tokens: u64,
        now: u64,
        most: Duration,
    ) -> Result<Duration, Duration> {
        let most = now.saturating_add(most.as_nanos() as u64);
        let held = sane(self.held.load(Relaxed), now);
        let begins = [&self.request, &self.tokens].map(|next| sane(next.load(Relaxed), now));
        let is_limited = [limits.requests.is_some(), limits.tokens.is_some()];
        let expected = begins.iter().zip(is_limited).filter(|(_, is)| *is).map(|(at, _)| *at);
        let expected = expected.chain([held, now]).max().unwrap_or(now);
        if expected > most {
            return Err(Duration::from_nanos(expected - now));
        }
        let mut turn = held.max(now);
        if let Some(a_minute) = limits.requests {
            turn = turn.max(take(&self.request, now, MINUTE / u64::from(a_minute.max(1))));
        }
        if let Some(a_minute) = limits.tokens {
            let share = MINUTE.saturating_mul(tokens) / u64::from(a_minute.max(1));
            turn = turn.max(take(&self.tokens, now, share.min(FURTHEST)));
        }
        Ok(Duration::from_nanos(turn - now))
    }

    /// Lets nothing leave before `pause` is over.
    pub fn hold(&self, now: u64, pause: Duration) {
        let until = now.saturating_add((pause.as_nanos() as u64).min(FURTHEST));
        let later = |held: u64| (sane(held, now) < until).then_some(until);
        let _ = self.held.fetch_update(Relaxed, Relaxed, later);
    }

    /// Most tokens of a request, as far as a provider taught it.
    pub fn most_tokens(&self) -> Option<u64> {
        Some(self.most_tokens.load(Relaxed)).filter(|most| *most > 0)
    }

    /// Notes that a request of so many tokens was too large: half of it is tried from now on.
    pub fn learn_too_many(&self, tokens: u64) {
        let half = (tokens / 2).max(1);
        let smaller = |most: u64| (most == 0 || half < most).then_some(half);
        let _ = self.most_tokens.fetch_update(Relaxed, Relaxed, smaller);
    }

    /// Forgets everything, for a model that takes the place of another.
    pub fn clear(&self) {
        for moment in [&self.request, &self.tokens, &self.held, &self.most_tokens] {
            moment.store(0, Relaxed);
        }
    }
}

/// The moment as it can be: not further ahead than a reservation goes.
fn sane(moment: u64, now: u64) -> u64 {
    if moment > now.saturating_add(FURTHEST + MINUTE) { 0 } else { moment }
}

/// Takes the next turn, of this length, and says when it begins.
fn take(next: &AtomicU64, now: u64, length: u64) -> u64 {
    let after = |at: u64| Some(sane(at, now).max(now) + length);
    match next.fetch_update(Relaxed, Relaxed, after) {
        Ok(at) | Err(at) => sane(at, now).max(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const FOREVER: Duration = Duration::from_mins(50);

    fn requests(a_minute: u32) -> Limits {
        Limits { requests: Some(a_minute), tokens: None }
    }

    #[test]
    fn requests_are_spread_over_the_minute_and_none_leaves_early() {
        let pace = Pace::default();
        let mut at = SECOND;
        let mut sent = Vec::new();
        // Three callers that want to send all the time, for ten minutes.
        while at < 600 * SECOND {
            for _ in 0..3 {
                let wait = pace.reserve(requests(60), 1, at, FOREVER).unwrap();
                sent.push(at + wait.as_nanos() as u64);
            }
            at = *sent.last().unwrap();
        }
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= SECOND), "{:?}", &sent[..9]);
        let in_ten_minutes = sent.iter().filter(|at| **at < 600 * SECOND).count();
        assert!(in_ten_minutes >= 590, "{in_ten_minutes}");
    }

    #[test]
    fn time_that_nobody_used_does_not_add_up() {
        let pace = Pace::default();
        pace.reserve(requests(60), 1, SECOND, FOREVER).unwrap();
        let later = 500 * SECOND;
        assert_eq!(pace.reserve(requests(60), 1, later, FOREVER), Ok(Duration::ZERO));
        assert_eq!(pace.reserve(requests(60), 1, later, FOREVER), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn tokens_count_by_their_number() {
        let pace = Pace::default();
        let limits = Limits { requests: None, tokens: Some(6000) };
        assert_eq!(pace.reserve(limits, 200, SECOND, FOREVER), Ok(Duration::ZERO));
        assert_eq!(pace.reserve(limits, 1, SECOND, FOREVER), Ok(Duration::from_secs(2)));
    }

    #[test]
    fn who_cannot_wait_takes_no_turn() {
        let pace = Pace::default();
        let short = Duration::from_millis(100);
        assert_eq!(pace.reserve(requests(60), 1, SECOND, short), Ok(Duration::ZERO));
        for _ in 0..5 {
            let refused = pace.reserve(requests(60), 1, SECOND, short);
            assert_eq!(refused, Err(Duration::from_secs(1)));
        }
        assert_eq!(pace.reserve(requests(60), 1, SECOND, FOREVER), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn a_pause_holds_everyone() {
        let pace = Pace::default();
        pace.hold(SECOND, Duration::from_secs(7));
        pace.hold(SECOND, Duration::from_secs(3));
        let none = Limits::default();
        assert_eq!(pace.reserve(none, 1, SECOND, FOREVER), Ok(Duration::from_secs(7)));
        assert_eq!(pace.reserve(none, 1, 9 * SECOND, FOREVER), Ok(Duration::ZERO));
        // Damaged memory is no pause for ever.
        pace.held.store(u64::MAX, Relaxed);
        assert_eq!(pace.reserve(none, 1, SECOND, FOREVER), Ok(Duration::ZERO));
    }

    #[test]
    fn what_was_too_large_is_remembered() {
        let pace = Pace::default();
        assert_eq!(pace.most_tokens(), None);
        pace.learn_too_many(8000);
        pace.learn_too_many(9000);
        assert_eq!(pace.most_tokens(), Some(4000));
        pace.learn_too_many(4000);
        assert_eq!(pace.most_tokens(), Some(2000));
        pace.clear();
        assert_eq!(pace.most_tokens(), None);
    }

    #[test]
    fn a_pace_is_kept_by_many_threads() {
        let pace = Pace::default();
        let mut begins: Vec<u64> = std::thread::scope(|scope| {
            let turns = || (0..500).map(|_| pace.reserve(requests(60_000), 1, SECOND, FOREVER));
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(move || turns().collect::<Vec<_>>())).collect();
            let turns = threads.into_iter().flat_map(|thread| thread.join().unwrap());
            turns.map(|turn| turn.unwrap().as_nanos() as u64).collect()
        });
        begins.sort_unstable();
        assert!((0..2000).map(|n| n * 1_000_000).eq(begins));
    }
}
