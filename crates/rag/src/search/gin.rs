//! Pages of a GIN index over one column of lexemes, as PostgreSQL has kept them since 9.4 (`src/include/access/ginblock.h`):
//! an entry tree with one entry per lexeme, whose posting list lies beside the lexeme or in a posting tree of its own; and
//! a pending list. Bytes that are no such page give an error, never a panic; so do compressed lexemes and big-endian
//! machines.
use super::sample::Tid;

/// The metapage, which points to the pending list.
pub const META: u32 = 0;
/// The root of the entry tree.
pub const ROOT: u32 = 1;
/// No page.
const NO_PAGE: u32 = u32::MAX;

const HEADER: usize = 24;
const SPECIAL: usize = 8;
const TUPLE_HEADER: usize = 8;
const DATA: u16 = 1;
const LEAF: u16 = 1 << 1;
const DELETED: u16 = 1 << 2;
const COMPRESSED: u16 = 1 << 7;
/// Stands for the number of TIDs where they are in a posting tree.
const POSTING_TREE: u16 = u16::MAX;
/// Marks entries without a key.
const HAS_NULLS: u16 = 1 << 15;
/// Marks a compressed posting list beside a lexeme.
const PACKED: u32 = 1 << 31;
/// Most bytes of a difference between two TIDs.
const MOST_BYTES: usize = 7;
/// Bits of a packed TID that hold the offset number.
const OFFSET_BITS: u32 = 11;

/// Bytes that are no page of such an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

type Result<T> = std::result::Result<T, Malformed>;

/// A TID packed into a number; numbers are in the order of TIDs.
pub fn packed((page, offset): Tid) -> u64 {
    u64::from(page) << OFFSET_BITS | u64::from(offset)
}

/// The TID of a packed one.
pub fn tid(packed: u64) -> Tid {
    ((packed >> OFFSET_BITS) as u32, (packed & ((1 << OFFSET_BITS) - 1)) as u16)
}

/// A page.
#[derive(Clone, Copy)]
pub struct Page<'a>(&'a [u8]);

/// Where a lexeme's posting list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Postings<'a> {
    /// In the posting tree with this root.
    Tree(u32),
    /// In these bytes.
    Packed(&'a [u8]),
}

/// Lexeme and packed TID of an entry of the pending list.
pub type PendingEntry<'a> = (Option<&'a [u8]>, u64);

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<T> {
    /// Down or to the right.
    To(u32),
    /// Nowhere.
    Here(T),
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    let bytes = bytes.get(at..at + 2).ok_or(Malformed)?;
    Ok(u16::from_ne_bytes([bytes[0], bytes[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let bytes = bytes.get(at..at + 4).ok_or(Malformed)?;
    Ok(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// A block number: two halves, the higher first. A TID is a block number and an offset number.
fn block_at(bytes: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from(u16_at(bytes, at)?) << 16 | u32::from(u16_at(bytes, at + 2)?))
}

fn tid_at(bytes: &[u8], at: usize) -> Result<Tid> {
    Ok((block_at(bytes, at)?, u16_at(bytes, at + 4)?))
}

/// The packed TID there.
fn packed_at(bytes: &[u8], at: usize) -> Result<u64> {
    let tid = tid_at(bytes, at)?;
    if tid.1 < 1 << OFFSET_BITS { Ok(packed(tid)) } else { Err(Malformed) }
}

impl<'a> Page<'a> {
    /// A page from its bytes.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        // Line pointers and lengths of texts are laid out otherwise elsewhere.
        let is_readable = cfg!(target_endian = "little") && bytes.len() >= HEADER + SPECIAL;
        if is_readable { Ok(Self(bytes)) } else { Err(Malformed) }
    }

    fn special(self, at: usize) -> &'a [u8] {
        &self.0[self.0.len() - SPECIAL + at..]
    }

    fn has(self, flag: u16) -> bool {
        u16_at(self.special(6), 0).is_ok_and(|flags| flags & flag != 0)
    }

    /// The page to the right, if there is one.
    pub fn right(self) -> Option<u32> {
        u32_at(self.special(0), 0).ok().filter(|page| *page != NO_PAGE)
    }

    /// The first page of the pending list, by the page [`META`].
    pub fn pending_head(self) -> Result<Option<u32>> {
        Ok(Some(u32_at(self.0, HEADER)?).filter(|page| *page != NO_PAGE))
    }

    fn count(self) -> Result<usize> {
        let lower = usize::from(u16_at(self.0, 12)?);
        Ok(lower.saturating_sub(HEADER) / 4)
    }

    fn tuple(self, at: usize) -> Result<&'a [u8]> {
        let pointer = u32_at(self.0, HEADER + 4 * at)?;
        let (start, length) = ((pointer & 0x7fff) as usize, (pointer >> 17) as usize);
        self.0.get(start..start + length).ok_or(Malformed)
    }

    /// The entries of the pending list on this page.
    pub fn pending_entries(self) -> Result<impl Iterator<Item = Result<PendingEntry<'a>>>> {
        let entry = move |at| {
            let tuple = self.tuple(at)?;
            Ok((lexeme(tuple)?, packed_at(tuple, 0)?))
        };
        Ok((0..self.count()?).map(entry))
    }

    /// From a page of the entry tree: where to look for the lexeme, or its posting list.
    pub fn find(self, wanted: &[u8]) -> Result<Step<Option<Postings<'a>>>> {
        let count = self.count()?;
        // On inner pages the last key counts as higher than all where nothing is to the right.
        let is_leaf = self.has(LEAF);
        let mut range = 0..count;
        while !range.is_empty() {
            let middle = usize::midpoint(range.start, range.end);
            let is_last = middle + 1 == count && self.right().is_none() && !is_leaf;
            if is_last || lexeme(self.tuple(middle)?)?.is_none_or(|lexeme| lexeme >= wanted) {
                range.end = middle;
            } else {
                range.start = middle + 1;
            }
        }
        if range.start == count {
            return Ok(self.right().map_or(Step::Here(None), Step::To));
        }
        let tuple = self.tuple(range.start)?;
        if !is_leaf {
            return Ok(Step::To(block_at(tuple, 0)?));
        }
        if lexeme(tuple)? != Some(wanted) {
            return Ok(Step::Here(None));
        }
        let (at, tids) = tid_at(tuple, 0)?;
        if tids == POSTING_TREE {
            return Ok(Step::Here(Some(Postings::Tree(at))));
        }
        if at & PACKED == 0 && tids > 0 {
            return Err(Malformed);
        }
        let packed = tuple.get((at & !PACKED) as usize..).ok_or(Malformed)?;
        Ok(Step::Here(Some(Postings::Packed(if tids == 0 { &[] } else { packed }))))
    }

    /// From a page of a posting tree: the leftmost page below, or nothing where this is a leaf.
    pub fn leftmost(self) -> Result<Step<()>> {
        if !self.has(DATA) {
            return Err(Malformed);
        }
        // Behind the TID that bounds the page.
        if self.has(LEAF) {
            Ok(Step::Here(()))
        } else {
            Ok(Step::To(block_at(self.0, HEADER + 8)?))
        }
    }

    /// From an inner page of a posting tree: how many pages are below.
    pub fn children(self) -> Result<u16> {
        u16_at(self.special(4), 0)
    }

    /// Adds the TIDs of a leaf of a posting tree to `tids`.
    pub fn unpack(self, tids: &mut Vec<u64>) -> Result<()> {
        if self.has(DELETED) {
            return Ok(());
        }
        if !self.has(DATA) || !self.has(LEAF) || !self.has(COMPRESSED) {
            return Err(Malformed);
        }
        let lower = usize::from(u16_at(self.0, 12)?);
        unpack(self.0.get(HEADER + 8..lower).ok_or(Malformed)?, tids)
    }
}

/// The key of an entry; `None` for one of rows without lexemes, which comes after all others.
fn lexeme(tuple: &[u8]) -> Result<Option<&[u8]>> {
    let info = u16_at(tuple, 6)?;
    if info & HAS_NULLS != 0 {
        return Ok(None);
    }
    let text = tuple.get(TUPLE_HEADER..).ok_or(Malformed)?;
    let (start, length) = match *text.first().ok_or(Malformed)? {
        // One byte that counts itself, or four whose upper bits do; the others say how the text is packed.
        first if first & 1 == 1 => (1, usize::from(first >> 1)),
        first if first & 2 == 0 => (4, (u32_at(text, 0)? >> 2) as usize),
        _ => return Err(Malformed),
    };
    text.get(start..length).map(Some).ok_or(Malformed)
}

/// Adds the TIDs of compressed segments to `tids`, in ascending order. A segment has its first TID, how many bytes follow,
/// and in these the differences from TID to TID: seven bits a byte, the lowest first, the eighth bit set where more follow.
pub fn unpack(mut segments: &[u8], tids: &mut Vec<u64>) -> Result<()> {
    while segments.len() >= 8 {
        let mut current = packed_at(segments, 0)?;
        let length = usize::from(u16_at(segments, 6)?);
        let end = 8 + length;
        if end > segments.len() || tids.last().is_some_and(|last| current < *last) {
            return Err(Malformed);
        }
        tids.push(current);
        let mut at = 8;
        while at < end {
            if let Some((one, two, bytes)) = two_differences(&segments[at..], end - at) {
                tids.extend([current + one, current + one + two]);
                current += one + two;
                at += bytes;
            } else {
                let (difference, bytes) = difference(&segments[at..end]);
                current += difference;
                tids.push(current);
                at += bytes;
            }
        }
        if current >> (u32::BITS + OFFSET_BITS) > 0 {
            return Err(Malformed);
        }
        segments = segments.get(8 + length.next_multiple_of(2)..).unwrap_or(&[]);
    }
    Ok(())
}

/// The first difference of these bytes, and how many of them it takes.
fn difference(bytes: &[u8]) -> (u64, usize) {
    let mut difference = 0;
    let mut taken = 0;
    for byte in bytes.iter().take(MOST_BYTES) {
        difference |= u64::from(byte & 0x7f) << (7 * taken);
        taken += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (difference, taken)
}

/// The first two differences, and how many bytes they take, where these are among the first `length`. How long a
/// difference is no processor guesses well, so here is nothing to guess.
#[inline]
fn two_differences(bytes: &[u8], length: usize) -> Option<(u64, u64, usize)> {
    let bytes = u64::from_le_bytes(bytes.first_chunk().copied()?);
    let ends = !bytes & 0x8080_8080_8080_8080;
    let later = ends & ends.wrapping_sub(1);
    let taken = later.trailing_zeros() as usize / 8 + 1;
    if later == 0 || taken > length {
        return None;
    }
    let up_to = |end: u64| bytes & (end ^ end.wrapping_sub(1));
    let two = up_to(later) >> (ends.trailing_zeros() + 1);
    Some((sevens(up_to(ends)), sevens(two), taken))
}

/// The lower seven bits of each byte, side by side.
fn sevens(bytes: u64) -> u64 {
    let bytes = bytes & 0x007f_007f_007f_007f | (bytes & 0x7f00_7f00_7f00_7f00) >> 1;
    let bytes = bytes & 0x0000_3fff_0000_3fff | (bytes & 0x3fff_0000_3fff_0000) >> 2;
    bytes & 0x0fff_ffff | (bytes & 0x0fff_ffff_0000_0000) >> 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::postings::{PostingList, top_k};
    use proptest::prelude::*;

    fn compressed(tids: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for segment in tids.chunks(50) {
            let (page, at) = tid(segment[0]);
            let mut deltas = Vec::new();
            for pair in segment.windows(2) {
                let mut delta = pair[1] - pair[0];
                while delta > 0x7f {
                    deltas.push(0x80 | (delta & 0x7f) as u8);
                    delta >>= 7;
                }
                deltas.push(delta as u8);
            }
            for half in [(page >> 16) as u16, page as u16, at, deltas.len() as u16] {
                bytes.extend(half.to_ne_bytes());
            }
            bytes.extend(&deltas);
            bytes.extend(vec![0; deltas.len() % 2]);
        }
        bytes
    }

    proptest! {
        #[test]
        fn compressed_posting_lists_decode_to_their_tids(gaps in prop::collection::vec((0..37_u32, any::<u64>()), 1..300)) {
            // As many of few bytes as of many.
            let gaps = gaps.into_iter().map(|(bits, gap)| 1 + gap % (1 << bits));
            let highest = packed((u32::MAX - 1, 2_047));
            let tids = gaps.scan(0, |last, gap| { *last += gap; Some(*last) });
            let tids: Vec<u64> = tids.take_while(|tid| *tid < highest).chain([highest]).collect();
            let mut found = Vec::new();
            prop_assert_eq!(unpack(&compressed(&tids), &mut found), Ok(()));
            prop_assert_eq!(found, tids);
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), wanted in prop::collection::vec(any::<u8>(), 0..5), flags in any::<u8>()) {
            let mut tids = Vec::new();
            if unpack(&bytes, &mut tids).is_ok() {
                prop_assert!(tids.is_sorted());
                let _ = top_k(&[PostingList { weight: 1.0, tids: &tids }], 10, None);
            }
            let end = bytes.len();
            if end > 40 {
                bytes[end - 2] = flags;
                bytes[12..14].copy_from_slice(&(end as u16 - 8).to_ne_bytes());
            }
            if let Ok(page) = Page::new(&bytes) {
                let _ = (page.find(&wanted), page.leftmost(), page.children(), page.unpack(&mut tids), page.pending_head(), page.right());
                let _ = page.pending_entries().map(Iterator::count);
            }
        }
    }
}
