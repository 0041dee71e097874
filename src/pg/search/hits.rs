//! The two functions that a search's statement calls.
use super::tsvector::TsVector;
use crate::search::legs::{Request, fuse, pack_hit};
use crate::{Error, Result};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// What a search must know of a chunk that one of its legs found. Part of `rag_search`.
#[pg_extern(schema = "rag", name = "search_hit", immutable, strict, parallel_safe)]
fn search_hit(request: &[u8], chunk_id: i64, lexemes: TsVector<'_>) -> Vec<u8> {
    pack_hit(request, chunk_id, lexemes.lexemes())
}

/// Ranks what the legs of a search found and keeps the best. Part of `rag_search`.
#[pg_extern(schema = "rag", name = "search_fuse", immutable, parallel_safe)]
#[allow(clippy::type_complexity)] // the row of a set-returning function
fn search_fuse(
    request: &[u8],
    dense: Option<&[u8]>,
    lexical: Option<&[u8]>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(chunk_id, i64),
            name!(dense_rank, Option<i32>),
            name!(lexical_rank, Option<i32>),
            name!(rrf, f64),
            name!(bm25, f64),
        ),
    >,
    ErrorReport,
> {
    let request = unpack(request)?;
    let candidates = fuse(&request, dense.unwrap_or_default(), lexical.unwrap_or_default());
    let rank = |rank: Option<u32>| rank.and_then(|rank| i32::try_from(rank).ok());
    Ok(TableIterator::new(
        candidates
            .into_iter()
            .map(move |c| (c.chunk_id, rank(c.dense_rank), rank(c.lexical_rank), c.rrf, c.bm25)),
    ))
}

// Without these the planner expects 1,000 candidates, and hashes tables instead of probing them.
extension_sql!(
    r"ALTER FUNCTION rag.search_fuse(bytea, bytea, bytea) ROWS 50 COST 1000;
ALTER FUNCTION rag.search_hit(bytea, bigint, tsvector) COST 10;
COMMENT ON FUNCTION rag.search_fuse(bytea, bytea, bytea) IS 'part of rag_search: ranks what its legs found';
COMMENT ON FUNCTION rag.search_hit(bytea, bigint, tsvector) IS 'part of rag_search: what ranking must know of a chunk';",
    name = "search_hits",
    requires = [search_hit, search_fuse]
);

fn unpack(request: &[u8]) -> Result<Request> {
    Request::unpack(request).ok_or_else(|| {
        Error::invalid_argument("malformed request of a search")
            .with_hint("This function is part of rag_search, which calls it by itself.")
    })
}
