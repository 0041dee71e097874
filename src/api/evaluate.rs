//! `rag_evaluate`: how good a collection's searches are, stage by stage, on judged questions.
mod answers;
mod questions;

use crate::api::collection::utf8;
use crate::api::search::{SearchArguments, count};
use crate::search::distributed;
use crate::search::distributed::search;
use crate::search::engine::Timings;
use crate::search::options::Options;
use crate::sys::datum::json::JsonText;
use crate::sys::error::SqlError;
use crate::sys::interrupt;
use pgrx::pg_sys;
use pgrx::prelude::*;
use questions::JudgedQuestion;
use rag::search::quality::{Figures, mean, median};
use rag::{Error, Result};
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::time::Duration;

/// Default cutoff k of the metrics.
const DEFAULT_K: i64 = 10;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_evaluate(
    collection text,
    questions regclass = NULL,
    question name = 'question',
    relevant name = 'relevant',
    k bigint = 10,
    filter jsonb = NULL,
    depth bigint = 100,
    candidates bigint = 50,
    dense_weight float8 = NULL,
    lexical_weight float8 = 1,
    rerank_weight float8 = NULL
) RETURNS TABLE (
    stage text,
    asked bigint,
    recall float8,
    mrr float8,
    ndcg float8,
    p50_ms float8
) STABLE PARALLEL RESTRICTED ROWS 4 COST 1000000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_evaluate IS 'quality of each stage of searching a collection, on questions with relevant documents or on logged feedback';
", requires = ["query_log", rag_search])]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // a SQL function's named options
fn rag_evaluate(
    collection: Option<&str>,
    questions: Option<pg_sys::Oid>,
    question: Option<&CStr>,
    relevant: Option<&CStr>,
    k: Option<i64>,
    filter: Option<JsonText>,
    depth: Option<i64>,
    candidates: Option<i64>,
    dense_weight: Option<f64>,
    lexical_weight: Option<f64>,
    rerank_weight: Option<f64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(stage, String),
            name!(asked, i64),
            name!(recall, f64),
            name!(mrr, f64),
            name!(ndcg, f64),
            name!(p50_ms, f64),
        ),
    >,
    SqlError,
> {
    let Some(name) = collection else { return Ok(TableIterator::new(Vec::new())) };
    let k = k.unwrap_or(DEFAULT_K);
    let documents = count("k", k)?;
    let given = SearchArguments {
        top_k: Some(k),
        filter,
        depth,
        candidates,
        dense_weight,
        lexical_weight,
        rerank_weight,
        ..SearchArguments::default()
    };
    let options = given.read()?;
    let collection = distributed::collection(name)?;
    let asked = match questions {
        Some(table) => {
            let question = question.map_or(Ok("question".to_owned()), utf8)?;
            let relevant = relevant.map_or(Ok("relevant".to_owned()), utf8)?;
            questions::of_table(&collection, table, (&question, &relevant))?
        }
        None => questions::of_feedback(&collection)?,
    };
    if asked.is_empty() {
        return Err(Error::invalid_argument("there is no question with a relevant document")
            .with_hint("Name a table with questions and keys of relevant documents, or log queries and judge them with rag_feedback().")
            .into());
    }
    let stages = evaluate(name, &asked, &options, documents)?;
    let rows: Vec<_> = stages
        .into_iter()
        .map(|Stage { name, figures, times, .. }| {
            let Figures { recall, reciprocal_rank, ndcg } = mean(&figures);
            let asked = i64::try_from(figures.len()).unwrap_or(i64::MAX);
            (name.to_owned(), asked, recall, reciprocal_rank, ndcg, median(&times))
        })
        .collect();
    Ok(TableIterator::new(rows))
}

/// A way to search, and what came of it.
struct Stage {
    name: &'static str,
    options: Options,
    figures: Vec<Figures>,
    /// Milliseconds, one per question.
    times: Vec<f64>,
}

/// The stages that `options` let run, from one leg alone to everything.
fn stages(options: &Options) -> Vec<Stage> {
    let stage = |name, change: &dyn Fn(&mut Options)| {
        let mut options = options.clone();
        change(&mut options);
        Stage { name, options, figures: Vec::new(), times: Vec::new() }
    };
    let mut stages = Vec::new();
    let (has_dense, has_lexical) =
        (options.dense_weight != Some(0.0), options.lexical_weight > 0.0);
    if has_dense {
        stages.push(stage("dense", &|o| (o.lexical_weight, o.rerank) = (0.0, false)));
    }
    if has_lexical {
        stages.push(stage("lexical", &|o| (o.dense_weight, o.rerank) = (Some(0.0), false)));
    }
    if has_dense && has_lexical {
        stages.push(stage("hybrid", &|o| o.rerank = false));
    }
    stages.push(stage("reranked", &|o| o.rerank = true));
    stages
}

/// Searches for every question in every stage; rankings are of documents, each at the rank of its best chunk.
fn evaluate(
    collection: &str,
    questions: &[JudgedQuestion],
    options: &Options,
    k: usize,
) -> Result<Vec<Stage>> {
    let mut stages = stages(options);
    for JudgedQuestion { text, relevant } in questions {
        // The first stage embeds the question, the others know it: all that need it count its time.
        let mut embed = Duration::ZERO;
        for stage in &mut stages {
            interrupt::checkpoint()?;
            let outcome = search(collection, text, &stage.options, |_| ())?;
            let ranking = outcome.found.iter().chain(&outcome.others).map(|found| &found.key);
            let relevant: BTreeSet<&Vec<String>> = relevant.iter().collect();
            stage.figures.push(Figures::of(ranking, &relevant, k));
            let Timings { total, embed: own, .. } = outcome.timings;
            embed = embed.max(own);
            let own_share = if outcome.question.is_some() { embed } else { Duration::ZERO };
            stage.times.push((total.saturating_sub(own) + own_share).as_secs_f64() * 1e3);
        }
    }
    Ok(stages)
}
