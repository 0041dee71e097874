//! The laws of the queue's pure side: what a document is planned to be, and how edits change as little
//! as possible.
#[path = "support/tokenizers.rs"]
mod support;

use proptest::prelude::*;
use rag::chunk::{Format, Options, PATH_SEPARATOR};
use rag::extract::{ExtractedText, Page};
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
    Document {
        title: title.map(str::to_owned),
        content: Some(content.to_owned()),
        ..Document::default()
    }
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
        let document = Document {
            title: Some("T".into()),
            content: content.map(str::to_owned),
            ..Document::default()
        };
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

fn table(rows: usize, columns: usize) -> String {
    let cells = |of: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = (0..columns).map(of).collect();
        format!("| {} |", cells.join(" | "))
    };
    let head = [cells(&|n| format!("name {n}")), cells(&|_| "---".to_owned())];
    let rows = (0..rows).map(|row| cells(&|n| format!("row {row} cell {n}")));
    head.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

#[test]
fn chunks_of_a_long_table_are_embedded_with_its_header_row() {
    let tokenizer = &TOKENIZERS[0];
    let text = format!("# Prices\n\nBefore.\n\n{}\n\nAfter the table.", table(40, 2));
    let rows =
        (0..40).map(|row| format!("<tr><td>row {row} cell 0</td><td>row {row} cell 1</td></tr>"));
    let html = format!(
        "<h1>Prices</h1><table><tr><th>name 0</th><th>name 1</th></tr>{}</table><p>After the table.</p>",
        rows.collect::<Vec<_>>().concat()
    );
    for (text, format, header) in
        [(&text, Format::Markdown, "| name 0 | name 1 |"), (&html, Format::Html, "name 0 | name 1")]
    {
        let found = plan(&document(None, text), WINDOW, format, tokenizer);
        assert!(found.len() > 3, "{found:?}");
        for chunk in &found {
            let has_header = chunk.content.contains(header);
            let is_in_table =
                chunk.content.starts_with("| row") || chunk.content.starts_with("row");
            // The path too, if both fit into a quarter of the window.
            let headings = [format!("Prices\n{header}"), header.to_owned()];
            assert_eq!(
                headings.iter().any(|heading| **heading == *chunk.heading),
                is_in_table,
                "{chunk:?}"
            );
            assert!(!(has_header && is_in_table));
            assert!(tokenizer.count(&chunk.embedding_text()).unwrap() <= WINDOW);
            // No row is cut.
            let whole =
                chunk.content.lines().all(|line| !line.contains("row") || line.contains("cell 1"));
            assert!(whole, "{chunk:?}");
        }
        assert!(found.iter().any(|chunk| chunk.content.contains(header)));
        assert!(found.last().unwrap().content.contains("After"));
    }
    // As much of a header as a quarter of the window holds.
    for columns in [3, 8, 200] {
        let found = plan(
            &document(Some("Title"), &table(20, columns)),
            WINDOW,
            Format::Markdown,
            tokenizer,
        );
        for chunk in found.iter().skip(1).filter(|chunk| chunk.content.starts_with("| row")) {
            assert!(chunk.heading.contains("name 0"), "{chunk:?}");
            assert!(chunk.heading_tokens <= WINDOW / 4);
        }
    }
}

#[test]
fn chunks_of_a_file_know_their_pages_and_stay_in_their_sheet() {
    let tokenizer = &TOKENIZERS[0];
    let page = |number: u32, content: &str, sheet: Option<&str>| Page {
        number,
        content: content.to_owned(),
        metadata: sheet.map(|sheet| ("sheet".to_owned(), sheet.into())).into_iter().collect(),
    };
    let pages = vec![
        page(1, "The first sentence. The second runs over", None),
        page(2, "the end of a page. A third.", None),
        page(3, "Short.", Some("A")),
        page(4, "Shorter.", Some("B")),
    ];
    let ExtractedText { text, parts } = ExtractedText::join(pages).unwrap();
    let document = Document { title: None, content: Some(text.clone()), parts };
    let found = plan(&document, WINDOW, Format::Auto, tokenizer);
    let shown: Vec<_> =
        found.iter().map(|c| (&*c.content, c.page, c.place.as_deref().unwrap())).collect();
    assert_eq!(
        shown,
        [
            (
                "The first sentence. The second runs over\nthe end of a page. A third.",
                Some(1),
                r#"{"breaks":[[41,2]],"page_end":2}"#
            ),
            ("Short.", Some(3), r#"{"page_end":3,"sheet":"A"}"#),
            ("Shorter.", Some(4), r#"{"page_end":4,"sheet":"B"}"#),
        ]
    );
    for chunk in &found {
        let piece: String =
            text.chars().skip(chunk.char_start).take(chunk.char_end - chunk.char_start).collect();
        assert_eq!(piece, chunk.content);
    }
}
