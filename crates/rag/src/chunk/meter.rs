//! Token counts of ranges of a text, tokenising each byte once where the tokenizer allows it.
use crate::Result;
use crate::model::Checkpoint;
use crate::model::tokenizer::{TokenCounter, Word};
use std::ops::Range;

/// Bytes tokenised at once: a few milliseconds for the slowest tokenizer.
const SLICE_BYTES: usize = 16 * 1024;
/// Most characters of a chunk per token, and at least. A word over a hundred characters is one
/// token to many models, and some characters are none: tokens alone would not bound a chunk.
const CHARS_PER_TOKEN: usize = 40;
const MIN_CHARS: usize = 200;
/// Bytes of the rest of a word that are counted when it was cut: all of it each time takes long where a word has
/// no end.
const MAX_REST_BYTES: usize = 1024;
/// Most bytes of a character.
const MAX_UTF8: usize = 4;

/// Counts on `text` from front to back; what lies before the position last forgotten is gone.
pub(super) struct Meter<'a, 'b> {
    text: &'a str,
    counter: &'a dyn TokenCounter,
    checkpoint: Checkpoint<'b>,
    words: Vec<Word>,
    /// `sums[i]`: tokens of all words before `words[i]`; one longer than `words`.
    sums: Vec<u64>,
    /// Where tokenising goes on.
    filled: usize,
    /// Places where a slice had to end inside a word.
    seams: Vec<usize>,
}

impl<'a, 'b> Meter<'a, 'b> {
    pub fn new(text: &'a str, counter: &'a dyn TokenCounter, checkpoint: Checkpoint<'b>) -> Self {
        let (words, sums, seams) = (Vec::new(), vec![0], Vec::new());
        Self { text, counter, checkpoint, words, sums, filled: 0, seams }
    }

    /// Forgets the words before `start`, which is not asked for again.
    pub fn forget(&mut self, start: usize) {
        let gone = self.words.partition_point(|word| word.end as usize <= start);
        // Moving the rest down each time would cost more than it frees.
        if gone > SLICE_BYTES {
            self.words.drain(..gone);
            self.sums.drain(..gone);
        }
        self.seams.retain(|&seam| seam > start);
        if start > self.filled {
            self.filled = start;
        }
    }

    /// Tokenises on until `until`.
    fn fill(&mut self, until: usize) -> Result<()> {
        while self.filled < until {
            (self.checkpoint)()?;
            let (end, is_seam) = slice_end(self.text, self.filled);
            let known = self.words.len();
            self.counter.words(&self.text[self.filled..end], self.filled, &mut self.words)?;
            let mut sum = self.sums[known];
            for word in &self.words[known..] {
                sum += u64::from(word.tokens);
                self.sums.push(sum);
            }
            if is_seam {
                self.seams.push(end);
            }
            self.filled = end;
        }
        Ok(())
    }

    /// Tokens of a piece of the text by the model's own count.
    pub fn count(&mut self, range: Range<usize>) -> Result<usize> {
        if range.is_empty() {
            return Ok(0);
        }
        self.fill(range.end)?;
        let words = self.words_in(&range);
        let is_cut =
            self.words[words.clone()].first().is_some_and(|w| (w.start as usize) < range.start)
                || self.words[words.clone()].last().is_some_and(|w| w.end as usize > range.end)
                || self.seams.iter().any(|&seam| range.start < seam && seam < range.end);
        if is_cut || !self.counter.is_additive() {
            return self.counter.count(&self.text[range]);
        }
        Ok((self.sums[words.end] - self.sums[words.start]) as usize)
    }

    /// Whether a piece has at most `budget` tokens and is not too long for them.
    pub fn fits(&mut self, range: Range<usize>, budget: usize) -> Result<bool> {
        Ok(self.reach(range.clone(), budget)? == range.end && self.count(range)? <= budget)
    }

    /// Tokens of other text, such as a heading path.
    pub fn count_text(&self, text: &str) -> Result<usize> {
        self.counter.count(text)
    }

    /// How far from `range.start` a chunk of `budget` tokens can go: the end of the range, or
    /// before the first word that is too much, which may be no way at all. Inside the range that
    /// is an estimate when the tokenizer is not additive.
    pub fn reach(&mut self, range: Range<usize>, budget: usize) -> Result<usize> {
        let chars = max_chars(budget);
        let furthest = self.text.floor_char_boundary(range.start + chars * MAX_UTF8);
        let limit = self.reach_tokens(range.start, range.end.min(furthest), budget)?;
        if limit - range.start <= chars {
            return Ok(limit);
        }
        let mut after = self.text[range.start..limit].char_indices().skip(chars);
        Ok(after.next().map_or(limit, |(i, _)| range.start + i))
    }

    /// The same by tokens alone.
    fn reach_tokens(&mut self, start: usize, end: usize, budget: usize) -> Result<usize> {
        let mut filled = start;
        loop {
            filled = self.filled.max(filled + 1).min(end);
            self.fill(filled)?;
            let words = self.words_in(&(start..filled));
            // A word that was cut before counts anew: its rest may have more tokens than it had.
            let (first, head) = self.cut_word(start, words.start, end)?;
            if head > budget as u64 {
                return Ok(start);
            }
            let room = self.sums[first] + budget as u64 - head;
            let sums = &self.sums[first + 1..=words.end.max(first)];
            let over = first + sums.partition_point(|&sum| sum <= room);
            if over < words.end {
                return Ok((self.words[over].start as usize).clamp(start, end));
            }
            if filled == end {
                return Ok(end);
            }
        }
    }

    /// Where a range that does not fit is `budget` tokens long, counted from its end: the start of
    /// a word.
    pub fn reach_back(&mut self, range: Range<usize>, budget: usize) -> Result<usize> {
        self.fill(range.end)?;
        let words = self.words_in(&range);
        let total = self.sums[words.end];
        let enough =
            self.sums[words.start..=words.end].partition_point(|&sum| total - sum > budget as u64);
        let first = words.start + enough;
        Ok(self.words[..words.end]
            .get(first)
            .map_or(range.end, |w| (w.start as usize).max(range.start)))
    }

    /// When `start` lies in a word: the index of the word after it and the tokens of the rest.
    fn cut_word(&self, start: usize, first: usize, end: usize) -> Result<(usize, u64)> {
        match self.words.get(first) {
            Some(word) if (word.start as usize) < start && start < word.end as usize => {
                let rest = (word.end as usize).min(end.max(start));
                // More than that of a word is one unknown token to most, and an estimate to the others.
                let rest = self.text.floor_char_boundary(rest.min(start + MAX_REST_BYTES));
                Ok((first + 1, self.counter.count(&self.text[start..rest])? as u64))
            }
            _ => Ok((first, 0)),
        }
    }

    /// Indices of the words that a range touches.
    fn words_in(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.words.partition_point(|word| word.end as usize <= range.start);
        let count = self.words[start..].partition_point(|word| (word.start as usize) < range.end);
        start..start + count
    }
}

/// Most characters of a chunk of so many tokens.
pub(super) fn max_chars(budget: usize) -> usize {
    (budget * CHARS_PER_TOKEN).max(MIN_CHARS)
}

/// Where to end a slice that starts at `at`, and whether that may be inside a word: after a line
/// end or a space, which every tokenizer splits at, else anywhere.
fn slice_end(text: &str, at: usize) -> (usize, bool) {
    let rest = &text[at..];
    if rest.len() <= SLICE_BYTES {
        return (text.len(), false);
    }
    let bytes = &rest.as_bytes()[..SLICE_BYTES];
    let found =
        bytes.iter().rposition(|b| *b == b'\n').or_else(|| bytes.iter().rposition(|b| *b == b' '));
    match found {
        Some(i) => (at + i + 1, false),
        None => (at + rest.floor_char_boundary(SLICE_BYTES), true),
    }
}
