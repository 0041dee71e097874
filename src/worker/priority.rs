//! Background processes let sessions go first where processors are short, as far as `rag_pg.worker_nice` says.
#![allow(unsafe_code)] // the priority of this process

use crate::guc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Whether this process gives way.
static GIVES_WAY: AtomicBool = AtomicBool::new(false);

/// From here on this process gives way.
pub fn give_way() {
    GIVES_WAY.store(true, Relaxed);
    follow();
}

/// Follows the setting in a process that gives way. It cannot take back what it gave up: a smaller value holds for those
/// that start later. A server that runs with more of it keeps that.
pub fn follow() {
    let nice = guc::worker::nice();
    if nice == 0 || !GIVES_WAY.load(Relaxed) {
        return;
    }
    // SAFETY: the priority of this process alone; where it may not be changed it stays.
    unsafe {
        if libc::getpriority(libc::PRIO_PROCESS, 0) < nice {
            libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        }
    }
}
