//! Groups: the lists of lexemes that follow each other, each lexeme without what it shares with the one before it.
use super::bytes::{put, take_bytes, take_size, take_word};
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
    fn find(&self, lexeme: &[u8]) -> Option<Option<&'a [u8]>> {
        let (mut low, mut high) = (0, self.offsets.len() / 4);
        // The last whole lexeme that is not greater.
        while low < high {
            let middle = low.midpoint(high);
            let mut rest = self.entries.get(self.offset(middle)..)?;
            let entry = Entry::take(&mut rest)?;
            match entry.suffix.cmp(lexeme) {
                _ if entry.shared > 0 => return None,
                Ordering::Equal => return Some(Some(entry.list)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        if low == 0 {
            return Some(None);
        }
        let mut rest = self.entries.get(self.offset(low - 1)..)?;
        let mut current = Vec::new();
        for _ in 0..WHOLE_EVERY {
            if rest.is_empty() {
                break;
            }
            let entry = Entry::take(&mut rest)?;
            entry.complete(&mut current)?;
            match current[..].cmp(lexeme) {
                Ordering::Equal => return Some(Some(entry.list)),
                Ordering::Less => {}
                Ordering::Greater => break,
            }
        }
        Some(None)
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
    let list = group.find(lexeme.as_bytes()).ok_or_else(damaged)?;
    Ok(list.map(|list| (list, group.origin)))
}

/// A segment in one value: a group of all lists, however long. Damage is found while it is read.
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
        Ok(Some(Cow::Borrowed(&self.bytes)))
    }

    fn part(&self, _: &str, _: u32) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(None)
    }
}

/// A segment from its first lexeme to its last.
pub trait Source {
    /// The next row of part 0 in the order of lexemes.
    fn next_group(&mut self) -> Result<Option<Cow<'_, [u8]>>>;
    /// A part, numbered from 1, of a list that was read last; ascending.
    fn part(&mut self, lexeme: &str, part: u32) -> Result<Option<Cow<'_, [u8]>>>;
}

impl Source for Inline<'_> {
    fn next_group(&mut self) -> Result<Option<Cow<'_, [u8]>>> {
        let is_read = std::mem::replace(&mut self.is_read, true);
        Ok((!is_read).then_some(Cow::Borrowed(&*self.bytes)))
    }

    fn part(&mut self, _: &str, _: u32) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(None)
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next_group(&mut self) -> Result<Option<Cow<'_, [u8]>>> {
        (**self).next_group()
    }

    fn part(&mut self, lexeme: &str, part: u32) -> Result<Option<Cow<'_, [u8]>>> {
        (**self).part(lexeme, part)
    }
}

/// Reads a segment list by list.
pub struct Reader<S> {
    source: S,
    group: Vec<u8>,
    origin: Origin,
    /// Where the next list's entry begins.
    at: usize,
    lexeme: Vec<u8>,
    list: Range<usize>,
}

impl<S: Source> Reader<S> {
    /// Before the first list.
    pub fn new(source: S) -> Self {
        let (group, lexeme) = (Vec::new(), Vec::new());
        Self { source, group, origin: Origin::default(), at: 0, lexeme, list: 0..0 }
    }

    /// Goes to the next list; `None` behind the last. Its lexeme.
    pub fn advance(&mut self) -> Result<Option<&str>> {
        let mut is_first = self.group.is_empty() && self.at == 0;
        let mut is_whole = false;
        while self.at >= self.group.len() {
            let Some(group) = self.source.next_group()? else { return Ok(None) };
            self.group.clear();
            self.group.extend_from_slice(&group);
            let opened = Group::open(&self.group).ok_or_else(damaged)?;
            self.origin = opened.origin;
            self.at = self.group.len() - opened.entries.len();
            is_whole = true;
        }
        let mut rest = &self.group[self.at..];
        let entry = Entry::take(&mut rest).ok_or_else(damaged)?;
        if is_whole && entry.shared > 0 {
            return Err(damaged());
        }
        let end = self.group.len() - rest.len();
        self.list = end - entry.list.len()..end;
        // Ascends: the part that differs from the lexeme before is greater.
        let ascends = match self.lexeme.get(entry.shared..) {
            Some(before) => entry.suffix > before || std::mem::take(&mut is_first),
            None => false,
        };
        entry.complete(&mut self.lexeme).filter(|()| ascends).ok_or_else(damaged)?;
        self.at = end;
        std::str::from_utf8(&self.lexeme).map(Some).map_err(|_| damaged())
    }

    /// Bytes of the lexeme it stands at.
    pub fn lexeme(&self) -> &[u8] {
        &self.lexeme
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
        let lexeme = std::str::from_utf8(&self.lexeme).map_err(|_| damaged())?;
        let mut blocks = Blocks::default();
        for (number, part) in (1..).zip(&parts) {
            let bytes = match embedded {
                Some(bytes) => Cow::Borrowed(part.embedded(bytes)?),
                None => self.source.part(lexeme, number)?.ok_or_else(damaged)?,
            };
            blocks.open(part, &bytes)?;
            blocks.append(&bytes, postings)?;
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
