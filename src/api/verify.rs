//! `rag_verify()`: compares a collection with its source and repairs what differs.
use crate::catalog::collection::Collection;
use crate::catalog::distributed::Distributed;
use crate::catalog::distributed::forward::VerifiedRow;
use crate::maintain::verify;
use crate::sys::error::SqlError;
use crate::sys::interrupt;
use pgrx::prelude::*;
use rag::queue::diff;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_verify(collection text, repair boolean = true)
RETURNS TABLE (problem text, found bigint, action text)
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_verify IS 'compares a collection with its source, repairs what differs, and lets a restored one go on';
", requires = ["catalog"])]
#[allow(clippy::type_complexity)] // the shape of a result set
fn rag_verify(
    collection: &str,
    repair: bool,
) -> Result<
    TableIterator<
        'static,
        (name!(problem, String), name!(found, i64), name!(action, Option<String>)),
    >,
    SqlError,
> {
    if let Some(distributed) = Distributed::find(collection)? {
        let rows = distributed.verify(repair)?;
        let row = |row: VerifiedRow| (row.problem, row.found, row.action);
        return Ok(TableIterator::new(rows.into_iter().map(row).collect::<Vec<_>>()));
    }
    let collection = Collection::by_name(collection)?;
    collection.require_owner("verify it")?;
    let findings = verify::verify(&collection, repair)?;
    let row = |finding: verify::Finding| {
        (finding.problem.to_owned(), finding.found, finding.action.map(str::to_owned))
    };
    Ok(TableIterator::new(findings.into_iter().map(row).collect::<Vec<_>>()))
}

/// The hash by which a document, or the key of a job, is known again, where a statement needs it of every row.
#[pg_extern(sql = r"
CREATE FUNCTION rag.source_hash(title text, content text) RETURNS bytea
    IMMUTABLE PARALLEL SAFE COST 100 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.source_hash IS 'hash by which a document, or the key of a job, is known again';
", requires = ["bootstrap"])]
fn source_hash(title: Option<&str>, content: Option<&str>) -> Vec<u8> {
    diff::source_hash(title, content).to_vec()
}

/// The same of a document that is a file.
#[pg_extern(sql = r"
CREATE FUNCTION rag.file_hash(title text, file bytea, file_name text, media_type text) RETURNS bytea
    IMMUTABLE PARALLEL SAFE COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.file_hash IS 'hash by which a document that is a file is known again';
", requires = ["bootstrap"])]
fn file_hash(
    title: Option<&str>,
    file: Option<&[u8]>,
    file_name: Option<&str>,
    media_type: Option<&str>,
) -> Result<Vec<u8>, SqlError> {
    let file = diff::file_hash(file, file_name, media_type, &mut interrupt::checkpoint)?;
    Ok(diff::titled_hash(title, &file).to_vec())
}
