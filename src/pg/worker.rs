//! From changed documents to searchable chunks: the queue's steps, `CALL rag_work()` and workers.
mod failed;
mod host;

/// Notes that this transaction wrote to `rag.change`, so that a worker is called when it commits.
pub fn changes_written() {}
