//! Drops generations that are not searched.
use crate::catalog::collection::{Collection, Generation, State};
use crate::catalog::generation::{lock, no_generation};
use crate::catalog::objects::drop::{DropBehavior, delete_generations, drop_tables};
use crate::sys::lock_retry::with_short_locks;
use crate::sys::privileges::relation_owner;
use crate::sys::rights::as_source_owner;
use crate::sys::workers::builder_control;
use pgrx::pg_sys::Oid;
use rag::{Error, Result};

/// Drops this generation, or all on standby or retired. Returns how many.
pub fn prune(collection: &Collection, generation: Option<i32>) -> Result<usize> {
    let what = format!("drop generations of collection \"{}\"", collection.name);
    with_short_locks(&what, || {
        let collection = lock(collection)?;
        let pruned = to_prune(&collection, generation)?;
        let ids: Vec<i32> = pruned.iter().map(|generation| generation.id).collect();
        delete_generations(&ids);
        builder_control::terminate(&ids);
        let tables = pruned.iter().flat_map(Generation::tables);
        let tables: Vec<Oid> = tables.filter(|table| relation_owner(*table).is_some()).collect();
        as_source_owner(collection.owner, || drop_tables(&tables, DropBehavior::Restrict));
        Ok(pruned.len())
    })
}

fn to_prune(collection: &Collection, generation: Option<i32>) -> Result<Vec<Generation>> {
    let mut all = collection.generations();
    let Some(id) = generation else {
        all.retain(|one| matches!(one.state, State::Standby | State::Retired));
        return Ok(all);
    };
    all.retain(|one| one.id == id);
    match all.first().map(|one| one.state) {
        None => Err(no_generation(collection, id)),
        Some(State::Active) => Err(Error::not_ready(format!(
            "generation {id} of collection \"{}\" is what searches run on",
            collection.name
        ))
        .with_hint(format!(
            "Switch to another one first, or drop all of it with rag_drop_collection('{}').",
            collection.name
        ))),
        Some(_) => Ok(all),
    }
}
