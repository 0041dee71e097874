//! Shared memory of the server: areas whose size is a setting's, each with a lock.
#![allow(unsafe_code)] // shared memory and its hooks

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::{pg_guard, pg_sys};
use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};

/// An area of shared memory.
pub struct Area {
    /// Unique in the server.
    pub name: &'static CStr,
    /// Its size; called while the library is preloaded, when settings have their values.
    pub bytes: fn() -> usize,
    /// Writes the first contents into memory of that size: when the server starts, and when it starts again after a
    /// crash of a process.
    pub initialise: unsafe fn(*mut c_void),
    /// Null before the server has started, or where the area was not reserved.
    pub start: AtomicPtr<c_void>,
}

/// Areas reserved: there are few of them, and no memory is allocated in a hook.
static AREAS: [AtomicPtr<Area>; 4] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 4];
static COUNT: AtomicUsize = AtomicUsize::new(0);

static mut PREVIOUS_REQUEST: pg_sys::shmem_request_hook_type = None;
static mut PREVIOUS_STARTUP: pg_sys::shmem_startup_hook_type = None;

/// Reserves an area; called while the library is preloaded.
pub fn reserve(area: &'static Area) {
    let number = COUNT.fetch_add(1, SeqCst);
    AREAS[number].store(std::ptr::from_ref(area).cast_mut(), SeqCst);
    if number > 0 {
        return;
    }
    // SAFETY: the postmaster, single-threaded, chains hooks as extensions do.
    unsafe {
        PREVIOUS_REQUEST = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request);
        PREVIOUS_STARTUP = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(start_up);
    }
}

fn areas() -> impl Iterator<Item = &'static Area> {
    // SAFETY: an entry is null or a static's address.
    AREAS.iter().filter_map(|area| unsafe { area.load(SeqCst).as_ref() })
}

#[pg_guard]
unsafe extern "C-unwind" fn request() {
    // SAFETY: called by the postmaster when memory may be requested.
    unsafe {
        if let Some(previous) = PREVIOUS_REQUEST {
            pg_guard_ffi_boundary(|| previous());
        }
        for area in areas() {
            pg_sys::RequestAddinShmemSpace((area.bytes)());
            pg_sys::RequestNamedLWLockTranche(area.name.as_ptr(), 1);
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn start_up() {
    // SAFETY: called by the postmaster when shared memory is there, again after a crash.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP {
            pg_guard_ffi_boundary(|| previous());
        }
        for area in areas() {
            let mut is_there = false;
            let start =
                pg_sys::ShmemInitStruct(area.name.as_ptr(), (area.bytes)(), &raw mut is_there);
            if !is_there {
                (area.initialise)(start);
            }
            area.start.store(start, SeqCst);
        }
    }
}

impl Area {
    /// Where the area lies; `None` where it was not reserved.
    pub fn start(&self) -> Option<*mut c_void> {
        // Backends inherit the pointer from the postmaster.
        Some(self.start.load(SeqCst)).filter(|start| !start.is_null())
    }

    /// Runs `body` while no other process uses the area. `body` must not raise an error.
    pub fn exclusively<T>(&self, body: impl FnOnce() -> T) -> T {
        self.locked(pg_sys::LWLockMode::LW_EXCLUSIVE, body)
    }

    /// Runs `body` while no other process uses the area exclusively. `body` must not raise an error.
    pub fn shared<T>(&self, body: impl FnOnce() -> T) -> T {
        self.locked(pg_sys::LWLockMode::LW_SHARED, body)
    }

    fn locked<T>(&self, mode: pg_sys::LWLockMode::Type, body: impl FnOnce() -> T) -> T {
        // SAFETY: the tranche was requested with the area.
        unsafe {
            let lock = &raw mut (*pg_sys::GetNamedLWLockTranche(self.name.as_ptr())).lock;
            pg_sys::LWLockAcquire(lock, mode);
            let result = body();
            pg_sys::LWLockRelease(lock);
            result
        }
    }
}
