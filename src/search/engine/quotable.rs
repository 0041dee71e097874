//! What an answer may quote: what was found and, where neighbours were asked for, each chunk around it.
use crate::search::engine::{Found, Outcome, Search};
use crate::sys::plan;
use crate::sys::spi::fill;
use rag::search::passage::Passage;
use std::collections::HashMap;

/// A chunk, or what of it the one before it does not have already.
pub struct Quotable<'a> {
    /// The chunk.
    pub chunk: &'a Found,
    /// What may be quoted: a verbatim piece of the document.
    pub text: &'a str,
    /// Bytes of the chunk before `text`.
    pub skipped: usize,
    /// Where `text` starts in the document, in characters.
    pub char_start: usize,
}

impl<'a> Quotable<'a> {
    /// A chunk from the character `from` of the document on; `None` when nothing of it is left.
    fn new(chunk: &'a Found, from: i32) -> Option<Self> {
        let content: &str = &chunk.content;
        let characters = usize::try_from(from.saturating_sub(chunk.char_start)).unwrap_or(0);
        let skipped = content.char_indices().nth(characters).map(|(byte, _)| byte)?;
        let char_start = usize::try_from(chunk.char_start).unwrap_or_default() + characters;
        Some(Self { chunk, text: &content[skipped..], skipped, char_start })
    }
}

impl Outcome {
    /// What an answer may quote, stretch by stretch, best first, each in the order of its document.
    pub fn quotable(&self) -> Vec<Quotable<'_>> {
        let Some(passages) = &self.passages else {
            return self.found.iter().filter_map(|chunk| Quotable::new(chunk, 0)).collect();
        };
        let chunks = self.found.iter().chain(&self.neighbours);
        let by_id: HashMap<i64, &Found> = chunks.map(|chunk| (chunk.chunk_id, chunk)).collect();
        let mut all = Vec::new();
        for passage in passages {
            let mut known = 0;
            for chunk in passage.chunks.iter().filter_map(|id| by_id.get(id)) {
                all.extend(Quotable::new(chunk, known));
                known = known.max(chunk.char_end);
            }
        }
        all
    }
}

impl Search {
    /// The chunks of `passages` that were not found themselves. Each counts as much as the best of its stretch.
    pub(super) fn neighbours(&self, found: &[Found], passages: &[Passage]) -> Vec<Found> {
        let is_found = |id: i64| found.iter().any(|found| found.chunk_id == id);
        let scores: HashMap<i64, f64> = passages
            .iter()
            .filter_map(|passage| Some((passage, found.get(*passage.hits.first()?)?.score)))
            .flat_map(|(passage, score)| passage.chunks.iter().map(move |id| (*id, score)))
            .filter(|(id, _)| !is_found(*id))
            .collect();
        let ids: Vec<i64> = scores.keys().copied().collect();
        let bits = self.names.bits.as_ref().filter(|_| self.options.rerank);
        let join_bits = bits.map(|bits| {
            format!("LEFT JOIN {bits} b ON b.chunk_id OPERATOR(pg_catalog.=) c.chunk_id")
        });
        let names = [
            ("chunks", self.names.chunks.as_str()),
            ("documents", &self.names.documents),
            ("same_document", &self.collection.stored_keys_equal("d", "c")),
            ("visible", &self.collection.source_visible("c")),
            ("bits", if bits.is_some() { "b.heading_tokens, b.bits" } else { "NULL, NULL" }),
            ("join_bits", join_bits.as_deref().unwrap_or("")),
            ("keys", &self.collection.stored_keys("c.")),
        ];
        let sql = fill(statement!("search/neighbours"), &names);
        let keys = self.collection.keys.len();
        let mut chunks = plan::read_as_caller(&sql, &[ids.into()], |row| Found::read(row, keys));
        for chunk in &mut chunks {
            chunk.score = scores.get(&chunk.chunk_id).copied().unwrap_or_default();
        }
        chunks
    }
}
