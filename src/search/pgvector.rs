//! Where pgvector lies, and its values as arguments.
#![allow(unsafe_code)] // pairs a value with the OID of its type

use crate::sys::datum::vector::Vector;
use crate::sys::plan;
use crate::sys::spi::required;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use rag::model::storable::storable;
use rag::{Error, Result};

/// pgvector as installed in this database.
#[derive(Debug, Clone)]
pub struct PgVector {
    /// Its schema, quoted.
    pub schema_sql: String,
    /// The type `vector`.
    type_oid: pg_sys::Oid,
}

impl PgVector {
    /// Looks it up; it may lie in any schema and be moved.
    pub fn find() -> Result<Self> {
        let sql = statement!("search/load_pgvector");
        let found = plan::read(sql, &[], |row| Self {
            schema_sql: required(row, 1),
            type_oid: required(row, 2),
        });
        found.into_iter().next().ok_or_else(|| {
            Error::not_ready("extension \"vector\" is not installed")
                .with_hint("CREATE EXTENSION vector;")
        })
    }

    /// A vector to compare with chunks as an argument of a statement; NULL for none.
    pub fn argument(&self, vector: Option<&[f32]>) -> DatumWithOid<'static> {
        match vector {
            // SAFETY: the value has the layout of this type.
            Some(vector) => unsafe {
                DatumWithOid::new(Vector(storable(vector.to_vec())), self.type_oid)
            },
            None => DatumWithOid::null_oid(self.type_oid),
        }
    }
}
