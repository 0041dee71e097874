//! One lexeme's posting list: a few postings, a block, or parts of many blocks, each with what bounds BM25 in it.
use super::block::{Block, POSTINGS, Widths, size};
use super::bytes::{put, put_signed, take, take_bytes, take_signed, take_size, take_u32};
use super::impact::Impacts;
use super::{Posting, damaged};
use crate::{Error, Result};
use std::borrow::Cow;
use std::cmp::Reverse;

/// Lists of fewer postings are integers of variable length, one posting behind the other.
const FEW: usize = 8;

/// A part is closed before it becomes larger: two rows of a table then fit on a page of PostgreSQL's.
const PART_BYTES: usize = 4_000;

/// Most bytes of the only part of a list to lie behind the list's head although it could be a row.
const EMBEDDED_BYTES: usize = 2_000;

/// Bytes of what a part says of each of its blocks: last id, widths, pairs.
const ENTRY: usize = 4 + 3 + 3 * BLOCK_PAIRS;

/// Most pairs that bound a block, and a part.
const BLOCK_PAIRS: usize = 4;
const PART_PAIRS: usize = 6;

/// Where the numbers of a segment's lists begin, so that they are small.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin {
    /// The lowest id of a chunk.
    pub chunk: i64,
    /// The shortest length of a chunk.
    pub length: u32,
}

/// How a list is written.
const IS_FEW: u64 = 0;
const IS_BLOCK: u64 = 1;
const IS_EMBEDDED: u64 = 2;
const IS_ROWS: u64 = 3;

/// A frequency and a length. BM25 grows with the frequency and falls with the length, whatever the average length is, so that
/// the highest value over pairs of which each posting has at most the frequency and at least the length of one bounds
/// every posting's.
pub type Pair = (u32, u32);

/// The pairs, both numbers ascending, that no other has a higher frequency and a lower or equal length than.
fn frontier(pairs: &mut Vec<Pair>) {
    pairs.sort_unstable_by_key(|&(frequency, length)| (length, Reverse(frequency)));
    let mut highest = 0;
    pairs.retain(|&(frequency, _)| {
        let is_new = frequency > highest;
        highest = highest.max(frequency);
        is_new
    });
}

/// Leaves at most so many pairs: of the neighbours whose lengths are closest, the longer one's frequency and the shorter one's
/// length. Returns which pairs are still those of a posting.
fn shorten(pairs: &mut Vec<Pair>, most: usize) -> Vec<bool> {
    let mut is_real = vec![true; pairs.len()];
    while pairs.len() > most {
        let at = (1..pairs.len()).min_by_key(|&i| pairs[i].1 - pairs[i - 1].1).unwrap_or(1);
        pairs[at - 1].0 = pairs[at].0;
        is_real[at - 1] = false;
        pairs.remove(at);
        is_real.remove(at);
    }
    is_real
}

/// What a list's head says of one of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The lowest and the highest id in it; at most 2^32 - 1 apart.
    pub first: i64,
    pub last: i64,
    pub count: usize,
    pairs: [Pair; PART_PAIRS],
    pair_count: u8,
    /// Which pairs are those of a posting, a bit each.
    real: u8,
    /// Where its bytes lie behind the head, or the number of its row.
    at: usize,
    size: usize,
}

impl Part {
    /// What no score in the part is above, and what some score in it is at least.
    pub fn bounds(&self, impacts: &Impacts, idf: f64) -> (f64, f64) {
        let pairs = &self.pairs[..usize::from(self.pair_count)];
        let mut bounds = (0.0_f64, 0.0_f64);
        for (i, &(frequency, length)) in pairs.iter().enumerate() {
            let score = impacts.score(idf, frequency, length);
            bounds.0 = bounds.0.max(score);
            if self.real >> i & 1 == 1 {
                bounds.1 = bounds.1.max(score);
            }
        }
        bounds
    }
}

/// Bytes of a part, being written.
struct PartWriter {
    first: i64,
    last: i64,
    count: usize,
    /// All of its blocks' frontiers.
    pairs: Vec<Pair>,
    entries: Vec<u8>,
    data: Vec<u8>,
}

impl PartWriter {
    fn new(first: i64) -> Self {
        let (entries, data) = (Vec::new(), Vec::new());
        Self { first, last: first, count: 0, pairs: Vec::new(), entries, data }
    }

    fn add(&mut self, postings: &[Posting], block: &mut Block) {
        let mut pairs: Vec<Pair> = postings.iter().map(|p| (p.frequency, p.length)).collect();
        frontier(&mut pairs);
        self.pairs.extend(&pairs);
        shorten(&mut pairs, BLOCK_PAIRS);
        // As few bits as there are: a frequency of 255 stands for any, a length of 65,535 for any from there on.
        let pair = |i: usize| pairs[i.min(pairs.len() - 1)];
        let shortest = u32::from(u16::try_from(pair(0).1).unwrap_or(u16::MAX));
        fill(block, postings, self.first, shortest);
        let before = if self.count == 0 { u32::MAX } else { self.last.abs_diff(self.first) as u32 };
        let widths = block.pack(before, &mut self.data);
        self.last = postings[postings.len() - 1].chunk;
        self.count += postings.len();
        self.entries.extend((self.last.abs_diff(self.first) as u32).to_le_bytes());
        self.entries.extend(widths);
        for i in 0..BLOCK_PAIRS {
            self.entries.push(u8::try_from(pair(i).0).unwrap_or(u8::MAX));
        }
        for i in 0..BLOCK_PAIRS {
            self.entries.extend(u16::try_from(pair(i).1).unwrap_or(u16::MAX).to_le_bytes());
        }
    }

    fn finish(mut self) -> (Part, Vec<u8>) {
        frontier(&mut self.pairs);
        let is_real = shorten(&mut self.pairs, PART_PAIRS);
        let real = is_real.iter().rev().fold(0, |bits, real| bits << 1 | u8::from(*real));
        let mut pairs = [(0, 0); PART_PAIRS];
        pairs[..self.pairs.len()].copy_from_slice(&self.pairs);
        self.entries.append(&mut self.data);
        let part = Part {
            first: self.first,
            last: self.last,
            count: self.count,
            pairs,
            pair_count: self.pairs.len() as u8,
            real,
            at: 0,
            size: self.entries.len(),
        };
        (part, self.entries)
    }
}

fn fill(block: &mut Block, postings: &[Posting], first: i64, shortest: u32) {
    block.count = postings.len();
    for (i, posting) in postings.iter().enumerate() {
        block.offsets[i] = posting.chunk.abs_diff(first) as u32;
        block.frequencies[i] = posting.frequency - 1;
        block.lengths[i] = posting.length.wrapping_sub(shortest);
    }
}

/// Divides postings into parts of about `PART_BYTES`.
fn parts(postings: &[Posting]) -> Vec<(Part, Vec<u8>)> {
    let mut parts = Vec::new();
    let mut block = Block::default();
    let mut writer: Option<PartWriter> = None;
    let mut rest = postings;
    while let Some(next) = rest.first() {
        let current = writer
            .take()
            .filter(|part| part.count.is_multiple_of(POSTINGS) && fits(part.first, next.chunk));
        let mut part = current.unwrap_or_else(|| PartWriter::new(next.chunk));
        let near = rest.iter().take(POSTINGS).take_while(|p| fits(part.first, p.chunk)).count();
        let (some, behind) = rest.split_at(near);
        part.add(some, &mut block);
        let (size, blocks) = (part.entries.len() + part.data.len(), part.count.div_ceil(POSTINGS));
        let is_full = size + size / blocks > PART_BYTES;
        let is_last = is_full
            || near < POSTINGS
            || behind.first().is_none_or(|next| !fits(part.first, next.chunk));
        if is_last {
            parts.push(part.finish());
        } else {
            writer = Some(part);
        }
        rest = behind;
    }
    parts
}

/// Whether ids fit in one part.
fn fits(first: i64, chunk: i64) -> bool {
    u32::try_from(chunk.abs_diff(first)).is_ok()
}

/// Where the parts of a list that is too long for its head become rows.
pub struct PartRows<'a> {
    /// The number of the next one.
    pub next: &'a mut u32,
    pub row: &'a mut dyn FnMut(u32, &[u8]) -> Result<()>,
}

/// Appends a list: postings in ascending order of their chunks, each chunk once. Parts go behind the head where `rows` is `None` or
/// there is one that is small, and are rows of their own otherwise.
pub fn write(
    postings: &[Posting],
    origin: Origin,
    rows: Option<PartRows<'_>>,
    bytes: &mut Vec<u8>,
) -> Result<()> {
    let count = (postings.len() as u64) << 2;
    if postings.len() < FEW {
        put(bytes, count | IS_FEW);
        write_few(postings, origin, bytes);
        return Ok(());
    }
    let (first, last) = (postings[0].chunk, postings[postings.len() - 1].chunk);
    if postings.len() <= POSTINGS && fits(first, last) {
        put(bytes, count | IS_BLOCK);
        write_block(postings, origin, bytes);
        return Ok(());
    }
    let parts = parts(postings);
    let is_small = parts.len() == 1 && parts[0].1.len() <= EMBEDDED_BYTES;
    match rows {
        Some(rows) if !is_small => {
            put(bytes, count | IS_ROWS);
            put(bytes, u64::from(*rows.next));
            write_parts(&parts, origin, false, bytes);
            for (_, part) in &parts {
                (rows.row)(*rows.next, part)?;
                let too_many = || Error::too_large("a segment has more than 4 billion parts");
                *rows.next = rows.next.checked_add(1).ok_or_else(too_many)?;
            }
            Ok(())
        }
        _ => {
            put(bytes, count | IS_EMBEDDED);
            write_parts(&parts, origin, true, bytes);
            for (_, part) in &parts {
                bytes.extend(part);
            }
            Ok(())
        }
    }
}

fn write_few(postings: &[Posting], origin: Origin, bytes: &mut Vec<u8>) {
    let mut last = None;
    for posting in postings {
        match last {
            None => put_signed(bytes, posting.chunk.wrapping_sub(origin.chunk)),
            Some(last) => put(bytes, posting.chunk.abs_diff(last) - 1),
        }
        last = Some(posting.chunk);
        let is_often = u64::from(posting.frequency > 1);
        put(bytes, u64::from(posting.length.wrapping_sub(origin.length)) << 1 | is_often);
        if posting.frequency > 1 {
            put(bytes, u64::from(posting.frequency - 2));
        }
    }
}

fn write_block(postings: &[Posting], origin: Origin, bytes: &mut Vec<u8>) {
    let (first, last) = (postings[0].chunk, postings[postings.len() - 1].chunk);
    let shortest = postings.iter().map(|posting| posting.length).min().unwrap_or_default();
    put_signed(bytes, first.wrapping_sub(origin.chunk));
    put(bytes, last.abs_diff(first));
    put(bytes, shortest.into());
    let mut block = Block::default();
    fill(&mut block, postings, first, shortest);
    let mut data = Vec::new();
    bytes.extend(block.pack(u32::MAX, &mut data));
    bytes.append(&mut data);
}

fn write_parts(parts: &[(Part, Vec<u8>)], origin: Origin, is_embedded: bool, bytes: &mut Vec<u8>) {
    put(bytes, parts.len() as u64);
    let mut last = None;
    for (part, _) in parts {
        match last {
            None => put_signed(bytes, part.first.wrapping_sub(origin.chunk)),
            Some(last) => put(bytes, part.first.abs_diff(last) - 1),
        }
        last = Some(part.last);
        put(bytes, part.last.abs_diff(part.first));
        put(bytes, part.count as u64);
        put(bytes, u64::from(part.pair_count) | u64::from(part.real) << 3);
        let mut before = (0, 0);
        for &pair in &part.pairs[..usize::from(part.pair_count)] {
            put(bytes, u64::from(pair.0 - before.0));
            put(bytes, u64::from(pair.1 - before.1));
            before = pair;
        }
        if is_embedded {
            put(bytes, part.size as u64);
        }
    }
}

/// What a list's head says.
#[derive(Debug)]
pub enum Head<'a> {
    /// All postings: there are few.
    Few(Vec<Posting>),
    /// Parts, and their bytes where they follow the head.
    Parts(Vec<Part>, Option<&'a [u8]>),
}

/// Number of postings of a list.
pub fn count(mut bytes: &[u8]) -> Result<u64> {
    Ok(take(&mut bytes).ok_or_else(damaged)? >> 2)
}

/// Reads a list's head. An error for any bytes but those that [`write`] wrote.
pub fn read(bytes: &[u8], origin: Origin) -> Result<Head<'_>> {
    try_read(bytes, origin).ok_or_else(damaged)
}

fn try_read(mut bytes: &[u8], origin: Origin) -> Option<Head<'_>> {
    let head = take(&mut bytes)?;
    let (count, kind) = (usize::try_from(head >> 2).ok()?, head & 3);
    match kind {
        IS_FEW => read_few(bytes, count, origin).map(Head::Few),
        IS_BLOCK => read_block(bytes, count, origin).map(Head::Few),
        _ => {
            let parts = read_parts(&mut bytes, count, origin, kind == IS_EMBEDDED)?;
            let size: usize = parts.iter().map(|part| part.size).sum();
            let is_embedded = kind == IS_EMBEDDED;
            (bytes.len() == size).then_some(Head::Parts(parts, is_embedded.then_some(bytes)))
        }
    }
}

fn read_few(mut bytes: &[u8], count: usize, origin: Origin) -> Option<Vec<Posting>> {
    if count >= FEW {
        return None;
    }
    let mut postings: Vec<Posting> = Vec::with_capacity(count);
    for _ in 0..count {
        let chunk = match postings.last() {
            None => origin.chunk.wrapping_add(take_signed(&mut bytes)?),
            Some(last) => last.chunk.checked_add_unsigned(take(&mut bytes)?)?.checked_add(1)?,
        };
        let length = take(&mut bytes)?;
        let frequency = if length & 1 == 0 { 1 } else { take_u32(&mut bytes)?.checked_add(2)? };
        let length = u32::try_from(length >> 1).ok()?.wrapping_add(origin.length);
        postings.push(Posting { chunk, frequency, length });
    }
    bytes.is_empty().then_some(postings)
}

fn read_block(mut bytes: &[u8], count: usize, origin: Origin) -> Option<Vec<Posting>> {
    let first = origin.chunk.wrapping_add(take_signed(&mut bytes)?);
    let last = take_u32(&mut bytes)?;
    first.checked_add_unsigned(last.into())?;
    let shortest = take_u32(&mut bytes)?;
    let widths: Widths = take_bytes(&mut bytes, 3)?.try_into().ok()?;
    if !(1..=POSTINGS).contains(&count) || size(count, widths) != bytes.len() {
        return None;
    }
    let mut block = Block::default();
    block.unpack(bytes, count, widths, u32::MAX, last)?;
    let mut postings = Vec::with_capacity(count);
    append(&block, first, shortest, &mut postings)?;
    Some(postings)
}

/// Appends the postings of a block.
fn append(block: &Block, first: i64, shortest: u32, postings: &mut Vec<Posting>) -> Option<()> {
    for i in 0..block.count {
        postings.push(Posting {
            chunk: first.wrapping_add(block.offsets[i].into()),
            frequency: block.frequencies[i].checked_add(1)?,
            length: block.lengths[i].wrapping_add(shortest),
        });
    }
    Some(())
}

fn read_parts(
    bytes: &mut &[u8],
    count: usize,
    origin: Origin,
    is_embedded: bool,
) -> Option<Vec<Part>> {
    let first_row = if is_embedded { 0 } else { take_size(bytes)? };
    let number = take_size(bytes)?;
    // A damaged number must not make memory be asked for: a part takes six bytes and more.
    let mut parts: Vec<Part> = Vec::with_capacity(number.min(bytes.len() / 6));
    let (mut counted, mut at) = (0_usize, first_row);
    for _ in 0..number {
        let first = match parts.last() {
            None => origin.chunk.wrapping_add(take_signed(bytes)?),
            Some(last) => last.last.checked_add_unsigned(take(bytes)?)?.checked_add(1)?,
        };
        let last = first.checked_add_unsigned(take_u32(bytes)?.into())?;
        let count = take_size(bytes).filter(|count| *count > 0)?;
        let pair_bits = take(bytes)?;
        let pair_count = (pair_bits & 7) as usize;
        let real = u8::try_from(pair_bits >> 3).ok()?;
        if !(1..=PART_PAIRS).contains(&pair_count) {
            return None;
        }
        let mut pairs = [(0_u32, 0_u32); PART_PAIRS];
        let mut before = (0_u32, 0_u32);
        for pair in &mut pairs[..pair_count] {
            let more = (take_u32(bytes)?, take_u32(bytes)?);
            *pair = (before.0.checked_add(more.0)?, before.1.checked_add(more.1)?);
            before = *pair;
        }
        let size = if is_embedded { take_size(bytes)? } else { 0 };
        let pair_count = pair_count as u8;
        parts.push(Part { first, last, count, pairs, pair_count, real, at, size });
        counted = counted.checked_add(count)?;
        at = at.checked_add(if is_embedded { size } else { 1 })?;
    }
    (counted == count).then_some(parts)
}

impl Part {
    /// The part's bytes among those that follow its list's head.
    pub fn embedded<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        bytes.get(self.at..self.at + self.size).ok_or_else(damaged)
    }

    /// The number of the part's row.
    pub fn row(&self) -> Result<u32> {
        u32::try_from(self.at).ok().filter(|row| *row > 0).ok_or_else(damaged)
    }
}

/// A part's blocks, none of them unpacked yet.
#[derive(Debug, Default)]
pub struct Blocks<'a> {
    bytes: Cow<'a, [u8]>,
    /// Number of its first posting's chunk.
    pub first: i64,
    count: usize,
    /// Where each block's bytes begin, and where the last one's end.
    starts: Vec<u32>,
}

impl<'a> Blocks<'a> {
    /// Looks at what a part says of its blocks. Afterwards each of them has its bytes.
    pub fn open(&mut self, part: &Part, bytes: Cow<'a, [u8]>) -> Result<()> {
        self.bytes = bytes;
        self.try_open(part).ok_or_else(damaged)
    }

    fn try_open(&mut self, part: &Part) -> Option<()> {
        self.first = part.first;
        self.count = part.count;
        self.starts.clear();
        let number = part.count.div_ceil(POSTINGS);
        let mut at = number.checked_mul(ENTRY).filter(|size| *size <= self.bytes.len())?;
        let mut before = None;
        for block in 0..number {
            self.starts.push(u32::try_from(at).ok()?);
            let last = self.last(block);
            // Ids ascend, one a posting.
            let room = before.map_or(u64::from(last) + 1, |before: u32| {
                u64::from(last).saturating_sub(before.into())
            });
            if room < self.len(block) as u64 {
                return None;
            }
            before = Some(last);
            let widths = self.widths(block);
            if widths.iter().any(|width| *width > 32) {
                return None;
            }
            at += size(self.len(block), widths);
        }
        self.starts.push(u32::try_from(at).ok()?);
        let is_whole = at == self.bytes.len();
        let ends = before.is_some_and(|last| u64::from(last) == part.last.abs_diff(part.first));
        (is_whole && ends).then_some(())
    }

    /// Number of blocks.
    pub fn number(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Number of postings of a block.
    fn len(&self, block: usize) -> usize {
        (self.count - block * POSTINGS).min(POSTINGS)
    }

    /// The highest id in a block, from the part's first.
    pub fn last(&self, block: usize) -> u32 {
        let entry = &self.bytes[block * ENTRY..][..4];
        u32::from_le_bytes(entry.try_into().expect("four bytes"))
    }

    /// Widths of its integers.
    pub fn widths(&self, block: usize) -> Widths {
        self.bytes[block * ENTRY + 4..][..3].try_into().expect("three bytes")
    }

    fn pairs(&self, block: usize) -> [Pair; BLOCK_PAIRS] {
        let entry = &self.bytes[block * ENTRY + 7..][..3 * BLOCK_PAIRS];
        std::array::from_fn(|i| {
            let length = &entry[BLOCK_PAIRS + 2 * i..][..2];
            let length = u16::from_le_bytes(length.try_into().expect("two bytes"));
            let frequency = if entry[i] == u8::MAX { u32::MAX } else { entry[i].into() };
            (frequency, length.into())
        })
    }

    /// The shortest length, as far as it is subtracted from the block's lengths.
    pub fn shortest(&self, block: usize) -> u32 {
        self.pairs(block)[0].1
    }

    /// What no score in a block is above.
    pub fn bound(&self, block: usize, impacts: &Impacts, idf: f64) -> f64 {
        let pairs = self.pairs(block).into_iter();
        let scores = pairs.map(|(frequency, length)| impacts.score(idf, frequency, length));
        scores.fold(0.0, f64::max)
    }

    /// Unpacks a block.
    pub fn unpack(&self, block: usize, into: &mut Block) -> Result<()> {
        let range = self.starts[block] as usize..self.starts[block + 1] as usize;
        let before = if block == 0 { u32::MAX } else { self.last(block - 1) };
        let (widths, last) = (self.widths(block), self.last(block));
        into.unpack(&self.bytes[range], self.len(block), widths, before, last).ok_or_else(damaged)
    }

    /// Appends all postings. An error also where one of them is not below what the part or its block say bounds it.
    pub fn append(&self, part: &Part, postings: &mut Vec<Posting>) -> Result<()> {
        self.try_append(part, postings).ok_or_else(damaged)
    }

    fn try_append(&self, part: &Part, postings: &mut Vec<Posting>) -> Option<()> {
        let mut block = Block::default();
        let part_pairs = &part.pairs[..usize::from(part.pair_count)];
        let mut real = 0;
        for number in 0..self.number() {
            self.unpack(number, &mut block).ok()?;
            let pairs = self.pairs(number);
            let start = postings.len();
            append(&block, self.first, pairs[0].1, postings)?;
            for &Posting { frequency, length, .. } in &postings[start..] {
                let is_below = |pair: &Pair| frequency <= pair.0 && length >= pair.1;
                let above = part_pairs.iter().position(is_below)?;
                pairs.iter().find(|pair| is_below(pair))?;
                if part_pairs[above] == (frequency, length) {
                    real |= 1 << above;
                }
            }
        }
        (real & part.real == part.real).then_some(())
    }
}
