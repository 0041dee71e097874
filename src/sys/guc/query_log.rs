//! Settings of the query log.
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

static SAMPLE: GucSetting<f64> = GucSetting::<f64>::new(0.0);
static RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30 * 24 * 3600);

/// Share of searches and answers that are logged, from 0 to 1.
pub fn sample() -> f64 {
    SAMPLE.get()
}

/// Seconds after which a logged query is deleted; `None`: never.
pub fn retention() -> Option<i32> {
    Some(RETENTION.get()).filter(|seconds| *seconds > 0)
}

/// Defines the settings. What is logged is the administrator's to decide, for a database or a role: a
/// role could otherwise leave no trace, or fill the disk.
pub fn init() {
    GucRegistry::define_float_guc(
        c"rag_pg.query_log_sample",
        c"Share of searches and answers that rag.query_log keeps.",
        c"From 0 (off) to 1 (all). A search that is logged writes, so it needs a transaction id; in read-only transactions and on standbys nothing is logged.",
        &SAMPLE,
        0.0,
        1.0,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"rag_pg.query_log_retention",
        c"Time after which a logged query and its feedback are deleted.",
        c"0 keeps them for ever. Workers and rag_work delete them.",
        &RETENTION,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
}
