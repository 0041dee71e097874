//! The statements of a search, and the settings that they run under. A statement's text depends on the generation and on the shape of
//! the search, never on its words or numbers, so that a session plans each once.
use crate::catalog::collection::Generation;
use crate::catalog::vector_index;
use crate::search::options::MAX_CANDIDATES;
use crate::search::resolve::{Resolved, TableNames};
use crate::sys::guc::scope::Scope;
use crate::sys::relation_size;
use crate::sys::spi::fill;

/// Which chunks a scan for the nearest compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenseScan<'a> {
    /// Those that the vector index returns and for which the condition holds.
    Index(&'a str),
    /// All that are listed in `$4`.
    Listed,
    /// All.
    Exact,
}

/// SQL that goes through the chunks listed in `$4`.
const LISTED: &str = "pg_catalog.unnest($4) AS a (chunk_id) JOIN {chunks} c ON c.chunk_id OPERATOR(pg_catalog.=) a.chunk_id";

/// What most searches ask of the dense leg; see `sql/run/search/dense.sql`.
const USUAL_DEPTH: usize = 100;

/// The chunks nearest to a vector, at most `depth`.
pub fn dense(tables: &TableNames, scan: DenseScan<'_>, depth: usize) -> String {
    // No index is on this expression.
    let compared = format!("({}) OPERATOR(pg_catalog.+) 0", tables.distance);
    let chunks = [("chunks", tables.chunks.as_str())];
    let (from, distance, conditions) = match scan {
        DenseScan::Index(conditions) => ("{chunks} c", &tables.distance, conditions),
        DenseScan::Listed => (LISTED, &compared, "true"),
        DenseScan::Exact => ("{chunks} c", &compared, "true"),
    };
    let most = if depth <= USUAL_DEPTH { USUAL_DEPTH } else { MAX_CANDIDATES + 1 };
    let parts = [
        ("distance", distance.as_str()),
        ("from", &fill(from, &chunks)),
        ("conditions", conditions),
        ("most", &most.to_string()),
    ];
    fill(statement!("search/dense"), &parts)
}

/// Of chunks that are listed, a column of those for which the conditions hold.
pub fn check(tables: &TableNames, column: &str, conditions: &str) -> String {
    let parts = [("column", column), ("chunks", &tables.chunks), ("conditions", conditions)];
    fill(statement!("search/check"), &parts)
}

/// The candidates of which the condition holds, with all that their order and the result need.
pub fn fetch(resolved: &Resolved, visible: &str, with_bits: bool) -> String {
    let Resolved { collection, tables, .. } = resolved;
    let (bits, join_bits) = bits_of("f", tables, with_bits);
    let parts = [
        ("distance", tables.distance.as_str()),
        ("chunks", &tables.chunks),
        ("documents", &tables.documents),
        ("visible", visible),
        ("same_document", &collection.stored_keys_equal("d", "f")),
        ("bits", bits),
        ("join_bits", &join_bits),
        ("place", &collection.place_of("p.ordinal")),
        ("keys", &collection.stored_keys("c.")),
        ("found_keys", &collection.stored_keys("f.")),
    ];
    fill(statement!("search/fetch"), &parts)
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
