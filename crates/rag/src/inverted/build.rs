//! Segments from chunks, and the writing of any.
use super::bytes::prefix;
use super::list::{self, Origin, PartRows};
use super::{EVERY, Posting, group};
use crate::{Error, Result};
use std::hash::{BuildHasher as _, RandomState};

/// A group is closed before its row becomes larger: two rows of a table then fit on a page of PostgreSQL's.
const GROUP_BYTES: usize = 4_020;

/// Takes rows: lexeme, part, bytes. Part 0 is a group of lists, under its first lexeme; others are parts of long lists, under the
/// empty lexeme, numbered from 1, before the group that has their list's head.
pub type RowSink<'a> = &'a mut dyn FnMut(&str, u32, &[u8]) -> Result<()>;

/// Where a segment is written to.
pub enum Sink<'a> {
    /// Rows.
    Rows(RowSink<'a>),
    /// The bytes of an [`super::Inline`] segment.
    Inline(&'a mut Vec<u8>),
}

/// Writes lists in the order of their lexemes.
pub struct Writer<'a> {
    sink: Sink<'a>,
    origin: Origin,
    group: group::Writer,
    list: Vec<u8>,
    /// The number of the next row that is a part.
    part: u32,
}

impl<'a> Writer<'a> {
    pub fn new(sink: Sink<'a>) -> Self {
        let (group, list) = (group::Writer::default(), Vec::new());
        Self { sink, origin: Origin::default(), group, list, part: 1 }
    }

    /// Writes a list: ascending chunks, each once. The first one is that of [`EVERY`].
    pub fn add(&mut self, lexeme: &str, postings: &[Posting]) -> Result<()> {
        if lexeme == EVERY {
            self.origin.chunk = postings.first().map_or(0, |posting| posting.chunk);
            let lengths = postings.iter().map(|posting| posting.length);
            self.origin.length = lengths.filter(|length| *length > 0).min().unwrap_or_default();
        }
        self.list.clear();
        match &mut self.sink {
            Sink::Inline(_) => list::write(postings, self.origin, None, &mut self.list)?,
            Sink::Rows(row) => {
                let mut row = |number, bytes: &[u8]| row("", number, bytes);
                let rows = PartRows { next: &mut self.part, row: &mut row };
                list::write(postings, self.origin, Some(rows), &mut self.list)?;
                let size = self.group.size() + self.list.len() + lexeme.len() + 8;
                if !self.group.is_empty() && size > GROUP_BYTES {
                    self.flush()?;
                }
            }
        }
        self.group.add(lexeme.as_bytes(), &self.list)
    }

    fn flush(&mut self) -> Result<()> {
        let bytes = self.group.finish(self.origin);
        match &mut self.sink {
            Sink::Inline(to) => **to = bytes,
            Sink::Rows(row) => {
                let first = std::str::from_utf8(self.group.first());
                row(first.map_err(|_| super::damaged())?, 0, &bytes)?;
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<()> {
        if self.group.is_empty() { Ok(()) } else { self.flush() }
    }
}

/// Numbers of lexemes, in the order they came. Faster than a `HashMap` of vectors, which asks for memory for each of them.
#[derive(Debug)]
struct Vocabulary {
    /// The lexemes' bytes, one behind the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// A part of the hash, and the number plus 1; 0 for none. A power of two, of which at most half are taken.
    slots: Vec<(u32, u32)>,
    /// Nobody who chooses lexemes knows where they fall.
    seed: u64,
}

impl Default for Vocabulary {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0);
        Self { bytes: Vec::new(), ends: Vec::new(), slots: vec![(0, 0); 1 << 10], seed }
    }
}

impl Vocabulary {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }

    /// The number of a lexeme, a new one where it has none.
    fn number(&mut self, lexeme: &[u8]) -> u32 {
        let hash = self.hash(lexeme);
        let tag = (hash >> 32) as u32;
        let mut at = hash as usize & (self.slots.len() - 1);
        while self.slots[at].1 > 0 {
            let number = self.slots[at].1 - 1;
            if self.slots[at].0 == tag && self.get(number) == lexeme {
                return number;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.bytes.extend_from_slice(lexeme);
        self.ends.push(self.bytes.len());
        self.slots[at] = (tag, self.len() as u32);
        if self.len() * 2 > self.slots.len() {
            self.grow();
        }
        self.len() as u32 - 1
    }

    fn grow(&mut self) {
        let mut slots = vec![(0, 0); self.slots.len() * 4];
        for number in 0..self.len() as u32 {
            let hash = self.hash(self.get(number));
            let mut at = hash as usize & (slots.len() - 1);
            while slots[at].1 > 0 {
                at = (at + 1) & (slots.len() - 1);
            }
            slots[at] = ((hash >> 32) as u32, number + 1);
        }
        self.slots = slots;
    }

    /// Multiplies and folds eight bytes at a time.
    fn hash(&self, lexeme: &[u8]) -> u64 {
        let mix = |hash: u64, word: u64| {
            let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15;
            product as u64 ^ (product >> 64) as u64
        };
        let (words, rest) = lexeme.as_chunks::<8>();
        let hash = words.iter().fold(self.seed ^ lexeme.len() as u64, |hash, word| {
            mix(hash, u64::from_le_bytes(*word))
        });
        mix(mix(hash, prefix(rest)), self.seed)
    }

    /// All numbers, in the order of the lexemes' bytes.
    fn sorted(&self) -> Vec<u32> {
        let mut sorted: Vec<(u64, u32)> =
            (0..self.len() as u32).map(|number| (prefix(self.get(number)), number)).collect();
        sorted
            .sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.get(a.1).cmp(self.get(b.1))));
        sorted.into_iter().map(|(_, number)| number).collect()
    }
}

/// The posting lists of some chunks.
#[derive(Debug, Default)]
pub struct Builder {
    lexemes: Vocabulary,
    /// Each chunk's id and length.
    chunks: Vec<(i64, u32)>,
    /// Number of the lexeme, number of the chunk, frequency.
    postings: Vec<(u32, u32, u32)>,
    length: u64,
}

impl Builder {
    /// Adds a chunk, once, with its lexemes, each once with its occurrences. A chunk without lexemes counts too: it makes the average
    /// shorter.
    pub fn add<'a>(
        &mut self,
        chunk: i64,
        lexemes: impl Iterator<Item = (&'a [u8], usize)> + Clone,
    ) {
        let occurrences: usize = lexemes.clone().map(|(_, occurrences)| occurrences.max(1)).sum();
        let length = u32::try_from(occurrences).unwrap_or(u32::MAX);
        let number = self.chunks.len() as u32;
        for (lexeme, occurrences) in lexemes {
            let frequency = u32::try_from(occurrences.max(1)).unwrap_or(u32::MAX);
            let lexeme = self.lexemes.number(lexeme);
            self.postings.push((lexeme, number, frequency));
        }
        self.chunks.push((chunk, length));
        self.length += u64::from(length);
    }

    /// Whether no chunk was added.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Number of chunks added.
    pub fn chunks(&self) -> u64 {
        self.chunks.len() as u64
    }

    /// Their lengths together, in lexemes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Postings added: what its memory grows with, 12 bytes each.
    pub fn postings(&self) -> usize {
        self.postings.len()
    }

    /// The bytes of an [`super::Inline`] segment.
    pub fn finish_inline(self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.finish(Sink::Inline(&mut bytes))?;
        Ok(bytes)
    }

    /// The rows of a segment.
    pub fn finish_rows(self, row: RowSink<'_>) -> Result<()> {
        self.finish(Sink::Rows(row))
    }

    fn finish(self, sink: Sink<'_>) -> Result<()> {
        let Self { lexemes, chunks, postings, .. } = self;
        let mut writer = Writer::new(sink);
        let mut list: Vec<Posting> = Vec::with_capacity(chunks.len());
        let every = |&(chunk, length): &(i64, u32)| Posting { chunk, frequency: 1, length };
        list.extend(chunks.iter().map(every));
        if !list.is_empty() {
            write(&mut writer, EVERY, &mut list)?;
        }

        // Where each lexeme's postings begin once they are sorted by lexeme.
        let mut ends = vec![0_u32; lexemes.len()];
        for (lexeme, ..) in &postings {
            ends[*lexeme as usize] += 1;
        }
        let mut end = 0;
        for count in &mut ends {
            end += *count;
            *count = end - *count;
        }
        let mut sorted = vec![(0, 0); postings.len()];
        for (lexeme, chunk, frequency) in postings {
            let at = &mut ends[lexeme as usize];
            sorted[*at as usize] = (chunk, frequency);
            *at += 1;
        }
        for number in lexemes.sorted() {
            let lexeme = lexemes.get(number);
            let number = number as usize;
            let start = if number == 0 { 0 } else { ends[number - 1] };
            list.clear();
            for &(chunk, frequency) in &sorted[start as usize..ends[number] as usize] {
                let (chunk, length) = chunks[chunk as usize];
                list.push(Posting { chunk, frequency, length });
            }
            let not_text = |_| Error::invalid_argument("a lexeme is not UTF-8");
            write(&mut writer, std::str::from_utf8(lexeme).map_err(not_text)?, &mut list)?;
        }
        writer.finish()
    }
}

fn write(writer: &mut Writer<'_>, lexeme: &str, list: &mut Vec<Posting>) -> Result<()> {
    if !list.is_sorted_by(|a, b| a.chunk < b.chunk) {
        list.sort_by_key(|posting| posting.chunk);
        list.dedup_by_key(|posting| posting.chunk);
    }
    writer.add(lexeme, list)
}
