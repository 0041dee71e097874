//! Remote models of the tests' provider.
use crate::provider::server::Server;
use rag::Result;
use rag::model::{Detail, Embedder as _, Embedding, Purpose};
use rag::remote::{
    Client, Connection, ConnectionSettings, Egress, Embedder, Limits, Pace, RemoteKind, Spec, Url,
};
use std::time::Duration;

/// A checkpoint that never stops anything.
#[allow(clippy::unnecessary_wraps)]
pub fn no_check() -> Result<()> {
    Ok(())
}

/// A model at a path of the server.
pub fn spec(server: &Server, kind: RemoteKind) -> Spec {
    Spec {
        name: "remote".into(),
        kind,
        provider: "openai".into(),
        url: Url::parse(&server.url("/v1")).unwrap(),
        model: "some-model".into(),
        credential: None,
        dimensions: (kind == RemoteKind::Embedder).then_some(8),
        max_tokens: 8192,
        max_output_tokens: 1024,
        query_prefix: String::new(),
        document_prefix: String::new(),
        max_items: 32,
        max_request_tokens: 100_000,
        concurrency: 4,
        limits: Limits::default(),
        temperature: Some(0.1),
        timeout: Duration::from_secs(10),
        retries: 3,
        parameters: serde_json::Map::new(),
        query_parameters: serde_json::Map::new(),
        document_parameters: serde_json::Map::new(),
        price: rag::remote::Price::default(),
    }
}

pub fn embedder(server: &Server) -> Spec {
    spec(server, RemoteKind::Embedder)
}

/// A client that may call this machine.
pub fn client(spec: Spec) -> Client {
    client_within(spec, "127.0.0.1")
}

/// A client that may call these hosts.
pub fn client_within(spec: Spec, allowed: &str) -> Client {
    let egress = Egress::parse(allowed).unwrap();
    let connection =
        Connection::new(&ConnectionSettings { egress, authorities: Vec::new() }).unwrap();
    let pace: &'static Pace = Box::leak(Box::default());
    Client::new(spec, connection, pace).unwrap()
}

pub fn embed(client: &Client, texts: &[&str]) -> Result<Vec<Embedding>> {
    Embedder(client).embed(texts, Purpose::Document, Detail::Vector, &mut no_check)
}
