//! Takes tables of chunks into use again: those of a collection that was detached, and those that a dump of their schema or a
//! new `CREATE EXTENSION` left without one.
#![allow(unsafe_code)] // PostgreSQL's rules of conversion

use crate::catalog::collection::build::{self, Build};
use crate::catalog::collection::tables::lock_exclusively;
use crate::catalog::collection::{
    Collection, ContentKind, Generation, KeyColumn, STORAGE_FORMAT, key, no_collection,
};
use crate::catalog::generation::compare_everything;
use crate::catalog::lexical;
use crate::catalog::manifest::{Found, find};
use crate::catalog::objects::triggers::drop_leftover_triggers;
use crate::catalog::objects::{Source, require_free_name};
use crate::catalog::vector_index;
use crate::ingest::index_ddl::vector_indexes;
use crate::maintain::verify;
use crate::models::embedder::Embedder;
use crate::sys::names::{extension_schema, relation_sql, schema_of};
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::rows::row;
use crate::sys::spi::{column, execute, fill, query, read, required};
use crate::sys::{dependency, privileges};
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::quote_literal;
use rag::generation::manifest::Manifest;
use rag::{Error, Result};

/// Ids of chunks are numbers that JSON holds exactly. Beyond half of them nothing is adopted, so that nobody can use them up for
/// others.
const MAX_CHUNK_ID: i64 = 1 << 52;

/// Arguments of `rag_attach_collection`.
pub struct Attachment<'a> {
    pub name: &'a str,
    /// The table to follow; `None`: the one it followed.
    pub source: Option<Oid>,
    /// Columns of it that were renamed.
    pub content: Option<&'a str>,
    pub title: Option<&'a str>,
    /// Which table of documents, where several say that they are the collection's.
    pub documents: Option<Oid>,
}

row! {
    /// A collection that the catalog knows.
    struct Known {
        id: i32,
        is_detached: bool,
        content_kind: String,
        source: Option<Oid>,
        documents: Option<Oid>,
        owner: Option<Oid>,
    }
}

impl Known {
    fn load(name: &str) -> Option<Self> {
        let sql = statement!("catalog/load_detached");
        as_extension_owner(|| query(sql, &[name.into()], |row| Self::read(&row))).pop()
    }

    /// Locks the collection's row against other sessions that attach it: before the source, as `rag_drop_collection` does it.
    fn lock(name: &str) -> Option<Self> {
        let id = Self::load(name)?.id;
        as_extension_owner(|| execute(statement!("catalog/lock_collection"), &[id.into()]));
        Self::load(name)
    }
}

/// Attaches a collection.
pub fn attach(wanted: &Attachment<'_>) -> Result<()> {
    let known = match Known::lock(wanted.name) {
        Some(known) => known,
        None => adopt(wanted)?,
    };
    let (name, quoted) = (wanted.name, quote_literal(wanted.name));
    if !known.is_detached {
        return Err(taken(name));
    }
    let owner = known.owner.filter(|_| known.documents.is_some()).ok_or_else(|| {
        Error::not_ready(format!("the tables of collection \"{name}\" are gone"))
            .with_hint(format!("Drop it with rag_drop_collection({quoted}), and create it anew."))
    })?;
    require_role(owner, &format!("collection \"{name}\""))?;
    let table = wanted.source.or(known.source).ok_or_else(|| {
        Error::not_ready(format!("the source of collection \"{name}\" is gone")).with_hint(format!(
            "Name the table that it is to follow: rag_attach_collection({quoted}, source => '...')."
        ))
    })?;
    let source = Source::describe(table)?;
    source.lock();
    follow(&known, &source, wanted)?;
    let collection = Collection::by_name(name)?;
    let generation = collection.active_generation()?;
    generation.tables().for_each(lock_exclusively);
    attach_indexes(&generation);
    convert_keys(&collection, &generation, owner)?;
    // A dump brought them back under the rules of another database.
    drop_leftover_triggers(&collection);
    verify::restore_objects(&collection)?;
    compare_everything(collection.id);
    Ok(())
}

fn taken(name: &str) -> Error {
    let quoted = quote_literal(name);
    Error::duplicate(format!("collection \"{name}\" is attached already"))
        .with_hint(format!("SELECT * FROM rag_verify({quoted}) compares it with its source."))
}

fn require_role(owner: Oid, what: &str) -> Result<()> {
    // SAFETY: reads catalogs inside a transaction.
    if unsafe { pg_sys::has_privs_of_role(privileges::current_user(), owner) } {
        return Ok(());
    }
    Err(Error::forbidden(format!("must be owner of the tables of {what} to attach it"))
        .with_hint("Ask the owner of the tables, or a superuser."))
}

/// Stores which table and columns the collection follows from now on.
fn follow(known: &Known, source: &Source, wanted: &Attachment<'_>) -> Result<()> {
    let sql = statement!("catalog/attach_columns");
    let args = [known.id.into(), source.table.into(), wanted.content.into(), wanted.title.into()];
    let columns: Vec<Option<String>> =
        as_extension_owner(|| query(sql, &args, |row| column(&row, 1)));
    let content = columns[0].as_deref().unwrap_or_default();
    let kind =
        source.content_kind(content, known.content_kind == ContentKind::LargeObject.name())?;
    if kind.name() != known.content_kind {
        let (name, kind, had) = (wanted.name, kind.name(), &known.content_kind);
        return Err(Error::wrong_type(format!(
            "collection \"{name}\" is over values that are each a {had}, and column \"{content}\" has those that are a {kind}"
        ))
        .with_hint("Name another column with content => '...', or create the collection anew."));
    }
    for column in columns[1..].iter().flatten() {
        source.require_text(column).map_err(|error| {
            error.with_hint(
                "Rename the column as it was called, or name a title with title => '...'.",
            )
        })?;
    }
    let keys = key::primary_key(source.table);
    let key_names: Vec<String> = keys.into_iter().map(|key| key.name).collect();
    if key_names.is_empty() {
        return Err(Error::invalid_table(format!("table {} has no primary key", source.sql))
            .with_hint("Add a primary key: it is how chunks find their document."));
    }
    let name = |position: usize| columns[position].as_deref();
    let args = [
        known.id.into(),
        source.table.into(),
        content.into(),
        name(1).into(),
        name(2).into(),
        name(3).into(),
        key_names.into(),
    ];
    as_extension_owner(|| {
        execute(statement!("catalog/attach_collection"), &args);
        execute(statement!("maintain/verify_identity"), &[known.id.into()]);
    });
    Ok(())
}

/// Makes vector indexes ours again, which a detached collection's are not.
fn attach_indexes(generation: &Generation) {
    for index in attachable_indexes(generation.chunks, &generation.index_method) {
        dependency::add_to_extension(index);
    }
}

fn attachable_indexes(chunks: Oid, method: &str) -> Vec<Oid> {
    let sql = statement!("catalog/attachable_indexes");
    read(sql, &[chunks.into(), method.into()], |row| required(&row, 1))
}

row! {
    struct KeyTypes {
        had: Option<Oid>,
        had_modifier: Option<i32>,
        wanted: Option<Oid>,
        wanted_modifier: Option<i32>,
        differs: bool,
    }
}

impl KeyTypes {
    /// Whether PostgreSQL converts one to the other without a look at any value.
    fn is_relabelled(&self) -> bool {
        let (Some(had), Some(wanted)) = (self.had, self.wanted) else { return false };
        // SAFETY: a look-up of two types.
        let is_binary = unsafe { pg_sys::IsBinaryCoercible(had, wanted) };
        let (from, to) = (self.had_modifier, self.wanted_modifier);
        let widens = had == wanted && had == pg_sys::VARCHAROID && from >= Some(0) && from <= to;
        is_binary && (to == Some(-1) || to == from && had == wanted || widens)
    }

    fn is_convertible(&self) -> bool {
        let (Some(had), Some(wanted)) = (self.had, self.wanted) else { return false };
        let context = pg_sys::CoercionContext::COERCION_EXPLICIT;
        // SAFETY: a look-up of two types.
        unsafe { pg_sys::can_coerce_type(1, &raw const had, &raw const wanted, context) }
    }
}

/// Gives the stored keys the types that the source's key has now.
fn convert_keys(collection: &Collection, generation: &Generation, owner: Oid) -> Result<()> {
    let sql = statement!("catalog/stored_key_types");
    for table in [generation.documents, generation.chunks] {
        let args = [table.into(), collection.source.into()];
        let types = read(sql, &args, |row| KeyTypes::read(&row));
        let mut changes = Vec::new();
        let mut rewrites = false;
        if types.len() != collection.keys.len() || types.iter().any(|key| key.had.is_none()) {
            return Err(other_keys(collection));
        }
        for (key, types) in collection.keys.iter().zip(&types).filter(|(_, types)| types.differs) {
            if !types.is_convertible() {
                return Err(not_convertible(collection, key));
            }
            rewrites |= !types.is_relabelled();
            let collate = key.collation_sql.as_ref().map(|name| format!(" COLLATE {name}"));
            let (name, kind) = (key.stored_name(), &key.type_sql);
            let collate = collate.unwrap_or_default();
            changes.push(format!("ALTER COLUMN {name} TYPE {kind}{collate} USING {name}::{kind}"));
        }
        if changes.is_empty() {
            continue;
        }
        if rewrites && table == generation.chunks {
            drop_vector_indexes(generation, owner);
        }
        let names = [("table", relation_sql(table)), ("changes", changes.join(", "))];
        let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
        as_source_owner(owner, || execute(&fill("ALTER TABLE {table} {changes}", &names), &[]));
    }
    Ok(())
}

/// A table that is rewritten would have its vector index built anew under a lock that makes all others wait: a worker builds it
/// later, beside them.
fn drop_vector_indexes(generation: &Generation, owner: Oid) {
    let indexes = vector_indexes(generation.chunks);
    if indexes.is_empty() {
        return;
    }
    as_source_owner(owner, || {
        for index in indexes {
            let name = relation_sql(index.oid);
            execute(&fill("DROP INDEX {index}", &[("index", name.as_str())]), &[]);
        }
    });
    let sql = "UPDATE rag.generation SET index_wanted = true WHERE generation_id = $1";
    as_extension_owner(|| execute(sql, &[generation.id.into()]));
}

fn other_keys(collection: &Collection) -> Error {
    let (name, quoted) = (&collection.name, quote_literal(&collection.name));
    Error::invalid_table(format!(
        "the primary key of {} has other columns than chunks of collection \"{name}\"",
        collection.source_sql
    ))
    .with_hint(format!(
        "Give the table a primary key of as many columns, or drop the collection with rag_drop_collection({quoted}) and create it anew."
    ))
}

fn not_convertible(collection: &Collection, key: &KeyColumn) -> Error {
    let (name, quoted) = (&collection.name, quote_literal(&collection.name));
    Error::wrong_type(format!(
        "keys of the chunks of collection \"{name}\" cannot be converted to type {} of column \"{}\"",
        key.type_sql, key.name
    ))
    .with_hint(format!(
        "Drop the collection with rag_drop_collection({quoted}), and create it anew."
    ))
}

/// Enters a collection into the catalog that only its tables know of, as one that is detached.
fn adopt(wanted: &Attachment<'_>) -> Result<Known> {
    require_free_name(wanted.name)?;
    let found = choose(wanted)?;
    let manifest = &found.manifest;
    let table = match wanted.source {
        Some(table) => table,
        None => table_named(&manifest.source).ok_or_else(|| {
            Error::undefined(format!("table {} does not exist", manifest.source))
                .with_hint("Name the table that the collection is to follow with source => '...'.")
        })?,
    };
    let source = Source::describe(table)?;
    if found.owner != source.owner {
        let documents = relation_sql(found.documents);
        return Err(Error::forbidden(format!(
            "{documents} and {} have different owners",
            source.sql
        ))
        .with_hint("Give both to one role with ALTER TABLE ... OWNER TO."));
    }
    let tables = adopted_tables(&found)?;
    let schema = schema_of(found.documents).unwrap_or_default();
    let build = adopted_build(manifest, source.owner, schema)?;
    if manifest.bits.is_some() != build.token_bits {
        return Err(unusable("It keeps token bits that its model does not have."));
    }
    require_vectors(tables[1], &build)?;
    reserve_chunk_ids(tables[1], source.owner)?;
    let config = text_search_config(&manifest.text_search_config)?;
    let kind = ContentKind::named(&manifest.content_kind)
        .ok_or_else(|| unusable("It is over no kind of content that is known."))?;
    let args = [
        wanted.name.into(),
        table.into(),
        manifest.content.as_str().into(),
        manifest.title.as_deref().into(),
        manifest.file_name.as_deref().into(),
        manifest.media_type.as_deref().into(),
        config.into(),
        manifest.replicated.into(),
        kind.name().into(),
        manifest.keep_text.into(),
        manifest.ocr.into(),
    ];
    let sql = statement!("catalog/adopt_collection");
    let entered = as_extension_owner(|| query(sql, &args, |row| required::<i32>(&row, 1)));
    let Some(id) = entered.into_iter().next() else {
        return Err(taken(wanted.name));
    };
    insert_generation(id, manifest, &build, &tables);
    Known::load(wanted.name).ok_or_else(|| no_collection(wanted.name))
}

/// The tables that the collection's name, or the caller, means.
fn choose(wanted: &Attachment<'_>) -> Result<Found> {
    let name = wanted.name;
    let mut all = find(name, wanted.documents)?;
    if all.len() > 1 {
        // Only of the generation that was searched a dump has the view.
        let is_one = all.iter().filter(|found| found.is_viewed).count() == 1;
        all.retain(|found| !is_one || found.is_viewed);
    }
    if all.len() > 1 {
        let tables: Vec<String> = all.iter().map(|found| relation_sql(found.documents)).collect();
        return Err(Error::invalid_argument(format!("several tables say that they are of collection \"{name}\""))
            .with_detail(format!("They are {}.", tables.join(", ")))
            .with_hint("Name the one to take with documents => '...', and drop the others' generations afterwards."));
    }
    all.pop().ok_or_else(|| match wanted.documents {
        Some(documents) => Error::wrong_object(format!(
            "{} is no table of documents that is free, or not the caller's",
            relation_sql(documents)
        ))
        .with_hint("Name the table ..._documents of the collection; its owner attaches it."),
        None => Error::undefined(format!("there is no detached collection \"{name}\", and no tables of one"))
            .with_hint("Name its table of documents with documents => '...', or make a collection with rag_create_collection()."),
    })
}

fn table_named(name: &str) -> Option<Oid> {
    let sql = "SELECT pg_catalog.to_regclass($1)::oid";
    read(sql, &[name.into()], |row| column(&row, 1)).pop().flatten()
}

row! {
    struct AdoptedTable { oid: Option<Oid>, owner: Option<Oid>, is_used: bool, is_wanted: bool }
}

/// Documents, chunks, token bits (or the invalid number), segments and postings.
fn adopted_tables(found: &Found) -> Result<[Oid; 5]> {
    let manifest = &found.manifest;
    let names = [
        Some(&manifest.chunks),
        manifest.bits.as_ref(),
        Some(&manifest.segments),
        Some(&manifest.postings),
    ];
    let names: Vec<Option<&str>> = names.iter().map(|name| name.map(String::as_str)).collect();
    let args = [found.documents.into(), names.into()];
    let mut tables = [Oid::INVALID; 5];
    let rows = read(statement!("catalog/adopted_tables"), &args, |row| AdoptedTable::read(&row));
    for (position, row) in rows.into_iter().enumerate().filter(|(_, row)| row.is_wanted) {
        let Some(oid) = row.oid.filter(|oid| !tables.contains(oid)) else {
            return Err(unusable("A table that it names is not there."));
        };
        if row.owner != Some(found.owner) || row.is_used {
            return Err(unusable(
                "A table that it names is another collection's, or another role's.",
            ));
        }
        tables[position] = oid;
    }
    Ok(tables)
}

/// How the chunks were made, checked as the options of `rag_create_collection` are.
fn adopted_build(manifest: &Manifest, owner: Oid, schema: String) -> Result<Build> {
    if manifest.storage_format != STORAGE_FORMAT {
        return Err(unusable(&format!(
            "They have storage format {}, and this version reads format {STORAGE_FORMAT}.",
            manifest.storage_format
        )));
    }
    let embedder = Embedder::named(Some(&manifest.model), owner)?;
    if embedder.fingerprint() != manifest.fingerprint {
        return Err(Error::configuration(format!(
            "model \"{}\" is not the one that the chunks were embedded with",
            manifest.model
        ))
        .with_detail(format!("Their fingerprint is {}, and it has {}.", manifest.fingerprint, embedder.fingerprint()))
        .with_hint("Install that model, or make it with the settings that it had; or create the collection anew, which embeds all texts."));
    }
    let is_of_files = manifest.content_kind != ContentKind::Text.name();
    let build = Build {
        format: build::format(&manifest.format, is_of_files)?,
        index_method: build::index_method(&manifest.index)?,
        token_bits: build::token_bits(Some(manifest.bits.is_some()), false, &embedder)?,
        lexical: lexical::engine(&manifest.lexical, owner, &schema)?,
        ..Build::sized(&embedder, Some(manifest.max_tokens), Some(manifest.overlap_tokens), schema)?
    };
    if i32::try_from(build.dimensions) != Ok(manifest.dimensions) {
        return Err(unusable("Its vectors are not as long as those of its model."));
    }
    Ok(build)
}

fn require_vectors(chunks: Oid, build: &Build) -> Result<()> {
    let sql = statement!("catalog/adopted_vectors");
    let dimensions = i32::try_from(build.dimensions).unwrap_or(i32::MAX);
    if read(sql, &[chunks.into(), dimensions.into()], |_| ()).is_empty() {
        let wanted = vector_index::stored(build.dimensions, &extension_schema("vector"));
        return Err(unusable(&format!("Column \"embedding\" is not of type {wanted}.")));
    }
    Ok(())
}

/// Ids that these chunks have are given to no other from now on.
fn reserve_chunk_ids(chunks: Oid, owner: Oid) -> Result<()> {
    let chunks = relation_sql(chunks);
    let sql = fill("SELECT pg_catalog.max(chunk_id) FROM {chunks}", &[("chunks", chunks.as_str())]);
    let highest = as_source_owner(owner, || query(&sql, &[], |row| column::<i64>(&row, 1))).pop();
    let highest = highest.flatten().unwrap_or_default();
    if highest > MAX_CHUNK_ID {
        return Err(unusable(&format!("Chunks have ids beyond {MAX_CHUNK_ID}.")));
    }
    as_extension_owner(|| {
        query(statement!("catalog/reserve_chunk_ids"), &[highest.into()], |_| ())
    });
    Ok(())
}

/// The configuration as the catalog has it: the text itself becomes part of statements.
fn text_search_config(name: &str) -> Result<String> {
    let sql = "SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.cfgname) \
                 FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace \
                WHERE pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.cfgname) = $1";
    read(sql, &[name.into()], |row| required(&row, 1)).pop().ok_or_else(|| {
        Error::undefined(format!("text search configuration {name} does not exist"))
            .with_hint("Create it as it was in the database that the tables are from.")
    })
}

fn insert_generation(collection: i32, manifest: &Manifest, build: &Build, tables: &[Oid; 5]) {
    let [documents, chunks, bits, segments, postings] = *tables;
    let size = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let method = vector_index::method_for(&build.index_method, build.dimensions);
    let has_index = method == "none"
        || !vector_indexes(chunks).is_empty()
        || !attachable_indexes(chunks, method).is_empty();
    let args = [
        collection.into(),
        build.model.as_str().into(),
        build.fingerprint.as_str().into(),
        size(build.dimensions).into(),
        size(build.max_tokens).into(),
        size(build.overlap_tokens).into(),
        build.format.as_str().into(),
        build.index_method.as_str().into(),
        documents.into(),
        chunks.into(),
        Some(bits).filter(|bits| *bits != Oid::INVALID).into(),
        build.lexical.name().into(),
        STORAGE_FORMAT.into(),
        segments.into(),
        postings.into(),
        has_index.into(),
        manifest.analysis.into(),
    ];
    as_extension_owner(|| execute(statement!("catalog/adopt_generation"), &args));
}

fn unusable(detail: &str) -> Error {
    Error::invalid_table("the tables of the collection cannot be used")
        .with_detail(detail)
        .with_hint("Drop them, and create the collection anew with rag_create_collection().")
}
