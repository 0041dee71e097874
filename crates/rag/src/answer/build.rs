//! Makes an answer of claims, one by one: looks up their quotes, and judges whether these support them.
use super::claims::{Claim, Quote};
use super::support::{self, Evidence};
use super::words::QuestionWords;
use super::written::{CheckedClaim, GeneratedAnswer, Usage, VerifiedBy, VerifiedQuote};
use super::{NO_ANSWER, Status};
use crate::chunk;
use crate::text::fold::Folded;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

/// Most bytes of a sentence that are evidence on either side of a quote, and that stand in place of a claim.
const MAX_SENTENCE_BYTES: usize = 600;
/// Most bytes of a claim that is judged; nothing that is longer is a sentence.
const MAX_CLAIM_BYTES: usize = 4_000;
/// Letters of the key from which on a text holds it.
const KEY_LETTERS: usize = 12;

/// Claims that were looked up so far.
#[derive(Debug, Default)]
pub(super) struct AnswerBuilder {
    question: String,
    /// What the lines around passages carry; no claim repeats it.
    key: String,
    /// Whether the model is one that copies faithfully and chooses badly.
    is_small: bool,
    /// Positions of the passages by their numbers in the prompt, from number 1.
    included: Vec<usize>,
    known: HashMap<usize, KnownPassage>,
    citations: Vec<VerifiedQuote>,
    claims: Vec<CheckedClaim>,
}

/// A passage that quotes are looked up in.
#[derive(Debug)]
struct KnownPassage {
    folded: Folded,
    /// Of its sentences; found when the first quote is.
    sentences: Option<Vec<Range<usize>>>,
}

/// Where a quote stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    passage: usize,
    bytes: Range<usize>,
}

/// What a claim rests on, and how much.
struct Verdict {
    places: Vec<Place>,
    support: f64,
    verified_by: Option<VerifiedBy>,
    refusal: Option<String>,
}

impl AnswerBuilder {
    /// Of an answer to `question` from the passages at these positions, which the prompt has with `key`.
    pub fn new(question: &str, key: &str, included: Vec<usize>, is_small: bool) -> Self {
        let (question, key) = (question.to_owned(), key.to_owned());
        Self { question, key, is_small, included, ..Self::default() }
    }

    /// Looks a claim up. Returns its text if it holds, and the new citations.
    pub fn add<T: AsRef<str>>(
        &mut self,
        claim: Claim,
        passages: &[T],
    ) -> (Option<String>, &[VerifiedQuote]) {
        let known = self.citations.len();
        let (mut found, mut dropped) = (Vec::new(), Vec::new());
        for quote in &claim.quotes {
            self.locate(quote, passages, &mut found, &mut dropped);
        }
        let said = without_markers(claim.text.trim());
        let Verdict { places, support, verified_by, refusal } = self.judge(&said, found, passages);
        let shown = (verified_by == Some(VerifiedBy::Quote)).then(|| {
            let text = |place: &Place| passages[place.passage].as_ref()[place.bytes.clone()].trim();
            places.iter().map(text).collect::<Vec<_>>().join(" ")
        });
        let mut markers = Vec::new();
        for Place { passage, bytes } in places {
            let marker = cite(&mut self.citations, passages[passage].as_ref(), passage, bytes);
            if !markers.contains(&marker) {
                markers.push(marker);
            }
        }
        let text = claim.text;
        self.claims.push(CheckedClaim {
            text,
            shown,
            markers,
            dropped,
            support,
            verified_by,
            refusal,
        });
        let text = answer_text(&self.claims[self.claims.len() - 1..]);
        ((!text.is_empty()).then_some(text), &self.citations[known..])
    }

    /// Finds a quote in the passage that the model names, or in any; a long one sentence by sentence.
    fn locate<T: AsRef<str>>(
        &mut self,
        quote: &Quote,
        passages: &[T],
        found: &mut Vec<Place>,
        dropped: &mut Vec<String>,
    ) {
        let named =
            quote.passage.and_then(|number| self.included.get(number.checked_sub(1)?)).copied();
        let mut order: Vec<usize> =
            named.into_iter().chain(self.included.iter().copied()).collect();
        let mut add = |place: Place| {
            if !found.contains(&place) {
                found.push(place);
            }
        };
        if let Some(place) = self.find(&quote.text, &order, passages) {
            return add(place);
        }
        let parts: Vec<&str> = quote
            .text
            .split(['…', '⋯'])
            .flat_map(|part| part.split("..."))
            .flat_map(|part| chunk::sentences(part).map(|bytes| part[bytes].trim()))
            .filter(|part| part.contains(char::is_alphanumeric))
            .collect();
        if parts.len() < 2 {
            return dropped.push(quote.text.clone());
        }
        for part in parts {
            match self.find(part, &order, passages) {
                Some(place) => {
                    // The others are likely to stand there too.
                    order.insert(0, place.passage);
                    add(place);
                }
                None => dropped.push(part.to_owned()),
            }
        }
    }

    /// The first passage of `order` that `text` stands in, and where.
    fn find<T: AsRef<str>>(
        &mut self,
        text: &str,
        order: &[usize],
        passages: &[T],
    ) -> Option<Place> {
        let folded = Folded::of(text);
        order.iter().find_map(|passage| {
            let text = passages.get(*passage)?.as_ref();
            let bytes = self.passage(*passage, text).folded.find(text, &folded)?;
            Some(Place { passage: *passage, bytes })
        })
    }

    fn passage(&mut self, position: usize, text: &str) -> &mut KnownPassage {
        let new = || KnownPassage { folded: Folded::of(text), sentences: None };
        self.known.entry(position).or_insert_with(new)
    }

    /// The sentences that a place lies in.
    fn sentences_around<T: AsRef<str>>(&mut self, place: &Place, passages: &[T]) -> Place {
        let text = passages[place.passage].as_ref();
        let known = self.passage(place.passage, text);
        let sentences = known.sentences.get_or_insert_with(|| chunk::sentences(text).collect());
        let first = sentences.partition_point(|sentence| sentence.end <= place.bytes.start);
        let last = sentences.partition_point(|sentence| sentence.start < place.bytes.end);
        let (mut start, mut end) = (place.bytes.start, place.bytes.end);
        if let (Some(one), Some(other)) = (sentences.get(first), sentences[..last].last()) {
            start = text
                .ceil_char_boundary(one.start.max(start.saturating_sub(MAX_SENTENCE_BYTES)))
                .min(start);
            end = text.floor_char_boundary(other.end.min(end + MAX_SENTENCE_BYTES)).max(end);
        }
        let white = |text: &str| text.len() - text.trim_start().len();
        start += white(&text[start..end]);
        Place { passage: place.passage, bytes: start..start + text[start..end].trim_end().len() }
    }

    fn judge<T: AsRef<str>>(&mut self, claim: &str, found: Vec<Place>, passages: &[T]) -> Verdict {
        let refused = |refusal: &str, places: Vec<Place>| Verdict {
            places,
            support: 0.0,
            verified_by: None,
            refusal: Some(refusal.to_owned()),
        };
        if self.holds_key(claim) {
            return refused("it repeats what stands around the passages", Vec::new());
        }
        if self
            .claims
            .iter()
            .any(|known| known.verified_by.is_some() && without_markers(known.text.trim()) == claim)
        {
            return refused("it was said before", Vec::new());
        }
        let asked = QuestionWords::new(&self.question);
        let off = if support::repeats(claim, &self.question) {
            Some("it repeats the question")
        } else {
            self.beside_the_point(&asked, claim)
        };
        if let Some(place) = self.verbatim(claim, passages).filter(|_| off.is_none()) {
            let is_quoted = |quote: &&Place| {
                quote.passage == place.passage
                    && quote.bytes.start < place.bytes.end
                    && place.bytes.start < quote.bytes.end
            };
            let quoted: Vec<Place> = found.iter().filter(is_quoted).cloned().collect();
            let places = if quoted.is_empty() { vec![place] } else { quoted };
            return Verdict {
                places,
                support: 1.0,
                verified_by: Some(VerifiedBy::Verbatim),
                refusal: None,
            };
        }
        if claim.len() > MAX_CLAIM_BYTES {
            return refused("it is too long to be judged", Vec::new());
        }
        if support::says_nothing(claim) {
            return refused("it says nothing by itself", Vec::new());
        }
        if found.is_empty() {
            return refused("none of its quotes stands in a passage", found);
        }
        let around: Vec<Place> =
            found.iter().map(|place| self.sentences_around(place, passages)).collect();
        let text = |place: &Place| &passages[place.passage].as_ref()[place.bytes.clone()];
        let evidence = |place: &Place| (passages[place.passage].as_ref(), place.bytes.clone());
        let judged = match off {
            Some(why) => Err(why.to_owned()),
            None => {
                support::judge(claim, &Evidence::of(around.iter().map(evidence), &self.question))
            }
        };
        match judged {
            Ok(support) => {
                let is_part = |(_, around): &(Place, &Place)| {
                    let text = text(around);
                    Evidence::of(std::iter::once((text, 0..text.len())), "").share(claim) > 0.0
                };
                let places = found
                    .into_iter()
                    .zip(&around)
                    .filter(is_part)
                    .map(|(place, _)| place)
                    .collect();
                Verdict { places, support, verified_by: Some(VerifiedBy::Overlap), refusal: None }
            }
            Err(refusal) => {
                let is_new = |place: &Place| {
                    !self
                        .citations
                        .iter()
                        .any(|known| known.passage == place.passage && known.quote == text(place))
                };
                let answers = |place: &&Place| {
                    is_new(place)
                        && place.bytes.len() <= MAX_SENTENCE_BYTES
                        && support::is_about(text(place), &self.question)
                        && self.beside_the_point(&asked, text(place)).is_none()
                };
                let mut places: Vec<Place> = around.iter().filter(answers).cloned().collect();
                places.dedup();
                let (support, verified_by) =
                    if places.is_empty() { (0.0, None) } else { (1.0, Some(VerifiedBy::Quote)) };
                Verdict { places, support, verified_by, refusal: Some(refusal) }
            }
        }
    }

    /// Why a text is no answer, however true: it has no number where only one answers, or, of a small model, no default, need or the
    /// like where the question asks for one.
    fn beside_the_point(&self, asked: &QuestionWords, text: &str) -> Option<&'static str> {
        if asked.lacks_number(text) {
            return Some("it has no number, which the question asks for");
        }
        (self.is_small && asked.lacks_kind(text))
            .then_some("it does not say what the question asks for")
    }

    fn holds_key(&self, claim: &str) -> bool {
        let start = self.key.get(..KEY_LETTERS);
        start.is_some_and(|start| claim.to_lowercase().contains(start))
    }

    /// Where a claim stands as a whole sentence.
    fn verbatim<T: AsRef<str>>(&mut self, claim: &str, passages: &[T]) -> Option<Place> {
        let order = self.included.clone();
        let place = self.find(claim, &order, passages)?;
        let around = self.sentences_around(&place, passages);
        let stops = ['.', '!', '。', '！', ' '];
        let plain = |text: &str| Folded::of(text.trim_end_matches(stops));
        let sentence = &passages[around.passage].as_ref()[around.bytes.clone()];
        plain(sentence).is_same(&plain(claim)).then_some(around)
    }

    /// Whether a claim holds so far.
    pub fn has_answer(&self) -> bool {
        self.claims.iter().any(|claim| !claim.markers.is_empty())
    }

    /// The whole answer.
    pub fn finish(self, usage: Usage) -> GeneratedAnswer {
        let Self { citations, claims, .. } = self;
        let text = answer_text(&claims);
        let status = if text.is_empty() { Status::NoAnswer } else { Status::Answered };
        let text = if text.is_empty() { NO_ANSWER.to_owned() } else { text };
        GeneratedAnswer { status, text, citations, claims, usage }
    }
}

/// The marker of a quote, a new one unless it was cited before.
fn cite(
    citations: &mut Vec<VerifiedQuote>,
    text: &str,
    passage: usize,
    bytes: Range<usize>,
) -> usize {
    let start = text[..bytes.start].chars().count();
    let quote = text[bytes].to_owned();
    let chars = start..start + quote.chars().count();
    if let Some(known) = citations.iter().find(|c| c.passage == passage && c.chars == chars) {
        return known.marker;
    }
    let marker = citations.len() + 1;
    citations.push(VerifiedQuote { marker, passage, quote, chars });
    marker
}

/// Claims that hold, with their markers. Brackets with numbers that the model itself wrote would look
/// like markers, so they lose theirs.
fn answer_text(claims: &[CheckedClaim]) -> String {
    let mut text = String::new();
    for claim in claims.iter().filter(|claim| !claim.markers.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        match &claim.shown {
            Some(quote) => text.push_str(quote),
            None => text.push_str(&without_markers(claim.text.trim())),
        }
        for marker in &claim.markers {
            let _ = write!(text, " [{marker}]");
        }
    }
    text
}

/// `text` without `[1]` and the like.
fn without_markers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let inside = &rest[open + 1..];
        let digits = inside.find(|c: char| !matches!(c, '0'..='9' | ',' | ' '));
        match digits {
            Some(end @ 1..) if inside[end..].starts_with(']') => {
                out.push_str(rest[..open].trim_end());
                rest = &inside[end + 1..];
            }
            _ => {
                out.push_str(&rest[..=open]);
                rest = inside;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::without_markers;

    #[test]
    fn markers_of_the_model_are_taken_out() {
        assert_eq!(
            without_markers("It is so [1]. And [2, 3] so [a] a[0]x [] ["),
            "It is so. And so [a] ax [] ["
        );
    }
}
