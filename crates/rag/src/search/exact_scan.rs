//! When an exact scan of the chunks that pass a filter is cheaper than the vector index.

/// So few chunks are always scanned.
const ALWAYS: f64 = 500.0;

/// Whether comparing all of the `expected` chunks that pass is cheaper than the vector index, which visits about
/// `depth * chunks / expected` of `chunks` until `depth` pass. A visit costs as much (its neighbours, the filter) as a
/// comparison: at 100,000 chunks and a depth of 100 both take the same for 3,000 that pass.
pub fn is_cheaper(expected: f64, chunks: f64, depth: usize) -> bool {
    let visits = depth as f64 * chunks / expected.max(1.0);
    expected <= ALWAYS || expected <= visits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_matching_chunks_are_scanned_and_many_are_not() {
        assert!(is_cheaper(0.0, 1e6, 100) && is_cheaper(100.0, 1e5, 100));
        assert!(is_cheaper(3_000.0, 1e5, 100));
        assert!(!is_cheaper(4_000.0, 1e5, 100));
        assert!(!is_cheaper(1e5, 1e5, 100));
        // Where there is little, the index would see all of it.
        assert!(is_cheaper(400.0, 1e3, 100));
    }

    #[test]
    fn an_exact_scan_stays_cheaper_for_fewer_matches_among_more_chunks() {
        for expected in [1.0, 600.0, 5e3, 1e5] {
            for chunks in [1e3, 1e5, 1e7] {
                let is_worth = |n: f64, of: f64| is_cheaper(n, of, 100);
                if is_worth(expected, chunks) {
                    assert!(is_worth(expected / 2.0, chunks) && is_worth(expected, chunks * 10.0));
                }
            }
        }
    }
}
