//! Laws of extractive answers: quotes are verbatim, markers match citations, nothing panics.
use proptest::prelude::*;
use rag::answer::{Answer, NO_ANSWER, Options, Passage, Status, extract, from_passages, sentences};
use rag::model::tokenizer::Tokenizer;
use rag::model::{Checkpoint, Detail, Embedder, Embedding, Purpose, TokenVectors};
use rag::rerank::TokenBits;
use rag::{Error, Result};
use std::ops::Range;

const DIMENSIONS: usize = 128;

/// A vector of random signs that stands for a word; equal words have equal vectors, others are
/// nearly orthogonal.
fn word_vector(word: &str) -> impl Iterator<Item = f32> {
    let mut state = word.to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (0..DIMENSIONS).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        let sign = if state >> 63 == 1 { 1.0 } else { -1.0 };
        sign / (DIMENSIONS as f32).sqrt()
    })
}

/// Words of letters and digits, with their places.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    for (at, c) in text.char_indices().filter(|(_, c)| c.is_alphanumeric()) {
        let end = at + c.len_utf8();
        match words.last_mut() {
            Some(word) if word.end == at => word.end = end,
            _ => words.push(at..end),
        }
    }
    words
}

fn token_vectors(text: &str) -> TokenVectors {
    let data = words(text).into_iter().flat_map(|word| word_vector(&text[word])).collect();
    TokenVectors { dimensions: DIMENSIONS, data }
}

fn passage<'a>(text: &'a str, heading: &str) -> Passage<'a> {
    let vectors = token_vectors(&format!("{heading}\n{text}"));
    Passage {
        text,
        heading: "",
        span: 0..text.len(),
        bits: TokenBits::of(&vectors),
        heading_tokens: words(heading).len(),
        tokens: words(text),
        score: 0.0,
    }
}

#[allow(clippy::unnecessary_wraps)] // A checkpoint's signature.
fn unhurried() -> Result<()> {
    Ok(())
}

fn ask_with(question: &str, passages: &[Passage<'_>], options: &Options) -> Answer {
    extract(question, &token_vectors(question), passages, options, &mut unhurried).unwrap()
}

fn ask(question: &str, texts: &[&str]) -> Answer {
    let passages: Vec<Passage> = texts.iter().map(|text| passage(text, "")).collect();
    ask_with(question, &passages, &Options::default())
}

fn quotes(answer: &Answer) -> Vec<&str> {
    answer.citations.iter().map(|citation| citation.quote.as_str()).collect()
}

/// What holds of every answer.
fn check(answer: &Answer, texts: &[&str]) {
    let is_answered = answer.status == Status::Answered;
    assert_eq!(is_answered, !answer.citations.is_empty());
    assert_eq!(!is_answered, answer.text == NO_ANSWER);
    assert!((-1.0..=1.0).contains(&answer.confidence));
    let mut rest = answer.text.as_str();
    let mut seen: Vec<(usize, Range<usize>)> = Vec::new();
    for (n, citation) in answer.citations.iter().enumerate() {
        let text = texts[citation.passage];
        assert_eq!(citation.marker, n + 1);
        assert_eq!(&text[citation.bytes.clone()], citation.quote);
        assert_eq!(citation.quote.trim(), citation.quote);
        let by_chars: String =
            text.chars().skip(citation.chars.start).take(citation.chars.len()).collect();
        assert_eq!(by_chars, citation.quote);
        // What is shown of a table's row are its cells behind the names of their columns.
        if citation.shown != citation.quote {
            assert!(citation.quote.contains('|'), "{citation:?}");
        }
        let marked = format!("{} [{}]", citation.shown, citation.marker);
        let at = rest.find(&marked).expect("the quote and its marker are in the text, in order");
        assert!(at <= 1);
        rest = &rest[at + marked.len()..];
        let overlaps = |(passage, bytes): &(usize, Range<usize>)| {
            *passage == citation.passage
                && bytes.start < citation.bytes.end
                && citation.bytes.start < bytes.end
        };
        assert!(!seen.iter().any(overlaps), "no text is quoted twice");
        seen.push((citation.passage, citation.bytes.clone()));
    }
    assert!(rest.is_empty() || !is_answered);
}

proptest! {
    #[test]
    fn any_text_gives_verbatim_quotes(
        question in "[a-d ]{1,20}|\\PC{0,20}",
        texts in prop::collection::vec("([a-d?]{1,3}[ .\\n]{1,2}){0,30}|\\PC{0,200}", 0..4),
        heading in "[a-d ]{0,10}", threshold in -1.0_f64..0.5, most in 0_usize..5,
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let passages: Vec<Passage> = texts.iter().map(|text| passage(text, &heading)).collect();
        let options = Options { threshold, max_sentences: most, ..Options::default() };
        let answer = ask_with(&question, &passages, &options);
        check(&answer, &texts);
        prop_assert!(answer.citations.len() <= most);
    }

    #[test]
    fn sentences_are_in_order_trimmed_and_lose_nothing_but_space(
        text in "([a-dA-D]{1,9}[ .?!:\\n#\u{3000}]{1,3}){0,40}|\\PC{0,300}|(\\PC{200}){3,9}",
    ) {
        let mut at = 0;
        for sentence in sentences(&text, 0..text.len()) {
            let bytes = sentence.bytes;
            prop_assert!(text[at..bytes.start].trim().is_empty());
            let quote = &text[bytes.clone()];
            prop_assert!(!quote.is_empty() && quote.len() <= 600 && quote.trim() == quote);
            at = bytes.end;
        }
        prop_assert!(text[at..].trim().is_empty());
    }

    #[test]
    fn only_the_span_is_quoted(text in "([a-d]{1,3}[ .]{1,2}){4,30}", cut in 0.0_f64..1.0) {
        let start = (text.len() as f64 * cut / 2.0) as usize;
        let end = (text.len() as f64 * (1.0 - cut / 2.0)) as usize;
        let span = start..end.max(start);
        let within = Passage {
            bits: TokenBits::of(&token_vectors(&text[span.clone()])),
            tokens: words(&text[span.clone()])
                .into_iter()
                .map(|word| word.start + span.start..word.end + span.start)
                .collect(),
            span: span.clone(),
            ..passage(&text, "")
        };
        let options = Options { threshold: -1.0, ..Options::default() };
        let answer = ask_with("a b c", &[within], &options);
        check(&answer, &[&text]);
        for citation in &answer.citations {
            prop_assert!(span.start <= citation.bytes.start && citation.bytes.end <= span.end);
        }
    }
}

#[test]
fn the_sentence_that_answers_comes_with_its_marker() {
    let texts = [
        "Cats sleep all day. They hunt at night.",
        "The checkpointer writes dirty pages to disk. The archiver copies finished segments.",
    ];
    let answer = ask("which process writes dirty pages", &texts);
    check(&answer, &texts);
    assert_eq!(answer.citations[0].quote, "The checkpointer writes dirty pages to disk.");
    assert_eq!(answer.citations[0].passage, 1);
    assert!(answer.text.starts_with("The checkpointer writes dirty pages to disk. [1]"));
}

#[test]
fn nothing_that_fits_is_said_to_be_so() {
    for texts in [&[][..], &[""], &["Cats sleep all day. They hunt at night."]] {
        let answer = ask("which process writes dirty pages", texts);
        check(&answer, texts);
        assert_eq!(answer.status, Status::NoAnswer);
        assert_eq!(answer.status.as_str(), "no_answer");
    }
}

#[test]
fn an_answer_is_not_filled_up() {
    let texts = ["Dirty pages are written by the checkpointer. Bread is baked.", "Dogs bark."];
    let answer = ask("dirty pages are written by", &texts);
    assert_eq!(quotes(&answer), ["Dirty pages are written by the checkpointer."]);
}

#[test]
fn the_confidence_threshold_falls_with_fewer_passages() {
    let text = "Alpha beta gamma delta.";
    let confidence = f64::from(ask("alpha other", &[text]).confidence);
    for (searched, less) in [(usize::MAX, 0.0), (2000, 0.0), (200, 0.03), (2, 0.09), (0, 0.099)] {
        for (margin, status) in [(-0.001, Status::Answered), (0.001, Status::NoAnswer)] {
            let threshold = confidence + less + margin;
            let options = Options { threshold, searched, ..Options::default() };
            let answer = ask_with("alpha other", &[passage(text, "")], &options);
            assert_eq!(answer.status, status, "{searched}");
        }
    }
}

#[test]
fn headings_questions_and_introductions_lead_to_the_answer() {
    for lead in
        ["Renew a certificate\n\n", "How to renew a certificate? ", "# Renew a certificate\n"]
    {
        let text = format!("{lead}Run the tool on every host. Then wait. It takes a while.");
        let answer = ask("renew a certificate", &[&text]);
        check(&answer, &[&text]);
        assert!(quotes(&answer).contains(&"Run the tool on every host."), "{answer:?}");
        assert!(!answer.text.contains("enew"), "{answer:?}");
    }
}

#[test]
fn a_lead_alone_is_better_than_nothing() {
    let answer = ask("renew a certificate", &["Renew a certificate"]);
    assert_eq!(answer.text, "Renew a certificate [1]");
}

#[test]
fn heading_tokens_are_not_the_texts_own() {
    let text = "Alpha beta gamma. Delta epsilon zeta.";
    let answer = ask_with("delta epsilon", &[passage(text, "Alpha delta")], &Options::default());
    check(&answer, &[text]);
    assert!(answer.text.contains("Delta epsilon zeta."));
    assert!(answer.citations.iter().any(|c| c.quote.starts_with("Delta") && c.score > 0.9));
}

#[test]
fn what_did_not_fit_the_window_is_not_quoted() {
    let text = "Alpha beta gamma. Delta epsilon zeta.";
    let short =
        Passage { bits: TokenBits::of(&token_vectors("Alpha beta gamma")), ..passage(text, "") };
    let answer = ask_with("delta alpha", &[short], &Options::default());
    assert_eq!(quotes(&answer), ["Alpha beta gamma."]);
}

#[test]
fn the_better_passage_wins_between_equal_sentences() {
    let text = "Alpha beta gamma. Nothing else.";
    let better = Passage { score: 1.0, ..passage(text, "") };
    let options = Options { max_sentences: 1, ..Options::default() };
    let answer = ask_with("alpha beta", &[passage(text, ""), better.clone()], &options);
    assert_eq!(answer.citations[0].passage, 1);
    let answer = ask_with("alpha beta", &[better, passage(text, "")], &options);
    assert_eq!(answer.citations[0].passage, 0);
}

#[test]
fn a_cancel_ends_the_search() {
    let question = token_vectors("alpha");
    let passages = [passage("Alpha.", "")];
    let cancel = &mut || Err(Error::cancelled());
    assert!(
        extract("alpha", &question, &passages, &Options::default(), cancel)
            .unwrap_err()
            .is_cancelled()
    );
}

/// The first answer to a question about one text below a heading.
fn first(question: &str, text: &str, heading: &str) -> String {
    let passage = Passage { heading, ..passage(text, heading) };
    let options = Options { max_sentences: 1, threshold: -1.0, ..Options::default() };
    let answer = ask_with(question, &[passage], &options);
    check(&answer, &[text]);
    answer.citations[0].shown.clone()
}

#[test]
fn a_row_is_quoted_with_the_names_of_its_columns() {
    let markdown = "Prices of plans.\n\n| Plan | Price |\n|---|---|\n| Free | 0 |\n| Pro | 10 |\n\nAll plans are billed yearly.";
    let html =
        "Prices of plans.\n\nPlan | Price\nFree | 0\nPro | 10\n\nAll plans are billed yearly.";
    for text in [markdown, html] {
        assert_eq!(first("pro price", text, ""), "Plan: Pro, Price: 10");
    }
    let unnamed = "| | |\n|---|---|\n| Pro | 10 |\n| Free | 0 |";
    assert_eq!(first("pro", unnamed, ""), "| Pro | 10 |");
    let escaped = "| Sign | Means |\n|---|---|\n| a\\|b | either |\n| ab | both |";
    assert_eq!(first("either", escaped, ""), "Sign: a\\|b, Means: either");
}

#[test]
fn a_term_and_its_definition_are_one_quote() {
    let text = "temp_buffers (integer)\n\nSets the memory of temporary tables.\n\nwork_mem (integer)\n\nSets the memory of a query. It is used by sorts.";
    let quote = first("what does work_mem set", text, "Memory");
    assert!(quote.starts_with("work_mem (integer)\n\nSets the memory of a query."), "{quote}");
}

#[test]
fn a_term_says_what_all_sentences_of_its_definition_are_about() {
    let definition =
        |term: &str| format!("{term} (integer)\n\nLimits sorting. Unit megabytes.\n\n");
    let text = definition("temp_buffers") + &definition("work_mem");
    let answer = ask("unit of work_mem", &[&text]);
    let best = answer.citations.iter().find(|cited| cited.quote.contains("Unit")).unwrap();
    assert_eq!(best.quote, "work_mem (integer)\n\nLimits sorting. Unit megabytes.");
}

#[test]
fn a_sentence_that_says_nothing_of_the_question_is_not_quoted_along() {
    let text = "Vacuum removes dead rows. Cats sleep at night. Indexes keep pointers to rows.";
    assert_eq!(first("what removes dead rows", text, ""), "Vacuum removes dead rows.");
}

#[test]
fn what_asks_why_is_answered_by_a_reason() {
    let text = "Vacuum tables often. Vacuum tables because dead rows pile up otherwise.";
    let quote = first("why vacuum tables", text, "");
    assert!(quote.contains("because"), "{quote}");
}

#[test]
fn what_asks_for_a_default_a_way_a_condition_a_need_or_a_right_is_answered_by_one() {
    for (question, text, expected) in [
        (
            "what is the default of sorting",
            "Sorting is the new default. Cats sleep. The default is sorting by disk.",
            "The default is sorting by disk.",
        ),
        (
            "which way of sorting is the default",
            "Sorting is the new default. Cats sleep. The default sorting way is by disk.",
            "The default sorting way is by disk.",
        ),
        (
            "what must tables have to be sorted",
            "Tables have been sorted. Cats sleep. Sorted tables must have a key.",
            "Sorted tables must have a key.",
        ),
        (
            "who can drop tables",
            "Drop tables often. Cats sleep. The owner may drop tables.",
            "The owner may drop tables.",
        ),
        (
            "how do I stop the server",
            "I stop the server often. Cats sleep. I stop the server with `ctl stop`.",
            "I stop the server with `ctl stop`.",
        ),
        (
            "when must tables be sorted",
            "Tables must be sorted. Cats sleep. Tables must be sorted if disks turn.",
            "Tables must be sorted if disks turn.",
        ),
        (
            "what is the maximum length of names",
            "The maximum length of names is short. Cats sleep. The maximum length of names is 63 bytes.",
            "The maximum length of names is 63 bytes.",
        ),
    ] {
        assert_eq!(first(question, text, ""), expected);
    }
}

#[test]
fn a_definition_is_quoted_up_to_the_sentence_that_answers() {
    let text = "temp_buffers (integer)\n\nSets the memory of tables. The default is 8 MB.\n\nwork_mem (integer)\n\nSets the memory of sorts. The default is 4 MB.";
    let quote = first("what is the default of work_mem", text, "");
    assert_eq!(quote, &text[text.find("work_mem").unwrap()..]);
}

#[test]
fn what_a_heading_names_is_held_by_what_stands_below() {
    let text = "## Locking\n\nReaders wait for nothing.\n\n## Sorting\n\nReaders wait for nobody.";
    assert_eq!(first("what do readers of sorts wait for", text, ""), "Readers wait for nobody.");
}

#[test]
fn a_part_of_a_dotted_name_counts_as_a_word_of_the_question() {
    let confidence = |host: &str| {
        let text = format!("Keys go to `https://{host}/v1` and stay in files.");
        ask("do API keys stay in files", &[&text]).confidence
    };
    assert!((confidence("api.example.com") - confidence("api/example/com")).abs() < 1e-6);
}

#[test]
fn a_sentence_that_begins_with_code_is_one_of_its_own() {
    let text = "Workers pause without vectors. `rag_rebuild` makes new vectors. Dogs bark.";
    assert_eq!(first("what makes new vectors", text, ""), "`rag_rebuild` makes new vectors.");
}

#[test]
fn a_list_is_quoted_with_its_introduction() {
    let text = "Dogs bark. The server must be stopped before:\n\n- an upgrade\n- a copy of its files\n- a repair\n\nCats sleep.";
    let quote = first("server must be stopped before", text, "");
    assert_eq!(quote, &text["Dogs bark. ".len()..text.find("\n\nCats").unwrap()]);
    let quote = first("copy files", text, "");
    assert_eq!(quote, "a copy of its files");
}

#[test]
fn a_listing_is_quoted_whole_with_the_sentence_that_introduces_it() {
    let listing =
        "To dump a database into a file:\n\n```sh\npg_dump mydb > db.sql\n\npsql -f db.sql\n```";
    let text = format!("Dogs bark.\n\n{listing}\n\nCats sleep.");
    assert_eq!(first("how to dump a database into a file", &text, ""), listing);
    let plain =
        "Dogs bark.\n\nTo dump a database into a file:\n\n$ pg_dump mydb > db.sql\n\nCats sleep.";
    let quote = first("how to dump a database into a file", plain, "");
    assert_eq!(quote, "To dump a database into a file:\n\n$ pg_dump mydb > db.sql");
    let paragraph = "If that is no better, go back. The old one is there:\n\n```sql\nSELECT rag_rollback('docs');\n```";
    let text = format!("Dogs bark.\n\n{paragraph}\n\nCats sleep.");
    assert_eq!(first("how do I go back to the old one", &text, ""), paragraph);
}

#[test]
fn signatures_navigation_and_numbered_headings_are_no_answers() {
    let signature = "## rag_grant\n\n```text\nrag_grant(collection text, role regrole) RETURNS void\n```\n\nIt gives a role rights on a collection.";
    assert_eq!(
        first("rag_grant collection role", signature, ""),
        "It gives a role rights on a collection."
    );
    let contents = "25.1. SQL Dump\n25.2. File System Backup\n25.3. Archiving\n\nThe dump method makes a file of statements.";
    assert_eq!(
        first("sql dump file system backup", contents, ""),
        "The dump method makes a file of statements."
    );
    assert_eq!(
        first("preventing failures", "Dogs bark.\n\n25.1.5. Preventing Failures", ""),
        "Dogs bark."
    );
    let heading = "25.1.5. Preventing Failures\n\nVacuum every table in time. Dogs bark.";
    assert_eq!(first("preventing failures", heading, "Failures"), "Vacuum every table in time.");
    let links = "[Backup](backup.md) [Restore](restore.md)\n\nA dump holds all tables.";
    assert_eq!(first("backup restore", links, ""), "A dump holds all tables.");
}

#[test]
fn the_first_sentence_of_a_section_answers_what_its_heading_asks() {
    let text = "## Speed\n\nIt is quick. Memory helps.\n\n## Backup\n\nA dump takes the tables along. Keys are left out.\n\n## Rights\n\nOwners grant.";
    assert_eq!(first("how do I make a backup", text, ""), "A dump takes the tables along.");
}

#[test]
fn a_sentence_that_refers_back_is_quoted_with_the_one_before() {
    let text = "Dogs bark. This parameter controls the isolation level of transactions. The default is read committed. Cats sleep.";
    let quote = first("what is the default isolation level", text, "");
    assert_eq!(
        quote,
        "This parameter controls the isolation level of transactions. The default is read committed."
    );
}

#[test]
fn a_heading_within_a_paragraph_is_quoted_with_what_follows() {
    let text = "**Where calls may go.** Over https to public addresses. **How often.** Three times at most. Dogs bark.";
    let quote = first("where may calls go", text, "");
    assert_eq!(quote, "**Where calls may go.** Over https to public addresses.");
}

#[test]
fn a_long_line_elsewhere_leaves_wrapped_sentences_whole() {
    let wrapped = "The owner must be allowed to create tables in the schema of the source\nbefore a collection is made.";
    let row = format!("| lexical | {} |", "some words ".repeat(60));
    let text = format!("| a | b |\n|---|---|\n{row}\n\n{wrapped} Every row is queued.");
    assert_eq!(first("owner must be allowed to create tables", &text, ""), wrapped);
}

#[test]
fn what_asks_for_a_number_is_answered_by_one() {
    let text = "Tables have many columns. There is a limit on how many columns a table has. A table has 1,600 columns at most.";
    let quote = first("how many columns has a table", text, "");
    assert!(quote.ends_with("A table has 1,600 columns at most."), "{quote}");
}

#[test]
fn a_passage_without_the_names_of_the_question_is_trusted_less() {
    let text = "The manager of the company was born in a small town.";
    let held = ask("was the manager of the company born in a small town", &[text]).confidence;
    let lacking = ask("was the manager of Zanzibar born in a small town", &[text]).confidence;
    assert!(held - lacking > 0.15, "{held} {lacking}");
}

#[test]
fn the_threshold_and_what_came_nearest_are_told() {
    let texts = ["Dogs bark.", "The archiver copies finished segments."];
    let answer = ask("who copies bread to zanzibar", &texts);
    check(&answer, &texts);
    assert_eq!(answer.status, Status::NoAnswer);
    assert!((answer.threshold - 0.31).abs() < 1e-9);
    assert_eq!(answer.refused.unwrap().quote, texts[1]);
    assert_eq!(ask("who copies segments", &texts).refused, None);
    assert_eq!(ask("who copies segments", &[]).refused, None);
}

/// Splits into words as the tokenizer below does.
struct Words;

impl Embedder for Words {
    fn embed(
        &self,
        texts: &[&str],
        _: Purpose,
        _: Detail,
        _: Checkpoint<'_>,
    ) -> Result<Vec<Embedding>> {
        let embed = |text: &&str| {
            let tokens = token_vectors(text);
            let token_count = tokens.data.len() / DIMENSIONS;
            if token_count == 0 {
                return Err(Error::invalid_argument("the text holds no token"));
            }
            let mut vector = vec![0.0; DIMENSIONS];
            for row in tokens.data.chunks(DIMENSIONS) {
                vector.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            Ok(Embedding { vector, tokens: Some(tokens), token_count, truncated: false })
        };
        texts.iter().map(embed).collect()
    }
}

/// A tokenizer of one token per word of letters and digits.
fn tokenizer() -> Tokenizer {
    let json = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "post_processor": null, "decoder": null,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[^\\p{L}\\p{N}]+"},
            "behavior": "Removed", "invert": false},
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}}"#;
    Tokenizer::from_bytes(json.as_bytes()).unwrap()
}

fn answer_bare(question: &str, texts: &[&str]) -> Answer {
    let options = Options::default();
    from_passages(&Words, &tokenizer(), 20, question, texts, &options, &mut unhurried).unwrap()
}

#[test]
fn long_passages_are_read_to_their_end() {
    let filler = "Cats sleep all day and hunt at night. ".repeat(50);
    let text = format!("Ünïcode first. {filler}The checkpointer writes dirty pages. {filler}");
    let texts = ["Dogs bark.", &text, "", "  "];
    let answer = answer_bare("who writes dirty pages", &texts);
    check(&answer, &texts);
    assert_eq!(answer.citations[0].quote, "The checkpointer writes dirty pages.");
    assert_eq!(answer.citations[0].passage, 1);
}

#[test]
fn between_equal_sentences_the_passage_more_like_the_question_wins() {
    let sentence = "The checkpointer writes dirty pages.";
    let texts = [format!("{sentence} Cats sleep all day."), sentence.to_owned()];
    let texts = [texts[0].as_str(), texts[1].as_str()];
    assert_eq!(answer_bare("who writes dirty pages", &texts).citations[0].passage, 1);
}

#[test]
fn bare_passages_without_an_answer() {
    for texts in [&[][..], &["", " "], &["Dogs bark."]] {
        let answer = answer_bare("who writes dirty pages", texts);
        check(&answer, texts);
        assert_eq!(answer.status, Status::NoAnswer);
    }
}
