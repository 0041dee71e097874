//! Background work. The launcher and workers arrive with the queue's steps.

/// Tells that this transaction appended to `rag.change`.
pub fn changes_written() {}
