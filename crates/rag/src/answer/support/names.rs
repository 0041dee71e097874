//! Proper names: a claim has none that its evidence lacks, however it is written there.
use super::evidence::{Evidence, Refusal};
use super::words::{self, Content, stripped};

/// Letters of abbreviations that are taken for initials.
const ABBREVIATION: std::ops::RangeInclusive<usize> = 2..=5;
/// Words in the middle of names that initials leave out.
const INNER: [&str; 5] = ["of", "the", "and", "for", "de"];

/// An error where a proper name does not stand in the evidence.
pub(super) fn check(
    claim: &str,
    words: &[String],
    content: &[Content],
    evidence: &Evidence,
) -> Result<(), Refusal> {
    for (i, word) in content.iter().enumerate() {
        let is_known = stands(word, &evidence.words)
            || stands(word, evidence.antecedents()) && !is_replaced(&word.text, words, evidence)
            || completes(&word.text, words, evidence);
        if !word.is_capital || is_known {
            continue;
        }
        // The first word of a sentence may be no name; it is where all others are known.
        let others = content.iter().enumerate().filter(|(other, _)| *other != i);
        let unknown = others.filter(|(_, other)| !evidence.knows(other)).count();
        let is_name = !word.is_first
            || unknown == 0
            || content.get(i + 1).is_some_and(|next| next.is_capital && !next.is_first);
        if is_name && !is_abbreviated(&word.text, claim, &evidence.text) {
            return Err(format!("\"{}\" does not stand in its quotes", word.text));
        }
    }
    Ok(())
}

/// Whether the evidence has another name beside the same word: "Bob won", not "Anna won".
fn is_replaced(name: &str, claim: &[String], evidence: &Evidence) -> bool {
    let is_other = |word: &String| {
        !claim.contains(word)
            && evidence.content.iter().any(|other| other.is_capital && other.text == *word)
    };
    let is_beside = |pair: &[String]| {
        let (before, after) = (&pair[0], &pair[1]);
        evidence.words.windows(2).any(|there| {
            before == name && there[1] == *after && is_other(&there[0])
                || after == name && there[0] == *before && is_other(&there[1])
        })
    };
    claim.windows(2).any(is_beside)
}

/// Whether a name is one of these words, or an adjective of one.
fn stands(name: &Content, words: &[String]) -> bool {
    let text = stripped(&name.text);
    let is_form = |other: &str| {
        let other = stripped(other);
        let (long, short) = if other.len() > text.len() { (other, text) } else { (text, other) };
        let is_ending = |rest: &str| rest.chars().count() <= 3;
        other == text
            || short.chars().count() >= 4 && long.strip_prefix(short).is_some_and(is_ending)
            || name.is_first && words::is_same(other, text)
    };
    words.iter().any(|other| is_form(other))
}

/// Whether a word of the claim completes a name of the evidence as the passage has it before: "Manning" stands there, and
/// before it "Peyton Manning".
pub(super) fn completes(word: &str, claim: &[String], evidence: &Evidence) -> bool {
    let is_known = |word: &str| {
        evidence.content.iter().any(|other| other.is_capital && stripped(&other.text) == word)
    };
    let is_name = |pair: &[String]| {
        let (one, other) = (stripped(&pair[0]), stripped(&pair[1]));
        let is_said = |said: &[String]| stripped(&said[0]) == one && stripped(&said[1]) == other;
        (is_known(one) || is_known(other)) && evidence.words_before().windows(2).any(is_said)
    };
    claim.windows(2).any(|pair| pair.iter().any(|it| it == word) && is_name(pair))
}

/// Whether one text has the initials of what the other calls in full: "U.S." and "United States".
fn is_abbreviated(word: &str, claim: &str, evidence: &str) -> bool {
    let word = stripped(word);
    let is_of = |name: &[String], short: &String| {
        name.iter().zip(short.chars()).all(|(word, letter)| word.starts_with(letter))
    };
    let stand_for = |names: &[Vec<String>], short: &String, word: Option<&str>| {
        let mut parts = names.iter().flat_map(|name| name.windows(short.chars().count()));
        parts.any(|part| {
            word.is_none_or(|word| part.iter().any(|it| it == word)) && is_of(part, short)
        })
    };
    let own = names(claim);
    abbreviations(evidence).iter().any(|short| stand_for(&own, short, Some(word)))
        || abbreviations(claim)
            .iter()
            .any(|short| short == word && stand_for(&names(evidence), short, None))
}

/// What is written as initials are, in small letters and without points.
fn abbreviations(text: &str) -> Vec<String> {
    let tokens = text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '/' | ','));
    tokens
        .map(|token| stripped(token.trim_matches(|c: char| !c.is_alphanumeric())).replace('.', ""))
        .filter(|token| ABBREVIATION.contains(&token.chars().count()))
        .filter(|token| token.chars().all(char::is_uppercase))
        .map(|token| token.to_lowercase())
        .collect()
}

/// Names of several words, in small letters.
fn names(text: &str) -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    for token in text.split_whitespace() {
        let word = stripped(token.trim_matches(|c: char| !c.is_alphanumeric()));
        let is_capital = word.starts_with(char::is_uppercase);
        let lower = word.to_lowercase();
        if is_capital && !words::is_common(&lower) {
            found.last_mut().expect("one at least").push(lower);
        } else if is_capital || !INNER.contains(&&*lower) {
            found.push(Vec::new());
        }
        if token.ends_with(['.', ',', ';', ':', '!', '?']) && word.chars().count() > 1 {
            found.push(Vec::new());
        }
    }
    found.retain(|name| name.len() > 1);
    found
}
