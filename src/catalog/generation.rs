//! Generations of a collection: built beside each other, switched between, dropped.
pub mod switch;

use crate::catalog::collection::Collection;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::execute;
use crate::sys::workers::wake;
use rag::{Error, Result};

/// Locks the collection's row against other changes of its generations until the transaction ends, and reads the collection
/// again.
pub fn lock(collection: &Collection) -> Result<Collection> {
    as_extension_owner(|| execute(statement!("catalog/lock_collection"), &[collection.id.into()]));
    Collection::by_id(collection.id)?.ok_or_else(|| {
        Error::conflict(format!("collection \"{}\" was dropped meanwhile", collection.name))
            .with_hint("SELECT name FROM rag.collection lists the collections.")
    })
}

pub fn no_generation(collection: &Collection, generation: i32) -> Error {
    Error::undefined(format!("collection \"{}\" has no generation {generation}", collection.name))
        .with_hint("The view rag.generation_status lists them.")
}

/// Has a worker compare the whole source of a collection with its documents: NULL keys stand for all.
pub fn compare_everything(collection: i32) {
    let sql = "INSERT INTO rag.change (collection_id, keys) VALUES ($1, NULL)";
    as_extension_owner(|| execute(sql, &[collection.into()]));
    wake::changes_written();
}
