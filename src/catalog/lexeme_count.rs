//! `rag.lexeme_count()`: the length of a chunk as BM25 counts it.
use crate::sys::datum::tsvector::TsVector;
use pgrx::prelude::*;

#[pg_extern(sql = r"
CREATE FUNCTION rag.lexeme_count(lexemes tsvector) RETURNS int
    IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION rag.lexeme_count IS 'occurrences of lexemes, which is the length of a chunk in BM25';
", requires = ["bootstrap"])]
#[allow(clippy::needless_pass_by_value)] // as PostgreSQL passes it
fn lexeme_count(lexemes: TsVector<'_>) -> i32 {
    let occurrences: usize = lexemes.lexemes().map(|(_, occurrences)| occurrences).sum();
    i32::try_from(occurrences).unwrap_or(i32::MAX)
}
