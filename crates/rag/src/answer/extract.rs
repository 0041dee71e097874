//! Answers of sentences: those that match the question best, quoted verbatim with markers.
use super::quotable::{Sentence, sentences};
use super::{Answer, Citation, Options, Passage, Status};
use crate::Result;
use crate::model::{Checkpoint, TokenVectors};
use crate::rerank::{MaxSim, TokenBits, standard_scores};
use std::fmt::Write as _;
use std::ops::Range;

/// Weight of the passage's own rank beside the sentence's match.
const PASSAGE_WEIGHT: f64 = 0.5;
/// Weight of what a further sentence says that those chosen do not.
const NOVELTY_WEIGHT: f64 = 2.0;
/// A further sentence must match the question at least this well beside the first: an answer is not
/// filled up with what has nothing to do with it.
const MIN_MATCH_SHARE: f64 = 0.6;

/// A sentence that may be quoted.
struct SentenceCandidate {
    passage: usize,
    bytes: Range<usize>,
    is_lead: bool,
}

/// Picks the sentences of `passages` that answer a question, whose token vectors are `question`.
///
/// A passage's headings, questions and introductions ("as follows:") are not quoted; what follows
/// them profits from their match instead. An error when bits and question differ in dimensions.
pub fn extract(
    question: &TokenVectors,
    passages: &[Passage<'_>],
    options: &Options,
    checkpoint: Checkpoint<'_>,
) -> Result<Answer> {
    let mut candidates = Vec::new();
    let mut bits = Vec::new();
    for (position, passage) in passages.iter().enumerate() {
        checkpoint()?;
        for sentence in sentences(passage.text, passage.span.clone()) {
            let tokens = passage.bits_of(&sentence.bytes);
            if !tokens.is_empty() {
                bits.push(tokens);
                let Sentence { bytes, is_lead } = sentence;
                candidates.push(SentenceCandidate { passage: position, bytes, is_lead });
            }
        }
    }
    let max_sim = MaxSim::new(question, &bits, checkpoint)?;
    let scores = max_sim.means();
    let confidence = scores.iter().copied().reduce(f32::max).unwrap_or(-1.0);
    if f64::from(confidence) < options.min_confidence() {
        return Ok(Answer::none(confidence));
    }
    let chosen = pick_sentences(&candidates, passages, &max_sim, options.max_sentences);
    Ok(cite_in_text_order(passages, &candidates, &chosen, &scores, confidence))
}

impl Passage<'_> {
    /// Bits of the tokens that start inside `bytes`.
    fn bits_of(&self, bytes: &Range<usize>) -> TokenBits<'_> {
        let before = |byte: usize| {
            self.heading_tokens + self.tokens.partition_point(|token| token.start < byte)
        };
        self.bits.tokens(before(bytes.start)..before(bytes.end))
    }
}

/// Positions of up to `most` candidates, the best first.
///
/// A sentence counts by its match with the question, query tokens weighted by how well they tell
/// these sentences apart, and by its passage's score; each further one also by the question's
/// tokens that it matches better than those before.
fn pick_sentences(
    candidates: &[SentenceCandidate],
    passages: &[Passage<'_>],
    max_sim: &MaxSim,
    most: usize,
) -> Vec<usize> {
    let matches = with_lead_matches(candidates, &max_sim.contrasted());
    let means = with_lead_matches(candidates, &max_sim.means());
    let combined_scores = combined_scores(candidates, passages, &matches);
    let weights = max_sim.contrasts();
    let total = weights.iter().sum::<f32>().max(f32::EPSILON);
    let deviation = deviation(&matches).max(f64::EPSILON);
    let has_quotable = candidates.iter().any(|candidate| !candidate.is_lead);
    let is_quotable = |i: &usize| !(has_quotable && candidates[*i].is_lead);

    let mut chosen: Vec<usize> = Vec::new();
    let mut covered = vec![f32::MAX; weights.len()];
    while chosen.len() < most {
        let novelty = |i: usize| -> f64 {
            let gains = max_sim.of(i).iter().zip(&covered).map(|(x, known)| (x - known).max(0.0));
            f64::from(gains.zip(&weights).map(|(gain, weight)| gain * weight).sum::<f32>() / total)
        };
        let value = |i: usize| combined_scores[i] + NOVELTY_WEIGHT * novelty(i) / deviation;
        let min_match =
            chosen.first().map_or(f64::MIN, |&first| MIN_MATCH_SHARE * means[first].max(0.0));
        let is_open = |i: &usize| is_quotable(i) && means[*i] >= min_match && !chosen.contains(i);
        let open = (0..candidates.len()).filter(is_open);
        // The first of equals, so that the passages' order decides.
        let Some(next) = open.rev().max_by(|&a, &b| value(a).total_cmp(&value(b))) else { break };
        for (known, &found) in covered.iter_mut().zip(max_sim.of(next)) {
            *known = if chosen.is_empty() { found } else { known.max(found) };
        }
        chosen.push(next);
    }
    chosen
}

/// The sum of a sentence's match and its passage's score, as standard scores.
fn combined_scores(
    candidates: &[SentenceCandidate],
    passages: &[Passage<'_>],
    matches: &[f64],
) -> Vec<f64> {
    let scores: Vec<f64> = passages.iter().map(|passage| passage.score).collect();
    let passages = standard_scores(&scores);
    let matches = standard_scores(matches).into_iter().zip(candidates);
    matches.map(|(z, candidate)| z + PASSAGE_WEIGHT * passages[candidate.passage]).collect()
}

/// Matches in which the sentence after a lead (a heading, a question) gains half of what the lead's match exceeds its own.
fn with_lead_matches(candidates: &[SentenceCandidate], matches: &[f32]) -> Vec<f64> {
    let mut matches: Vec<f64> = matches.iter().copied().map(f64::from).collect();
    for i in 1..candidates.len() {
        let (lead, next) = (&candidates[i - 1], &candidates[i]);
        if lead.is_lead && lead.passage == next.passage {
            matches[i] = matches[i].max(f64::midpoint(matches[i - 1], matches[i]));
        }
    }
    matches
}

fn deviation(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// The answer made of the candidates at `chosen`, the best first. It begins with the passage of
/// the best, and sentences of one passage keep their order, so that it reads as the text does.
fn cite_in_text_order(
    passages: &[Passage<'_>],
    candidates: &[SentenceCandidate],
    chosen: &[usize],
    scores: &[f32],
    confidence: f32,
) -> Answer {
    let place =
        |i: usize| chosen.iter().position(|&c| candidates[c].passage == candidates[i].passage);
    let mut order = chosen.to_vec();
    order.sort_by_key(|&i| (place(i), candidates[i].bytes.start));
    let citations: Vec<Citation> = (1..)
        .zip(order)
        .map(|(marker, i)| {
            let SentenceCandidate { passage, bytes, .. } = &candidates[i];
            let (passage, bytes, is_best) = (*passage, bytes.clone(), chosen.first() == Some(&i));
            let text = passages[passage].text;
            let quote = text[bytes.clone()].to_owned();
            let start = text[..bytes.start].chars().count();
            let chars = start..start + quote.chars().count();
            Citation { marker, passage, quote, bytes, chars, score: scores[i], is_best }
        })
        .collect();
    if citations.is_empty() {
        return Answer::none(confidence);
    }
    Answer { status: Status::Answered, text: text(&citations), citations, confidence }
}

/// Quotes with their markers: sentences follow each other on a line, what is none (a list item, a
/// line of a table) stands on its own.
fn text(citations: &[Citation]) -> String {
    let mut text = String::new();
    for citation in citations {
        if let Some(previous) = citation.marker.checked_sub(2).map(|i| &citations[i]) {
            let is_prose = is_sentence(&previous.quote) && is_sentence(&citation.quote);
            text.push(if is_prose { ' ' } else { '\n' });
        }
        let _ = write!(text, "{} [{}]", citation.quote, citation.marker);
    }
    text
}

/// Whether a quote ends as a sentence does.
fn is_sentence(quote: &str) -> bool {
    quote
        .trim_end_matches(['"', '\'', ')', ']', '»', '”', '’'])
        .ends_with(['.', '!', '?', '…', '。', '！', '？'])
}
