//! What backends, launcher and workers tell each other through shared memory.
//!
//! Atomics and latches only, and no memory is allocated: a commit callback, where an error would be a PANIC, must
//! be able to do all this. Where the library was not preloaded there is no board, and `turnstile` does its work.
#![allow(unsafe_code)] // shared memory and other processes' latches

use crate::sys::guc::worker::MOST_WORKERS;
use crate::sys::process;
use crate::sys::workers::duty::Duty;
use pgrx::{PGRXSharedMemory, PgAtomic, pg_guard, pg_shmem_init, pg_sys};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize};

/// Databases that the board knows at once; those beyond wait for the launcher's next look.
const DATABASES: usize = 256;

static BOARD: PgAtomic<Board> =
    // SAFETY: the name is this library's alone.
    unsafe { PgAtomic::new(c"rag_pg board") };

/// One entry per database, and the launcher's latch.
pub struct Board {
    launcher: AtomicUsize,
    /// See [`Board::pace`].
    pace: AtomicI64,
    entries: [Entry; DATABASES],
}

// SAFETY: nothing but atomics, which mean the same in every process; latches lie in shared memory
// that is mapped at one address.
unsafe impl PGRXSharedMemory for Board {}

/// What there is to say about a database.
#[derive(Default)]
pub struct Entry {
    database: AtomicU32,
    /// A worker that indexes has more than it can do.
    is_busy: AtomicBool,
    /// By [`Duty`].
    posts: [Post; Duty::ALL.len()],
}

/// What there is to say about a database's workers of one kind.
#[derive(Default)]
pub struct Post {
    /// Something to do was committed, or is due, since a worker last looked.
    is_wanted: AtomicBool,
    /// When the next of it is due that nobody waits for, as a `timestamptz`; 0 for none.
    due_at: AtomicI64,
    /// Latches of the workers there are.
    workers: [AtomicUsize; MOST_WORKERS],
}

impl Default for Board {
    fn default() -> Self {
        Self {
            launcher: AtomicUsize::new(0),
            pace: AtomicI64::new(0),
            entries: std::array::from_fn(|_| Entry::default()),
        }
    }
}

/// Reserves the board; called while the library is preloaded.
pub fn init() {
    pg_shmem_init!(BOARD);
    HAS_BOARD.store(true, SeqCst);
}

static HAS_BOARD: AtomicBool = AtomicBool::new(false);

/// The board, where the library was preloaded.
pub fn board() -> Option<&'static Board> {
    // Backends inherit the flag and the pointer from the postmaster.
    HAS_BOARD.load(SeqCst).then(|| BOARD.get())
}

/// Asks for another worker of this database, where there can be any.
pub fn ask_for_help() {
    let database = process::database();
    if let Some(board) = board()
        && let Some(entry) = board.entry(database)
    {
        entry.is_busy.store(true, SeqCst);
        board.wake_launcher();
    }
}

impl Board {
    /// The entry of a database, made if there is room.
    pub fn entry(&self, database: pg_sys::Oid) -> Option<&Entry> {
        let oid = database.to_u32();
        let has = |entry: &&Entry| entry.database.load(SeqCst) == oid;
        if let Some(entry) = self.entries.iter().find(has) {
            return Some(entry);
        }
        let take = |entry: &&Entry| {
            entry
                .database
                .compare_exchange(0, oid, SeqCst, SeqCst)
                .map_or_else(|now| now == oid, |_| true)
        };
        self.entries.iter().find(take)
    }

    /// Entries in use.
    pub fn entries(&self) -> impl Iterator<Item = (pg_sys::Oid, &Entry)> {
        self.entries.iter().filter_map(|entry| match entry.database.load(SeqCst) {
            0 => None,
            oid => Some((pg_sys::Oid::from(oid), entry)),
        })
    }

    /// Until when the rate of `rag_pg.max_tokens_per_second` is filled, as a `timestamptz`: see
    /// [`rag::queue::throttle`].
    pub fn pace(&self) -> &AtomicI64 {
        &self.pace
    }

    /// Whether a worker that indexes this process's database is running.
    pub fn has_worker(&self) -> bool {
        let here = process::database();
        let has = |post: &Post| post.workers.iter().any(|worker| worker.load(SeqCst) != 0);
        self.entries().any(|(database, entry)| database == here && has(entry.post(Duty::Index)))
    }

    /// Notes the launcher's latch, this process's.
    pub fn register_launcher(&self) {
        self.launcher.store(my_latch(), SeqCst);
    }

    /// Wakes the launcher.
    pub fn wake_launcher(&self) {
        set_latch(self.launcher.load(SeqCst));
    }

    /// There is something to do in `database`: its workers look again, or the launcher starts one.
    pub fn call(&self, database: pg_sys::Oid, duty: Duty) {
        if let Some(entry) = self.entry(database) {
            let post = entry.post(duty);
            // First the flag, then the latches: a worker that leaves takes its latch back first and
            // reads the flag then, so one of the two sees the other.
            let was_wanted = post.is_wanted.swap(true, SeqCst);
            let mut is_there = false;
            for worker in &post.workers {
                let latch = worker.load(SeqCst);
                is_there |= latch != 0;
                set_latch(latch);
            }
            if is_there {
                return;
            }
            if was_wanted {
                return; // The launcher was woken for it, and has not got to it yet.
            }
        }
        self.wake_launcher();
    }
}

impl Entry {
    /// Its workers of a kind.
    pub fn post(&self, duty: Duty) -> &Post {
        &self.posts[duty as usize]
    }

    /// Forgets a database that was dropped.
    pub fn clear(&self) {
        for post in &self.posts {
            post.is_wanted.store(false, SeqCst);
            post.due_at.store(0, SeqCst);
        }
        self.is_busy.store(false, SeqCst);
        self.database.store(0, SeqCst);
    }

    /// Whether a worker asked for another since this was last called.
    pub fn take_busy(&self) -> bool {
        self.is_busy.swap(false, SeqCst)
    }
}

impl Post {
    /// Asks for a worker.
    pub fn want(&self) {
        self.is_wanted.store(true, SeqCst);
    }

    /// Whether a worker is asked for.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(SeqCst)
    }

    /// Whether a worker was asked for since this was last called.
    pub fn take_wanted(&self) -> bool {
        self.is_wanted.swap(false, SeqCst)
    }

    /// Notes when a worker is wanted again; `None`: when somebody calls.
    pub fn set_due(&self, at: Option<i64>) {
        self.due_at.store(at.unwrap_or(0), SeqCst);
    }

    /// When a worker is wanted again.
    pub fn due(&self) -> Option<i64> {
        Some(self.due_at.load(SeqCst)).filter(|at| *at != 0)
    }

    /// Notes this process's latch as a worker's. False when there are `most` already.
    pub fn register_worker(&self, most: usize) -> bool {
        let mine = my_latch();
        let take = |worker: &AtomicUsize| worker.compare_exchange(0, mine, SeqCst, SeqCst).is_ok();
        self.workers.iter().take(most).any(take)
    }

    /// Takes this process's latch back.
    pub fn unregister_worker(&self) {
        let mine = my_latch();
        for worker in &self.workers {
            let _ = worker.compare_exchange(mine, 0, SeqCst, SeqCst);
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
        // Whose it is by now does not matter: a latch set for nothing is looked at and reset.
        unsafe { pg_sys::SetLatch(latch as *mut pg_sys::Latch) };
    }
}
