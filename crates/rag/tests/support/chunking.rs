//! What the tests of chunking share.
use super::support;
use rag::chunk::{Chunked, Format, Options, chunk};
use rag::model::tokenizer::Tokenizer;
use std::sync::LazyLock;

/// A made-up tokenizer whose words mostly split, one that is not additive, and the real one.
pub static COUNTERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let swallowing = r#"{"id":900,"content":"<mask>","single_word":false,"lstrip":true,"rstrip":false,"normalized":false,"special":true}"#;
    let made_up = [support::bert(support::UNCASED, ""), support::bert(support::CASED, swallowing)];
    let all = made_up.into_iter().chain(support::installed());
    all.map(|json| Tokenizer::from_bytes(&json).unwrap()).collect()
});

pub fn run<'a>(text: &'a str, options: &Options, counter: &Tokenizer) -> Chunked<'a> {
    chunk(text, options, counter, &mut || Ok(())).unwrap()
}

pub fn options(max_tokens: usize, overlap_tokens: usize, format: Format) -> Options {
    Options { max_tokens, overlap_tokens, format, heading_tokens: 0, window: max_tokens }
}
