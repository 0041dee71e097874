//! The workers' state in shared memory: which databases have work, and the latches of the workers there are.
//!
//! Atomics and latches only, and no memory is allocated: a commit callback, where an error would be a PANIC, uses all of
//! this. Without preloading there is no shared memory, and the locks of `admission` are used instead.
#![allow(unsafe_code)] // shared memory and other processes' latches

use crate::sys::guc::worker::MAX_WORKERS;
use crate::sys::process;
use pgrx::{PGRXSharedMemory, PgAtomic, pg_guard, pg_shmem_init, pg_sys};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize};

/// A kind of background worker. Answers have a worker of their own, which no batch of documents delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerKind {
    /// Indexes documents.
    Index,
    /// Has models write the answers that were submitted.
    Answer,
}

impl WorkerKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Index, Self::Answer];

    /// Its `backend_type` in `pg_stat_activity`.
    pub fn process_name(self) -> &'static str {
        match self {
            Self::Index => "rag_pg worker",
            Self::Answer => "rag_pg answer worker",
        }
    }

    /// Most workers of the kind in a database. One answer worker runs all answers at once.
    pub fn max_workers(self) -> usize {
        match self {
            Self::Index => MAX_WORKERS,
            Self::Answer => 1,
        }
    }
}

/// Databases with an entry. Those beyond wait for the launcher's next look.
const DATABASES: usize = 256;

static STATE: PgAtomic<WorkerState> =
    // SAFETY: the name is this library's alone.
    unsafe { PgAtomic::new(c"rag_pg worker state") };

/// The shared state of all workers.
pub struct WorkerState {
    launcher: AtomicUsize,
    rate_filled_until: AtomicI64,
    databases: [DatabaseEntry; DATABASES],
}

// SAFETY: nothing but atomics, which mean the same in every process; latches lie in shared memory
// that is mapped at one address.
unsafe impl PGRXSharedMemory for WorkerState {}

/// A database's workers.
#[derive(Default)]
pub struct DatabaseEntry {
    database: AtomicU32,
    /// An indexing worker has more jobs than it can do soon.
    needs_helper: AtomicBool,
    /// A worker has told the log that the database has another version of the extension than the library.
    is_outdated_logged: AtomicBool,
    /// By [`WorkerKind`].
    slots: [WorkerSlots; WorkerKind::ALL.len()],
}

/// A database's workers of one kind.
#[derive(Default)]
pub struct WorkerSlots {
    /// Work was committed, or came due, since a worker last looked.
    is_wake_requested: AtomicBool,
    /// Next retry time as a `timestamptz` if no worker waits for it; 0 if none is scheduled.
    wake_at: AtomicI64,
    /// Latches of running workers.
    latches: [AtomicUsize; MAX_WORKERS],
}

impl Default for WorkerState {
    fn default() -> Self {
        Self {
            launcher: AtomicUsize::new(0),
            rate_filled_until: AtomicI64::new(0),
            databases: std::array::from_fn(|_| DatabaseEntry::default()),
        }
    }
}

/// Reserves the shared memory; called while the library is preloaded.
pub fn init() {
    pg_shmem_init!(STATE);
    IS_RESERVED.store(true, SeqCst);
}

static IS_RESERVED: AtomicBool = AtomicBool::new(false);

/// The shared state; `None` if the library was not preloaded.
pub fn shared_state() -> Option<&'static WorkerState> {
    // Backends inherit the flag and the pointer from the postmaster.
    IS_RESERVED.load(SeqCst).then(|| STATE.get())
}

/// Asks the launcher for another indexing worker of this database.
pub fn request_helper() {
    let database = process::database();
    if let Some(state) = shared_state()
        && let Some(entry) = state.entry(database)
    {
        entry.needs_helper.store(true, SeqCst);
        state.wake_launcher();
    }
}

impl WorkerState {
    /// The entry of a database, made if there is room.
    pub fn entry(&self, database: pg_sys::Oid) -> Option<&DatabaseEntry> {
        let oid = database.to_u32();
        let has = |entry: &&DatabaseEntry| entry.database.load(SeqCst) == oid;
        if let Some(entry) = self.databases.iter().find(has) {
            return Some(entry);
        }
        let take = |entry: &&DatabaseEntry| {
            entry
                .database
                .compare_exchange(0, oid, SeqCst, SeqCst)
                .map_or_else(|now| now == oid, |_| true)
        };
        self.databases.iter().find(take)
    }

    /// Entries in use.
    pub fn entries(&self) -> impl Iterator<Item = (pg_sys::Oid, &DatabaseEntry)> {
        self.databases.iter().filter_map(|entry| match entry.database.load(SeqCst) {
            0 => None,
            oid => Some((pg_sys::Oid::from(oid), entry)),
        })
    }

    /// Until when `rag_pg.max_tokens_per_second` is used up, as a `timestamptz`: see [`rag::queue::throttle`].
    pub fn rate_filled_until(&self) -> &AtomicI64 {
        &self.rate_filled_until
    }

    /// Whether an indexing worker of this database is running.
    pub fn has_worker(&self) -> bool {
        let here = process::database();
        let is_running =
            |slots: &WorkerSlots| slots.latches.iter().any(|latch| latch.load(SeqCst) != 0);
        self.entries()
            .any(|(database, entry)| database == here && is_running(entry.slots(WorkerKind::Index)))
    }

    /// Registers this process as the launcher.
    pub fn register_launcher(&self) {
        self.launcher.store(my_latch(), SeqCst);
    }

    pub fn wake_launcher(&self) {
        set_latch(self.launcher.load(SeqCst));
    }

    /// Wakes the workers of a database, or the launcher, which starts one.
    pub fn wake(&self, database: pg_sys::Oid, kind: WorkerKind) {
        if let Some(entry) = self.entry(database) {
            let slots = entry.slots(kind);
            // First the flag, then the latches: a worker that exits first unregisters its latch and then reads the flag,
            // so one of the two sees the other.
            let was_requested = slots.is_wake_requested.swap(true, SeqCst);
            let mut is_running = false;
            for latch in &slots.latches {
                let latch = latch.load(SeqCst);
                is_running |= latch != 0;
                set_latch(latch);
            }
            if is_running || was_requested {
                return; // If it was requested, the launcher is awake and has not got to it yet.
            }
        }
        self.wake_launcher();
    }
}

impl DatabaseEntry {
    /// Its workers of a kind.
    pub fn slots(&self, kind: WorkerKind) -> &WorkerSlots {
        &self.slots[kind as usize]
    }

    /// Frees the entry of a database that was dropped.
    pub fn clear(&self) {
        for slots in &self.slots {
            slots.is_wake_requested.store(false, SeqCst);
            slots.wake_at.store(0, SeqCst);
        }
        self.needs_helper.store(false, SeqCst);
        self.set_outdated_logged(false);
        self.database.store(0, SeqCst);
    }

    /// Notes whether the log has been told that the extension is of another version here. Returns what was noted.
    pub fn set_outdated_logged(&self, is_logged: bool) -> bool {
        self.is_outdated_logged.swap(is_logged, SeqCst)
    }

    /// Whether a worker asked for a helper since this was last called.
    pub fn take_helper_request(&self) -> bool {
        self.needs_helper.swap(false, SeqCst)
    }
}

impl WorkerSlots {
    /// Has a worker look for work, or be started.
    pub fn request_wake(&self) {
        self.is_wake_requested.store(true, SeqCst);
    }

    /// Whether a request is open.
    pub fn is_wake_requested(&self) -> bool {
        self.is_wake_requested.load(SeqCst)
    }

    /// Takes the request, if one is open.
    pub fn take_wake_request(&self) -> bool {
        self.is_wake_requested.swap(false, SeqCst)
    }

    /// Schedules a wake-up by the launcher, or cancels it.
    pub fn set_wake_at(&self, at: Option<i64>) {
        self.wake_at.store(at.unwrap_or(0), SeqCst);
    }

    /// The scheduled wake-up.
    pub fn wake_at(&self) -> Option<i64> {
        Some(self.wake_at.load(SeqCst)).filter(|at| *at != 0)
    }

    /// Registers this process's latch as a worker's. False if `most` are registered already.
    pub fn register_worker(&self, most: usize) -> bool {
        let mine = my_latch();
        let take = |latch: &AtomicUsize| latch.compare_exchange(0, mine, SeqCst, SeqCst).is_ok();
        self.latches.iter().take(most).any(take)
    }

    /// Unregisters this process's latch.
    pub fn unregister_worker(&self) {
        let mine = my_latch();
        for latch in &self.latches {
            let _ = latch.compare_exchange(mine, 0, SeqCst, SeqCst);
        }
    }
}

fn my_latch() -> usize {
    // SAFETY: reads this process's variable. In a process with a PGPROC the latch is in shared memory.
    unsafe { pg_sys::MyLatch as usize }
}

fn set_latch(latch: usize) {
    if latch != 0 {
        // SAFETY: the address of a latch in the array of processes, which lasts as long as the server.
        // Another process may own it by now: a spurious wake-up is harmless.
        unsafe { pg_sys::SetLatch(latch as *mut pg_sys::Latch) };
    }
}
