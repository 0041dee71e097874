//! Query analysis, reciprocal rank fusion and BM25 arithmetic.
