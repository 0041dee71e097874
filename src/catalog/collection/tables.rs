//! Locks the tables of a generation, and checks that they are as `rag_pg` created them.
//!
//! They belong to the source's owner, who may alter them like any other table. But rules, policies and functions of indexes
//! run with the rights of the role that plans or runs a statement: a search by another role, or by a superuser, must not run
//! code of the owner's. Tables that passed the check are cached until a relcache invalidation names one of them.
#![allow(unsafe_code)] // locks tables by number and watches the relation cache

use crate::catalog::collection::{Collection, Generation, STORAGE_FORMAT};
use crate::sys::privileges::relation_owner;
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

/// Source, documents, chunks, token bits, segments and postings of a generation.
type Tables = [Oid; 6];

/// Tables that passed the check, and whether their policies were checked too.
type IntactTables = HashSet<(Tables, bool)>;

thread_local! {
    static INTACT: RefCell<IntactTables> = RefCell::new(HashSet::new());
    /// Counts relcache invalidations.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
}

impl Generation {
    /// Locks the tables until the transaction ends, and returns an error where they or their policies are not as `rag_pg`
    /// created them. For statements that run with the caller's rights.
    pub fn require_intact(&self, collection: &Collection) -> Result<()> {
        for table in [collection.source].into_iter().chain(self.tables()) {
            // SAFETY: in a transaction. Waiting for the lock brings this process's caches up to date. A reader
            // takes the same lock later.
            unsafe { pg_sys::LockRelationOid(table, pg_sys::AccessShareLock.cast_signed()) };
        }
        self.require(collection, true)
    }

    /// As [`Self::require_intact`], without the lock and without checking policies, which do not apply to the owner. For
    /// statements that run with the owner's rights.
    pub fn require_tables(&self, collection: &Collection) -> Result<()> {
        self.require(collection, false)
    }

    /// As [`Self::require_intact`], without the lock.
    pub fn require_policies(&self, collection: &Collection) -> Result<()> {
        self.require(collection, true)
    }

    /// Locks the generation's tables against being dropped until the transaction ends. False when they
    /// are gone; an old snapshot may still see their catalog row.
    pub fn hold(&self) -> bool {
        self.tables().all(|table| {
            // SAFETY: in a transaction. A number without a table can be locked as well, and waiting for
            // the lock brings this process's caches up to date.
            unsafe { pg_sys::LockRelationOid(table, pg_sys::AccessShareLock.cast_signed()) };
            relation_owner(table).is_some()
        })
    }

    fn checked_tables(&self, collection: &Collection) -> Tables {
        let bits = self.bits.unwrap_or(Oid::INVALID);
        [collection.source, self.documents, self.chunks, bits, self.segments, self.postings]
    }

    fn require(&self, collection: &Collection, with_policies: bool) -> Result<()> {
        if self.storage_format != STORAGE_FORMAT {
            return Err(other_format(collection, self));
        }
        watch_relations();
        let tables = self.checked_tables(collection);
        if INTACT.with_borrow(|known| known.contains(&(tables, with_policies))) {
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
        // A table that changed during the check is checked again next time.
        if CHANGES.get() == before {
            INTACT.with_borrow_mut(|known| known.insert((tables, with_policies)));
        }
        Ok(())
    }

    /// Tables of the generation whose row security or policies are not the collection's.
    pub fn without_policies(&self, collection: &Collection) -> Vec<Oid> {
        without_policies(self.checked_tables(collection))
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
    let found = with_latest_catalog(|| {
        plan::read(sql, &arguments(tables), |row| (required(row, 1), required(row, 2)))
    });
    found.into_iter().next()
}

fn without_policies(tables: Tables) -> Vec<Oid> {
    let sql = statement!("catalog/policy_defect");
    with_latest_catalog(|| plan::read(sql, &arguments(tables), |row| required(row, 1)))
}

/// Runs `body`, which reads catalogs, with a catalog snapshot: the transaction's own may be older than an ALTER TABLE, while its
/// statements use the table as it is now.
fn with_latest_catalog<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: in a transaction; an abort pops the snapshot, like any other. The snapshot for a catalog without a syscache is
    // always a new one.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetCatalogSnapshot(POLICIES)) };
    let result = body();
    // SAFETY: pushed above; body popped its own.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}

fn arguments(tables: Tables) -> [DatumWithOid<'static>; 6] {
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

/// A change of a table's rules, triggers, policies, indexes, constraints, columns or children invalidates its relcache entry.
#[pg_guard]
unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, relation: Oid) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    // While the set is borrowed no catalog is read, so that no invalidation arrives.
    INTACT.with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            known.retain(|(tables, _)| relation != Oid::INVALID && !tables.contains(&relation));
        }
    });
}

/// Locks a relation before its name is looked up, so that a statement which names it finds no other.
pub fn lock_exclusively(relation: pg_sys::Oid) {
    // SAFETY: in a transaction.
    unsafe { pg_sys::LockRelationOid(relation, pg_sys::AccessExclusiveLock.cast_signed()) };
}
