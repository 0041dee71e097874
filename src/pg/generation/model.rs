//! The model that a generation was made with.
use crate::model::LocalModel;
use crate::pg::collection::Generation;
use crate::pg::model;
use crate::{Error, Result};

/// The model a generation was made with, and no other build of it: its vectors lie in another space.
pub fn embedder(generation: &Generation) -> Result<&'static LocalModel> {
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
