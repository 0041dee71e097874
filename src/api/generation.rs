//! `rag_rebuild()`, `rag_estimate()`, `rag_switch()`, `rag_rollback()` and `rag_prune()`.
use crate::api::int4;
use crate::catalog::collection::{Build, Collection};
use crate::catalog::distributed::Distributed;
use crate::catalog::distributed::generations::Direction;
use crate::catalog::generation::switch;
use crate::catalog::language;
use crate::catalog::objects::Source;
use crate::maintain::estimate::estimate;
use crate::maintain::prune;
use crate::maintain::rebuild::{RebuildOptions, rebuild};
use crate::models::embedder::Embedder;
use crate::models::local as model;
use crate::sys::error::SqlError;
use crate::sys::spi::{read, required};
use crate::sys::workers::wake;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use rag::generation::estimate::Estimate;
use rag::{Error, Result};
use serde::Deserialize;
use std::time::Duration;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_rebuild(
    collection text,
    model text = NULL,
    max_tokens bigint = NULL,
    overlap_tokens bigint = NULL,
    format text = NULL,
    token_bits boolean = NULL,
    index text = NULL,
    switch boolean = false,
    lexical text = NULL
) RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_rebuild IS 'builds a new generation of a collection beside the one that searches run on; returns its number';
", requires = ["catalog", "status"])]
#[allow(clippy::too_many_arguments)] // a SQL function's named options
fn rag_rebuild(
    collection: Option<&str>,
    model: Option<&str>,
    max_tokens: Option<i64>,
    overlap_tokens: Option<i64>,
    format: Option<&str>,
    token_bits: Option<bool>,
    index: Option<&str>,
    switch: Option<bool>,
    lexical: Option<&str>,
) -> Result<i32, SqlError> {
    let (max_tokens, overlap_tokens) = (max_tokens.map(int4), overlap_tokens.map(int4));
    let options =
        RebuildOptions { model, max_tokens, overlap_tokens, format, token_bits, index, lexical };
    if let Some(distributed) = Distributed::of(collection)? {
        if switch == Some(true) {
            return Err(Error::invalid_argument(
                "a distributed collection does not switch by itself",
            )
            .with_hint("Call rag_switch() when all servers have built it.")
            .into());
        }
        distributed.rebuild(&options.arguments())?;
        return Ok(0);
    }
    let (collection, build, embedder) = prepare(collection, "rebuild it", &options)?;
    Source::describe(collection.source)?;
    let cost = estimate(&collection, &build, &embedder)?;
    let generation = rebuild(&collection, &build, switch.unwrap_or(false))?;
    wake::changes_written();
    language::warn_if_without_words(&collection, &embedder)?;
    announce(&collection, generation, &cost, embedder.cost(cost.embed, cost.embed_tokens));
    Ok(generation)
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_estimate(
    collection text,
    model text = NULL,
    max_tokens bigint = NULL,
    overlap_tokens bigint = NULL,
    format text = NULL,
    token_bits boolean = NULL,
    index text = NULL,
    lexical text = NULL
) RETURNS TABLE (
    documents bigint,
    chunks bigint,
    tokens bigint,
    embed bigint,
    bytes bigint,
    duration interval,
    cost float8
) ROWS 1 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_estimate IS 'what rag_rebuild with these options would cost, from a sample of the documents';
", requires = ["catalog", "status"])]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // a SQL function's named options and row
fn rag_estimate(
    collection: Option<&str>,
    model: Option<&str>,
    max_tokens: Option<i64>,
    overlap_tokens: Option<i64>,
    format: Option<&str>,
    token_bits: Option<bool>,
    index: Option<&str>,
    lexical: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(documents, i64),
            name!(chunks, i64),
            name!(tokens, i64),
            name!(embed, i64),
            name!(bytes, i64),
            name!(duration, Interval),
            name!(cost, Option<f64>),
        ),
    >,
    SqlError,
> {
    let (max_tokens, overlap_tokens) = (max_tokens.map(int4), overlap_tokens.map(int4));
    let options =
        RebuildOptions { model, max_tokens, overlap_tokens, format, token_bits, index, lexical };
    if let Some(distributed) = Distributed::of(collection)? {
        let all = distributed.estimates::<EstimateRow>(&options.arguments())?;
        let sum = |of: fn(&EstimateRow) -> i64| all.iter().map(of).sum();
        // They work side by side.
        let duration = all.iter().map(|one| one.duration).fold(0.0, f64::max);
        return Ok(TableIterator::once((
            sum(|one| one.documents),
            sum(|one| one.chunks),
            sum(|one| one.tokens),
            sum(|one| one.embed),
            sum(|one| one.bytes),
            interval(Duration::from_secs_f64(duration)),
            all.iter().map(|one| one.cost).sum(),
        )));
    }
    let (collection, build, embedder) = prepare(collection, "estimate it", &options)?;
    let cost = estimate(&collection, &build, &embedder)?;
    Ok(TableIterator::once((
        whole(cost.documents),
        whole(cost.chunks),
        whole(cost.tokens),
        whole(cost.embed),
        whole(cost.bytes),
        interval(cost.duration),
        embedder.cost(cost.embed, cost.embed_tokens),
    )))
}

/// A row of `rag_estimate` as a server sends it.
#[derive(Deserialize)]
struct EstimateRow {
    documents: i64,
    chunks: i64,
    tokens: i64,
    embed: i64,
    bytes: i64,
    /// Seconds.
    duration: f64,
    cost: Option<f64>,
}

/// Lets searches run on another generation.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_switch(collection text, generation bigint = NULL, force boolean = false) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_switch IS 'lets searches run on another generation, by default the one just built; returns its number';
", requires = ["catalog", "status"])]
fn rag_switch(
    collection: Option<&str>,
    generation: Option<i64>,
    force: Option<bool>,
) -> Result<i32, SqlError> {
    if let Some(distributed) = Distributed::of(collection)? {
        Distributed::refuse_generation(generation.map(int4))?;
        distributed.switch(Direction::Forward, force.unwrap_or(false))?;
        return Ok(0);
    }
    let collection = Collection::owned(collection, "switch it")?;
    let active = switch::switch(&collection, generation.map(int4), force.unwrap_or(false))?;
    wake::changes_written();
    Ok(active)
}

/// Lets searches run on the generation they ran on before.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_rollback(collection text) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_rollback IS 'lets searches run on the generation they ran on before; returns its number';
", requires = ["catalog", "status"])]
fn rag_rollback(collection: Option<&str>) -> Result<i32, SqlError> {
    if let Some(distributed) = Distributed::of(collection)? {
        distributed.switch(Direction::Back, false)?;
        return Ok(0);
    }
    let collection = Collection::owned(collection, "roll it back")?;
    let (active, lacks) = switch::roll_back(&collection)?;
    wake::changes_written();
    if let Some(lacks) = lacks {
        let name = &collection.name;
        pgrx::notice!("collection \"{name}\" went back to a generation that is behind: {lacks}");
    }
    Ok(active)
}

/// Drops generations that searches do not run on.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_prune(collection text, generation bigint = NULL) RETURNS int
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_prune IS 'drops generations of a collection that searches do not run on; returns how many';
", requires = ["catalog", "status"])]
fn rag_prune(collection: Option<&str>, generation: Option<i64>) -> Result<i32, SqlError> {
    if let Some(distributed) = Distributed::of(collection)? {
        Distributed::refuse_generation(generation.map(int4))?;
        return Ok(distributed.prune()?);
    }
    let collection = Collection::owned(collection, "prune it")?;
    let pruned = prune::prune(&collection, generation.map(int4))?;
    Ok(i32::try_from(pruned).unwrap_or(i32::MAX))
}

fn prepare(
    name: Option<&str>,
    to_do: &str,
    options: &RebuildOptions<'_>,
) -> Result<(Collection, Build, Embedder)> {
    model::require_utf8()?;
    let collection = Collection::owned(name, to_do)?;
    let (build, embedder) = options.build(&collection)?;
    Ok((collection, build, embedder))
}

/// Says what was begun and what it will cost.
fn announce(collection: &Collection, generation: i32, cost: &Estimate, price: Option<f64>) {
    let sql = "SELECT pg_catalog.pg_size_pretty($1)";
    let size: String = read(sql, &[whole(cost.bytes).into()], |row| required(&row, 1)).remove(0);
    let (chunks, embed) = (whole(cost.chunks), whole(cost.embed));
    let (name, seconds) = (&collection.name, cost.duration.as_secs_f64().ceil());
    let price = price.map(|price| format!(", at a price of {price:.2}")).unwrap_or_default();
    pgrx::notice!(
        "building generation {generation} of collection \"{name}\": about {chunks} chunks, {embed} of them \
         to embed, {size}, {seconds} s of work{price}"
    );
}

fn whole(number: f64) -> i64 {
    number.round() as i64
}

fn interval(duration: Duration) -> Interval {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Interval::new(0, 0, micros).expect("a duration is a valid interval")
}
