//! Which segments of an inverted file are merged next.
//!
//! Segments of about the same size are merged eight at a time, so that a chunk is copied once for each power of eight, and a search
//! reads few segments. Deletions are cancelled where they are merged with what they delete; when they are many, they are merged with
//! one segment after the other.

/// Inline segments that are merged at once: reading one of these costs a search about as much as a look-up.
const INLINE_SEGMENTS: usize = 32;
/// Chunks of inline segments that are merged at once.
const INLINE_CHUNKS: u64 = 1_024;
/// Stored segments of a tier that are merged at once; the next tier has segments of as many times the size.
const TIER: usize = 8;
/// Segments of fewer chunks are of the first tier.
const FIRST_TIER: u64 = 1_024;
/// Chunks of the largest segment: a merge is one transaction of some seconds.
const LARGEST: u64 = 262_144;
/// Deletions are merged with all other segments when they are more than this share of the chunks in them.
const DELETED_SHARE: u64 = 10;

/// Most chunks, and lexemes of them with all occurrences, of a segment that is stored inline, some 8 kB.
const INLINE_SIZE: (u64, u64) = (256, 2_048);

/// Whether a segment of that many chunks and lexemes is stored inline.
pub fn is_inline(chunks: u64, length: u64) -> bool {
    chunks <= INLINE_SIZE.0 && length <= INLINE_SIZE.1
}

/// What the choice depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSize {
    /// Its number.
    pub number: i32,
    /// Whether its chunks are deleted.
    pub is_deletion: bool,
    /// Whether its posting lists lie in its row.
    pub is_inline: bool,
    /// How many chunks it has.
    pub chunks: u64,
}

/// How far deletions are merged with one segment after the other. Kept from choice to choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Purge {
    /// The last segment of the round; a segment that was merged gets a higher number.
    last: Option<i32>,
    /// Deletions that were left after the last round: what they delete is in no segment.
    left: u64,
}

/// Numbers of segments to merge now; `None`: they are few enough.
pub fn choose(segments: &[SegmentSize], purge: &mut Purge) -> Option<Vec<i32>> {
    inline(segments)
        .or_else(|| tier(segments, false))
        .or_else(|| tier(segments, true))
        .or_else(|| purge.next(segments))
}

fn inline(segments: &[SegmentSize]) -> Option<Vec<i32>> {
    let inline: Vec<&SegmentSize> = segments.iter().filter(|one| one.is_inline).collect();
    let chunks: u64 = inline.iter().map(|one| one.chunks).sum();
    let are_many = inline.len() >= INLINE_SEGMENTS || inline.len() > 1 && chunks >= INLINE_CHUNKS;
    are_many.then(|| inline.into_iter().map(|one| one.number).collect())
}

/// Segments of the first tier that is full, with no more deletions than they have chunks.
fn tier(segments: &[SegmentSize], of_deletions: bool) -> Option<Vec<i32>> {
    let is_deletion = |one: &&SegmentSize| one.is_deletion && !one.is_inline;
    let mut sorted = segments.to_vec();
    sorted.sort_unstable_by_key(|one| (one.chunks, one.number));
    let stored = sorted.iter().filter(|one| !one.is_inline && one.is_deletion == of_deletions);
    let stored: Vec<&SegmentSize> = stored.filter(|one| one.chunks <= LARGEST / 2).collect();
    let full = stored.chunk_by(|a, b| tier_of(a.chunks) == tier_of(b.chunks)).find_map(full)?;
    let mut room: u64 = full.iter().map(|one| one.chunks).sum();
    let mut numbers: Vec<i32> = full.iter().map(|one| one.number).collect();
    if !of_deletions {
        let fits = |one: &&SegmentSize| {
            let fits = one.chunks <= room;
            room = room.saturating_sub(one.chunks);
            fits
        };
        numbers.extend(sorted.iter().filter(is_deletion).take_while(fits).map(|one| one.number));
    }
    Some(numbers)
}

fn tier_of(chunks: u64) -> u32 {
    (chunks / FIRST_TIER).checked_ilog(TIER as u64).map_or(0, |tier| tier + 1)
}

/// As many segments of a tier as make one, ascending by size; `None` if there are too few.
fn full<'s, 'a>(tier: &'s [&'a SegmentSize]) -> Option<&'s [&'a SegmentSize]> {
    let mut sum = 0;
    let fits = |one: &&&SegmentSize| {
        sum += one.chunks;
        sum <= LARGEST
    };
    let count = tier.iter().take(TIER).take_while(fits).count();
    let is_full = count == TIER || count > 1 && count < tier.len().min(TIER);
    is_full.then(|| &tier[..count])
}

impl Purge {
    fn next(&mut self, segments: &[SegmentSize]) -> Option<Vec<i32>> {
        let stored = |is_deletion| {
            segments.iter().filter(move |one| !one.is_inline && one.is_deletion == is_deletion)
        };
        let chunks = |is_deletion| -> u64 { stored(is_deletion).map(|one| one.chunks).sum() };
        let deleted = chunks(true);
        if deleted.saturating_mul(DELETED_SHARE) <= chunks(false) {
            *self = Self::default();
            return None;
        }
        if self.last.is_none() && deleted <= self.left.saturating_mul(2) {
            return None;
        }
        let numbers = stored(false).map(|one| one.number);
        let last = *self.last.get_or_insert(numbers.clone().max()?);
        let Some(next) = numbers.filter(|number| *number <= last).min() else {
            *self = Self { last: None, left: deleted };
            return None;
        };
        Some([next].into_iter().chain(stored(true).map(|one| one.number)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{INLINE_SEGMENTS, LARGEST, Purge, SegmentSize, choose, is_inline};

    fn stored(number: i32, chunks: u64) -> SegmentSize {
        SegmentSize { number, is_deletion: false, is_inline: false, chunks }
    }

    fn deletion(number: i32, chunks: u64) -> SegmentSize {
        SegmentSize { is_deletion: true, ..stored(number, chunks) }
    }

    /// Merges until nothing is to be done; `cancelled` of the deletions that take part go with their chunks.
    fn settle(segments: &mut Vec<SegmentSize>, next: &mut i32, cancels: bool) -> u64 {
        let (mut purge, mut copied) = (Purge::default(), 0);
        while let Some(numbers) = choose(segments, &mut purge) {
            let (merged, rest): (Vec<_>, Vec<_>) =
                segments.iter().copied().partition(|one| numbers.contains(&one.number));
            assert_eq!(merged.len(), numbers.len());
            *segments = rest;
            let sum = |is_deletion| -> u64 {
                merged.iter().filter(|s| s.is_deletion == is_deletion).map(|s| s.chunks).sum()
            };
            let cancelled = if cancels { sum(false).min(sum(true)) } else { 0 };
            for is_deletion in [false, true] {
                let chunks = sum(is_deletion) - cancelled;
                copied += chunks;
                assert!(is_deletion || chunks <= LARGEST);
                if chunks > 0 {
                    let is_inline = is_inline(chunks, chunks * 60);
                    segments.push(SegmentSize { number: *next, is_deletion, is_inline, chunks });
                    *next += 1;
                }
            }
        }
        copied
    }

    #[test]
    fn a_million_chunks_lie_in_few_segments_and_are_copied_a_few_times() {
        let (mut segments, mut next, mut copied, mut most) = (Vec::new(), 1, 0, 0);
        for _ in 0..2_000 {
            segments.push(stored(next, 500));
            next += 1;
            copied += settle(&mut segments, &mut next, true);
            most = most.max(segments.len());
        }
        assert_eq!(segments.iter().map(|one| one.chunks).sum::<u64>(), 1_000_000);
        assert!(most <= 40, "{most} segments");
        assert!(copied <= 5_000_000, "{copied} chunks copied");
    }

    #[test]
    fn single_edits_stay_in_few_segments() {
        let (mut segments, mut next, mut copied) = (vec![stored(0, 50_000)], 1, 0);
        for _ in 0..20_000 {
            for is_deletion in [false, true] {
                let one = SegmentSize { number: next, is_deletion, is_inline: true, chunks: 1 };
                segments.push(one);
                next += 1;
            }
            copied += settle(&mut segments, &mut next, true);
            assert!(segments.len() < INLINE_SEGMENTS + 40);
        }
        assert!(copied <= 20 * 20_000, "{copied} chunks copied");
    }

    #[test]
    fn many_deletions_are_merged_with_every_segment_and_then_left() {
        let all = || vec![stored(1, 200_000), stored(2, 200_000), deletion(3, 39_000)];
        let mut segments = all();
        assert_eq!(settle(&mut segments, &mut 4, true), 0);
        segments.push(deletion(4, 2_000));
        settle(&mut segments, &mut 5, true);
        assert!(segments.iter().all(|one| !one.is_deletion));
        // What they delete is nowhere: each segment is read once, not for ever.
        let mut segments = [all(), vec![deletion(4, 2_000)]].concat();
        assert_eq!(settle(&mut segments, &mut 5, false), 400_000 + 2 * 41_000);
    }
}
