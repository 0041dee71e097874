//! `rag_chunk`: text to chunks.
use crate::api::int4;
use crate::models::local as model;
use crate::models::local::Named;
use crate::sys::error::SqlError;
use crate::sys::{interrupt, limit};
use pgrx::JsonB;
use pgrx::prelude::*;
use rag::chunk::{Chunk, Format, Options, chunk};
use rag::memory;
use rag::model::Purpose;
use rag::model::tokenizer::TokenCounter;
use rag::remote::Estimator;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Divides a text into chunks that fit a model, each with its offsets in the text.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_chunk(
    content text,
    max_tokens bigint = NULL,
    overlap_tokens bigint = NULL,
    format text = 'auto',
    model text = NULL
) RETURNS TABLE (
    ordinal int,
    content text,
    token_count int,
    char_start int,
    char_end int,
    metadata jsonb
) STABLE PARALLEL RESTRICTED COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_chunk IS 'chunks of a text, each with its place in it';
")]
#[allow(clippy::type_complexity)] // The columns are the API.
fn rag_chunk(
    content: Option<&str>,
    max_tokens: default!(Option<i64>, "NULL"),
    overlap_tokens: default!(Option<i64>, "NULL"),
    format: default!(Option<&str>, "'auto'"),
    model: default!(Option<&str>, "NULL"),
) -> rag::Result<
    TableIterator<
        'static,
        (
            name!(ordinal, i32),
            name!(content, String),
            name!(token_count, i32),
            name!(char_start, i32),
            name!(char_end, i32),
            name!(metadata, JsonB),
        ),
    >,
    SqlError,
> {
    model::require_utf8()?;
    // The tokenizer alone: chunking needs no ONNX Runtime.
    let model = model::named(model)?;
    let (window, counter, is_estimate): (_, &dyn TokenCounter, _) = match &model {
        Named::Local(model) => (model.room(Purpose::Document)?, model.tokenizer(), false),
        Named::Remote(client) => (client.spec().room(Purpose::Document)?, &Estimator, true),
    };
    let format = format.map_or(Ok(Format::Auto), str::parse)?;
    let options = Options::new(max_tokens.map(int4), overlap_tokens.map(int4), format, window)?;
    let Some(content) = content else { return Ok(TableIterator::empty()) };
    limit::text(content)?;
    let chunked = chunk(content, &options, counter, &mut interrupt::checkpoint)?;
    let text = match chunked.text {
        Cow::Borrowed(text) => memory::copy(text)?,
        Cow::Owned(text) => text,
    };
    Ok(TableIterator::new(chunked.chunks.into_iter().map(move |chunk| {
        (
            chunk.ordinal as i32,
            text[chunk.range.clone()].to_owned(),
            chunk.token_count as i32,
            chunk.chars.start as i32,
            chunk.chars.end as i32,
            JsonB(metadata(&chunk, is_estimate)),
        )
    })))
}

/// Metadata of a chunk: `section`, `page`, and whether its tokens are estimated.
fn metadata(chunk: &Chunk, is_estimate: bool) -> Value {
    let mut metadata = Map::new();
    if let Some(section) = &chunk.section {
        metadata.insert("section".to_owned(), Value::from(section.as_ref()));
    }
    if let Some(page) = chunk.page {
        metadata.insert("page".to_owned(), Value::from(page));
    }
    if is_estimate {
        metadata.insert("token_count".to_owned(), Value::from("estimated"));
    }
    Value::Object(metadata)
}
