//! When to try again.
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(10);

/// How long to wait after failure number `attempts` (from 1): doubling from a second to ten minutes,
/// drawn from its upper half by `random` in `[0, 1)`, so that what failed together does not come
/// back together.
pub fn delay(attempts: u32, random: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let full = (FIRST * (1 << doublings)).min(LONGEST);
    full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

/// A number in `[0, 1)`, seeded by the system: workers must differ.
pub fn random() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::{FIRST, LONGEST, delay};

    #[test]
    fn delays_double_up_to_a_limit() {
        assert_eq!(delay(1, 0.0), FIRST / 2);
        assert_eq!(delay(1, 1.0), FIRST);
        assert_eq!(delay(4, 1.0), FIRST * 8);
        assert_eq!(delay(u32::MAX, 1.0), LONGEST);
        for attempts in 0..40 {
            assert!(delay(attempts, 0.0) <= delay(attempts + 1, 0.0));
            assert!(delay(attempts, 0.3) <= delay(attempts, 0.9));
        }
    }
}
