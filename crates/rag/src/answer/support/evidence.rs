//! What claims are judged by.
use super::numbers::{self, Number};
use super::words::{self, Content, stripped};
use crate::text::fold::Folded;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::Range;

/// Most bytes before and behind a sentence in which names are looked for: a large chunk has as many.
const MAX_BYTES_AROUND: usize = 32_768;

/// Sentences that quotes stand in.
#[derive(Debug)]
pub(in crate::answer) struct Evidence {
    pub(super) text: String,
    pub(super) folded: Folded,
    pub(super) words: Vec<String>,
    pub(super) content: Vec<Content>,
    pub(super) numbers: Vec<Number>,
    /// What stands around it in its passages, and the words of that, which few claims need.
    text_before: String,
    words_before: OnceCell<Vec<String>>,
    text_after: String,
    /// All words of the question, and those of them that its passage has elsewhere: what a passage is about is not named in
    /// every sentence.
    question: Vec<String>,
    antecedents: OnceCell<Vec<String>>,
    /// Words of the question that mean something.
    asked: Vec<Content>,
}

/// Why a claim does not hold, for those who read `claims`.
pub(in crate::answer) type Refusal = String;

impl Evidence {
    /// Of sentences that stand at these places of their passages. `question` is what is asked.
    pub fn of<'t>(
        sentences: impl Iterator<Item = (&'t str, Range<usize>)>,
        question: &str,
    ) -> Self {
        let sentences: Vec<_> = sentences.collect();
        let join = |part: fn(&'t str, Range<usize>) -> &'t str| {
            let parts = sentences.iter().map(|(passage, bytes)| part(passage, bytes.clone()));
            parts.collect::<Vec<_>>().join("\n")
        };
        let text = join(|passage, bytes| &passage[bytes]);
        let folded = Folded::of(&text);
        let asked = Folded::of(question);
        Self {
            words: words::all(&folded),
            content: words::content(&text, &folded),
            numbers: numbers::of(&text),
            text_before: join(|passage, bytes| {
                let start = bytes.start.saturating_sub(MAX_BYTES_AROUND);
                &passage[passage.ceil_char_boundary(start)..bytes.start]
            }),
            words_before: OnceCell::new(),
            text_after: join(|passage, bytes| {
                let end = bytes.end.saturating_add(MAX_BYTES_AROUND);
                &passage[bytes.end..passage.floor_char_boundary(end)]
            }),
            asked: words::content(question, &asked),
            question: words::all(&asked),
            antecedents: OnceCell::new(),
            text,
            folded,
        }
    }

    /// Words of the question that stand elsewhere in its passages.
    pub(super) fn antecedents(&self) -> &[String] {
        self.antecedents.get_or_init(|| {
            let after = words::all(&Folded::of(&self.text_after));
            let around: HashSet<&str> =
                self.words_before().iter().chain(&after).map(|word| stripped(word)).collect();
            let is_around = |word: &&String| around.contains(stripped(word));
            self.question.iter().filter(is_around).cloned().collect()
        })
    }

    /// Whether a number is one of the question's that its passages have elsewhere, and it has none like that instead.
    pub(super) fn may_lack(&self, number: &Number, claimed: &[Number]) -> bool {
        let is_instead = |other: &Number| {
            other.value.len() == number.value.len()
                && !claimed.iter().any(|it| it.value == other.value)
        };
        self.antecedents().contains(&number.text) && !self.numbers.iter().any(is_instead)
    }

    /// Whether a number is one of the question's, and the claim names as many: "The two kinds are a cat and a dog."
    pub(super) fn counts_items(&self, number: &Number, claim: &str) -> bool {
        let last =
            [", and ", ", or "].iter().map(|mark| claim.matches(mark).count()).sum::<usize>();
        let all =
            [", ", " and ", " or ", " versus "].iter().map(|mark| claim.matches(mark).count());
        let items = 1 + all.sum::<usize>() - last;
        items > 1 && number.value.parse() == Ok(items) && self.question.contains(&number.text)
    }

    /// The words that stand before it in its passage.
    pub(super) fn words_before(&self) -> &[String] {
        self.words_before.get_or_init(|| words::all(&Folded::of(&self.text_before)))
    }

    /// The share of a claim's words that stand here.
    pub fn share(&self, claim: &str) -> f64 {
        self.overlap(&words::content(claim, &Folded::of(claim)))
    }

    /// The share of what a claim says beyond the question that stands here; 1 where it says nothing beyond it.
    pub(super) fn news(&self, claim: &[Content]) -> f64 {
        let is_asked = |word: &&Content| {
            self.asked.iter().any(|other| words::is_same(&word.text, &other.text))
        };
        let news: Vec<&Content> = claim.iter().filter(|word| !is_asked(word)).collect();
        let known = news.iter().filter(|word| self.knows(word)).count();
        if news.is_empty() { 1.0 } else { known as f64 / news.len() as f64 }
    }

    /// The share of these words that stand here.
    pub(super) fn overlap(&self, content: &[Content]) -> f64 {
        if content.is_empty() {
            return 0.0;
        }
        let known = content.iter().filter(|word| self.knows(word)).count();
        known as f64 / content.len() as f64
    }

    pub(super) fn knows(&self, word: &Content) -> bool {
        let is_known = |other: &Content| {
            words::is_same(&word.text, &other.text) || words::is_opposite(&word.text, &other.text)
        };
        self.content.iter().any(is_known)
            || self.words.contains(&word.text)
            || self.antecedents().contains(&word.text)
    }
}
