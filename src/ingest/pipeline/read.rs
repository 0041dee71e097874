//! Reads source rows and documents rows, as the source's owner.
use crate::catalog::collection::key::{KeyColumn, array_literals, keys_sql};
use crate::catalog::collection::{Collection, table_sql};
use crate::catalog::target::Target;
use crate::sys::datum::file::StoredFile;
use crate::sys::interrupt::checkpoint;
use crate::sys::rights::as_source_owner;
use crate::sys::rows::row;
use crate::sys::spi::{fill, required};
use crate::sys::time_limit::query;
use pgrx::JsonB;
use pgrx::datum::DatumWithOid;
use rag::Result;
use rag::extract::ExtractedText;
use rag::queue::diff::{ChunkHash, file_hash, titled_hash};
use rag::queue::plan::{Document, document_hash};
use serde_json::Value;
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
    /// Its hash.
    pub hash: Vec<u8>,
    /// Hash of its file, by which a text that is kept is known; empty where there is none.
    pub file_hash: Vec<u8>,
    /// The file that its text is to be extracted of.
    pub file: Option<SourceFile>,
    /// What is known of the file whose text was extracted.
    pub description: Option<Value>,
    /// Its documents row, if it has one.
    pub stored: Option<StoredDocument>,
}

impl ReadDocument {
    /// Whether the source row is there, and is not what the documents row was made from.
    pub fn is_changed(&self) -> bool {
        let is_stored = |stored: &StoredDocument| stored.source_hash == self.hash;
        matches!(self.source, SourceRow::Document(_))
            && !self.stored.as_ref().is_some_and(is_stored)
    }

    /// Takes the text of its file.
    pub fn extracted(&mut self, text: ExtractedText, description: Value) {
        if let SourceRow::Document(document) = &mut self.source {
            document.content = Some(text.text);
            document.parts = text.parts;
        }
        self.file = None;
        self.description = Some(description);
    }
}

/// A file of a source row.
pub struct SourceFile {
    pub bytes: StoredFile,
    pub name: Option<String>,
    pub media_type: Option<String>,
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
            usize::try_from(required::<i64>(&row, 1)).unwrap_or_default()
        })
    })
}

row! {
    struct ReadRow {
        is_there: bool,
        content: Option<String>,
        file: Option<StoredFile>,
        title: Option<String>,
        file_name: Option<String>,
        media_type: Option<String>,
        source_hash: Option<Vec<u8>>,
        chunk_ids: Option<Vec<i64>>,
        identity: Option<String>,
    }
}

/// Reads the documents of `keys`, in their order.
pub fn documents(target: &Target, keys: &[String]) -> Result<Vec<ReadDocument>> {
    let collection = &target.collection;
    let (text, file) = collection.text_and_file("s");
    let names = [
        ("title", collection.title_text("s")),
        ("text", text),
        ("file", file),
        ("file_name", collection.file_name_text("s")),
        ("media_type", collection.media_type_text("s")),
    ];
    let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    let sql = keyed(target, statement!("ingest/read_documents"), &names);
    let rows = as_source_owner(collection.owner, || {
        query(&sql, &key_args(target, keys), |row| ReadRow::read(&row))
    });
    let mut seen = HashSet::new();
    rows.into_iter().map(|row| document(collection, row, &mut seen)).collect()
}

fn document(
    collection: &Collection,
    row: ReadRow,
    seen: &mut HashSet<String>,
) -> Result<ReadDocument> {
    let ReadRow { is_there, content, file, title, file_name: name, media_type, .. } = row;
    let mut document = Document { title, content, parts: Vec::new() };
    let (hash, file_hash) = if collection.is_of_files() {
        let (name, media_type) = (name.as_deref(), media_type.as_deref());
        let file = file_hash(file.as_deref(), name, media_type, &mut checkpoint)?;
        (titled_hash(document.title.as_deref(), &file), file.to_vec())
    } else {
        (document_hash(&document), Vec::new())
    };
    // There is nothing to extract of an empty file.
    let file = file.filter(|file| {
        if file.is_empty() {
            document.content = Some(String::new());
        }
        !file.is_empty()
    });
    let source = if row.identity.is_some_and(|identity| !seen.insert(identity)) {
        SourceRow::Repeated
    } else if is_there {
        SourceRow::Document(document)
    } else {
        SourceRow::Gone
    };
    let stored = row.source_hash.zip(row.chunk_ids);
    Ok(ReadDocument {
        source,
        hash: hash.to_vec(),
        file_hash,
        file: file.map(|bytes| SourceFile { bytes, name, media_type }),
        description: None,
        stored: stored.map(|(source_hash, chunk_ids)| StoredDocument { source_hash, chunk_ids }),
    })
}

row! {
    struct KeptRow { ordinal: i64, text: String, parts: JsonB, file: Option<JsonB> }
}

/// Gives documents whose files changed the texts that were extracted of the same files before: for this generation, or for
/// another of the collection.
pub fn take_kept(target: &Target, keys: &[String], reads: &mut [ReadDocument]) -> Result<()> {
    let is_wanted = |read: &ReadDocument| read.file.is_some() && read.is_changed();
    if !reads.iter().any(is_wanted) {
        return Ok(());
    }
    let mut generations = target.collection.generations();
    generations.retain(|other| other.format == target.generation.format);
    generations.sort_by_key(|other| other.id != target.generation.id);
    for generation in generations {
        let is_usable =
            || generation.hold() && generation.require_tables(&target.collection).is_ok();
        if !reads.iter().any(is_wanted) || !is_usable() {
            continue;
        }
        let hash =
            |read: &ReadDocument| if is_wanted(read) { read.file_hash.clone() } else { Vec::new() };
        let hashes: Vec<Vec<u8>> = reads.iter().map(hash).collect();
        let mut args = key_args(target, keys);
        let parameter = format!("${}", args.len() + 1);
        args.push(hashes.into());
        let documents = table_sql(generation.documents)?;
        // Before those of the generation at hand, which have the same name.
        let template = statement!("ingest/read_kept").replace("{documents}", &documents);
        let sql = keyed(target, &template, &[("hashes", &parameter)]);
        let kept = as_source_owner(target.collection.owner, || {
            query(&sql, &args, |row| KeptRow::read(&row))
        });
        for KeptRow { ordinal, text, parts, file } in kept {
            let read =
                usize::try_from(ordinal - 1).ok().and_then(|position| reads.get_mut(position));
            let text = ExtractedText::stored(text, parts.0);
            if let (Some(read), Some(text)) = (read.filter(|read| is_wanted(read)), text) {
                read.extracted(text, file.map_or(Value::Null, |file| file.0));
            }
        }
    }
    Ok(())
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
    let changed = reads.iter().filter(|read| read.is_changed());
    let changed = changed.filter_map(|read| read.stored.as_ref());
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
        ("size", collection.content_size("s")),
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
