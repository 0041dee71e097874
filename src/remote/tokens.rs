//! Token counts without a tokenizer.

/// As many tokens as common tokenizers make of prose in any language, or more, though not many more:
/// for limits that should not be passed. An estimate, and where it is shown it is marked as one.
///
/// Words count a token per four letters begun, at least one; digits, symbols and every character
/// beyond ASCII one each, and those beyond the common scripts two.
pub fn estimate(text: &str) -> usize {
    let mut tokens = 0;
    let mut letters = 0;
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            letters += 1;
            continue;
        }
        tokens += usize::div_ceil(letters, 4);
        letters = 0;
        tokens += match c {
            ' ' => 0,
            '\u{0}'..='\u{ffff}' => 1,
            _ => 2,
        };
    }
    tokens + usize::div_ceil(letters, 4)
}

#[cfg(test)]
mod tests {
    use super::estimate;

    #[test]
    fn counts_are_generous() {
        assert_eq!(estimate(""), 0);
        assert_eq!(estimate("word"), 1);
        // cl100k_base: 10, o200k_base: 9 tokens and fewer.
        assert!(estimate("The quick brown fox jumps over the lazy dog.") >= 10);
        // One each in the worst case of byte-pair tokenizers.
        assert_eq!(estimate("12345"), 5);
        assert_eq!(estimate("日本語"), 3);
        assert_eq!(estimate("😀"), 2);
        assert_eq!(estimate("internationalisation"), 5);
    }
}
