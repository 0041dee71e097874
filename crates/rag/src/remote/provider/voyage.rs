//! Voyage AI.
use super::format::{Decoded, Payload, Provider, Scores, Vectors};
use super::shape;
use crate::model::Purpose;
use serde_json::json;

pub struct Voyage;

impl Provider for Voyage {
    fn name(&self) -> &'static str {
        "voyage"
    }
    fn default_url(&self) -> Option<&'static str> {
        Some("https://api.voyageai.com/v1")
    }
    fn embed(&self, model: &str, texts: &[&str], purpose: Purpose) -> Option<Payload> {
        let input_type = match purpose {
            Purpose::Query => "query",
            Purpose::Document => "document",
        };
        let body = json!({
            "model": model, "input": texts, "input_type": input_type, "truncation": false,
        });
        Payload::new("/embeddings", body)
    }
    fn vectors(&self, body: &[u8]) -> Decoded<Vectors> {
        shape::indexed_vectors(body)
    }
    fn rerank(&self, model: &str, query: &str, documents: &[&str]) -> Option<Payload> {
        let body = json!({"model": model, "query": query, "documents": documents});
        Payload::new("/rerank", body)
    }
    fn scores(&self, body: &[u8]) -> Decoded<Scores> {
        shape::indexed_scores(body)
    }
}
