//! The statement that scans the vector index and fuses both legs, and the settings that searches run under.
use crate::catalog::collection::{Collection, Generation};
use crate::catalog::vector_index;
use crate::search::filter::Filter;
use crate::search::resolve::TableNames;
use crate::sys::guc::scope::Scope;
use crate::sys::relation_size;
use crate::sys::spi::fill;

/// What differs between two statements over the same generation.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Chunks that the dense leg finds; 0 leaves it out.
    pub dense: usize,
    pub limit: usize,
    /// Whether every chunk must match the `tsquery` in `$4`.
    pub must_match: bool,
    /// Which chunks the dense leg compares.
    pub dense_scan: DenseScan,
    pub with_bits: bool,
}

/// Which chunks the dense leg compares. The candidates that the statement returns are checked against filter and source in
/// any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenseScan {
    /// Those that the vector index returns.
    Index,
    /// Of these, those that filter and source let pass.
    CheckedIndex,
    /// All in the allow-list `$6`.
    AllowList,
}

/// A leg that finds nothing.
const NO_LEG: &str = "    SELECT NULL::pg_catalog.bytea AS partials";

/// The statement's SQL; its parameters are described in `sql/run/search/search.sql`.
pub fn statement(
    collection: &Collection,
    tables: &TableNames,
    filter: &Filter,
    shape: Shape,
) -> String {
    let visible = collection.source_visible_where("c", filter.sql());
    let dense = match shape.dense {
        0 => NO_LEG.to_owned(),
        depth => dense_leg(tables, &visible, shape, depth),
    };
    let (bits, join_bits) = bits_of("f", tables, shape.with_bits);
    let parts = [
        ("dense", dense.as_str()),
        ("distance", &tables.distance),
        ("chunks", &tables.chunks),
        ("documents", &tables.documents),
        ("visible", &visible),
        ("limit", &shape.limit.to_string()),
        ("same_document", &collection.stored_keys_equal("d", "f")),
        ("bits", bits),
        ("join_bits", &join_bits),
        ("keys", &collection.stored_keys("c.")),
        ("found_keys", &collection.stored_keys("f.")),
    ];
    fill(statement!("search/search"), &parts)
}

/// SQL of the columns with a chunk's token bits, and of the join that they come from, where they are wanted and kept.
pub fn bits_of(row: &str, tables: &TableNames, is_wanted: bool) -> (&'static str, String) {
    match tables.bits.as_ref().filter(|_| is_wanted) {
        Some(bits) => (
            "COALESCE(b.heading_tokens, 0) AS heading_tokens, b.bits",
            format!("LEFT JOIN {bits} b ON b.chunk_id OPERATOR(pg_catalog.=) {row}.chunk_id"),
        ),
        None => ("0 AS heading_tokens, NULL::pg_catalog.bytea AS bits", String::new()),
    }
}

fn dense_leg(tables: &TableNames, visible: &str, shape: Shape, depth: usize) -> String {
    // By TID, without an index: none is on this expression, nor does one serve the function.
    let is_listed = shape.dense_scan == DenseScan::AllowList;
    let (distance, matches) = if is_listed {
        (
            format!("({}) OPERATOR(pg_catalog.+) 0", tables.distance),
            "pg_catalog.ts_match_vq(c.lexemes, $4)",
        )
    } else {
        (tables.distance.clone(), "c.lexemes OPERATOR(pg_catalog.@@) $4")
    };
    let conditions = [
        is_listed.then_some("c.ctid OPERATOR(pg_catalog.=) ANY ($6)"),
        shape.must_match.then_some(matches),
        (shape.dense_scan == DenseScan::CheckedIndex).then_some(visible),
    ];
    let parts = [
        ("distance", distance.as_str()),
        ("chunks", &tables.chunks),
        ("conditions", &all_of(conditions)),
        ("count", &depth.to_string()),
    ];
    fill(statement!("search/dense"), &parts)
}

/// SQL of a conjunction.
pub fn all_of<'a>(conditions: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let conditions: Vec<&str> = conditions.into_iter().flatten().collect();
    if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") }
}

/// Least `hnsw.ef_search`: below, recall at the depth of a leg suffers.
const MIN_EF_SEARCH: usize = 100;
/// pgvector's own limit.
const MAX_EF_SEARCH: usize = 1_000;
/// Least `ivfflat.probes`.
const MIN_PROBES: usize = 10;

/// Most `random_page_cost`. The usual 4 makes the planner compute every distance of a few thousand chunks instead of scanning the
/// index; indexes that are searched again and again are in memory. It counts when the plan is made.
const RANDOM_PAGE_COST: f64 = 1.1;

/// Settings of a search whose dense leg is `depth` deep, in force until the scope ends. Higher ones of the caller's stay.
pub fn search_settings(depth: usize, generation: &Generation) -> Scope {
    let current = |name| Scope::current(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut scope = Scope::begin();
    let ef_search = depth.clamp(MIN_EF_SEARCH, MAX_EF_SEARCH).max(current(c"hnsw.ef_search"));
    scope.set(c"hnsw.ef_search", &ef_search.to_string());
    if generation.index_method == "ivfflat" {
        let rows = relation_size::rows(generation.chunks);
        let probes = MIN_PROBES.max(vector_index::probes(rows)).max(current(c"ivfflat.probes"));
        scope.set(c"ivfflat.probes", &probes.to_string());
    }
    // Filter and policies drop rows after the index returned them; the scan must go on until enough are left.
    scope.set(c"hnsw.iterative_scan", "relaxed_order");
    scope.set(c"ivfflat.iterative_scan", "relaxed_order");
    scope.set(c"jit", "off");
    // An allow-list would else be joined with the whole table.
    scope.set(c"enable_tidscan", "on");
    let page_cost: Option<f64> =
        Scope::current(c"random_page_cost").and_then(|cost| cost.parse().ok());
    if page_cost.is_none_or(|cost| cost > RANDOM_PAGE_COST) {
        scope.set(c"random_page_cost", &RANDOM_PAGE_COST.to_string());
    }
    scope
}

/// Settings of a statement that runs as the owner in a search by another role. The caller may have the log sent to its own client
/// (`client_min_messages`), and a server that logs statements and plans would send the owner's.
pub fn without_client_messages() -> Scope {
    let mut scope = Scope::begin();
    scope.set(c"client_min_messages", "warning");
    scope
}
