//! TODO
pub mod apply;
pub mod batch;
pub mod changes;
pub mod embed;
pub mod job_count;
pub mod lease;
pub mod others;
pub mod pace;
pub mod parts;
pub mod read;
pub mod remote;
pub mod reuse;
pub mod scan;
pub mod share;
pub mod text_index;
pub mod trigger;
pub mod vector_index;
