//! Keeping work to a rate without a clock of its own.
//!
//! All that is remembered is the time until which what was begun fills the allowed rate: work begins
//! when that time has come and moves it on by its own cost. Unused time is not saved up, so
//! there is no burst after a pause. One number, which several processes share without a lock.

/// Microseconds in a second.
const SECOND_MICROS: i64 = 1_000_000;

/// Until when the rate is filled, seen at `now`, where earlier work filled it until `filled`. `most` are
/// the tokens of the largest piece of work: no piece owes more than it costs at the rate of now, so
/// that a raised rate, or a clock set back, counts at once.
pub fn filled(filled: i64, now: i64, most: usize, per_second: u32) -> i64 {
    filled.min(now.saturating_add(cost(most, per_second)))
}

/// Until when the rate is filled once work of `tokens` has begun at `now`.
pub fn begun(filled: i64, now: i64, tokens: usize, per_second: u32) -> i64 {
    filled.max(now).saturating_add(cost(tokens, per_second))
}

fn cost(tokens: usize, per_second: u32) -> i64 {
    let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
    tokens.saturating_mul(SECOND_MICROS) / i64::from(per_second.max(1))
}

#[cfg(test)]
mod tests {
    use super::{SECOND_MICROS, begun, filled};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn work_keeps_to_the_rate(
            pieces in prop::collection::vec((1_usize..=500, 0_i64..SECOND_MICROS), 1..60),
            per_second in 1_u32..5_000,
        ) {
            let (mut until, mut now, mut done) = (0, 0, 0);
            for (tokens, pause) in pieces {
                now += pause;
                now = now.max(filled(until, now, 500, per_second));
                // Everything begun before now has had the time that it costs.
                let allowed = now as f64 / SECOND_MICROS as f64 * f64::from(per_second);
                prop_assert!(f64::from(done) <= allowed + 1.0);
                until = begun(until, now, tokens, per_second);
                done += tokens as u32;
            }
        }
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let until = begun(0, 100 * SECOND_MICROS, 10, 10);
        assert_eq!(until, 101 * SECOND_MICROS);
        assert_eq!(begun(until, 200 * SECOND_MICROS, 10, 10), 201 * SECOND_MICROS);
    }

    #[test]
    fn a_raised_rate_and_a_clock_set_back_count_at_once() {
        let until = begun(0, 0, 1_000, 1);
        assert_eq!(filled(until, 0, 1_000, 1), 1_000 * SECOND_MICROS);
        assert_eq!(filled(until, 0, 1_000, 1_000), SECOND_MICROS);
        assert_eq!(filled(until, -1_000_000 * SECOND_MICROS, 10, 10), -999_999 * SECOND_MICROS);
    }
}
