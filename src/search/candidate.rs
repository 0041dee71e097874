//! A candidate chunk: what the statement reads of it, and its score.
use crate::catalog::collection::Generation;
use crate::search::comparable::values::Output;
use crate::search::options::Options;
use crate::sys::datum::text::StoredText;
use crate::sys::datum::tsvector::StoredTsVector;
use crate::sys::interrupt;
use crate::sys::rows::{required, row};
use pgrx::spi::SpiHeapTupleData;
use rag::Result;
use rag::model::Embedding;
use rag::rerank::{TokenBits, fuse, max_sim, order};
use rag::search::diverse::Choice;
use rag::search::fusion::Fused;
use std::ops::Deref;

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was scored, and then chosen or not.
    Ranked(Choice),
    /// It was not scored: other candidates have better reciprocal ranks.
    NotRanked,
}

row! {
    /// Columns of `sql/run/search/fetch.sql` and `neighbours.sql`, before those of the document's key.
    pub struct ChunkRow {
        pub chunk_id: i64,
        /// Cosine of question and chunk.
        pub similarity: Option<f64>,
        pub content: StoredText,
        /// Heading path.
        pub section: Option<String>,
        /// Position in the document, from 1.
        pub ordinal: i32,
        /// Start in the document, in characters.
        pub char_start: i32,
        /// End in the document, in characters.
        pub char_end: i32,
        /// Page it starts on, from 1.
        pub page: Option<i32>,
        pub lexemes: StoredTsVector,
        /// Tokens of the heading path that come first in `bits`.
        pub heading_tokens: i32,
        /// Signs of the token vectors, where the collection keeps them.
        pub bits: Option<Vec<u8>>,
    }
}

/// A candidate of a search, or a neighbour of one.
pub struct ChunkCandidate {
    row: ChunkRow,
    /// Its ranks in both legs.
    pub ranks: Fused,
    /// BM25 of its lexemes; `None` where term statistics were not needed.
    pub bm25: Option<f64>,
    /// Its document's key, column by column, as text.
    pub key: Vec<String>,
    /// Mean over the question's tokens of the best cosine with a token of the chunk, tokens weighted by how well they tell these
    /// candidates apart: compares the candidates of one search only.
    pub max_sim: Option<f64>,
    /// What the order is by: standard scores over the candidates, added up; 0 until they are ranked.
    pub score: f64,
    /// What became of it.
    pub fate: Fate,
}

impl Deref for ChunkCandidate {
    type Target = ChunkRow;

    fn deref(&self) -> &ChunkRow {
        &self.row
    }
}

impl ChunkCandidate {
    /// Reads a row whose last `keys` columns are the document's key.
    pub fn read(row: &SpiHeapTupleData<'_>, keys: usize) -> Self {
        let chunk = ChunkRow::read_first(row);
        let chunk_id = chunk.chunk_id;
        Self {
            row: chunk,
            ranks: Fused { chunk_id, dense_rank: None, lexical_rank: None, rrf: 0.0 },
            bm25: None,
            key: key_of(row, ChunkRow::COLUMNS + 1, keys),
            max_sim: None,
            score: 0.0,
            fate: Fate::Ranked(Choice::Lower),
        }
    }
}

/// A document's key, whose `keys` columns begin at column `first` of a row, as text.
pub fn key_of(row: &SpiHeapTupleData<'_>, first: usize, keys: usize) -> Vec<String> {
    (first..first + keys).map(|column| required::<Output>(row, column).0).collect()
}

/// Orders candidates by the standard scores of MaxSim, cosine and BM25 added up; without reranking, of
/// the other two. Reciprocal ranks only choose the candidates: on `SQuAD` their order has MRR@10 0.838,
/// the two scores' 0.881.
pub fn rank(
    candidates: &mut Vec<ChunkCandidate>,
    options: &Options,
    generation: &Generation,
    question: Option<&Embedding>,
) -> Result<()> {
    set_max_sim(candidates, generation, question)?;
    let values = |score: &dyn Fn(&ChunkCandidate) -> Option<f64>| -> Vec<f64> {
        candidates.iter().map(|candidate| score(candidate).unwrap_or(f64::NAN)).collect()
    };
    let scores = fuse(&[
        (options.rerank_weight, &values(&|candidate| candidate.max_sim)),
        (options.dense_weight, &values(&|candidate| candidate.similarity)),
        (options.lexical_weight, &values(&|candidate| candidate.bm25)),
    ]);
    for (candidate, score) in candidates.iter_mut().zip(&scores) {
        candidate.score = *score;
    }
    let order = order(&scores, |position| candidates[position].chunk_id);
    let mut slots: Vec<Option<ChunkCandidate>> = candidates.drain(..).map(Some).collect();
    candidates.extend(order.into_iter().filter_map(|position| slots[position].take()));
    Ok(())
}

fn set_max_sim(
    candidates: &mut [ChunkCandidate],
    generation: &Generation,
    question: Option<&Embedding>,
) -> Result<()> {
    let Some(tokens) = question.and_then(|question| question.tokens.as_ref()) else {
        return Ok(());
    };
    let mut positions = Vec::new();
    let mut bits = Vec::new();
    for (position, candidate) in candidates.iter().enumerate() {
        if let Some(bytes) = &candidate.bits {
            positions.push(position);
            bits.push(TokenBits::from_bytes(generation.dimensions, bytes.as_slice())?);
        }
    }
    let scores = max_sim(tokens, &bits, &mut interrupt::checkpoint)?;
    drop(bits);
    for (position, score) in positions.into_iter().zip(scores) {
        candidates[position].max_sim = Some(f64::from(score));
    }
    Ok(())
}
