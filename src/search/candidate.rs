//! A candidate chunk: what the statement reads of it, and its score.
use crate::catalog::collection::Generation;
use crate::search::comparable::values::Output;
use crate::sys::datum::text::StoredText;
use crate::sys::datum::tsvector::StoredTsVector;
use crate::sys::interrupt;
use crate::sys::rows::{required, row};
use pgrx::JsonB;
use pgrx::spi::SpiHeapTupleData;
use rag::model::Embedding;
use rag::rerank::{MaxSim, TokenBits, fuse, order};
use rag::search::Weights;
use rag::search::diverse::Choice;
use rag::search::fusion::Fused;
use rag::search::relevance::{Relevance, Signals, word_match};
use rag::search::shard::{Chunk, from_hex, global_id, to_hex};
use rag::search::weights::SignalWeights;
use rag::{Error, Result};
use serde_json::Value;
use std::ops::Deref;

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was scored, and then chosen or not.
    Ranked(Choice),
    /// It was scored, and is less relevant than the caller wants.
    Irrelevant,
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
        /// Of a chunk of a file: its last page, and its sheet, slide or part.
        pub place: Option<JsonB>,
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
    /// Best cosine of each token of the question with a token of the chunk, where another server compared them.
    token_matches: Option<Vec<f32>>,
    /// Mean over the question's tokens of the best cosine with a token of the chunk, tokens weighted by how well they tell these
    /// candidates apart: compares the candidates of one search only.
    pub max_sim: Option<f64>,
    /// What its relevance is by, except for the cosine.
    signals: Signals,
    /// What the order is by: standard scores over the candidates, added up; 0 until they are ranked.
    pub score: f64,
    /// How sure it is that it is about the question, from 0 to 1; 0 until it is ranked.
    pub relevance: f64,
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
    /// Where the chunk of a file stands besides its page, and which pages begin inside.
    pub fn place(&self) -> impl Iterator<Item = (&String, &Value)> {
        let place = self.place.as_ref().and_then(|JsonB(place)| place.as_object());
        place.into_iter().flatten()
    }

    /// Reads a row whose last `keys` columns are the document's key.
    pub fn read(row: &SpiHeapTupleData<'_>, keys: usize) -> Self {
        let chunk = ChunkRow::read_first(row);
        let chunk_id = chunk.chunk_id;
        Self {
            row: chunk,
            ranks: Fused { chunk_id, dense_rank: None, lexical_rank: None, rrf: 0.0 },
            bm25: None,
            key: key_of(row, ChunkRow::COLUMNS + 1, keys),
            token_matches: None,
            max_sim: None,
            signals: Signals::default(),
            score: 0.0,
            relevance: 0.0,
            fate: Fate::Ranked(Choice::Lower),
        }
    }
}

impl ChunkCandidate {
    /// A chunk of another server, under an id that is unlike those of other servers' chunks. Its lexemes stay there: they have been compared.
    pub fn of_part(slot: u16, chunk: Chunk) -> Self {
        let chunk_id = global_id(slot, chunk.chunk_id);
        Self {
            row: ChunkRow {
                chunk_id,
                similarity: chunk.similarity,
                content: chunk.content.into(),
                section: chunk.section,
                ordinal: chunk.ordinal,
                char_start: chunk.char_start,
                char_end: chunk.char_end,
                page: chunk.page,
                place: chunk.place.map(JsonB),
                lexemes: StoredTsVector::empty(),
                heading_tokens: chunk.heading_tokens,
                bits: chunk.bits.as_deref().and_then(from_hex),
            },
            ranks: Fused { chunk_id, dense_rank: None, lexical_rank: None, rrf: 0.0 },
            bm25: None,
            key: chunk.key,
            token_matches: chunk.matches,
            max_sim: None,
            signals: Signals::default(),
            score: 0.0,
            relevance: 0.0,
            fate: Fate::Ranked(Choice::Lower),
        }
    }

    /// The same for a server that asks: with what late interaction compared, and the token bits if they are wanted.
    pub fn into_part(self, matches: Option<Vec<f32>>, with_bits: bool) -> Chunk {
        let row = self.row;
        Chunk {
            chunk_id: row.chunk_id,
            key: self.key,
            similarity: row.similarity,
            bm25: self.bm25,
            content: row.content.into_string(),
            section: row.section,
            ordinal: row.ordinal,
            char_start: row.char_start,
            char_end: row.char_end,
            page: row.page,
            place: row.place.map(|JsonB(place)| place),
            heading_tokens: row.heading_tokens,
            matches,
            bits: row.bits.filter(|_| with_bits).as_deref().map(to_hex),
        }
    }

    /// Gives it the token bits that were fetched later.
    pub fn set_bits(&mut self, other: &Self) {
        self.row.bits.clone_from(&other.row.bits);
        self.row.heading_tokens = other.row.heading_tokens;
    }

    /// Takes a sentence out of the chunk: `kept` are the tokens that stay, behind those of the heading, and `share` that of the sentence
    /// in the text. The vector is that of the whole without as much of the sentence's.
    pub fn leave_out(&mut self, share: f64, kept: &[bool], dimensions: usize) {
        if let Some(cosine) = self.row.similarity {
            let length = (1.0 - 2.0 * share * cosine + share * share).sqrt();
            self.row.similarity = Some((cosine - share) / length.max(f64::EPSILON));
        }
        if let Some(bits) = &mut self.row.bits {
            let heading = usize::try_from(self.row.heading_tokens).unwrap_or_default();
            let tokens = bits.chunks(dimensions.div_ceil(8)).enumerate();
            let stays =
                |n: usize| n.checked_sub(heading).is_none_or(|n| kept.get(n) != Some(&false));
            *bits =
                tokens.filter(|(n, _)| stays(*n)).flat_map(|(_, token)| token).copied().collect();
        }
    }

    /// Sets BM25 by the question's lexemes.
    pub fn set_bm25(&mut self, bm25: f64, weights: &Weights<'_>) {
        self.bm25 = Some(bm25);
        self.signals.words = Some(word_match(bm25, weights.highest(), weights.rarest()));
    }

    /// What its relevance is by.
    pub fn signals(&self) -> Signals {
        Signals { cosine: self.similarity, ..self.signals }
    }

    /// What its rank is by; NaN for a signal that it has not.
    pub fn ranking(&self) -> [f64; 3] {
        [self.max_sim, self.similarity, self.bm25].map(|value| value.unwrap_or(f64::NAN))
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
    generation: &Generation,
    question: Option<&Embedding>,
    weights: &SignalWeights,
    relevance: &Relevance,
) -> Result<()> {
    set_max_sim(candidates, generation, question)?;
    let values = |signal: usize| -> Vec<f64> {
        candidates.iter().map(|candidate| candidate.ranking()[signal]).collect()
    };
    let scores = fuse(&[
        (weights.max_sim, &values(0)),
        (weights.dense, &values(1)),
        (weights.lexical, &values(2)),
    ]);
    for (candidate, score) in candidates.iter_mut().zip(&scores) {
        candidate.score = *score;
        candidate.relevance = relevance.of(&candidate.signals());
    }
    let order = order(&scores, |position| candidates[position].chunk_id);
    let mut slots: Vec<Option<ChunkCandidate>> = candidates.drain(..).map(Some).collect();
    candidates.extend(order.into_iter().filter_map(|position| slots[position].take()));
    Ok(())
}

/// For each chunk that has token bits, the best cosine of each token of the question with one of its tokens; empty where it has no token.
pub fn token_matches(
    candidates: &[ChunkCandidate],
    dimensions: usize,
    question: Option<&Embedding>,
) -> Result<Vec<Option<Vec<f32>>>> {
    let Some(tokens) = question.and_then(|question| question.tokens.as_ref()) else {
        return Ok(vec![None; candidates.len()]);
    };
    let mut bits = Vec::new();
    for candidate in candidates {
        let bytes = candidate.bits.as_deref().unwrap_or_default();
        bits.push(TokenBits::from_bytes(dimensions, bytes)?);
    }
    let max_sim = MaxSim::new(tokens, &bits, &mut interrupt::checkpoint)?;
    let matches = |(position, candidate): (usize, &ChunkCandidate)| {
        candidate.bits.as_ref()?;
        Some(if bits[position].is_empty() { Vec::new() } else { max_sim.of(position).to_vec() })
    };
    Ok(candidates.iter().enumerate().map(matches).collect())
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
    let mut max_sim = MaxSim::new(tokens, &bits, &mut interrupt::checkpoint)?;
    drop(bits);
    let compared: Vec<usize> =
        (0..candidates.len()).filter(|n| candidates[*n].token_matches.is_some()).collect();
    if !compared.is_empty() {
        let row = |position: &usize| candidates[*position].token_matches.as_deref();
        let rows: Vec<&[f32]> = compared.iter().filter_map(row).collect();
        max_sim = MaxSim::from_matches(&rows)
            .ok_or_else(|| Error::malformed("servers compared different tokens of the question"))?;
        positions = compared;
    }
    let scores = max_sim.contrasted().into_iter().zip(max_sim.means());
    for (position, (score, mean)) in positions.into_iter().zip(scores) {
        candidates[position].max_sim = Some(f64::from(score));
        candidates[position].signals.max_sim = Some(f64::from(mean));
    }
    Ok(())
}
