//! Vectors that people had already, which a first load takes instead of asking the model: see `rag_import_embeddings`.
//!
//! They are known by the text that is embedded alone, whatever document and heading it belongs to.
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{execute, query, required};
use rag::queue::diff::{ChunkHash, chunk_hash};
use std::collections::HashMap;

/// By which an imported vector is found.
pub fn text_hash(text: &str) -> ChunkHash {
    chunk_hash("", "", text)
}

/// Those of these texts that have a vector.
pub fn find(generation: i32, hashes: &[ChunkHash]) -> HashMap<ChunkHash, Vec<f32>> {
    let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash[..]).collect();
    let args = [generation.into(), hashes.into()];
    let rows = as_extension_owner(|| {
        query(statement!("ingest/imported"), &args, |row| {
            (required::<Vec<u8>>(&row, 1), required::<Vec<u8>>(&row, 2))
        })
    });
    let numbers = |bytes: Vec<u8>| {
        let number = |four: &[u8]| f32::from_le_bytes(four.try_into().unwrap_or_default());
        bytes.chunks_exact(4).map(number).collect()
    };
    rows.into_iter()
        .filter_map(|(hash, bytes)| Some((hash.try_into().ok()?, numbers(bytes))))
        .collect()
}

/// Forgets what a first load has left.
pub fn forget(generation: i32) {
    as_extension_owner(|| execute(statement!("ingest/forget_imported"), &[generation.into()]));
}
