//! `rag_create_collection()`, `rag_alter_collection()`, `rag_drop_collection()`, `rag_detach_collection()` and `rag_attach_collection()`.
use crate::api::int4;
use crate::catalog::collection::{Build, Collection, ContentKind, VIEW_SUFFIX, build};
use crate::catalog::distributed::Distributed;
use crate::catalog::distributed::create::{NewDistributed, is_distributed};
use crate::catalog::distributed::forward::DONE;
use crate::catalog::generation::compare_everything;
use crate::catalog::objects;
use crate::catalog::objects::drop;
use crate::catalog::objects::triggers::set_replication_triggers;
use crate::catalog::objects::{NewCollection, Source, create};
use crate::catalog::{distributed, generation, language, lexical};
use crate::maintain::attach::{Attachment, attach};
use crate::maintain::detach::detach;
use crate::models::embedder::Embedder;
use crate::models::local as model;
use crate::sys::error::SqlError;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{execute, read, required};
use crate::sys::version::require_current;
use pgrx::pg_sys;
use pgrx::prelude::*;
use rag::{Error, Result};
use std::ffi::CStr;

/// Most bytes of a collection's name: its view's name must fit into an identifier.
const NAME_BYTES: usize = 63 - VIEW_SUFFIX.len();

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_create_collection(
    name text,
    source regclass,
    content name,
    title name = NULL,
    model text = NULL,
    max_tokens bigint = NULL,
    overlap_tokens bigint = NULL,
    format text = 'auto',
    text_search_config regconfig = NULL,
    token_bits boolean = NULL,
    index text = 'hnsw',
    replicated boolean = false,
    lexical text = 'builtin',
    file_name name = NULL,
    media_type name = NULL,
    keep_text boolean = true,
    ocr boolean = false,
    large_objects boolean = false,
    chunk_schema name = NULL,
    create_remote boolean = false
) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_create_collection IS 'keeps a table searchable: creates chunk tables, view and triggers, and queues every row';
", requires = ["catalog", "rag_ingest"])]
#[allow(clippy::too_many_arguments)] // a SQL function's named options
fn create_collection(
    name: Option<&str>,
    source: Option<pg_sys::Oid>,
    content: Option<&CStr>,
    title: Option<&CStr>,
    model: Option<&str>,
    max_tokens: Option<i64>,
    overlap_tokens: Option<i64>,
    format: Option<&str>,
    text_search_config: Option<pg_sys::Oid>,
    token_bits: Option<bool>,
    index: Option<&str>,
    replicated: Option<bool>,
    lexical: Option<&str>,
    file_name: Option<&CStr>,
    media_type: Option<&CStr>,
    keep_text: Option<bool>,
    ocr: Option<bool>,
    large_objects: Option<bool>,
    chunk_schema: Option<&CStr>,
    create_remote: Option<bool>,
) -> Result<(), SqlError> {
    model::require_utf8()?;
    let name = check_name(required_argument(name, "name")?)?;
    let table = required_argument(source, "source")?;
    let content = utf8(required_argument(content, "content")?)?;
    let title = title.map(utf8).transpose()?;
    if is_distributed(table) {
        let text = |value: Option<&CStr>| value.map(utf8).transpose();
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        let boolean = |value: Option<bool>| value.map(|value| value.to_string());
        let is_not = |value: Option<bool>, usual: bool| boolean(value.filter(|one| *one != usual));
        let options = [
            ("title", title),
            ("model", model.map(str::to_owned)),
            ("max_tokens", number(max_tokens)),
            ("overlap_tokens", number(overlap_tokens)),
            ("format", format.map(str::to_owned)),
            ("text_search_config", text_search_config.map(|one| text_search_config_sql(Some(one)))),
            ("token_bits", boolean(token_bits)),
            ("index", index.map(str::to_owned)),
            ("replicated", is_not(replicated, false)),
            ("lexical", lexical.map(str::to_owned)),
            ("file_name", text(file_name)?),
            ("media_type", text(media_type)?),
            ("keep_text", is_not(keep_text, true)),
            ("ocr", is_not(ocr, false)),
            ("large_objects", is_not(large_objects, false)),
            ("chunk_schema", text(chunk_schema)?),
        ];
        let options = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let options = options.collect();
        NewDistributed {
            name,
            source: table,
            content,
            creates_remote: create_remote.unwrap_or(false),
            options,
        }
        .create()?;
        return Ok(());
    }
    if create_remote == Some(true) {
        return Err(Error::invalid_argument("create_remote is for tables with foreign partitions")
            .with_hint("Leave it out.")
            .into());
    }
    let source = Source::describe(table)?;
    source.lock();
    let file_name = file_name.map(utf8).transpose()?;
    let media_type = media_type.map(utf8).transpose()?;
    let kind = source.content_kind(&content, large_objects.unwrap_or(false))?;
    for column in [&title, &file_name, &media_type].into_iter().flatten() {
        source.require_text(column)?;
    }
    let is_of_files = kind != ContentKind::Text;
    let options = [
        ("file_name", file_name.is_some()),
        ("media_type", media_type.is_some()),
        ("ocr", ocr == Some(true)),
    ];
    if let Some((option, _)) = options.iter().find(|(_, is_given)| *is_given && !is_of_files) {
        return Err(Error::invalid_argument(format!("option \"{option}\" is for files"))
            .with_hint("Leave it out, or name a content column of type bytea.")
            .into());
    }
    let schema = match chunk_schema {
        Some(name) => objects::chunk_schema(&utf8(name)?, source.owner)?,
        None => source.schema_sql.clone(),
    };
    let embedder = Embedder::named(model, source.owner)?;
    let build = Build {
        format: build::format(format.unwrap_or("auto"), is_of_files)?,
        index_method: build::index_method(index.unwrap_or("hnsw"))?,
        token_bits: build::token_bits(token_bits, true, &embedder)?,
        lexical: lexical::engine(lexical.unwrap_or("builtin"), source.owner, &schema)?,
        ..Build::sized(&embedder, max_tokens.map(int4), overlap_tokens.map(int4), schema)?
    };
    let text_search_config = text_search_config_sql(text_search_config);
    let is_replicated = replicated.unwrap_or(false);
    let plan = NewCollection {
        name,
        source,
        content,
        kind,
        title,
        file_name,
        media_type,
        keeps_text: keep_text.unwrap_or(true),
        with_ocr: ocr.unwrap_or(false),
        text_search_config,
        is_replicated,
        build,
    };
    let id = create(&plan)?;
    // The whole source is compared with the documents, of which there are none yet.
    compare_everything(id);
    if let Some(collection) = Collection::by_id(id)? {
        language::warn_if_without_words(&collection, &embedder)?;
    }
    Ok(())
}

/// Changes what may be changed of a collection without building it anew.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_alter_collection(name text, replicated boolean = NULL, chunk_schema name = NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_alter_collection IS 'changes options of a collection that need no rebuild: whether it heeds logical replication, and the schema of its chunk tables';
", requires = ["catalog", "rag_ingest"])]
fn alter_collection(
    name: Option<&str>,
    replicated: Option<bool>,
    chunk_schema: Option<&CStr>,
) -> Result<(), SqlError> {
    if let Some(distributed) = Distributed::of(name)? {
        let schema = chunk_schema.map(utf8).transpose()?;
        let given =
            [("replicated", replicated.map(|one| one.to_string())), ("chunk_schema", schema)];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let arguments: Vec<_> = given.collect();
        distributed.change::<i64>("alter it", "rag_alter_collection", DONE, &arguments)?;
        return Ok(());
    }
    // The catalog before the source, as rag_drop_collection does it.
    let collection = generation::lock(&Collection::owned(name, "alter it")?)?;
    if let Some(schema) = chunk_schema {
        let schema = objects::chunk_schema(&utf8(schema)?, collection.owner)?;
        objects::move_tables(&collection, &schema);
    }
    if let Some(is_replicated) = replicated {
        follow_replication(collection, is_replicated)?;
    }
    Ok(())
}

fn follow_replication(mut collection: Collection, is_replicated: bool) -> Result<()> {
    let source = Source::describe(collection.source)?;
    source.lock();
    if collection.is_replicated == is_replicated {
        return Ok(());
    }
    let sql = "UPDATE rag.collection SET replicated = $2 WHERE collection_id = $1";
    as_extension_owner(|| execute(sql, &[collection.id.into(), is_replicated.into()]));
    collection.is_replicated = is_replicated;
    set_replication_triggers(&collection, &source);
    if is_replicated {
        // What was applied until now went unnoticed.
        compare_everything(collection.id);
    }
    Ok(())
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_drop_collection(name text) RETURNS void
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_drop_collection IS 'drops a collection with its chunks, view and triggers; the source stays as it is';
", requires = ["catalog"])]
fn rag_drop_collection(name: &str) -> Result<(), SqlError> {
    require_current()?;
    if !distributed::create::drop(name)? {
        drop::drop(name, drop::DropBehavior::Restrict)?;
    }
    Ok(())
}

/// Takes a collection off its source, whose definition can be changed then.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_detach_collection(name text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_detach_collection IS 'takes a collection off its source and keeps its chunk tables, so that types of columns can be changed or the extension be dropped';
", requires = ["catalog"])]
fn rag_detach_collection(name: Option<&str>) -> Result<(), SqlError> {
    if let Some(name) = name {
        Distributed::refuse(name, "detach its part")?;
    }
    detach(&Collection::owned(name, "detach it")?)?;
    Ok(())
}

/// Has a collection follow its source again, or another table.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_attach_collection(
    name text,
    source regclass = NULL,
    content name = NULL,
    title name = NULL,
    documents regclass = NULL
) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_attach_collection IS 'has chunk tables that were detached, or restored without their collection, follow a table again; embeds only what changed';
", requires = ["catalog", "rag_ingest", "status"])]
fn rag_attach_collection(
    name: Option<&str>,
    source: Option<pg_sys::Oid>,
    content: Option<&CStr>,
    title: Option<&CStr>,
    documents: Option<pg_sys::Oid>,
) -> Result<(), SqlError> {
    model::require_utf8()?;
    let name = check_name(required_argument(name, "name")?)?;
    Distributed::refuse(&name, "attach its part")?;
    let content = content.map(utf8).transpose()?;
    let title = title.map(utf8).transpose()?;
    let (content, title) = (content.as_deref(), title.as_deref());
    attach(&Attachment { name: &name, source, content, title, documents })?;
    Ok(())
}

fn required_argument<T>(value: Option<T>, argument: &str) -> Result<T> {
    value.ok_or_else(|| {
        Error::invalid_argument(format!("argument \"{argument}\" must not be null"))
            .with_hint("Name a table, its text column and a name for the collection.")
    })
}

fn check_name(name: &str) -> Result<String> {
    if name.trim().is_empty() {
        return Err(Error::invalid_argument("the name of a collection must not be empty")
            .with_hint("Choose a name such as 'manual'."));
    }
    if name.len() > NAME_BYTES {
        return Err(Error::name_too_long(format!("collection name \"{name}\" is too long"))
            .with_hint(format!("Use at most {NAME_BYTES} bytes: its view is named after it.")));
    }
    Ok(name.to_owned())
}

pub(super) fn utf8(name: &CStr) -> Result<String> {
    let text = name.to_str().map_err(|_| Error::invalid_argument("a name is not valid UTF-8"))?;
    Ok(text.to_owned())
}

/// The configuration's qualified name: its number would not survive a dump.
fn text_search_config_sql(config: Option<pg_sys::Oid>) -> String {
    let sql = "SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.cfgname) \
               FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace \
               WHERE c.oid = coalesce($1, pg_catalog.get_current_ts_config()::oid)";
    read(sql, &[config.into()], |row| required::<String>(&row, 1)).remove(0)
}
