//! What a search looks up before it begins, kept by each backend until PostgreSQL invalidates it.
//!
//! Rows of `rag.collection` and `rag.generation` invalidate their table when they change (`src/catalog/changes.rs`), the source and
//! the tables of the generation when they are altered, schemas and types (pgvector's) when they are renamed or moved.
#![allow(unsafe_code)] // watches PostgreSQL's caches and compares snapshots

use super::PgVector;
use crate::catalog::collection::{Collection, Generation};
use pgrx::pg_guard;
use pgrx::pg_sys::{self, Oid, TransactionId};
use rag::Result;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// Most collections that a backend keeps.
const MAX_KEPT_COLLECTIONS: usize = 64;

thread_local! {
    static KNOWN: RefCell<HashMap<String, LookedUp>> = RefCell::new(HashMap::new());
    /// Counts invalidations.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// A collection and the generation that is searched.
#[derive(Clone)]
pub struct LookedUp {
    pub collection: Collection,
    pub generation: Generation,
    pub pgvector: PgVector,
    /// A snapshot that sees all transactions before this one sees the same.
    since: TransactionId,
}

/// How many invalidations have arrived.
pub fn changes() -> u64 {
    CHANGES.get()
}

impl LookedUp {
    /// What is known, if the active snapshot sees the same; else what it sees.
    pub fn find(name: &str) -> Result<Self> {
        match Self::known(name) {
            Some(known) => Ok(known),
            None => Self::read(name),
        }
    }

    /// What the active snapshot sees.
    pub fn read(name: &str) -> Result<Self> {
        let collection = Collection::by_name(name)?;
        let generation = collection.active_generation()?;
        let since = pg_sys::InvalidTransactionId;
        Ok(Self { collection, generation, pgvector: PgVector::find()?, since })
    }

    fn known(name: &str) -> Option<Self> {
        watch();
        if let Some(known) = KNOWN.with_borrow(|known| known.get(name).cloned()) {
            return is_seen(known.since).then_some(known);
        }
        // What a transaction that has written sees may be its own, and be rolled back. A parallel query takes no new snapshot.
        // SAFETY: reads this process's state.
        let may_not = unsafe {
            pg_sys::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId
                || pg_sys::IsInParallelMode()
        };
        if may_not {
            return None;
        }
        let before = changes();
        // Invalidations that have arrived already are of transactions that only a new snapshot sees for sure.
        // SAFETY: in a transaction; popped below, or by the abort that follows an ERROR.
        let since = unsafe {
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
            (*pg_sys::GetActiveSnapshot()).xmax
        };
        let read = Self::read(name);
        // SAFETY: pushed above; reading has popped its own.
        unsafe { pg_sys::PopActiveSnapshot() };
        // An error is for the caller's own look-up to report.
        let known = Self { since, ..read.ok()? };
        if changes() != before {
            return None;
        }
        KNOWN.with_borrow_mut(|all| {
            if all.len() >= MAX_KEPT_COLLECTIONS {
                all.clear();
            }
            all.insert(name.to_owned(), known.clone());
        });
        is_seen(since).then_some(known)
    }
}

/// Whether the active snapshot sees all transactions before this one.
fn is_seen(since: TransactionId) -> bool {
    // SAFETY: there is an active snapshot while SQL runs.
    unsafe { pg_sys::TransactionIdFollowsOrEquals((*pg_sys::GetActiveSnapshot()).xmin, since) }
}

fn watch() {
    if IS_WATCHING.replace(true) {
        return;
    }
    let none = pg_sys::Datum::from(0);
    // SAFETY: the callbacks stay in memory with the library, which is never unloaded.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(forget_relation), none);
        for cache in [pg_sys::SysCacheIdentifier::NAMESPACEOID, pg_sys::SysCacheIdentifier::TYPEOID]
        {
            pg_sys::CacheRegisterSyscacheCallback(cache.cast_signed(), Some(forget_name), none);
        }
    }
}

/// Any relation: that of another table costs one look-up.
#[pg_guard]
unsafe extern "C-unwind" fn forget_relation(_argument: pg_sys::Datum, _relation: Oid) {
    clear();
}

#[pg_guard]
unsafe extern "C-unwind" fn forget_name(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    clear();
}

fn clear() {
    CHANGES.set(CHANGES.get().wrapping_add(1));
    // While the map is borrowed no catalog is read, so that no invalidation arrives.
    KNOWN.with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            known.clear();
        }
    });
}
