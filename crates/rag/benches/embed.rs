//! Embedding the chunks of the PostgreSQL manual with the default model on one thread: `Embedder`
//! from texts to vectors, beside a bare loop of ONNX Runtime over token ids prepared beforehand, and
//! the share of padding. Both take turns; medians of the rounds.
//!
//! With `RAG_PG_BENCH_TEXTS=FILE`, a text in each line as a JSON string, it runs the bare loop over those
//! once and prints the seconds that took: what ingestion is compared with.
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use rag::chunk::{Format, Options, chunk};
use rag::model::batch::BatchPlan;
use rag::model::store::Store;
use rag::model::{Detail, Embedder, LocalModel, Purpose, TOKEN_BUDGET, runtime, session};
use std::path::PathBuf;
use std::time::Instant;

/// Chunks of a round, taken evenly from the manual.
const CHUNKS: usize = 400;
const ROUNDS: usize = 5;

fn main() {
    // `cargo test` runs benches too, with `--test`: compiling is all it asks for.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let model = open();
    if let Some(path) = std::env::var_os("RAG_PG_BENCH_TEXTS") {
        return bare_loop(&model, &std::fs::read_to_string(path).expect("a file of texts"));
    }
    let all = manual_chunks(&model);
    if all.is_empty() {
        figure(
            "embedding the manual's chunks",
            "not measured (postgresql-doc is not installed)",
            "",
        );
        return;
    }
    let texts: Vec<&str> =
        all.iter().step_by((all.len() / CHUNKS).max(1)).map(String::as_str).collect();
    let mut raw = RawLoop::new(&model, &texts);
    let (mut bare, mut vectors, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(rate(raw.tokens, || raw.run()));
        vectors.push(rate(raw.tokens, || embed(&model, &texts, Detail::Vector)));
        tokens.push(rate(raw.tokens, || embed(&model, &texts, Detail::Tokens)));
    }
    let (bare, vectors, tokens) = (median(bare), median(vectors), median(tokens));
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let padding = model.padding(&all, Purpose::Document).expect("the chunks are tokenised");
    figure("ONNX Runtime alone, tokens/s", &format!("{bare:.0}"), "");
    figure(
        "embedding texts, tokens/s (with token vectors)",
        &format!("{vectors:.0} ({tokens:.0})"),
        "",
    );
    figure("embedding against ONNX Runtime alone", &format!("{:.2}x", vectors / bare), ">= 0.9x");
    let what = format!("padding over the manual's {} chunks", all.len());
    figure(&what, &format!("{:.1} %", padding * 100.0), "< 5 %");
}

/// Prints the seconds that the bare loop takes for JSON strings, one a line.
fn bare_loop(model: &LocalModel, lines: &str) {
    let text = |line| serde_json::from_str(line).expect("a JSON string");
    let texts: Vec<String> = lines.lines().map(text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut raw = RawLoop::new(model, &texts);
    let started = Instant::now();
    raw.run();
    println!("{:.2}", started.elapsed().as_secs_f64());
}

fn figure(what: &str, value: &str, bar: &str) {
    println!("figure\t{what}\t{value}\t{bar}");
}

fn open() -> LocalModel {
    let path = |variable, default: &str| {
        std::env::var_os(variable).map_or_else(|| PathBuf::from(default), PathBuf::from)
    };
    let models = path("RAG_PG_MODEL_PATH", "/var/lib/rag_pg/models");
    let library = path("ORT_DYLIB_PATH", "/usr/local/lib/rag_pg/libonnxruntime.so");
    let located = Store::new(models).locate("all-MiniLM-L6-v2").expect("make setup installs it");
    LocalModel::open(located, session::SessionOptions::new(library)).expect("the model opens")
}

/// The chunks of every tenth page, as a collection would embed them.
fn manual_chunks(model: &LocalModel) -> Vec<String> {
    let mut directories: Vec<_> = std::fs::read_dir("/usr/share/doc")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("postgresql-doc-"))
        .collect();
    directories.sort();
    let pages = directories.last().and_then(|last| std::fs::read_dir(last.join("html")).ok());
    let mut pages: Vec<_> = pages.into_iter().flatten().flatten().map(|e| e.path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "html"));
    pages.sort();
    let room = model.room(Purpose::Document).expect("the model has room");
    let options = Options::new(None, None, Format::Html, room).expect("the defaults fit");
    let mut chunks = Vec::new();
    for page in pages.iter().step_by(10) {
        let html = String::from_utf8_lossy(&std::fs::read(page).expect("a page")).into_owned();
        let chunked =
            chunk(&html, &options, model.tokenizer(), &mut || Ok(())).expect("a page is chunked");
        chunks.extend(chunked.chunks.iter().map(|c| chunked.embedding_text(c).into_owned()));
    }
    chunks
}

fn embed(model: &LocalModel, texts: &[&str], detail: Detail) {
    model.embed(texts, Purpose::Document, detail, &mut || Ok(())).expect("the texts embed");
}

/// Tokens per second of `run`.
fn rate(tokens: usize, run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    tokens as f64 / started.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one would write by hand: a session on one thread, ids made and batched beforehand by
/// length, nothing done with the output.
struct RawLoop {
    session: ort::session::Session,
    batches: Vec<RawBatch>,
    tokens: usize,
}

struct RawBatch {
    shape: [usize; 2],
    ids: Vec<i64>,
    mask: Vec<i64>,
    types: Vec<i64>,
}

impl RawLoop {
    fn new(model: &LocalModel, texts: &[&str]) -> Self {
        let environment = runtime::environment(&model.options().library).expect("ONNX Runtime");
        let graph = model.located().graph(model.manifest()).expect("the graph");
        let session = ort::session::Session::builder(environment)
            .and_then(|b| Ok(b.with_intra_threads(1)?))
            .and_then(|b| Ok(b.with_optimization_level(GraphOptimizationLevel::All)?))
            .and_then(|mut b| b.commit_from_memory(&graph))
            .expect("the graph loads");
        let window = model.manifest().max_tokens;
        let encode = |text: &&str| model.tokenizer().encode(text, window).expect("ids").ids;
        let inputs: Vec<Vec<u32>> = texts.iter().map(encode).collect();
        let lengths: Vec<usize> = inputs.iter().map(Vec::len).collect();
        let plan = BatchPlan::new(&lengths, TOKEN_BUDGET);
        let batches = plan.batches().map(|rows| RawBatch::new(rows, &inputs)).collect();
        Self { session, batches, tokens: lengths.iter().sum() }
    }

    fn run(&mut self) {
        for batch in &self.batches {
            let tensor = |data| TensorRef::from_array_view((batch.shape, data)).expect("a tensor");
            let inputs = ort::inputs![
                "input_ids" => tensor(&batch.ids[..]),
                "attention_mask" => tensor(&batch.mask[..]),
                "token_type_ids" => tensor(&batch.types[..]),
            ];
            self.session.run(inputs).expect("the graph runs");
        }
    }
}

impl RawBatch {
    fn new(rows: &[usize], inputs: &[Vec<u32>]) -> Self {
        let width = rows.iter().map(|&row| inputs[row].len()).max().unwrap_or(0);
        let cells = rows.len() * width;
        let mut batch = Self {
            shape: [rows.len(), width],
            ids: vec![0; cells],
            mask: vec![0; cells],
            types: vec![0; cells],
        };
        for (row, &input) in rows.iter().enumerate() {
            for (cell, &id) in (row * width..).zip(&inputs[input]) {
                batch.ids[cell] = i64::from(id);
                batch.mask[cell] = 1;
            }
        }
        batch
    }
}
