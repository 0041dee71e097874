//! `rag_embed`: texts to vectors.
use crate::models::embedder::Embedder;
use crate::models::local as model;
use crate::sys::datum::vector::{Embedded, MAX_DIMENSIONS, Vector, VectorArray};
use crate::sys::error::SqlError;
use crate::sys::limit;
use crate::sys::privileges::current_user;
use crate::sys::statement::is_stable_argument;
use pgrx::prelude::*;
use rag::model::{Detail, LocalModel, Purpose};
use rag::text::array_literal::is_array_literal;
use rag::{Error, Result, memory};

mod memo;

/// Embeds one text.
///
/// STABLE, so that it can drive an index scan; a text that a statement asks for again (once per
/// row, for example) is embedded once.
///
/// The planner runs stable functions of constants to guess how many rows a condition leaves, and throws the value
/// away: a call of a provider would be paid for nothing, and EXPLAIN would make one. It never runs a function that
/// returns a record, so that is what the library has; `rag_embed` is SQL that the planner replaces by its body.
#[pg_extern(sql = false)]
fn rag_embed(
    content: Option<&str>,
    model: Option<&str>,
    purpose: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<Option<Embedded<Vector>>, SqlError> {
    let purpose = parse_purpose(purpose)?;
    let Some(content) = content else { return Ok(None) };
    refuse_list(content, fcinfo)?;
    let model = any_embedder(model)?;
    limit::text(content)?;
    if content.trim().is_empty() {
        return Err(Error::invalid_argument("cannot embed an empty text")
            .with_hint(PASS_NULL)
            .into());
    }
    let fingerprint = model.fingerprint();
    let vector = memo::once_per_statement(&fingerprint, purpose, content, || {
        Ok(model.embed_reporting(&[content], purpose, Detail::Vector)?.swap_remove(0).vector)
    })?;
    Ok(Some(Embedded { embedding: Vector(vector), fingerprint: fingerprint.into_owned() }))
}

/// Refuses what a driver makes of a list: of `rag_embed($1)` without a type the server takes the first form, for a text. A column's texts
/// may look like anything.
fn refuse_list(content: &str, fcinfo: pg_sys::FunctionCallInfo) -> Result<()> {
    // SAFETY: PostgreSQL passes a valid call.
    #[allow(unsafe_code)]
    let is_stable = || unsafe { is_stable_argument(fcinfo, 0) };
    if is_array_literal(content) && is_stable() {
        return Err(Error::invalid_argument("the text to embed is written like an array")
            .with_hint("To embed its elements, write rag_embed($1::text[]); to embed it as it is, rag_embed(ARRAY[$1]::text[])."));
    }
    Ok(())
}

/// Embeds many texts in batches of like length; NULL elements stay NULL.
#[pg_extern(sql = false)]
#[allow(clippy::needless_pass_by_value)] // pgrx passes arrays by value
fn rag_embed_array(
    contents: Option<Array<'_, &str>>,
    model: Option<&str>,
    purpose: Option<&str>,
) -> Result<Option<Embedded<VectorArray>>, SqlError> {
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
    let texts: Vec<&str> = contents.iter().copied().flatten().collect();
    let mut embeddings = model.embed_reporting(&texts, purpose, Detail::Vector)?.into_iter();
    let vectors = contents.iter().map(|content| {
        content.and_then(|_| embeddings.next()).map(|embedding| Vector(embedding.vector))
    });
    let fingerprint = model.fingerprint().into_owned();
    Ok(Some(Embedded { embedding: VectorArray(vectors.collect()), fingerprint }))
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
