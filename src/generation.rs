//! Generations of a collection: built beside each other, switched between, dropped.
pub mod estimate;
pub mod model;
pub mod prune;
pub mod rebuild;
pub mod switch;

use super::attempt::Patience;
use super::collection::Collection;
use super::rights::as_extension_owner;
use super::spi::execute;
use rag::{Error, Result};
use std::time::Duration;

/// For locks that searches wait behind.
const SHORT: Patience = Patience { each: c"100ms", all: Duration::from_secs(30) };

/// Makes other changes of the collection's generations wait until the transaction ends, and reads the
/// collection as it is then.
pub fn lock(collection: &Collection) -> Result<Collection> {
    as_extension_owner(|| execute(statement!("lock_collection"), &[collection.id.into()]));
    Collection::by_id(collection.id)?.ok_or_else(|| {
        Error::conflict(format!("collection \"{}\" was dropped meanwhile", collection.name))
            .with_hint("SELECT name FROM rag.collection lists the collections.")
    })
}

/// What to say of a generation that a collection does not have.
pub fn no_generation(collection: &Collection, generation: i32) -> Error {
    Error::undefined(format!("collection \"{}\" has no generation {generation}", collection.name))
        .with_hint("The view rag.generation_status lists them.")
}
