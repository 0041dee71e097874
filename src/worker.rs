//! From changed documents to searchable chunks: the queue's steps, `CALL rag_work()` and workers.
//!
//! Each step is one short transaction, and between reading a document and applying its chunks no
//! snapshot is held. See `sql/run/work_*.sql` for what each transaction does.
pub mod answers;
mod apply;
mod batch;
mod board;
pub mod builder;
mod call;
mod changes;
pub mod collection;
pub mod drain;
mod duty;
mod embed;
pub mod failed;
pub mod host;
mod job_count;
mod launcher;
mod lease;
mod others;
mod pace;
mod parts;
mod priority;
mod process;
mod read;
mod remote;
mod reuse;
mod scan;
mod share;
pub mod state;
mod text_index;
mod time_limit;
mod turnstile;
pub mod vector_index;

pub use call::{answers_awaited, answers_written, call_now, changes_written, has_board};

/// Prepares background work; called while the library is loaded.
pub fn init() {
    launcher::init();
}
