//! `rag.home()`: the database identity of a collection, which cluster, database and table it was created in or last
//! verified in.
//!
//! A dump, a clone of the database or a new table brings the catalog's rows along but not this, so that a collection that
//! came from elsewhere is paused until `rag_verify`.
use crate::sys::process;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

#[pg_extern(sql = r"
CREATE FUNCTION rag.home(source oid) RETURNS text
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.home IS 'identifies this cluster, this database and this table; part of rag.status';
", requires = ["bootstrap"])]
fn home(source: Oid) -> String {
    let (cluster, database) = (process::system_identifier(), process::database());
    format!("{cluster}/{}/{}", database.to_u32(), source.to_u32())
}
