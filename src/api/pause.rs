//! `rag_pause()` and `rag_resume()`: ingestion stands still, and goes on.
use crate::api::int4;
use crate::catalog::collection::Collection;
use crate::catalog::distributed::Distributed;
use crate::catalog::distributed::forward::DONE;
use crate::catalog::generation::no_generation;
use crate::sys::error::SqlError;
use crate::sys::names::current_role;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::execute;
use crate::sys::workers::wake;
use pgrx::prelude::*;
use rag::Result;

/// Stops ingestion; changes are noted all the same.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_pause(collection text, generation bigint = NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_pause IS 'stops the indexing of a collection, or of one of its generations, until rag_resume';
", requires = ["catalog"])]
fn rag_pause(collection: Option<&str>, generation: Option<i64>) -> Result<(), SqlError> {
    let generation = generation.map(int4);
    if forwarded(collection, generation, "pause it", "rag_pause")? {
        return Ok(());
    }
    let collection = owned(collection, generation, "pause it")?;
    let reason = format!("paused by {}", current_role());
    let args = [collection.id.into(), generation.into(), reason.into()];
    as_extension_owner(|| execute(statement!("api/pause"), &args));
    Ok(())
}

/// Lets ingestion go on.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_resume(collection text, generation bigint = NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_resume IS 'lets the indexing of a collection, or of one of its generations, go on';
", requires = ["catalog"])]
fn rag_resume(collection: Option<&str>, generation: Option<i64>) -> Result<(), SqlError> {
    let generation = generation.map(int4);
    if forwarded(collection, generation, "resume it", "rag_resume")? {
        return Ok(());
    }
    let collection = owned(collection, generation, "resume it")?;
    let args = [collection.id.into(), generation.into()];
    as_extension_owner(|| execute(statement!("api/retry_resume"), &args));
    wake::changes_written();
    Ok(())
}

/// Whether the collection is distributed: then all servers were asked to.
fn forwarded(
    name: Option<&str>,
    generation: Option<i32>,
    to_do: &str,
    function: &str,
) -> Result<bool> {
    let Some(distributed) = Distributed::of(name)? else { return Ok(false) };
    Distributed::refuse_generation(generation)?;
    distributed.change::<i64>(to_do, function, DONE, &[])?;
    Ok(true)
}

/// The collection of this name, which the caller owns and the generation is of.
fn owned(name: Option<&str>, generation: Option<i32>, to_do: &str) -> Result<Collection> {
    let collection = Collection::owned(name, to_do)?;
    match generation {
        Some(id) if collection.generations().iter().all(|one| one.id != id) => {
            Err(no_generation(&collection, id))
        }
        _ => Ok(collection),
    }
}
