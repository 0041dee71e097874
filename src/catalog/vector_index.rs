//! How a generation's vectors are stored and indexed, for the statement that creates the index and those that use it.
use crate::sys::spi::{column, read};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};
use std::ffi::CStr;

/// Most dimensions that an index takes.
const MAX_INDEX_DIMENSIONS: usize = 4_000;

/// The method that vectors of this length can be indexed by, where `asked` was asked for.
pub fn method_for(asked: &str, dimensions: usize) -> &str {
    if dimensions > MAX_INDEX_DIMENSIONS { "none" } else { asked }
}

/// A NOTICE where an index was asked for that cannot be built.
pub fn announce(asked: &str, dimensions: usize) {
    if method_for(asked, dimensions) != asked {
        pgrx::notice!(
            "vectors of {dimensions} dimensions cannot be indexed: searches compare them all"
        );
    }
}

/// What is wrong with the installed pgvector, if something is.
pub fn pgvector_warning() -> Option<String> {
    read("SELECT rag.pgvector_warning()", &[], |row| column(&row, 1)).pop().flatten()
}

/// A NOTICE of that.
pub fn announce_pgvector() {
    if let Some(warning) = pgvector_warning() {
        let code = PgSqlErrorCode::ERRCODE_WARNING;
        ErrorReport::new(code, warning, pgrx::function_name!())
            .set_hint("Install pgvector 0.8.4 or newer, and run ALTER EXTENSION vector UPDATE. Until then indexes are built without parallel workers.")
            .report(PgLogLevel::NOTICE);
    }
}

/// Has indexes built without parallel workers where those of the installed pgvector may write beyond their memory. `set` makes the
/// setting, for the transaction or for the process.
pub fn restrain_build(set: impl FnOnce(&CStr, &CStr)) {
    if pgvector_warning().is_some() {
        set(c"max_parallel_maintenance_workers", c"0");
    }
}

/// The type of the column `embedding`. Half precision is enough: the vectors and the index of a million chunks of 384
/// dimensions have 0.8 GB less each than with `vector`, and searches find the same. `schema` is pgvector's.
pub fn stored(dimensions: usize, schema: &str) -> String {
    format!("{schema}.halfvec({dimensions})")
}

/// SQL of the distance of the column `embedding` of `row` from `question`, a `vector`, as the index orders by it.
pub fn distance(row: &str, question: &str, dimensions: usize, schema: &str) -> String {
    let stored = stored(dimensions, schema);
    // Converted once, not for each row.
    format!("{row}.embedding OPERATOR({schema}.<=>) (SELECT {question}::{stored})")
}

/// What is indexed, with its operator class.
pub fn definition(schema: &str) -> String {
    format!("embedding {schema}.halfvec_cosine_ops")
}

/// Lists for ivfflat: the square root of the number of rows.
pub fn lists(rows: f64) -> u32 {
    rows.max(1.0).sqrt().ceil().clamp(1.0, 32_768.0) as u32
}

/// Lists that a search reads first: the square root of those there are.
pub fn probes(rows: f64) -> usize {
    f64::from(lists(rows)).sqrt().ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::{lists, method_for, probes};

    #[test]
    fn what_cannot_be_indexed_is_not() {
        assert_eq!(method_for("ivfflat", 4_000), "ivfflat");
        assert_eq!(method_for("ivfflat", 4_001), "none");
        assert_eq!(method_for("none", 3), "none");
    }

    #[test]
    fn lists_and_probes_grow_slower_than_rows() {
        assert_eq!((lists(0.0), probes(0.0)), (1, 1));
        assert_eq!((lists(1e6), probes(1e6)), (1_000, 32));
        assert_eq!(lists(1e12), 32_768);
    }
}
