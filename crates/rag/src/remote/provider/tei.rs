//! Hugging Face's Text Embeddings Inference. A server has one model, so requests name none.
use super::format::{Decoded, Payload, Provider, Scores, Vectors};
use super::shape;
use crate::model::Purpose;
use serde_json::json;

pub struct Tei;

impl Provider for Tei {
    fn name(&self) -> &'static str {
        "tei"
    }
    /// Its own default.
    fn max_items(&self) -> usize {
        32
    }
    fn embed(&self, _: &str, texts: &[&str], _: Purpose) -> Option<Payload> {
        Payload::new("/embed", json!({"inputs": texts, "truncate": false}))
    }
    fn vectors(&self, body: &[u8]) -> Decoded<Vectors> {
        Ok(Vectors { vectors: shape::json(body)?, tokens: None })
    }
    fn rerank(&self, _: &str, query: &str, documents: &[&str]) -> Option<Payload> {
        let body = json!({"query": query, "texts": documents, "truncate": true});
        Payload::new("/rerank", body)
    }
    fn scores(&self, body: &[u8]) -> Decoded<Scores> {
        Ok(Scores { scores: shape::pairs(shape::json(body)?)?, tokens: None })
    }
}
