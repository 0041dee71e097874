//! The laws of the queue's pure side: what a document is planned to be, and how edits change as little
//! as possible.
#[path = "support/tokenizers.rs"]
mod support;

use proptest::prelude::*;
use rag::chunk::{Format, Options, PATH_SEPARATOR};
use rag::model::tokenizer::Tokenizer;
use rag::queue::diff::{ChunkHash, diff};
use rag::queue::plan::{Chunk, Document, chunks, document_hash};
use std::collections::HashSet;
use std::sync::LazyLock;

static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let made_up = [support::bert(support::UNCASED, ""), support::bert(support::CASED, "")];
    let all = made_up.into_iter().chain(support::installed());
    all.map(|json| Tokenizer::from_bytes(&json).unwrap()).collect()
});

const WINDOW: usize = 64;

fn plan(
    document: &Document,
    max_tokens: usize,
    format: Format,
    tokenizer: &Tokenizer,
) -> Vec<Chunk> {
    let overlap_tokens = max_tokens / 5;
    let options = Options { max_tokens, overlap_tokens, format, heading_tokens: 0, window: WINDOW };
    chunks(document, &options, tokenizer, &mut || Ok(())).unwrap()
}

fn document(title: Option<&str>, content: &str) -> Document {
    Document { title: title.map(str::to_owned), content: Some(content.to_owned()) }
}

fn markdown() -> impl Strategy<Value = String> {
    let block = prop_oneof![
        "#{1,3} [A-Za-z ]{1,60}",
        "([a-z]{1,9} ){1,40}[a-z]{1,9}\\.",
        "\\PC{0,80}",
        "- [a-z ]{1,30}",
    ];
    prop::collection::vec(block, 0..12).prop_map(|blocks| blocks.join("\n\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_embedded_fits_the_window(
        title in prop::option::of("[A-Za-z0-9,. ]{0,400}"),
        text in markdown(),
        max_tokens in 1_usize..=WINDOW,
    ) {
        let document = document(title.as_deref(), &text);
        for tokenizer in TOKENIZERS.iter() {
            for chunk in plan(&document, max_tokens, Format::Markdown, tokenizer) {
                let tokens = tokenizer.count(&chunk.embedding_text()).unwrap();
                prop_assert!(tokens <= WINDOW || chunk.content.chars().count() == 1, "{tokens}: {chunk:?}");
                prop_assert!(chunk.heading_tokens <= WINDOW / 4);
                prop_assert_eq!(tokenizer.count(&chunk.heading).unwrap(), chunk.heading_tokens);
                prop_assert!(chunk.token_count > 0);
                let verbatim: String =
                    text.chars().skip(chunk.char_start).take(chunk.char_end - chunk.char_start).collect();
                prop_assert_eq!(&verbatim, &chunk.content);
                let title = title.as_deref().unwrap_or_default();
                let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
                if !title.is_empty() {
                    let section = chunk.section.as_deref().unwrap();
                    let heads = section == title || section.starts_with(&format!("{title}{PATH_SEPARATOR}"));
                    prop_assert!(heads, "{section:?} does not begin with {title:?}");
                }
            }
        }
    }

    /// A table of chunks that follows a document through edits.
    #[test]
    fn edits_leave_the_table_as_a_fresh_load_would(
        versions in prop::collection::vec((prop::option::of("[a-c]{0,2}"), markdown()), 1..6),
    ) {
        let tokenizer = &TOKENIZERS[0];
        let mut rows: Vec<(i64, ChunkHash)> = Vec::new();
        let mut next_id = 1;
        let mut last: Option<[u8; 32]> = None;
        for (title, text) in &versions {
            let document = document(title.as_deref(), text);
            let new = plan(&document, 24, Format::Markdown, tokenizer);
            let hashes: Vec<ChunkHash> = new.iter().map(|chunk| chunk.hash).collect();
            let diff = diff(&rows, &hashes);
            let before: HashSet<i64> = rows.iter().map(|(id, _)| *id).collect();
            let mut inserted = 0;
            rows = diff.kept.iter().zip(&hashes).map(|(kept, hash)| {
                let id = kept.unwrap_or_else(|| { inserted += 1; next_id += 1; next_id });
                (id, *hash)
            }).collect();
            let ids: HashSet<i64> = rows.iter().map(|(id, _)| *id).collect();
            prop_assert_eq!(ids.len(), rows.len(), "an id is used once");
            prop_assert!(diff.removed.iter().all(|id| before.contains(id) && !ids.contains(id)));
            prop_assert_eq!(before.len() + inserted, ids.len() + diff.removed.len());
            prop_assert_eq!(rows.iter().map(|(_, hash)| *hash).collect::<Vec<_>>(), hashes);
            let hash = document_hash(&document);
            if last == Some(hash) {
                prop_assert_eq!(inserted, 0);
                prop_assert!(diff.removed.is_empty());
            }
            last = Some(hash);
        }
    }
}

#[test]
fn null_and_blank_documents_have_no_chunks() {
    for content in [None, Some(""), Some(" \n\t "), Some("\u{1}\u{2}")] {
        let document = Document { title: Some("T".into()), content: content.map(str::to_owned) };
        assert_eq!(plan(&document, 20, Format::Plain, &TOKENIZERS[0]), []);
    }
}

#[test]
fn a_title_that_the_text_repeats_stands_once() {
    let tokenizer = &TOKENIZERS[0];
    let document = document(Some("Index"), "# Index\n\n## Row\n\nSelect the data.\n");
    let sections: Vec<_> = plan(&document, 30, Format::Markdown, tokenizer)
        .into_iter()
        .map(|chunk| chunk.section.unwrap().to_string())
        .collect();
    assert!(sections.iter().all(|section| section.matches("Index").count() == 1), "{sections:?}");
}

#[test]
fn a_title_of_megabytes_costs_nothing() {
    let title = "word ".repeat(1_000_000);
    let document = document(Some(&title), "Short text.");
    let started = std::time::Instant::now();
    let chunks = plan(&document, 30, Format::Plain, &TOKENIZERS[0]);
    assert_eq!(chunks.len(), 1);
    assert!(chunks[0].heading_tokens <= WINDOW / 4);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}
