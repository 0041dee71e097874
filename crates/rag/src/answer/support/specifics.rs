//! Names, identifiers, paths and options: a claim has none that its evidence lacks.
use super::evidence::{Evidence, Refusal};
use super::words::{self, Content};
use crate::text::fold::Folded;

/// Share of a claim's words that stand in the evidence from which on it is a copy of it, in which nothing may have changed places.
const COPY: f64 = 0.9;

/// An error where a token that is written as identifiers, paths or options are does not stand in the evidence.
pub(super) fn check(claim: &str, evidence: &Evidence) -> Result<(), Refusal> {
    for token in claim.split(|c: char| {
        c.is_whitespace() || matches!(c, '`' | '"' | '“' | '”' | '(' | ')' | ',' | ';')
    }) {
        let token = token.trim_matches(|c: char| {
            matches!(c, '.' | ':' | '!' | '?' | '\'' | '*' | '[' | ']' | '’' | '‘')
        });
        if is_identifier(token) && !evidence.folded.contains(&Folded::of(token)) {
            return Err(format!("\"{token}\" does not stand in its quotes"));
        }
    }
    Ok(())
}

fn is_identifier(token: &str) -> bool {
    let has_letter = token.contains(char::is_alphabetic);
    let has_digit = token.contains(|c: char| c.is_ascii_digit());
    let is_option = token.starts_with('-') && token.len() > 1 && has_letter;
    let is_inner = |c: char| token.trim_matches(c).contains(c);
    let is_camel =
        token.chars().zip(token.chars().skip(1)).any(|(a, b)| a.is_lowercase() && b.is_uppercase());
    let is_ordinal = token.starts_with(|c: char| c.is_ascii_digit())
        && ["st", "nd", "rd", "th", "s"].iter().any(|end| token.ends_with(end));
    let is_unit = token.starts_with(|c: char| c.is_ascii_digit())
        && token
            .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ','))
            .chars()
            .count()
            <= 3;
    let is_mixed = has_letter && has_digit && !is_ordinal && !is_unit && !token.contains('-');
    has_letter
        && (is_option
            || is_inner('_')
            || token.contains(['/', '\\', '@', '=', '#', '$', '<'])
            || token.contains("::")
            || is_inner('.') && !token.contains("..") && token.len() > 4
            || is_camel
            || is_mixed)
}

/// An error where a proper name does not stand in the evidence.
pub(super) fn check_names(content: &[Content], evidence: &Evidence) -> Result<(), Refusal> {
    for (i, word) in content.iter().enumerate() {
        if !word.is_capital || stands(word, evidence) {
            continue;
        }
        // The first word of a sentence may be no name; it is where all others are known.
        let others = content.iter().enumerate().filter(|(other, _)| *other != i);
        let unknown = others.filter(|(_, other)| !evidence.knows(other)).count();
        let is_name = !word.is_first
            || unknown == 0
            || content.get(i + 1).is_some_and(|next| next.is_capital && !next.is_first);
        if is_name {
            return Err(format!("\"{}\" does not stand in its quotes", word.text));
        }
    }
    Ok(())
}

/// Whether a name stands in the evidence, or as an adjective.
fn stands(name: &Content, evidence: &Evidence) -> bool {
    let is_form = |other: &str| {
        let (long, short) =
            if other.len() > name.text.len() { (other, &*name.text) } else { (&*name.text, other) };
        let is_ending = |rest: &str| rest.chars().count() <= 3;
        other == name.text
            || short.chars().count() >= 4 && long.strip_prefix(short).is_some_and(is_ending)
            || name.is_first && words::is_same(other, &name.text)
    };
    evidence.words.iter().chain(&evidence.antecedents).any(|other| is_form(other))
}

/// An error where a claim is made of the evidence's words, and a name or number stands beside others than there.
pub(super) fn check_order(
    claim: &[String],
    content: &[Content],
    evidence: &Evidence,
) -> Result<(), Refusal> {
    let known = claim.iter().filter(|word| evidence.words.contains(word)).count();
    if (known as f64) < COPY * claim.len() as f64 {
        return Ok(());
    }
    let common = common_subsequence(claim, &evidence.words);
    let is_specific = |word: &String| {
        word.contains(|c: char| c.is_ascii_digit())
            || content.iter().any(|known| known.text == *word && known.is_capital)
    };
    for (at, word) in
        claim.iter().enumerate().filter(|(at, word)| !common[*at] && is_specific(word))
    {
        let neighbours = |words: &[String], at: usize| {
            [at.checked_sub(1).map(|i| words[i].clone()), words.get(at + 1).cloned()]
        };
        let own = neighbours(claim, at);
        let places = (0..evidence.words.len()).filter(|i| evidence.words[*i] == *word);
        let is_beside = |place: usize| {
            let there = neighbours(&evidence.words, place);
            own.iter().zip(&there).any(|(a, b)| a.is_some() && a == b)
        };
        if !{ places }.any(is_beside) {
            return Err(format!("\"{word}\" stands elsewhere in its quotes"));
        }
    }
    Ok(())
}

/// Most words that are compared in order; sentences are shorter.
const MAX_WORDS: usize = 400;

/// Which words of `one` belong to the longest sequence that both have in the same order.
fn common_subsequence(one: &[String], other: &[String]) -> Vec<bool> {
    let (one, other) = (&one[..one.len().min(MAX_WORDS)], &other[..other.len().min(MAX_WORDS)]);
    let width = other.len() + 1;
    let mut lengths = vec![0_u16; (one.len() + 1) * width];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            lengths[i * width + j] = if one[i] == other[j] {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut common = vec![false; one.len()];
    while i < one.len() && j < other.len() {
        if one[i] == other[j] {
            common[i] = true;
            (i, j) = (i + 1, j + 1);
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    common
}
