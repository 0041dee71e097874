//! What a model's calls leave in memory. Alone in its program: other tests' memory would count as this one's.
use rag::model::session::SessionOptions;
use rag::model::store::Store;
use rag::model::{Detail, Embedder, LocalModel, Purpose};
use std::path::PathBuf;

fn from_environment(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| default.into(), PathBuf::from)
}

/// Megabytes of this process in memory that no file has: pages of files come and go as the system likes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux");
    let line = status.lines().find(|line| line.starts_with("RssAnon")).expect("a line of it");
    let kilobytes = line.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok());
    kilobytes.expect("a number of kilobytes") / 1024.0
}

/// A backend of a connection pool does not keep the tens of megabytes that one long text took; a worker in the middle
/// of its documents does, since taking them again costs time each time.
#[test]
fn memory_goes_back_unless_more_calls_are_on_their_way() {
    let models = from_environment("RAG_PG_MODEL_PATH", "/var/lib/rag_pg/models");
    let library = from_environment("ORT_DYLIB_PATH", "/usr/local/lib/rag_pg/libonnxruntime.so");
    let located = Store::new(models).locate("all-MiniLM-L6-v2").expect("make setup installs it");
    let model = LocalModel::open(located, SessionOptions::new(library)).expect("the model opens");
    let embed = |texts: &[&str]| {
        drop(model.embed(texts, Purpose::Document, Detail::Vector, &mut || Ok(())).expect("texts"));
    };
    embed(&["A short text."]);
    let before = resident();
    let long = "of cats and vacuum ".repeat(60);
    let many = vec![long.as_str(); 24];

    embed(&many);
    let alone = resident() - before;
    let busy = model.busy();
    embed(&many);
    let kept = resident() - before;
    let inner = model.busy();
    embed(&many);
    drop(inner);
    let still_kept = resident() - before;
    drop(busy);
    let after = resident() - before;

    let figures =
        format!("{alone:.1} MB, busy {kept:.1} and {still_kept:.1} MB, then {after:.1} MB");
    assert!(kept > alone + 8.0 && still_kept > alone + 8.0, "a busy model keeps it: {figures}");
    assert!(alone < kept - 8.0 && after < kept - 8.0, "others give it back: {figures}");
}
