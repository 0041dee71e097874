//! SQL functions that statements call: two of searches, and one that chunks are indexed by.
use crate::sys::datum::tsvector::TsVector;
use crate::sys::error::SqlError;
use crate::sys::limit;
use crate::sys::text_search::Config;
use pgrx::itemptr::{item_pointer_get_both, item_pointer_set_all};
use pgrx::pg_sys::ItemPointerData;
use pgrx::prelude::*;
use rag::search::partial_results::{FusionRequest, encode_partial_result, fuse};
use rag::search::sample::Tid;
use rag::search::analysis::for_documents;
use rag::{Error, Result};

#[pg_extern(sql = r"
CREATE FUNCTION rag.search_hit(request bytea, chunk_id bigint, place tid, lexemes tsvector) RETURNS bytea
    IMMUTABLE STRICT PARALLEL SAFE COST 10 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.search_hit IS 'part of rag_search: what ranking must know of a chunk that a leg found';
", requires = ["catalog"])]
#[allow(clippy::needless_pass_by_value)] // how arguments come
fn search_hit(
    request: &[u8],
    chunk_id: i64,
    place: ItemPointerData,
    lexemes: TsVector<'_>,
) -> Vec<u8> {
    encode_partial_result(request, chunk_id, item_pointer_get_both(place), lexemes.lexemes())
}

// Without ROWS the planner expects 1,000 candidates, and hashes tables instead of probing them.
#[pg_extern(sql = r"
CREATE FUNCTION rag.search_fuse(request bytea, dense bytea, lexical bytea) RETURNS TABLE (
    chunk_id bigint,
    place tid,
    dense_rank int,
    lexical_rank int,
    rrf float8,
    bm25 float8
) IMMUTABLE PARALLEL SAFE ROWS 50 COST 1000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.search_fuse IS 'part of rag_search: ranks what its legs found and keeps the best';
", requires = ["catalog"])]
#[allow(clippy::type_complexity)] // the row of a set-returning function
fn search_fuse(
    request: Option<&[u8]>,
    dense: Option<&[u8]>,
    lexical: Option<&[u8]>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(chunk_id, i64),
            name!(place, ItemPointerData),
            name!(dense_rank, Option<i32>),
            name!(lexical_rank, Option<i32>),
            name!(rrf, f64),
            name!(bm25, f64),
        ),
    >,
    SqlError,
> {
    let bytes = dense.map_or(0, <[u8]>::len) + lexical.map_or(0, <[u8]>::len);
    if bytes > MAX_PARTIALS {
        return Err(malformed().into());
    }
    let request = unpack(request.unwrap_or_default())?;
    let candidates = fuse(&request, dense.unwrap_or_default(), lexical.unwrap_or_default());
    let rank = |rank: Option<u32>| rank.and_then(|rank| i32::try_from(rank).ok());
    Ok(TableIterator::new(candidates.into_iter().map(move |c| {
        (c.chunk_id, tid(c.tid), rank(c.dense_rank), rank(c.lexical_rank), c.rrf, c.bm25)
    })))
}

/// A TID as PostgreSQL has it.
pub fn tid((block, offset): Tid) -> ItemPointerData {
    let mut tid = ItemPointerData::default();
    item_pointer_set_all(&mut tid, block, offset);
    tid
}

fn unpack(request: &[u8]) -> Result<FusionRequest> {
    FusionRequest::unpack(request).ok_or_else(malformed)
}

/// Most bytes of partial results: a thousand candidates take about 80 kB.
const MAX_PARTIALS: usize = 8 << 20;

fn malformed() -> Error {
    Error::invalid_argument("malformed request of a search")
        .with_hint("This function is part of rag_search, which calls it by itself.")
}

#[pg_extern(sql = r"
CREATE FUNCTION rag.search_text(config regconfig, content text) RETURNS text
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.search_text IS 'a text as chunks are indexed for full text search: scripts without spaces in overlapping pieces';
", requires = ["catalog"])]
fn search_text(config: pg_sys::Oid, content: &str) -> Result<String, SqlError> {
    limit::text(content)?;
    Ok(if Config::of(config).is_parted_by_spaces() {
        for_documents(content)
    } else {
        content.to_owned()
    })
}
