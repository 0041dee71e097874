//! Documents as they are, beside what is stored of them. Runs as the source's owner.
use crate::catalog::collection::key::{KeyColumn, array_literals, keys_sql};
use crate::catalog::target::Target;
use crate::sys::rights::as_source_owner;
use crate::sys::spi::{column, fill, required};
use crate::sys::time_limit::query;
use pgrx::datum::DatumWithOid;
use rag::queue::diff::ChunkHash;
use rag::queue::plan::Document;
use std::collections::{HashMap, HashSet};

/// What a key stands for.
pub enum Found {
    /// A source row.
    Document(Document),
    /// Nothing any more.
    Gone,
    /// The same row as an earlier key of the batch.
    Repeated,
}

/// A key's source row and what is stored of it.
pub struct Read {
    /// The source row.
    pub found: Found,
    /// Its documents row, if it has one.
    pub stored: Option<Stored>,
}

/// A documents row.
pub struct Stored {
    /// Hash of the source row it was made from.
    pub source_hash: Vec<u8>,
    /// Its chunks in their order.
    pub chunk_ids: Vec<i64>,
}

/// Bytes of each document's text, without reading it.
pub fn sizes(target: &Target, keys: &[String]) -> Vec<usize> {
    let sql = keyed(target, statement!("ingest/sizes"), &[]);
    as_source_owner(target.collection.owner, || {
        query(&sql, &key_args(target, keys), |row| {
            usize::try_from(required::<i32>(&row, 1)).unwrap_or_default()
        })
    })
}

/// Reads the documents of `keys`, in their order.
pub fn documents(target: &Target, keys: &[String]) -> Vec<Read> {
    let title = target.collection.title_text("s");
    let sql = keyed(target, statement!("ingest/read"), &[("title", &title)]);
    let mut seen = HashSet::new();
    as_source_owner(target.collection.owner, || {
        query(&sql, &key_args(target, keys), |row| {
            let stored = column(&row, 5)
                .map(|source_hash| Stored { source_hash, chunk_ids: required(&row, 6) });
            let identity: Option<String> = column(&row, 7);
            let found = if identity.is_some_and(|identity| !seen.insert(identity)) {
                Found::Repeated
            } else if required(&row, 2) {
                Found::Document(Document { title: column(&row, 4), content: column(&row, 3) })
            } else {
                Found::Gone
            };
            Read { found, stored }
        })
    })
}

/// Reads `keys` by the types of the primary key, which raises an error where one of them is not of its type.
pub fn parse(target: &Target, keys: &[String]) {
    let sql = keyed(target, "SELECT {k_keys} FROM {keys}", &[]);
    as_source_owner(target.collection.owner, || query(&sql, &key_args(target, keys), |_| ()));
}

/// Which of `keys`, by position, some row of the source or of its documents has as its key's text. Reads all of both.
pub fn held(target: &Target, keys: &[String]) -> HashSet<usize> {
    let columns = &target.collection.keys;
    let each =
        |of: &dyn Fn(&KeyColumn) -> String| columns.iter().map(of).collect::<Vec<_>>().join(", ");
    let text = |column: String| format!("pg_catalog.format('%s', {column})");
    let sql = fill(
        statement!("ingest/key_texts"),
        &[
            ("arrays", &each(&|key| format!("pg_catalog.unnest(${}::text[])", key.position))),
            ("names", &each(&|key| key.stored_name())),
            ("k_keys", &each(&|key| format!("k.{}", key.stored_name()))),
            ("source_texts", &each(&|key| text(format!("s.{}", key.name_sql())))),
            ("document_texts", &each(&|key| text(format!("d.{}", key.stored_name())))),
            ("source", &target.collection.source_sql),
            ("documents", &target.documents),
        ],
    );
    as_source_owner(target.collection.owner, || {
        let held = query(&sql, &key_args(target, keys), |row| required::<i64>(&row, 1));
        held.into_iter().filter_map(|ordinal| usize::try_from(ordinal - 1).ok()).collect()
    })
}

/// Hashes of stored chunks.
pub fn hashes(target: &Target, chunk_ids: Vec<i64>) -> HashMap<i64, ChunkHash> {
    let template = statement!("ingest/read_hashes");
    let is_whole = target.bits.as_ref().map_or("true".to_owned(), |bits| {
        format!("EXISTS (SELECT FROM {bits} b WHERE b.chunk_id = c.chunk_id)")
    });
    let sql = fill(template, &[("chunks", &target.chunks), ("is_whole", &is_whole)]);
    as_source_owner(target.collection.owner, || {
        let rows = query(&sql, &[chunk_ids.into()], |row| {
            (required::<i64>(&row, 1), required::<Vec<u8>>(&row, 2))
        });
        // A hash of another length is not one of ours, and its chunk is made anew.
        rows.into_iter().filter_map(|(id, hash)| Some((id, hash.try_into().ok()?))).collect()
    })
}

/// A statement over the keys in its first parameters.
pub fn keyed(target: &Target, template: &str, more: &[(&str, &str)]) -> String {
    let collection = &target.collection;
    let each = |of: &dyn Fn(&KeyColumn) -> String, separator: &str| {
        collection.keys.iter().map(of).collect::<Vec<_>>().join(separator)
    };
    let document = |key: &KeyColumn| {
        let name = key.stored_name();
        key.equal(&format!("d.{name}"), &format!("k.{name}"))
    };
    let k_keys = each(&|key| format!("k.{}", key.stored_name()), ", ");
    let mut names = vec![
        ("keys", keys_sql(&collection.keys)),
        ("k_keys", k_keys),
        ("stored_keys", collection.stored_keys("")),
        ("content", collection.content_sql()),
        ("source", collection.source_sql.clone()),
        ("source_equal", collection.keys_equal("s", "k")),
        ("document_equal", each(&document, " AND ")),
        ("documents", target.documents.clone()),
        ("chunks", target.chunks.clone()),
    ];
    names.extend(more.iter().map(|(name, sql)| (*name, (*sql).to_owned())));
    let names: Vec<(&str, &str)> = names.iter().map(|(name, sql)| (*name, sql.as_str())).collect();
    fill(template, &names)
}

/// The keys as parameters of a [`keyed`] statement.
pub fn key_args(target: &Target, keys: &[String]) -> Vec<DatumWithOid<'static>> {
    array_literals(keys, target.collection.keys.len()).into_iter().map(Into::into).collect()
}
