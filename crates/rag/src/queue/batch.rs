//! Which documents are read, embedded and applied together.
use std::ops::Range;

/// Cuts documents of these sizes, in order, into runs of at most `budget` bytes. A document above
/// the budget is a run of its own, so the runs cover all documents and none is empty.
pub fn runs(sizes: &[usize], budget: usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut total) = (0, 0_usize);
    for (i, &size) in sizes.iter().enumerate() {
        if i > start && total.saturating_add(size) > budget {
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
    use super::{halves, runs};
    use proptest::prelude::*;

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
    fn bisection_ends_at_single_documents() {
        assert_eq!(halves(&mut [3]), None);
        assert_eq!(halves(&mut [0, 1, 2, 3, 4]), Some((&mut [0, 1][..], &mut [2, 3, 4][..])));
        assert_eq!(halves(&mut [2, 3]), Some((&mut [2][..], &mut [3][..])));
    }
}
