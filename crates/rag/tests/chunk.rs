//! What chunking does with headings, code, pages, edits and hostile input, by example.
#[path = "support/chunking.rs"]
mod chunking;
#[path = "support/tokenizers.rs"]
mod support;

use chunking::{COUNTERS, options, run};
use rag::chunk::{Chunk, Chunked, Format, Options, chunk};
use rag::model::tokenizer::{TokenCounter, Word};

/// Contents of the chunks, and their sections.
fn pieces<'a>(chunked: &'a Chunked<'_>) -> Vec<(&'a str, &'a str)> {
    let section = |chunk: &'a Chunk| chunk.section.as_deref().unwrap_or_default();
    chunked.chunks.iter().map(|chunk| (chunked.content(chunk), section(chunk))).collect()
}

/// Counts words between spaces: sizes in these tests can be read off.
struct WordCounter;

impl TokenCounter for WordCounter {
    fn count(&self, text: &str) -> rag::Result<usize> {
        Ok(text.split_whitespace().count())
    }

    fn is_additive(&self) -> bool {
        true
    }

    fn words(&self, text: &str, base: usize, words: &mut Vec<Word>) -> rag::Result<()> {
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
fn a_heading_path_takes_nothing_from_chunks_that_leave_room_in_the_window() {
    let text = "# A\n\none two three four five six seven eight nine ten eleven twelve";
    let longest = |window| {
        let options = Options { heading_tokens: 3, window, ..options(6, 0, Format::Markdown) };
        let chunked = chunk(text, &options, &WordCounter, &mut || Ok(())).unwrap();
        chunked.chunks[1..].iter().map(|chunk| chunk.token_count).max()
    };
    assert_eq!((longest(6), longest(7), longest(100)), (Some(5), Some(6), Some(6)));
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
            if calls > 3 { Err(rag::Error::cancelled()) } else { Ok(()) }
        };
        let error =
            chunk(&text, &options(254, 50, format), &COUNTERS[0], &mut checkpoint).unwrap_err();
        assert!(error.is_cancelled());
    }
}
