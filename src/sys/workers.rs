//! What sessions and workers share to find each other: worker slots in shared memory, locks, and requests for a worker.
//! Processes themselves are in the floor `worker`.
pub mod board;
pub mod builders;
pub mod duty;
pub mod leave;
pub mod turnstile;
pub mod wake;
