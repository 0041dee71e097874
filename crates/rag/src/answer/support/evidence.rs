//! What claims are judged by.
use super::numbers::{self, Number};
use super::words::{self, Content, stripped};
use crate::text::fold::Folded;
use std::cell::OnceCell;

/// Words that stand for something said before.
const ANAPHORS: [&str; 16] = [
    "he", "she", "it", "they", "his", "her", "its", "their", "him", "them", "this", "these",
    "those", "there", "such", "here",
];

/// Most bytes before a sentence in which names are looked for: a large chunk has as many.
const MAX_BYTES_BEFORE: usize = 32_768;

/// Sentences that quotes stand in.
#[derive(Debug)]
pub(in crate::answer) struct Evidence {
    pub(super) text: String,
    pub(super) folded: Folded,
    pub(super) words: Vec<String>,
    pub(super) content: Vec<Content>,
    pub(super) numbers: Vec<Number>,
    /// Words that pronouns of it may stand for.
    pub(super) antecedents: Vec<String>,
    /// What stands before it, and the words of that, which few claims need.
    text_before: String,
    words_before: OnceCell<Vec<String>>,
    /// Words of the question that mean something.
    asked: Vec<Content>,
}

/// Why a claim does not hold, for those who read `claims`.
pub(in crate::answer) type Refusal = String;

impl Evidence {
    /// Of these sentences, each with what stands before it in its passage. `question` is what is asked.
    pub fn of<'t>(sentences: impl Iterator<Item = (&'t str, &'t str)>, question: &str) -> Self {
        let (before, sentences): (Vec<&str>, Vec<&str>) = sentences.unzip();
        let text = sentences.join("\n");
        let folded = Folded::of(&text);
        let words = words::all(&folded);
        let content = words::content(&text, &folded);
        let numbers = numbers::of(&text);
        let is_anaphor = |word: &String| ANAPHORS.contains(&&**word);
        let refers = words.iter().any(is_anaphor) || text.starts_with("The ");
        let antecedents = if refers { words::all(&Folded::of(question)) } else { Vec::new() };
        let asked = words::content(question, &Folded::of(question));
        let tail = |text: &&'t str| {
            &text[text.ceil_char_boundary(text.len().saturating_sub(MAX_BYTES_BEFORE))..]
        };
        let text_before = before.iter().map(tail).collect::<Vec<_>>().join("\n");
        let words_before = OnceCell::new();
        let mut evidence = Self {
            text,
            folded,
            words,
            content,
            numbers,
            antecedents: Vec::new(),
            text_before,
            words_before,
            asked,
        };
        let is_before = |word: &String| {
            evidence.words_before().iter().any(|other| stripped(other) == stripped(word))
        };
        evidence.antecedents = antecedents.into_iter().filter(is_before).collect();
        evidence
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
            || self.antecedents.contains(&word.text)
    }
}
