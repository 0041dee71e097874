//! A collection and its generations as the catalog describes them now.
pub mod build;
pub mod key;
pub mod tables;

use crate::catalog::vector_index;
use crate::sys::rows::row;
use crate::sys::spi::{read, required};
use crate::sys::version::require_current;
use crate::sys::{names, plan};
pub use build::Build;
pub use key::KeyColumn;
use pgrx::datum::{JsonB, TimestampWithTimeZone};
use pgrx::pg_sys::{Oid, TimestampTz};
use pgrx::spi::{quote_identifier, quote_literal};
use rag::search::calibration::Calibration;
use rag::search::lexical::Engine;
use rag::{Error, Result};

/// Suffix of a collection's name in the name of its view.
pub const VIEW_SUFFIX: &str = "_chunks";

/// A source kept searchable.
#[derive(Debug, Clone)]
pub struct Collection {
    pub id: i32,
    pub name: String,
    /// The source table.
    pub source: Oid,
    /// The source's qualified name, quoted.
    pub source_sql: String,
    /// The source's schema, quoted; everything the collection creates lies there.
    pub schema_sql: String,
    /// The view over the active generation; `None` before it is created, and where it was dropped.
    pub view: Option<Oid>,
    /// Its qualified, quoted name.
    pub view_sql: String,
    /// The source's owner now.
    pub owner: Oid,
    /// Column with the text, unquoted.
    pub content: String,
    /// What that column holds.
    pub kind: ContentKind,
    /// Column whose text heads every heading path, unquoted.
    pub title: Option<String>,
    /// Columns with names and MIME types of files, unquoted.
    pub file_name: Option<String>,
    pub media_type: Option<String>,
    /// Whether the text of files is kept.
    pub keeps_text: bool,
    /// Whether the text of files that show pictures of it is recognized.
    pub with_ocr: bool,
    /// Columns of the source's primary key.
    pub keys: Vec<KeyColumn>,
    /// Text search configuration, qualified and quoted.
    pub text_search_config: String,
    /// Whether triggers fire for changes that logical replication applies.
    pub is_replicated: bool,
}

row! {
    struct CollectionRow {
        id: i32,
        name: String,
        source: Oid,
        /// NULL, as owner and schema, where the source is gone.
        source_sql: Option<String>,
        schema_sql: Option<String>,
        owner: Option<Oid>,
        content: String,
        title: Option<String>,
        content_kind: String,
        file_name: Option<String>,
        media_type: Option<String>,
        keeps_text: bool,
        with_ocr: bool,
        text_search_config: String,
        is_replicated: bool,
        is_detached: bool,
        view: Option<Oid>,
        view_sql: Option<String>,
    }
}

row! {
    struct GenerationRow {
        id: i32,
        collection: i32,
        state: String,
        is_paused: bool,
        model: String,
        fingerprint: String,
        storage_format: i32,
        dimensions: i32,
        max_tokens: i32,
        overlap_tokens: i32,
        format: String,
        index_method: String,
        lexical: String,
        lexical_checked_at: TimestampWithTimeZone,
        is_loaded: bool,
        wants_index: bool,
        documents: Oid,
        chunks: Oid,
        token_bits: bool,
        bits: Option<Oid>,
        /// NULL in storage format 1, as the next.
        segments: Option<Oid>,
        postings: Option<Oid>,
        calibration: Option<JsonB>,
    }
}

/// What the content column of a source holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    /// Texts.
    Text,
    /// Files.
    File,
    /// Numbers of large objects, which are files.
    LargeObject,
}

impl ContentKind {
    const ALL: [Self; 3] = [Self::Text, Self::File, Self::LargeObject];

    /// As stored in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::File => "file",
            Self::LargeObject => "large object",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn of(name: &str) -> Self {
        Self::named(name).expect("the catalog keeps no other kind")
    }
}

/// Whether there is a large object of the number in `column`.
fn large_object_exists(column: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata l WHERE l.oid OPERATOR(pg_catalog.=) {column})"
    )
}

/// A column of the row `row` as text, NULL where there is none.
fn text_of(row: &str, column: Option<&str>) -> String {
    column.map_or("NULL::pg_catalog.text".to_owned(), |column| {
        format!("{row}.{}::pg_catalog.text", quote_identifier(column))
    })
}

/// The state of a generation in its collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Being filled beside the active one.
    Building,
    /// Searched.
    Active,
    /// Was active; kept up to date for `rag_rollback`.
    Standby,
    /// No longer kept up to date.
    Retired,
}

impl State {
    const ALL: [Self; 4] = [Self::Building, Self::Active, Self::Standby, Self::Retired];

    /// As stored in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Retired => "retired",
        }
    }

    /// Whether changes of the source are applied to the generation.
    pub fn is_live(self) -> bool {
        self != Self::Retired
    }

    /// Whether the generation is not searched yet.
    pub fn is_building(self) -> bool {
        self == Self::Building
    }

    fn of(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.expect("the catalog keeps no other state")
    }
}

/// Version of what `docs/formats.md` describes under "In tables". A change that the library cannot read both sides of
/// raises it; generations of another version are refused until `rag_rebuild` makes them anew.
pub const STORAGE_FORMAT: i32 = 2;

/// One immutable build of a collection.
#[derive(Debug, Clone)]
pub struct Generation {
    pub id: i32,
    pub collection: i32,
    pub state: State,
    /// Whether ingestion into the generation or the whole collection is paused.
    pub is_paused: bool,
    pub model: String,
    pub fingerprint: String,
    /// See [`STORAGE_FORMAT`].
    pub storage_format: i32,
    /// Length of its vectors.
    pub dimensions: usize,
    /// Most tokens of a chunk, special tokens excluded.
    pub max_tokens: usize,
    /// Most tokens two neighbouring chunks share.
    pub overlap_tokens: usize,
    /// Format of the documents: `auto`, `plain`, `markdown` or `html`.
    pub format: String,
    /// Method of the vector index: `hnsw`, `ivfflat` or `none`.
    pub index_method: String,
    /// The method that was asked for, which a generation of shorter vectors can have.
    pub asked_index_method: String,
    /// The BM25 engine.
    pub lexical: Engine,
    /// When the index of another extension was created or last found complete.
    pub lexical_checked_at: TimestampTz,
    /// Whether the first load is in and the vector index built.
    pub is_loaded: bool,
    /// Whether the vector index is to be built anew.
    pub wants_index: bool,
    pub documents: Oid,
    pub chunks: Oid,
    pub bits: Option<Oid>,
    /// Segments of the inverted file, and posting lists of the larger ones; invalid in storage format 1, which had none.
    pub segments: Oid,
    pub postings: Oid,
    /// What its signals are worth; empty before it is calibrated.
    pub calibration: Calibration,
}

impl Collection {
    pub fn by_name(name: &str) -> Result<Self> {
        Self::load(Some(name), None)?.ok_or_else(|| no_collection(name))
    }

    /// The collection of this name, or an error unless the caller owns it.
    pub fn owned(name: Option<&str>, to_do: &str) -> Result<Self> {
        let name = name.ok_or_else(|| {
            Error::invalid_argument("argument \"collection\" must not be null")
                .with_hint("SELECT name FROM rag.collection lists the collections.")
        })?;
        let collection = Self::by_name(name)?;
        collection.require_owner(to_do)?;
        Ok(collection)
    }

    /// `None` when it was dropped, and while it is detached.
    pub fn by_id(id: i32) -> Result<Option<Self>> {
        Self::load(None, Some(id))
    }

    fn load(name: Option<&str>, id: Option<i32>) -> Result<Option<Self>> {
        require_current()?;
        let sql = statement!("catalog/load_collection");
        let mut rows = plan::read_latest(sql, &[name.into(), id.into()], CollectionRow::read);
        match rows.pop() {
            Some(row) if row.is_detached => match name {
                Some(name) => Err(detached(name)),
                None => Ok(None),
            },
            row => row.map(Self::from_row).transpose(),
        }
    }

    fn from_row(row: CollectionRow) -> Result<Self> {
        let name = row.name;
        let (Some(source_sql), Some(schema_sql), Some(owner)) =
            (row.source_sql, row.schema_sql, row.owner)
        else {
            return Err(Error::not_ready(format!("the source of collection \"{name}\" is gone"))
                .with_hint(format!("Drop the collection with rag_drop_collection('{name}').")));
        };
        let view_sql = row.view_sql.unwrap_or_else(|| {
            format!("{schema_sql}.{}", quote_identifier(format!("{name}{VIEW_SUFFIX}")))
        });
        Ok(Self {
            id: row.id,
            source: row.source,
            source_sql,
            owner,
            content: row.content,
            kind: ContentKind::of(&row.content_kind),
            title: row.title,
            file_name: row.file_name,
            media_type: row.media_type,
            keeps_text: row.keeps_text,
            with_ocr: row.with_ocr,
            keys: key::primary_key(row.source),
            text_search_config: row.text_search_config,
            is_replicated: row.is_replicated,
            view: row.view,
            schema_sql,
            view_sql,
            name,
        })
    }

    pub fn active_generation(&self) -> Result<Generation> {
        self.generation_in(State::Active).ok_or_else(|| {
            Error::not_ready(format!("collection \"{}\" has no active generation", self.name))
                .with_hint("Drop the collection and create it again.")
        })
    }

    /// The generation in a state that only one can be in.
    pub fn generation_in(&self, state: State) -> Option<Generation> {
        self.generations().into_iter().find(|generation| generation.state == state)
    }

    /// All generations, oldest first.
    pub fn generations(&self) -> Vec<Generation> {
        Generation::load(Some(self.id), None)
    }

    /// An error unless the caller has the privileges of the source's owner.
    pub fn require_owner(&self, to_do: &str) -> Result<()> {
        require_owner(self.owner, &self.name, to_do)
    }

    /// What the row `row` holds: a text, or the bytes of a file.
    pub fn content_value(&self, row: &str) -> String {
        let column = format!("{row}.{}", quote_identifier(&self.content));
        match self.kind {
            ContentKind::Text => format!("{column}::pg_catalog.text"),
            ContentKind::File => format!("{column}::pg_catalog.bytea"),
            // A number without an object is as NULL: no other document is to wait for it.
            ContentKind::LargeObject => {
                format!(
                    "CASE WHEN {} THEN pg_catalog.lo_get({column}) END",
                    large_object_exists(&column)
                )
            }
        }
    }

    /// Its text, and the bytes of its file: one of them is NULL.
    pub fn text_and_file(&self, row: &str) -> (String, String) {
        match self.kind {
            ContentKind::Text => (self.content_value(row), "NULL::pg_catalog.bytea".to_owned()),
            _ => ("NULL::pg_catalog.text".to_owned(), self.content_value(row)),
        }
    }

    /// Bytes of what the row `row` holds, without reading it.
    pub fn content_size(&self, row: &str) -> String {
        let column = format!("{row}.{}", quote_identifier(&self.content));
        match self.kind {
            ContentKind::Text | ContentKind::File => {
                format!("pg_catalog.octet_length({})::bigint", self.content_value(row))
            }
            // Closed when the transaction ends. 262144 opens it for reading; 2 is its end.
            ContentKind::LargeObject => format!(
                "CASE WHEN {} THEN pg_catalog.lo_lseek64(pg_catalog.lo_open({column}, 262144), 0, 2) END",
                large_object_exists(&column)
            ),
        }
    }

    /// Hash by which the document of the row `row` is known again.
    pub fn source_hash(&self, row: &str) -> String {
        let (title, content) = (self.title_text(row), self.content_value(row));
        if self.kind == ContentKind::Text {
            return format!("rag.source_hash({title}, {content})");
        }
        let (name, media_type) = (self.file_name_text(row), self.media_type_text(row));
        format!("rag.file_hash({title}, {content}, {name}, {media_type})")
    }

    /// The title of the row `row` as text, NULL where the collection has no title column.
    pub fn title_text(&self, row: &str) -> String {
        text_of(row, self.title.as_deref())
    }

    /// The name of the row's file, and its MIME type, the same way.
    pub fn file_name_text(&self, row: &str) -> String {
        text_of(row, self.file_name.as_deref())
    }

    pub fn media_type_text(&self, row: &str) -> String {
        text_of(row, self.media_type.as_deref())
    }

    /// The columns whose texts belong to a document besides its content.
    pub fn texts_beside(&self) -> [Option<&String>; 3] {
        [&self.title, &self.file_name, &self.media_type].map(Option::as_ref)
    }

    /// Whether documents are files.
    pub fn is_of_files(&self) -> bool {
        self.kind != ContentKind::Text
    }

    /// SQL of what the documents row `d` of a file says of its chunk number `ordinal` besides the page.
    pub fn place_of(&self, ordinal: &str) -> String {
        if self.is_of_files() {
            format!(
                "(d.places OPERATOR(pg_catalog.->) ({ordinal} OPERATOR(pg_catalog.-) 1)::pg_catalog.int4)"
            )
        } else {
            "NULL::pg_catalog.jsonb".to_owned()
        }
    }

    /// SQL that is true when the row `source` and the row `other` (of a table whose key columns are
    /// named by [`KeyColumn::stored_name`]) have the same key.
    pub fn keys_equal(&self, source: &str, other: &str) -> String {
        let equal = |key: &KeyColumn| {
            key.equal(
                &format!("{source}.{}", key.name_sql()),
                &format!("{other}.{}", key.stored_name()),
            )
        };
        self.keys.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    /// SQL that is true when two rows of tables of the collection have the same key.
    pub fn stored_keys_equal(&self, left: &str, right: &str) -> String {
        let equal = |key: &KeyColumn| {
            let name = key.stored_name();
            key.equal(&format!("{left}.{name}"), &format!("{right}.{name}"))
        };
        self.keys.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    /// The columns of the source that chunks are made from: keys, text and, where there is one, title.
    pub fn source_columns(&self) -> Vec<&str> {
        let keys = self.keys.iter().map(|key| key.name.as_str());
        let others = self.texts_beside().into_iter().flatten().map(String::as_str);
        keys.chain([self.content.as_str()]).chain(others).collect()
    }

    /// SQL that is true while the source row of `other` exists and the caller may read its text.
    /// `OFFSET 0` keeps the planner from hashing the whole source, and naming what chunks are made from
    /// keeps out roles with rights on the key alone.
    pub fn source_visible(&self, other: &str) -> String {
        self.source_visible_where(other, None)
    }

    /// As [`Collection::source_visible`], and `condition`, which may name the source row as `s`, holds.
    pub fn source_visible_where(&self, other: &str, condition: Option<&str>) -> String {
        let columns = self.source_columns();
        let columns = columns.iter().map(|name| format!("s.{}", quote_identifier(name)));
        format!(
            "EXISTS (SELECT {} FROM {} s WHERE {}{}{} OFFSET 0)",
            columns.collect::<Vec<_>>().join(", "),
            self.source_sql,
            self.keys_equal("s", other),
            if condition.is_some() { " AND " } else { "" },
            condition.unwrap_or_default(),
        )
    }

    /// A document's key as SQL shows it.
    pub fn document_key(&self, key: &[String]) -> serde_json::Value {
        key::shown(&self.keys, key)
    }

    /// The stored key columns, separated by commas, each behind `prefix` (`"c."` or nothing).
    pub fn stored_keys(&self, prefix: &str) -> String {
        let names = self.keys.iter().map(|key| format!("{prefix}{}", key.stored_name()));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// Qualified, quoted name of a generation's table.
pub fn table_sql(table: Oid) -> Result<String> {
    names::relation(table).ok_or_else(table_gone)
}

/// Somebody dropped a table of the collection.
pub fn table_gone() -> Error {
    Error::not_ready("a table of the collection is gone")
        .with_hint("SELECT rag_rebuild(...) makes new tables from the source, and rag_switch(...) has searches use them.")
}

impl Generation {
    /// Qualified, quoted names of the tables that a role which may search reads: documents, chunks and, where kept, token bits.
    pub fn tables_sql(&self) -> Result<Vec<String>> {
        let tables = [Some(self.documents), Some(self.chunks), self.bits];
        tables.into_iter().flatten().map(table_sql).collect()
    }

    /// Its tables.
    pub fn tables(&self) -> impl Iterator<Item = Oid> + use<> {
        let bits = self.bits.unwrap_or(Oid::INVALID);
        let tables = [self.documents, self.chunks, bits, self.segments, self.postings];
        tables.into_iter().filter(|table| *table != Oid::INVALID)
    }

    /// Schema of its tables, quoted; that of `collection` where they are gone.
    pub fn schema_sql(&self, collection: &Collection) -> String {
        names::schema_of(self.documents).unwrap_or_else(|| collection.schema_sql.clone())
    }

    /// The generation of this number, or `None` when it was pruned.
    pub fn by_id(id: i32) -> Option<Self> {
        Self::load(None, Some(id)).into_iter().next()
    }

    fn load(collection: Option<i32>, id: Option<i32>) -> Vec<Self> {
        let sql = statement!("catalog/load_generation");
        let rows = plan::read_latest(sql, &[collection.into(), id.into()], GenerationRow::read);
        rows.into_iter().map(Self::from_row).collect()
    }

    fn from_row(row: GenerationRow) -> Self {
        let size = |n: i32| usize::try_from(n).unwrap_or_default();
        let dimensions = size(row.dimensions);
        Self {
            id: row.id,
            collection: row.collection,
            state: State::of(&row.state),
            is_paused: row.is_paused,
            model: row.model,
            fingerprint: row.fingerprint,
            storage_format: row.storage_format,
            dimensions,
            max_tokens: size(row.max_tokens),
            overlap_tokens: size(row.overlap_tokens),
            format: row.format,
            index_method: vector_index::method_for(&row.index_method, dimensions).to_owned(),
            asked_index_method: row.index_method,
            lexical: Engine::named(&row.lexical).unwrap_or(Engine::Builtin),
            lexical_checked_at: row.lexical_checked_at.into(),
            is_loaded: row.is_loaded,
            wants_index: row.wants_index,
            documents: row.documents,
            chunks: row.chunks,
            bits: row.bits.filter(|_| row.token_bits),
            segments: row.segments.unwrap_or(Oid::INVALID),
            postings: row.postings.unwrap_or(Oid::INVALID),
            // One that another version wrote is made anew when the collection has doubled.
            calibration: row
                .calibration
                .and_then(|JsonB(stored)| serde_json::from_value(stored).ok())
                .unwrap_or_default(),
        }
    }
}

pub fn no_collection(name: &str) -> Error {
    Error::undefined(format!("collection \"{name}\" does not exist"))
        .with_hint("SELECT name FROM rag.collection lists the collections.")
}

/// Nothing but `rag_attach_collection` and `rag_drop_collection` takes a detached collection.
fn detached(name: &str) -> Error {
    Error::not_ready(format!("collection \"{name}\" is detached from its source"))
        .with_hint(format!("SELECT rag_attach_collection({});", quote_literal(name)))
}

pub fn require_owner(owner: Oid, name: &str, to_do: &str) -> Result<()> {
    let sql = "SELECT pg_catalog.pg_has_role($1::oid, 'USAGE')";
    if read(sql, &[owner.into()], |row| required::<bool>(&row, 1))[0] {
        return Ok(());
    }
    Err(Error::forbidden(format!("must be owner of collection \"{name}\" to {to_do}"))
        .with_hint("A collection belongs to its source's owner."))
}
