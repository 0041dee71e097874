//! Up to how many chunks that pass a filter it is cheaper to compare each than to ask the indexes.

/// So few chunks are always compared.
const ALWAYS: f64 = 500.0;
/// Comparisons that cost as much as to visit a chunk by an index: to find it, and to ask filter and policies about it. Measured of both legs at a
/// depth of 100: 4 to 5 among 100,000 chunks, 3 to 4 among a million.
const PER_VISIT: f64 = 4.0;

/// Up to so many of `chunks` that pass: indexes visit about `wanted * chunks / passing` until `wanted` have passed, those of all legs together.
pub fn most_compared(chunks: f64, wanted: usize) -> f64 {
    (PER_VISIT * wanted as f64 * chunks).sqrt().max(ALWAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_compared_as_were_measured_to_cost_as_much_as_the_visits() {
        for (chunks, wanted, measured) in
            [(1e5, 200, 9_000.0), (1e6, 200, 28_000.0), (1e6, 100, 20_000.0)]
        {
            let most = most_compared(chunks, wanted);
            assert!((most / measured - 1.0_f64).abs() < 0.05, "{most} of {chunks}");
        }
    }

    #[test]
    fn where_there_is_little_the_index_would_see_all_of_it() {
        assert!(most_compared(1e3, 1) >= 500.0 && most_compared(0.0, 200) >= 500.0);
    }
}
