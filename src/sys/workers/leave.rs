//! How workers make way for a session that wants its database for itself: to drop, rename or copy it.

use crate::sys::exit;
use crate::sys::process;
use crate::sys::transaction::Host;
use crate::sys::workers::board::board;
use crate::sys::workers::builders;
use crate::sys::workers::duty::Duty;
use crate::sys::workers::wake::worker;

/// Ends this process, which indexes, so that its database can be dropped, renamed or copied.
pub fn leave_database(host: &Host) -> ! {
    stop_builders(host);
    leave(Duty::Index)
}

pub fn stop_builders(host: &Host) {
    let stopped = host.transaction(|| {
        builders::stop_all();
        Ok(())
    });
    stopped.unwrap_or_else(|failed| failed.warn());
}

/// Ends this process for who wants its database for himself. The worker that is called in its place begins when that is
/// over.
pub fn leave(duty: Duty) -> ! {
    let database = process::database();
    match board() {
        Some(board) => {
            if let Some(entry) = board.entry(database) {
                entry.post(duty).want();
            }
        }
        None => {
            let _ = worker(database, duty).load_dynamic();
        }
    }
    exit::end_process(0)
}
