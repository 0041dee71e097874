//! `rag_rerank`: bare documents in the order in which they answer a query.
use crate::api::embed::embedder;
use crate::models::local::{Named, report_truncated};
use crate::models::{local as model, remote};
use crate::sys::error::SqlError;
use crate::sys::{interrupt, limit};
use pgrx::prelude::*;
use rag::model::manifest;
use rag::model::{Checkpoint, Detail, Embedder, Embedding, LocalModel, Purpose, Reranker as _};
use rag::remote::{Client, RemoteKind, Reranker};
use rag::rerank::{late_interaction, order, score_filled};
use rag::{Error, Result};

/// Scores documents against a query, best first.
///
/// STABLE because it reads a model; PARALLEL RESTRICTED because only the leader inherits or loads one.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_rerank(query text, documents text[], top_k bigint = NULL, model text = NULL)
    RETURNS TABLE (ordinal int, document text, score float8)
    STABLE PARALLEL RESTRICTED COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_rerank IS 'documents in the order in which they answer a query, with scores';
")]
fn rag_rerank(
    query: Option<&str>,
    documents: Option<Array<'_, &str>>,
    top_k: default!(Option<i64>, "NULL"),
    model: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<'static, (name!(ordinal, i32), name!(document, String), name!(score, f64))>,
    SqlError,
> {
    let top_k = parse_top_k(top_k)?;
    let (Some(query), Some(documents)) = (query, documents) else {
        return Ok(TableIterator::new(Vec::new()));
    };
    if query.trim().is_empty() {
        return Err(Error::invalid_argument("cannot rerank for an empty query")
            .with_hint("Pass NULL for a query that is missing; it gives no rows.")
            .into());
    }
    limit::question(query)?;
    limit::items(documents.len())?;
    let present: Vec<(i32, &str)> = (1..)
        .zip(documents.iter())
        .filter_map(|(ordinal, document)| Some((ordinal, document?)))
        .collect();
    let texts: Vec<&str> = present.iter().map(|(_, document)| *document).collect();
    limit::texts(texts.iter().copied())?;
    let scores = score(query, &texts, model)?;
    let rows: Vec<(i32, String, f64)> = order(&scores, |i| present[i].0)
        .into_iter()
        .take(top_k)
        .map(|i| (present[i].0, present[i].1.to_owned(), scores[i]))
        .collect();
    Ok(TableIterator::new(rows))
}

/// How many rows are wanted; NULL means all.
fn parse_top_k(top_k: Option<i64>) -> Result<usize> {
    match top_k {
        None => Ok(usize::MAX),
        Some(top_k @ 1..) => Ok(top_k as usize),
        Some(top_k) => {
            Err(Error::invalid_argument(format!("top_k must be at least 1, not {top_k}"))
                .with_hint("Pass NULL for all documents."))
        }
    }
}

/// One score per document: by a reranker when `model` names one, else by late interaction.
fn score(query: &str, documents: &[&str], model: Option<&str>) -> Result<Vec<f64>> {
    model::require_utf8()?;
    let named = match model.map(|name| model::named(Some(name))).transpose()? {
        Some(Named::Remote(client)) => {
            remote::require(&client, RemoteKind::Reranker)?;
            return score_remotely(&client, query, documents);
        }
        Some(Named::Local(model)) => Some(model::ready(model)?),
        None => None,
    };
    let is_reranker = |model: &&LocalModel| model.manifest().kind == manifest::ModelKind::Reranker;
    if let Some(reranker) = named.filter(is_reranker) {
        return score_filled(documents, has_token(reranker), |filled| {
            let scores = reranker.rerank(query, filled, &mut interrupt::checkpoint)?;
            Ok(scores.into_iter().map(f64::from).collect())
        });
    }
    let model = embedder(model)?;
    score_filled(documents, has_token(model), |filled| {
        late_interaction(&Reporting(model), query, filled, &mut interrupt::checkpoint)
    })
}

/// One score per document, by a reranker that another server runs.
fn score_remotely(client: &Client, query: &str, documents: &[&str]) -> Result<Vec<f64>> {
    // What is a token there is not known here; providers refuse what is blank.
    let has_token = |text: &str| Ok(!text.trim().is_empty());
    score_filled(documents, has_token, |filled| {
        let scores = Reranker(client).rerank(query, filled, &mut interrupt::checkpoint)?;
        Ok(scores.into_iter().map(f64::from).collect())
    })
}

/// Whether `model` makes a token of a text. Any letter or digit gives one; of a text without, the
/// beginning is looked at.
fn has_token(model: &LocalModel) -> impl Fn(&str) -> Result<bool> {
    |text| {
        let beginning = text.trim_start();
        let beginning = &beginning[..beginning.floor_char_boundary(4096)];
        Ok(text.contains(char::is_alphanumeric) || model.tokenizer().count(beginning)? > 0)
    }
}

/// An embedder that does what `rag_pg.truncation` says about texts that do not fit.
struct Reporting(&'static LocalModel);

impl Embedder for Reporting {
    fn embed(
        &self,
        texts: &[&str],
        purpose: Purpose,
        detail: Detail,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<Embedding>> {
        let embeddings = self.0.embed(texts, purpose, detail, checkpoint)?;
        report_truncated(self.0, purpose, &embeddings)?;
        Ok(embeddings)
    }
}
