//! The statement of a search over one generation.
use super::filter::Filter;
use crate::pg::collection::Collection;
use crate::pg::spi::fill;

/// What differs between two statements over the same generation.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Chunks the dense leg finds; 0 leaves it out.
    pub dense: usize,
    /// Chunks the lexical leg looks at; 0 leaves it out.
    pub lexical: usize,
    /// Chunks that come out.
    pub limit: usize,
    /// Whether every chunk must match something.
    pub is_required: bool,
    /// Whether the legs themselves ask the source; if not, only what comes out is asked for.
    pub is_strict: bool,
    /// Whether to fetch token bits.
    pub with_bits: bool,
}

/// Names, quoted, that a statement needs besides those of the collection.
#[derive(Debug)]
pub struct Names {
    /// The schema of pgvector.
    pub vector: String,
    /// SQL of a chunk's distance from the question, as the vector index orders by it.
    pub distance: String,
    /// The generation's tables.
    pub documents: String,
    /// See `documents`.
    pub chunks: String,
    /// See `documents`.
    pub bits: Option<String>,
}

/// A leg that finds nothing.
const NO_LEG: &str = "    SELECT NULL::pg_catalog.bytea AS hits";

/// The statement's SQL; its parameters are described in `sql/run/search.sql`.
pub fn statement(collection: &Collection, names: &Names, filter: &Filter, shape: Shape) -> String {
    let visible = collection.source_visible_where("c", filter.sql());
    let leg = |template, count: usize, own: Option<&str>| {
        if count == 0 {
            return NO_LEG.to_owned();
        }
        let asked = shape.is_strict.then_some(visible.as_str());
        let conditions: Vec<&str> = own.into_iter().chain(asked).collect();
        let conditions =
            if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
        let parts = [
            ("distance", names.distance.as_str()),
            ("chunks", &names.chunks),
            ("conditions", &conditions),
            ("count", &count.to_string()),
        ];
        fill(template, &parts)
    };
    let required = shape.is_required.then_some("c.lexemes OPERATOR(rag.@@) $4");
    let dense = leg(include_str!("../../../sql/run/search_dense.sql"), shape.dense, required);
    let matches = Some("c.lexemes OPERATOR(rag.@@) $3");
    let lexical = leg(include_str!("../../../sql/run/search_lexical.sql"), shape.lexical, matches);
    let keys = |of: fn(&str) -> String| {
        let keys = collection.keys.iter().map(|key| of(&key.stored_name()));
        keys.collect::<Vec<_>>().join(", ")
    };
    let bits = names.bits.as_ref().filter(|_| shape.with_bits);
    let join_bits = bits
        .map(|bits| format!("LEFT JOIN {bits} b ON b.chunk_id OPERATOR(pg_catalog.=) f.chunk_id"));
    let parts = [
        ("dense", dense.as_str()),
        ("lexical", &lexical),
        ("vector", &names.vector),
        ("chunks", &names.chunks),
        ("documents", &names.documents),
        ("visible", &visible),
        ("limit", &shape.limit.to_string()),
        ("same_document", &same_document(collection, "f")),
        ("bits", if bits.is_some() { "b.heading_tokens, b.bits" } else { "NULL, NULL" }),
        ("join_bits", join_bits.as_deref().unwrap_or("")),
        ("keys", &keys(|name| format!("c.{name}"))),
        ("found_keys", &keys(|name| format!("f.{name}"))),
    ];
    fill(include_str!("../../../sql/run/search.sql"), &parts)
}

/// SQL that is true when the document `d` is that of the row `other`.
pub fn same_document(collection: &Collection, other: &str) -> String {
    let equal = collection.keys.iter().map(|key| {
        let name = key.stored_name();
        key.equal(&format!("d.{name}"), &format!("{other}.{name}"))
    });
    equal.collect::<Vec<_>>().join(" AND ")
}
