//! Groups: the lists of lexemes that follow each other, each lexeme without what it shares with the one before it.
use super::bytes::{prefix, put, take_bytes, take_size, take_word};
use super::list::{self, Blocks, Head, Origin};
use super::{Lists, Posting, damaged};
use crate::{Error, Result};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

/// Every so many lexemes one stands whole, for searching.
const WHOLE_EVERY: usize = 16;

/// Bytes before the offsets of whole lexemes: origin, number of offsets.
const HEADER: usize = 8 + 4 + 4;

/// A group being written.
#[derive(Default)]
pub struct Writer {
    first: Vec<u8>,
    last: Vec<u8>,
    offsets: Vec<u32>,
    entries: Vec<u8>,
    count: usize,
}

impl Writer {
    /// Its first lexeme.
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the finished group, and of the row that it becomes with its first lexeme.
    pub fn size(&self) -> usize {
        HEADER + self.offsets.len() * 4 + self.entries.len() + self.first.len()
    }

    /// Adds a list. Lexemes ascend by their bytes.
    pub fn add(&mut self, lexeme: &[u8], list: &[u8]) -> Result<()> {
        let mut shared = 0;
        if self.count.is_multiple_of(WHOLE_EVERY) {
            let offset = u32::try_from(self.entries.len());
            let too_large = |_| Error::too_large("posting lists of one value exceed 4 GB");
            self.offsets.push(offset.map_err(too_large)?);
        } else {
            shared = self.last.iter().zip(lexeme).take_while(|(a, b)| a == b).count();
        }
        if self.count == 0 {
            self.first = lexeme.to_vec();
        }
        put(&mut self.entries, shared as u64);
        put(&mut self.entries, (lexeme.len() - shared) as u64);
        self.entries.extend(&lexeme[shared..]);
        put(&mut self.entries, list.len() as u64);
        self.entries.extend(list);
        self.last.truncate(shared);
        self.last.extend(&lexeme[shared..]);
        self.count += 1;
        Ok(())
    }

    /// The group's bytes; the writer is empty afterwards.
    pub fn finish(&mut self, origin: Origin) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        bytes.extend(origin.chunk.to_le_bytes());
        bytes.extend(origin.length.to_le_bytes());
        bytes.extend((self.offsets.len() as u32).to_le_bytes());
        self.offsets.iter().for_each(|offset| bytes.extend(offset.to_le_bytes()));
        bytes.append(&mut self.entries);
        self.offsets.clear();
        self.count = 0;
        bytes
    }
}

/// A group's bytes, taken apart.
struct Group<'a> {
    origin: Origin,
    offsets: &'a [u8],
    entries: &'a [u8],
}

impl<'a> Group<'a> {
    fn open(mut bytes: &'a [u8]) -> Option<Self> {
        let chunk = i64::from_le_bytes(take_bytes(&mut bytes, 8)?.try_into().ok()?);
        let length = take_word(&mut bytes)?;
        let offsets = usize::try_from(take_word(&mut bytes)?).ok()?.checked_mul(4)?;
        let offsets = take_bytes(&mut bytes, offsets)?;
        // A group has a lexeme: zeros are no group.
        if offsets.is_empty() {
            return None;
        }
        Some(Self { origin: Origin { chunk, length }, offsets, entries: bytes })
    }

    fn offset(&self, number: usize) -> usize {
        let word = &self.offsets[number * 4..][..4];
        u32::from_le_bytes(word.try_into().expect("four bytes")) as usize
    }

    /// The bytes of a lexeme's list.
    fn find(&self, lexeme: &[u8]) -> Result<Option<&'a [u8]>> {
        let (mut low, mut high) = (0, self.offsets.len() / 4);
        // The last whole lexeme that is not greater.
        while low < high {
            let middle = low.midpoint(high);
            let mut rest = self.at(middle)?;
            let entry = Entry::take(&mut rest).ok_or_else(damaged)?;
            match entry.suffix.cmp(lexeme) {
                _ if entry.shared > 0 => return Err(damaged()),
                Ordering::Equal => return Ok(Some(entry.list)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        if low == 0 {
            return Ok(None);
        }
        let mut rest = self.at(low - 1)?;
        let mut current = Vec::new();
        for _ in 0..WHOLE_EVERY {
            if rest.is_empty() {
                break;
            }
            let entry = Entry::take(&mut rest).ok_or_else(damaged)?;
            entry.complete(&mut current).ok_or_else(damaged)?;
            match current[..].cmp(lexeme) {
                Ordering::Equal => return Ok(Some(entry.list)),
                Ordering::Less => {}
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    /// The entries from a whole lexeme on.
    fn at(&self, number: usize) -> Result<&'a [u8]> {
        self.entries.get(self.offset(number)..).ok_or_else(damaged)
    }
}

struct Entry<'a> {
    shared: usize,
    suffix: &'a [u8],
    list: &'a [u8],
}

impl<'a> Entry<'a> {
    fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let shared = take_size(rest)?;
        let suffix = take_size(rest)?;
        let suffix = take_bytes(rest, suffix)?;
        let list = take_size(rest)?;
        let list = take_bytes(rest, list)?;
        Some(Self { shared, suffix, list })
    }

    /// Makes the lexeme before this one into this one.
    fn complete(&self, lexeme: &mut Vec<u8>) -> Option<()> {
        if self.shared > lexeme.len() {
            return None;
        }
        lexeme.truncate(self.shared);
        lexeme.extend(self.suffix);
        Some(())
    }
}

/// The bytes of a lexeme's list in a group, and the group's origin.
pub fn find<'a>(group: &'a [u8], lexeme: &str) -> Result<Option<(&'a [u8], Origin)>> {
    let group = Group::open(group).ok_or_else(damaged)?;
    let list = group.find(lexeme.as_bytes())?;
    Ok(list.map(|list| (list, group.origin)))
}

/// A segment in one value: a group of all lists, however long; without chunks no bytes. Damage is found while it is read.
#[derive(Debug, Clone, Default)]
pub struct Inline<'a> {
    bytes: Cow<'a, [u8]>,
    is_read: bool,
}

impl<'a> From<&'a [u8]> for Inline<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.into(), is_read: false }
    }
}

impl From<Vec<u8>> for Inline<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), is_read: false }
    }
}

impl Lists for Inline<'_> {
    fn group(&self, _: &str) -> Result<Option<Cow<'_, [u8]>>> {
        Ok((!self.bytes.is_empty()).then_some(Cow::Borrowed(&*self.bytes)))
    }

    fn part(&self, _: u32) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(None)
    }
}

/// A segment from its first lexeme to its last.
pub trait Source {
    /// The next row of part 0 in the order of lexemes.
    fn next_group(&mut self) -> Result<Option<Cow<'_, [u8]>>>;
    /// A part of a long list. Numbers ascend from the segment's first list to its last.
    fn part(&mut self, part: u32) -> Result<Option<Cow<'_, [u8]>>>;
}

impl Source for Inline<'_> {
    fn next_group(&mut self) -> Result<Option<Cow<'_, [u8]>>> {
        let is_read = std::mem::replace(&mut self.is_read, true);
        Ok((!is_read && !self.bytes.is_empty()).then_some(Cow::Borrowed(&*self.bytes)))
    }

    fn part(&mut self, _: u32) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(None)
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next_group(&mut self) -> Result<Option<Cow<'_, [u8]>>> {
        (**self).next_group()
    }

    fn part(&mut self, part: u32) -> Result<Option<Cow<'_, [u8]>>> {
        (**self).part(part)
    }
}

/// Reads a segment list by list.
pub struct Reader<S> {
    source: S,
    group: Vec<u8>,
    origin: Origin,
    /// Where the next list's entry begins, and how many of the group are before it.
    at: usize,
    number: usize,
    is_begun: bool,
    lexeme: Vec<u8>,
    prefix: u64,
    list: Range<usize>,
}

impl<S: Source> Reader<S> {
    /// Before the first list.
    pub fn new(source: S) -> Self {
        Self {
            source,
            group: Vec::new(),
            origin: Origin::default(),
            at: 0,
            number: 0,
            is_begun: false,
            lexeme: Vec::new(),
            prefix: 0,
            list: 0..0,
        }
    }

    /// Goes to the next list; `None` behind the last. Its lexeme. Damage anywhere in a group, also in what is for searching it, is an error.
    pub fn advance(&mut self) -> Result<Option<&str>> {
        while self.at == self.group.len() {
            let Some(group) = self.source.next_group()? else { return Ok(None) };
            self.group.clear();
            self.group.extend_from_slice(&group);
            let opened = Group::open(&self.group).ok_or_else(damaged)?;
            self.origin = opened.origin;
            self.at = self.group.len() - opened.entries.len();
            self.number = 0;
            if opened.entries.is_empty() {
                return Err(damaged());
            }
        }
        self.try_advance().ok_or_else(damaged)?;
        std::str::from_utf8(&self.lexeme).map(Some).map_err(|_| damaged())
    }

    fn try_advance(&mut self) -> Option<()> {
        let group = Group::open(&self.group)?;
        let mut rest = &self.group[self.at..];
        let entry = Entry::take(&mut rest)?;
        let end = self.group.len() - rest.len();
        self.list = end - entry.list.len()..end;
        // Where a lexeme should stand whole it does, and is found.
        let whole = self.number / WHOLE_EVERY;
        if self.number.is_multiple_of(WHOLE_EVERY) {
            let offset = self.at - (self.group.len() - group.entries.len());
            let is_found = whole < group.offsets.len() / 4 && group.offset(whole) == offset;
            (is_found && entry.shared == 0).then_some(())?;
        }
        self.number += 1;
        if rest.is_empty() && group.offsets.len() / 4 != self.number.div_ceil(WHOLE_EVERY) {
            return None;
        }
        // It is greater than the one before: what is not shared with that is.
        let before = self.lexeme.get(entry.shared..)?;
        if self.is_begun && entry.suffix <= before {
            return None;
        }
        self.is_begun = true;
        entry.complete(&mut self.lexeme)?;
        self.prefix = prefix(&self.lexeme);
        self.at = end;
        Some(())
    }

    /// Bytes of the lexeme it stands at.
    pub fn lexeme(&self) -> &[u8] {
        &self.lexeme
    }

    /// What the lexeme it stands at is ordered by: a number that decides for most, and its bytes.
    pub(super) fn key(&self) -> (u64, &[u8]) {
        (self.prefix, &self.lexeme)
    }

    /// Appends the postings of the list it stands at.
    pub fn append(&mut self, postings: &mut Vec<Posting>) -> Result<()> {
        let (parts, embedded) = match list::read(&self.group[self.list.clone()], self.origin)? {
            Head::Few(few) => {
                postings.extend(few);
                return Ok(());
            }
            Head::Parts(parts, embedded) => (parts, embedded),
        };
        for part in &parts {
            let bytes = match embedded {
                Some(bytes) => Cow::Borrowed(part.embedded(bytes)?),
                None => self.source.part(part.row()?)?.ok_or_else(damaged)?,
            };
            let mut blocks = Blocks::default();
            blocks.open(part, bytes)?;
            blocks.append(part, postings)?;
        }
        Ok(())
    }

    /// Goes to the next list, and reads its postings. Its lexeme; `None` behind the last.
    pub fn next_list(&mut self, postings: &mut Vec<Posting>) -> Result<Option<&str>> {
        postings.clear();
        if self.advance()?.is_none() {
            return Ok(None);
        }
        self.append(postings)?;
        std::str::from_utf8(&self.lexeme).map(Some).map_err(|_| damaged())
    }
}
