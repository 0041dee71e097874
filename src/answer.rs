//! Extraction of sentences, and citations.
mod sentences;
pub use sentences::sentences;
