//! Answers that workers write.
pub mod request;
