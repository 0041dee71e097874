//! Laws of query analysis, rank fusion and BM25.
use proptest::prelude::*;
use rag::search::fusion::{Fused, fuse};
use rag::search::{Bm25, Query, Syntax, Weights, any_of};

fn ranking() -> impl Strategy<Value = Vec<i64>> {
    Just((0..20).collect::<Vec<i64>>())
        .prop_shuffle()
        .prop_flat_map(|ids| (0..=ids.len()).prop_map(move |length| ids[..length].to_vec()))
}

proptest! {
    #[test]
    fn any_text_is_a_query(text in "\\PC{0,80}|[-\"“”«» a-c0-9\\n]{0,60}") {
        let query = Query::parse(&text, Syntax::Web);
        let has_word = |text: &str| text.contains(char::is_alphanumeric);
        prop_assert!(query.phrases.iter().chain(&query.excluded).all(|part| has_word(part)));
        prop_assert!(has_word(&query.text) || !has_word(&text));
        for phrase in &query.phrases {
            prop_assert!(query.text.contains(phrase.trim()) && text.contains(phrase.as_str()));
        }
    }

    #[test]
    fn text_without_operators_stays_as_it_is(text in "[a-z]{1,9}( [a-z0-9',.?!-]{0,3}[a-z]){0,9}") {
        prop_assume!(!text.contains(" -"));
        let query = Query::parse(&text, Syntax::Web);
        prop_assert_eq!(query, Query { text, ..Query::default() });
    }

    #[test]
    fn an_id_that_moves_up_never_loses(a in ranking(), b in ranking(), from in 1_usize..20) {
        prop_assume!(from < a.len());
        let mut better = a.clone();
        better.swap(from - 1, from);
        let score = |fused: &[Fused]| {
            fused.iter().find(|c| c.chunk_id == a[from]).expect("ranked").rrf
        };
        prop_assert!(score(&fused(&better, &b)) > score(&fused(&a, &b)));
    }

    #[test]
    fn fusion_holds_every_id_once_and_descends(a in ranking(), b in ranking()) {
        let fused_ab = fused(&a, &b);
        let mut ids: Vec<i64> = fused_ab.iter().map(|c| c.chunk_id).collect();
        ids.sort_unstable();
        let mut expected = [a.clone(), b.clone()].concat();
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(ids, expected);
        let rank = |one: &Fused| one.dense_rank.unwrap_or(i32::MAX);
        prop_assert!(fused_ab.windows(2).all(|w| (w[1].rrf, rank(&w[0])) < (w[0].rrf, rank(&w[1]))));
        let sums = |fused: Vec<Fused>| -> Vec<(i64, f64)> {
            let mut sums: Vec<_> = fused.into_iter().map(|c| (c.chunk_id, c.rrf)).collect();
            sums.sort_by_key(|(id, _)| *id);
            sums
        };
        prop_assert_eq!(sums(fused_ab), sums(fused(&b, &a)), "the legs weigh the same");
    }

    #[test]
    fn bm25_grows_with_occurrences_and_rarity(
        documents in 1.0_f64..1e7, frequency in 0.0_f64..1e7, more in 1.0_f64..1e3,
        occurrences in 1.0_f64..100.0, length in 0.0_f64..1e4, average in 0.0_f64..1e3,
    ) {
        let bm25 = Bm25::new(documents, average);
        let idf = bm25.idf(frequency);
        prop_assert!(idf.is_finite() && idf > 0.0 && bm25.idf(frequency + more) <= idf);
        let score = bm25.score(idf, occurrences, length);
        prop_assert!(score > 0.0 && score <= idf * 1.9);
        prop_assert!(bm25.score(idf, occurrences + more, length) >= score);
        prop_assert!(bm25.score(idf, occurrences, length + more) <= score);
    }

    #[test]
    fn every_lexeme_is_one_quoted_operand(lexemes in prop::collection::vec("\\PC{0,12}|['\\\\&|!() ]{0,6}", 0..6)) {
        let mut rest = any_of(&lexemes).unwrap_or_default();
        for lexeme in lexemes.iter().filter(|lexeme| !lexeme.is_empty()) {
            let (read, after) = read_operand(&rest);
            prop_assert_eq!(&read, lexeme);
            rest = after.strip_prefix(" | ").unwrap_or(&after).to_owned();
        }
        prop_assert!(rest.is_empty());
    }
}

/// Reads a quoted operand as PostgreSQL's `tsquery` input does: `''` and `\x` stand for one
/// character each.
fn read_operand(text: &str) -> (String, String) {
    let mut read = String::new();
    let mut chars = text.strip_prefix('\'').expect("an operand starts with a quote").chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => read.extend(chars.next()),
            '\'' if chars.as_str().starts_with('\'') => read.extend(chars.next()),
            '\'' => return (read, chars.as_str().to_owned()),
            c => read.push(c),
        }
    }
    panic!("{text} does not end");
}

fn parts(text: &str) -> (String, Vec<String>, Vec<String>) {
    let Query { text, phrases, excluded } = Query::parse(text, Syntax::Web);
    (text.split_whitespace().collect::<Vec<_>>().join(" "), phrases, excluded)
}

fn expected(text: &str, phrases: &[&str], excluded: &[&str]) -> (String, Vec<String>, Vec<String>) {
    let owned = |parts: &[&str]| parts.iter().map(ToString::to_string).collect();
    (text.to_owned(), owned(phrases), owned(excluded))
}

#[test]
fn phrases_and_exclusions() {
    for (input, text, phrases, excluded) in [
        ("how to vacuum", "how to vacuum", &[][..], &[][..]),
        (r#"the "write-ahead log" size"#, "the write-ahead log size", &["write-ahead log"], &[]),
        ("jaguar -car", "jaguar", &[], &["car"]),
        ("jaguar -car, fast", "jaguar , fast", &[], &["car"]),
        (r#"jaguar -"sports car" speed"#, "jaguar speed", &[], &["sports car"]),
        (
            "“smart quotes” and «guillemets»",
            "smart quotes and guillemets",
            &["smart quotes", "guillemets"],
            &[],
        ),
        (r#"("in brackets")"#, "(in brackets)", &["in brackets"], &[]),
        // Plain text that only looks like operators.
        ("e-mail - not an exclusion", "e-mail - not an exclusion", &[], &[]),
        ("-5 degrees", "-5 degrees", &[], &[]),
        ("pg_dump -U postgres --verbose", "pg_dump -U postgres --verbose", &[], &[]),
        (r#"a 3" pipe and a 5" pipe"#, r#"a 3" pipe and a 5" pipe"#, &[], &[]),
        (r#"no "partner"#, r#"no "partner"#, &[], &[]),
        (r#"empty "" and " ""#, r#"empty "" and " ""#, &[], &[]),
        ("-only -exclusions", "-only -exclusions", &[], &[]),
        ("& | ! <-> :* ' \\", "& | ! <-> :* ' \\", &[], &[]),
        ("", "", &[], &[]),
    ] {
        assert_eq!(parts(input), expected(text, phrases, excluded), "{input}");
    }
}

#[test]
fn hyphens_exclude_nothing_unless_asked_to() {
    for text in ["what does gcc -Wall do?", "tar -xvf", "-eggs\n-milk", "jaguar -car"] {
        let query = Query::parse(text, Syntax::Words);
        assert_eq!(query, Query { text: text.to_owned(), ..Query::default() });
    }
    assert_eq!(Query::parse("a \"b c\" -d", Syntax::Words).phrases, ["b c"]);
    assert_eq!(Syntax::named("web").unwrap(), Syntax::Web);
    assert_eq!(Syntax::named("Web").unwrap_err().sqlstate(), "22023");
}

#[test]
fn long_input_is_bounded() {
    let query = Query::parse(&"ж".repeat(1_000_000), Syntax::Web);
    assert!(query.text.len() < 20_000);
    assert!(query.text.split_whitespace().all(|word| word.len() <= 2_000));
    let query = Query::parse(&"\"a b\" -\"c d\" ".repeat(10_000), Syntax::Web);
    assert_eq!((query.phrases.len(), query.excluded.len()), (16, 16));
}

#[test]
fn bm25_by_hand() {
    // ln(1 + (1000 - 10 + 0.5) / (10 + 0.5)) and 2 * 1.9 / (2 + 0.9 * (0.6 + 0.4 * 2)).
    let bm25 = Bm25::new(1000.0, 50.0);
    assert!((bm25.idf(10.0) - 4.557_4).abs() < 1e-3);
    assert!((bm25.score(1.0, 2.0, 100.0) - 1.165_6).abs() < 1e-3);
    assert!(bm25.score(1.0, 0.0, 100.0).abs() < 1e-12);
    assert!(bm25.idf(2000.0) > 0.0);
    assert!(Bm25::new(0.0, 0.0).idf(0.0).is_finite());
}

/// Both legs fused, weighing the same.
fn fused(dense: &[i64], lexical: &[i64]) -> Vec<Fused> {
    fuse((1.0, &apart(dense)), (1.0, &apart(lexical)))
}

/// A leg without equals.
fn apart(chunks: &[i64]) -> Vec<(i64, f64)> {
    chunks.iter().zip(0..).map(|(chunk, place)| (*chunk, f64::from(place))).collect()
}

#[test]
fn an_id_repeated_in_a_leg_counts_once() {
    let once = fused(&[7], &[]);
    assert_eq!(fused(&[7, 7, 7], &[]), once);
    assert!((once[0].rrf - 1.0 / 11.0).abs() < 1e-12);
}

#[test]
fn legs_weigh_as_they_are_told_and_ties_go_to_the_lower_id() {
    let fused = fuse((2.0, &apart(&[1, 2])), (1.0, &apart(&[2, 3, 4, 4])));
    let of = |id| *fused.iter().find(|one| one.chunk_id == id).expect("ranked");
    assert_eq!((of(2).dense_rank, of(2).lexical_rank), (Some(2), Some(1)));
    assert!((of(2).rrf - (2.0 / 12.0 + 1.0 / 11.0)).abs() < 1e-12);
    assert_eq!(fused.iter().map(|one| one.chunk_id).collect::<Vec<_>>(), [2, 1, 3, 4]);
    let tied = fuse((1.0, &apart(&[9])), (1.0, &apart(&[7])));
    assert_eq!(tied[0].chunk_id, 9, "ties go to the dense leg");
}

#[test]
fn the_score_of_a_document_is_the_sum_over_the_lexemes_that_it_holds() {
    let bm25 = Bm25::new(100.0, 4.0);
    let weights = Weights::new(bm25, [("b", 1.0), ("d", 2.0), ("f", 3.0)].into_iter());
    let document = [(&b"a"[..], 1), (b"b", 2), (b"c", 1), (b"f", 300)];
    let expected = bm25.score(1.0, 2.0, 304.0) + bm25.score(3.0, 300.0, 304.0);
    assert!((weights.score(document.into_iter()) - expected).abs() < 1e-12);
    assert!(weights.score([(&b"x"[..], 1)].into_iter()).abs() < 1e-12);
}
