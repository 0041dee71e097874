//! How a generation's vectors are indexed: what creates the index and what searches must say alike.
use super::collection::Generation;

/// Most dimensions of an index over vectors as they are stored.
const MOST_FULL: usize = 2_000;
/// Most dimensions of an index over vectors of half precision.
const MOST_HALF: usize = 4_000;

/// The method that vectors of this length can be indexed by, where `asked` was asked for.
pub fn method_for(asked: &str, dimensions: usize) -> &str {
    if dimensions > MOST_HALF { "none" } else { asked }
}

/// Says where an index will not plainly be the one asked for.
pub fn announce(asked: &str, dimensions: usize) {
    if asked == "none" || dimensions <= MOST_FULL {
        return;
    }
    if dimensions <= MOST_HALF {
        pgrx::notice!("vectors of {dimensions} dimensions are indexed in half precision");
    } else {
        pgrx::notice!(
            "vectors of {dimensions} dimensions cannot be indexed: searches compare them all"
        );
    }
}

/// SQL of a vector as the index has it: the index serves just this expression. `schema` is pgvector's.
fn indexed(vector: &str, dimensions: usize, schema: &str) -> String {
    if (MOST_FULL + 1..=MOST_HALF).contains(&dimensions) {
        format!("({vector}::{schema}.halfvec({dimensions}))")
    } else {
        vector.to_owned()
    }
}

/// SQL of the distance by which the index orders the column `embedding` of `row` from `question`.
pub fn distance(row: &str, question: &str, dimensions: usize, schema: &str) -> String {
    let column = indexed(&format!("{row}.embedding"), dimensions, schema);
    let question = indexed(question, dimensions, schema);
    format!("{column} OPERATOR({schema}.<=>) {question}")
}

/// What is indexed, with its operator class.
pub fn definition(generation: &Generation, schema: &str) -> String {
    let column = indexed("embedding", generation.dimensions, schema);
    let class = if generation.dimensions > MOST_FULL { "halfvec" } else { "vector" };
    format!("{column} {schema}.{class}_cosine_ops")
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
    use super::{distance, lists, method_for, probes};

    #[test]
    fn half_precision_where_full_is_too_long() {
        assert_eq!(distance("c", "$1", 2_000, "v"), "c.embedding OPERATOR(v.<=>) $1");
        let half = "(c.embedding::v.halfvec(2001)) OPERATOR(v.<=>) ($1::v.halfvec(2001))";
        assert_eq!(distance("c", "$1", 2_001, "v"), half);
        assert_eq!(distance("c", "$1", 4_001, "v"), "c.embedding OPERATOR(v.<=>) $1");
    }

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
