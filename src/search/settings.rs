//! Settings that hold while a search's statement runs.
#![allow(unsafe_code)] // nests settings as functions with SET clauses do

use crate::catalog::collection::Generation;
use crate::catalog::vector_index;
use crate::sys::relation_size as frequency;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};

/// Least candidates an HNSW scan keeps: below, recall at the depth of a leg suffers.
const MIN_EF_SEARCH: usize = 100;
/// pgvector's own limit.
const MAX_EF_SEARCH: usize = 1_000;
/// Least lists an ivfflat scan reads first.
const MIN_PROBES: usize = 10;

/// Cost of a page of an index, where a page read in order costs 1.
const RANDOM_PAGE_COST: f64 = 1.1;

/// Settings in force until dropped or until an ERROR. Never the search path while policies apply: they need the
/// caller's.
pub struct Scope {
    level: i32,
}

impl Scope {
    /// For a search whose dense leg is `depth` deep. What the caller set higher stays.
    pub fn for_search(depth: usize, generation: &Generation) -> Self {
        // SAFETY: opens a level of settings, which drop or the end of the transaction closes.
        let scope = Self { level: unsafe { pg_sys::NewGUCNestLevel() } };
        let current = |name| Self::current(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        let ef_search = depth.clamp(MIN_EF_SEARCH, MAX_EF_SEARCH).max(current(c"hnsw.ef_search"));
        Self::set(c"hnsw.ef_search", &ef_search.to_string());
        if generation.index_method == "ivfflat" {
            let rows = frequency::rows(generation.chunks);
            let probes = MIN_PROBES.max(vector_index::probes(rows)).max(current(c"ivfflat.probes"));
            Self::set(c"ivfflat.probes", &probes.to_string());
        }
        // Filters and policies drop rows after the index found them; it must go on until enough are left.
        Self::set(c"hnsw.iterative_scan", "relaxed_order");
        Self::set(c"ivfflat.iterative_scan", "relaxed_order");
        Self::set(c"jit", "off");
        // Chunks whose places are known would else be looked for all over the table.
        Self::set(c"enable_tidscan", "on");
        // Counts when the plan is made. Searches come again and again, so that indexes are in memory; the
        // usual 4 makes the planner compute every distance of a few thousand chunks instead.
        let page_cost: Option<f64> =
            Self::current(c"random_page_cost").and_then(|c| c.parse().ok());
        if page_cost.is_none_or(|cost| cost > RANDOM_PAGE_COST) {
            Self::set(c"random_page_cost", &RANDOM_PAGE_COST.to_string());
        }
        scope
    }

    /// For a statement that is to get its rows from another extension's index in the index's own order. That
    /// extension's planner hook may look functions up by the path, which no policy's depends on here.
    pub fn for_ordered_index(schema_sql: &str) -> Self {
        // SAFETY: as above.
        let scope = Self { level: unsafe { pg_sys::NewGUCNestLevel() } };
        Self::set(c"search_path", &format!("pg_catalog, {schema_sql}, pg_temp"));
        Self::set(c"enable_seqscan", "off");
        Self::set(c"enable_sort", "off");
        scope
    }

    /// For a statement with the owner's rights in a search by others: what the server is set to log of statements, plans among
    /// it, may go to the client too, if the client wants to see its own log.
    pub fn for_silence() -> Self {
        // SAFETY: as above.
        let scope = Self { level: unsafe { pg_sys::NewGUCNestLevel() } };
        Self::set(c"client_min_messages", "warning");
        scope
    }

    fn current(name: &CStr) -> Option<String> {
        // SAFETY: returns a string that lasts until the setting changes, or NULL for no such setting.
        unsafe {
            let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
            (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
        }
    }

    fn set(name: &CStr, value: &str) {
        let value = CString::new(value).expect("values hold no zero byte");
        // SAFETY: sets a setting every user may set, for this level.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // After an ERROR the abort of the (sub)transaction puts the settings back.
        if !std::thread::panicking() {
            // SAFETY: levels nest as scopes do, so this one is the innermost.
            unsafe { pg_sys::AtEOXact_GUC(false, self.level) };
        }
    }
}
