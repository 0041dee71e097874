//! The setting of searches.
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

static BUDGET: GucSetting<i32> = GucSetting::<i32>::new(100_000_000);

/// Most postings that the lexical leg of a search scores, where no policies apply.
pub fn search_budget() -> u64 {
    u64::try_from(BUDGET.get()).unwrap_or_default()
}

/// Defines the setting. A session may spend as much of its own time as it likes: `statement_timeout` bounds that.
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
}
