//! A new generation beside the active one.
use crate::catalog::collection::{Build, Collection, Generation, State, build};
use crate::catalog::distributed::forward::Argument;
use crate::catalog::generation::lock;
use crate::catalog::lexical;
use crate::catalog::model;
use crate::catalog::objects::create_generation;
use crate::models::embedder::Embedder;
use crate::sys::lock_retry::with_short_locks;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::spi::{execute, fill, read, required};
use rag::generation::{inherited_max_tokens, inherited_overlap};
use rag::model::Purpose;
use rag::{Error, Result};

/// Arguments of `rag_rebuild` or `rag_estimate`; `None` keeps what the active generation has.
#[derive(Debug, Default)]
pub struct RebuildOptions<'a> {
    /// Name of the embedder.
    pub model: Option<&'a str>,
    /// Most tokens of a chunk.
    pub max_tokens: Option<i32>,
    /// Most tokens neighbouring chunks share.
    pub overlap_tokens: Option<i32>,
    /// Format of the documents.
    pub format: Option<&'a str>,
    /// Whether token bits are kept for reranking.
    pub token_bits: Option<bool>,
    /// Method of the vector index.
    pub index: Option<&'a str>,
    /// What finds chunks by their words.
    pub lexical: Option<&'a str>,
}

impl RebuildOptions<'_> {
    /// Those that are given, by their names in SQL.
    pub fn arguments(&self) -> Vec<Argument> {
        let number = |value: Option<i32>| value.map(|value| value.to_string());
        let text = |value: Option<&str>| value.map(str::to_owned);
        let all = [
            ("model", text(self.model)),
            ("max_tokens", number(self.max_tokens)),
            ("overlap_tokens", number(self.overlap_tokens)),
            ("format", text(self.format)),
            ("token_bits", self.token_bits.map(|value| value.to_string())),
            ("index", text(self.index)),
            ("lexical", text(self.lexical)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// How a generation that follows the active one is built, and with what. The model's build is the one
    /// installed now.
    pub fn build(&self, collection: &Collection) -> Result<(Build, Embedder)> {
        let active = &collection.active_generation()?;
        let name = self.model.unwrap_or(&active.model);
        let embedder = Embedder::named(Some(name), collection.owner)?;
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let window = embedder.room(Purpose::Document)?;
        let max_tokens = self.max_tokens.unwrap_or_else(|| {
            let old = model::room(collection, active);
            number(inherited_max_tokens(active.max_tokens, old, window))
        });
        let overlap_tokens = self.overlap_tokens.unwrap_or_else(|| {
            let new = usize::try_from(max_tokens).unwrap_or_default();
            number(inherited_overlap(active.overlap_tokens, active.max_tokens, new))
        });
        let schema = active.schema_sql(collection);
        // A remote model has no token bits whatever was asked for.
        let had_bits = active.bits.is_some() || model::is_remote(active);
        let build = Build {
            format: build::format(self.format.unwrap_or(&active.format), collection.is_of_files())?,
            index_method: build::index_method(self.index.unwrap_or(&active.asked_index_method))?,
            lexical: lexical::engine(
                self.lexical.unwrap_or(active.lexical.name()),
                collection.owner,
                &schema,
            )?,
            token_bits: build::token_bits(self.token_bits, had_bits, &embedder)?,
            ..Build::sized(&embedder, Some(max_tokens), Some(overlap_tokens), schema)?
        };
        Ok((build, embedder))
    }
}

/// Makes a generation that workers fill. `switches`: searches switch to it once it is complete.
/// Returns its number.
pub fn rebuild(collection: &Collection, build: &Build, switches: bool) -> Result<i32> {
    let what = format!("rebuild collection \"{}\"", collection.name);
    with_short_locks(&what, || {
        let collection = lock(collection)?;
        if let Some(building) = collection.generation_in(State::Building) {
            return Err(is_building(&collection, &building));
        }
        let active = collection.active_generation()?;
        let generation = create_generation(&collection, build, State::Building, switches)?;
        copy_grants(&collection, &active, &generation)?;
        // A comparison finds all rows of the source; later changes reach it as they reach the other generations.
        let scan = "INSERT INTO rag.scan (generation_id) VALUES ($1)";
        as_extension_owner(|| execute(scan, &[generation.id.into()]));
        Ok(generation.id)
    })
}

fn is_building(collection: &Collection, building: &Generation) -> Error {
    let (name, id) = (&collection.name, building.id);
    Error::not_ready(format!("collection \"{name}\" is being rebuilt already"))
        .with_detail(format!("Generation {id} is not switched to yet."))
        .with_hint(format!(
            "Switch to it with rag_switch('{name}') when it is complete, or drop it with rag_prune('{name}', {id})."
        ))
}

/// Grants the new generation to the roles that may search the active one.
fn copy_grants(collection: &Collection, from: &Generation, to: &Generation) -> Result<()> {
    let sql = statement!("maintain/copy_grants");
    let roles = read(sql, &[from.chunks.into()], |row| required::<String>(&row, 1));
    if roles.is_empty() {
        return Ok(());
    }
    let tables = to.tables_sql()?.join(", ");
    let names = [("tables", tables.as_str()), ("role", &roles.join(", "))];
    let sql = fill(statement!("maintain/grant"), &names);
    as_source_owner(collection.owner, || execute(&sql, &[]));
    Ok(())
}
