//! What owners run on a collection now and then: rebuild, prune, verify, estimate, and the report on its vector index.
//! Imports every floor below, and is imported by `worker` and `api` only.
pub mod attach;
pub mod calibrate;
pub mod detach;
pub mod estimate;
pub mod import;
pub mod index;
pub mod prune;
pub mod rebuild;
pub mod verify;
