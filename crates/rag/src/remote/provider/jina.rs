//! Jina AI.
use super::format::{Decoded, Payload, Provider, Scores, Vectors};
use super::shape;
use crate::model::Purpose;
use serde_json::json;

pub struct Jina;

impl Provider for Jina {
    fn name(&self) -> &'static str {
        "jina"
    }
    fn default_url(&self) -> Option<&'static str> {
        Some("https://api.jina.ai/v1")
    }
    fn embed(&self, model: &str, texts: &[&str], purpose: Purpose) -> Option<Payload> {
        let task = match purpose {
            Purpose::Query => "retrieval.query",
            Purpose::Document => "retrieval.passage",
        };
        let body = json!({
            "model": model, "input": texts, "task": task, "truncate": false,
            "embedding_type": "float",
        });
        Payload::new("/embeddings", body)
    }
    fn vectors(&self, body: &[u8]) -> Decoded<Vectors> {
        shape::indexed_vectors(body)
    }
    fn rerank(&self, model: &str, query: &str, documents: &[&str]) -> Option<Payload> {
        let mut body = shape::rerank(model, query, documents);
        body["return_documents"] = json!(false);
        Payload::new("/rerank", body)
    }
    fn scores(&self, body: &[u8]) -> Decoded<Scores> {
        shape::indexed_scores(body)
    }
}
