//! Vectors that another generation of the collection has already.
//!
//! A chunk's hash covers its headings and its text, so where model and hash agree so do vector and bits. A
//! rebuild embeds what is new to it, and while two generations follow a source an edit is embedded once.
use crate::catalog::collection::Generation;
use crate::catalog::target::Target;
use crate::ingest::pipeline::read::{key_args, keyed};
use crate::sys::rights::as_source_owner;
use crate::sys::spi::{column, fill, required};
use crate::sys::time_limit::query;
use rag::Result;
use rag::queue::diff::ChunkHash;
use rag::queue::plan::{Chunk, Embedded};
use std::collections::HashMap;

/// Chunks looked for in one transaction: some megabytes with their token bits.
pub const CHUNKS: usize = 500;

/// A document by its place among the keys of a statement, from 1, and a chunk of it.
type Place = (usize, ChunkHash);

/// Looks for the vectors of `chunks`, each with its document's key. What is found comes with its
/// position. `None`: no other generation has vectors of this model.
pub fn find(target: &Target, chunks: &[(&str, &Chunk)]) -> Result<Option<Vec<(usize, Embedded)>>> {
    let siblings = siblings(target);
    if siblings.is_empty() {
        return Ok(None);
    }
    let mut keys: Vec<String> = Vec::new();
    let mut places = Vec::with_capacity(chunks.len());
    for (key, chunk) in chunks {
        // Chunks of a document stand together.
        if keys.last().is_none_or(|last| last != key) {
            keys.push((*key).to_owned());
        }
        places.push((keys.len(), chunk.hash));
    }
    let mut vectors: HashMap<Place, Embedded> = HashMap::new();
    for sibling in siblings {
        vectors.extend(of(target, &sibling, &keys, &places)?);
    }
    let found = places.iter().enumerate();
    Ok(Some(found.filter_map(|(i, place)| Some((i, vectors.get(place)?.clone()))).collect()))
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

fn of(
    target: &Target,
    sibling: &Generation,
    keys: &[String],
    places: &[Place],
) -> Result<Vec<(Place, Embedded)>> {
    let tables = sibling.tables_sql()?;
    let bits = tables.get(2).filter(|_| target.bits.is_some());
    let join_bits = bits
        .map(|table| fill("JOIN {bits} b ON b.chunk_id = c.chunk_id", &[("bits", table.as_str())]));
    let mut args = key_args(target, keys);
    let names = [
        ("sibling", tables[1].as_str()),
        ("chunk_equal", &target.collection.stored_keys_equal("c", "k")),
        ("hashes", &format!("${}", args.len() + 1)),
        ("bits", if bits.is_some() { "b.bits" } else { "NULL::bytea" }),
        ("join_bits", join_bits.as_deref().unwrap_or_default()),
    ];
    let sql = keyed(target, statement!("ingest/reuse"), &names);
    args.push(places.iter().map(|(_, hash)| &hash[..]).collect::<Vec<_>>().into());
    let found = as_source_owner(target.collection.owner, || {
        query(&sql, &args, |row| {
            let document = usize::try_from(required::<i32>(&row, 1)).unwrap_or_default();
            let hash = required::<Vec<u8>>(&row, 2).try_into().unwrap_or_default();
            let embedded = Embedded { vector: required(&row, 3), bits: column(&row, 4) };
            ((document, hash), embedded)
        })
    });
    Ok(found)
}
