//! Which generation a search runs on.

use crate::catalog::collection::{Collection, Generation};
use crate::sys::cursor::Snapshot;
use rag::{Error, Result};

/// A collection and the generation to search, whose tables stay until the transaction ends.
pub struct Resolved {
    /// The collection.
    pub collection: Collection,
    /// The generation.
    pub generation: Generation,
    /// What to look with when the caller's snapshot is from before a switch. Dropped last.
    pub snapshot: Option<Snapshot>,
}

/// Finds the generation that the caller's snapshot calls active. Where that one was pruned meanwhile, looks
/// again with a snapshot of now.
pub fn resolve(name: &str) -> Result<Resolved> {
    let active = || {
        let collection = Collection::by_name(name)?;
        let generation = collection.active_generation()?;
        Ok((collection, generation))
    };
    let (collection, generation) = active()?;
    if generation.hold() {
        return Ok(Resolved { collection, generation, snapshot: None });
    }
    let snapshot = Some(Snapshot::take());
    let (collection, generation) = active()?;
    if generation.hold() {
        return Ok(Resolved { collection, generation, snapshot });
    }
    // A transaction that keeps its snapshot; or somebody dropped the tables by hand.
    Err(Error::conflict(format!("the generation that \"{name}\" was searched in is gone"))
        .with_hint("Try the transaction again."))
}
