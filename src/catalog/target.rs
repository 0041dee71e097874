//! A generation with its collection and the names of its tables.
use crate::catalog::collection::{Collection, Generation, table_sql};
use crate::sys::failed::Failed;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{column, execute, query, required};
use crate::sys::transaction::Host;
use rag::{Error, Result};

/// A generation, its collection, and the SQL that names its tables now.
pub struct Target {
    /// The collection.
    pub collection: Collection,
    /// The generation.
    pub generation: Generation,
    /// Table of documents, qualified and quoted.
    pub documents: String,
    /// Table of chunks, qualified and quoted.
    pub chunks: String,
    /// Table of token bits, qualified and quoted, where the generation keeps them.
    pub bits: Option<String>,
    /// Table of segments of the inverted file, qualified and quoted.
    pub segments: String,
    /// Table of its posting lists, qualified and quoted.
    pub postings: String,
}

impl Target {
    /// The generation as the catalog describes it now, or `None` when it was dropped meanwhile.
    pub fn load(generation: i32) -> Result<Option<Self>> {
        let Some(generation) = Generation::by_id(generation) else { return Ok(None) };
        let Some(collection) = Collection::by_id(generation.collection)? else { return Ok(None) };
        if collection.keys.is_empty() {
            return Err(Error::not_ready(format!(
                "the source of collection \"{}\" has no primary key any more",
                collection.name
            )));
        }
        let documents = table_sql(generation.documents)?;
        let chunks = table_sql(generation.chunks)?;
        let bits = generation.bits.map(table_sql).transpose()?;
        generation.require_tables(&collection)?;
        let segments = table_sql(generation.segments)?;
        let postings = table_sql(generation.postings)?;
        Ok(Some(Self { collection, generation, documents, chunks, bits, segments, postings }))
    }

    /// The same for a generation that was there a moment ago; an error when it is not.
    pub fn reload(generation: i32) -> Result<Self> {
        let gone = || Error::not_ready("the collection was dropped");
        Self::load(generation)?.ok_or_else(gone)
    }
}

/// Everything in the catalog that a generation's statements depend on: names, OIDs, types and owners.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// As it is now, after renamed columns were taken over; empty for a generation that is gone.
    pub fn read(generation: i32) -> Self {
        let sql = statement!("catalog/describe_generation");
        let check = statement!("catalog/follow_check");
        let columns = statement!("catalog/follow_columns");
        as_extension_owner(|| {
            let find = "SELECT g.collection_id FROM rag.generation g JOIN rag.collection c \
                        ON c.collection_id = g.collection_id AND c.home = rag.home(c.source) \
                        WHERE g.generation_id = $1";
            for collection in query(find, &[generation.into()], |row| required::<i32>(&row, 1)) {
                let broken = query(check, &[collection.into()], |row| column::<String>(&row, 1));
                if broken.into_iter().flatten().next().is_none() {
                    execute(columns, &[collection.into()]);
                }
            }
            query(sql, &[generation.into()], |row| Self(required(&row, 1)))
                .pop()
                .unwrap_or_default()
        })
    }
}

/// Says in the server's log what a step for a generation failed with.
pub fn warn_about(
    host: &Host,
    generation: i32,
    failed: &Failed,
) -> std::result::Result<(), Failed> {
    let sql = "SELECT c.name FROM rag.collection c JOIN rag.generation g USING (collection_id) \
               WHERE g.generation_id = $1";
    warn_about_named(host, sql, generation, failed)
}

/// The same of a step for all generations of a collection.
pub fn warn_about_collection(
    host: &Host,
    collection: i32,
    failed: &Failed,
) -> std::result::Result<(), Failed> {
    let sql = "SELECT c.name FROM rag.collection c WHERE c.collection_id = $1";
    warn_about_named(host, sql, collection, failed)
}

fn warn_about_named(
    host: &Host,
    sql: &str,
    id: i32,
    failed: &Failed,
) -> std::result::Result<(), Failed> {
    let name = || as_extension_owner(|| query(sql, &[id.into()], |row| required(&row, 1))).pop();
    let name: Option<String> = host.transaction(|| Ok(name()))?;
    failed.warn_about(&name.unwrap_or_default());
    Ok(())
}
