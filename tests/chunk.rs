//! The laws of chunking, over generated text and whole documents.
#[path = "support/tokenizers.rs"]
mod support;

use proptest::prelude::*;
use rag_pg::chunk::{Chunk, Chunked, Format, Options, chunk};
use rag_pg::model::tokenizer::{TokenCounter, Tokenizer, Word};
use std::sync::LazyLock;

/// A made-up tokenizer whose words mostly split, one that is not additive, and the real one.
static COUNTERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let swallowing = r#"{"id":900,"content":"<mask>","single_word":false,"lstrip":true,"rstrip":false,"normalized":false,"special":true}"#;
    let made_up = [support::bert(support::UNCASED, ""), support::bert(support::CASED, swallowing)];
    let all = made_up.into_iter().chain(support::installed());
    all.map(|json| Tokenizer::from_bytes(&json).unwrap()).collect()
});

fn run<'a>(text: &'a str, options: &Options, counter: &Tokenizer) -> Chunked<'a> {
    chunk(text, options, counter, &mut || Ok(())).unwrap()
}

fn options(max_tokens: usize, overlap_tokens: usize, format: Format) -> Options {
    Options { max_tokens, overlap_tokens, format, heading_tokens: 0 }
}

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
    ) {
        let overlap_tokens = overlap.min(max_tokens - 1);
        let options = Options { max_tokens, overlap_tokens, format, heading_tokens };
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
    let root = env!("CARGO_MANIFEST_DIR");
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

/// Contents of the chunks, and their sections.
fn pieces<'a>(chunked: &'a Chunked<'_>) -> Vec<(&'a str, &'a str)> {
    let section = |chunk: &'a Chunk| chunk.section.as_deref().unwrap_or_default();
    chunked.chunks.iter().map(|chunk| (chunked.content(chunk), section(chunk))).collect()
}

/// Counts words between spaces: sizes in these tests can be read off.
struct WordCounter;

impl TokenCounter for WordCounter {
    fn count(&self, text: &str) -> rag_pg::Result<usize> {
        Ok(text.split_whitespace().count())
    }

    fn is_additive(&self) -> bool {
        true
    }

    fn words(&self, text: &str, base: usize, words: &mut Vec<Word>) -> rag_pg::Result<()> {
        words.extend(text.split_whitespace().map(|word| {
            let start = base + (word.as_ptr() as usize - text.as_ptr() as usize);
            Word { start: start as u32, end: (start + word.len()) as u32, tokens: 1 }
        }));
        Ok(())
    }
}

fn by_words(text: &str, max_tokens: usize, overlap: usize, format: Format) -> Chunked<'_> {
    chunk(text, &options(max_tokens, overlap, format), &WordCounter, &mut || Ok(())).unwrap()
}

#[test]
fn small_paragraphs_share_a_chunk_and_fitting_ones_are_not_cut() {
    let text = "a b c\n\nd e f\n\ng h i j k\n\nl";
    let chunked = by_words(text, 7, 0, Format::Plain);
    assert_eq!(pieces(&chunked), [("a b c\n\nd e f", ""), ("g h i j k\n\nl", "")]);
}

#[test]
fn a_paragraph_that_is_too_large_is_cut_at_sentences_then_at_words() {
    let text = "One two three. Four five six. Seven eight nine ten eleven twelve thirteen.";
    let chunked = by_words(text, 6, 0, Format::Plain);
    assert_eq!(
        pieces(&chunked),
        [
            ("One two three. Four five six.", ""),
            ("Seven eight nine ten eleven twelve", ""),
            ("thirteen.", "")
        ]
    );
}

#[test]
fn overlap_is_whole_sentences_within_a_section() {
    let text = "# A\n\nOne two. Three four. Five six. Seven eight.\n\n# B\n\nNine.";
    let chunked = by_words(text, 6, 3, Format::Markdown);
    assert_eq!(
        pieces(&chunked),
        [
            ("# A\n\nOne two. Three four.", "A"),
            ("Three four. Five six. Seven eight.", "A"),
            ("# B\n\nNine.", "B")
        ]
    );
}

#[test]
fn overlap_gives_way_to_a_paragraph_that_would_be_cut() {
    let text = "One two. Three four.\n\nfive six seven eight nine";
    assert_eq!(pieces(&by_words(text, 6, 3, Format::Plain)).len(), 2);
    assert_eq!(pieces(&by_words(text, 6, 3, Format::Plain))[1].0, "five six seven eight nine");
    assert_eq!(
        pieces(&by_words(text, 7, 3, Format::Plain))[1].0,
        "Three four.\n\nfive six seven eight nine"
    );
}

#[test]
fn headings_stay_with_what_they_head_and_name_the_section() {
    let text = "intro\n\n# A\n\n## B\n\nb1 b2 b3 b4\n\nb5 b6 b7 b8\n\n## C\n\nc1\n\n# D\n\nd1";
    let chunked = by_words(text, 9, 0, Format::Markdown);
    assert_eq!(
        pieces(&chunked),
        [
            ("intro", ""),
            ("# A\n\n## B\n\nb1 b2 b3 b4", "A > B"),
            ("b5 b6 b7 b8", "A > B"),
            ("## C\n\nc1", "A > C"),
            ("# D\n\nd1", "D")
        ]
    );
}

#[test]
fn code_and_tables_are_not_cut_while_they_fit() {
    let code = "```sql\nSELECT 1;\n\nSELECT 2;\n```";
    let table = "| a | b |\n|---|---|\n| c | d |\n| e | f |";
    let text =
        format!("one two three four five\n\n{code}\n\nsix seven eight nine ten\n\n{table}\n\nend");
    let chunked = by_words(&text, 24, 0, Format::Markdown);
    let contents: Vec<&str> = pieces(&chunked).into_iter().map(|piece| piece.0).collect();
    for whole in [code, table] {
        assert!(contents.iter().any(|content| content.contains(whole)), "{contents:?}");
    }
    let cut = by_words(table, 8, 0, Format::Markdown);
    assert!(cut.chunks.len() > 1);
    assert!(
        pieces(&cut).iter().all(|(row, _)| row.starts_with('|') && row.ends_with('|')),
        "{cut:?}"
    );
}

#[test]
fn what_introduces_a_block_stays_with_it() {
    let text = "one two three four\n\nFor example:\n\n```\na b c\n```";
    let chunked = by_words(text, 8, 0, Format::Markdown);
    assert_eq!(
        pieces(&chunked),
        [("one two three four", ""), ("For example:\n\n```\na b c\n```", "")]
    );
    let terms = by_words("<dl><dt>t1<dd>a b c<dt>t2<dd>d e f</dl>", 6, 0, Format::Html);
    assert_eq!(pieces(&terms), [("t1\na b c", ""), ("t2\nd e f", "")]);
}

#[test]
fn pages_are_counted_by_form_feeds() {
    let chunked = by_words("a b\u{c}c d\u{c}\u{c}e f\n\ng h", 2, 0, Format::Plain);
    let pages: Vec<Option<u32>> = chunked.chunks.iter().map(|chunk| chunk.page).collect();
    assert_eq!(pages, [Some(1), Some(2), Some(4), Some(4)]);
    assert_eq!(by_words("a", 2, 0, Format::Plain).chunks[0].page, None);
}

#[test]
fn the_heading_path_is_cut_to_its_share_and_leaves_room() {
    let text = "# A b c\n\n## D e\n\none two three four five six seven eight nine ten";
    let options = Options { heading_tokens: 3, ..options(8, 0, Format::Markdown) };
    let chunked = chunk(text, &options, &WordCounter, &mut || Ok(())).unwrap();
    let headings: Vec<&str> = chunked.chunks.iter().map(|chunk| &*chunk.heading).collect();
    // The first chunk contains both headings; after it "A b c > D e" is cut to what fits.
    assert_eq!(headings, ["", "D e", "D e"]);
    for chunk in &chunked.chunks {
        assert!(chunked.embedding_text(chunk).split_whitespace().count() <= 8);
    }
    assert!(chunked.embedding_text(&chunked.chunks[1]).starts_with("D e\n"));
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

#[test]
fn an_edit_changes_few_chunks() {
    let paragraph = |i: usize| -> String {
        let sentence = |j: usize| format!("Row {i} of the table {j} is in the index with select. ");
        (0..2 + i * 7 % 5).map(sentence).collect()
    };
    let document = |edited: Option<usize>| -> String {
        let part = |i: usize| {
            let text = if edited == Some(i) { "It is another.".to_owned() } else { paragraph(i) };
            if i.is_multiple_of(12) { format!("# Part {i}\n\n{text}") } else { text }
        };
        (0..300).map(part).collect::<Vec<_>>().join("\n\n")
    };
    let contents = |text: &str| -> Vec<String> {
        let chunked = run(text, &options(254, 50, Format::Markdown), &COUNTERS[0]);
        pieces(&chunked).iter().map(|(content, section)| format!("{section}\n{content}")).collect()
    };
    let before = contents(&document(None));
    assert!(before.len() > 80, "{} chunks", before.len());
    let edit = |i| contents(&document(Some(i))).iter().filter(|c| !before.contains(c)).count();
    let changed: Vec<usize> = (0..300).step_by(7).map(edit).collect();
    let mean = changed.iter().sum::<usize>() as f64 / changed.len() as f64;
    assert!(mean <= 3.0, "{mean} chunks of {} change: {changed:?}", before.len());
}

#[test]
fn hostile_html_costs_no_stack_and_no_more_than_its_size() {
    let deep = |tag: &str| format!("<{tag}>").repeat(100_000) + "x";
    let attributes = (0..20_000).map(|i| format!(" a{i}=1")).collect::<Vec<_>>().concat();
    let texts = [
        deep("div"),
        deep("ul"),
        deep("li"),
        deep("table"),
        deep("td"),
        deep("nav"),
        deep("pre"),
        deep("h1"),
        deep("dl"),
        "<".repeat(100_000),
        "<a ".repeat(100_000),
        "&".repeat(100_000),
        "&lt".repeat(100_000),
        "<!--".repeat(100_000),
        "</p>".repeat(100_000),
        "<tr><td>".repeat(100_000),
        "<br>".repeat(100_000),
        "<script>".repeat(100_000),
        format!("<p{attributes}>x"),
        format!("<![CDATA[{}", "]]".repeat(100_000)),
    ];
    for text in texts {
        let started = std::time::Instant::now();
        run(&text, &options(254, 50, Format::Html), &COUNTERS[0]);
        assert!(started.elapsed().as_secs() < 20, "{} takes {:?}", &text[..20], started.elapsed());
    }
}

#[test]
fn hostile_markdown_costs_no_more_than_its_size() {
    for piece in [
        "> ",
        "- ",
        "[",
        "*",
        "_ ",
        "`",
        "# ",
        "| a ",
        "<",
        "\n- a\n  ",
        "![](",
        "[a]: b\n",
        "```\n",
    ] {
        let text = piece.repeat(100_000 / piece.len());
        let started = std::time::Instant::now();
        run(&text, &options(254, 50, Format::Markdown), &COUNTERS[0]);
        assert!(started.elapsed().as_secs() < 20, "{piece:?} takes {:?}", started.elapsed());
    }
}

#[test]
fn a_large_text_is_chunked_in_bounded_time_between_checkpoints() {
    let paragraph =
        "The quick brown fox jumps over the lazy dog; nobody saw it. ".repeat(20) + "\n\n";
    let text = paragraph.repeat(50_000_000 / paragraph.len());
    let (mut last, mut longest) = (std::time::Instant::now(), std::time::Duration::ZERO);
    let mut checkpoint = || {
        longest = longest.max(last.elapsed());
        last = std::time::Instant::now();
        Ok(())
    };
    let options = options(254, 50, Format::Plain);
    let chunked = chunk(&text, &options, &COUNTERS[0], &mut checkpoint).unwrap();
    assert!(chunked.chunks.len() > 10_000);
    assert_eq!(chunked.chunks.last().unwrap().range.end, text.trim_end().len());
    // 200 ms where nothing else runs; tests share the machine with each other.
    assert!(longest.as_millis() < 1000, "{longest:?} without a checkpoint");
}

#[test]
fn a_cancel_ends_the_work() {
    let text = "word ".repeat(1_000_000);
    for format in [Format::Plain, Format::Markdown, Format::Html] {
        let mut calls = 0;
        let mut checkpoint = || {
            calls += 1;
            if calls > 3 { Err(rag_pg::Error::cancelled()) } else { Ok(()) }
        };
        let error =
            chunk(&text, &options(254, 50, format), &COUNTERS[0], &mut checkpoint).unwrap_err();
        assert!(error.is_cancelled());
    }
}
