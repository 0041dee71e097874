//! From changed documents to stored chunks: the trigger that records changes, the queue, and the pipeline.
//!
//! Each step is one short transaction, and no snapshot is held between reading a document and applying its chunks.
pub mod extract;
pub mod imported;
pub mod index_ddl;
pub mod inverted;
pub mod pipeline;
pub mod queue;
pub mod scan;
pub mod trigger;
