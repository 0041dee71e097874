//! Whether a quote stands in a passage.
use std::ops::Range;

/// Fewest characters of a quote, white space not counted: shorter ones stand in any text.
const MIN_QUOTE_CHARS: usize = 8;

/// A text as it is compared: in lower case, white space as single spaces, each character with the byte
/// of the original where it begins.
struct Plain {
    chars: Vec<char>,
    starts: Vec<usize>,
}

impl Plain {
    fn of(text: &str) -> Self {
        let mut plain = Self { chars: Vec::new(), starts: Vec::new() };
        for (at, c) in text.char_indices() {
            if c.is_whitespace() {
                if plain.chars.last().is_some_and(|last| *last != ' ') {
                    plain.push(' ', at);
                }
                continue;
            }
            // Some letters become several.
            for lower in c.to_lowercase() {
                plain.push(lower, at);
            }
        }
        if plain.chars.last() == Some(&' ') {
            plain.chars.pop();
            plain.starts.pop();
        }
        plain
    }

    fn push(&mut self, c: char, at: usize) {
        self.chars.push(c);
        self.starts.push(at);
    }

    /// Whether a quote may begin or end between two characters: not inside a word, where "safe" would
    /// be found in "unsafe".
    fn is_edge(&self, at: usize) -> bool {
        let is_word = |i: usize| self.chars.get(i).is_some_and(|c| c.is_alphanumeric());
        !(at > 0 && is_word(at - 1) && is_word(at))
    }
}

/// The bytes of `passage` that hold `quote`, whatever the white space and case. A quote of fewer than
/// eight characters counts only when it is all of the passage.
pub(super) fn find_quote(passage: &str, quote: &str) -> Option<Range<usize>> {
    let (passage_plain, quote) = (Plain::of(passage), Plain::of(quote).chars);
    let letters = |chars: &[char]| chars.iter().filter(|c| **c != ' ').count();
    let is_short = letters(&quote) < MIN_QUOTE_CHARS && quote.len() < passage_plain.chars.len();
    if quote.is_empty() || is_short || !quote.iter().any(|c| c.is_alphanumeric()) {
        return None;
    }
    let length = quote.len();
    let is_whole = |at: &usize| passage_plain.is_edge(*at) && passage_plain.is_edge(*at + length);
    let at = occurrences(&passage_plain.chars, &quote).find(is_whole)?;
    let start = passage_plain.starts[at];
    let end_char = passage_plain.starts[at + length - 1];
    let end = end_char + passage[end_char..].chars().next().map_or(0, char::len_utf8);
    Some(start..end)
}

/// Where `wanted`, which is not empty, occurs in `text`, overlapping or not. Knuth, Morris and Pratt's search: a quote of
/// one letter repeated takes no longer than another.
fn occurrences<'t>(text: &'t [char], wanted: &'t [char]) -> impl Iterator<Item = usize> + 't {
    // For each prefix, the length of the longest shorter prefix that it ends with.
    let mut borders = vec![0; wanted.len()];
    let mut matched = 0;
    for at in 1..wanted.len() {
        while matched > 0 && wanted[at] != wanted[matched] {
            matched = borders[matched - 1];
        }
        matched += usize::from(wanted[at] == wanted[matched]);
        borders[at] = matched;
    }
    let mut matched = 0;
    text.iter().enumerate().filter_map(move |(at, c)| {
        while matched > 0 && (matched == wanted.len() || *c != wanted[matched]) {
            matched = borders[matched - 1];
        }
        matched += usize::from(*c == wanted[matched]);
        (matched == wanted.len()).then(|| at + 1 - wanted.len())
    })
}

#[cfg(test)]
mod tests {
    use super::{find_quote, occurrences};
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    fn found<'p>(passage: &'p str, quote: &str) -> Option<&'p str> {
        find_quote(passage, quote).map(|bytes| &passage[bytes])
    }

    #[test]
    fn white_space_and_case_do_not_matter() {
        let passage = "The  lock mode\n\tACCESS SHARE conflicts\u{a0}only. Straße, İzmir: ÀÉ.";
        assert_eq!(
            found(passage, "access share conflicts only"),
            Some("ACCESS SHARE conflicts\u{a0}only")
        );
        assert_eq!(found(passage, "  the lock\nmode "), Some("The  lock mode"));
        assert_eq!(found(passage, "STRAßE, İZMIR: àé."), Some("Straße, İzmir: ÀÉ."));
        assert_eq!(found(passage, passage), Some(passage));
    }

    #[test]
    fn quotes_with_other_words_are_not_found() {
        let passage = "It is unsafe to use this function. Do not call it while locks are held.";
        assert_eq!(found(passage, "safe to use this function"), None);
        assert_eq!(found(passage, "unsafe to use this func"), None);
        assert_eq!(found(passage, "It is safe to use"), None);
        assert_eq!(found(passage, "call it … locks are held"), None);
        assert_eq!(found(passage, ""), None);
        assert_eq!(found(passage, " \n"), None);
        assert_eq!(found(passage, "it"), None);
        assert_eq!(found("", "anything at all"), None);
        assert_eq!(found("abc", "a longer quote than that"), None);
    }

    #[test]
    fn a_short_passage_can_be_quoted_whole() {
        assert_eq!(found("1902", "1902"), Some("1902"));
        assert_eq!(found(" Yes. ", "yes."), Some("Yes."));
        assert_eq!(found("— … —", "— … —"), None);
    }

    #[test]
    fn the_first_place_at_word_edges_counts() {
        assert_eq!(
            find_quote("category catalogue. category catalog.", "category catalog"),
            Some(20..36)
        );
    }

    proptest! {
        #[test]
        fn occurrences_are_those_of_a_plain_comparison(text in "[ab ]{0,40}", wanted in "[ab ]{1,5}") {
            let (text, wanted): (Vec<char>, Vec<char>) = (text.chars().collect(), wanted.chars().collect());
            let found: Vec<usize> = occurrences(&text, &wanted).collect();
            let fits = |at: &usize| text[*at..].starts_with(&wanted);
            prop_assert_eq!(found, (0..text.len()).filter(fits).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_quote_of_one_letter_repeated_takes_linear_time() {
        let passage = "a".repeat(400_000);
        let started = Instant::now();
        assert_eq!(find_quote(&passage, &passage[1..200_000]), None);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}
