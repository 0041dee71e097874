//! From a change of a source to stored chunks: triggers, queue, pipeline, comparison with the source, index builds.
//! Imports `sys`, `models`, `catalog` and `search`.
pub mod index_build;
pub mod pipeline;
pub mod queue;
pub mod scan;
pub mod text_index;
pub mod trigger;
