//! Takes a collection off its source, so that any DDL can run, and keeps its tables.
use crate::catalog::collection::{Collection, Generation, State};
use crate::catalog::generation::lock;
use crate::catalog::manifest;
use crate::catalog::objects::Source;
use crate::catalog::objects::drop::{delete_work, drop_all_triggers, drop_policies};
use crate::ingest::index_ddl::vector_indexes;
use crate::sys::dependency;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::spi::{execute, fill};
use crate::sys::workers::builder_control;
use pgrx::spi::quote_literal;
use rag::{Error, Result};

/// Detaches the collection: afterwards nothing of it depends on its source or on the extension, but for its rows in the
/// catalog.
pub fn detach(collection: &Collection) -> Result<()> {
    // The catalog before the source, as rag_drop_collection does it.
    let collection = lock(collection)?;
    let generation = only_generation(&collection)?;
    // What cannot be used as it is could not be attached either.
    generation.require_tables(&collection)?;
    Source::of(&collection).lock();
    manifest::write(&collection.name, collection.owner, &generation);
    delete_work(&[generation.id]);
    builder_control::terminate(&[generation.id]);
    drop_all_triggers(&collection.name)?;
    as_source_owner(collection.owner, || {
        if collection.view.is_some() {
            execute(&fill("DROP VIEW {view}", &[("view", collection.view_sql.as_str())]), &[]);
        }
        // Without a policy no other role sees a row.
        drop_policies(generation.documents);
        drop_policies(generation.chunks);
    });
    for table in generation.tables() {
        dependency::remove_from_table(table, collection.source);
    }
    for index in vector_indexes(generation.chunks) {
        dependency::remove_from_extension(index.oid);
    }
    as_extension_owner(|| {
        for sql in statement!("catalog/detach_collection").split(";\n") {
            execute(sql, &[collection.id.into()]);
        }
    });
    Ok(())
}

/// The active generation, or an error where there are others: what of them would be attached again is the owner's to say.
fn only_generation(collection: &Collection) -> Result<Generation> {
    let all = collection.generations();
    let (name, quoted) = (&collection.name, quote_literal(&collection.name));
    let Some(other) = all.iter().find(|generation| generation.state != State::Active) else {
        return collection.active_generation();
    };
    let hint = match other.state {
        State::Building => format!(
            "Switch to it with rag_switch({quoted}) when it is complete, or drop it with rag_prune({quoted}, {}).",
            other.id
        ),
        _ => format!("Drop what searches do not run on with rag_prune({quoted})."),
    };
    Err(Error::not_ready(format!("collection \"{name}\" has more than one generation"))
        .with_detail(format!(
            "Generation {} is {}; only the active one can be detached.",
            other.id,
            other.state.name()
        ))
        .with_hint(hint))
}
