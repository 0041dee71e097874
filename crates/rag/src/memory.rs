//! Handling of exhausted memory: an error of the statement, or at worst the end of the session, never of
//! the server.
//!
//! Rust ends the process where an allocation fails, and PostgreSQL then restarts every session. Unwinding out of an
//! allocator is undefined behaviour, so three things stand in its way instead:
//!
//! * Work whose memory is a known multiple of its input asks for it first ([`require`]), and buffers that grow
//!   with the input grow fallibly ([`push`], [`reserve`]).
//! * A reserve of address space, never touched, is given back when an allocation fails. What is under way then
//!   goes on to its next checkpoint, where [`check`] is the error.
//! * Where even that is not enough, the last resort of the process is called: a backend ends its own session, as
//!   by a FATAL error. Only where there is none, in the postmaster and outside a server, the process aborts.
#![allow(unsafe_code)] // An allocator, and address space from the kernel.

use crate::{Error, Result};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr};

/// Bytes of the reserve: more than anything allocates between two checkpoints that does not ask before.
const RESERVE_BYTES: usize = 16 << 20;
/// Smaller needs are the reserve's.
const SMALL_REQUEST: usize = 1 << 20;

static RESERVED: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// An allocation has failed since the last check.
static IS_SHORT: AtomicBool = AtomicBool::new(false);
static LAST_RESORT: AtomicPtr<()> = AtomicPtr::new(null_mut());

thread_local! {
    // Whether the caller of the current allocation handles its failure.
    static IS_FALLIBLE: Cell<bool> = const { Cell::new(false) };
}

/// The C library's allocator, with the reserve behind it.
pub struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: every block comes from `System`, to which it returns with its own layout.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is `System`'s.
        or_reserve(layout.size(), || unsafe { System.alloc(layout) })
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        or_reserve(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; where it fails the block is as it was, so it can be tried again.
        or_reserve(size, || unsafe { System.realloc(block, layout, size) })
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) };
    }
}

#[inline]
fn or_reserve(size: usize, allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let block = allocate();
    if block.is_null() { with_reserve(size, &allocate) } else { block }
}

/// Must neither allocate nor unwind.
#[cold]
fn with_reserve(size: usize, allocate: &dyn Fn() -> *mut u8) -> *mut u8 {
    if IS_FALLIBLE.get() {
        return null_mut();
    }
    IS_SHORT.store(true, Relaxed);
    if give_back() {
        let block = allocate();
        if !block.is_null() {
            return block;
        }
    }
    let last_resort = LAST_RESORT.load(Acquire);
    if !last_resort.is_null() {
        // SAFETY: `set_last_resort` alone writes it.
        unsafe { std::mem::transmute::<*mut (), fn(usize)>(last_resort)(size) };
    }
    null_mut()
}

/// Sets the function that is called where an allocation of so many bytes has failed for good. It must not unwind and hardly allocate; where it
/// returns, the process aborts.
pub fn set_last_resort(last_resort: fn(usize)) {
    // Opaque: a compiler that knows what alone is ever stored here calls it directly, and then programs without
    // PostgreSQL, as tests are, do not link.
    LAST_RESORT.store(std::hint::black_box(last_resort as *mut ()), Release);
}

/// To be called between the steps of long work: an error when memory ran out since the last call, or when there is not
/// enough for the reserve.
pub fn check() -> Result<()> {
    let is_reserved = !RESERVED.load(Relaxed).is_null();
    if is_reserved && !IS_SHORT.load(Relaxed) {
        return Ok(());
    }
    let was_short = IS_SHORT.swap(false, Relaxed);
    let is_reserved = is_reserved || reserve_again();
    if was_short || !is_reserved { Err(out_of_memory()) } else { Ok(()) }
}

/// An error unless there are `bytes` of memory now. What they are needed for comes right after.
pub fn require(bytes: usize) -> Result<()> {
    check()?;
    if bytes < SMALL_REQUEST {
        return Ok(());
    }
    let block = map(bytes).ok_or_else(out_of_memory)?;
    unmap(block, bytes);
    Ok(())
}

/// A vector with room for so many items, which [`push`] fills. Where there is no room, the next [`check`] fails.
pub fn with_room<T>(length: usize) -> Vec<T> {
    let mut items = Vec::new();
    if reserve(&mut items, length).is_err() {
        IS_SHORT.store(true, Relaxed);
    }
    items
}

/// Appends to a vector that grows with the input. Where it cannot grow, the next [`check`] fails.
#[inline]
pub fn push<T>(items: &mut Vec<T>, item: T) {
    if items.len() == items.capacity() && reserve(items, 1).is_err() {
        IS_SHORT.store(true, Relaxed);
        return;
    }
    items.push(item);
}

/// Makes room for so many more items.
pub fn reserve<T>(items: &mut Vec<T>, more: usize) -> Result<()> {
    fallibly(|| items.try_reserve(more)).map_err(|_| out_of_memory())
}

/// Makes room for so many more bytes.
pub fn reserve_text(text: &mut String, more: usize) -> Result<()> {
    fallibly(|| text.try_reserve(more)).map_err(|_| out_of_memory())
}

/// A copy of a text.
pub fn copy(text: &str) -> Result<String> {
    let mut copy = String::new();
    reserve_text(&mut copy, text.len())?;
    copy.push_str(text);
    Ok(copy)
}

/// The error of a statement that needs more memory than there is.
pub fn out_of_memory() -> Error {
    Error::out_of_memory("out of memory")
        .with_hint("Pass less text at once, or let the server's processes have more memory.")
}

fn fallibly<T>(allocate: impl FnOnce() -> T) -> T {
    let before = IS_FALLIBLE.replace(true);
    let result = allocate();
    IS_FALLIBLE.set(before);
    result
}

fn reserve_again() -> bool {
    let Some(block) = map(RESERVE_BYTES) else { return false };
    grow_stack();
    let other = RESERVED.compare_exchange(null_mut(), block, AcqRel, Relaxed);
    if other.is_err() {
        unmap(block, RESERVE_BYTES);
    }
    true
}

/// A stack that must grow where there is no address space left ends the process; grown once, it stays.
#[inline(never)]
fn grow_stack() {
    let mut room = std::mem::MaybeUninit::<[u8; 256 << 10]>::uninit();
    std::hint::black_box(room.as_mut_ptr());
}

/// Gives the reserve back for an error that PostgreSQL reports for lack of memory: whoever catches it copies it. The next
/// [`check`] fails. Neither allocates nor unwinds.
pub fn release_reserve() {
    IS_SHORT.store(true, Relaxed);
    give_back();
}

fn give_back() -> bool {
    let block = RESERVED.swap(null_mut(), AcqRel);
    if !block.is_null() {
        unmap(block, RESERVE_BYTES);
    }
    !block.is_null()
}

/// Address space that counts against every limit of memory, and takes none until it is written to.
fn map(bytes: usize) -> Option<*mut u8> {
    // SAFETY: a new private mapping touches no other.
    let block = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(null_mut(), bytes, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    (block != libc::MAP_FAILED).then_some(block.cast())
}

fn unmap(block: *mut u8, bytes: usize) {
    // SAFETY: a mapping of this size that `map` made and that has no reference.
    unsafe { libc::munmap(block.cast(), bytes) };
}

/// Gives free memory back to the system. glibc raises its thresholds for doing so by itself to tens
/// of megabytes once blocks of that size were freed.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: releases pages of free blocks only; any thread may call it at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_beyond_memory_is_an_error() {
        const TOO_MUCH: usize = isize::MAX as usize / 2;
        assert_eq!(require(TOO_MUCH).unwrap_err().sqlstate(), "53200");
        assert!(require(64 << 20).is_ok());
        let mut text = "text".to_owned();
        assert!(reserve_text(&mut text, TOO_MUCH).is_err());
        assert!(reserve(&mut vec![0_u64], TOO_MUCH / 8).is_err());
        assert_eq!(text, copy("text").unwrap());
        assert!(check().is_ok(), "the failure was handled");
    }

    #[test]
    fn the_reserve_is_taken_and_given_back() {
        check().unwrap();
        assert!(!RESERVED.load(Relaxed).is_null());
        let mut items = Vec::new();
        (0..1_000).for_each(|n| push(&mut items, n));
        assert_eq!(items, (0..1_000).collect::<Vec<_>>());
    }
}
