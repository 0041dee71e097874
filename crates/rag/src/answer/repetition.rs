//! Models that say the same over and over.

/// Bytes at the end of a reply that are looked at.
const WINDOW: usize = 4_096;
/// Shortest text that is repeated, and how often: a list may say something similar a few times.
const MIN_PERIOD: usize = 24;
/// See [`MIN_PERIOD`]; letters repeated for less long are counted by bytes.
const MIN_TIMES: usize = 5;
/// Bytes of anything shorter that is repeated.
const MIN_BYTES: usize = 600;

/// Whether the end of a reply repeats itself, at least five times.
pub(crate) fn is_repeating(reply: &str) -> bool {
    let bytes = &reply.as_bytes()[reply.len().saturating_sub(WINDOW)..];
    let length = bytes.len();
    (1..=length / MIN_TIMES).any(|period| {
        let times = if period < MIN_PERIOD { MIN_BYTES.div_ceil(period) } else { MIN_TIMES };
        let span = period * times;
        span <= length && bytes[length - span..length - period] == bytes[length - span + period..]
    })
}

#[cfg(test)]
mod tests {
    use super::is_repeating;

    #[test]
    fn what_is_repeated_is_noticed_and_what_is_alike_is_not() {
        let claim = r#"{"text":"a","quotes":["the same words"]},"#;
        assert!(is_repeating(&format!("{{\"claims\":[{}", claim.repeat(6))));
        assert!(is_repeating(&format!("{}{}", claim.repeat(6), &claim[..9])));
        assert!(is_repeating(&"a ".repeat(400)) && is_repeating(&"\n".repeat(700)));
        assert!(
            !is_repeating(&claim.repeat(4)) && !is_repeating("") && !is_repeating(&"-".repeat(80))
        );
        let rows: Vec<String> = (0..60).map(|n| format!("| row {n} | of the table |")).collect();
        assert!(!is_repeating(&rows.join("\n")));
    }
}
