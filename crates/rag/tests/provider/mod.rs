//! A provider of models for tests: what it speaks, and how it fails.
pub mod api;
pub mod server;
pub mod stream;
