//! Whether the tables of a generation are as `rag_pg` made them.
//!
//! They belong to the source's owner, who may alter them like any other table. But rules, policies and functions of indexes
//! run with the rights of the role that plans or runs a statement: a search by another role, or by a superuser, must not run
//! what the owner wrote. What was found in order is remembered until one of the tables changes.
#![allow(unsafe_code)] // locks tables by number and watches the relation cache

use crate::catalog::collection::{Collection, Generation, STORAGE_FORMAT};
use crate::sys::spi::required;
use crate::sys::{names, plan};
use pgrx::datum::DatumWithOid;
use pgrx::pg_guard;
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::quote_literal;
use rag::{Error, Result};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;

/// `pg_policy`.
const POLICIES: Oid = Oid::from_u32(3256);

/// Source, documents, chunks and token bits of a generation.
type Tables = [Oid; 4];

/// What was found in order: its tables, and whether their policies were looked at too.
type Known = HashSet<(Tables, bool)>;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::new(HashSet::new());
    /// Counts messages that a relation changed.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
}

impl Generation {
    /// Refuses tables that are not as `rag_pg` made them, with their policies, and keeps them as they are until the
    /// transaction ends. For what runs with the caller's rights.
    pub fn require_intact(&self, collection: &Collection) -> Result<()> {
        for table in self.tables(collection).into_iter().filter(|table| *table != Oid::INVALID) {
            // SAFETY: in a transaction. Waiting for the lock brings this process's caches up to date. Who reads the tables
            // takes the same lock later.
            unsafe { pg_sys::LockRelationOid(table, pg_sys::AccessShareLock.cast_signed()) };
        }
        self.require(collection, true)
    }

    /// The same without a lock and without a look at the policies, which do not bind the owner. For what runs with the
    /// owner's rights.
    pub fn require_tables(&self, collection: &Collection) -> Result<()> {
        self.require(collection, false)
    }

    /// The same with a look at the policies, without a lock.
    pub fn require_policies(&self, collection: &Collection) -> Result<()> {
        self.require(collection, true)
    }

    fn tables(&self, collection: &Collection) -> Tables {
        let bits = self.bits.unwrap_or(Oid::INVALID);
        [collection.source, self.documents, self.chunks, bits]
    }

    fn require(&self, collection: &Collection, with_policies: bool) -> Result<()> {
        if self.storage_format != STORAGE_FORMAT {
            return Err(other_format(collection, self));
        }
        watch_relations();
        let tables = self.tables(collection);
        if KNOWN.with_borrow(|known| known.contains(&(tables, with_policies))) {
            return Ok(());
        }
        let before = CHANGES.get();
        if let Some((table, what)) = defect(tables) {
            return Err(changed(collection, table, &what));
        }
        if with_policies && let Some(table) = without_policies(tables).first() {
            let what = "Its row security or policies are not those of the collection";
            return Err(changed(collection, *table, what));
        }
        // What changed while it was looked at is looked at again.
        if CHANGES.get() == before {
            KNOWN.with_borrow_mut(|known| known.insert((tables, with_policies)));
        }
        Ok(())
    }

    /// Tables of the generation that are not governed by their source and by nothing else.
    pub fn without_policies(&self, collection: &Collection) -> Vec<Oid> {
        without_policies(self.tables(collection))
    }
}

fn other_format(collection: &Collection, generation: &Generation) -> Error {
    let (name, found) = (&collection.name, generation.storage_format);
    Error::not_ready(format!(
        "generation {} of collection \"{name}\" has storage format {found}, and rag_pg reads format {STORAGE_FORMAT}",
        generation.id
    ))
    .with_hint(format!("Make it anew: SELECT rag_rebuild({}).", quote_literal(name)))
}

fn defect(tables: Tables) -> Option<(Oid, String)> {
    let sql = statement!("catalog/table_defect");
    let found =
        as_now(|| plan::read(sql, &arguments(tables), |row| (required(row, 1), required(row, 2))));
    found.into_iter().next()
}

fn without_policies(tables: Tables) -> Vec<Oid> {
    let sql = statement!("catalog/policy_defect");
    as_now(|| plan::read(sql, &arguments(tables), |row| required(row, 1)))
}

/// Runs `body`, which reads catalogs, with the snapshot that PostgreSQL itself reads definitions with: the transaction's own may
/// be from before a table was altered, and its statements follow the table as it is now.
fn as_now<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: in a transaction; an abort takes the snapshot away, like any other. One of a catalog without a system cache is
    // always new.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetCatalogSnapshot(POLICIES)) };
    let result = body();
    // SAFETY: pushed above, and whatever body pushed is gone.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}

fn arguments(tables: Tables) -> [DatumWithOid<'static>; 4] {
    tables.map(|table| Some(table).filter(|table| *table != Oid::INVALID).into())
}

fn changed(collection: &Collection, table: Oid, what: &str) -> Error {
    let name = &collection.name;
    let table_sql = names::relation(table).unwrap_or_default();
    Error::not_ready(format!("table {table_sql} of collection \"{name}\" is not as it was created"))
        .with_detail(format!("{what}."))
        .with_hint(format!(
            "Undo the change (rag_verify({0}) creates policies again) and SELECT rag_retry({0}), or make new tables: SELECT rag_rebuild({0}).",
            quote_literal(name)
        ))
}

fn watch_relations() {
    if IS_WATCHING.replace(true) {
        return;
    }
    // SAFETY: the callback stays in memory with the library, which is never unloaded.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::from(0)) };
}

/// Rules, triggers, policies, indexes, constraints, columns and children of a table are part of what the relation cache keeps.
#[pg_guard]
unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, relation: Oid) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    // While the set is borrowed, an entry is looked up or added: neither reads catalogs, so that no message comes then.
    KNOWN.with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            known.retain(|(tables, _)| relation != Oid::INVALID && !tables.contains(&relation));
        }
    });
}
