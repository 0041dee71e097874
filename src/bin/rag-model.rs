//! `rag-model`: imports, fetches, lists and verifies models.
fn main() {}
