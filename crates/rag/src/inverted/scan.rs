//! A list being scored, window by window.
use super::block::Block;
use super::impact::{FREQUENCIES, Impacts, LENGTHS};
use super::list::Blocks;
use super::search::List;
use super::{Lists, Posting};
use crate::Result;

/// What a search did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Parts of long lists that were read.
    pub parts: u64,
    /// Blocks that were unpacked.
    pub blocks: u64,
    /// Postings unpacked.
    pub postings: u64,
}

/// Ids of a window: its scores stay in the processor's first cache.
pub const WINDOW: usize = 2_048;

/// Scores of the chunks whose ids are in a window.
pub struct Window {
    /// The first id.
    pub from: i64,
    scores: Box<[f64; WINDOW]>,
    /// Behind the last score that is not 0, in strides.
    end: usize,
}

/// Scores that are compared at once.
const STRIDE: usize = 32;

impl Default for Window {
    fn default() -> Self {
        Self { from: 0, scores: Box::new([0.0; WINDOW]), end: 0 }
    }
}

impl Window {
    /// How many chunks score something and at least this.
    pub fn count(&self, least: f64) -> usize {
        let least = least.max(f64::MIN_POSITIVE);
        self.strides().map(|scores| reaching(scores, least)).sum()
    }

    /// Finds the chunks that score something and at least this.
    pub fn candidates(&self, least: f64, found: &mut Vec<u32>) {
        let least = least.max(f64::MIN_POSITIVE);
        found.resize(WINDOW, 0);
        let mut count = 0;
        for (number, scores) in self.strides().enumerate() {
            if reaching(scores, least) > 0 {
                for (at, score) in (number * STRIDE..).zip(scores) {
                    // Without a branch, which could not be foretold.
                    found[count % WINDOW] = at as u32;
                    count += usize::from(*score >= least);
                }
            }
        }
        found.truncate(count);
    }

    fn strides(&self) -> impl Iterator<Item = &[f64; STRIDE]> {
        self.scores[..self.end].as_chunks().0.iter()
    }

    /// A chunk's id and score.
    pub fn scored(&self, candidate: u32) -> (i64, f64) {
        (self.from.wrapping_add(candidate.into()), self.scores[candidate as usize % WINDOW])
    }

    /// Makes all scores 0.
    pub fn clear(&mut self) {
        self.scores[..self.end].fill(0.0);
        self.end = 0;
    }
}

fn reaching(scores: &[f64; STRIDE], least: f64) -> usize {
    scores.iter().map(|score| u64::from(*score >= least)).sum::<u64>() as usize
}

/// A list, and where the search is in it.
pub struct Scan<'t, 'a, L> {
    list: &'t List<'a, L>,
    /// Number of the term.
    pub number: usize,
    idf: f64,
    /// What no score is above.
    pub bound: f64,
    /// The same for each part, and what some chunk of the part scores at least.
    bounds: Vec<f64>,
    reached: Vec<f64>,
    /// The part it is in, and whether that was opened.
    part: usize,
    is_open: bool,
    blocks: Blocks<'t>,
    /// What no score of each block is above.
    block_bounds: Vec<f64>,
    /// The block it is in, and whether that was unpacked.
    block: usize,
    is_unpacked: bool,
    unpacked: Box<Block>,
    shortest: u32,
    /// In the block, or in a list of few postings.
    position: usize,
}

impl<'t, 'a, L: Lists> Scan<'t, 'a, L> {
    pub fn new(list: &'t List<'a, L>, number: usize, idf: f64, impacts: &Impacts) -> Self {
        let (mut bounds, mut reached) = (Vec::new(), Vec::new());
        for part in &list.parts {
            let (most, least) = part.bounds(impacts, idf);
            bounds.push(most);
            reached.push(least);
        }
        let few = list.few.iter().map(|p| impacts.score(idf, p.frequency, p.length));
        let bound = few.chain(bounds.iter().copied()).fold(0.0, f64::max);
        Self {
            list,
            number,
            idf,
            bound,
            bounds,
            reached,
            part: 0,
            is_open: false,
            blocks: Blocks::default(),
            block_bounds: Vec::new(),
            block: 0,
            is_unpacked: false,
            unpacked: Box::default(),
            shortest: 0,
            position: 0,
        }
    }

    /// About how many postings it has in a window.
    pub fn density(&self) -> usize {
        let (first, last) = match (self.list.parts.first(), self.list.parts.last()) {
            (Some(first), Some(last)) => (first.first, last.last),
            _ => return 0,
        };
        (self.list.count.saturating_mul(WINDOW as u64) / last.abs_diff(first).max(1)) as usize
    }

    /// For each part what some chunk of it scores at least.
    pub fn reached(&self) -> &[f64] {
        &self.reached
    }

    /// A chunk that the next one is not before; `None` at the end.
    pub fn next(&self) -> Option<i64> {
        match self.list.parts.get(self.part) {
            Some(part)
                if self.is_open && self.is_unpacked && self.position < self.unpacked.count =>
            {
                Some(part.first.wrapping_add(self.unpacked.offsets[self.position].into()))
            }
            Some(part) => Some(part.first),
            None => self.list.few.get(self.position).map(|posting| posting.chunk),
        }
    }

    /// Goes to the first part that may hold `from` or a chunk behind it, without opening it; in a list of few postings to the
    /// posting.
    pub fn skip(&mut self, from: i64) {
        if self.list.parts.is_empty() {
            let rest = &self.list.few[self.position..];
            self.position += rest.iter().take_while(|posting| posting.chunk < from).count();
        } else {
            let rest = &self.list.parts[self.part..];
            let skipped = rest.iter().take_while(|part| part.last < from).count();
            if skipped > 0 {
                self.part += skipped;
                self.is_open = false;
            }
        }
    }

    /// What no score from `from` to `end` is above, as far as parts tell, and up to where that holds.
    pub fn coarse(&mut self, from: i64, end: i64) -> (f64, i64) {
        self.skip(from);
        if self.list.parts.is_empty() {
            return match self.list.few.get(self.position) {
                Some(next) if next.chunk <= end => (self.bound, end),
                Some(next) => (0.0, next.chunk - 1),
                None => (0.0, i64::MAX),
            };
        }
        let parts = self.list.parts[self.part..].iter().zip(&self.bounds[self.part..]);
        let mut bound = 0.0;
        for (i, (part, more)) in parts.enumerate() {
            if part.first > end {
                return if i == 0 { (0.0, part.first - 1) } else { (bound, end) };
            }
            bound = f64::max(bound, *more);
            if i == 0 && part.last >= end {
                return (bound, part.last);
            }
        }
        (bound, if self.part == self.list.parts.len() { i64::MAX } else { end })
    }

    /// The same as far as blocks tell.
    pub fn fine(&mut self, from: i64, end: i64, impacts: &Impacts, work: &mut Work) -> Result<f64> {
        if self.list.parts.is_empty() {
            return Ok(self.bound);
        }
        self.open(impacts, work)?;
        self.skip_blocks(from);
        let part = &self.list.parts[self.part];
        let last = offset(part.first, end);
        let mut bound = 0.0;
        for block in self.block..self.blocks.number() {
            bound = f64::max(bound, self.block_bounds[block]);
            if self.blocks.last(block) >= last {
                return Ok(bound);
            }
        }
        let behind = self.list.parts.iter().zip(&self.bounds).skip(self.part + 1);
        let behind = behind.take_while(|(part, _)| part.first <= end);
        Ok(behind.fold(bound, |bound, (_, more)| f64::max(bound, *more)))
    }

    fn open(&mut self, impacts: &Impacts, work: &mut Work) -> Result<()> {
        if !self.is_open {
            let bytes = self.list.part(self.part)?;
            self.blocks.open(&self.list.parts[self.part], bytes)?;
            self.block_bounds.clear();
            for block in 0..self.blocks.number() {
                self.block_bounds.push(self.blocks.bound(block, impacts, self.idf));
            }
            (self.is_open, self.block, self.is_unpacked) = (true, 0, false);
            work.parts += 1;
        }
        Ok(())
    }

    /// Goes to the block of an open part that may hold `from`; the part does not end before it.
    fn skip_blocks(&mut self, from: i64) {
        let from = offset(self.list.parts[self.part].first, from);
        while self.blocks.last(self.block) < from {
            self.block += 1;
            self.is_unpacked = false;
        }
    }

    fn unpack(&mut self, work: &mut Work) -> Result<()> {
        if !self.is_unpacked {
            self.blocks.unpack(self.block, &mut self.unpacked)?;
            self.shortest = self.blocks.shortest(self.block);
            (self.is_unpacked, self.position) = (true, 0);
            work.blocks += 1;
            work.postings += self.unpacked.count as u64;
        }
        Ok(())
    }

    /// The score of a chunk; 0 where the list does not have it. Chunks ascend.
    pub fn score(&mut self, chunk: i64, impacts: &Impacts, work: &mut Work) -> Result<f64> {
        self.skip(chunk);
        if self.list.parts.is_empty() {
            let posting = self.list.few.get(self.position).filter(|p| p.chunk == chunk);
            return Ok(posting.map_or(0.0, |p| impacts.score(self.idf, p.frequency, p.length)));
        }
        let Some(part) = self.list.parts.get(self.part).filter(|part| part.first <= chunk) else {
            return Ok(0.0);
        };
        self.open(impacts, work)?;
        self.skip_blocks(chunk);
        self.unpack(work)?;
        let wanted = offset(part.first, chunk);
        let offsets = &self.unpacked.offsets[self.position..self.unpacked.count];
        self.position += offsets.partition_point(|other| *other < wanted);
        if self.unpacked.offsets[self.position] != wanted {
            return Ok(0.0);
        }
        Ok(self.score_at(self.position, impacts))
    }

    fn score_at(&self, position: usize, impacts: &Impacts) -> f64 {
        let frequency = self.unpacked.frequencies[position].wrapping_add(1);
        let length = self.unpacked.lengths[position].wrapping_add(self.shortest);
        impacts.score(self.idf, frequency, length)
    }

    /// Adds its scores in a window. Blocks of which `takes` refuses the bound are left out.
    pub fn accumulate(
        &mut self,
        window: &mut Window,
        table: &[f64],
        impacts: &Impacts,
        takes: impl Fn(f64) -> bool,
        work: &mut Work,
    ) -> Result<()> {
        let end = window.from.saturating_add(WINDOW as i64 - 1);
        if self.list.parts.is_empty() {
            let few = self.list.few[self.position..].iter().take_while(|p| p.chunk <= end);
            for &Posting { chunk, frequency, length } in few {
                window.add(chunk, impacts.score(self.idf, frequency, length));
                self.position += 1;
            }
            return Ok(());
        }
        self.skip(window.from);
        while let Some(part) = self.list.parts.get(self.part).filter(|part| part.first <= end) {
            self.open(impacts, work)?;
            self.skip_blocks(window.from.max(part.first));
            while self.block < self.blocks.number() {
                let last = self.blocks.last(self.block);
                if takes(self.block_bounds[self.block]) {
                    self.unpack(work)?;
                    self.add_block(window, part.first, end, table, impacts);
                }
                if last >= offset(part.first, end) {
                    return Ok(());
                }
                self.block += 1;
                self.is_unpacked = false;
            }
            self.part += 1;
            self.is_open = false;
        }
        Ok(())
    }

    /// Adds the scores of an unpacked block's chunks up to `end`.
    fn add_block(
        &mut self,
        window: &mut Window,
        first: i64,
        end: i64,
        table: &[f64],
        impacts: &Impacts,
    ) {
        let block = &self.unpacked;
        let (low, high) = (offset(first, window.from), offset(first, end));
        let offsets = &block.offsets[self.position..block.count];
        let start = self.position + offsets.partition_point(|other| *other < low);
        let stop = if block.offsets[block.count - 1] <= high {
            block.count
        } else {
            start + block.offsets[start..block.count].partition_point(|other| *other <= high)
        };
        self.position = stop;
        if start == stop {
            return;
        }
        // The offsets of these postings, less that of the window's first id, are below the window's size.
        let shift = first.wrapping_sub(window.from) as u32;
        let offsets = &block.offsets[start..stop];
        let at = |offset: u32| offset.wrapping_add(shift) as usize % WINDOW;
        let (frequencies, lengths) = (&block.frequencies[start..stop], &block.lengths[start..stop]);
        let [_, frequency_width, length_width] = self.blocks.widths(self.block);
        let longest = u64::from(self.shortest) + (1 << length_width) - 1;
        if table.len() == FREQUENCIES * LENGTHS
            && 1 << frequency_width <= FREQUENCIES
            && longest < LENGTHS as u64
        {
            let shortest = self.shortest as usize;
            for ((offset, frequency), length) in offsets.iter().zip(frequencies).zip(lengths) {
                let entry = *frequency as usize * LENGTHS + *length as usize + shortest;
                window.scores[at(*offset)] += table[entry % (FREQUENCIES * LENGTHS)];
            }
        } else {
            for (i, offset) in (start..stop).zip(offsets) {
                window.scores[at(*offset)] += self.score_at(i, impacts);
            }
        }
        window.end = window.end.max((at(offsets[offsets.len() - 1]) + 1).next_multiple_of(STRIDE));
    }
}

impl Window {
    fn add(&mut self, chunk: i64, score: f64) {
        let at = chunk.abs_diff(self.from) as usize % WINDOW;
        self.scores[at] += score;
        self.end = self.end.max((at + 1).next_multiple_of(STRIDE));
    }
}

/// How far a chunk is behind the first of its part; 0 before it.
fn offset(first: i64, chunk: i64) -> u32 {
    if chunk <= first { 0 } else { u32::try_from(chunk.abs_diff(first)).unwrap_or(u32::MAX) }
}
