//! Sentences in place of whole passages, for models that lose their way in long prompts.
use super::{Answer, Options};
use std::ops::Range;

/// Most sentences that are sent in place of the passages.
const MAX_SENTENCES: usize = 12;

/// Options that pick the sentences, however little they are like the question.
pub fn options() -> Options {
    Options { max_sentences: MAX_SENTENCES, threshold: f64::MIN, ..Options::default() }
}

/// A part of a passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Position of the passage among those given.
    pub passage: usize,
    /// Its place there, in bytes.
    pub bytes: Range<usize>,
    /// Characters before it.
    pub char_start: usize,
}

/// The sentences of an answer that [`options`] picked from `passages`; those that follow each other are one part.
pub fn parts(answer: &Answer, passages: &[&str]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for cited in &answer.citations {
        let last = parts.last_mut().filter(|last| {
            let between = passages[cited.passage].get(last.bytes.end..cited.bytes.start);
            last.passage == cited.passage
                && between.is_some_and(|between| between.trim().is_empty())
        });
        match last {
            Some(last) => last.bytes.end = cited.bytes.end,
            None => parts.push(Part {
                passage: cited.passage,
                bytes: cited.bytes.clone(),
                char_start: cited.chars.start,
            }),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{Part, options, parts};
    use crate::answer::{Answer, Citation, Status};

    #[test]
    fn sentences_that_follow_each_other_are_one_part() {
        let passages = ["É one. Two. Three.", "Four."];
        let cited = |passage: usize, bytes: std::ops::Range<usize>| {
            let quote = passages[passage][bytes.clone()].to_owned();
            let start = passages[passage][..bytes.start].chars().count();
            let chars = start..start + quote.chars().count();
            let shown = quote.clone();
            Citation { marker: 1, passage, quote, shown, bytes, chars, score: 0.0, is_best: false }
        };
        let citations = vec![cited(0, 8..12), cited(0, 13..19), cited(1, 0..5), cited(0, 0..7)];
        let answer = Answer { status: Status::Answered, citations, ..Answer::none(&options()) };
        let part = |passage, bytes, char_start| Part { passage, bytes, char_start };
        assert_eq!(
            parts(&answer, &passages),
            [part(0, 8..19, 7), part(1, 0..5, 0), part(0, 0..7, 0)]
        );
    }
}
