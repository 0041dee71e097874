//! Keeping a generation's tables from being dropped while they are used.
#![allow(unsafe_code)] // takes locks by number, before names are looked up

use crate::catalog::collection::Generation;
use crate::sys::privileges::relation_owner;
use pgrx::pg_sys;

impl Generation {
    /// Locks the generation's tables against being dropped until the transaction ends. False when they
    /// are gone already; the catalog row that named them may still be in sight of an old snapshot.
    pub fn hold(&self) -> bool {
        [Some(self.documents), Some(self.chunks), self.bits].into_iter().flatten().all(|table| {
            // SAFETY: in a transaction. A number without a table can be locked as well, and waiting for
            // the lock brings this process's caches up to date.
            unsafe { pg_sys::LockRelationOid(table, pg_sys::AccessShareLock.cast_signed()) };
            relation_owner(table).is_some()
        })
    }
}

/// Locks a relation before its name is looked up, so that a statement which names it finds no other.
pub fn lock_exclusively(relation: pg_sys::Oid) {
    // SAFETY: in a transaction.
    unsafe { pg_sys::LockRelationOid(relation, pg_sys::AccessExclusiveLock.cast_signed()) };
}
