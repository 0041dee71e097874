//! How well a document covers a query: each query token finds the document token most like it.
use super::TokenBits;
use super::lookup::{LANES, Table};
use crate::model::{Checkpoint, TokenVectors};
use crate::{Error, Result};

/// Tokens compared between two checkpoints: about 10 ms.
const TOKENS_PER_STEP: usize = 50_000;

/// MaxSim of `query` with each of `documents`: for every query token the highest cosine between
/// its vector and a document token's signs, averaged over the query tokens. In [-1, 1]; the mean,
/// not the sum, so that a value means the same for short and long queries.
///
/// A document without tokens scores -1. A query without tokens scores 0 with every other document.
/// An error when a document's dimensions are not the query's.
pub fn max_sim(
    query: &TokenVectors,
    documents: &[TokenBits<'_>],
    checkpoint: Checkpoint<'_>,
) -> Result<Vec<f32>> {
    let dimensions = query.dimensions;
    if let Some(other) = documents.iter().find(|bits| bits.dimensions() != dimensions) {
        return Err(Error::invalid_argument(format!(
            "token vectors of {dimensions} dimensions cannot meet token bits of {}",
            other.dimensions()
        ))
        .with_hint("Both sides must come from the same model."));
    }
    let query_tokens = query.data.len().checked_div(dimensions).unwrap_or(0);
    let mut sums = vec![0.0_f32; documents.len()];
    // One table for up to LANES query tokens at a time: it stays in cache while all documents pass.
    for lanes in query.data.chunks(dimensions.max(1) * LANES) {
        let table = Table::new(lanes, dimensions);
        let mut pending = 0;
        for (sum, bits) in sums.iter_mut().zip(documents) {
            *sum += table.sum_of_best(bits.as_bytes());
            pending += bits.len();
            if pending > TOKENS_PER_STEP {
                pending = 0;
                checkpoint()?;
            }
        }
    }
    // A row of signs has length sqrt(dimensions), and cosine wants 1.
    let unit = (dimensions as f32).sqrt() * query_tokens.max(1) as f32;
    let score = |(bits, sum): (&TokenBits<'_>, f32)| {
        if bits.is_empty() { -1.0 } else { (sum / unit).clamp(-1.0, 1.0) }
    };
    Ok(documents.iter().zip(sums).map(score).collect())
}
