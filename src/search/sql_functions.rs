//! The SQL function that chunks are indexed by.
use crate::sys::error::SqlError;
use crate::sys::limit;
use crate::sys::text_search::Config;
use pgrx::prelude::*;
use rag::search::analysis::for_documents;

#[pg_extern(sql = r"
CREATE FUNCTION rag.search_text(config regconfig, content text) RETURNS text
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.search_text IS 'a text as the parser of full text search is given it: words between spaces, and behind them what else they are found by';
", requires = ["catalog"])]
fn search_text(config: pg_sys::Oid, content: &str) -> Result<String, SqlError> {
    limit::text(content)?;
    Ok(if Config::of(config).is_parted_by_spaces() {
        for_documents(content)
    } else {
        content.to_owned()
    })
}
