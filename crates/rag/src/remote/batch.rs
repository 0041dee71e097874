//! Which texts go into one request.
use std::ops::Range;

/// Divides texts, by their token counts, into runs of at most `items` texts and `tokens` tokens. A text
/// that is larger by itself gets a run of its own.
pub(super) fn runs(counts: &[usize], items: usize, tokens: usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut sum) = (0, 0);
    for (i, count) in counts.iter().enumerate() {
        if i > start && (i - start == items || sum + count > tokens) {
            runs.push(start..i);
            (start, sum) = (i, 0);
        }
        sum += count;
    }
    if start < counts.len() {
        runs.push(start..counts.len());
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn runs_keep_both_limits_and_leave_nothing_out() {
        assert!(runs(&[], 10, 10).is_empty());
        assert_eq!(runs(&[1; 5], 2, 100), [0..2, 2..4, 4..5]);
        assert_eq!(runs(&[4, 4, 4], 10, 8), [0..2, 2..3]);
        assert_eq!(runs(&[50, 1, 1, 50, 50], 10, 8), [0..1, 1..3, 3..4, 4..5]);
        let counts: Vec<usize> = (0..1000).map(|i| i * 37 % 91).collect();
        let found = runs(&counts, 7, 200);
        assert_eq!(found.iter().map(Range::len).sum::<usize>(), 1000);
        for run in found {
            assert!(run.len() <= 7 && (run.len() == 1 || counts[run].iter().sum::<usize>() <= 200));
        }
    }

    use std::ops::Range;
}
