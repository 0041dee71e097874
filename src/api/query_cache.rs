//! `rag_query_cache`: how often the embedding of a question was known. Behind the view `rag.query_cache`.
use crate::models::question_cache;
use crate::sys::{guc, privileges};
use pgrx::prelude::*;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_query_cache() RETURNS TABLE (size int, entries int, hits bigint, misses bigint, shared boolean)
    STRICT VOLATILE PARALLEL RESTRICTED ROWS 1 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_query_cache IS 'counters of the cache of question embeddings; behind the view rag.query_cache';
CREATE VIEW rag.query_cache WITH (security_barrier, security_invoker) AS
    SELECT size, entries, hits, misses,
           hits / NULLIF(hits + misses, 0)::float8 AS hit_rate,
           shared
      FROM @extschema@.rag_query_cache();
COMMENT ON VIEW rag.query_cache IS 'the cache of question embeddings: of the server where it is shared, else of this session';
COMMENT ON COLUMN rag.query_cache.hits IS 'questions whose embedding was known';
COMMENT ON COLUMN rag.query_cache.misses IS 'questions that were embedded';
COMMENT ON COLUMN rag.query_cache.shared IS 'whether all sessions share it, as they do where rag_pg is preloaded';
COMMENT ON COLUMN rag.query_cache.size IS 'questions it has room for';
COMMENT ON COLUMN rag.query_cache.entries IS 'questions in it; like the counters NULL where it is the server''s and the caller no member of pg_monitor';
COMMENT ON COLUMN rag.query_cache.hit_rate IS 'share of questions whose embedding was known, since the start';
GRANT SELECT ON rag.query_cache TO PUBLIC;
", requires = ["catalog"])]
#[allow(clippy::type_complexity)] // the row of a set-returning function
fn rag_query_cache() -> TableIterator<
    'static,
    (
        name!(size, i32),
        name!(entries, Option<i32>),
        name!(hits, Option<i64>),
        name!(misses, Option<i64>),
        name!(shared, bool),
    ),
> {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let (entries, counters) = question_cache::with(|cache| (cache.len(), *cache.counters));
    let is_shared = question_cache::is_shared();
    // A role that reads them before and after its search would learn whether another one asked the same.
    let may_see = !is_shared || privileges::is_monitor();
    TableIterator::once((
        number(guc::question_cache::size()),
        may_see.then(|| number(entries)),
        may_see.then(|| counters.hits.cast_signed()),
        may_see.then(|| counters.misses.cast_signed()),
        is_shared,
    ))
}
