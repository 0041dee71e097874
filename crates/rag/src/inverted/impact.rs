//! BM25 from small integers: tables instead of divisions, and numbers whose sums are exact.
use crate::search::Bm25;

/// Frequencies and lengths below these are looked up.
pub const FREQUENCIES: usize = 8;
pub const LENGTHS: usize = 512;

/// Adding and subtracting it rounds to a multiple of 2^-30: its 52 bits behind the first end there.
const ROUND: f64 = 1.5 * (1_u64 << 22) as f64;

/// The least part of a score, so that a chunk that holds a term always scores more than one that does not.
const SCORE_UNIT: f64 = 1.0 / (1_u64 << 30) as f64;

/// Highest weight of a term: sums of thousands of terms still stay below 2^23, up to which they are exact.
const HIGHEST_IDF: f64 = 256.0;

/// BM25 without the term's weight.
pub struct Impacts {
    bm25: Bm25,
    table: Vec<f64>,
}

impl Impacts {
    pub fn new(bm25: &Bm25) -> Self {
        let impacts = Self::without_table(bm25);
        let entry = |i| impacts.compute((i / LENGTHS + 1) as u32, (i % LENGTHS) as u32);
        Self { table: (0..FREQUENCIES * LENGTHS).map(entry).collect(), ..impacts }
    }

    /// For a few scores.
    pub fn without_table(bm25: &Bm25) -> Self {
        Self { bm25: *bm25, table: Vec::new() }
    }

    fn compute(&self, frequency: u32, length: u32) -> f64 {
        self.bm25.impact(f64::from(frequency), f64::from(length))
    }

    fn of(&self, frequency: u32, length: u32) -> f64 {
        let (row, column) = (frequency.wrapping_sub(1) as usize, length as usize);
        let is_small = row < FREQUENCIES && column < LENGTHS;
        let looked_up = self.table.get(row * LENGTHS + column).filter(|_| is_small);
        looked_up.copied().unwrap_or_else(|| self.compute(frequency, length))
    }

    /// A term's part of a score. Such numbers are multiples of 2^-30, so that their sums are exact: a chunk has the same score in
    /// whatever order its terms are added, and a sum of bounds bounds the sum of scores.
    pub fn score(&self, idf: f64, frequency: u32, length: u32) -> f64 {
        rounded(idf * self.of(frequency, length))
    }

    /// All that [`FREQUENCIES`] and [`LENGTHS`] have room for.
    pub fn table(&self, idf: f64) -> Vec<f64> {
        self.table.iter().map(|impact| rounded(idf * impact)).collect()
    }
}

fn rounded(score: f64) -> f64 {
    f64::max(score + ROUND - ROUND, SCORE_UNIT)
}

/// A weight that can be calculated with, of any number.
pub fn weight(idf: f64) -> f64 {
    if idf > 0.0 { idf.min(HIGHEST_IDF) } else { 0.0 }
}
