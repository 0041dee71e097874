//! From changed documents to searchable chunks: the queue's steps, `CALL rag_work()` and workers.
//!
//! Each step is one short transaction, and between reading a document and applying its chunks no
//! snapshot is held. See `sql/run/work_*.sql` for what each transaction does.
mod apply;
mod batch;
mod changes;
mod collection;
pub mod drain;
pub mod failed;
pub mod host;
mod lease;
mod read;
mod scan;
mod vector_index;

/// Notes that this transaction wrote to `rag.change`, so that a worker is called when it commits.
pub fn changes_written() {}
