//! The default reranker on bare texts: token bits computed on the fly.
use super::{TokenBits, fuse, max_sim};
use crate::model::{Checkpoint, Detail, Embedder, Embedding, Purpose, TokenVectors};
use crate::{Error, Result};

/// Documents embedded in one call. Their token vectors are held as floats until they become bits
/// (50 MB for 128 documents of 256 tokens at 384 dimensions), and sorting by length within 128
/// already keeps padding low.
const DOCUMENTS_PER_CALL: usize = 128;

/// How well each of `documents` answers `query`: MaxSim and the cosine of their vectors, fused.
/// Scores compare the documents of one call; higher is better. A blank document scores one less
/// than the lowest that is not. An error when the query has no token.
pub fn late_interaction(
    embedder: &dyn Embedder,
    query: &str,
    documents: &[&str],
    checkpoint: Checkpoint<'_>,
) -> Result<Vec<f64>> {
    let query = embed_query(embedder, query, checkpoint)?;
    let filled: Vec<usize> =
        (0..documents.len()).filter(|&i| !documents[i].trim().is_empty()).collect();
    let (mut cosines, mut max_sims) = (Vec::new(), Vec::new());
    for call in filled.chunks(DOCUMENTS_PER_CALL) {
        let texts: Vec<&str> = call.iter().map(|&i| documents[i]).collect();
        let embeddings = embedder.embed(&texts, Purpose::Document, Detail::Tokens, checkpoint)?;
        let mut bits = Vec::with_capacity(embeddings.len());
        for embedding in &embeddings {
            cosines.push(f64::from(cosine(&query.vector, &embedding.vector)));
            bits.push(TokenBits::of(token_vectors(embedding)?));
        }
        let scores = max_sim(token_vectors(&query)?, &bits, checkpoint)?;
        max_sims.extend(scores.into_iter().map(f64::from));
    }
    let fused = fuse(&[&max_sims, &cosines]);
    let lowest = fused.iter().copied().reduce(f64::min).unwrap_or(0.0);
    let mut scores = vec![lowest - 1.0; documents.len()];
    for (i, score) in filled.into_iter().zip(fused) {
        scores[i] = score;
    }
    Ok(scores)
}

/// The question's vector and token vectors.
pub fn embed_query(
    embedder: &dyn Embedder,
    query: &str,
    checkpoint: Checkpoint<'_>,
) -> Result<Embedding> {
    let mut embeddings = embedder.embed(&[query], Purpose::Query, Detail::Tokens, checkpoint)?;
    embeddings.pop().ok_or_else(|| Error::model("the model returned no embedding"))
}

/// The token vectors an embedder was asked for.
pub(crate) fn token_vectors(embedding: &Embedding) -> Result<&TokenVectors> {
    embedding.tokens.as_ref().ok_or_else(|| Error::model("the model returned no token vectors"))
}

/// Cosine of two vectors of any length scale; 0 when one of them is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { (dot(a, b) / lengths) as f32 } else { 0.0 }
}
