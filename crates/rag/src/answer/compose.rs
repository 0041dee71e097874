//! Chosen sentences become a text with markers.
use super::{Answer, Candidate, Citation, Passage, Status};
use std::fmt::Write as _;

/// The answer made of the candidates at `chosen`, the best first. It begins with the passage of
/// the best, and sentences of one passage keep their order, so that it reads as the text does.
pub(super) fn answer(
    passages: &[Passage<'_>],
    candidates: &[Candidate],
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
            let Candidate { passage, bytes, .. } = &candidates[i];
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
