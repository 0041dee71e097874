//! The last frame of a process that can do nothing else: it is out of time or of memory.
#![allow(unsafe_code)]
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether frames of a result are being written: then there is no place for another.
static ANSWERING: AtomicBool = AtomicBool::new(false);

const NO_MEMORY: &[u8] = br#"{"error":{"class":"too_large","message":"file needs more memory than the limit allows","detail":null}}"#;
const NO_TIME: &[u8] = br#"{"error":{"class":"timeout","message":"file takes more time than the limit allows","detail":null}}"#;

/// Says that the result is about to be written.
pub fn answering() {
    ANSWERING.store(true, Ordering::SeqCst);
}

/// Ends the process where a limit of memory was reached.
pub fn out_of_memory() -> ! {
    end(NO_MEMORY)
}

/// A signal handler: ends the process where a limit of time was reached.
pub extern "C" fn out_of_time(_signal: libc::c_int) {
    end(NO_TIME)
}

/// Writes `frame` if nothing has been written, and ends. Only what a signal handler may call.
fn end(frame: &'static [u8]) -> ! {
    if ANSWERING.swap(true, Ordering::SeqCst) {
        // SAFETY: ends the process without running anything of it.
        unsafe { libc::_exit(3) }
    }
    let length = (frame.len() as u32).to_be_bytes();
    for part in [&length[..], frame] {
        // SAFETY: the bytes are valid for their length. A frame is shorter than what a pipe takes at once.
        unsafe { libc::write(1, part.as_ptr().cast(), part.len()) };
    }
    // SAFETY: as above.
    unsafe { libc::_exit(0) }
}

/// The system's allocator, which ends the process with a frame where there is no memory left.
pub struct Bounded;

// SAFETY: everything is passed on to the system's allocator; a null pointer is never returned.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is that of `System`.
        checked(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { System.realloc(pointer, layout, size) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn checked(pointer: *mut u8) -> *mut u8 {
    if pointer.is_null() {
        out_of_memory();
    }
    pointer
}
