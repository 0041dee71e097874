//! A chunk that was found, as the statement gives it.
use crate::search::comparable::values;
use crate::sys::datum::text::StoredText;
use crate::sys::spi::{column, required};
use pgrx::spi::SpiHeapTupleData;
use rag::search::diverse::Choice;

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was ranked, and then chosen or not.
    Ranked(Choice),
    /// It was not ranked: other candidates have better reciprocal ranks.
    NotRanked,
}

/// A chunk that was found.
#[derive(Debug)]
pub struct Found {
    /// Its number.
    pub chunk_id: i64,
    /// Its document's key, column by column, as text.
    pub key: Vec<String>,
    /// Its place in the document, from 1.
    pub ordinal: i32,
    /// Its text.
    pub content: StoredText,
    /// Heading path.
    pub section: Option<String>,
    /// Page it starts on, from 1.
    pub page: Option<i32>,
    /// Where it starts in the document, in characters.
    pub char_start: i32,
    /// Where it ends.
    pub char_end: i32,
    /// Rank by distance, from 1.
    pub dense_rank: Option<i32>,
    /// Rank by BM25, from 1.
    pub lexical_rank: Option<i32>,
    /// Reciprocal rank fusion of both.
    pub rrf: f64,
    /// BM25.
    pub bm25: f64,
    /// Cosine of question and chunk.
    pub similarity: Option<f64>,
    /// Mean over the question's tokens of the best cosine with a token of the chunk, tokens weighted by
    /// how well they tell these candidates apart: compares the candidates of one search only.
    pub max_sim: Option<f64>,
    /// What the order is by: standard scores over the candidates, added up; 0 until they are ranked.
    pub score: f64,
    /// What became of it.
    pub fate: Fate,
    /// Tokens of the heading path that come first in `bits`.
    pub heading_tokens: usize,
    /// Signs of the token vectors, where the collection keeps them.
    pub bits: Option<Vec<u8>>,
}

impl Found {
    /// Reads a row of `sql/run/search/search.sql`, whose last `keys` columns are the document's key.
    pub fn read(row: &SpiHeapTupleData<'_>, keys: usize) -> Self {
        Self {
            chunk_id: required(row, 1),
            dense_rank: column(row, 2),
            lexical_rank: column(row, 3),
            rrf: required(row, 4),
            bm25: required(row, 5),
            similarity: column(row, 6),
            content: required(row, 7),
            section: column(row, 8),
            ordinal: column(row, 9).unwrap_or_default(),
            char_start: column(row, 10).unwrap_or_default(),
            char_end: column(row, 11).unwrap_or_default(),
            page: column(row, 12),
            heading_tokens: column::<i32>(row, 13)
                .map_or(0, |n| usize::try_from(n).unwrap_or_default()),
            bits: column(row, 14),
            key: key_of(row, 16, keys),
            max_sim: None,
            score: 0.0,
            fate: Fate::Ranked(Choice::Lower),
        }
    }
}

/// A document's key, whose `keys` columns begin at column `first` of a row, as text.
pub fn key_of(row: &SpiHeapTupleData<'_>, first: usize, keys: usize) -> Vec<String> {
    (first..first + keys).map(|column| required::<values::Output>(row, column).0).collect()
}
