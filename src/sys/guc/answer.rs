//! Settings of answers.
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};
use rag::answer::DEFAULT_THRESHOLD;

/// USERSET: it affects the caller's own answers only.
static ANSWER_THRESHOLD: GucSetting<f64> = GucSetting::<f64>::new(DEFAULT_THRESHOLD);

/// The least confidence that counts as an answer.
pub fn threshold() -> f64 {
    ANSWER_THRESHOLD.get()
}

/// What waits and what is kept costs room, so the configuration file sets both.
static REQUEST_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(24 * 3600);
static MAX_QUEUED: GucSetting<i32> = GucSetting::<i32>::new(1_000);

/// Seconds after which a submitted answer is deleted that has ended; `None`: never.
pub fn request_retention() -> Option<i32> {
    Some(REQUEST_RETENTION.get()).filter(|seconds| *seconds > 0)
}

/// Most answers that wait for a role.
pub fn max_queued() -> i32 {
    MAX_QUEUED.get()
}

pub(super) fn init() {
    GucRegistry::define_int_guc(
        c"rag_pg.answer_request_retention",
        c"Time after which an answer that was submitted and has ended is deleted.",
        c"0 keeps them for ever. Workers and rag_work delete them.",
        &REQUEST_RETENTION,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"rag_pg.max_queued_answers",
        c"Most submitted answers that wait for one role in a database.",
        c"What is submitted beyond that is refused.",
        &MAX_QUEUED,
        1,
        1_000_000,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_float_guc(
        c"rag_pg.answer_threshold",
        c"Least confidence that counts as an answer.",
        c"How sure the best quote of 2,000 passages or more must be, from -1 (answer always) to 1; it is 0.03 less for each power of ten that they are fewer. The default is calibrated for all-MiniLM-L6-v2.",
        &ANSWER_THRESHOLD,
        -1.0,
        1.0,
        GucContext::Userset,
        GucFlags::default(),
    );
}
