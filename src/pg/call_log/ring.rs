//! Records on their way from sessions to a worker, in shared memory.
//!
//! Places that are taken and given back by their state alone, without a lock: a session that is being cancelled, and
//! so unwinds, leaves its records here too.
#![allow(unsafe_code)] // shared memory

use super::Record;
use crate::remote::Purpose;
use pgrx::{PGRXSharedMemory, PgAtomic, pg_guard, pg_shmem_init, pg_sys};
use std::cell::UnsafeCell;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// Records that wait at once, of all databases: a worker is called for each, and takes all there are.
const PLACES: usize = 512;
/// Most bytes of a text. Names of models are shorter, and providers' ids end here.
const TEXT: usize = 128;

const FREE: u32 = 0;
const BUSY: u32 = 1;
const FULL: u32 = 2;

static RING: PgAtomic<Ring> =
    // SAFETY: the name is this library's alone.
    unsafe { PgAtomic::new(c"rag_pg calls") };

static IS_SHARED: AtomicBool = AtomicBool::new(false);

struct Ring {
    places: [Place; PLACES],
    /// Records that found no place.
    lost: AtomicU64,
}

#[derive(Default)]
struct Place {
    state: AtomicU32,
    flat: UnsafeCell<Flat>,
}

/// A record without pointers.
#[derive(Clone, Copy)]
struct Flat {
    database: u32,
    role: u32,
    collection: i32,
    purpose: Purpose,
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
    bytes: [u8; TEXT],
}

impl Text {
    fn new(text: &str) -> Self {
        let end = text.floor_char_boundary(TEXT);
        let mut bytes = [0; TEXT];
        bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        Self { length: end as u8, bytes }
    }

    fn get(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..usize::from(self.length).min(TEXT)]).into_owned()
    }
}

impl Default for Flat {
    fn default() -> Self {
        Self {
            database: 0,
            role: 0,
            collection: 0,
            purpose: Purpose::Query,
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
        Self { places: std::array::from_fn(|_| Place::default()), lost: AtomicU64::new(0) }
    }
}

// SAFETY: atomics, and plain values that only the one who set their place's state to BUSY touches.
unsafe impl PGRXSharedMemory for Ring {}
// SAFETY: the same holds between threads.
unsafe impl Sync for Place {}

/// Reserves shared memory while the library is preloaded.
pub fn init() {
    if crate::pg::preload::is_preloading() {
        pg_shmem_init!(RING);
        IS_SHARED.store(true, Relaxed);
    }
}

fn ring() -> Option<&'static Ring> {
    IS_SHARED.load(Relaxed).then(|| RING.get())
}

/// Leaves records for a worker of `database`. Those that find no place are counted.
pub fn put(database: pg_sys::Oid, records: &[Record]) {
    let Some(ring) = ring() else { return };
    let mut places = ring.places.iter();
    for record in records {
        let flat = Flat::new(database, record);
        if !places.any(|place| place.put(&flat)) {
            ring.lost.fetch_add(1, Relaxed);
        }
    }
}

/// The records that were left for `database`.
pub fn take(database: pg_sys::Oid) -> Vec<Record> {
    let places = ring().map(|ring| ring.places.iter()).into_iter().flatten();
    let mut taken: Vec<Record> = places
        .filter_map(|place| place.take(database.to_u32()))
        .map(|flat| flat.record())
        .collect();
    taken.sort_by(|a, b| a.at.total_cmp(&b.at));
    taken
}

/// How many records found no place since this was last asked.
pub fn take_lost() -> u64 {
    ring().map_or(0, |ring| ring.lost.swap(0, Relaxed))
}

impl Place {
    /// False where it is taken.
    fn put(&self, flat: &Flat) -> bool {
        if self.state.compare_exchange(FREE, BUSY, AcqRel, Relaxed).is_err() {
            return false;
        }
        // SAFETY: BUSY is ours until we set it to something else.
        unsafe { *self.flat.get() = *flat };
        self.state.store(FULL, Release);
        true
    }

    fn take(&self, database: u32) -> Option<Flat> {
        self.state.compare_exchange(FULL, BUSY, AcqRel, Acquire).ok()?;
        // SAFETY: BUSY is ours until we set it to something else.
        let flat = unsafe { *self.flat.get() };
        let is_ours = flat.database == database;
        self.state.store(if is_ours { FREE } else { FULL }, Release);
        is_ours.then_some(flat)
    }
}

impl Flat {
    fn new(database: pg_sys::Oid, record: &Record) -> Self {
        Self {
            database: database.to_u32(),
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
