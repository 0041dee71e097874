//! Writes a tiny random model as a hub would hold it, for tests and for trying `rag-model import`:
//! `cargo run --example tiny-model -- DIRECTORY [reranker] [SEED]`.
#[path = "../tests/support/tiny_model.rs"]
mod tiny_model;

use std::path::Path;
use tiny_model::TinyModel;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(directory) = arguments.next() else {
        eprintln!("usage: tiny-model DIRECTORY [reranker] [SEED]");
        std::process::exit(2);
    };
    let rest: Vec<String> = arguments.collect();
    let seed = rest.iter().find_map(|a| a.parse().ok()).unwrap_or(1);
    let is_reranker = rest.iter().any(|a| a == "reranker");
    let model = if is_reranker { TinyModel::cross_encoder(seed) } else { TinyModel::encoder(seed) };
    model.write(Path::new(&directory));
    println!("{directory}");
}
