//! Settings of answers.
use crate::answer::DEFAULT_THRESHOLD;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

/// USERSET: it affects the caller's own answers only.
static ANSWER_THRESHOLD: GucSetting<f64> = GucSetting::<f64>::new(DEFAULT_THRESHOLD);

/// The least confidence that counts as an answer.
pub fn threshold() -> f64 {
    ANSWER_THRESHOLD.get()
}

pub(super) fn init() {
    GucRegistry::define_float_guc(
        c"rag_pg.answer_threshold",
        c"Least confidence that counts as an answer.",
        c"How like the question the best sentence of 2,000 passages or more must be, from -1 (answer always) to 1; it is 0.03 less for each power of ten that they are fewer. The default is calibrated for all-MiniLM-L6-v2.",
        &ANSWER_THRESHOLD,
        -1.0,
        1.0,
        GucContext::Userset,
        GucFlags::default(),
    );
}
