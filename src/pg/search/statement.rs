//! The statement of a search over one generation.
use super::filter::Filter;
use crate::pg::collection::Collection;
use crate::pg::spi::fill;
use std::fmt::Write as _;

/// What differs between two statements over the same generation.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Chunks the dense leg finds; 0 leaves it out.
    pub dense: usize,
    /// Chunks the lexical leg looks at; 0 leaves it out.
    pub lexical: usize,
    /// Whether every chunk must match something.
    pub is_required: bool,
    /// Whether to fetch token bits.
    pub with_bits: bool,
}

/// Names, quoted, that a statement needs besides those of the collection.
#[derive(Debug)]
pub struct Names {
    /// The schema of pgvector.
    pub vector: String,
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
    let leg = |template, count: usize, leg_name| {
        if count == 0 {
            return NO_LEG.to_owned();
        }
        let required = if shape.is_required {
            "\n               AND c.lexemes OPERATOR(rag.@@) $4"
        } else {
            ""
        };
        let count = count.to_string();
        let parts = [
            ("vector", names.vector.as_str()),
            ("chunks", &names.chunks),
            ("visible", &visible),
            ("required", required),
            (leg_name, &count),
        ];
        fill(template, &parts)
    };
    let keys = collection.keys.iter().fold(String::new(), |mut keys, key| {
        let separator = if keys.is_empty() { "" } else { ", " };
        // format() calls the type's output function, never a cast that somebody defined.
        let _ = write!(keys, "{separator}pg_catalog.format('%s', c.{})", key.stored_name());
        keys
    });
    let bits = names.bits.as_ref().filter(|_| shape.with_bits);
    let join_bits = bits
        .map(|bits| format!("LEFT JOIN {bits} b ON b.chunk_id OPERATOR(pg_catalog.=) k.chunk_id"));
    fill(
        include_str!("../../../sql/run/search.sql"),
        &[
            (
                "dense",
                &leg(include_str!("../../../sql/run/search_dense.sql"), shape.dense, "depth"),
            ),
            (
                "lexical",
                &leg(include_str!("../../../sql/run/search_lexical.sql"), shape.lexical, "matches"),
            ),
            ("vector", &names.vector),
            ("chunks", &names.chunks),
            ("documents", &names.documents),
            ("same_document", &same_document(collection)),
            ("bits", if bits.is_some() { "b.heading_tokens, b.bits" } else { "NULL, NULL" }),
            ("join_bits", join_bits.as_deref().unwrap_or("")),
            ("keys", &keys),
        ],
    )
}

/// SQL that is true when the rows `d` and `c` belong to the same document.
pub fn same_document(collection: &Collection) -> String {
    let equal = collection.keys.iter().map(|key| {
        let name = key.stored_name();
        key.equal(&format!("d.{name}"), &format!("c.{name}"))
    });
    equal.collect::<Vec<_>>().join(" AND ")
}
