//! TODO
pub mod index_build;
pub mod pipeline;
pub mod queue;
pub mod scan;
pub mod text_index;
pub mod trigger;
