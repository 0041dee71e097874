//! The statement of a search over one generation.
use super::filter::Filter;
use crate::pg::collection::Collection;
use crate::pg::spi::fill;

/// What differs between two statements over the same generation.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Chunks the dense leg finds; 0 leaves it out.
    pub dense: usize,
    /// Most chunks of the lexical leg; 0 for none.
    pub lexical: usize,
    /// What tells which these are.
    pub lexical_by: By,
    /// Where the lexical leg may also look at a sample: from how many chunks on there are enough without.
    pub sampled: Option<usize>,
    /// Chunks that come out.
    pub limit: usize,
    /// Whether every chunk must match something.
    pub is_required: bool,
    /// Which chunks the legs look at.
    pub among: Among,
    /// Whether to fetch token bits.
    pub with_bits: bool,
}

/// What tells which chunks are those of the lexical leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// They match `$3`.
    Query,
    /// Their places are in `$6`.
    Places,
    /// Another extension's index found them: `$5`.
    Rank,
}

/// Which chunks the legs of a statement look at. What comes out was asked for at the source in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Those that their indexes give.
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
const NO_LEG: &str = "    SELECT NULL::pg_catalog.bytea AS hits, 0::pg_catalog.int8 AS found";

/// Chunks that there are none of.
const NOTHING: &str = "    SELECT NULL::pg_catalog.int8 AS chunk_id, NULL::pg_catalog.tid AS place, NULL::pg_catalog.tsvector AS lexemes WHERE false";

/// The statement's SQL; its parameters are described in `sql/run/search.sql`.
pub fn statement(collection: &Collection, names: &Names, filter: &Filter, shape: Shape) -> String {
    let visible = collection.source_visible_where("c", filter.sql());
    let is_few = shape.among == Among::Few;
    // No index is on this expression.
    let distance = if is_few {
        format!("({}) OPERATOR(pg_catalog.+) 0", names.distance)
    } else {
        names.distance.clone()
    };
    let at_places = "c.ctid OPERATOR(pg_catalog.=) ANY ($6)";
    let among = is_few.then_some(at_places);
    let leg = |template, count: usize, own: Option<&str>| {
        let asked = (shape.among == Among::Asked).then_some(visible.as_str());
        let conditions: Vec<&str> = among.into_iter().chain(own).chain(asked).collect();
        let conditions =
            if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
        let parts = [
            ("distance", distance.as_str()),
            ("chunks", &names.chunks),
            ("conditions", &conditions),
            ("count", &count.to_string()),
        ];
        fill(template, &parts)
    };
    let matches = |query: &str| {
        // No index serves the function either: chunks are got by their numbers.
        if is_few || shape.lexical_by == By::Rank {
            format!("rag.matches(c.lexemes, {query})")
        } else {
            format!("c.lexemes OPERATOR(rag.@@) {query}")
        }
    };
    let required = shape.is_required.then(|| matches("$4"));
    let dense = match shape.dense {
        0 => NO_LEG.to_owned(),
        depth => leg(include_str!("../../../sql/run/search_dense.sql"), depth, required.as_deref()),
    };
    let indexed = match shape.lexical {
        0 => NOTHING.to_owned(),
        most => {
            let template = include_str!("../../../sql/run/search_matched.sql");
            let matches = match shape.lexical_by {
                By::Places => at_places.to_owned(),
                By::Query | By::Rank => matches("$3"),
            };
            leg(template, most, Some(&matches))
        }
    };
    let lexical = |chunks: &str| {
        let template = include_str!("../../../sql/run/search_lexical.sql");
        fill(template, &[("matched", chunks)])
    };
    let (before, lexical) = match shape.sampled {
        _ if shape.lexical_by == By::Rank => {
            let template = include_str!("../../../sql/run/search_ranked.sql");
            (String::new(), leg(template, shape.lexical, required.as_deref()))
        }
        Some(enough) => {
            let template = include_str!("../../../sql/run/search_sampled.sql");
            let sampled = leg(template, enough, Some("rag.matches(c.lexemes, $7)"));
            (format!("matched AS MATERIALIZED (\n{indexed}\n), "), lexical(&sampled))
        }
        None if shape.lexical == 0 => (String::new(), NO_LEG.to_owned()),
        None => (String::new(), lexical(&indexed)),
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
        ("matched", &before),
        ("lexical", &lexical),
        ("distance", &names.distance),
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
