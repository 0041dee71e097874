//! How writers and a worker find each other without shared memory: by two heavyweight locks on the database.
//!
//! A worker holds `running`. A transaction that is about to commit changes holds `writing` in share mode until its end and
//! checks whether `running` is held; if not, it registers a worker. A worker that wants to exit takes `writing` exclusively,
//! so it stays while a transaction that saw it is committing.
//!
//! A prepared transaction keeps `writing`, also through a restart, until it is committed or rolled back. No code of ours runs
//! then: the lock is how workers know, with shared memory too, that changes may become visible at any time.
#![allow(unsafe_code)] // heavyweight locks

use crate::sys::process;
use crate::sys::spi::{read, required};
use crate::sys::workers::shared_state::WorkerKind;
use pgrx::pg_sys;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The locks of workers of a kind.
#[derive(Debug, Clone, Copy)]
pub struct WorkerLocks {
    /// Held by the worker.
    pub running: AdvisoryLock,
    /// Shared by writers from their check to the end of their transaction.
    pub writing: AdvisoryLock,
}

/// The locks of workers of a kind.
pub fn locks_of(kind: WorkerKind) -> WorkerLocks {
    let lock = |number| AdvisoryLock(0, number);
    match kind {
        WorkerKind::Index => WorkerLocks { running: lock(1), writing: lock(2) },
        WorkerKind::Answer => WorkerLocks { running: lock(3), writing: lock(4) },
    }
}

/// Held by the process that builds the vector index of a generation.
pub fn index_build(generation: i32) -> AdvisoryLock {
    AdvisoryLock(1, generation.unsigned_abs())
}

/// Held by the transaction that replaces segments of the inverted file of a generation.
pub fn inverted_file(generation: i32) -> AdvisoryLock {
    AdvisoryLock(3, generation.unsigned_abs())
}

/// Held by one of the index builders that a database may have.
pub fn builder_slot(number: u32) -> AdvisoryLock {
    AdvisoryLock(2, number)
}

/// Held by the transaction that creates a collection of this name.
pub fn collection_name(name: &str) -> AdvisoryLock {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    AdvisoryLock(4, hasher.finish() as u32)
}

/// Distinguishes our locks from users' advisory ones, which have 1 (bigint key) or 2 (two int keys) in this field.
const CLASS: u16 = 0x5261;

/// An advisory lock of this database.
#[derive(Debug, Clone, Copy)]
pub struct AdvisoryLock(u32, u32);

impl AdvisoryLock {
    fn tag(self) -> pg_sys::LOCKTAG {
        pg_sys::LOCKTAG {
            locktag_field1: process::database().to_u32(),
            locktag_field2: self.0,
            locktag_field3: self.1,
            locktag_field4: CLASS,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        }
    }

    /// Whether a process holds it, read without taking it: a concurrent attempt to take it does not fail.
    pub fn is_held(self) -> bool {
        let sql = statement!("sys/status_lock");
        let tag = self.tag();
        let number = |field: u32| i64::from(field);
        let args = [
            number(tag.locktag_field1).into(),
            number(tag.locktag_field2).into(),
            number(tag.locktag_field3).into(),
            i32::from(tag.locktag_field4).into(),
        ];
        read(sql, &args, |row| required::<bool>(&row, 1)) == [true]
    }

    /// The fields of its tag that all locks of its kind share: database, kind and class.
    pub fn fields(self) -> (i64, i64, i32) {
        let tag = self.tag();
        let (database, kind) = (tag.locktag_field1, tag.locktag_field2);
        (i64::from(database), i64::from(kind), i32::from(tag.locktag_field4))
    }

    /// Takes the lock for the session, if it is free.
    pub fn try_exclusive(self) -> bool {
        self.acquire(pg_sys::ExclusiveLock, true, false)
    }

    /// Takes the lock until the transaction ends, if it is free.
    pub fn try_exclusive_for_transaction(self) -> bool {
        self.acquire(pg_sys::ExclusiveLock, false, false)
    }

    /// Takes the lock until the transaction ends; waits for who holds it.
    pub fn lock_exclusive_for_transaction(self) {
        self.acquire(pg_sys::ExclusiveLock, false, true);
    }

    /// Releases what [`Self::try_exclusive`] took.
    pub fn release(self) {
        let tag = self.tag();
        // SAFETY: a valid tag; releasing what is not held is a WARNING.
        unsafe { pg_sys::LockRelease(&raw const tag, pg_sys::ExclusiveLock as i32, true) };
    }

    /// Takes the lock in share mode until the transaction ends, unless it is held exclusively.
    pub fn try_shared(self) -> bool {
        self.acquire(pg_sys::ShareLock, false, false)
    }

    /// Takes the lock in share mode until the transaction ends; waits for a worker that is checking whether to exit.
    pub fn lock_shared(self) {
        self.acquire(pg_sys::ShareLock, false, true);
    }

    fn acquire(self, mode: u32, for_session: bool, waits: bool) -> bool {
        acquire(&self.tag(), mode, for_session, waits)
    }
}

/// Takes a lock if that needs no waiting.
pub(super) fn try_acquire(tag: &pg_sys::LOCKTAG, mode: u32, for_session: bool) -> bool {
    acquire(tag, mode, for_session, false)
}

/// A full lock table counts as "not available", not as an error.
fn acquire(tag: &pg_sys::LOCKTAG, mode: u32, for_session: bool, waits: bool) -> bool {
    let mode = mode.cast_signed();
    // SAFETY: a valid tag; with these arguments the call raises no error but that of a deadlock.
    let result = unsafe {
        pg_sys::LockAcquireExtended(
            std::ptr::from_ref(tag),
            mode,
            for_session,
            !waits,
            false,
            std::ptr::null_mut(),
            #[cfg(feature = "pg18")]
            false,
        )
    };
    result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}
