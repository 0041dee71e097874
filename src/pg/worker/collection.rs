//! A generation to work on, with its tables' names.
use crate::pg::collection::{Collection, Generation, table_sql};
use crate::{Error, Result};

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
        Ok(Some(Self { collection, generation, documents, chunks, bits }))
    }

    /// The same for a generation that was there a moment ago; an error when it is not.
    pub fn reload(generation: i32) -> Result<Self> {
        let gone = || Error::not_ready("the collection was dropped");
        Self::load(generation)?.ok_or_else(gone)
    }

    /// Every name that statements are made of.
    pub fn names(&self) -> Vec<String> {
        let collection = &self.collection;
        let mut names = vec![collection.source_sql.clone(), collection.content.clone()];
        names.extend(collection.title.clone());
        names.extend(collection.keys.iter().map(|key| key.name.clone()));
        names.extend([self.documents.clone(), self.chunks.clone()]);
        names.extend(self.bits.clone());
        names
    }
}
