//! The statement of a search over one generation.
use crate::catalog::collection::Collection;
use crate::search::filter::Filter;
use crate::sys::spi::fill;

/// What differs between two statements over the same generation.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Chunks the dense leg finds; 0 leaves it out.
    pub dense: usize,
    /// Chunks that come out.
    pub limit: usize,
    /// Whether every chunk must match something.
    pub is_required: bool,
    /// Which chunks the legs look at.
    pub among: Among,
    /// Whether to fetch token bits.
    pub with_bits: bool,
}

/// Which chunks the dense leg of a statement looks at. What comes out was asked for at the source in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Those that its index gives.
    All,
    /// Of these, those that the source has and the filter passes.
    Asked,
    /// Those at the places in `$6`, each of them.
    Few,
}

/// Names, quoted, that a statement needs besides those of the collection.
#[derive(Debug)]
pub struct Names {
    /// SQL of a chunk's distance from the question.
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

/// The statement's SQL; its parameters are described in `sql/run/search/search.sql`.
pub fn statement(collection: &Collection, names: &Names, filter: &Filter, shape: Shape) -> String {
    let visible = collection.source_visible_where("c", filter.sql());
    let dense = match shape.dense {
        0 => NO_LEG.to_owned(),
        depth => dense_leg(names, &visible, shape, depth),
    };
    let keys = |of: fn(&str) -> String| {
        let keys = collection.keys.iter().map(|key| of(&key.stored_name()));
        keys.collect::<Vec<_>>().join(", ")
    };
    let bits = names.bits.as_ref().filter(|_| shape.with_bits);
    let join_bits = bits
        .map(|bits| format!("LEFT JOIN {bits} b ON b.chunk_id OPERATOR(pg_catalog.=) f.chunk_id"));
    let parts = [
        ("dense", dense.as_str()),
        ("distance", &names.distance),
        ("chunks", &names.chunks),
        ("documents", &names.documents),
        ("visible", &visible),
        ("limit", &shape.limit.to_string()),
        ("same_document", &collection.stored_keys_equal("d", "f")),
        ("bits", if bits.is_some() { "b.heading_tokens, b.bits" } else { "NULL, NULL" }),
        ("join_bits", join_bits.as_deref().unwrap_or("")),
        ("keys", &keys(|name| format!("c.{name}"))),
        ("found_keys", &keys(|name| format!("f.{name}"))),
    ];
    fill(statement!("search/search"), &parts)
}

fn dense_leg(names: &Names, visible: &str, shape: Shape, depth: usize) -> String {
    let is_few = shape.among == Among::Few;
    // No index is on this expression, nor does one serve the function: chunks are got by their TIDs.
    let distance = if is_few {
        format!("({}) OPERATOR(pg_catalog.+) 0", names.distance)
    } else {
        names.distance.clone()
    };
    let matches = if is_few {
        "pg_catalog.ts_match_vq(c.lexemes, $4)"
    } else {
        "c.lexemes OPERATOR(pg_catalog.@@) $4"
    };
    let among = is_few.then_some("c.ctid OPERATOR(pg_catalog.=) ANY ($6)");
    let asked = (shape.among == Among::Asked).then_some(visible);
    let conditions = among.into_iter().chain(shape.is_required.then_some(matches)).chain(asked);
    let conditions: Vec<&str> = conditions.collect();
    let conditions =
        if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
    let parts = [
        ("distance", distance.as_str()),
        ("chunks", &names.chunks),
        ("conditions", &conditions),
        ("count", &depth.to_string()),
    ];
    fill(statement!("search/dense"), &parts)
}
