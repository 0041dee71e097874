//! `rag_embed`: texts to vectors.
use crate::model::{Detail, LocalModel, Purpose};
use crate::pg::embedder::Embedder;
use crate::pg::remote::planning::is_estimating;
use crate::pg::rights::current_user;
use crate::pg::vector::{MAX_DIMENSIONS, Vector, VectorArray};
use crate::pg::{limit, model};
use crate::{Error, Result, memory};
use pgrx::prelude::*;

mod memo;

/// Embeds one text.
///
/// STABLE, so that it can drive an index scan; a text that a statement asks for again (once per
/// row, for example) is embedded once. No provider is called for the planner's estimates.
#[pg_extern(stable, parallel_restricted, cost = 10000, name = "rag_embed")]
fn rag_embed(
    content: Option<&str>,
    model: default!(Option<&str>, "NULL"),
    purpose: default!(Option<&str>, "'query'"),
) -> Result<Option<Vector>, pg_sys::panic::ErrorReport> {
    let purpose = parse_purpose(purpose)?;
    let Some(content) = content else { return Ok(None) };
    let model = any_embedder(model)?;
    limit::text(content)?;
    if content.trim().is_empty() {
        return Err(Error::invalid_argument("cannot embed an empty text")
            .with_hint(PASS_NULL)
            .into());
    }
    if !model.is_local() && is_estimating() {
        return Ok(None);
    }
    let vector = memo::once_per_statement(&model.fingerprint(), purpose, content, || {
        Ok(model.embed_reporting(&[content], purpose, Detail::Vector)?.swap_remove(0).vector)
    })?;
    Ok(Some(Vector(vector)))
}

/// Embeds many texts in batches of like length; NULL elements stay NULL.
#[pg_extern(stable, parallel_restricted, cost = 100000, name = "rag_embed")]
fn rag_embed_array(
    contents: Option<Array<'_, &str>>,
    model: default!(Option<&str>, "NULL"),
    purpose: default!(Option<&str>, "'document'"),
) -> Result<Option<VectorArray>, pg_sys::panic::ErrorReport> {
    let purpose = parse_purpose(purpose)?;
    let Some(contents) = contents else { return Ok(None) };
    let model = any_embedder(model)?;
    limit::items(contents.len())?;
    let contents: Vec<Option<&str>> = contents.iter().collect();
    limit::texts(contents.iter().copied().flatten())?;
    // The vectors, and the array of them.
    memory::require(2 * size_of::<f32>() * model.dimensions() * contents.len())?;
    if let Some(i) = contents.iter().position(|c| c.is_some_and(|c| c.trim().is_empty())) {
        let message = format!("cannot embed an empty text: element {} of the array", i + 1);
        return Err(Error::invalid_argument(message).with_hint(PASS_NULL).into());
    }
    if !model.is_local() && is_estimating() {
        return Ok(None);
    }
    let texts: Vec<&str> = contents.iter().copied().flatten().collect();
    let mut embeddings = model.embed_reporting(&texts, purpose, Detail::Vector)?.into_iter();
    let vectors = contents.iter().map(|content| {
        content.and_then(|_| embeddings.next()).map(|embedding| Vector(embedding.vector))
    });
    Ok(Some(VectorArray(vectors.collect())))
}

const PASS_NULL: &str = "Pass NULL for a text that is missing; it gives NULL.";

fn parse_purpose(purpose: Option<&str>) -> Result<Purpose> {
    match purpose {
        Some("query") => Ok(Purpose::Query),
        Some("document") => Ok(Purpose::Document),
        other => {
            let given = other.map_or_else(|| "NULL".to_owned(), |o| format!("\"{o}\""));
            Err(Error::invalid_argument(format!("unknown purpose {given}")).with_hint(
                "It is \"query\" for a text that asks, \"document\" for one that is searched.",
            ))
        }
    }
}

fn any_embedder(name: Option<&str>) -> Result<Embedder> {
    model::require_utf8()?;
    let embedder = Embedder::named(name, current_user())?;
    if let Embedder::Local(model) = &embedder {
        checked(model::ready(model)?)?;
    }
    Ok(embedder)
}

/// The embedder, checked for what a vector and this database can hold.
pub(super) fn embedder(name: Option<&str>) -> Result<&'static LocalModel> {
    model::require_utf8()?;
    checked(model::embedder(name)?)
}

/// A local embedder, checked for what a vector can hold.
pub(super) fn checked(model: &'static LocalModel) -> Result<&'static LocalModel> {
    let (name, dimensions) = (&model.manifest().name, model.manifest().dimensions);
    if dimensions > MAX_DIMENSIONS {
        return Err(Error::unsupported(format!(
            "model \"{name}\" has {dimensions} dimensions, and a vector holds at most {MAX_DIMENSIONS}"
        ))
        .with_hint("Choose another model of rag.model."));
    }
    Ok(model)
}
