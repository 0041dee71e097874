//! TODO
pub mod apply;
pub mod batch;
pub mod embed;
pub mod others;
pub mod pace;
pub mod parts;
pub mod read;
pub mod remote;
pub mod reuse;
pub mod share;
