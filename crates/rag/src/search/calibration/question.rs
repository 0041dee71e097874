//! Questions that calibration asks: sentences of chunks, and medleys of words.
use crate::answer::sentences;
use crate::text::script::is_unspaced;
use std::ops::Range;

/// Characters of a sentence that is asked.
const QUESTION_CHARS: Range<usize> = 12..241;
/// Characters that a medley takes of a script without spaces at once.
const PIECE_CHARS: usize = 4;
/// Sentences whose words a medley mixes.
const MIXED: usize = 8;

/// Bytes of the sentence of `content` that is asked as a question; `seed` chooses, always the same. `None` where no sentence leaves most of the
/// text.
pub fn cloze(content: &str, seed: i64) -> Option<Range<usize>> {
    let mut found: Vec<Range<usize>> = sentences(content, 0..content.len())
        .into_iter()
        .filter(|sentence| !sentence.is_lead)
        .map(|sentence| sentence.bytes)
        .filter(|bytes| 2 * bytes.len() <= content.len())
        .filter(|bytes| QUESTION_CHARS.contains(&content[bytes.clone()].chars().count()))
        .collect();
    let chosen = usize::try_from(seed.unsigned_abs()).unwrap_or_default();
    Some(found.swap_remove(chosen.checked_rem(found.len())?))
}

/// A question that nothing answers: as long as the sentence at `position`, of words of others of `sentences`.
pub fn medley(sentences: &[&str], position: usize) -> String {
    let step = (sentences.len() / (MIXED + 1)).max(1);
    let other = |n: usize| sentences[(position + n * step) % sentences.len()];
    let sources: Vec<Vec<String>> = (1..=MIXED).map(|n| pieces(other(n))).collect();
    let wanted = sentences[position].chars().count();
    let mut text = String::new();
    let most = sources.iter().map(Vec::len).max().unwrap_or(0);
    for turn in 0..most {
        for (n, pieces) in sources.iter().enumerate() {
            if turn < pieces.len() && text.chars().count() < wanted {
                // Not always the first words of a sentence, and no two that follow each other.
                text.push_str(&pieces[(pieces.len() / 3 + n + 2 * turn) % pieces.len()]);
            }
        }
    }
    text
}

/// Words with the space before them, and stretches of a script without spaces.
fn pieces(sentence: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for word in sentence.split_whitespace() {
        if word.chars().any(is_unspaced) {
            let chars: Vec<char> = word.chars().collect();
            pieces.extend(chars.chunks(PIECE_CHARS).map(|piece| piece.iter().collect::<String>()));
        } else {
            pieces.push(format!(" {word}"));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "VACUUM frees the room of dead rows. Autovacuum runs it for you. It does not lock the table against reads and writes.";

    #[test]
    fn a_cloze_is_a_sentence_that_leaves_most_of_the_text() {
        for seed in -5..20 {
            let found = cloze(TEXT, seed).unwrap();
            assert!(2 * found.len() <= TEXT.len());
            assert_eq!(cloze(TEXT, seed), Some(found.clone()));
            assert!(TEXT[found].ends_with('.'));
        }
        assert_eq!(cloze("One sentence is the whole text.", 1), None);
        assert_eq!(cloze("", 1), None);
    }

    #[test]
    fn a_medley_is_as_long_and_of_other_sentences() {
        let sentences: Vec<String> =
            (0..20).map(|n| format!("w{n}a w{n}b w{n}c w{n}d w{n}e")).collect();
        let sentences: Vec<&str> = sentences.iter().map(String::as_str).collect();
        let text = medley(&sentences, 3);
        assert!(text.chars().count() >= sentences[3].len());
        assert!(text.split_whitespace().all(|word| !word.starts_with("w3")));
        assert!(medley(&["一二三四五六七八"], 0).contains("一二三四"));
    }
}
