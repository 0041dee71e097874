//! TODO
pub mod changes;
pub mod job_count;
pub mod lease;
