//! Reads source rows and documents rows, as the source's owner.
use crate::catalog::collection::key::{KeyColumn, array_literals, keys_sql};
use crate::catalog::target::Target;
use crate::sys::rights::as_source_owner;
use crate::sys::rows::row;
use crate::sys::spi::{fill, required};
use crate::sys::time_limit::query;
use pgrx::datum::DatumWithOid;
use rag::queue::diff::ChunkHash;
use rag::queue::plan::{Document, document_hash};
use std::collections::{HashMap, HashSet};

/// The source row of a key.
pub enum SourceRow {
    /// It is there.
    Document(Document),
    /// It is gone.
    Gone,
    /// It is the row of an earlier key of the batch.
    Repeated,
}

/// A key's source row and documents row.
pub struct ReadDocument {
    /// The source row.
    pub source: SourceRow,
    /// Its documents row, if it has one.
    pub stored: Option<StoredDocument>,
}

/// A documents row.
pub struct StoredDocument {
    /// Hash of the source row it was made from.
    pub source_hash: Vec<u8>,
    /// Its chunks in their order.
    pub chunk_ids: Vec<i64>,
}

/// Bytes of each document's text, without reading it.
pub fn sizes(target: &Target, keys: &[String]) -> Vec<usize> {
    let sql = keyed(target, statement!("ingest/read_sizes"), &[]);
    as_source_owner(target.collection.owner, || {
        query(&sql, &key_args(target, keys), |row| {
            usize::try_from(required::<i32>(&row, 1)).unwrap_or_default()
        })
    })
}

row! {
    struct ReadRow {
        is_there: bool,
        content: Option<String>,
        title: Option<String>,
        source_hash: Option<Vec<u8>>,
        chunk_ids: Option<Vec<i64>>,
        identity: Option<String>,
    }
}

/// Reads the documents of `keys`, in their order.
pub fn documents(target: &Target, keys: &[String]) -> Vec<ReadDocument> {
    let title = target.collection.title_text("s");
    let sql = keyed(target, statement!("ingest/read_documents"), &[("title", &title)]);
    let mut seen = HashSet::new();
    as_source_owner(target.collection.owner, || {
        query(&sql, &key_args(target, keys), |row| {
            let ReadRow { is_there, content, title, source_hash, chunk_ids, identity } =
                ReadRow::read(&row);
            let stored = source_hash.zip(chunk_ids);
            let source = if identity.is_some_and(|identity| !seen.insert(identity)) {
                SourceRow::Repeated
            } else if is_there {
                SourceRow::Document(Document { title, content })
            } else {
                SourceRow::Gone
            };
            let stored =
                stored.map(|(source_hash, chunk_ids)| StoredDocument { source_hash, chunk_ids });
            ReadDocument { source, stored }
        })
    })
}

/// Parses `keys` by the types of the primary key, which raises an error if one of them is not valid.
pub fn parse(target: &Target, keys: &[String]) {
    let sql = keyed(target, "SELECT {k_keys} FROM {keys}", &[]);
    as_source_owner(target.collection.owner, || query(&sql, &key_args(target, keys), |_| ()));
}

/// Which of `keys`, by position, are the text of the key of a source row or a documents row. Reads all of both tables.
pub fn existing_keys(target: &Target, keys: &[String]) -> HashSet<usize> {
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

/// Hashes of the stored chunks of documents that changed.
pub fn hashes_of_changed(target: &Target, reads: &[ReadDocument]) -> HashMap<i64, ChunkHash> {
    let changed = reads.iter().filter_map(|read| match (&read.source, &read.stored) {
        (SourceRow::Document(document), Some(stored)) => {
            (document_hash(document)[..] != stored.source_hash).then_some(stored)
        }
        _ => None,
    });
    let ids: Vec<i64> = changed.flat_map(|stored| stored.chunk_ids.iter().copied()).collect();
    if ids.is_empty() { HashMap::new() } else { hashes(target, ids) }
}

fn hashes(target: &Target, chunk_ids: Vec<i64>) -> HashMap<i64, ChunkHash> {
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
