//! TODO
pub mod call_log;
pub mod embedder;
pub mod local;
pub mod preload;
pub mod question_cache;
pub mod remote;
