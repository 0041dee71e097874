//! TODO
pub mod request;
