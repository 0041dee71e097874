//! Voyage AI.
use super::format::{Ask, Provider, Read, Scores, Vectors};
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
    fn embed(&self, model: &str, texts: &[&str], purpose: Purpose) -> Option<Ask> {
        let input_type = match purpose {
            Purpose::Query => "query",
            Purpose::Document => "document",
        };
        let body = json!({
            "model": model, "input": texts, "input_type": input_type, "truncation": false,
        });
        Ask::new("/embeddings", body)
    }
    fn vectors(&self, body: &[u8]) -> Read<Vectors> {
        shape::indexed_vectors(body)
    }
    fn rerank(&self, model: &str, query: &str, documents: &[&str]) -> Option<Ask> {
        let body = json!({"model": model, "query": query, "documents": documents});
        Ask::new("/rerank", body)
    }
    fn scores(&self, body: &[u8]) -> Read<Scores> {
        shape::indexed_scores(body)
    }
}
