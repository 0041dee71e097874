//! Background processes let sessions go first where processors are short, as far as `rag_pg.worker_nice` says.
#![allow(unsafe_code)] // the priority of this process

use crate::pg::guc;
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
/// that start later.
pub fn follow() {
    if GIVES_WAY.load(Relaxed) {
        // SAFETY: the priority of this process alone; where it may not be changed it stays.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, guc::worker::nice()) };
    }
}
