//! Models: local ones opened or inherited from the postmaster, remote ones called over HTTP, and the log of those calls.
//! Imports `sys` only: reads the catalog of models, and knows nothing of collections.
pub mod call_log;
pub mod embedder;
pub mod local;
pub mod preload;
pub mod question_cache;
pub mod remote;
