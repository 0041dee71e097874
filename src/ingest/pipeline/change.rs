//! What a claimed document's stored rows are to become.
use crate::catalog::target::Target;
use crate::ingest::pipeline::read::{ReadDocument, SourceRow};
use crate::ingest::queue::lease::Job;
use crate::models::embedder::Embedder;
use crate::sys::interrupt::checkpoint;
use crate::sys::limit;
use rag::Result;
use rag::chunk::{Format, Options};
use rag::model::Purpose;
use rag::queue::diff::{ChunkHash, diff};
use rag::queue::plan::{self, Chunk, Document};
use rag::queue::spool::SpoolHandle;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// A claimed document and what to do with it.
pub struct DocumentChange<'j> {
    /// Its job.
    pub job: &'j Job,
    /// Chunks of its documents row as read, in their order; `None`: it had no row.
    pub expected: Option<Vec<i64>>,
    /// What to do.
    pub change: Change,
}

/// What to do with a document.
pub enum Change {
    /// Nothing: it is as it was.
    Keep,
    /// Delete it: its source row is gone.
    Erase,
    /// Give it these chunks.
    Replace(Replacement),
}

/// A document's new state.
pub struct Replacement {
    /// Hash of the source row.
    pub source_hash: Vec<u8>,
    /// Its chunks in order.
    pub chunks: Vec<PlannedChunk>,
    /// Stored chunks to delete.
    pub removed: Vec<i64>,
    /// What its documents row keeps of its file.
    pub file: Option<FileRow>,
}

/// What a documents row keeps of a file.
pub struct FileRow {
    /// Its hash.
    pub hash: Vec<u8>,
    /// Its text; `None` where the collection does not keep it.
    pub text: Option<String>,
    /// Where its pages begin, as JSON.
    pub parts: String,
    /// What is known of it, as JSON.
    pub description: String,
    /// Whether a part of the document was stored, and with it the text.
    pub is_stored: bool,
    /// Pages of which the text was extracted now, and how long that took.
    pub pages: usize,
    pub took: Duration,
}

/// A chunk that a document is to have.
pub struct PlannedChunk {
    /// The chunk.
    pub chunk: Chunk,
    /// How far it is.
    pub state: ChunkState,
}

/// How far a planned chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkState {
    /// It is a row with this id.
    Stored(i64),
    /// It has to be embedded.
    New,
    /// It is embedded, and not stored.
    Embedded {
        /// Its embedding, in the spool of the call.
        result: SpoolHandle,
        /// Whether another generation had it.
        is_reused: bool,
    },
}

impl PlannedChunk {
    /// Tokens that embedding it takes.
    pub fn tokens(&self) -> usize {
        self.chunk.heading_tokens + self.chunk.token_count
    }

    /// Whether it has to be embedded.
    pub fn is_new(&self) -> bool {
        self.state == ChunkState::New
    }

    /// Whether it is embedded, and not stored.
    pub fn is_embedded(&self) -> bool {
        matches!(self.state, ChunkState::Embedded { .. })
    }
}

impl DocumentChange<'_> {
    /// The chunks that it is to have.
    pub fn chunks(&self) -> &[PlannedChunk] {
        if let Change::Replace(new) = &self.change { &new.chunks } else { &[] }
    }

    /// The same, to be embedded.
    pub fn chunks_mut(&mut self) -> &mut [PlannedChunk] {
        if let Change::Replace(new) = &mut self.change { &mut new.chunks } else { &mut [] }
    }

    /// How many chunks have to be embedded.
    pub fn new_chunks(&self) -> usize {
        self.chunks().iter().filter(|planned| planned.is_new()).count()
    }

    /// Notes the rows that its embedded chunks were stored as, and what its documents row names now.
    pub fn note_stored(&mut self, ids: Vec<i64>) {
        let embedded = self.chunks_mut().iter_mut().filter(|planned| planned.is_embedded());
        for (planned, id) in embedded.zip(ids) {
            planned.state = ChunkState::Stored(id);
        }
        let stored = |planned: &PlannedChunk| match planned.state {
            ChunkState::Stored(id) => Some(id),
            _ => None,
        };
        if let Change::Replace(Replacement { file: Some(file), .. }) = &mut self.change {
            file.is_stored = true;
        }
        let mut named: Vec<i64> = self.chunks().iter().filter_map(stored).collect();
        let known: HashSet<i64> = named.iter().copied().collect();
        let before = self.expected.take().unwrap_or_default();
        named.extend(before.into_iter().filter(|id| !known.contains(id)));
        self.expected = Some(named);
    }
}

/// What to do with a document that was read; `None` if another job of the batch is for the same row. `hashes` are those of
/// stored chunks.
pub fn plan(
    target: &Target,
    model: &Embedder,
    read: &ReadDocument,
    hashes: &HashMap<i64, ChunkHash>,
) -> Result<Option<Change>> {
    Ok(Some(match &read.source {
        SourceRow::Repeated => return Ok(None),
        SourceRow::Gone => Change::Erase,
        SourceRow::Document(document) => {
            limit::document_size(document.content.as_ref().map_or(0, String::len))?;
            if !read.is_changed() {
                return Ok(Some(Change::Keep));
            }
            replace(target, model, document, read, hashes)?
        }
    }))
}

fn replace(
    target: &Target,
    model: &Embedder,
    document: &Document,
    read: &ReadDocument,
    hashes: &HashMap<i64, ChunkHash>,
) -> Result<Change> {
    let generation = &target.generation;
    let options = Options {
        max_tokens: generation.max_tokens,
        overlap_tokens: generation.overlap_tokens,
        format: if target.collection.is_of_files() {
            Format::Markdown
        } else {
            generation.format.parse()?
        },
        heading_tokens: 0,
        window: model.room(Purpose::Document)?,
    };
    let chunks = plan::chunks(document, &options, model.counter(), &mut checkpoint)?;
    let stored: Vec<(i64, ChunkHash)> = read
        .stored
        .iter()
        .flat_map(|stored| &stored.chunk_ids)
        // A chunk without a known hash is not kept.
        .map(|id| (*id, hashes.get(id).copied().unwrap_or_default()))
        .collect();
    let new: Vec<ChunkHash> = chunks.iter().map(|chunk| chunk.hash).collect();
    let diff = diff(&stored, &new);
    let planned = |(chunk, kept): (Chunk, Option<i64>)| PlannedChunk {
        chunk,
        state: kept.map_or(ChunkState::New, ChunkState::Stored),
    };
    Ok(Change::Replace(Replacement {
        source_hash: read.hash.clone(),
        chunks: chunks.into_iter().zip(diff.kept).map(planned).collect(),
        removed: diff.removed,
        file: None,
    }))
}
