//! Forms batches of inputs of like length, so that little of a batch is padding.
use std::ops::Range;

/// The cost of starting one more batch, in tokens: below this much padding, one batch is cheaper
/// than two.
const START_COST: usize = 24;

/// Which inputs run together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchPlan {
    /// Input positions from the shortest to the longest.
    order: Vec<usize>,
    /// Consecutive ranges of `order`.
    ranges: Vec<Range<usize>>,
    /// Tokens of all inputs.
    tokens: usize,
    /// Tokens of all batches, padding included.
    padded: usize,
}

impl BatchPlan {
    /// Splits inputs of these `lengths` (in tokens) into batches of at most `budget` padded tokens,
    /// or of one input where that alone is longer, so that padding plus the cost of starting
    /// batches is least.
    pub fn new(lengths: &[usize], budget: usize) -> Self {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&i| lengths[i]);
        let sorted: Vec<usize> = order.iter().map(|&i| lengths[i]).collect();
        let ranges = cheapest_split(&sorted, budget);
        let padded = ranges.iter().map(|r| r.len() * sorted[r.end - 1]).sum();
        Self { tokens: lengths.iter().sum(), order, ranges, padded }
    }

    /// The batches, each as positions of its inputs.
    pub fn batches(&self) -> impl Iterator<Item = &[usize]> {
        self.ranges.iter().map(|range| &self.order[range.clone()])
    }

    /// Share of the batches' tokens that is padding, from 0 to 1.
    pub fn padding(&self) -> f64 {
        if self.padded == 0 { 0.0 } else { 1.0 - self.tokens as f64 / self.padded as f64 }
    }
}

/// Shortest path over the cuts of the ascending `lengths`. A batch ends with its longest input, so
/// `lengths[end - 1]` is its width.
fn cheapest_split(lengths: &[usize], budget: usize) -> Vec<Range<usize>> {
    // best[end] = (least cost of the first `end` inputs, start of the last batch)
    let mut best = vec![(0, 0); lengths.len() + 1];
    for end in 1..=lengths.len() {
        let width = lengths[end - 1].max(1);
        let most = (budget / width).max(1);
        best[end] = (end.saturating_sub(most)..end)
            .map(|start| (best[start].0 + START_COST + (end - start) * width, start))
            .min()
            .unwrap_or_default();
    }
    let mut ranges = Vec::new();
    let mut end = lengths.len();
    while end > 0 {
        let start = best[end].1;
        ranges.push(start..end);
        end = start;
    }
    ranges.reverse();
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unlike_lengths_are_kept_apart() {
        let plan = BatchPlan::new(&[200, 10, 205, 12], 1024);
        let batches: Vec<_> = plan.batches().collect();
        assert_eq!(batches, [&[1, 3][..], &[0, 2]]);
        assert!(plan.padding() < 0.02, "{}", plan.padding());
    }

    #[test]
    fn nothing_makes_no_batch() {
        let plan = BatchPlan::new(&[], 1024);
        assert_eq!(plan.batches().count(), 0);
        assert!(plan.padding().abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn every_input_runs_once_within_the_budget(
            lengths in proptest::collection::vec(1_usize..600, 0..200),
            budget in 1_usize..2000,
        ) {
            let plan = BatchPlan::new(&lengths, budget);
            let mut seen = vec![0; lengths.len()];
            for batch in plan.batches() {
                prop_assert!(!batch.is_empty());
                let width = batch.iter().map(|&i| lengths[i]).max().unwrap_or(0);
                prop_assert!(batch.len() == 1 || batch.len() * width <= budget);
                for &i in batch {
                    seen[i] += 1;
                }
            }
            prop_assert!(seen.iter().all(|&n| n == 1));
        }

        #[test]
        fn many_inputs_waste_little(
            lengths in proptest::collection::vec(20_usize..256, 400..800),
        ) {
            prop_assert!(BatchPlan::new(&lengths, 1024).padding() < 0.05);
        }
    }
}
