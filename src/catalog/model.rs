//! The model that a generation was made with.
use crate::catalog::collection::{Collection, Generation};
use crate::models::embedder::Embedder;
use crate::models::remote::Remote;
use crate::models::{local as model, remote};
use rag::model::{LocalModel, Purpose};
use rag::{Error, Result};

/// The model a generation was made with, and no other build of it: vectors of two builds are not comparable.
///
/// A remote model is called on behalf of the collection's owner, not the caller: the privilege to search a collection
/// includes embedding the question.
pub fn embedder(collection: &Collection, generation: &Generation) -> Result<Embedder> {
    match remote(collection, generation)? {
        Some(client) => Ok(Embedder::Remote(Box::new(client))),
        None => local(generation).map(Embedder::Local),
    }
}

/// The model of a generation as a local one, ready to run.
pub fn local(generation: &Generation) -> Result<&'static LocalModel> {
    let Generation { model: name, fingerprint, .. } = generation;
    model::embedder_by_fingerprint(name, fingerprint)?.ok_or_else(|| {
        let hint = match model::store().find(name) {
            Ok(Some(_)) => {
                "Import the same files again with \"rag-model import\", or make new vectors with the \
                 build installed now: SELECT rag_rebuild(...)."
            }
            _ => "Import the same files again with \"rag-model import\".",
        };
        Error::configuration(format!("model \"{name}\" of the collection is not installed"))
            .with_detail(format!("The collection was made with build {fingerprint}."))
            .with_hint(hint)
    })
}

/// The model of a generation as a remote one; `None` where it is local. Reads the catalog.
pub fn remote(collection: &Collection, generation: &Generation) -> Result<Option<Remote>> {
    let Generation { model: name, fingerprint, .. } = generation;
    if model::is_installed(name, fingerprint) {
        return Ok(None);
    }
    let Some(mut client) = remote::find_for(name, collection.owner)? else { return Ok(None) };
    client.set_collection(collection.id);
    if client.spec().fingerprint() == *fingerprint {
        return Ok(Some(client));
    }
    Err(Error::configuration(format!(
        "model \"{name}\" is not what collection \"{}\" was made with",
        collection.name
    ))
    .with_detail(
        "Its provider, URL, name there, dimensions, prefixes or parameters are others now.",
    )
    .with_hint("Create the model as it was, or make new vectors: SELECT rag_rebuild(...)."))
}

/// Whether the model of a generation is remote.
pub fn is_remote(generation: &Generation) -> bool {
    !model::is_installed(&generation.model, &generation.fingerprint)
        && remote::fingerprint(&generation.model).as_ref() == Some(&generation.fingerprint)
}

/// Most tokens of a text that the model of a generation takes, where that is known.
pub fn room(collection: &Collection, generation: &Generation) -> Option<usize> {
    if let Ok(Some(client)) = remote(collection, generation) {
        return client.spec().room(Purpose::Document).ok();
    }
    let build = format!("{}@{}", generation.model, generation.fingerprint);
    model::tokenizer(Some(&build)).and_then(|model| model.room(Purpose::Document)).ok()
}
