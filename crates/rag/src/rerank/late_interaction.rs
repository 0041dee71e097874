//! The default reranker on bare texts: token bits computed on the fly.
use super::{MAX_SIM_WEIGHT, TokenBits, fuse, max_sim};
use crate::model::{Checkpoint, Detail, Embedder, Embedding, Purpose, TokenVectors};
use crate::{Error, Result};

/// Documents embedded in one call. Their token vectors are held as floats until they become bits
/// (50 MB for 128 documents of 256 tokens at 384 dimensions), and sorting by length within 128
/// already keeps padding low.
const DOCUMENTS_PER_CALL: usize = 128;

/// How well each of `documents` answers `query`: MaxSim and the cosine of their vectors, fused.
/// Scores compare the documents of one call; higher is better. An error when the query or a
/// document has no token.
pub fn late_interaction(
    embedder: &dyn Embedder,
    query: &str,
    documents: &[&str],
    checkpoint: Checkpoint<'_>,
) -> Result<Vec<f64>> {
    let query = embed_query(embedder, query, checkpoint)?;
    let (mut cosines, mut bits) = (Vec::new(), Vec::new());
    for texts in documents.chunks(DOCUMENTS_PER_CALL) {
        for embedding in embedder.embed(texts, Purpose::Document, Detail::Tokens, checkpoint)? {
            cosines.push(f64::from(cosine(&query.vector, &embedding.vector)));
            bits.push(TokenBits::of(token_vectors(&embedding)?));
        }
    }
    let max_sim = max_sim(token_vectors(&query)?, &bits, checkpoint)?;
    let max_sim: Vec<f64> = max_sim.into_iter().map(f64::from).collect();
    Ok(fuse(&[(MAX_SIM_WEIGHT, &max_sim), (1.0, &cosines)]))
}

/// The scores that `score` gives to the documents that `has_token`; one without, which no model can
/// read, gets one less than the lowest of them.
pub fn score_filled(
    documents: &[&str],
    has_token: impl Fn(&str) -> Result<bool>,
    score: impl FnOnce(&[&str]) -> Result<Vec<f64>>,
) -> Result<Vec<f64>> {
    let is_filled = documents.iter().map(|text| has_token(text)).collect::<Result<Vec<bool>>>()?;
    let filled = documents.iter().zip(&is_filled).filter_map(|(&text, &is)| is.then_some(text));
    let scores = score(&filled.collect::<Vec<_>>())?;
    let lowest = scores.iter().copied().reduce(f64::min).unwrap_or(0.0);
    let mut scores = scores.into_iter();
    let next = |is: bool| if is { scores.next() } else { None };
    Ok(is_filled.into_iter().map(next).map(|score| score.unwrap_or(lowest - 1.0)).collect())
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
