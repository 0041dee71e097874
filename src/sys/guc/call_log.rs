//! Settings of the log of remote calls.
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

static RETENTION: GucSetting<i32> = GucSetting::<i32>::new(90 * 24 * 3600);

/// Whether calls are recorded.
pub fn is_on() -> bool {
    RETENTION.get() >= 0
}

/// Seconds after which a recorded call is deleted; `None`: never.
pub fn retention() -> Option<i32> {
    Some(RETENTION.get()).filter(|seconds| *seconds > 0)
}

/// Defines the setting. Workers read it, and a role must not be able to leave no trace of what it spent.
pub fn init() {
    GucRegistry::define_int_guc(
        c"rag_pg.call_log_retention",
        c"Time after which a call of a remote model is deleted from rag.call_log.",
        c"0 keeps calls for ever, -1 records none. Workers and rag_work delete them.",
        &RETENTION,
        -1,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
}
