//! Token counts without a tokenizer.
use crate::Result;
use crate::model::tokenizer::{TokenCounter, Word};

/// As many tokens as common tokenizers make of prose in any language, or more, though not many more:
/// for limits that should not be passed. An estimate, and where it is shown it is marked as one.
///
/// Words count a token per four letters begun, at least one; digits, symbols and every character
/// beyond ASCII one each, and those beyond the common scripts two. White space and control characters
/// are none.
pub fn estimate(text: &str) -> usize {
    let mut tokens = 0;
    scan(text, |_, _, of_word| tokens += of_word);
    tokens
}

/// Counts tokens for a model whose tokenizer is not here.
#[derive(Debug, Clone, Copy)]
pub struct Estimator;

impl TokenCounter for Estimator {
    fn count(&self, text: &str) -> Result<usize> {
        Ok(estimate(text))
    }

    fn is_additive(&self) -> bool {
        true
    }

    fn words(&self, text: &str, base: usize, words: &mut Vec<Word>) -> Result<()> {
        scan(text, |start, end, tokens| {
            let (start, end) = ((base + start) as u32, (base + end) as u32);
            words.push(Word { start, end, tokens: tokens as u32 });
        });
        Ok(())
    }
}

/// Calls `word` with start, end and tokens of each run of letters and of each other character that is a
/// token.
fn scan(text: &str, mut word: impl FnMut(usize, usize, usize)) {
    let mut start = None;
    for (i, c) in text.char_indices() {
        if c.is_ascii_alphabetic() {
            start.get_or_insert(i);
            continue;
        }
        if let Some(start) = start.take() {
            word(start, i, usize::div_ceil(i - start, 4));
        }
        if !c.is_whitespace() && !c.is_control() {
            word(i, i + c.len_utf8(), if c <= '\u{ffff}' { 1 } else { 2 });
        }
    }
    if let Some(start) = start {
        word(start, text.len(), usize::div_ceil(text.len() - start, 4));
    }
}

#[cfg(test)]
mod tests {
    use super::{Estimator, estimate};
    use crate::model::tokenizer::TokenCounter;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_add_up_to_the_count(text in "[a-zäé日😀 .,0-9\\n\\x01]{0,60}", base in 0_usize..9) {
            let mut words = Vec::new();
            Estimator.words(&text, base, &mut words).unwrap();
            prop_assert_eq!(words.iter().map(|word| word.tokens as usize).sum::<usize>(), estimate(&text));
            for pair in words.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start);
                let (left, right) = text.split_at(pair[1].start as usize - base);
                prop_assert_eq!(estimate(left) + estimate(right), estimate(&text));
            }
        }
    }

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
        assert_eq!(estimate(" \r\n\t\u{a0}\u{1}"), 0);
    }
}
