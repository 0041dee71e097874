//! The cache of question embeddings: in shared memory where the library was preloaded, else in each
//! backend.
//!
//! A vector tells nothing about rows, and no text is kept. That a question was asked before shows in the
//! time it takes; `rag_pg.query_cache_size = 0` takes that away.
#![allow(unsafe_code)] // shared memory and its lock

use crate::sys::guc;
use crate::sys::shmem::is_preloading;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::{pg_guard, pg_sys};
use rag::search::question_cache::{Cache, Counters, NUMBERS, Slot};
use std::cell::RefCell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

/// Slots of a backend's own cache at most: each backend has one.
const MOST_OWN: usize = 16;

const NAME: &CStr = c"rag_pg query cache";

/// Counters, slots, and the numbers of each, in shared memory; set in the postmaster and inherited.
static SHARED: AtomicPtr<Counters> = AtomicPtr::new(std::ptr::null_mut());

static mut PREVIOUS_REQUEST: pg_sys::shmem_request_hook_type = None;
static mut PREVIOUS_STARTUP: pg_sys::shmem_startup_hook_type = None;

thread_local! {
    static OWN: RefCell<(Counters, Vec<Slot>, Vec<f32>)> = const { RefCell::new((Counters::new(), Vec::new(), Vec::new())) };
}

/// Asks for shared memory; called while the library is loaded.
pub fn init() {
    if !is_preloading() || guc::question_cache::size() == 0 {
        return;
    }
    // SAFETY: the postmaster, single-threaded, chains hooks as its extensions do.
    unsafe {
        PREVIOUS_REQUEST = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request);
        PREVIOUS_STARTUP = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(start_up);
    }
}

fn bytes() -> usize {
    let slot = size_of::<Slot>() + NUMBERS * size_of::<f32>();
    size_of::<Counters>() + guc::question_cache::size() * slot
}

#[pg_guard]
unsafe extern "C-unwind" fn request() {
    // SAFETY: called by the postmaster when memory may be asked for.
    unsafe {
        if let Some(previous) = PREVIOUS_REQUEST {
            pg_guard_ffi_boundary(|| previous());
        }
        pg_sys::RequestAddinShmemSpace(bytes());
        pg_sys::RequestNamedLWLockTranche(NAME.as_ptr(), 1);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn start_up() {
    // SAFETY: called by the postmaster when shared memory is there, again after a crash.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP {
            pg_guard_ffi_boundary(|| previous());
        }
        let mut is_there = false;
        let memory = pg_sys::ShmemInitStruct(NAME.as_ptr(), bytes(), &raw mut is_there);
        // Only what says that slots are empty: to write all would take up the memory at once.
        let counters = memory.cast::<Counters>();
        if !is_there {
            counters.write(Counters::new());
            for slot in 0..guc::question_cache::size() {
                counters.add(1).cast::<Slot>().add(slot).write(Slot::EMPTY);
            }
        }
        SHARED.store(counters, SeqCst);
    }
}

/// Runs `body` on the cache, which nobody else uses meanwhile. `body` must not raise an error.
pub fn with<T>(body: impl FnOnce(&mut Cache<'_>) -> T) -> T {
    let shared = SHARED.load(SeqCst);
    if shared.is_null() {
        return OWN.with_borrow_mut(|(counters, slots, numbers)| {
            let size = guc::question_cache::size().min(MOST_OWN);
            slots.resize(size, Slot::EMPTY);
            numbers.resize(size * NUMBERS, 0.0);
            body(&mut Cache { counters, slots, numbers })
        });
    }
    // SAFETY: the memory is as long as the postmaster asked for, any bytes are valid in it, and the lock
    // keeps others out.
    unsafe {
        let lock = &raw mut (*pg_sys::GetNamedLWLockTranche(NAME.as_ptr())).lock;
        pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
        let size = guc::question_cache::size();
        let slots = shared.add(1).cast::<Slot>();
        let numbers = slots.add(size).cast::<f32>();
        let slots = std::slice::from_raw_parts_mut(slots, size);
        let numbers = std::slice::from_raw_parts_mut(numbers, size * NUMBERS);
        let result = body(&mut Cache { counters: &mut *shared, slots, numbers });
        pg_sys::LWLockRelease(lock);
        result
    }
}

/// Whether all sessions share the cache.
pub fn is_shared() -> bool {
    !SHARED.load(SeqCst).is_null()
}
