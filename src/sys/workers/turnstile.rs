//! How writers and a worker find each other without shared memory of ours: by two locks on the database.
//!
//! A worker holds `running`. A writer that is about to commit holds `writing`, shared with the others,
//! until its transaction ends, and looks whether `running` is held; if not, it registers a worker. A
//! worker that wants to leave needs `writing` for itself: so it stays while somebody is committing who
//! saw it there.
//!
//! A prepared transaction keeps `writing`, also through a restart, until somebody commits it or rolls it back. Nothing of
//! ours runs then, so that is how workers know, with a board too, that changes may become visible at any time.
#![allow(unsafe_code)] // heavyweight locks

use crate::sys::process;
use crate::sys::spi::{read, required};
use crate::sys::workers::duty::Duty;
use pgrx::pg_sys;

/// The locks of a kind of worker and of those who call it.
#[derive(Debug, Clone, Copy)]
pub struct Turnstile {
    /// Held by the worker.
    pub running: Lock,
    /// Shared by writers between their look and the end of their transaction.
    pub writing: Lock,
}

/// The turnstile of workers of a duty.
pub fn of(duty: Duty) -> Turnstile {
    match duty {
        Duty::Index => Turnstile { running: Lock(0, 1), writing: Lock(0, 2) },
        Duty::Answer => Turnstile { running: Lock(0, 3), writing: Lock(0, 4) },
    }
}

/// Held by who builds the vector index of a generation.
pub fn building(generation: i32) -> Lock {
    Lock(1, generation.unsigned_abs())
}

/// Held by a process that builds an index: one of those that a database has.
pub fn building_slot(number: u32) -> Lock {
    Lock(2, number)
}

/// Distinguishes our locks from users' advisory ones, which have 1 and 2 here.
const CLASS: u16 = 0x5261;

/// A lock of this database.
#[derive(Debug, Clone, Copy)]
pub struct Lock(u32, u32);

impl Lock {
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

    /// Whether somebody has it. Looks without taking it, so that nobody else fails to.
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

    /// The fields of its tag that all locks of builders share: database, kind and class.
    pub fn fields(self) -> (i64, i64, i32) {
        let tag = self.tag();
        let (database, kind) = (tag.locktag_field1, tag.locktag_field2);
        (i64::from(database), i64::from(kind), i32::from(tag.locktag_field4))
    }

    /// Takes the lock for the session, if nobody has it.
    pub fn try_exclusive(self) -> bool {
        self.acquire(pg_sys::ExclusiveLock, true, false)
    }

    /// Takes the lock until the transaction ends, if nobody has it.
    pub fn try_exclusive_for_transaction(self) -> bool {
        self.acquire(pg_sys::ExclusiveLock, false, false)
    }

    /// Gives back what [`Self::try_exclusive`] took.
    pub fn release(self) {
        let tag = self.tag();
        // SAFETY: a valid tag; releasing what is not held is a WARNING.
        unsafe { pg_sys::LockRelease(&raw const tag, pg_sys::ExclusiveLock as i32, true) };
    }

    /// Takes the lock, shared, until the transaction ends, unless somebody has it alone.
    pub fn try_shared(self) -> bool {
        self.acquire(pg_sys::ShareLock, false, false)
    }

    /// Takes the lock, shared, until the transaction ends; waits for a worker that is just looking.
    pub fn share(self) {
        self.acquire(pg_sys::ShareLock, false, true);
    }

    fn acquire(self, mode: u32, for_session: bool, waits: bool) -> bool {
        acquire(&self.tag(), mode, for_session, waits)
    }
}

/// Whether somebody is about to drop or rename this database, or to copy it: what waits until nobody is connected,
/// for five seconds at the most, has a lock on it then.
pub fn is_database_wanted() -> bool {
    let tag = pg_sys::LOCKTAG {
        locktag_field1: 0, // It is shared by all databases.
        locktag_field2: pg_sys::DatabaseRelationId.to_u32(),
        locktag_field3: process::database().to_u32(),
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    };
    // What a connection takes while it begins.
    let mode = pg_sys::RowExclusiveLock;
    if !acquire(&tag, mode, true, false) {
        return true;
    }
    // SAFETY: taken above.
    unsafe { pg_sys::LockRelease(&raw const tag, mode.cast_signed(), true) };
    false
}

/// Takes a lock, without waiting unless it `waits`; a full lock table counts as "not to be had", not as an error.
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
