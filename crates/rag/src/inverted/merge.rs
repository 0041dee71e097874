//! One segment of several, in the memory of one list.
use super::build::{Sink, Writer};
use super::{Checkpoint, EVERY, Posting, Reader, Source};
use crate::Result;

/// Chunks of a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many.
    pub chunks: u64,
    /// Their lengths together.
    pub length: u64,
}

impl Totals {
    fn of(postings: &[Posting]) -> Self {
        let length = postings.iter().map(|posting| u64::from(posting.length)).sum();
        Self { chunks: postings.len() as u64, length }
    }
}

/// What merging wrote. Nothing where there are no chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    /// Of the segment of chunks.
    pub live: Totals,
    /// Of the segment of deletions.
    pub deletions: Totals,
}

/// Merges segments. A chunk that is in both a segment of chunks and one of deletions is in neither result.
pub fn merge<'a, S: Source>(
    live: Vec<S>,
    deletions: Vec<S>,
    out_live: Sink<'a>,
    out_deletions: Sink<'a>,
    checkpoint: Checkpoint<'_>,
) -> Result<Merged> {
    let mut sides = [
        Side::new(live, Writer::new(out_live))?,
        Side::new(deletions, Writer::new(out_deletions))?,
    ];
    let mut merged = Merged::default();
    let mut cancelled: Vec<i64> = Vec::new();
    let mut lexeme = Vec::new();
    loop {
        checkpoint()?;
        let Some((prefix, next)) = sides.iter().filter_map(Side::next).min() else { break };
        lexeme.clear();
        lexeme.extend_from_slice(next);
        sides.iter_mut().try_for_each(|side| side.read((prefix, &lexeme)))?;
        let text = std::str::from_utf8(&lexeme).map_err(|_| super::damaged())?;
        if text == EVERY {
            cancelled = common(&sides[0].postings, &sides[1].postings);
        }
        for side in &mut sides {
            remove(&mut side.postings, &cancelled);
        }
        if text == EVERY {
            merged.live = Totals::of(&sides[0].postings);
            merged.deletions = Totals::of(&sides[1].postings);
        }
        for side in &mut sides {
            if !side.postings.is_empty() {
                side.writer.add(text, &side.postings)?;
            }
        }
    }
    sides.into_iter().try_for_each(|side| side.writer.finish())?;
    Ok(merged)
}

/// Segments that become one.
struct Side<'a, S> {
    /// Those that are not at their end.
    readers: Vec<Reader<S>>,
    writer: Writer<'a>,
    postings: Vec<Posting>,
}

impl<'a, S: Source> Side<'a, S> {
    fn new(sources: Vec<S>, writer: Writer<'a>) -> Result<Self> {
        let mut readers = Vec::with_capacity(sources.len());
        for source in sources {
            let mut reader = Reader::new(source);
            if reader.advance()?.is_some() {
                readers.push(reader);
            }
        }
        Ok(Self { readers, writer, postings: Vec::new() })
    }

    /// The lowest lexeme that a segment stands at.
    fn next(&self) -> Option<(u64, &[u8])> {
        self.readers.iter().map(Reader::key).min()
    }

    /// Reads the lists of a lexeme, and goes on behind them.
    fn read(&mut self, lexeme: (u64, &[u8])) -> Result<()> {
        self.postings.clear();
        let mut at = 0;
        while let Some(reader) = self.readers.get_mut(at) {
            if reader.key() == lexeme {
                reader.append(&mut self.postings)?;
                if reader.advance()?.is_none() {
                    self.readers.swap_remove(at);
                    continue;
                }
            }
            at += 1;
        }
        if !self.postings.is_sorted_by(|a, b| a.chunk < b.chunk) {
            // Stable sorting merges runs that are sorted already.
            self.postings.sort_by_key(|posting| posting.chunk);
            self.postings.dedup_by_key(|posting| posting.chunk);
        }
        Ok(())
    }
}

/// Chunks that are in both.
fn common(a: &[Posting], b: &[Posting]) -> Vec<i64> {
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let mut rest = many;
    let mut common = Vec::new();
    for posting in few {
        rest = &rest[rest.partition_point(|other| other.chunk < posting.chunk)..];
        if rest.first().is_some_and(|other| other.chunk == posting.chunk) {
            common.push(posting.chunk);
        }
    }
    common
}

fn remove(postings: &mut Vec<Posting>, cancelled: &[i64]) {
    if cancelled.is_empty() {
        return;
    }
    let mut rest = cancelled;
    postings.retain(|posting| {
        rest = &rest[rest.partition_point(|chunk| *chunk < posting.chunk)..];
        rest.first() != Some(&posting.chunk)
    });
}
