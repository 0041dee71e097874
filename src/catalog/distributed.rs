//! Distributed collections: a partitioned table whose partitions are foreign tables, or some of them. Each has a collection of its own on its
//! server, those that are tables of this server have one here.
//! The catalog here keeps what all have in common; which partitions there are it reads at each use, so that ATTACH and DETACH need no
//! following.
pub mod ask;
pub mod create;
pub mod forward;
pub mod generations;

use crate::catalog::collection::{Collection, ContentKind, Generation, STORAGE_FORMAT, State, key};
use crate::sys::foreign::Server;
use crate::sys::plan;
use crate::sys::rows::row;
use crate::sys::version::require_current;
use pgrx::pg_sys::Oid;
use rag::search::calibration::Calibration;
use rag::search::lexical::Engine;
use rag::search::shard::{self, Described, Space};
use rag::{Error, Result};

row! {
    /// A distributed collection.
    #[derive(Debug, Clone)]
    pub struct Distributed {
        pub id: i32,
        pub name: String,
        /// The partitioned table.
        pub source: Oid,
        /// Its qualified name, quoted.
        pub source_sql: String,
        pub schema_sql: String,
        pub owner: Oid,
        /// Column with the documents, unquoted.
        pub content: String,
        pub model: String,
        /// The vector space in which it is searched.
        pub fingerprint: String,
        pub dimensions: i32,
        pub has_bits: bool,
        pub max_tokens: i32,
        pub overlap_tokens: i32,
        pub format: String,
        pub text_search_config: String,
        pub analysis: i32,
        pub keys: Vec<String>,
        pub title: Option<String>,
        pub kind: String,
    }
}

row! {
    struct PartRow {
        leaf: Oid,
        leaf_sql: String,
        name: String,
        server: Option<Oid>,
        remote: String,
        content: String,
    }
}

/// A partition, and the table that it stands for.
#[derive(Debug, Clone)]
pub struct Part {
    /// The partition.
    pub leaf: Oid,
    /// Its qualified name, quoted.
    pub leaf_sql: String,
    /// Its own name, unquoted.
    pub name: String,
    /// `None`: it is a table of this server.
    pub server: Option<Server>,
    /// The table on the server, qualified and quoted.
    pub remote: String,
    /// Its column with the documents.
    pub content: String,
    /// Part of the ids of its chunks here.
    pub slot: u16,
}

impl Part {
    /// Name of its server.
    pub fn server_name(&self) -> &str {
        self.server.as_ref().map_or("this server", |server| &server.name)
    }

    /// Its server, in words.
    pub fn place(&self) -> String {
        let server = self.server.as_ref();
        server.map_or("this server".to_owned(), |server| format!("server \"{}\"", server.name))
    }
}

impl Distributed {
    /// The distributed collection of this name, if there is one.
    pub fn find(name: &str) -> Result<Option<Self>> {
        Self::load(Some(name), None)
    }

    /// That of this number.
    pub fn by_id(id: i32) -> Result<Option<Self>> {
        Self::load(None, Some(id))
    }

    fn load(name: Option<&str>, id: Option<i32>) -> Result<Option<Self>> {
        require_current()?;
        let sql = statement!("catalog/load_distributed");
        Ok(plan::read_latest(sql, &[name.into(), id.into()], Self::read).pop())
    }

    /// The same of an argument that may be NULL.
    pub fn of(name: Option<&str>) -> Result<Option<Self>> {
        name.map_or(Ok(None), Self::find)
    }

    /// Refuses what is done on each server by itself.
    pub fn refuse(name: &str, to_do: &str) -> Result<()> {
        if Self::find(name)?.is_none() {
            return Ok(());
        }
        Err(Error::unsupported(format!("collection \"{name}\" is distributed over servers"))
            .with_hint(format!("Connect to each of them to {to_do}.")))
    }

    /// Its partitions, as the caller may use their servers.
    pub fn parts(&self) -> Result<Vec<Part>> {
        let parts = parts_of(self.source, &self.content)?;
        if parts.is_empty() {
            return Err(Error::not_ready(format!(
                "distributed collection \"{}\" has no partitions",
                self.name
            ))
            .with_hint(format!("Attach partitions to {}.", self.source_sql)));
        }
        Ok(parts)
    }

    /// The build in which it is searched.
    pub fn space(&self) -> Space {
        let Described { fingerprint, max_tokens, overlap_tokens, format, .. } = self.described();
        Space { fingerprint, max_tokens, overlap_tokens, format }
    }

    /// What every part must have too.
    pub fn described(&self) -> Described {
        let size = |n: i32| usize::try_from(n).unwrap_or_default();
        Described {
            name: self.name.clone(),
            model: self.model.clone(),
            fingerprint: self.fingerprint.clone(),
            dimensions: size(self.dimensions),
            has_bits: self.has_bits,
            max_tokens: size(self.max_tokens),
            overlap_tokens: size(self.overlap_tokens),
            format: self.format.clone(),
            text_search_config: self.text_search_config.clone(),
            analysis: self.analysis,
            keys: self.keys.clone(),
            title: self.title.clone(),
            kind: self.kind.clone(),
        }
    }

    /// It as a collection, of which nothing but a result is shown: it has no tables here.
    pub fn as_collection(&self) -> Result<Collection> {
        let keys = key::columns(self.source, &self.keys).ok_or_else(|| {
            Error::not_ready(format!(
                "{} has not the columns {} any more",
                self.source_sql,
                self.keys.join(", ")
            ))
            .with_hint("Drop the distributed collection and create it again.")
        })?;
        Ok(Collection {
            id: self.id,
            name: self.name.clone(),
            source: self.source,
            source_sql: self.source_sql.clone(),
            schema_sql: self.schema_sql.clone(),
            view: None,
            view_sql: String::new(),
            owner: self.owner,
            content: self.content.clone(),
            kind: ContentKind::of(&self.kind),
            title: self.title.clone(),
            file_name: None,
            media_type: None,
            keeps_text: true,
            with_ocr: false,
            keys,
            text_search_config: self.text_search_config.clone(),
            is_replicated: false,
        })
    }

    /// Its vector space as a generation, in the same way.
    pub fn as_generation(&self, calibration: Calibration) -> Generation {
        let size = |n: i32| usize::try_from(n).unwrap_or_default();
        Generation {
            id: 0,
            collection: self.id,
            state: State::Active,
            is_paused: false,
            model: self.model.clone(),
            fingerprint: self.fingerprint.clone(),
            storage_format: STORAGE_FORMAT,
            dimensions: size(self.dimensions),
            max_tokens: size(self.max_tokens),
            overlap_tokens: size(self.overlap_tokens),
            format: self.format.clone(),
            index_method: "none".to_owned(),
            asked_index_method: "none".to_owned(),
            lexical: Engine::Builtin,
            lexical_checked_at: 0,
            is_loaded: true,
            wants_index: false,
            documents: Oid::INVALID,
            chunks: Oid::INVALID,
            bits: None,
            segments: Oid::INVALID,
            postings: Oid::INVALID,
            calibration,
        }
    }
}

/// The partitions of a table.
fn parts_of(source: Oid, content: &str) -> Result<Vec<Part>> {
    let sql = statement!("catalog/load_parts");
    let rows = plan::read_latest(sql, &[source.into(), content.into()], PartRow::read);
    let leaves: Vec<u32> = rows.iter().map(|row| row.leaf.to_u32()).collect();
    let slots = shard::slots(&leaves);
    let part = |(row, slot): (PartRow, u16)| {
        Ok(Part {
            leaf: row.leaf,
            leaf_sql: row.leaf_sql,
            name: row.name,
            server: row.server.map(Server::of_caller).transpose()?,
            remote: row.remote,
            content: row.content,
            slot,
        })
    };
    rows.into_iter().zip(slots).map(part).collect()
}
