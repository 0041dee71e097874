//! The queue: changes, the jobs that they become, and leases of these.
pub mod changes;
pub mod job_count;
pub mod lease;
pub mod pause;
