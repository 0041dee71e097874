//! `rag_explain`: every candidate of a search, what each stage made of it, and why it is part of the
//! result or not.
use crate::api::search::{SearchArguments, require_text};
use crate::search::candidate::{ChunkCandidate, Fate};
use crate::search::distributed::explain as search;
use crate::search::engine::explain::Explained;
use crate::sys::error::SqlError;
use pgrx::JsonB;
use pgrx::prelude::*;
use rag::Result;
use rag::search::diverse::Choice;
use rag::search::explain::{Candidate, Explanation, Leg};
use rag::search::weights::SignalWeights;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_explain(
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
    rank int,
    chunk_id bigint,
    document_key jsonb,
    ordinal int,
    content text,
    kept boolean,
    reason text,
    score float8,
    dense_rank int,
    lexical_rank int,
    rrf float8,
    similarity float8,
    bm25 float8,
    maxsim float8,
    relevance float8,
    search jsonb
) STABLE PARALLEL RESTRICTED ROWS 150 COST 20000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_explain IS 'every candidate of a search with rank and score per stage, and why it was kept or not';
", requires = ["catalog"])]
#[allow(clippy::type_complexity)] // the columns are the API
fn rag_explain(
    collection: Option<&str>,
    query: Option<&str>,
    options: SearchArguments,
) -> Result<
    TableIterator<
        'static,
        (
            name!(rank, Option<i32>),
            name!(chunk_id, i64),
            name!(document_key, JsonB),
            name!(ordinal, i32),
            name!(content, String),
            name!(kept, bool),
            name!(reason, String),
            name!(score, Option<f64>),
            name!(dense_rank, Option<i32>),
            name!(lexical_rank, Option<i32>),
            name!(rrf, f64),
            name!(similarity, Option<f64>),
            name!(bm25, Option<f64>),
            name!(maxsim, Option<f64>),
            name!(relevance, Option<f64>),
            name!(search, JsonB),
        ),
    >,
    SqlError,
> {
    let (Some(collection), Some(query)) = (collection, query) else {
        return Ok(TableIterator::new(Vec::new()));
    };
    let (explained, explanation) = explain(collection, query, options)?;
    let summary = summary(&explained);
    let rows: Vec<_> = candidates_of(&explained)
        .zip(explanation.candidates)
        .map(|(found, candidate)| {
            (
                candidate.rank.and_then(|rank| i32::try_from(rank).ok()),
                candidate.chunk_id,
                JsonB(explained.outcome.collection.document_key(&found.key)),
                found.ordinal,
                candidate.content,
                candidate.is_kept,
                candidate.reason,
                candidate.score,
                candidate.dense_rank,
                candidate.lexical_rank,
                candidate.rrf,
                candidate.similarity,
                candidate.bm25,
                candidate.max_sim,
                candidate.rank.and(Some(found.relevance)),
                JsonB(summary.clone()),
            )
        })
        .collect();
    Ok(TableIterator::new(rows))
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_explain_text(
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
) RETURNS SETOF text STABLE PARALLEL RESTRICTED ROWS 150 COST 20000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_explain_text IS 'rag_explain as lines to read';
", requires = ["catalog"])]
fn rag_explain_text(
    collection: Option<&str>,
    query: Option<&str>,
    options: SearchArguments,
) -> Result<SetOfIterator<'static, String>, SqlError> {
    let (Some(collection), Some(query)) = (collection, query) else {
        return Ok(SetOfIterator::new(Vec::new()));
    };
    let (_, explanation) = explain(collection, query, options)?;
    Ok(SetOfIterator::new(explanation.lines()))
}

fn explain(
    collection: &str,
    query: &str,
    options: SearchArguments,
) -> Result<(Explained, Explanation)> {
    require_text("query", query)?;
    let options = options.read_for(query)?;
    let explained = search::explain(collection, query, &options)?;
    let explanation = explanation(query, &explained);
    Ok((explained, explanation))
}

/// All candidates, in the order of the result and beyond.
fn candidates_of(explained: &Explained) -> impl Iterator<Item = &ChunkCandidate> {
    let outcome = &explained.outcome;
    outcome.found.iter().chain(&outcome.others).chain(&explained.not_ranked)
}

fn explanation(query: &str, explained: &Explained) -> Explanation {
    let outcome = &explained.outcome;
    let candidates = (1..).zip(candidates_of(explained));
    Explanation {
        collection: outcome.collection.name.clone(),
        query: query.to_owned(),
        model: outcome.generation.model.clone(),
        fingerprint: outcome.generation.fingerprint.clone(),
        generation: outcome.generation.id,
        strategy: explained.strategy.clone(),
        legs: explained.legs.clone(),
        order: explained.order.to_owned(),
        notes: explained.notes.clone(),
        times: outcome.timings.milliseconds().to_vec(),
        candidates: candidates.map(|(rank, found)| candidate(rank, found, explained)).collect(),
    }
}

fn candidate(rank: usize, found: &ChunkCandidate, explained: &Explained) -> Candidate {
    let is_ranked = found.fate != Fate::NotRanked;
    Candidate {
        rank: is_ranked.then_some(rank),
        chunk_id: found.chunk_id,
        score: is_ranked.then_some(found.score),
        dense_rank: found.ranks.dense_rank,
        lexical_rank: found.ranks.lexical_rank,
        rrf: found.ranks.rrf,
        similarity: found.similarity,
        bm25: found.bm25,
        max_sim: found.max_sim,
        is_kept: found.fate == Fate::Ranked(Choice::Kept),
        reason: reason(found, explained),
        content: found.content.to_string(),
    }
}

/// Why a candidate is part of the result, or why not; the best of a merged passage has its row.
fn reason(found: &ChunkCandidate, explained: &Explained) -> String {
    let Explained { outcome, top_k, wanted, .. } = explained;
    match found.fate {
        Fate::Ranked(Choice::Kept) => match outcome.merged_into(found.chunk_id) {
            Some(rank) => format!("in the passage of rank {rank}"),
            None => format!("one of the best {top_k}"),
        },
        Fate::Ranked(Choice::SameDocument(rank)) => format!("same document as rank {rank}"),
        Fate::Ranked(Choice::NearDuplicate(rank)) => format!("near duplicate of rank {rank}"),
        Fate::Irrelevant => format!("relevance {:.2} is below min_relevance", found.relevance),
        Fate::Ranked(Choice::Lower) => format!("below the best {top_k}"),
        Fate::NotRanked => format!("beyond the {wanted} candidates that were ranked"),
    }
}

/// The column `search`.
fn summary(explained: &Explained) -> Value {
    let generation = &explained.outcome.generation;
    let leg = |leg: &Leg| json!({ "leg": leg.name, "access": leg.access, "wanted": leg.wanted, "candidates": leg.found });
    json!({
        "model": generation.model,
        "fingerprint": generation.fingerprint,
        "generation": generation.id,
        "lexical": explained.lexical.name(),
        "strategy": explained.strategy,
        "weights": weights(&explained.weights),
        "degraded": explained.is_degraded,
        "legs": explained.legs.iter().map(leg).collect::<Vec<_>>(),
        "order": explained.order,
        "notes": explained.notes,
        "milliseconds": explained.outcome.timings.milliseconds().into_iter().collect::<BTreeMap<_, _>>(),
    })
}

fn weights(weights: &SignalWeights) -> Value {
    json!({ "dense": weights.dense, "lexical": weights.lexical, "rerank": weights.max_sim })
}
