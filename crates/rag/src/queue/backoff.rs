//! When to try again.
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_mins(10);

/// How long a job waits after failure number `attempts` (from 1): from a second to ten minutes.
pub fn delay(attempts: u32, random: f64) -> Duration {
    doubling(FIRST_DELAY, MAX_DELAY, attempts, random)
}

/// The wait after failure number `attempt` (from 1): doubling from `first` to `longest`, drawn from its upper half by `random`
/// in `[0, 1)`, so that what failed together is not retried together.
pub fn doubling(first: Duration, longest: Duration, attempt: u32, random: f64) -> Duration {
    let full = (first * (1 << attempt.saturating_sub(1).min(16))).min(longest);
    full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

/// A number in `[0, 1)` that differs between processes, threads and calls.
pub fn random() -> f64 {
    // The keys of a thread's hashers count up from a random start; the clock tells forks apart.
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let hash = RandomState::new().hash_one((clock, std::process::id()));
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::{FIRST_DELAY, MAX_DELAY, delay, random};

    #[test]
    fn random_numbers_are_spread_over_the_unit_interval() {
        let drawn: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(drawn.iter().all(|n| (0.0..1.0).contains(n)));
        assert!(drawn.iter().any(|n| *n < 0.5) && drawn.iter().any(|n| *n >= 0.5));
    }

    #[test]
    fn delays_double_up_to_a_limit() {
        assert_eq!(delay(1, 0.0), FIRST_DELAY / 2);
        assert_eq!(delay(1, 1.0), FIRST_DELAY);
        assert_eq!(delay(4, 1.0), FIRST_DELAY * 8);
        assert_eq!(delay(u32::MAX, 1.0), MAX_DELAY);
        for attempts in 0..40 {
            assert!(delay(attempts, 0.0) <= delay(attempts + 1, 0.0));
            assert!(delay(attempts, 0.3) <= delay(attempts, 0.9));
        }
    }
}
