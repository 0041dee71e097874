//! Laws of embedding with the default model, through ONNX Runtime, without a server.
use rag_pg::model::session::Options;
use rag_pg::model::store::Store;
use rag_pg::model::{Detail, Embedder, Embedding, LocalModel, Purpose};
use std::path::PathBuf;

fn from_environment(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| default.into(), PathBuf::from)
}

fn store() -> Store {
    Store::new(from_environment("RAG_PG_MODEL_PATH", "/var/lib/rag_pg/models"))
}

fn options() -> Options {
    let default = "/usr/local/lib/rag_pg/libonnxruntime.so";
    Options { library: from_environment("RAG_PG_ONNXRUNTIME_PATH", default), threads: 1 }
}

fn open(name: &str) -> LocalModel {
    let located = store().locate(name).expect("make setup installs the model");
    LocalModel::open(located, options()).expect("the model opens")
}

fn embed(model: &LocalModel, texts: &[&str], detail: Detail) -> Vec<Embedding> {
    model.embed(texts, Purpose::Document, detail, &mut || Ok(())).expect("the texts embed")
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    dot / (norm(a) * norm(b))
}

/// Components 0 to 3 of the published fp32 model's vector of [`EXAMPLE`].
const REFERENCE: [f32; 4] = [0.067_656_9, 0.063_495_9, 0.048_713_1, 0.079_305_0];
const EXAMPLE: &str = "This is an example sentence";

#[test]
fn smoke() {
    let model = open("all-MiniLM-L6-v2");
    let e = embed(&model, &[EXAMPLE], Detail::Tokens);
    println!(
        "{:?} {} {:?}",
        &e[0].vector[..4],
        e[0].token_count,
        e[0].tokens.as_ref().map(|t| t.data.len())
    );
    let _ = (cosine(&e[0].vector, &e[0].vector), REFERENCE);
}
