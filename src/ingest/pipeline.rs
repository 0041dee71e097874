//! From claimed jobs to stored chunks.
pub mod apply;
pub mod batch;
pub mod change;
pub mod claim_size;
pub mod embed;
pub mod extraction;
pub mod live_lease;
pub mod rate_limit;
pub mod read;
pub mod reuse;
