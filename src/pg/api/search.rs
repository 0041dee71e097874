//! `rag_search`: what a collection holds about a question.
use crate::pg::collection::Collection;
use crate::pg::json::JsonText;
use crate::pg::search::{DEFAULT_TOP_K, Found, Options, Outcome, search};
use crate::search::filter::Filter;
use crate::{Error, Result};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{JsonB, pg_sys};
use serde_json::{Map, Value, json};

/// Most chunks that one search returns, and most that one leg finds.
const MOST: i32 = 1_000;

/// A row of the result, in the order of its columns.
type Row = (i64, JsonB, i32, String, f64, JsonB, JsonB);

#[pg_extern(sql = r"
CREATE FUNCTION rag_search(
    collection text,
    query text,
    top_k int = 5,
    filter jsonb = NULL,
    rerank boolean = true,
    depth int = 100,
    candidates int = 50,
    dense_weight float8 = 1,
    lexical_weight float8 = 1,
    rerank_weight float8 = 1
) RETURNS TABLE (
    chunk_id bigint,
    document_key jsonb,
    ordinal int,
    content text,
    score float8,
    metadata jsonb,
    ranks jsonb
) STABLE PARALLEL RESTRICTED ROWS 5 COST 10000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag_search IS 'the chunks of a collection that fit a query best, best first';
", requires = ["search", search_hit, search_fuse])]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // a SQL function's named options
fn rag_search(
    collection: Option<&str>,
    query: Option<&str>,
    top_k: Option<i32>,
    filter: Option<JsonText>,
    rerank: Option<bool>,
    depth: Option<i32>,
    candidates: Option<i32>,
    dense_weight: Option<f64>,
    lexical_weight: Option<f64>,
    rerank_weight: Option<f64>,
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
        ),
    >,
    ErrorReport,
> {
    let (Some(collection), Some(query)) = (collection, query) else {
        return Ok(TableIterator::new(Vec::new()));
    };
    let mut options = Options::top(count("top_k", top_k.unwrap_or(DEFAULT_TOP_K))?);
    options.filter = read_filter(filter)?;
    options.rerank = rerank.unwrap_or(options.rerank);
    for (name, chosen, option) in
        [("depth", depth, &mut options.depth), ("candidates", candidates, &mut options.candidates)]
    {
        if let Some(chosen) = chosen {
            *option = count(name, chosen)?.max(options.top_k);
        }
    }
    for (name, chosen, option) in [
        ("dense_weight", dense_weight, &mut options.dense_weight),
        ("lexical_weight", lexical_weight, &mut options.lexical_weight),
        ("rerank_weight", rerank_weight, &mut options.rerank_weight),
    ] {
        if let Some(chosen) = chosen {
            *option = weight(name, chosen)?;
        }
    }
    if options.dense_weight == 0.0 && options.lexical_weight == 0.0 {
        return Err(Error::invalid_argument("dense_weight and lexical_weight are both 0")
            .with_hint("Give at least one of them a weight above 0.")
            .into());
    }
    require_text("query", query)?;
    let Outcome { collection, found, .. } = search(collection, query, &options)?;
    let rows: Vec<Row> = found.into_iter().map(|found| row(&collection, found)).collect();
    Ok(TableIterator::new(rows))
}

/// Reads a filter; NULL is none.
pub(super) fn read_filter(filter: Option<JsonText>) -> Result<Option<Filter>> {
    filter.map(|filter| Filter::parse(&filter.parse()?)).transpose()
}

/// A number of things to find.
pub(super) fn count(name: &str, value: i32) -> Result<usize> {
    if !(1..=MOST).contains(&value) {
        return Err(Error::invalid_argument(format!("{name} must be between 1 and {MOST}"))
            .with_detail(format!("It is {value}."))
            .with_hint(format!("Ask for up to {MOST}, or filter for fewer documents.")));
    }
    Ok(usize::try_from(value).unwrap_or_default())
}

fn weight(name: &str, value: f64) -> Result<f64> {
    if (0.0..=1e6).contains(&value) {
        return Ok(value);
    }
    Err(Error::invalid_argument(format!("{name} must be between 0 and 1000000"))
        .with_detail(format!("It is {value}."))
        .with_hint("1 is the default; 0 leaves the signal out."))
}

/// An error when there is nothing in a text to search for.
pub(super) fn require_text(name: &str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::invalid_argument(format!("the {name} is empty"))
            .with_hint("Give at least one word."));
    }
    Ok(())
}

fn row(collection: &Collection, found: Found) -> Row {
    let ranks = json!({
        "dense": found.dense_rank,
        "lexical": found.lexical_rank,
        "rrf": found.rrf,
        "similarity": found.similarity,
        "bm25": found.bm25,
        "maxsim": found.max_sim,
    });
    (
        found.chunk_id,
        JsonB(document_key(collection, &found)),
        found.ordinal,
        found.content,
        found.score,
        JsonB(without_nulls(json!({
            "section": found.section,
            "page": found.page,
            "char_start": found.char_start,
            "char_end": found.char_end,
        }))),
        JsonB(ranks),
    )
}

/// What a chunk lacks, such as a page, has no key in its metadata: as `rag_chunk` and the view show it.
pub(super) fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(entries) = &mut value {
        entries.retain(|_, value| !value.is_null());
    }
    value
}

/// The key's columns under their own names: whole numbers as numbers, everything else as text.
pub(super) fn document_key(collection: &Collection, found: &Found) -> Value {
    let columns = collection.keys.iter().zip(&found.key).map(|(column, text)| {
        let number = match column.type_oid {
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => text.parse::<i64>().ok(),
            _ => None,
        };
        (column.name.clone(), number.map_or_else(|| Value::from(text.as_str()), Value::from))
    });
    Value::Object(columns.collect::<Map<_, _>>())
}
