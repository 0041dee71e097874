//! The queue's rules without a database: what a failure means, when to try again, which documents
//! go together, and which chunks an edit leaves alone.
pub mod backoff;
pub mod batch;
pub mod diff;
pub mod failure;
pub mod give_way;
pub mod plan;
pub mod spool;
pub mod throttle;
pub mod unstored;

pub use failure::Failure;
