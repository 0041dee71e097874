//! TODO
pub mod estimate;
pub mod index;
pub mod prune;
pub mod rebuild;
pub mod verify;
