//! Which items go together: documents of a batch, texts of a request.
use std::ops::Range;

/// Cuts items of these sizes, in order, into runs of at most `budget`. An item above the budget is a run of its own, so
/// the runs cover all items and none is empty.
pub fn runs(sizes: &[usize], budget: usize) -> Vec<Range<usize>> {
    runs_within(sizes, usize::MAX, budget)
}

/// As [`runs`], with at most `max_items` items in a run.
pub fn runs_within(sizes: &[usize], max_items: usize, budget: usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut total) = (0, 0_usize);
    for (i, &size) in sizes.iter().enumerate() {
        if i > start && (i - start == max_items || total.saturating_add(size) > budget) {
            runs.push(start..i);
            (start, total) = (i, 0);
        }
        total = total.saturating_add(size);
    }
    if start < sizes.len() {
        runs.push(start..sizes.len());
    }
    runs
}

/// Both halves of a run, or `None` when it is a single item. Bisecting finds the one that fails in log2(n) steps, and the
/// others go through.
pub fn halves<T>(run: &mut [T]) -> Option<(&mut [T], &mut [T])> {
    (run.len() > 1).then(|| run.split_at_mut(run.len() / 2))
}

#[cfg(test)]
mod tests {
    use super::{halves, runs, runs_within};
    use proptest::prelude::*;
    use std::ops::Range;

    proptest! {
        #[test]
        fn runs_cover_everything_within_the_budget(
            sizes in prop::collection::vec(0_usize..200, 0..100),
            budget in 0_usize..500,
        ) {
            let runs = runs(&sizes, budget);
            let covered: Vec<usize> = runs.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..sizes.len()).collect::<Vec<_>>());
            for run in &runs {
                prop_assert!(!run.is_empty());
                prop_assert!(run.len() == 1 || sizes[run.clone()].iter().sum::<usize>() <= budget);
            }
            // Greedy: two neighbours never fit into one.
            for pair in runs.windows(2) {
                prop_assert!(sizes[pair[0].start..=pair[1].start].iter().sum::<usize>() > budget);
            }
        }
    }

    #[test]
    fn runs_keep_both_limits_and_leave_nothing_out() {
        assert!(runs_within(&[], 10, 10).is_empty());
        assert_eq!(runs_within(&[1; 5], 2, 100), [0..2, 2..4, 4..5]);
        assert_eq!(runs_within(&[4, 4, 4], 10, 8), [0..2, 2..3]);
        assert_eq!(runs_within(&[50, 1, 1, 50, 50], 10, 8), [0..1, 1..3, 3..4, 4..5]);
        let sizes: Vec<usize> = (0..1000).map(|i| i * 37 % 91).collect();
        let found = runs_within(&sizes, 7, 200);
        assert_eq!(found.iter().map(Range::len).sum::<usize>(), 1000);
        for run in found {
            assert!(run.len() <= 7 && (run.len() == 1 || sizes[run].iter().sum::<usize>() <= 200));
        }
    }

    #[test]
    fn bisection_ends_at_single_documents() {
        assert_eq!(halves(&mut [3]), None);
        assert_eq!(halves(&mut [0, 1, 2, 3, 4]), Some((&mut [0, 1][..], &mut [2, 3, 4][..])));
        assert_eq!(halves(&mut [2, 3]), Some((&mut [2][..], &mut [3][..])));
    }
}
