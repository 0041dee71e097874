//! Searching several segments: term statistics, and sets of chunks.
use super::block::{Block, POSTINGS};
use super::list::{self, Blocks, Head, Part};
use super::{Checkpoint, EVERY, Lists, Posting, damaged, group};
use crate::Result;
use std::borrow::Cow;
use std::ops::Range;

/// One segment.
#[derive(Debug, Clone)]
pub struct Segment<L> {
    /// Whether its chunks are deleted ones of other segments.
    pub is_deletion: bool,
    /// Number of its chunks.
    pub chunks: u64,
    /// Their lengths together, in lexemes.
    pub length: u64,
    /// Its posting lists.
    pub lists: L,
}

/// Segments that together list all chunks.
#[derive(Debug, Clone)]
pub struct Index<L> {
    /// In any order.
    pub segments: Vec<Segment<L>>,
}

/// What BM25 needs to know, without deleted chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Number of chunks.
    pub chunks: u64,
    /// Their lengths together, in lexemes.
    pub length: u64,
    /// For each term the number of chunks that hold it.
    pub frequencies: Vec<u64>,
}

/// Lexemes looked up in every segment.
pub struct Terms<'a, L> {
    pub(super) index: &'a Index<L>,
    /// Number of lexemes.
    pub(super) count: usize,
    /// Segments of chunks, the largest first.
    pub(super) live: Vec<Looked<'a, L>>,
    /// Segments of deletions that list one of the lexemes.
    pub(super) deletions: Vec<Looked<'a, L>>,
}

/// The lists that one segment has of some lexemes, a place for each.
pub(super) struct Looked<'a, L> {
    pub lists: Vec<Option<List<'a, L>>>,
}

/// A list whose head was read.
pub(super) struct List<'a, L> {
    lists: &'a L,
    /// Number of postings.
    pub count: u64,
    /// All postings, where there are few and no parts.
    pub few: Vec<Posting>,
    pub parts: Vec<Part>,
    group: Cow<'a, [u8]>,
    /// Where the parts' bytes lie in the group, if they do.
    embedded: Option<Range<usize>>,
}

impl<'a, L: Lists> List<'a, L> {
    fn look_up(segment: &'a Segment<L>, lexeme: &'a str) -> Result<Option<Self>> {
        let lists = &segment.lists;
        let Some(group) = lists.group(lexeme)? else {
            // The first group of a segment with chunks begins with the lexeme that lists all of them.
            return if segment.chunks == 0 { Ok(None) } else { Err(damaged()) };
        };
        let Some((bytes, origin)) = group::find(&group, lexeme)? else { return Ok(None) };
        let end = bytes.as_ptr_range().end as usize - group.as_ptr() as usize;
        let count = list::count(bytes)?;
        let (few, parts, embedded) = match list::read(bytes, origin)? {
            Head::Few(few) => (few, Vec::new(), None),
            Head::Parts(parts, bytes) => {
                (Vec::new(), parts, bytes.map(|bytes| end - bytes.len()..end))
            }
        };
        Ok(Some(Self { lists, count, few, parts, group, embedded }))
    }

    /// The bytes of a part.
    pub fn part(&self, number: usize) -> Result<Cow<'_, [u8]>> {
        match &self.embedded {
            Some(range) => {
                Ok(Cow::Borrowed(self.parts[number].embedded(&self.group[range.clone()])?))
            }
            None => self.lists.part(self.parts[number].row()?)?.ok_or_else(damaged),
        }
    }
}

impl<L: Lists> Index<L> {
    /// Looks lexemes up, each once.
    pub fn terms<'a>(
        &'a self,
        lexemes: &[&'a str],
        checkpoint: Checkpoint<'_>,
    ) -> Result<Terms<'a, L>> {
        let (mut live, mut deletions) = (Vec::new(), Vec::new());
        for segment in &self.segments {
            checkpoint()?;
            let lists = lexemes.iter().map(|lexeme| List::look_up(segment, lexeme));
            let lists = lists.collect::<Result<Vec<_>>>()?;
            if lists.iter().any(Option::is_some) {
                let to = if segment.is_deletion { &mut deletions } else { &mut live };
                to.push((segment.chunks, Looked { lists }));
            }
        }
        // The best of a large segment leave the others little to do.
        live.sort_by_key(|(chunks, _)| std::cmp::Reverse(*chunks));
        let without =
            |looked: Vec<(u64, _)>| looked.into_iter().map(|(_, looked)| looked).collect();
        Ok(Terms {
            index: self,
            count: lexemes.len(),
            live: without(live),
            deletions: without(deletions),
        })
    }

    /// How many of these chunks there are, and their lengths together. The ids ascend.
    pub fn lengths_among(&self, chunks: &[i64], checkpoint: Checkpoint<'_>) -> Result<(u64, u64)> {
        let terms = self.terms(&[EVERY], checkpoint)?;
        let (mut count, mut length) = (0, 0);
        for (looked, is_live) in terms.all() {
            let Some(list) = &looked.lists[0] else { continue };
            each_of(list, chunks, checkpoint, |_, posting| {
                let sign = if is_live { 1 } else { -1 };
                count += sign;
                length += sign * i64::from(posting.length);
            })?;
        }
        Ok((count.max(0).cast_unsigned(), length.max(0).cast_unsigned()))
    }
}

impl<'a, L: Lists> Terms<'a, L> {
    /// All segments that list a term, and whether its chunks are not deleted ones.
    fn all(&self) -> impl Iterator<Item = (&Looked<'a, L>, bool)> {
        let live = self.live.iter().map(|looked| (looked, true));
        live.chain(self.deletions.iter().map(|looked| (looked, false)))
    }

    /// Exact numbers of all chunks.
    pub fn statistics(&self) -> Statistics {
        let (mut chunks, mut length) = (0_i64, 0_i64);
        for segment in &self.index.segments {
            let sign = if segment.is_deletion { -1 } else { 1 };
            chunks = chunks.saturating_add(sign * segment.chunks.cast_signed());
            length = length.saturating_add(sign * segment.length.cast_signed());
        }
        let mut frequencies = vec![0_i64; self.count];
        for (looked, is_live) in self.all() {
            for (frequency, list) in frequencies.iter_mut().zip(&looked.lists) {
                let count = list.as_ref().map_or(0, |list| list.count.cast_signed());
                *frequency = frequency.saturating_add(if is_live { count } else { -count });
            }
        }
        let not_negative = |count: i64| count.max(0).cast_unsigned();
        Statistics {
            chunks: not_negative(chunks),
            length: not_negative(length),
            frequencies: frequencies.into_iter().map(not_negative).collect(),
        }
    }

    /// Ids, ascending, of chunks that hold every term; `None` where there are more than `most`.
    pub fn holding_all(&self, most: usize, checkpoint: Checkpoint<'_>) -> Result<Option<Vec<i64>>> {
        self.holding(0..self.count, most, checkpoint)
    }

    /// The same of some of the terms, by their numbers.
    pub fn holding(
        &self,
        terms: Range<usize>,
        most: usize,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Option<Vec<i64>>> {
        let mut found = Vec::new();
        let mut deleted = Deleted::new(&self.deletions);
        for looked in &self.live {
            let lists = looked.lists[terms.clone()].iter().map(Option::as_ref);
            let lists: Option<Vec<_>> = lists.collect();
            let Some(mut lists) = lists.filter(|lists| !lists.is_empty()) else { continue };
            // Each chunk of the shortest list is looked up in the others.
            lists.sort_by_key(|list| list.count);
            let mut cursors: Vec<_> = lists.into_iter().map(Cursor::new).collect();
            let mut from = i64::MIN;
            let mut turns = 0_u32;
            'chunks: loop {
                turns = turns.wrapping_add(1);
                if turns.is_multiple_of(1 << 12) {
                    checkpoint()?;
                }
                for cursor in &mut cursors {
                    let Some(chunk) = cursor.seek(from)? else { break 'chunks };
                    if chunk > from {
                        from = chunk;
                        continue 'chunks;
                    }
                }
                if !deleted.has(from)? {
                    if found.len() == most {
                        return Ok(None);
                    }
                    found.push(from);
                }
                let Some(next) = from.checked_add(1) else { break };
                from = next;
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }

    /// For each term how many of these chunks hold it. The ids ascend.
    pub fn frequencies_among(
        &self,
        chunks: &[i64],
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<u64>> {
        let mut frequencies = vec![0_i64; self.count];
        for (looked, is_live) in self.all() {
            for (frequency, list) in frequencies.iter_mut().zip(&looked.lists) {
                let Some(list) = list else { continue };
                let sign = if is_live { 1 } else { -1 };
                each_of(list, chunks, checkpoint, |_, _| *frequency += sign)?;
            }
        }
        Ok(frequencies.into_iter().map(|count| count.max(0).cast_unsigned()).collect())
    }
}

/// Calls with the position and the posting of each of these chunks that a list has.
pub(super) fn each_of<L: Lists>(
    list: &List<'_, L>,
    chunks: &[i64],
    checkpoint: Checkpoint<'_>,
    mut found: impl FnMut(usize, Posting),
) -> Result<()> {
    let mut cursor = Cursor::new(list);
    let mut at = 0;
    let mut turns = 0_u32;
    while let Some(&wanted) = chunks.get(at) {
        turns = turns.wrapping_add(1);
        if turns.is_multiple_of(1 << 12) {
            checkpoint()?;
        }
        let Some(chunk) = cursor.seek(wanted)? else { break };
        if chunk == wanted {
            found(at, cursor.posting());
            at += 1;
        } else {
            at += chunks[at..].partition_point(|other| *other < chunk);
        }
    }
    Ok(())
}

/// Chunks that segments of deletions list under one of the terms.
pub(super) struct Deleted<'t, 'a, L> {
    cursors: Vec<Cursor<'t, 'a, L>>,
    /// The chunk asked for last: cursors only move forward.
    last: i64,
}

impl<'t, 'a, L: Lists> Deleted<'t, 'a, L> {
    pub fn new(deletions: &'t [Looked<'a, L>]) -> Self {
        let lists = deletions.iter().flat_map(|looked| looked.lists.iter().flatten());
        Self { cursors: lists.map(Cursor::new).collect(), last: i64::MIN }
    }

    /// Whether a chunk, which holds one of the terms, is deleted.
    pub fn has(&mut self, chunk: i64) -> Result<bool> {
        if chunk < self.last {
            self.cursors.iter_mut().for_each(Cursor::rewind);
        }
        self.last = chunk;
        for cursor in &mut self.cursors {
            if cursor.seek(chunk)? == Some(chunk) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A place in a list, which moves forward.
pub(super) struct Cursor<'t, 'a, L> {
    list: &'t List<'a, L>,
    /// The part it is in, and whether that was opened.
    part: usize,
    is_open: bool,
    blocks: Blocks<'t>,
    /// The block it is in, and whether that was unpacked.
    block: usize,
    is_unpacked: bool,
    unpacked: Box<Block>,
    /// In the block, or in a list of few postings.
    position: usize,
    chunk: Option<i64>,
}

impl<'t, 'a, L: Lists> Cursor<'t, 'a, L> {
    pub fn new(list: &'t List<'a, L>) -> Self {
        Self {
            list,
            part: 0,
            is_open: false,
            blocks: Blocks::default(),
            block: 0,
            is_unpacked: false,
            unpacked: Box::default(),
            position: 0,
            chunk: None,
        }
    }

    /// Goes back to before the first posting.
    pub fn rewind(&mut self) {
        (self.part, self.is_open, self.position, self.chunk) = (0, false, 0, None);
    }

    /// Goes to the first posting from here on whose chunk is this one or behind it; `None` at the end.
    pub fn seek(&mut self, chunk: i64) -> Result<Option<i64>> {
        if self.chunk.is_some_and(|at| at >= chunk) {
            return Ok(self.chunk);
        }
        self.chunk = if self.list.parts.is_empty() {
            let few = &self.list.few[self.position..];
            self.position += few.partition_point(|posting| posting.chunk < chunk);
            self.list.few.get(self.position).map(|posting| posting.chunk)
        } else {
            self.seek_part(chunk)?
        };
        Ok(self.chunk)
    }

    fn seek_part(&mut self, chunk: i64) -> Result<Option<i64>> {
        let parts = &self.list.parts;
        if parts.get(self.part).is_some_and(|part| part.last < chunk) {
            self.part += parts[self.part..].partition_point(|part| part.last < chunk);
            self.is_open = false;
        }
        let Some(part) = parts.get(self.part) else { return Ok(None) };
        if !self.is_open {
            self.blocks.open(part, self.list.part(self.part)?)?;
            (self.is_open, self.block, self.is_unpacked) = (true, 0, false);
        }
        let offset = if chunk <= part.first { 0 } else { chunk.abs_diff(part.first) as u32 };
        // The part's last block ends with its last chunk, which is not before this one.
        while self.blocks.last(self.block) < offset {
            self.block += 1;
            self.is_unpacked = false;
        }
        if !self.is_unpacked {
            self.blocks.unpack(self.block, &mut self.unpacked)?;
            (self.is_unpacked, self.position) = (true, 0);
        }
        let offsets = &self.unpacked.offsets[self.position..self.unpacked.count];
        self.position += offsets.partition_point(|other| *other < offset);
        let offset = self.unpacked.offsets[self.position.min(POSTINGS - 1)];
        Ok(Some(part.first.wrapping_add(offset.into())))
    }

    /// The posting it stands at; it stands at one.
    pub fn posting(&self) -> Posting {
        if self.list.parts.is_empty() {
            return self.list.few[self.position];
        }
        let shortest = self.blocks.shortest(self.block);
        Posting {
            chunk: self.chunk.unwrap_or_default(),
            frequency: self.unpacked.frequencies[self.position].wrapping_add(1),
            length: self.unpacked.lengths[self.position].wrapping_add(shortest),
        }
    }
}
