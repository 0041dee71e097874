//! Settings that a new generation inherits, and its estimated cost.
pub mod estimate;
pub mod manifest;

use crate::chunk::default_overlap;

/// The chunk size that a generation takes over. One that was all of the old model's window (where that
/// is known) becomes all of the new one's; any other stays, as far as the new model reads that much.
pub fn inherited_max_tokens(old: usize, old_window: Option<usize>, window: usize) -> usize {
    if old_window == Some(old) { window } else { old.min(window) }
}

/// The overlap that a generation with chunks of `max_tokens` takes over. One that was the default for the
/// old size becomes the default for the new one.
pub fn inherited_overlap(old: usize, old_max_tokens: usize, max_tokens: usize) -> usize {
    if old == default_overlap(old_max_tokens) {
        default_overlap(max_tokens)
    } else {
        old.min(max_tokens.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::{inherited_max_tokens, inherited_overlap};

    #[test]
    fn a_whole_window_stays_whole() {
        assert_eq!(inherited_max_tokens(254, Some(254), 510), 510);
        assert_eq!(inherited_max_tokens(254, Some(254), 126), 126);
        assert_eq!(inherited_max_tokens(128, Some(254), 510), 128);
        assert_eq!(inherited_max_tokens(254, None, 510), 254);
        assert_eq!(inherited_max_tokens(254, None, 126), 126);
    }

    #[test]
    fn a_default_overlap_stays_the_default() {
        assert_eq!(inherited_overlap(50, 254, 100), 20);
        assert_eq!(inherited_overlap(20, 100, 254), 50);
        assert_eq!(inherited_overlap(0, 254, 100), 0);
        assert_eq!(inherited_overlap(30, 254, 20), 19);
        assert_eq!(inherited_overlap(0, 3, 1), 0);
        assert_eq!(inherited_overlap(7, 20, 0), 0);
    }
}
