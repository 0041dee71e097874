//! The laws of chunking, over generated text and whole documents.
#[path = "support/chunking.rs"]
mod chunking;
#[path = "support/tokenizers.rs"]
mod support;

use chunking::{COUNTERS, options, run};
use proptest::prelude::*;
use rag::chunk::{Chunk, Format, Options};
use rag::model::tokenizer::Tokenizer;

/// Everything that holds for every text and every choice.
fn check(text: &str, options: &Options, counter: &Tokenizer) {
    let chunked = run(text, options, counter);
    let text: &str = &chunked.text;
    let mut covered = 0;
    let mut before: Option<&Chunk> = None;
    for (i, chunk) in chunked.chunks.iter().enumerate() {
        assert_eq!(chunk.ordinal, i + 1);
        let content = chunked.content(chunk);
        check_offsets(text, chunk, content);
        check_size(text, chunk, content, options, counter);
        if let Some(before) = before {
            assert!(chunk.range.start > before.range.start, "starts do not grow");
            assert!(chunk.range.end > before.range.end, "ends do not grow");
            check_overlap(text, before, chunk, options, counter);
        }
        if chunk.range.start > covered {
            assert_eq!(text[covered..chunk.range.start].trim(), "", "text is lost");
        }
        covered = chunk.range.end;
        before = Some(chunk);
    }
    assert_eq!(text[covered..].trim(), "", "the end is lost");
}

fn check_offsets(text: &str, chunk: &Chunk, content: &str) {
    assert!(!content.trim().is_empty(), "an empty chunk");
    assert_eq!(content.trim_end(), content);
    assert_eq!(text[..chunk.range.start].chars().count(), chunk.chars.start);
    let by_chars: String = text.chars().skip(chunk.chars.start).take(chunk.chars.len()).collect();
    assert_eq!(by_chars, content);
}

fn check_size(text: &str, chunk: &Chunk, content: &str, options: &Options, counter: &Tokenizer) {
    assert_eq!(counter.count(content).unwrap(), chunk.token_count, "of {content:?} in {text:?}");
    let most = options.max_tokens;
    let is_one_character = content.chars().count() == 1;
    assert!(chunk.token_count <= most || is_one_character, "{content:?} has too many tokens");
    assert!(content.chars().count() <= (40 * most).max(200), "too many characters");
    if options.heading_tokens > 0 {
        assert!(chunk.heading_tokens <= options.heading_tokens);
        assert_eq!(counter.count(&chunk.heading).unwrap(), chunk.heading_tokens);
        let together = chunk.heading_tokens + chunk.token_count;
        assert!(together <= options.window || chunk.token_count == 1 || is_one_character);
    }
}

fn check_overlap(
    text: &str,
    before: &Chunk,
    chunk: &Chunk,
    options: &Options,
    counter: &Tokenizer,
) {
    if chunk.range.start >= before.range.end {
        return;
    }
    let shared = &text[chunk.range.start..before.range.end];
    assert!(counter.count(shared).unwrap() <= options.overlap_tokens, "{shared:?} is too much");
    assert_eq!(before.section, chunk.section, "an overlap across sections");
}

/// Text with structure of every kind, and none.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-z]{1,9} ",
        2 => "[A-Z][a-z]{1,9} ",
        2 => Just(". ".to_owned()),
        2 => Just("\n\n".to_owned()),
        1 => prop::sample::select(vec![
            "\n", "\n# ", "\n## ", "\n\n- ", "\n> ", "```\n", "    ", "| a | b |\n|---|---|\n| c | d |\n",
            "\u{c}", "\t", ":\n", "<p>", "</p>", "<h2>", "</h2>", "<pre>", "<li>", "<td>", "&amp;", "&#x41;",
            "<!--", "-->", "<script>", "[SEP]", "<mask>", "[x]: y\n", "---\n", "***", "1. ",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "中文没有空格", "한국어", "ไทยไม่มีช่องว่าง", "👩‍👩‍👧", "e\u{301}\u{301}", "\u{200b}", "\u{a0}", "\u{85}", "\u{2028}",
            "\u{1d165}\u{302e}", "ﷺ", "\u{feff}", "naïve",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,9}",
        1 => any::<char>().prop_filter("PostgreSQL has no NUL", |c| *c != '\0').prop_map(String::from),
        1 => "[a-z]{90,300}",
    ];
    prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

fn format() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![Format::Auto, Format::Plain, Format::Markdown, Format::Html])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_laws_hold_for_any_text(
        text in text(),
        format in format(),
        max_tokens in prop_oneof![1_usize..8, 8_usize..64],
        overlap in 0_usize..20,
        heading_tokens in 0_usize..12,
        room in 0_usize..12,
    ) {
        let overlap_tokens = overlap.min(max_tokens - 1);
        let window = max_tokens + room;
        let options = Options { max_tokens, overlap_tokens, format, heading_tokens, window };
        for counter in COUNTERS.iter() {
            check(&text, &options, counter);
        }
    }
}

#[test]
fn nothing_becomes_no_chunk() {
    for text in ["", " ", "\n\n", "\u{c}", "\u{2003}\u{a0}"] {
        for format in [Format::Auto, Format::Plain, Format::Markdown, Format::Html] {
            assert!(run(text, &options(10, 2, format), &COUNTERS[0]).chunks.is_empty(), "{text:?}");
        }
    }
}

#[test]
fn the_laws_hold_for_the_manual() {
    let pages = support::manual();
    let counter = COUNTERS.last().unwrap();
    for page in &pages {
        let options = Options { heading_tokens: 64, ..options(254, 50, Format::Html) };
        check(page, &options, counter);
    }
    for page in pages.iter().step_by(10) {
        let text = run(page, &options(254, 0, Format::Html), counter).text;
        for (max_tokens, overlap) in [(254, 50), (100, 99), (16, 0), (1, 0)] {
            check(&text, &options(max_tokens, overlap, Format::Plain), counter);
            check(page, &options(max_tokens, overlap, Format::Html), counter);
        }
    }
}

#[test]
fn the_laws_hold_for_our_own_documents() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut checked = 0;
    for directory in [root.to_owned(), format!("{root}/docs/reference")] {
        for file in std::fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for (counter, max_tokens) in COUNTERS.iter().flat_map(|c| [(c, 254), (c, 60), (c, 7)]) {
                let options =
                    Options { heading_tokens: 20, ..options(max_tokens, 6, Format::Markdown) };
                check(&text, &options, counter);
            }
            checked += 1;
        }
    }
    assert!(checked > 0);
}

#[test]
fn words_without_end_are_cut_and_bounded() {
    let counter = &COUNTERS[0];
    for text in [
        "x".repeat(100_000),
        "e\u{301}".repeat(50_000),
        "中".repeat(50_000),
        "\u{301}".repeat(9_999),
    ] {
        for max_tokens in [1, 10, 254] {
            check(&text, &options(max_tokens, 0, Format::Plain), counter);
        }
    }
}

#[test]
fn an_overlap_of_too_many_characters_is_left_out() {
    // One token of 300 characters: the first chunk may have 320, the next, with a heading path, 280.
    let text = format!("# A\n\n{}\n\n{}", "a".repeat(300), "b".repeat(90));
    let options = Options { heading_tokens: 1, ..options(8, 1, Format::Markdown) };
    check(&text, &options, &COUNTERS[0]);
}
