//! What the tests of tokenizing and chunking work on: made-up tokenizers that need no files, the
//! installed model's own, the PostgreSQL manual.
#![allow(dead_code)] // No test needs all of it.
use std::io::Write;
use std::path::{Path, PathBuf};

/// A `tokenizer.json` of BERT's kind over a small vocabulary that has whole words, single letters
/// in both positions (so that most words split), accents and ideographs.
pub fn bert(normalizer: &str, added: &str) -> Vec<u8> {
    let mut entries: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .iter()
        .map(|token| (*token).to_owned())
        .collect();
    let words = "the a of and to in is that for with select from table row index postgresql server \
                 data base run run ning ##ning ##s ##ed ##ing ##base ##er ##ly The THE Of naïve naive \
                 straße größe ##é ##ü é ü 中 文 ##文 ー ! ? . , ; : - ( ) [ ] < > / \" ' ` # ## * _ = + …";
    entries.extend(words.split_whitespace().map(str::to_owned));
    for letter in ('a'..='x').chain('A'..='M').chain('0'..='8') {
        entries.push(letter.to_string());
        entries.push(format!("##{letter}"));
    }
    entries.sort();
    entries.dedup();
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        entries.iter().enumerate().map(|(id, entry)| (entry.clone(), id.into())).collect();
    let id = |token: &str| entries.iter().position(|entry| entry == token).unwrap();
    let special: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .iter()
        .map(|token| {
            format!(
                r#"{{"id":{},"content":"{token}","single_word":false,"lstrip":false,
                   "rstrip":false,"normalized":false,"special":true}}"#,
                id(token)
            )
        })
        .collect();
    let (cls, sep) = (id("[CLS]"), id("[SEP]"));
    let comma = if added.is_empty() { "" } else { "," };
    format!(
        r###"{{"version":"1.0","truncation":{{"direction":"Right","max_length":8,"strategy":"LongestFirst","stride":0}},
        "padding":{{"strategy":{{"Fixed":8}},"direction":"Right","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":0,"pad_token":"[PAD]"}},
        "added_tokens":[{}{comma}{added}],"normalizer":{normalizer},
        "pre_tokenizer":{{"type":"BertPreTokenizer"}},
        "post_processor":{{"type":"BertProcessing","sep":["[SEP]",{sep}],"cls":["[CLS]",{cls}]}},
        "decoder":null,
        "model":{{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
                  "max_input_chars_per_word":100,"vocab":{}}}}}"###,
        special.join(","),
        serde_json::Value::Object(vocabulary),
    )
    .into_bytes()
}

/// The usual normalizer of uncased models.
pub const UNCASED: &str = r#"{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}"#;
/// The usual normalizer of cased models.
pub const CASED: &str = r#"{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":false,"lowercase":false}"#;

/// The crate on the same file, set up as the extension sets it up.
pub fn reference(json: &[u8]) -> tokenizers::Tokenizer {
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(json).unwrap();
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).unwrap();
    tokenizer
}

/// `tokenizer.json` of the installed default model; `None` is reported on standard error.
pub fn installed() -> Option<Vec<u8>> {
    let root = std::env::var_os("RAG_PG_MODEL_PATH")
        .map_or_else(|| PathBuf::from("/var/lib/rag_pg/models"), PathBuf::from);
    let found = find(&root.join("all-MiniLM-L6-v2"));
    if found.is_none() {
        report_skipped(&format!("no all-MiniLM-L6-v2 in \"{}\"", root.display()));
    }
    found
}

/// The PostgreSQL manual's pages; none is reported.
pub fn manual() -> Vec<String> {
    let directory = "/usr/share/doc/postgresql-doc-15/html";
    let Ok(entries) = std::fs::read_dir(directory) else {
        report_skipped(&format!("no \"{directory}\""));
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "html"));
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Says so where the harness does not swallow it.
fn report_skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what} (make setup installs it)");
}

fn find(model: &Path) -> Option<Vec<u8>> {
    let current = std::fs::read_to_string(model.join("current")).ok()?;
    std::fs::read(model.join(current.trim()).join("tokenizer.json")).ok()
}
