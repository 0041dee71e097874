//! Results with their neighbours in the document, and what an answer may quote of them.
use crate::search::candidate::ChunkCandidate;
use crate::search::engine::Outcome;
use crate::search::engine::request::Request;
use crate::search::statement::bits_of;
use crate::sys::plan;
use crate::sys::rows::row;
use crate::sys::spi::fill;
use rag::search::passage::{Passage, Piece, passages};
use std::collections::HashMap;

row! {
    /// A row of `sql/run/search/expand.sql`.
    struct PieceRow {
        /// Which result it is a neighbour of, from 1.
        result: i64,
        chunk_id: i64,
        ordinal: i32,
        char_start: i32,
        char_end: i32,
        content: String,
    }
}

/// The stretches of documents around the results; those that touch are one.
pub fn around(request: &Request, found: &[ChunkCandidate]) -> Vec<Passage> {
    let ids: Vec<i64> = found.iter().map(|found| found.chunk_id).collect();
    joined(found, pieces(request, ids, request.options.expand))
}

/// Pieces, each with the position of the result that it is a neighbour of, as stretches.
pub fn joined(
    found: &[ChunkCandidate],
    pieces: impl IntoIterator<Item = (usize, Piece)>,
) -> Vec<Passage> {
    let mut results: Vec<(&[String], Vec<Piece>)> =
        found.iter().map(|found| (found.key.as_slice(), Vec::new())).collect();
    for (result, piece) in pieces {
        if let Some((_, pieces)) = results.get_mut(result) {
            pieces.push(piece);
        }
    }
    passages(&results)
}

/// The chunks with up to `expand` neighbours on each side, each with the position of the chunk that it is a neighbour of.
pub fn pieces(request: &Request, chunks: Vec<i64>, expand: usize) -> Vec<(usize, Piece)> {
    let (collection, tables) = (&request.resolved.collection, &request.resolved.tables);
    let sql = fill(
        statement!("search/expand"),
        &[
            ("chunks", tables.chunks.as_str()),
            ("documents", &tables.documents),
            ("same_document", &collection.stored_keys_equal("d", "c")),
            ("visible", &collection.source_visible("c")),
        ],
    );
    let around = i32::try_from(expand).unwrap_or(i32::MAX);
    let rows = plan::read_as_caller(&sql, &[chunks.into(), around.into()], PieceRow::read);
    let piece = |row: PieceRow| {
        let PieceRow { result, chunk_id, ordinal, char_start, char_end, content } = row;
        let result = usize::try_from(result - 1).ok()?;
        Some((result, Piece { chunk_id, ordinal, char_start, char_end, content }))
    };
    rows.into_iter().filter_map(piece).collect()
}

/// The chunks of `passages` that are no results themselves. Each has the score of the best result of its passage.
pub fn neighbours(
    request: &Request,
    found: &[ChunkCandidate],
    passages: &[Passage],
) -> Vec<ChunkCandidate> {
    let scores = scores_of_neighbours(found, passages);
    let mut chunks = chunks_with_bits(request, scores.keys().copied().collect());
    for chunk in &mut chunks {
        chunk.score = scores.get(&chunk.chunk_id).copied().unwrap_or_default();
    }
    chunks
}

/// The chunks of passages that are no results, with the score of the best result of their passage.
pub fn scores_of_neighbours(found: &[ChunkCandidate], passages: &[Passage]) -> HashMap<i64, f64> {
    let is_found = |id: i64| found.iter().any(|found| found.chunk_id == id);
    passages
        .iter()
        .filter_map(|passage| Some((passage, found.get(*passage.hits.first()?)?.score)))
        .flat_map(|(passage, score)| passage.chunks.iter().map(move |id| (*id, score)))
        .filter(|(id, _)| !is_found(*id))
        .collect()
}

/// Chunks by their ids, as far as the caller may see them, with their token bits.
pub fn chunks_with_bits(request: &Request, chunks: Vec<i64>) -> Vec<ChunkCandidate> {
    let (collection, tables) = (&request.resolved.collection, &request.resolved.tables);
    let (bits, join_bits) = bits_of("c", tables, request.options.rerank);
    let names = [
        ("chunks", tables.chunks.as_str()),
        ("documents", &tables.documents),
        ("same_document", &collection.stored_keys_equal("d", "c")),
        ("visible", &collection.source_visible("c")),
        ("bits", bits),
        ("join_bits", &join_bits),
        ("place", &collection.place_of("p.ordinal")),
        ("keys", &collection.stored_keys("c.")),
    ];
    let sql = fill(statement!("search/neighbours"), &names);
    let keys = collection.keys.len();
    plan::read_as_caller(&sql, &[chunks.into()], |row| ChunkCandidate::read(row, keys))
}

/// A chunk, or what of it the one before does not have already: chunks overlap.
pub struct Quotable<'a> {
    pub chunk: &'a ChunkCandidate,
    /// What may be quoted: a verbatim piece of the document.
    pub text: &'a str,
    /// Bytes of the chunk before `text`.
    pub skipped: usize,
    /// Start of `text` in the document, in characters.
    pub char_start: usize,
}

impl<'a> Quotable<'a> {
    /// A chunk from the character `from` of the document on; `None` when nothing of it is left.
    fn new(chunk: &'a ChunkCandidate, from: i32) -> Option<Self> {
        let content: &str = &chunk.content;
        let characters = usize::try_from(from.saturating_sub(chunk.char_start)).unwrap_or(0);
        let skipped = content.char_indices().nth(characters).map(|(byte, _)| byte)?;
        let char_start = usize::try_from(chunk.char_start).unwrap_or_default() + characters;
        Some(Self { chunk, text: &content[skipped..], skipped, char_start })
    }
}

impl Outcome {
    /// What an answer may quote, passage by passage, best first, each in the order of its document.
    pub fn quotable(&self) -> Vec<Quotable<'_>> {
        let Some(passages) = &self.passages else {
            return self.found.iter().filter_map(|chunk| Quotable::new(chunk, 0)).collect();
        };
        let chunks = self.found.iter().chain(&self.neighbours);
        let by_id: HashMap<i64, &ChunkCandidate> =
            chunks.map(|chunk| (chunk.chunk_id, chunk)).collect();
        let mut all = Vec::new();
        for passage in passages {
            let mut end = 0;
            for chunk in passage.chunks.iter().filter_map(|id| by_id.get(id)) {
                all.extend(Quotable::new(chunk, end));
                end = end.max(chunk.char_end);
            }
        }
        all
    }
}
