//! When comparing every chunk that a filter leaves is quicker than having an index look for the nearest.

/// Chunks that are compared in no time, whatever else.
const IN_NO_TIME: f64 = 500.0;

/// Whether it is quicker to compare all of the `expected` chunks that pass than to have the vector index go
/// through `chunks` until it came upon `depth` that pass: about
/// `depth * chunks / expected` of them, if they lie as others do. One that the index comes upon costs as
/// much (visiting its neighbours, asking whether it passes) as one that is known: at 100,000 chunks and a
/// depth of 100 both ways take the same for 3,000 that pass.
pub fn is_worth_comparing(expected: f64, chunks: f64, depth: usize) -> bool {
    let visits = depth as f64 * chunks / expected.max(1.0);
    expected <= IN_NO_TIME || expected <= visits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_compared_and_many_are_not() {
        assert!(is_worth_comparing(0.0, 1e6, 100) && is_worth_comparing(100.0, 1e5, 100));
        assert!(is_worth_comparing(3_000.0, 1e5, 100));
        assert!(!is_worth_comparing(4_000.0, 1e5, 100));
        assert!(!is_worth_comparing(1e5, 1e5, 100));
        // Where there is little, the index would see all of it.
        assert!(is_worth_comparing(400.0, 1e3, 100));
    }

    #[test]
    fn what_is_worth_it_stays_so_for_fewer_among_more() {
        for expected in [1.0, 600.0, 5e3, 1e5] {
            for chunks in [1e3, 1e5, 1e7] {
                let is_worth = |n: f64, of: f64| is_worth_comparing(n, of, 100);
                if is_worth(expected, chunks) {
                    assert!(is_worth(expected / 2.0, chunks) && is_worth(expected, chunks * 10.0));
                }
            }
        }
    }
}
