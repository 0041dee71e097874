//! `rag_search`: the chunks of a collection that fit a question best.
use crate::search::candidate::ChunkCandidate;
use crate::search::distributed::search;
use crate::search::engine::Outcome;
use crate::search::loading::Loading;
use crate::search::query_log;
use crate::search::query_log::{Asked, Entry};
use crate::search::query_stats::Counting;
use crate::sys::datum::json::without_nulls;
use crate::sys::error::SqlError;
use crate::sys::limit;
use pgrx::JsonB;
use pgrx::prelude::*;
use rag::extract::BREAKS;
use rag::search::passage::Passage;
use rag::search::query_stats::Kind;
use rag::{Error, Result};

use serde_json::json;

mod options;

pub(super) use options::{SearchArguments, count, turns};

/// A row of the result, in the order of its columns.
type SearchRow = (i64, JsonB, i32, String, f64, JsonB, JsonB, f64, Option<i64>);

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_search(
    collection text,
    query text,
    top_k bigint = 5,
    filter jsonb = NULL,
    rerank boolean = true,
    depth bigint = 100,
    candidates bigint = 50,
    dense_weight float8 = NULL,
    lexical_weight float8 = 1,
    rerank_weight float8 = NULL,
    per_document bigint = NULL,
    near_duplicate float8 = NULL,
    expand bigint = 0,
    syntax text = 'words',
    min_relevance float8 = NULL,
    history jsonb = NULL,
    partial boolean = false
) RETURNS TABLE (
    chunk_id bigint,
    document_key jsonb,
    ordinal int,
    content text,
    score float8,
    metadata jsonb,
    ranks jsonb,
    relevance float8,
    query_id bigint
) STABLE PARALLEL RESTRICTED ROWS 5 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_search IS 'the chunks of a collection that fit a query best, best first';
", requires = ["query_log"])]
#[allow(clippy::type_complexity)] // the columns are the API
fn rag_search(
    collection: Option<&str>,
    query: Option<&str>,
    options: SearchArguments,
) -> Result<
    TableIterator<
        'static,
        (
            name!(chunk_id, i64),
            name!(document_key, JsonB),
            name!(ordinal, i32),
            name!(content, String),
            name!(score, f64),
            name!(metadata, JsonB),
            name!(ranks, JsonB),
            name!(relevance, f64),
            name!(query_id, Option<i64>),
        ),
    >,
    SqlError,
> {
    let (Some(collection), Some(query)) = (collection, query) else {
        return Ok(TableIterator::new(Vec::new()));
    };
    require_text("query", query)?;
    let options = options.read_for(query)?;
    let mut counting = Counting::begin(Kind::Search);
    let outcome = search(collection, query, &options, |id| counting.set_collection(id))?;
    outcome.loading.iter().for_each(Loading::announce);
    let entry = Entry { query, options: &options, outcome: &outcome, asked: Asked::Chunks };
    let query_id = query_log::record(&entry);
    let rows: Vec<SearchRow> = match &outcome.passages {
        None => outcome.found.iter().map(|found| row(&outcome, found, None, query_id)).collect(),
        Some(passages) => {
            let best = |passage: &Passage| {
                row(&outcome, &outcome.found[passage.hits[0]], Some(passage), query_id)
            };
            passages.iter().map(best).collect()
        }
    };
    counting.end(!rows.is_empty());
    Ok(TableIterator::new(rows))
}

/// An error when there is nothing in a text to search for.
pub(super) fn require_text(name: &str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::invalid_argument(format!("the {name} is empty"))
            .with_hint("Give at least one word."));
    }
    limit::question(text)
}

/// The row of a chunk, or of the passage whose best it is.
fn row(
    outcome: &Outcome,
    found: &ChunkCandidate,
    passage: Option<&Passage>,
    query_id: Option<i64>,
) -> SearchRow {
    let ranks = json!({
        "dense": found.ranks.dense_rank,
        "lexical": found.ranks.lexical_rank,
        "rrf": found.ranks.rrf,
        "similarity": found.similarity,
        "bm25": found.bm25,
        "maxsim": found.max_sim,
        "generation": outcome.generation.id,
        "degraded": outcome.is_degraded,
    });
    let (char_start, char_end) =
        passage.map_or((found.char_start, found.char_end), |p| (p.char_start, p.char_end));
    let hits = |passage: &Passage| -> Vec<i64> {
        passage.hits.iter().map(|hit| outcome.found[*hit].chunk_id).collect()
    };
    let mut metadata = json!({
        "section": found.section,
        "page": found.page,
        "char_start": char_start,
        "char_end": char_end,
        "chunks": passage.map(|passage| &passage.chunks),
        "hits": passage.map(hits),
    });
    for (key, value) in found.place().filter(|(key, _)| *key != BREAKS) {
        metadata[key] = value.clone();
    }
    (
        found.chunk_id,
        JsonB(outcome.collection.document_key(&found.key)),
        found.ordinal,
        passage.map_or(&*found.content, |passage| &passage.content).to_owned(),
        found.score,
        JsonB(without_nulls(metadata)),
        JsonB(ranks),
        found.relevance,
        query_id,
    )
}
