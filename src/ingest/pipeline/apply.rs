//! The one transaction that makes new chunks visible and old ones vanish.
use crate::catalog::lexical;
use crate::catalog::target::Target;
use crate::ingest::inverted::Segments;
use crate::ingest::pipeline::change::{Change, ChunkState, DocumentChange, PlannedChunk};
use crate::ingest::pipeline::read::{key_args, keyed};
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::spi::{column, fill, required};
use crate::sys::time_limit::{execute, query};
use pgrx::datum::TimestampWithTimeZone;
use rag::model::storable::storable;
use rag::queue::plan::Chunk;
use rag::queue::spool::{Spool, SpoolHandle};
use rag::{Error, Result};
use std::collections::HashSet;

/// Chunks inserted by one statement: some megabytes with their token bits.
const CHUNKS: usize = 500;

/// Applies the changes of documents whose jobs are still held, first thing in a transaction. `spool` holds the results of
/// their embedded chunks. Returns the tokens of these jobs.
pub fn apply(
    target: &Target,
    documents: &[&DocumentChange<'_>],
    spool: &Spool,
) -> Result<HashSet<i64>> {
    let held = lock(documents);
    if held.is_empty() {
        return Ok(held);
    }
    lexical::before_write(target);
    let is_held = |document: &&DocumentChange<'_>| held.contains(&document.job.token);
    let held_documents = documents.iter().copied().filter(is_held);
    let rows = Rows::of(held_documents, false);
    let mut progress = rows.progress;
    progress.documents = held.len() as i64;
    as_source_owner(target.collection.owner, || rows.write(target, spool))?;
    let tokens: Vec<i64> = held.iter().copied().collect();
    let since = as_extension_owner(|| {
        let sql = statement!("ingest/finish_jobs");
        query(sql, &[tokens.into()], |row| column::<TimestampWithTimeZone>(&row, 1)).pop().flatten()
    });
    note_progress(target, progress, since);
    Ok(held)
}

/// Stores the embedded chunks of a long document, the others of which are still to be embedded. Its documents row names them
/// from here on, in front of the chunks it named before, and an empty hash there says that more are to come. Returns the ids
/// of the new rows; `None` if the job is not held any more.
pub fn apply_part(
    target: &Target,
    document: &DocumentChange<'_>,
    spool: &Spool,
) -> Result<Option<Vec<i64>>> {
    if lock(&[document]).is_empty() {
        return Ok(None);
    }
    lexical::before_write(target);
    let rows = Rows::of([document], true);
    let progress = rows.progress;
    let ids = rows.chunks.iter().map(|chunk| chunk.id).collect();
    as_source_owner(target.collection.owner, || rows.write(target, spool))?;
    as_extension_owner(|| {
        let sql = "UPDATE rag.job SET is_new = false WHERE token = $1 AND is_new";
        execute(sql, &[document.job.token.into()]);
    });
    note_progress(target, progress, None);
    Ok(Some(ids))
}

/// Locks the jobs; returns the tokens of those that are still held.
fn lock(documents: &[&DocumentChange<'_>]) -> HashSet<i64> {
    let tokens: Vec<i64> = documents.iter().map(|document| document.job.token).collect();
    as_extension_owner(|| {
        let sql = statement!("ingest/lock_jobs");
        query(sql, &[tokens.into()], |row| required(&row, 1)).into_iter().collect()
    })
}

fn allocate(count: usize) -> Vec<i64> {
    if count == 0 {
        return Vec::new();
    }
    as_extension_owner(|| {
        let sql = statement!("ingest/allocate_chunk_ids");
        query(sql, &[(count as i64).into()], |row| required(&row, 1))
    })
}

/// What a transaction adds to the counters of `rag.progress`.
#[derive(Default, Clone, Copy)]
struct ProgressDelta {
    /// Documents whose jobs are done.
    documents: i64,
    indexed: i64,
    chunks: i64,
    embedded: i64,
    tokens: i64,
    reused: i64,
    /// Pages of files whose text was extracted, and seconds that took.
    pages: i64,
    extracting: f64,
}

/// Adds to the counters. The first of the documents that are done was queued at `since`.
fn note_progress(target: &Target, progress: ProgressDelta, since: Option<TimestampWithTimeZone>) {
    as_extension_owner(|| {
        let args = [
            target.generation.id.into(),
            progress.indexed.into(),
            progress.chunks.into(),
            progress.embedded.into(),
            progress.tokens.into(),
            progress.reused.into(),
            progress.documents.into(),
            since.into(),
            progress.pages.into(),
            progress.extracting.into(),
        ];
        execute(statement!("ingest/progress"), &args);
    });
}

/// Rows to write for some documents.
#[derive(Default)]
struct Rows<'a> {
    /// Keys of the documents; rows refer to them by ordinal, from 1.
    keys: Vec<String>,
    chunks: Vec<ChunkRow<'a>>,
    inserted: Vec<DocumentWrite<'a>>,
    updated: Vec<DocumentWrite<'a>>,
    erased: Vec<DocumentWrite<'a>>,
    /// Chunks to delete.
    removed: Vec<i64>,
    /// Whether documents rows keep the chunks that they name.
    is_part: bool,
    progress: ProgressDelta,
}

/// A chunk to insert.
struct ChunkRow<'a> {
    id: i64,
    /// Ordinal of its document.
    document: i64,
    chunk: &'a Chunk,
    result: SpoolHandle,
}

/// A documents row to insert, update or delete. Arrays are literals.
#[derive(Default)]
struct DocumentWrite<'a> {
    /// Ordinal of its key.
    document: i64,
    source_hash: Vec<u8>,
    chunk_ids: String,
    char_starts: String,
    char_ends: String,
    pages: Option<String>,
    /// The chunks that it named when it was read.
    expected: Option<String>,
    /// Of a file: what its chunks have besides their pages, and what is kept of it.
    places: Option<String>,
    file: FileColumns<'a>,
}

/// The columns of a documents row that are about its file.
#[derive(Default)]
struct FileColumns<'a> {
    text: Option<&'a str>,
    text_hash: Option<&'a [u8]>,
    parts: Option<&'a str>,
    description: Option<&'a str>,
}

impl<'a> Rows<'a> {
    fn of(
        documents: impl IntoIterator<Item = &'a DocumentChange<'a>> + Clone,
        is_part: bool,
    ) -> Self {
        let chunks = documents.clone().into_iter().flat_map(DocumentChange::chunks);
        let mut ids = allocate(chunks.filter(|chunk| chunk.is_embedded()).count()).into_iter();
        let mut rows = Self { is_part, ..Self::default() };
        for document in documents {
            rows.add(document, &mut ids);
        }
        rows
    }

    fn add(&mut self, document: &'a DocumentChange<'a>, ids: &mut impl Iterator<Item = i64>) {
        let expected = document.expected.as_ref();
        let mut row = DocumentWrite {
            document: self.keys.len() as i64 + 1,
            expected: expected.map(array),
            ..DocumentWrite::default()
        };
        match (&document.change, expected) {
            (Change::Keep, _) | (Change::Erase, None) => return,
            (Change::Erase, Some(chunk_ids)) => {
                self.erased.push(row);
                self.removed.extend(chunk_ids);
                self.progress.indexed -= 1;
                self.progress.chunks -= chunk_ids.len() as i64;
            }
            (Change::Replace(new), _) => {
                let there: Vec<&PlannedChunk> =
                    new.chunks.iter().filter(|planned| !planned.is_new()).collect();
                let chunk_ids: Vec<i64> = there
                    .iter()
                    .map(|planned| self.add_chunk(planned, row.document, ids))
                    .collect();
                let chunks = || there.iter().map(|planned| &planned.chunk);
                let page = |chunk: &Chunk| chunk.page.map_or("NULL".to_owned(), |p| p.to_string());
                let has_pages = chunks().any(|chunk| chunk.page.is_some());
                row.chunk_ids = array(&chunk_ids);
                row.char_starts = array(chunks().map(|chunk| chunk.char_start));
                row.char_ends = array(chunks().map(|chunk| chunk.char_end));
                row.pages = has_pages.then(|| array(chunks().map(page)));
                if let Some(file) = &new.file {
                    let place = |chunk: &'a Chunk| chunk.place.as_deref().unwrap_or("null");
                    let places: Vec<&str> = chunks().map(place).collect();
                    row.places = Some(format!("[{}]", places.join(",")));
                    row.file = FileColumns {
                        text_hash: file.text.is_some().then_some(&*file.hash),
                        text: file.text.as_deref().filter(|_| !file.is_stored),
                        parts: Some(&file.parts),
                        description: Some(&file.description),
                    };
                    if !self.is_part {
                        self.progress.pages += file.pages as i64;
                        self.progress.extracting += file.took.as_secs_f64();
                    }
                }
                if !self.is_part {
                    assert!(there.len() == new.chunks.len(), "every chunk was embedded");
                    row.source_hash.clone_from(&new.source_hash);
                    self.removed.extend(&new.removed);
                    self.progress.chunks -= new.removed.len() as i64;
                }
                self.progress.indexed += i64::from(expected.is_none());
                let rows = if expected.is_some() { &mut self.updated } else { &mut self.inserted };
                rows.push(row);
            }
        }
        self.keys.push(document.job.key.clone());
    }

    /// The id of a chunk, which is inserted if it is not stored.
    fn add_chunk(
        &mut self,
        planned: &'a PlannedChunk,
        document: i64,
        ids: &mut impl Iterator<Item = i64>,
    ) -> i64 {
        let (result, is_reused) = match planned.state {
            ChunkState::Stored(id) => return id,
            ChunkState::Embedded { result, is_reused } => (result, is_reused),
            ChunkState::New => unreachable!("only chunks with a vector are stored"),
        };
        let id = ids.next().expect("an id was allocated for every embedded chunk");
        self.chunks.push(ChunkRow { id, document, chunk: &planned.chunk, result });
        self.progress.chunks += 1;
        if is_reused {
            self.progress.reused += 1;
        } else {
            self.progress.embedded += 1;
            self.progress.tokens += planned.tokens() as i64;
        }
        id
    }

    fn write(self, target: &Target, spool: &Spool) -> Result<()> {
        let keys = self.keys;
        write_documents(target, &keys, &self.erased, statement!("ingest/delete_documents"))?;
        let mut segments = Segments::default();
        if !self.removed.is_empty() {
            if let Some(bits) = &target.bits {
                let sql = fill(statement!("ingest/delete_bits"), &[("bits", bits)]);
                execute(&sql, &[self.removed.clone().into()]);
            }
            let sql = fill(statement!("ingest/delete_chunks"), &[("chunks", &target.chunks)]);
            segments.delete(&sql, &[self.removed.into()]);
        }
        for chunks in self.chunks.chunks(CHUNKS) {
            insert_chunks(target, &keys, chunks, spool, &mut segments)?;
        }
        segments.write(target)?;
        write_documents(target, &keys, &self.inserted, statement!("ingest/insert_documents"))?;
        let update = if self.is_part {
            statement!("ingest/update_part")
        } else {
            statement!("ingest/update_documents")
        };
        write_documents(target, &keys, &self.updated, update)
    }
}

/// Inserts chunks, with their lexemes into `segments`, and their token bits.
fn insert_chunks(
    target: &Target,
    keys: &[String],
    chunks: &[ChunkRow<'_>],
    spool: &Spool,
    segments: &mut Segments,
) -> Result<()> {
    let mut embeddings = Vec::with_capacity(chunks.len() * target.generation.dimensions);
    let mut bits = Vec::with_capacity(chunks.len());
    for new in chunks {
        let embedded = spool.get(new.result)?;
        embeddings.extend(storable(embedded.vector));
        bits.push(embedded.bits);
    }
    let config = pgrx::spi::quote_literal(&target.collection.text_search_config);
    let dimensions = target.generation.dimensions.to_string();
    let mut args = key_args(target, keys);
    let arrays = [
        "chunk_ids",
        "of",
        "contents",
        "hashes",
        "sections",
        "headings",
        "token_counts",
        "embeddings",
    ];
    let mut names: Vec<(&str, String)> = arrays
        .iter()
        .enumerate()
        .map(|(i, name)| (*name, format!("${}", args.len() + 1 + i)))
        .collect();
    names.extend([("config", config), ("dimensions", dimensions)]);
    let names: Vec<(&str, &str)> = names.iter().map(|(name, sql)| (*name, sql.as_str())).collect();
    let sql = keyed(target, statement!("ingest/insert_chunks"), &names);
    let ids: Vec<i64> = chunks.iter().map(|new| new.id).collect();
    args.extend([
        ids.clone().into(),
        chunks.iter().map(|new| new.document).collect::<Vec<_>>().into(),
        chunks.iter().map(|new| new.chunk.content.as_str()).collect::<Vec<_>>().into(),
        chunks.iter().map(|new| &new.chunk.hash[..]).collect::<Vec<_>>().into(),
        chunks.iter().map(|new| new.chunk.section.as_deref()).collect::<Vec<_>>().into(),
        chunks.iter().map(|new| &*new.chunk.heading).collect::<Vec<_>>().into(),
        chunks.iter().map(|new| new.chunk.token_count as i32).collect::<Vec<_>>().into(),
        embeddings.into(),
    ]);
    segments.insert(&sql, &args);
    if let Some(table) = &target.bits {
        let headings: Vec<i32> = chunks.iter().map(|new| new.chunk.heading_tokens as i32).collect();
        let sql = fill(statement!("ingest/insert_bits"), &[("bits", table)]);
        execute(&sql, &[ids.into(), headings.into(), bits.into()]);
    }
    Ok(())
}

fn write_documents(
    target: &Target,
    keys: &[String],
    rows: &[DocumentWrite<'_>],
    template: &str,
) -> Result<()> {
    let count = rows.len();
    if count == 0 {
        return Ok(());
    }
    let columns = [
        ("document", "bigint"),
        ("source_hash", "bytea"),
        ("chunk_ids", "text"),
        ("char_starts", "text"),
        ("char_ends", "text"),
        ("pages", "text"),
        ("expected", "text"),
        ("places", "text"),
        ("text", "text"),
        ("text_hash", "bytea"),
        ("parts", "text"),
        ("file", "text"),
    ];
    let is_of_files = target.collection.is_of_files();
    let columns: &[(&str, &str)] = if is_of_files { &columns } else { &columns[..7] };
    let mut args = key_args(target, keys);
    let arrays = columns.iter().enumerate().map(|(i, (_, element))| {
        format!("pg_catalog.unnest(${}::{element}[])", args.len() + 1 + i)
    });
    let states = format!(
        "ROWS FROM ({}) AS n ({})",
        arrays.collect::<Vec<_>>().join(", "),
        columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    );
    args.extend([
        rows.iter().map(|row| row.document).collect::<Vec<_>>().into(),
        rows.iter().map(|row| &row.source_hash[..]).collect::<Vec<_>>().into(),
        rows.iter().map(|row| row.chunk_ids.as_str()).collect::<Vec<_>>().into(),
        rows.iter().map(|row| row.char_starts.as_str()).collect::<Vec<_>>().into(),
        rows.iter().map(|row| row.char_ends.as_str()).collect::<Vec<_>>().into(),
        rows.iter().map(|row| row.pages.as_deref()).collect::<Vec<_>>().into(),
        rows.iter().map(|row| row.expected.as_deref()).collect::<Vec<_>>().into(),
    ]);
    if is_of_files {
        args.extend([
            rows.iter().map(|row| row.places.as_deref()).collect::<Vec<_>>().into(),
            rows.iter().map(|row| row.file.text).collect::<Vec<_>>().into(),
            rows.iter().map(|row| row.file.text_hash).collect::<Vec<_>>().into(),
            rows.iter().map(|row| row.file.parts).collect::<Vec<_>>().into(),
            rows.iter().map(|row| row.file.description).collect::<Vec<_>>().into(),
        ]);
    }
    let names = [
        ("states", states.as_str()),
        ("file_columns", ", places, text, text_hash, parts, file"),
        ("file_values", ", n.places::jsonb, n.text, n.text_hash, n.parts::jsonb, n.file::jsonb"),
        (
            "file_set",
            ", places = n.places::jsonb, text = CASE WHEN d.text_hash = n.text_hash AND d.text IS NOT NULL THEN d.text ELSE n.text END, text_hash = n.text_hash, parts = n.parts::jsonb, file = n.file::jsonb",
        ),
    ];
    let names =
        names.map(|(name, sql)| (name, if is_of_files || name == "states" { sql } else { "" }));
    let written = execute(&keyed(target, template, &names), &args);
    if written == count {
        return Ok(());
    }
    // Another spelling of a key, such as 1.0 for 1.00, was applied between reading and now.
    Err(Error::conflict("a document changed while it was being indexed"))
}

fn array<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    format!("{{{}}}", values.join(","))
}
