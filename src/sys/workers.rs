//! How backends, the launcher and workers find each other.
pub mod admission;
pub mod builder_control;
pub mod shared_state;
pub mod wake;
pub mod yield_database;
