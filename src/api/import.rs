//! `rag_import_embeddings()`: vectors that people have already.
use crate::api::collection::utf8;
use crate::catalog::collection::Collection;
use crate::catalog::distributed::Distributed;
use crate::maintain::import::{Check, Imported, Source, import};
use crate::models::local::require_utf8;
use crate::sys::error::SqlError;
use pgrx::pg_sys;
use pgrx::prelude::*;
use rag::{Error, Result};
use std::ffi::CStr;

/// Most texts that are embedded again.
const MAX_SAMPLE: i64 = 1_000;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_import_embeddings(
    collection text,
    source regclass,
    content name = 'chunk',
    embedding name = 'embedding',
    sample bigint = 20,
    min_similarity float8 = 0.99
) RETURNS TABLE (rows bigint, texts bigint, similarity float8, chunks bigint, matched bigint)
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_import_embeddings IS 'takes vectors that a table has already for texts that a collection is to embed, after a look whether they are its model''s';
", requires = ["catalog", "status"])]
#[allow(clippy::type_complexity)] // the row of a set-returning function
fn rag_import_embeddings(
    collection: Option<&str>,
    source: Option<pg_sys::Oid>,
    content: Option<&CStr>,
    embedding: Option<&CStr>,
    sample: Option<i64>,
    min_similarity: Option<f64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(rows, i64),
            name!(texts, i64),
            name!(similarity, Option<f64>),
            name!(chunks, i64),
            name!(matched, i64),
        ),
    >,
    SqlError,
> {
    require_utf8()?;
    if let Some(name) = collection {
        Distributed::refuse(name, "import vectors for its part")?;
    }
    let collection = Collection::owned(collection, "import vectors for it")?;
    let table = source.ok_or_else(|| {
        Error::invalid_argument("argument \"source\" must not be null")
            .with_hint("Name the table or view that has texts and their vectors.")
    })?;
    let content = content.map_or(Ok("chunk".to_owned()), utf8)?;
    let embedding = embedding.map_or(Ok("embedding".to_owned()), utf8)?;
    let check = checked(sample.unwrap_or(20), min_similarity.unwrap_or(0.99))?;
    let from = Source { table, content: &content, embedding: &embedding };
    let Imported { rows, texts, similarity, chunks, matched } = import(&collection, &from, &check)?;
    Ok(TableIterator::once((rows, texts, similarity, chunks, matched)))
}

fn checked(sample: i64, min_similarity: f64) -> Result<Check> {
    let Some(count) = usize::try_from(sample).ok().filter(|_| (1..=MAX_SAMPLE).contains(&sample))
    else {
        return Err(Error::invalid_argument(format!("sample must be between 1 and {MAX_SAMPLE}"))
            .with_detail(format!("It is {sample}."))
            .with_hint("20 texts tell another model from the same; each is embedded once."));
    };
    if !(0.0..=1.0).contains(&min_similarity) {
        return Err(Error::invalid_argument("min_similarity must be between 0 and 1")
            .with_detail(format!("It is {min_similarity}."))
            .with_hint("0.99 lets rounding pass, and no other model."));
    }
    Ok(Check { sample: count, min_similarity })
}
