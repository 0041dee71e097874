//! Requests and tokens a minute, kept by all processes that share a [`Pace`].
//!
//! Each pace is one moment: when the next request may leave, had all before been sent evenly spread
//! (the generic cell rate algorithm). Reserving moves it on, so that a pace in memory shared by
//! processes needs no lock, and a process that dies leaves nothing behind but one unused turn.
use super::adapt::Adapted;
use super::failure_kind::Size;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const MINUTE_NANOS: u64 = 60_000_000_000;

/// Most nanoseconds that a reservation lies ahead; a moment beyond is damaged, or of another boot.
const MAX_AHEAD: u64 = 60 * MINUTE_NANOS;
/// Requests of the learnt size after which a larger one is tried.
const REQUESTS_TO_GROW: u64 = 100;
/// Beyond this, learnt sizes grow no more.
const LARGEST: u64 = 1 << 32;

/// When the next request may leave. Moments are nanoseconds of [`now`]; all zero is an unused pace.
#[derive(Debug, Default)]
pub struct Pace {
    next_request: AtomicU64,
    next_tokens: AtomicU64,
    /// No request leaves before: the provider asked for a pause.
    held_until: AtomicU64,
    /// Most texts and tokens of a request that worked where a larger one did not; 0 when unknown.
    max_texts: AtomicU64,
    max_tokens: AtomicU64,
    /// 1 if concurrent requests waited for each other for too long.
    is_serial: AtomicU64,
    /// Bits of [`Adapted`].
    adapted: AtomicU64,
    /// 1 if limits were learnt that the catalog does not have yet.
    has_unsaved: AtomicU64,
    /// When a request last succeeded.
    last_success: AtomicU64,
    /// Tokens of requests of several texts that were answered in a second; 0 when unknown.
    speed: AtomicU64,
    /// Texts of a request that failed though each of them succeeded; 0 for none.
    unexplained_texts: AtomicU64,
    /// 1 if both a text and the probe were refused since a request last succeeded.
    is_refused: AtomicU64,
    /// Requests of the learnt size that succeeded since it was learnt.
    at_limit: AtomicU64,
}

/// Limits of a model that its responses revealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Most texts of a request.
    pub texts: Option<u64>,
    /// Most tokens of a request.
    pub tokens: Option<u64>,
    /// Whether it answers one request after the other.
    pub is_serial: bool,
    /// Parameters it does not take.
    pub adapted: Adapted,
}

/// A provider's rate limits.
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
    /// `Err` is the wait, if that is longer than `max_wait`; no turn is taken then.
    pub fn reserve(
        &self,
        limits: Limits,
        tokens: u64,
        now: u64,
        max_wait: Duration,
    ) -> Result<Duration, Duration> {
        let latest = now.saturating_add(max_wait.as_nanos() as u64);
        let held = plausible(self.held_until.load(Relaxed), now);
        let begins =
            [&self.next_request, &self.next_tokens].map(|next| plausible(next.load(Relaxed), now));
        let is_limited = [limits.requests.is_some(), limits.tokens.is_some()];
        let expected = begins.iter().zip(is_limited).filter(|(_, is)| *is).map(|(at, _)| *at);
        let expected = expected.chain([held, now]).max().unwrap_or(now);
        if expected > latest {
            return Err(Duration::from_nanos(expected - now));
        }
        let mut turn = held.max(now);
        if let Some(a_minute) = limits.requests {
            turn = turn.max(take_turn(
                &self.next_request,
                now,
                MINUTE_NANOS / u64::from(a_minute.max(1)),
            ));
        }
        if let Some(a_minute) = limits.tokens {
            let share = MINUTE_NANOS.saturating_mul(tokens) / u64::from(a_minute.max(1));
            turn = turn.max(take_turn(&self.next_tokens, now, share.min(MAX_AHEAD)));
        }
        Ok(Duration::from_nanos(turn - now))
    }

    /// Lets no request leave before `pause` is over.
    pub fn hold(&self, now: u64, pause: Duration) {
        let until = now.saturating_add((pause.as_nanos() as u64).min(MAX_AHEAD));
        let later = |held: u64| (plausible(held, now) < until).then_some(until);
        let _ = self.held_until.fetch_update(Relaxed, Relaxed, later);
    }

    /// The limits learnt so far.
    pub fn learnt(&self) -> Learnt {
        let known = |number: &AtomicU64| Some(number.load(Relaxed)).filter(|number| *number > 0);
        Learnt {
            texts: known(&self.max_texts),
            tokens: known(&self.max_tokens),
            is_serial: self.is_serial.load(Relaxed) > 0,
            adapted: Adapted(self.adapted.load(Relaxed)),
        }
    }

    /// Takes over limits that the catalog has, unless this process or another one has learnt some since.
    pub fn restore(&self, before: Learnt) {
        if self.learnt() == Learnt::default() {
            self.max_texts.store(before.texts.unwrap_or(0), Relaxed);
            self.max_tokens.store(before.tokens.unwrap_or(0), Relaxed);
            self.is_serial.store(before.is_serial.into(), Relaxed);
            self.adapted.store(before.adapted.0, Relaxed);
        }
    }

    /// The limits learnt, if they changed since the last call.
    pub fn take_learnt(&self) -> Option<Learnt> {
        (self.has_unsaved.swap(0, Relaxed) > 0).then(|| self.learnt())
    }

    /// Notes that a request of this size worked where a larger one did not.
    pub(super) fn learn_size(&self, size: Size, texts: u64, tokens: u64) {
        let (most, worked) = match size {
            Size::Texts => (&self.max_texts, texts),
            Size::Tokens => (&self.max_tokens, tokens),
        };
        let smaller = |most: u64| (most == 0 || worked < most).then_some(worked.max(1));
        if most.fetch_update(Relaxed, Relaxed, smaller).is_ok() {
            self.has_unsaved.store(1, Relaxed);
        }
        self.at_limit.store(0, Relaxed);
    }

    /// After so many requests of the learnt size, twice the size is tried: an accident, or a lack of memory that has passed, must not
    /// make requests small for ever. Where the limit is a real one, that costs one request in so many.
    fn grow(&self, texts: u64, tokens: u64) {
        let is_full = |most: &AtomicU64, size: u64| (1..=size).contains(&most.load(Relaxed));
        let full = [is_full(&self.max_texts, texts), is_full(&self.max_tokens, 2 * tokens)];
        if full == [false; 2] || self.at_limit.fetch_add(1, Relaxed) + 1 < REQUESTS_TO_GROW {
            return;
        }
        let limits = [&self.max_texts, &self.max_tokens].into_iter().zip(full);
        for (most, _) in limits.filter(|(_, is_full)| *is_full) {
            let twice = |most: u64| Some(most * 2).filter(|most| *most < LARGEST);
            let _ = most.fetch_update(Relaxed, Relaxed, twice);
        }
        self.at_limit.store(0, Relaxed);
        self.has_unsaved.store(1, Relaxed);
    }

    /// Notes that the provider answers requests one after the other.
    pub(super) fn learn_serial(&self) {
        if self.is_serial.swap(1, Relaxed) == 0 {
            self.has_unsaved.store(1, Relaxed);
        }
    }

    /// Notes which parameters it works without.
    pub(super) fn learn_adapted(&self, adapted: Adapted) {
        if adapted.0 & !self.adapted.fetch_or(adapted.0, Relaxed) != 0 {
            self.has_unsaved.store(1, Relaxed);
        }
    }

    /// Notes that a request of so many texts and tokens succeeded.
    pub(super) fn note_success(&self, now: u64, texts: usize, tokens: usize, took: Duration) {
        self.last_success.store(now, Relaxed);
        self.is_refused.store(0, Relaxed);
        self.grow(texts as u64, tokens as u64);
        if texts < 2 {
            return; // One text shows the provider's latency, not its throughput.
        }
        let speed = (tokens as f64 / took.as_secs_f64().max(1e-3)) as u64 + 1;
        let mean = |old: u64| Some(if old == 0 { speed } else { (old * 2 + speed) / 3 });
        let _ = self.speed.fetch_update(Relaxed, Relaxed, mean);
        let explained = |failed: u64| (failed > 0 && texts as u64 >= failed).then_some(0);
        let _ = self.unexplained_texts.fetch_update(Relaxed, Relaxed, explained);
    }

    /// Notes that a request of so many texts failed although each of them succeeds. Returns whether that happened before.
    pub(super) fn note_unexplained(&self, texts: usize) -> bool {
        self.unexplained_texts.swap(texts as u64, Relaxed) > 0
    }

    /// Notes that a text and a harmless one were both refused.
    pub(super) fn note_refusal(&self) {
        self.is_refused.store(1, Relaxed);
    }

    /// Whether a text and a harmless one were both refused, and no request succeeded since.
    pub(super) fn was_refused(&self) -> bool {
        self.is_refused.load(Relaxed) > 0
    }

    /// Whether a request succeeded in the last minute.
    pub(super) fn has_succeeded_lately(&self, now: u64) -> bool {
        let worked = self.last_success.load(Relaxed);
        worked > 0 && worked <= now && now - worked < MINUTE_NANOS
    }

    /// Tokens a second, where that is known.
    pub fn speed(&self) -> Option<u64> {
        Some(self.speed.load(Relaxed)).filter(|speed| *speed > 0)
    }

    /// Forgets what was learnt, for a model that is made anew.
    pub fn forget(&self) {
        let learnt = [&self.max_texts, &self.max_tokens, &self.is_serial, &self.adapted];
        for number in
            learnt.into_iter().chain([&self.has_unsaved, &self.speed, &self.unexplained_texts])
        {
            number.store(0, Relaxed);
        }
    }
}

/// The moment; 0 if it lies further ahead than any reservation.
fn plausible(moment: u64, now: u64) -> u64 {
    if moment > now.saturating_add(MAX_AHEAD + MINUTE_NANOS) { 0 } else { moment }
}

/// Takes the next turn, of this length. Returns when it begins.
fn take_turn(next: &AtomicU64, now: u64, length: u64) -> u64 {
    let after = |at: u64| Some(plausible(at, now).max(now) + length);
    match next.fetch_update(Relaxed, Relaxed, after) {
        Ok(at) | Err(at) => plausible(at, now).max(now),
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
    fn unused_time_is_not_saved_up() {
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
    fn a_caller_that_cannot_wait_takes_no_turn() {
        let pace = Pace::default();
        let short = Duration::from_millis(100);
        assert_eq!(pace.reserve(requests(60), 1, SECOND, short), Ok(Duration::ZERO));
        for _ in 0..5 {
            let refusals = pace.reserve(requests(60), 1, SECOND, short);
            assert_eq!(refusals, Err(Duration::from_secs(1)));
        }
        assert_eq!(pace.reserve(requests(60), 1, SECOND, FOREVER), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn a_pause_holds_every_caller_of_the_model() {
        let pace = Pace::default();
        pace.hold(SECOND, Duration::from_secs(7));
        pace.hold(SECOND, Duration::from_secs(3));
        let none = Limits::default();
        assert_eq!(pace.reserve(none, 1, SECOND, FOREVER), Ok(Duration::from_secs(7)));
        assert_eq!(pace.reserve(none, 1, 9 * SECOND, FOREVER), Ok(Duration::ZERO));
        // Damaged memory is no pause for ever.
        pace.held_until.store(u64::MAX, Relaxed);
        assert_eq!(pace.reserve(none, 1, SECOND, FOREVER), Ok(Duration::ZERO));
    }

    #[test]
    fn learnt_limits_are_kept_and_reported_once() {
        let pace = Pace::default();
        assert_eq!((pace.learnt(), pace.take_learnt()), (Learnt::default(), None));
        pace.learn_size(Size::Tokens, 10, 4000);
        pace.learn_size(Size::Tokens, 20, 9000);
        pace.learn_size(Size::Texts, 16, 100);
        pace.learn_adapted(Adapted(1));
        let learnt =
            Learnt { texts: Some(16), tokens: Some(4000), is_serial: false, adapted: Adapted(1) };
        assert_eq!((pace.take_learnt(), pace.take_learnt()), (Some(learnt), None));
        pace.learn_adapted(Adapted(1));
        pace.learn_size(Size::Texts, 17, 100);
        assert_eq!(pace.take_learnt(), None, "nothing new");
        let later = Pace::default();
        later.restore(learnt);
        assert_eq!((later.learnt(), later.take_learnt()), (learnt, None));
        later.restore(Learnt::default());
        assert_eq!(later.learnt(), learnt);
        later.forget();
        assert_eq!(later.learnt(), Learnt::default());
    }

    #[test]
    fn success_in_the_last_minute_and_speed_are_recorded() {
        let pace = Pace::default();
        assert!(!pace.has_succeeded_lately(SECOND) && pace.speed().is_none());
        pace.note_success(2 * SECOND, 1, 1, Duration::from_secs(1));
        assert!(pace.has_succeeded_lately(30 * SECOND) && !pace.has_succeeded_lately(90 * SECOND));
        assert_eq!(pace.speed(), None, "one text shows how long an answer takes");
        pace.note_success(2 * SECOND, 10, 200, Duration::from_secs(2));
        assert_eq!(pace.speed(), Some(101));
        assert!(!pace.note_unexplained(32) && pace.note_unexplained(32));
        pace.note_success(2 * SECOND, 32, 200, Duration::from_secs(2));
        assert!(!pace.note_unexplained(32));
    }

    #[test]
    fn a_size_that_works_many_times_grows() {
        let pace = Pace::default();
        let succeed = |texts, tokens| pace.note_success(SECOND, texts, tokens, Duration::ZERO);
        pace.learn_size(Size::Texts, 1, 10);
        pace.learn_size(Size::Tokens, 20, 4000);
        let sizes = || (pace.learnt().texts, pace.learnt().tokens);
        for (texts, tokens, expected) in [
            (1, 10, (Some(2), Some(4000))),
            // Smaller requests show nothing of larger ones.
            (1, 10, (Some(2), Some(4000))),
            (2, 1990, (Some(4), Some(4000))),
            (1, 2000, (Some(4), Some(8000))),
        ] {
            (1..REQUESTS_TO_GROW).for_each(|_| succeed(texts, tokens));
            succeed(texts, tokens);
            assert_eq!(sizes(), expected);
        }
        (1..REQUESTS_TO_GROW).for_each(|_| succeed(4, 10));
        pace.learn_size(Size::Texts, 3, 10);
        succeed(4, 10);
        assert_eq!(sizes(), (Some(3), Some(8000)), "it begins anew");
        assert!(pace.take_learnt().is_some());
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
