//! `rag_feedback`: a judgement of a chunk that a logged query found; and the number of that query.
use crate::catalog::collection::{Collection, require_owner};
use crate::catalog::distributed::Distributed;
use crate::search::candidate::key_of;
use crate::search::distributed;
use crate::search::query_log;
use crate::search::resolve::admit;
use crate::sys::error::SqlError;
use crate::sys::names::current_role;
use crate::sys::rights::{as_extension_owner, key_text_settings};
use crate::sys::rows::row;
use crate::sys::spi::{execute, fill, query, read_as_caller};
use pgrx::JsonB;
use pgrx::prelude::*;
use rag::{Error, Result};

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_last_query() RETURNS bigint
    STABLE PARALLEL RESTRICTED LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_last_query IS 'number in rag.query_log of this session''s last search or answer; NULL when it was not logged';
", requires = ["query_log"])]
fn rag_last_query() -> Option<i64> {
    query_log::last()
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_feedback(query_id bigint, chunk_id bigint, relevant boolean) RETURNS void
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_feedback IS 'says whether a chunk that a logged query found was relevant';
", requires = ["query_log"])]
fn rag_feedback(query_id: i64, chunk_id: i64, relevant: bool) -> Result<(), SqlError> {
    let role = current_role();
    let document_key = JsonB(match judged(query_id, &role)? {
        Judged::Here(collection) => collection.document_key(&document_of(&collection, chunk_id)?),
        Judged::Distributed(distributed) => {
            let key = distributed::document_of(&distributed, chunk_id)?;
            let key = key.ok_or_else(|| no_chunk(&distributed.name, chunk_id))?;
            distributed.as_collection()?.document_key(&key)
        }
    });
    let arguments =
        [query_id.into(), chunk_id.into(), role.into(), document_key.into(), relevant.into()];
    let sql = statement!("api/feedback_insert");
    as_extension_owner(|| execute(sql, &arguments));
    Ok(())
}

row! {
    /// A row of `sql/run/api/feedback_query.sql`.
    struct LoggedQuery {
        collection_id: i32,
        /// Role that searched.
        asker: String,
    }
}

/// What a query was asked of.
enum Judged {
    Here(Collection),
    Distributed(Distributed),
}

/// The collection of a query that the caller may judge: of the same role, or about a collection that it owns. The error does not
/// show whether another role's query exists.
fn judged(query_id: i64, role: &str) -> Result<Judged> {
    let unknown = || {
        Error::undefined(format!("query {query_id} is not in the log, or not yours to judge"))
            .with_hint("The column query_id of rag_search() and rag_answer() gives its number; rag_pg.query_log_sample says how many queries are logged.")
    };
    let sql = statement!("api/feedback_query");
    let logged =
        as_extension_owner(|| query(sql, &[query_id.into()], |row| LoggedQuery::read(&row)));
    let LoggedQuery { collection_id, asker } = logged.into_iter().next().ok_or_else(unknown)?;
    let here = Collection::by_id(collection_id)?.map(Judged::Here);
    let judged = match here {
        None => Distributed::by_id(collection_id)?.map(Judged::Distributed),
        here => here,
    };
    let judged = judged.ok_or_else(unknown)?;
    let owner = match &judged {
        Judged::Here(collection) => collection.owner,
        Judged::Distributed(distributed) => distributed.owner,
    };
    if asker == role || require_owner(owner, "", "judge its queries").is_ok() {
        return Ok(judged);
    }
    Err(unknown())
}

fn no_chunk(collection: &str, chunk_id: i64) -> Error {
    Error::undefined(format!(
        "collection \"{collection}\" has no chunk {chunk_id} that you may see"
    ))
    .with_hint("rag_search() gives the numbers of chunks.")
}

/// Key of the document of a chunk that the caller may see.
fn document_of(collection: &Collection, chunk_id: i64) -> Result<Vec<String>> {
    let generation = collection.active_generation()?;
    admit(collection, &generation)?;
    let tables = generation.tables_sql()?;
    let parts = [
        ("keys", collection.stored_keys("c.")),
        ("chunks", tables[1].clone()),
        ("visible", collection.source_visible("c")),
    ];
    let parts = parts.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    let sql = fill(statement!("api/feedback_chunk"), &parts);
    let mut key_text = None;
    let found = read_as_caller(&sql, &[chunk_id.into()], |row| {
        key_text.get_or_insert_with(key_text_settings);
        key_of(&row, 1, collection.keys.len())
    });
    found.into_iter().next().ok_or_else(|| no_chunk(&collection.name, chunk_id))
}
