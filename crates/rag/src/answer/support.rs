//! Whether quotes support a claim. That a quote stands in a passage does not say that the claim follows from it.
//!
//! Names and numbers of the question may be missing in the evidence if its passage has them elsewhere, and it has no other in their place.
//!
//! No model judges here. A claim is refused for what can be seen to be wrong: a number, a name, an option that its evidence
//! lacks, another unit, a negation or an opposite, names that changed places, or words that have nothing to do with the
//! quotes. Evidence are the sentences that the quotes stand in. The floor is calibrated by `benches/support.rs`.
mod evidence;
mod names;
mod numbers;
mod order;
mod polarity;
mod specifics;
mod words;

use crate::text::fold::Folded;
use std::ops::Range;

pub(super) use evidence::Evidence;
use evidence::Refusal;

/// Least share of a claim's words that stand in its evidence: of a short claim, and of one of [`LONG_CLAIM`] words or more.
const MIN_OVERLAP: f64 = 0.3;
const MIN_LONG_OVERLAP: f64 = 0.35;
/// Words from which on a claim says more than what its subject is and what becomes of it.
const LONG_CLAIM: usize = 4;
/// Least share of what a claim says beyond the question that stands there: the question's own words may be others.
const MIN_NEWS: f64 = 0.5;

/// The share of a claim's words that stand here; or why the claim does not follow.
pub(super) fn judge(claim: &str, evidence: &Evidence) -> Result<f64, Refusal> {
    let folded = Folded::of(claim);
    let content = words::content(claim, &folded);
    let all = words::all(&folded);
    check_numbers(claim, &all, evidence)?;
    specifics::check(claim, evidence)?;
    names::check(claim, &all, &content, evidence)?;
    polarity::check(claim, evidence)?;
    // A number alone answers too, and stands there.
    let is_number = content.is_empty() && !says_nothing(claim);
    let overlap = if is_number { 1.0 } else { evidence.overlap(&content) };
    let is_short = content.len() < LONG_CLAIM;
    let floor = if is_short { MIN_OVERLAP } else { MIN_LONG_OVERLAP };
    if overlap < floor || !is_short && evidence.news(&content) < MIN_NEWS {
        return Err("it is not about its quotes".to_owned());
    }
    order::check(&all, &content, evidence)?;
    Ok(overlap)
}

fn check_numbers(claim: &str, words: &[String], evidence: &Evidence) -> Result<(), Refusal> {
    let claimed = numbers::of(claim);
    for number in &claimed {
        if !number.stands_in(&evidence.numbers, &evidence.words)
            && !evidence.may_lack(number, &claimed)
            && !evidence.counts_items(number, claim)
            && !names::completes(&number.text, words, evidence)
        {
            return Err(format!("\"{}\" does not stand in its quotes", number.text));
        }
    }
    Ok(())
}

/// How much of a claim stands in sentences at these places of their passages, from 0 to 1, or why it does not follow from them.
pub fn support_of(
    claim: &str,
    sentences: &[(&str, Range<usize>)],
    question: &str,
) -> Result<f64, String> {
    judge(claim, &Evidence::of(sentences.iter().cloned(), question))
}

/// Whether a text says something about the question: a word of it that means something stands there.
pub(super) fn is_about(text: &str, question: &str) -> bool {
    let asked = words::content(question, &Folded::of(question));
    let evidence = Evidence::of(std::iter::once((text, 0..text.len())), "");
    evidence.content.len() > 1 && asked.iter().any(|word| evidence.knows(word))
}

/// Whether a claim, such as "Yes.", means nothing by itself.
pub(super) fn says_nothing(claim: &str) -> bool {
    words::content(claim, &Folded::of(claim)).is_empty() && numbers::of(claim).is_empty()
}

/// Whether a claim asks, or only says what was asked.
pub(super) fn repeats(claim: &str, question: &str) -> bool {
    let is_question = claim.trim_end().ends_with(['?', '？', '؟']);
    is_question || Folded::of(claim).is_same(&Folded::of(question))
}

#[cfg(test)]
mod tests;
