//! The generation that a search reads: found by the collection's name, with the caller's rights checked.
#![allow(unsafe_code)] // pairs a value with the OID of its type

use crate::catalog::collection::{Collection, Generation, table_gone};
use crate::catalog::vector_index;
use crate::sys::cursor::Snapshot;
use crate::sys::datum::vector::Vector;
use crate::sys::rows::row;
use crate::sys::{plan, privileges};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use rag::model::storable::storable;
use rag::search::shard::Space;
use rag::{Error, Result};

pub mod lookup;
use lookup::{LookedUp, changes};

/// A collection and its generation to search, whose tables stay until the transaction ends.
pub struct Resolved {
    pub collection: Collection,
    pub generation: Generation,
    pub tables: TableNames,
    pub pgvector: PgVector,
    /// Replaces the caller's snapshot where that is from before a switch. Dropped last.
    _snapshot: Option<Snapshot>,
}

/// Finds the generation that is active in the caller's snapshot. If it was pruned meanwhile, looks again with a new
/// snapshot. `found` gets the collection's id before rights are checked.
pub fn resolve(name: &str, found: impl FnOnce(i32)) -> Result<Resolved> {
    let before = changes();
    let mut looked_up = LookedUp::find(name)?;
    let mut snapshot = None;
    let mut is_there = looked_up.generation.hold();
    if !is_there || changes() != before {
        // Waiting for the locks brought news.
        looked_up = LookedUp::read(name)?;
        is_there = looked_up.generation.hold();
    }
    if !is_there {
        snapshot = Some(Snapshot::take());
        looked_up = LookedUp::read(name)?;
        is_there = looked_up.generation.hold();
    }
    if !is_there {
        let _latest = Snapshot::latest();
        let now = LookedUp::read(name)?;
        if now.generation.id == looked_up.generation.id {
            return Err(table_gone());
        }
        // The transaction keeps its snapshot (REPEATABLE READ).
        return Err(Error::conflict(format!(
            "the generation that \"{name}\" was searched in is gone"
        ))
        .with_hint("Try the transaction again."));
    }
    let LookedUp { collection, generation, pgvector, .. } = looked_up;
    found(collection.id);
    admit(&collection, &generation)?;
    let tables = TableNames::of(&generation, &pgvector)?;
    Ok(Resolved { collection, generation, tables, pgvector, _snapshot: snapshot })
}

/// As [`resolve`], for a search that names its space: of a generation other than the active one only while the servers of a distributed
/// collection are switched, one after the other.
pub fn resolve_in(name: &str, space: &Space) -> Result<Resolved> {
    let Resolved { collection, generation, pgvector, _snapshot: snapshot, .. } =
        resolve(name, |_| ())?;
    let is_of = |one: &Generation| {
        let Space { fingerprint, max_tokens, overlap_tokens, format } = space;
        one.fingerprint == *fingerprint
            && one.max_tokens == *max_tokens
            && one.overlap_tokens == *overlap_tokens
            && one.format == *format
    };
    let generation = if is_of(&generation) {
        generation
    } else {
        let fits =
            |one: &Generation| is_of(one) && one.state.is_live() && one.is_loaded && one.hold();
        let found = collection.generations().into_iter().find(fits);
        found.ok_or_else(|| {
            Error::not_ready(format!(
                "collection \"{name}\" has no generation of the build that is asked for"
            ))
            .with_detail(format!(
                "Asked for are chunks of {} tokens; it has those of model \"{}\" with {}.",
                space.max_tokens, generation.model, generation.max_tokens
            ))
            .with_hint("On the server that asks, rag_rebuild() without options builds it where it is missing, and rag_switch() takes it into use.")
        })?
    };
    admit(&collection, &generation)?;
    let tables = TableNames::of(&generation, &pgvector)?;
    Ok(Resolved { collection, generation, tables, pgvector, _snapshot: snapshot })
}

impl Resolved {
    /// A generation of a collection for maintenance, which checks no rights.
    pub fn of(collection: Collection, generation: Generation) -> Result<Self> {
        let pgvector = PgVector::find()?;
        let tables = TableNames::of(&generation, &pgvector)?;
        Ok(Self { collection, generation, tables, pgvector, _snapshot: None })
    }
}

/// Refuses a caller without the rights that a search needs, and tables with code of their owner's that would run with the
/// caller's rights.
pub fn admit(collection: &Collection, generation: &Generation) -> Result<()> {
    require_rights(collection, generation)?;
    generation.require_intact(collection)
}

/// SELECT on the chunks is what `rag_grant` gives; on the source, what the source's owner gives.
fn require_rights(collection: &Collection, generation: &Generation) -> Result<()> {
    let name = &collection.name;
    if !privileges::may_select(generation.chunks) {
        return Err(Error::forbidden(format!("permission denied for collection \"{name}\""))
            .with_hint(format!(
                "Its owner can let a role search it: SELECT rag_grant({}, 'role');",
                pgrx::spi::quote_literal(name)
            )));
    }
    let needed = collection.source_columns();
    if !privileges::may_select_columns(collection.source, &needed) {
        let source = &collection.source_sql;
        let columns: Vec<String> = needed.iter().map(pgrx::spi::quote_identifier).collect();
        return Err(Error::forbidden(format!("permission denied for table {source}"))
            .with_detail("A role sees those chunks of a collection whose source rows it may read.")
            .with_hint(format!("GRANT SELECT ({}) ON {source} TO the role.", columns.join(", "))));
    }
    Ok(())
}

/// A generation's tables, qualified and quoted, and the distance of a chunk.
#[derive(Debug)]
pub struct TableNames {
    /// SQL of the distance between chunk `c` and the vector `$1`, as the index orders by it.
    pub distance: String,
    pub documents: String,
    pub chunks: String,
    /// `token_bits`, if the collection keeps them.
    pub bits: Option<String>,
}

impl TableNames {
    fn of(generation: &Generation, pgvector: &PgVector) -> Result<Self> {
        let mut tables = generation.tables_sql()?.into_iter();
        let mut next = || tables.next().unwrap_or_default();
        Ok(Self {
            distance: vector_index::distance(
                "c",
                "$1",
                generation.dimensions,
                &pgvector.schema_sql,
            ),
            documents: next(),
            chunks: next(),
            bits: generation.bits.map(|_| next()),
        })
    }
}

row! {
    /// pgvector as installed in this database.
    #[derive(Debug, Clone)]
    pub struct PgVector {
        /// Its schema, quoted.
        pub schema_sql: String,
        /// The type `vector`.
        pub type_oid: pg_sys::Oid,
    }
}

impl PgVector {
    /// Reads the catalog: the extension may be in any schema, and be moved.
    fn find() -> Result<Self> {
        let sql = statement!("search/load_pgvector");
        plan::read(sql, &[], Self::read).pop().ok_or_else(|| {
            Error::not_ready("extension \"vector\" is not installed")
                .with_hint("CREATE EXTENSION vector;")
        })
    }

    /// A vector as an argument of a statement; NULL for none.
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
