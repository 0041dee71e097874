//! Identifiers, paths and options: a claim has none that its evidence lacks.
use super::evidence::{Evidence, Refusal};
use crate::text::fold::Folded;

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
