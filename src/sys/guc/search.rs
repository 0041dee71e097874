//! The settings of searches.
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::time::Duration;

static BUDGET: GucSetting<i32> = GucSetting::<i32>::new(100_000_000);

static SHARD_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(30_000);

/// How long the servers of a distributed collection have for one step of a search.
pub fn shard_timeout() -> Duration {
    Duration::from_millis(u64::try_from(SHARD_TIMEOUT.get()).unwrap_or_default())
}

/// Most postings that the lexical leg of a search scores, where no policies apply.
pub fn search_budget() -> u64 {
    u64::try_from(BUDGET.get()).unwrap_or_default()
}

/// Defines the settings. A session may spend as much of its own time as it likes: `statement_timeout` bounds that.
pub fn init() {
    GucRegistry::define_int_guc(
        c"rag_pg.search_budget",
        c"Occurrences of words in chunks that the lexical part of a search looks at before it returns the best so far.",
        c"A search that reaches it says so in a NOTICE. It does not apply under row-level security.",
        &BUDGET,
        1,
        i32::MAX,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"rag_pg.shard_timeout",
        c"Time within which every server of a distributed collection must answer a step of a search.",
        c"A server that does not is an error, or left out of a search with partial => true.",
        &SHARD_TIMEOUT,
        1,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_MS,
    );
}
