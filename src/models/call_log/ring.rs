//! Records on their way from sessions to a worker, in shared memory.
//!
//! Slots that are taken and given back by their state alone, without a lock: a session that is being cancelled, and
//! so unwinds, leaves its records here too. A record keeps its slot until the transaction that stores it commits; an abort,
//! also one that ends the process, makes it available again.
#![allow(unsafe_code)] // shared memory, callbacks of transactions

use crate::models::call_log::Record;
use pgrx::{PGRXSharedMemory, PgAtomic, pg_guard, pg_shmem_init, pg_sys};
use rag::remote::CallPurpose;
use std::cell::UnsafeCell;
use std::sync::Once;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// Pending records of all databases. Each one wakes a worker, which takes all there are.
const SLOTS: usize = 512;
/// Most bytes of a text. Names of models are shorter, and providers' ids end here.
const MAX_TEXT_BYTES: usize = 128;

const FREE: u32 = 0;
/// Being written.
const BUSY: u32 = 1;
const FULL: u32 = 2;
/// A transaction under way stores it.
const TAKEN: u32 = 3;

static RING: PgAtomic<Ring> =
    // SAFETY: the name is this library's alone.
    unsafe { PgAtomic::new(c"rag_pg calls") };

static IS_SHARED: AtomicBool = AtomicBool::new(false);

/// The slots that this process's transaction stores, a bit each.
static TAKEN_HERE: [AtomicU64; SLOTS / 64] = [const { AtomicU64::new(0) }; SLOTS / 64];

struct Ring {
    slots: [RecordSlot; SLOTS],
    /// Records for which there was no slot.
    lost: AtomicU64,
}

/// The same in this process, where there is no shared memory.
static LOST_HERE: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
struct RecordSlot {
    state: AtomicU32,
    /// The database of the record.
    database: AtomicU32,
    flat: UnsafeCell<FlatRecord>,
}

/// A record without pointers.
#[derive(Clone, Copy)]
struct FlatRecord {
    role: u32,
    collection: i32,
    purpose: CallPurpose,
    items: i32,
    attempts: i32,
    status: u16,
    is_estimate: bool,
    succeeded: bool,
    has_cost: bool,
    at: f64,
    cost: f64,
    input_tokens: i64,
    output_tokens: i64,
    milliseconds: i64,
    model: Text,
    request_id: Text,
}

#[derive(Clone, Copy)]
struct Text {
    length: u8,
    bytes: [u8; MAX_TEXT_BYTES],
}

impl Text {
    fn new(text: &str) -> Self {
        let end = text.floor_char_boundary(MAX_TEXT_BYTES);
        let mut bytes = [0; MAX_TEXT_BYTES];
        bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        Self { length: end as u8, bytes }
    }

    fn get(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..usize::from(self.length).min(MAX_TEXT_BYTES)])
            .into_owned()
    }
}

impl Default for FlatRecord {
    fn default() -> Self {
        Self {
            role: 0,
            collection: 0,
            purpose: CallPurpose::Query,
            items: 0,
            attempts: 0,
            status: 0,
            is_estimate: false,
            succeeded: false,
            has_cost: false,
            at: 0.0,
            cost: 0.0,
            input_tokens: 0,
            output_tokens: 0,
            milliseconds: 0,
            model: Text::new(""),
            request_id: Text::new(""),
        }
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self { slots: std::array::from_fn(|_| RecordSlot::default()), lost: AtomicU64::new(0) }
    }
}

// SAFETY: atomics, and plain values that only the process that set their slot's state to BUSY writes, and only the process
// that set it to TAKEN reads.
unsafe impl PGRXSharedMemory for Ring {}
// SAFETY: the same holds between threads.
unsafe impl Sync for RecordSlot {}

/// Reserves shared memory while the library is preloaded.
pub fn init() {
    if crate::sys::process::is_preloading() {
        pg_shmem_init!(RING);
        IS_SHARED.store(true, Relaxed);
    }
}

fn ring() -> Option<&'static Ring> {
    IS_SHARED.load(Relaxed).then(|| RING.get())
}

/// Puts records into free slots. Returns how many found none.
pub fn put(database: pg_sys::Oid, records: &[Record]) -> usize {
    let Some(ring) = ring() else { return records.len() };
    let mut slots = ring.slots.iter();
    let put = |record: &&Record| {
        let flat = FlatRecord::new(record);
        slots.any(|slot| slot.put(database.to_u32(), &flat))
    };
    records.len() - records.iter().filter(put).count()
}

/// Takes up to `most` records of `database`. Commit of this transaction frees their slots, abort gives them back.
pub fn take(database: pg_sys::Oid, most: usize) -> Vec<Record> {
    watch_transactions();
    let slots = ring().map(|ring| ring.slots.iter()).into_iter().flatten().enumerate();
    let mut taken: Vec<Record> = slots
        .filter_map(|(at, slot)| slot.take(at, database.to_u32()))
        .map(|flat| flat.record())
        .take(most)
        .collect();
    taken.sort_by(|a, b| a.at.total_cmp(&b.at));
    taken
}

/// Whether there are records of `database` that no transaction is storing.
pub fn has(database: pg_sys::Oid) -> bool {
    let is_one = |slot: &RecordSlot| {
        slot.state.load(Relaxed) == FULL && slot.database.load(Relaxed) == database.to_u32()
    };
    ring().is_some_and(|ring| ring.slots.iter().any(is_one))
}

/// Counts records that are not stored.
pub fn lose(records: usize) {
    match ring() {
        Some(ring) => ring.lost.fetch_add(records as u64, Relaxed),
        None => LOST_HERE.fetch_add(records as u64, Relaxed),
    };
}

/// How many records were lost since this was last asked.
pub fn take_lost() -> u64 {
    LOST_HERE.swap(0, Relaxed) + ring().map_or(0, |ring| ring.lost.swap(0, Relaxed))
}

fn watch_transactions() {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // SAFETY: the callback lives as long as the process: libraries are never unloaded.
        unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
    });
}

/// After a commit an error would be a PANIC: atomics only.
#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut std::ffi::c_void) {
    let state = match event {
        pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PREPARE => FREE,
        pg_sys::XactEvent::XACT_EVENT_ABORT => FULL,
        _ => return,
    };
    let Some(ring) = ring() else { return };
    for (slots, taken) in ring.slots.chunks(64).zip(&TAKEN_HERE) {
        let mut bits = taken.swap(0, Relaxed);
        while bits != 0 {
            slots[bits.trailing_zeros() as usize].state.store(state, Release);
            bits &= bits - 1;
        }
    }
}

impl RecordSlot {
    /// False where it is taken.
    fn put(&self, database: u32, flat: &FlatRecord) -> bool {
        if self.state.compare_exchange(FREE, BUSY, AcqRel, Relaxed).is_err() {
            return false;
        }
        // SAFETY: BUSY is ours until we set it to something else.
        unsafe { *self.flat.get() = *flat };
        self.database.store(database, Relaxed);
        self.state.store(FULL, Release);
        true
    }

    /// Takes the record of the slot `at`, if there is one for this database.
    fn take(&self, at: usize, database: u32) -> Option<FlatRecord> {
        let is_ours = || self.database.load(Relaxed) == database;
        if self.state.load(Acquire) != FULL || !is_ours() {
            return None;
        }
        self.state.compare_exchange(FULL, TAKEN, AcqRel, Acquire).ok()?;
        if !is_ours() {
            // It was freed and filled meanwhile.
            self.state.store(FULL, Release);
            return None;
        }
        TAKEN_HERE[at / 64].fetch_or(1 << (at % 64), Relaxed);
        // SAFETY: TAKEN is ours until we set it to something else.
        Some(unsafe { *self.flat.get() })
    }
}

impl FlatRecord {
    fn new(record: &Record) -> Self {
        Self {
            role: record.role.to_u32(),
            collection: record.collection.unwrap_or(0),
            purpose: record.purpose,
            items: record.items,
            attempts: record.attempts,
            status: record.status.unwrap_or(0),
            is_estimate: record.is_estimate,
            succeeded: record.succeeded,
            has_cost: record.cost.is_some(),
            at: record.at,
            cost: record.cost.unwrap_or(0.0),
            input_tokens: record.input_tokens,
            output_tokens: record.output_tokens,
            milliseconds: record.milliseconds,
            model: Text::new(&record.model),
            request_id: Text::new(&record.request_id),
        }
    }

    fn record(&self) -> Record {
        Record {
            at: self.at,
            role: pg_sys::Oid::from(self.role),
            collection: Some(self.collection).filter(|id| *id != 0),
            model: self.model.get(),
            purpose: self.purpose,
            items: self.items,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            is_estimate: self.is_estimate,
            milliseconds: self.milliseconds,
            attempts: self.attempts,
            status: Some(self.status).filter(|status| *status != 0),
            succeeded: self.succeeded,
            request_id: self.request_id.get(),
            cost: self.has_cost.then_some(self.cost),
        }
    }
}
