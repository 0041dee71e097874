//! A collection and its generations as the catalog describes them now.
pub mod build;
pub mod definition;
pub mod hold;
pub mod key;

use crate::catalog::vector_index;
use crate::sys::spi::{column, read, required};
use crate::sys::{names, plan};
pub use build::Build;
pub use key::KeyColumn;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::{Oid, TimestampTz};
use pgrx::spi::{SpiHeapTupleData, quote_identifier};
use rag::search::lexical::Engine;
use rag::{Error, Result};

/// What is appended to a collection's name to make its view's.
pub const VIEW_SUFFIX: &str = "_chunks";

/// A source kept searchable.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Its number in `rag.collection`.
    pub id: i32,
    /// Its name.
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
    /// Column whose text heads every heading path, unquoted.
    pub title: Option<String>,
    /// Columns of the source's primary key.
    pub keys: Vec<KeyColumn>,
    /// Text search configuration, qualified and quoted.
    pub text_search_config: String,
    /// Whether changes that logical replication applies are noticed too.
    pub is_replicated: bool,
}

/// A generation's part in its collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Being filled beside the active one.
    Building,
    /// What searches run on.
    Active,
    /// Was active; still follows the source, so that one can go back to it.
    Standby,
    /// Follows the source no more.
    Retired,
}

impl State {
    const ALL: [Self; 4] = [Self::Building, Self::Active, Self::Standby, Self::Retired];

    /// The word the catalog keeps.
    pub fn name(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Retired => "retired",
        }
    }

    /// Whether the generation follows the source.
    pub fn is_live(self) -> bool {
        self != Self::Retired
    }

    /// Whether nobody searches the generation yet.
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
pub const STORAGE_FORMAT: i32 = 1;

/// One immutable build of a collection.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Its number in `rag.generation`.
    pub id: i32,
    /// The collection's number.
    pub collection: i32,
    /// Its part in the collection.
    pub state: State,
    /// Whether ingestion into it stands still, or into the whole collection.
    pub is_paused: bool,
    /// Name of the embedder.
    pub model: String,
    /// Fingerprint of the embedder.
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
    /// What finds chunks by their words.
    pub lexical: Engine,
    /// When the index of another extension was created or last found complete.
    pub lexical_checked_at: TimestampTz,
    /// Whether the first load is in and the vector index built.
    pub is_loaded: bool,
    /// Whether the vector index is to be built anew.
    pub wants_index: bool,
    /// Table of documents.
    pub documents: Oid,
    /// Table of chunks.
    pub chunks: Oid,
    /// Table of token bits, if kept.
    pub bits: Option<Oid>,
}

impl Collection {
    /// The collection of this name, or an error that says what to do.
    pub fn by_name(name: &str) -> Result<Self> {
        Self::load(Some(name), None)?.ok_or_else(|| no_collection(name))
    }

    /// The collection of this name, for a caller who owns it.
    pub fn owned(name: Option<&str>, to_do: &str) -> Result<Self> {
        let name = name.ok_or_else(|| {
            Error::invalid_argument("argument \"collection\" must not be null")
                .with_hint("SELECT name FROM rag.collection lists the collections.")
        })?;
        let collection = Self::by_name(name)?;
        collection.require_owner(to_do)?;
        Ok(collection)
    }

    /// The collection of this number, or `None` when it was dropped.
    pub fn by_id(id: i32) -> Result<Option<Self>> {
        Self::load(None, Some(id))
    }

    fn load(name: Option<&str>, id: Option<i32>) -> Result<Option<Self>> {
        let sql = statement!("catalog/load_collection");
        let found = plan::read_latest(sql, &[name.into(), id.into()], Self::from_row);
        let Some(collection) = found.into_iter().next() else { return Ok(None) };
        let mut collection = collection?;
        collection.keys = key::primary_key(collection.source);
        Ok(Some(collection))
    }

    fn from_row(row: &SpiHeapTupleData<'_>) -> Result<Self> {
        let name: String = required(row, 2);
        let Some(source_sql) = column(row, 4) else {
            return Err(Error::not_ready(format!("the source of collection \"{name}\" is gone"))
                .with_hint(format!("Drop the collection with rag_drop_collection('{name}').")));
        };
        let schema_sql: String = required(row, 9);
        let view_sql = column(row, 10).unwrap_or_else(|| {
            format!("{schema_sql}.{}", quote_identifier(format!("{name}{VIEW_SUFFIX}")))
        });
        Ok(Self {
            id: required(row, 1),
            source: required(row, 3),
            source_sql,
            owner: required(row, 5),
            content: required(row, 6),
            title: column(row, 7),
            keys: Vec::new(),
            text_search_config: required(row, 8),
            is_replicated: required(row, 11),
            view: column(row, 12),
            schema_sql,
            view_sql,
            name,
        })
    }

    /// The generation that searches run on.
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

    /// Refuses a caller who is not the source's owner (a superuser is everyone).
    pub fn require_owner(&self, to_do: &str) -> Result<()> {
        require_owner(self.owner, &self.name, to_do)
    }

    /// The content column, quoted.
    pub fn content_sql(&self) -> String {
        quote_identifier(&self.content)
    }

    /// The title of the row `row` as text, NULL where the collection has no title column.
    pub fn title_text(&self, row: &str) -> String {
        self.title.as_deref().map_or("NULL::pg_catalog.text".to_owned(), |title| {
            format!("{row}.{}::pg_catalog.text", quote_identifier(title))
        })
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
        keys.chain([self.content.as_str()]).chain(self.title.as_deref()).collect()
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
    names::relation(table).ok_or_else(|| {
        Error::not_ready("a table of the collection is gone")
            .with_hint("Drop the collection with rag_drop_collection() and create it again.")
    })
}

impl Generation {
    /// Qualified, quoted names of documents, chunks and, where kept, token bits.
    pub fn tables_sql(&self) -> Result<Vec<String>> {
        let tables = [Some(self.documents), Some(self.chunks), self.bits];
        tables.into_iter().flatten().map(table_sql).collect()
    }

    /// The generation of this number, or `None` when it was pruned.
    pub fn by_id(id: i32) -> Option<Self> {
        Self::load(None, Some(id)).into_iter().next()
    }

    fn load(collection: Option<i32>, id: Option<i32>) -> Vec<Self> {
        let sql = statement!("catalog/load_generation");
        plan::read_latest(sql, &[collection.into(), id.into()], Self::from_row)
    }

    fn from_row(row: &SpiHeapTupleData<'_>) -> Self {
        let size = |position| usize::try_from(required::<i32>(row, position)).unwrap_or_default();
        let bits = if required(row, 10) { column(row, 15) } else { None };
        let (dimensions, asked_index_method) = (size(6), required::<String>(row, 11));
        Self {
            id: required(row, 1),
            collection: required(row, 2),
            state: State::of(&required::<String>(row, 3)),
            is_paused: required(row, 16),
            model: required(row, 4),
            fingerprint: required(row, 5),
            dimensions,
            max_tokens: size(7),
            overlap_tokens: size(8),
            format: required(row, 9),
            index_method: vector_index::method_for(&asked_index_method, dimensions).to_owned(),
            asked_index_method,
            lexical: Engine::named(&required::<String>(row, 18)).unwrap_or(Engine::Builtin),
            lexical_checked_at: required::<TimestampWithTimeZone>(row, 19).into(),
            storage_format: required(row, 20),
            is_loaded: required(row, 12),
            wants_index: required(row, 17),
            documents: required(row, 13),
            chunks: required(row, 14),
            bits,
        }
    }
}

pub fn no_collection(name: &str) -> Error {
    Error::undefined(format!("collection \"{name}\" does not exist"))
        .with_hint("SELECT name FROM rag.collection lists the collections.")
}

pub fn require_owner(owner: Oid, name: &str, to_do: &str) -> Result<()> {
    let sql = "SELECT pg_catalog.pg_has_role($1::oid, 'USAGE')";
    if read(sql, &[owner.into()], |row| required::<bool>(&row, 1))[0] {
        return Ok(());
    }
    Err(Error::forbidden(format!("must be owner of collection \"{name}\" to {to_do}"))
        .with_hint("A collection belongs to its source's owner."))
}
