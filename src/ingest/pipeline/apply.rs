//! The one transaction that makes new chunks visible and old ones vanish.
use crate::catalog::lexical;
use crate::catalog::target::Target;
use crate::ingest::pipeline::embed::Embeddings;
use crate::ingest::pipeline::read::{key_args, keyed};
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::spi::{column, fill, required};
use crate::sys::time_limit::{execute, query};
use pgrx::datum::TimestampWithTimeZone;
use rag::model::storable::storable;
use rag::queue::plan::Chunk;
use rag::queue::spool::Spool;
use rag::{Error, Result};
use std::collections::HashSet;
use std::rc::Rc;

/// Chunks inserted by one statement: some megabytes with their token bits.
const CHUNKS: usize = 500;

/// What becomes of one claimed document.
pub struct Outcome {
    /// Its place in the claim.
    pub position: usize,
    /// Where the results of its new chunks begin.
    pub first_result: usize,
    /// Its key.
    pub key: String,
    /// The claim.
    pub token: i64,
    /// Chunks of its documents row as read, in their order; `None`: it had no row.
    pub expected: Option<Vec<i64>>,
    /// What to do.
    pub change: Change,
}

/// What to do with a document.
pub enum Change {
    /// Nothing: it is as it was.
    Keep,
    /// Its source row is gone.
    Erase,
    /// It has these chunks now.
    Replace(State),
}

/// A document's new state.
pub struct State {
    /// Hash of the source row; none where more chunks are to come.
    pub source_hash: Vec<u8>,
    /// Its chunks in order, with the row that already is one.
    pub chunks: Vec<(Rc<Chunk>, Option<i64>)>,
    /// Stored chunks to delete.
    pub removed: Vec<i64>,
}

/// What a transaction did, for the counters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Documents whose jobs are done.
    pub documents: usize,
    /// Documents more than before.
    pub indexed: i64,
    /// Chunks more than before.
    pub chunks: i64,
    /// Chunks embedded.
    pub embedded: i64,
    /// Tokens embedded.
    pub tokens: i64,
    /// Chunks whose vectors another generation had.
    pub reused: i64,
}

/// Applies `outcomes` whose claims still hold. Runs in a transaction, as its first statement.
/// `embedded` holds the results of their new chunks.
pub fn apply(target: &Target, outcomes: &[Outcome], embedded: &Embeddings) -> Result<Applied> {
    let held = lock(outcomes);
    let mut applied = Applied { documents: held.len(), ..Applied::default() };
    if held.is_empty() {
        return Ok(applied);
    }
    lexical::before_write(target);
    let mut rows = Rows { is_reused: &embedded.is_reused, ..Rows::default() };
    let new = outcomes.iter().filter(|o| held.contains(&o.token)).map(Outcome::new_chunks).sum();
    let mut ids = allocate(new).into_iter();
    for outcome in outcomes {
        if held.contains(&outcome.token) {
            rows.add(outcome, &mut ids, &mut applied);
        }
    }
    as_source_owner(target.collection.owner, || rows.write(target, &embedded.spool))?;
    let tokens: Vec<i64> = held.into_iter().collect();
    let since = as_extension_owner(|| {
        let sql = statement!("ingest/done");
        query(sql, &[tokens.into()], |row| column::<TimestampWithTimeZone>(&row, 1)).pop().flatten()
    });
    note_progress(target, applied, since);
    Ok(applied)
}

/// Stores a document's new chunks before all of them are embedded. `part` holds those that are, beside those that are
/// rows already. Its documents row names them from here on, in front of the chunks it named before, and says by its hash
/// that there is more to come. Returns the ids of the new rows; `None` where the claim does not hold.
pub fn apply_part(
    target: &Target,
    part: &Outcome,
    embedded: &Embeddings,
) -> Result<Option<Vec<i64>>> {
    if lock(std::slice::from_ref(part)).is_empty() {
        return Ok(None);
    }
    lexical::before_write(target);
    let mut applied = Applied::default();
    let mut rows = Rows { is_reused: &embedded.is_reused, is_part: true, ..Rows::default() };
    let ids = allocate(part.new_chunks());
    rows.add(part, &mut ids.iter().copied(), &mut applied);
    as_source_owner(target.collection.owner, || rows.write(target, &embedded.spool))?;
    as_extension_owner(|| {
        let sql = "UPDATE rag.job SET is_new = false WHERE token = $1 AND is_new";
        execute(sql, &[part.token.into()]);
    });
    note_progress(target, applied, None);
    Ok(Some(ids))
}

fn lock(outcomes: &[Outcome]) -> HashSet<i64> {
    let tokens: Vec<i64> = outcomes.iter().map(|outcome| outcome.token).collect();
    as_extension_owner(|| {
        let sql = statement!("ingest/lock");
        query(sql, &[tokens.into()], |row| required(&row, 1)).into_iter().collect()
    })
}

fn allocate(count: usize) -> Vec<i64> {
    if count == 0 {
        return Vec::new();
    }
    as_extension_owner(|| {
        let sql = statement!("ingest/chunk_ids");
        query(sql, &[(count as i64).into()], |row| required(&row, 1))
    })
}

/// Adds to the counters; the documents done have been waiting `since` then.
fn note_progress(target: &Target, applied: Applied, since: Option<TimestampWithTimeZone>) {
    as_extension_owner(|| {
        let sql = statement!("ingest/progress");
        let args = [
            target.generation.id.into(),
            applied.indexed.into(),
            applied.chunks.into(),
            applied.embedded.into(),
            applied.tokens.into(),
            applied.reused.into(),
            (applied.documents as i64).into(),
            since.into(),
        ];
        execute(sql, &args);
    });
}

impl Outcome {
    /// How many of its chunks are embedded.
    pub fn new_chunks(&self) -> usize {
        let Change::Replace(state) = &self.change else { return 0 };
        state.chunks.iter().filter(|(_, kept)| kept.is_none()).count()
    }
}

/// Rows of all documents of a batch, as columns of array parameters. `ordinal` counts `keys` from 1.
#[derive(Default)]
struct Rows<'a> {
    keys: Vec<String>,
    chunks: Vec<NewChunk<'a>>,
    inserted: DocumentRows,
    updated: DocumentRows,
    erased: DocumentRows,
    removed: Vec<i64>,
    /// By position, which vectors another generation had.
    is_reused: &'a [bool],
    /// Documents rows keep the chunks that they name.
    is_part: bool,
}

/// A chunk to insert.
struct NewChunk<'a> {
    id: i64,
    /// Its document, by ordinal.
    document: i64,
    chunk: &'a Chunk,
    /// Where its vector lies.
    position: usize,
}

#[derive(Default)]
struct DocumentRows {
    documents: Vec<i64>,
    hashes: Vec<Vec<u8>>,
    chunk_ids: Vec<String>,
    char_starts: Vec<String>,
    char_ends: Vec<String>,
    pages: Vec<Option<String>>,
    expected: Vec<Option<String>>,
}

impl<'a> Rows<'a> {
    fn add(
        &mut self,
        outcome: &'a Outcome,
        ids: &mut impl Iterator<Item = i64>,
        applied: &mut Applied,
    ) {
        match (&outcome.change, &outcome.expected) {
            (Change::Keep, _) | (Change::Erase, None) => {}
            (Change::Erase, Some(chunk_ids)) => {
                self.keys.push(outcome.key.clone());
                self.erased.documents.push(self.keys.len() as i64);
                self.erased.expected.push(Some(array(chunk_ids)));
                self.removed.extend(chunk_ids);
                applied.indexed -= 1;
                applied.chunks -= chunk_ids.len() as i64;
            }
            (Change::Replace(state), expected) => {
                self.keys.push(outcome.key.clone());
                self.replace(state, expected.as_deref(), outcome.first_result, ids, applied);
            }
        }
    }

    fn replace(
        &mut self,
        state: &'a State,
        expected: Option<&[i64]>,
        mut position: usize,
        ids: &mut impl Iterator<Item = i64>,
        applied: &mut Applied,
    ) {
        let ordinal = self.keys.len() as i64;
        let mut chunk_ids = Vec::with_capacity(state.chunks.len());
        for (chunk, kept) in &state.chunks {
            chunk_ids.push(kept.unwrap_or_else(|| {
                let id = ids.next().expect("an id was allocated for every new chunk");
                self.chunks.push(NewChunk { id, document: ordinal, chunk, position });
                applied.chunks += 1;
                if self.is_reused[position] {
                    applied.reused += 1;
                } else {
                    applied.embedded += 1;
                    applied.tokens += (chunk.heading_tokens + chunk.token_count) as i64;
                }
                position += 1;
                id
            }));
        }
        let rows = if expected.is_some() { &mut self.updated } else { &mut self.inserted };
        rows.documents.push(ordinal);
        rows.hashes.push(state.source_hash.clone());
        rows.chunk_ids.push(array(&chunk_ids));
        let chunks = || state.chunks.iter().map(|(chunk, _)| &**chunk);
        rows.char_starts.push(array(chunks().map(|chunk| chunk.char_start)));
        rows.char_ends.push(array(chunks().map(|chunk| chunk.char_end)));
        let has_pages = chunks().any(|chunk| chunk.page.is_some());
        let page = |chunk: &Chunk| chunk.page.map_or("NULL".to_owned(), |page| page.to_string());
        rows.pages.push(has_pages.then(|| array(chunks().map(page))));
        rows.expected.push(expected.map(array));
        self.removed.extend(&state.removed);
        applied.indexed += i64::from(expected.is_none());
        applied.chunks -= state.removed.len() as i64;
    }

    fn write(self, target: &Target, embedded: &Spool) -> Result<()> {
        let keys = self.keys;
        self.erased.write(target, &keys, statement!("ingest/delete_documents"))?;
        if !self.removed.is_empty() {
            let template = statement!("ingest/delete_chunks");
            for table in target.bits.iter().chain([&target.chunks]) {
                execute(&fill(template, &[("table", table)]), &[self.removed.clone().into()]);
            }
        }
        for chunks in self.chunks.chunks(CHUNKS) {
            insert_chunks(target, &keys, chunks, embedded)?;
        }
        self.inserted.write(target, &keys, statement!("ingest/insert_documents"))?;
        let update = if self.is_part {
            statement!("ingest/update_part")
        } else {
            statement!("ingest/update_documents")
        };
        self.updated.write(target, &keys, update)
    }
}

/// Inserts chunks and their token bits.
fn insert_chunks(
    target: &Target,
    keys: &[String],
    chunks: &[NewChunk<'_>],
    embedded: &Spool,
) -> Result<()> {
    let mut embeddings = Vec::with_capacity(chunks.len() * target.generation.dimensions);
    let mut bits = Vec::with_capacity(chunks.len());
    for new in chunks {
        let embedded = embedded.get(new.position)?;
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
    execute(&sql, &args);
    if let Some(table) = &target.bits {
        let headings: Vec<i32> = chunks.iter().map(|new| new.chunk.heading_tokens as i32).collect();
        let sql = fill(statement!("ingest/insert_bits"), &[("bits", table)]);
        execute(&sql, &[ids.into(), headings.into(), bits.into()]);
    }
    Ok(())
}

impl DocumentRows {
    fn write(self, target: &Target, keys: &[String], template: &str) -> Result<()> {
        let count = self.documents.len();
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
        ];
        let mut args = key_args(target, keys);
        let arrays = columns.iter().enumerate().map(|(i, (_, element))| {
            format!("pg_catalog.unnest(${}::{element}[])", args.len() + 1 + i)
        });
        let states = format!(
            "ROWS FROM ({}) AS n ({})",
            arrays.collect::<Vec<_>>().join(", "),
            columns.map(|(name, _)| name).join(", ")
        );
        args.extend([
            self.documents.into(),
            self.hashes.into(),
            self.chunk_ids.into(),
            self.char_starts.into(),
            self.char_ends.into(),
            self.pages.into(),
            self.expected.into(),
        ]);
        let written = execute(&keyed(target, template, &[("states", &states)]), &args);
        if written == count {
            return Ok(());
        }
        // Another spelling of a key, such as 1.0 for 1.00, was applied between reading and now.
        Err(Error::conflict("a document changed while it was being indexed"))
    }
}

fn array<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    format!("{{{}}}", values.join(","))
}
