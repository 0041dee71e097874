//! Writes the inverted file of a generation anew from its chunks.
use crate::catalog::target::Target;
use crate::ingest::inverted::{merge, store};
use crate::sys::cursor::{self, Snapshot};
use crate::sys::datum::tsvector::StoredTsVector;
use crate::sys::rights::as_source_owner;
use crate::sys::spi::{fill, required};
use crate::sys::workers::admission;
use pgrx::spi::SpiHeapTupleData;
use rag::Result;
use rag::inverted::Builder;

/// Postings of a segment, which is in memory as long as it is being built. Upkeep merges segments later.
const POSTINGS: usize = 1_000_000;

/// Replaces all segments. Transactions that change chunks meanwhile add theirs to these.
pub fn all(target: &Target) -> Result<()> {
    admission::inverted_file(target.generation.id).lock_exclusive_for_transaction();
    // Only now: a merge that was under way has committed. Chunks and segments are of the same snapshot.
    let _snapshot = Snapshot::take();
    as_source_owner(target.collection.owner, || {
        let sql = fill(statement!("ingest/segment_numbers"), &[("segments", &target.segments)]);
        let replaced: Vec<i32> = crate::sys::plan::read(&sql, &[], |row| required(row, 1));
        merge::delete(target, &replaced)?;
        let sql = fill(statement!("ingest/read_lexemes"), &[("chunks", &target.chunks)]);
        let lexemes = |row: &SpiHeapTupleData<'_>| -> (i64, StoredTsVector) {
            (required(row, 1), required(row, 2))
        };
        let mut builder = Builder::default();
        cursor::batches(&sql, &[], lexemes, |chunks| {
            for (chunk, lexemes) in &chunks {
                builder.add(*chunk, lexemes.as_tsvector().lexemes());
            }
            if builder.postings() >= POSTINGS {
                store(target, std::mem::take(&mut builder), false)?;
            }
            Ok(())
        })?;
        store(target, builder, false)
    })
}
