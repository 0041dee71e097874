//! Writes the inverted file of a generation: each transaction that inserts or deletes chunks adds segments of these, and workers
//! merge them later. Statistics of terms are exact in every snapshot.
pub mod merge;
pub mod rewrite;

use crate::catalog::target::Target;
use crate::sys::datum::tsvector::StoredTsVector;
use crate::sys::spi::{fill, required};
use crate::sys::time_limit::{execute, query};
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiHeapTupleData;
use rag::Result;
use rag::inverted::Builder;
use rag::inverted::upkeep::is_inline;

/// Rows of the table of postings inserted by one statement, each of some kilobytes.
const ROWS: usize = 128;

/// What a transaction inserts and deletes, as segments. Runs as the source's owner.
#[derive(Default)]
pub struct Segments {
    inserted: Builder,
    deleted: Builder,
}

impl Segments {
    /// Runs a statement that inserts chunks and returns their ids and lexemes.
    pub fn insert(&mut self, sql: &str, args: &[DatumWithOid<'_>]) {
        query(sql, args, |row| add(&mut self.inserted, &row));
    }

    /// The same of one that deletes chunks. Returns how many.
    pub fn delete(&mut self, sql: &str, args: &[DatumWithOid<'_>]) -> usize {
        query(sql, args, |row| add(&mut self.deleted, &row)).len()
    }

    /// Stores them, last thing.
    pub fn write(self, target: &Target) -> Result<()> {
        store(target, self.inserted, false)?;
        store(target, self.deleted, true)
    }
}

fn add(builder: &mut Builder, row: &SpiHeapTupleData<'_>) {
    let lexemes: StoredTsVector = required(row, 2);
    builder.add(required(row, 1), lexemes.as_tsvector().lexemes());
}

/// Stores a segment, unless it is empty. Runs as the source's owner.
pub fn store(target: &Target, builder: Builder, is_deletion: bool) -> Result<()> {
    if builder.is_empty() {
        return Ok(());
    }
    let (chunks, length) = (builder.chunks(), builder.length());
    if is_inline(chunks, length) {
        insert_segment(target, is_deletion, chunks, length, Some(builder.finish_inline()?));
        return Ok(());
    }
    let segment = insert_segment(target, is_deletion, chunks, length, None);
    let mut rows = PostingRows::new(target, segment);
    builder.finish_rows(&mut |lexeme, part, data| {
        rows.push(lexeme, part, data);
        Ok(())
    })?;
    rows.flush();
    Ok(())
}

/// Returns its number.
fn insert_segment(
    target: &Target,
    is_deletion: bool,
    chunks: u64,
    length: u64,
    postings: Option<Vec<u8>>,
) -> i32 {
    let sql = fill(statement!("ingest/insert_segment"), &[("segments", &target.segments)]);
    let args = [is_deletion.into(), count(chunks).into(), count(length).into(), postings.into()];
    query(&sql, &args, |row| required(&row, 1))[0]
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Rows of the table of postings, inserted some at a time.
struct PostingRows {
    sql: String,
    segment: i32,
    parts: Vec<i32>,
    lexemes: Vec<String>,
    data: Vec<Vec<u8>>,
}

impl PostingRows {
    fn new(target: &Target, segment: i32) -> Self {
        let sql = fill(statement!("ingest/insert_postings"), &[("postings", &target.postings)]);
        Self { sql, segment, parts: Vec::new(), lexemes: Vec::new(), data: Vec::new() }
    }

    fn push(&mut self, lexeme: &str, part: u32, data: &[u8]) {
        self.parts.push(part.cast_signed());
        self.lexemes.push(lexeme.to_owned());
        self.data.push(data.to_vec());
        if self.parts.len() >= ROWS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let (parts, lexemes, data) = (
            std::mem::take(&mut self.parts),
            std::mem::take(&mut self.lexemes),
            std::mem::take(&mut self.data),
        );
        if !parts.is_empty() {
            execute(&self.sql, &[self.segment.into(), parts.into(), lexemes.into(), data.into()]);
        }
    }
}
