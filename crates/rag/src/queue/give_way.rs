//! How long background work leaves the processors to others.
//!
//! A low priority alone does not spare them: what costs others a tenth of their speed is that one more process is ready to run at all, however little of a
//! processor it gets.
use std::time::Duration;

/// How much longer than it had to wait for a processor it rests: two clients of `pgbench -S` on two cores lose 8–10 % of their speed to a
/// backfill with 1 and 2–8 % with 3, where the backfill gets 5.4 and 3.5 % of a core; in runs of 20 s with 3 a median of 2 %, which is within the noise.
const REST_PER_WAIT: u32 = 3;

/// Longest rest after one call.
const MAX_REST: Duration = Duration::from_secs(5);

/// How long to rest after a call that took the time `wall`, of which its `threads` ran `cpu` all together: some times as
/// long as it had to wait for a processor, so that it is ready to run a quarter of the time where others want the processors. Nothing
/// where its threads ran half of the time: nobody else wanted them much, or the work is not divided evenly between threads.
pub fn rest(wall: Duration, cpu: Duration, threads: usize) -> Duration {
    let ran = cpu / u32::try_from(threads.max(1)).unwrap_or(u32::MAX);
    if ran * 2 >= wall {
        Duration::ZERO
    } else {
        (wall.saturating_sub(ran) * REST_PER_WAIT).min(MAX_REST)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_REST, rest};
    use proptest::prelude::*;
    use std::time::Duration;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn what_waited_for_a_processor_rests_longer() {
        for (wall, cpu, threads, expected) in [
            // Nobody else is there.
            (100, 100, 1, 0),
            (100, 400, 4, 0),
            // An even share with one other.
            (200, 100, 1, 0),
            (1_000, 100, 1, 2_700),
            (1_000, 400, 4, 2_700),
            (100_000, 1_000, 1, 5_000),
            (0, 0, 1, 0),
            (100, 0, 0, 300),
        ] {
            assert_eq!(rest(ms(wall), ms(cpu), threads), ms(expected), "{wall} {cpu} {threads}");
        }
    }

    proptest! {
        #[test]
        fn a_rest_is_no_longer_than_three_waits(wall in 0_u64..100_000, cpu in 0_u64..200_000, threads in 0_usize..9) {
            let rest = rest(ms(wall), ms(cpu), threads);
            prop_assert!(rest <= 3 * ms(wall) && rest <= MAX_REST);
        }
    }
}
