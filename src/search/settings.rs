//! Settings that hold while a search's statement runs.
use crate::catalog::collection::Generation;
use crate::catalog::vector_index;
use crate::sys::guc::scope::Scope;
use crate::sys::relation_size;

/// Least candidates an HNSW scan keeps: below, recall at the depth of a leg suffers.
const MIN_EF_SEARCH: usize = 100;
/// pgvector's own limit.
const MAX_EF_SEARCH: usize = 1_000;
/// Least lists an ivfflat scan reads first.
const MIN_PROBES: usize = 10;

/// Cost of a page of an index, where a page read in order costs 1.
const RANDOM_PAGE_COST: f64 = 1.1;

/// For a search whose dense leg is `depth` deep. What the caller set higher stays.
pub fn for_search(depth: usize, generation: &Generation) -> Scope {
    let current = |name| Scope::current(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut scope = Scope::begin();
    let ef_search = depth.clamp(MIN_EF_SEARCH, MAX_EF_SEARCH).max(current(c"hnsw.ef_search"));
    scope.set(c"hnsw.ef_search", &ef_search.to_string());
    if generation.index_method == "ivfflat" {
        let rows = relation_size::rows(generation.chunks);
        let probes = MIN_PROBES.max(vector_index::probes(rows)).max(current(c"ivfflat.probes"));
        scope.set(c"ivfflat.probes", &probes.to_string());
    }
    // Filters and policies drop rows after the index found them; it must go on until enough are left.
    scope.set(c"hnsw.iterative_scan", "relaxed_order");
    scope.set(c"ivfflat.iterative_scan", "relaxed_order");
    scope.set(c"jit", "off");
    // Chunks whose TIDs are known would else be looked for all over the table.
    scope.set(c"enable_tidscan", "on");
    // Counts when the plan is made. Searches come again and again, so that indexes are in memory; the
    // usual 4 makes the planner compute every distance of a few thousand chunks instead.
    let page_cost: Option<f64> =
        Scope::current(c"random_page_cost").and_then(|cost| cost.parse().ok());
    if page_cost.is_none_or(|cost| cost > RANDOM_PAGE_COST) {
        scope.set(c"random_page_cost", &RANDOM_PAGE_COST.to_string());
    }
    scope
}

/// For a statement with the owner's rights in a search by another role: the client may ask to see its own log, and a
/// server that logs statements and plans would show the owner's there.
pub fn without_client_messages() -> Scope {
    let mut scope = Scope::begin();
    scope.set(c"client_min_messages", "warning");
    scope
}
