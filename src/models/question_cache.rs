//! The cache of question embeddings: in shared memory where the library was preloaded, else in each
//! backend.
//!
//! A vector reveals nothing about rows, and no text is kept. The time a query takes shows whether it was asked before;
//! `rag_pg.query_cache_size = 0` turns the cache off.
#![allow(unsafe_code)] // shared memory

use crate::sys::guc::question_cache::size;
use crate::sys::process::is_preloading;
use crate::sys::shmem::{Area, reserve};
use rag::search::question_cache::{Cache, Counters, NUMBERS, Slot};
use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::atomic::AtomicPtr;

/// Most slots of a backend's own cache.
const MAX_OWN_SLOTS: usize = 16;

/// Counters, slots, and the numbers of each.
static SHARED: Area = Area {
    name: c"rag_pg query cache",
    bytes: || size_of::<Counters>() + size() * (size_of::<Slot>() + NUMBERS * size_of::<f32>()),
    initialise: empty,
    start: AtomicPtr::new(std::ptr::null_mut()),
};

thread_local! {
    static OWN: RefCell<(Counters, Vec<Slot>, Vec<f32>)> = const { RefCell::new((Counters::new(), Vec::new(), Vec::new())) };
}

/// Reserves shared memory; called while the library is loaded.
pub fn init() {
    if is_preloading() && size() > 0 {
        reserve(&SHARED);
    }
}

/// Marks slots empty and writes nothing else, so that the memory is not allocated at once.
unsafe fn empty(start: *mut c_void) {
    // SAFETY: the memory is as large as was requested, and aligned for any type.
    unsafe {
        let counters = start.cast::<Counters>();
        counters.write(Counters::new());
        for slot in 0..size() {
            counters.add(1).cast::<Slot>().add(slot).write(Slot::EMPTY);
        }
    }
}

/// Runs `body` on the cache, under its lock. `body` must not raise an error.
pub fn with<T>(body: impl FnOnce(&mut Cache<'_>) -> T) -> T {
    let Some(start) = SHARED.start() else {
        return OWN.with_borrow_mut(|(counters, slots, numbers)| {
            let size = size().min(MAX_OWN_SLOTS);
            slots.resize(size, Slot::EMPTY);
            numbers.resize(size * NUMBERS, 0.0);
            body(&mut Cache { counters, slots, numbers })
        });
    };
    SHARED.exclusively(|| {
        // SAFETY: the memory is as large as was requested, any bytes are valid in it, and the lock keeps
        // others out.
        unsafe {
            let (counters, size) = (start.cast::<Counters>(), size());
            let slots = counters.add(1).cast::<Slot>();
            let numbers = slots.add(size).cast::<f32>();
            let slots = std::slice::from_raw_parts_mut(slots, size);
            let numbers = std::slice::from_raw_parts_mut(numbers, size * NUMBERS);
            body(&mut Cache { counters: &mut *counters, slots, numbers })
        }
    })
}

/// Whether all sessions share the cache.
pub fn is_shared() -> bool {
    SHARED.start().is_some()
}
