//! Judged questions and their passages, embedded.
use crate::lexical::Lexical;
use rag::model::session::SessionOptions;
use rag::model::store::Store;
use rag::model::{Detail, Embedder, Embedding, LocalModel, Purpose};
use rag::rerank::TokenBits;
use serde_json::Value;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::{env, fs};

/// A passage with what search needs of it.
pub struct JudgedPassage {
    pub title: String,
    pub text: String,
    /// The titles above it and inside of it.
    pub section: String,
    /// Tokens of the heading path that it is embedded with.
    pub heading_tokens: usize,
    pub vector: Vec<f32>,
    pub bits: TokenBits<'static>,
}

/// A question, the passage it is answered by, and the texts that count as its answer.
pub struct Question {
    pub text: String,
    pub passage: usize,
    pub answers: Vec<String>,
    pub embedding: Embedding,
}

impl Question {
    pub fn is_accepted(&self, quote: &str) -> bool {
        self.answers.iter().any(|answer| quote.contains(answer.as_str()))
    }
}

pub struct Corpus {
    pub passages: Vec<JudgedPassage>,
    pub questions: Vec<Question>,
    pub lexical: Lexical,
    pub model: LocalModel,
}

impl Corpus {
    /// Reads all passages and every `step`th question from `directory` and embeds them.
    pub fn read(directory: &str, step: usize) -> Self {
        let model = default_model();
        let passages = lines(directory, "passages.jsonl");
        let texts: Vec<String> = passages.iter().map(|p| text(&p["text"])).collect();
        let places: HashMap<String, usize> =
            passages.iter().enumerate().map(|(at, p)| (text(&p["id"]), at)).collect();
        let lexical = Lexical::new(&texts);
        let passages = passages
            .iter()
            .zip(embed(&model, &texts, Purpose::Document, |e| {
                (e.vector, TokenBits::of(&e.tokens.expect("tokens")))
            }))
            .map(|(passage, (vector, bits))| JudgedPassage {
                title: text(&passage["title"]),
                text: text(&passage["text"]),
                section: String::new(),
                heading_tokens: 0,
                vector,
                bits,
            })
            .collect();
        let asked: Vec<Value> =
            lines(directory, "questions.jsonl").into_iter().step_by(step).collect();
        let texts: Vec<String> = asked.iter().map(|q| text(&q["question"])).collect();
        let embeddings = embed(&model, &texts, Purpose::Query, |embedding| embedding);
        let question = |((asked, text), embedding): ((&Value, String), Embedding)| Question {
            passage: places[&self::text(&asked["passage"])],
            answers: asked["answers"].as_array().expect("answers").iter().map(self::text).collect(),
            text,
            embedding,
        };
        let questions = asked.iter().zip(texts).zip(embeddings).map(question).collect();
        Self { passages, questions, lexical, model }
    }

    /// Places of a text's tokens in it.
    pub fn tokens(&self, text: &str) -> Vec<Range<usize>> {
        let tokens = self.model.tokenizer().tokens(text).expect("the text tokenises");
        tokens.offsets.into_iter().map(|(from, to)| from as usize..to as usize).collect()
    }
}

pub fn default_model() -> LocalModel {
    let path =
        |variable: &str, default: &str| env::var(variable).unwrap_or_else(|_| default.into());
    let store = Store::new(path("RAG_PG_MODEL_PATH", "/var/lib/rag_pg/models"));
    let library = path("RAG_PG_ONNXRUNTIME", "/usr/local/lib/rag_pg/libonnxruntime.so");
    let located = store.locate("all-MiniLM-L6-v2").expect("make setup installs the model");
    LocalModel::open(located, SessionOptions::new(library)).expect("the model opens")
}

/// Embeds in groups, so that token vectors do not pile up.
pub fn embed<T>(
    model: &LocalModel,
    texts: &[String],
    purpose: Purpose,
    keep: impl Fn(Embedding) -> T,
) -> Vec<T> {
    let group = |texts: &[String]| {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        model.embed(&texts, purpose, Detail::Tokens, &mut || Ok(())).expect("the texts embed")
    };
    texts.chunks(256).flat_map(group).map(keep).collect()
}

pub fn lines(directory: &str, file: &str) -> Vec<Value> {
    let path = Path::new(directory).join(file);
    let all = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    all.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

pub fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
