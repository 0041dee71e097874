//! Where a collection is at home: in which cluster, database and table it was made or last verified.
//!
//! A dump, a clone of the database or a new table brings the catalog's rows along but not this, so
//! that a collection that came from elsewhere is noticed and stands still until `rag_verify`.
#![allow(unsafe_code)] // reads variables of the process

use pgrx::pg_sys;
use pgrx::prelude::*;

#[pg_extern(sql = r"
CREATE FUNCTION rag.home(source oid) RETURNS text
    STABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.home IS 'identifies this cluster, this database and this table; part of rag.status';
", requires = ["bootstrap"])]
fn home(source: pg_sys::Oid) -> String {
    // SAFETY: the identifier lies in shared memory since the server's start; the other is this process's.
    let (cluster, database) = unsafe { (pg_sys::GetSystemIdentifier(), pg_sys::MyDatabaseId) };
    format!("{cluster}/{}/{}", database.to_u32(), source.to_u32())
}
