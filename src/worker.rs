//! From changed documents to searchable chunks: the queue's steps, `CALL rag_work()` and workers.
//!
//! Each step is one short transaction, and between reading a document and applying its chunks no
//! snapshot is held. See `sql/run/work_*.sql` for what each transaction does.
pub mod answers;
pub mod drain;
pub mod index_builder;
mod launcher;
mod process;
pub mod work;

/// Prepares background work; called while the library is loaded.
pub fn init() {
    launcher::init();
}
