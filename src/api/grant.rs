//! `rag_grant` and `rag_revoke`: the roles that may search a collection.
use crate::catalog::collection::Collection;
use crate::catalog::distributed::Distributed;
use crate::sys::error::SqlError;
use crate::sys::names::role_name;
use crate::sys::rights::as_source_owner;
use crate::sys::spi::{execute, fill};
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use rag::{Error, Result};

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_grant(collection text, role regrole) RETURNS void
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_grant IS 'lets a role search a collection, as far as it may read the source';
", requires = ["catalog"])]
fn rag_grant(collection: &str, role: pg_sys::Oid) -> Result<(), SqlError> {
    Ok(change(collection, role, "rag_grant", statement!("maintain/grant"), "grant it")?)
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_revoke(collection text, role regrole) RETURNS void
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_revoke IS 'takes back what rag_grant gave';
", requires = ["catalog"])]
fn rag_revoke(collection: &str, role: pg_sys::Oid) -> Result<(), SqlError> {
    Ok(change(collection, role, "rag_revoke", statement!("api/revoke"), "revoke it")?)
}

/// Changes a role's rights on all that a search and the view read.
fn change(
    collection: &str,
    role: pg_sys::Oid,
    function: &str,
    template: &str,
    to_do: &str,
) -> Result<()> {
    if let Some(distributed) = Distributed::find(collection)? {
        return distributed.change_rights(function, to_do, role);
    }
    let collection = Collection::owned(Some(collection), to_do)?;
    let role = role_name(role).ok_or_else(|| {
        Error::undefined("the role does not exist").with_hint("Name a role of this server.")
    })?;
    let view = collection.view.map(|_| collection.view_sql.clone());
    let mut tables: Vec<String> = view.into_iter().collect();
    for generation in collection.generations() {
        tables.extend(generation.tables_sql()?);
    }
    let names = [("tables", tables.join(", ")), ("role", quote_identifier(role))];
    let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    as_source_owner(collection.owner, || execute(&fill(template, &names), &[]));
    Ok(())
}
