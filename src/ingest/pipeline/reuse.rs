//! Copies embeddings that another generation of the collection has.
//!
//! A chunk's hash covers its headings and its text: if model and hash are equal, so are vector and token bits. A rebuild embeds
//! only new chunks, and while two generations follow a source an edit is embedded once.
use crate::catalog::collection::Generation;
use crate::catalog::target::Target;
use crate::ingest::pipeline::read::{key_args, keyed};
use crate::sys::rights::as_source_owner;
use crate::sys::rows::row;
use crate::sys::spi::fill;
use crate::sys::time_limit::query;
use rag::Result;
use rag::queue::diff::ChunkHash;
use rag::queue::plan::Embedded;
use std::collections::HashMap;

/// Chunks looked up in one transaction: some megabytes with their token bits.
pub const CHUNKS: usize = 500;

row! {
    struct ReusedRow {
        document: i32,
        content_hash: Vec<u8>,
        embedding: Vec<f32>,
        bits: Option<Vec<u8>>,
    }
}

/// Looks up the embeddings of chunks, each given by its document's key and its hash. `None`: no other generation has
/// vectors of this model.
pub fn find<'k>(
    target: &Target,
    chunks: &[(&'k str, ChunkHash)],
) -> Result<Option<HashMap<(&'k str, ChunkHash), Embedded>>> {
    let siblings = siblings(target);
    if siblings.is_empty() {
        return Ok(None);
    }
    // Chunks of a document stand together.
    let mut keys: Vec<&str> = chunks.iter().map(|(key, _)| *key).collect();
    keys.dedup();
    let mut found = HashMap::new();
    for sibling in siblings {
        found.extend(find_in(target, &sibling, &keys, chunks)?);
    }
    Ok(Some(found))
}

/// Other generations whose vectors are of the same model, and whose bits serve where bits are wanted.
fn siblings(target: &Target) -> Vec<Generation> {
    let mut all = target.collection.generations();
    all.retain(|other| {
        other.id != target.generation.id
            && other.fingerprint == target.generation.fingerprint
            && (other.bits.is_some() || target.bits.is_none())
            && other.hold()
            && other.require_tables(&target.collection).is_ok()
    });
    all
}

fn find_in<'k>(
    target: &Target,
    sibling: &Generation,
    keys: &[&'k str],
    chunks: &[(&'k str, ChunkHash)],
) -> Result<Vec<((&'k str, ChunkHash), Embedded)>> {
    let tables = sibling.tables_sql()?;
    let bits = tables.get(2).filter(|_| target.bits.is_some());
    let join_bits = bits
        .map(|table| fill("JOIN {bits} b ON b.chunk_id = c.chunk_id", &[("bits", table.as_str())]));
    let texts: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let mut args = key_args(target, &texts);
    let names = [
        ("sibling", tables[1].as_str()),
        ("chunk_equal", &target.collection.stored_keys_equal("c", "k")),
        ("hashes", &format!("${}", args.len() + 1)),
        ("bits", if bits.is_some() { "b.bits" } else { "NULL::bytea" }),
        ("join_bits", join_bits.as_deref().unwrap_or_default()),
    ];
    let sql = keyed(target, statement!("ingest/reuse"), &names);
    args.push(chunks.iter().map(|(_, hash)| &hash[..]).collect::<Vec<_>>().into());
    let found = as_source_owner(target.collection.owner, || {
        query(&sql, &args, |row| {
            let row = ReusedRow::read(&row);
            let key = keys[row.document.unsigned_abs() as usize - 1];
            let hash = row.content_hash.try_into().unwrap_or_default();
            ((key, hash), Embedded { vector: row.embedding, bits: row.bits })
        })
    });
    Ok(found)
}
