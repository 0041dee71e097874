//! Extraction of sentences, and citations.
