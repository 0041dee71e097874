//! What was found, with its neighbours in the document.
use crate::search::engine::{Found, Search};
use crate::sys::plan;
use crate::sys::spi::{fill, required};
use rag::search::passage::{Passage, Piece, passages};

impl Search {
    /// The stretches of documents around what was found; those that touch are one.
    pub(super) fn expand(&self, found: &[Found]) -> Vec<Passage> {
        let sql = fill(
            statement!("search/expand"),
            &[
                ("chunks", self.names.chunks.as_str()),
                ("documents", &self.names.documents),
                ("same_document", &self.collection.stored_keys_equal("d", "c")),
                ("visible", &self.collection.source_visible("c")),
            ],
        );
        let ids: Vec<i64> = found.iter().map(|found| found.chunk_id).collect();
        let around = i32::try_from(self.options.expand).unwrap_or(i32::MAX);
        let pieces = plan::read_as_caller(&sql, &[ids.into(), around.into()], |row| {
            let piece = Piece {
                chunk_id: required(row, 2),
                ordinal: required(row, 3),
                char_start: required(row, 4),
                char_end: required(row, 5),
                content: required(row, 6),
            };
            (required::<i64>(row, 1), piece)
        });
        let mut hits: Vec<(&[String], Vec<Piece>)> =
            found.iter().map(|found| (found.key.as_slice(), Vec::new())).collect();
        for (place, piece) in pieces {
            let hit = usize::try_from(place - 1).ok().and_then(|place| hits.get_mut(place));
            if let Some((_, pieces)) = hit {
                pieces.push(piece);
            }
        }
        passages(&hits)
    }
}
