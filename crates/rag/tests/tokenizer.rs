//! Our tokenizer gives exactly what the `tokenizers` crate gives: ids, offsets, special tokens.
#[path = "support/tokenizers.rs"]
mod support;

use proptest::prelude::*;
use rag::model::tokenizer::{TokenCounter, Tokenizer, Word};
use std::sync::LazyLock;
use tokenizers::Normalizer;
use tokenizers::normalizers::BertNormalizer;

struct Pair {
    ours: Tokenizer,
    crates: tokenizers::Tokenizer,
}

impl Pair {
    fn new(json: &[u8]) -> Self {
        Self { ours: Tokenizer::from_bytes(json).unwrap(), crates: support::reference(json) }
    }

    fn check(&self, text: &str) {
        let expected = self.crates.encode(text, false).unwrap();
        let offsets: Vec<(u32, u32)> =
            expected.get_offsets().iter().map(|&(a, b)| (a as u32, b as u32)).collect();
        let tokens = self.ours.tokens(text).unwrap();
        assert_eq!(tokens.ids, expected.get_ids(), "ids of {text:?}");
        if !is_reordered(text) {
            assert_eq!(tokens.offsets, offsets, "offsets of {text:?}");
        }
        assert!(
            offsets
                .iter()
                .all(|&(a, b)| text.is_char_boundary(a as usize)
                    && text.is_char_boundary(b as usize)),
            "offsets of {text:?} are not on character boundaries"
        );
        assert_eq!(self.ours.count(text).unwrap(), expected.len(), "count of {text:?}");
        let mut words: Vec<Word> = Vec::new();
        self.ours.words(text, 0, &mut words).unwrap();
        let total: u32 = words.iter().map(|word| word.tokens).sum();
        assert_eq!(total as usize, expected.len(), "words of {text:?}");
        let whole = self.ours.encode(text, usize::MAX).unwrap();
        assert_eq!(whole.ids, self.crates.encode(text, true).unwrap().get_ids());
        assert!(!whole.is_truncated());
    }
}

/// Whether normalisation swaps combining marks: the crate then gives a mark the offsets of the
/// other one.
fn is_reordered(text: &str) -> bool {
    let nfd = |s: &str| tokenizers::NormalizedString::from(s).nfd().get().to_owned();
    // Characters that cleaning removes do not keep marks apart.
    let mut cleaned = tokenizers::NormalizedString::from(text);
    BertNormalizer::new(true, false, Some(false), false).normalize(&mut cleaned).unwrap();
    nfd(cleaned.get()) != cleaned.get().chars().map(|c| nfd(&c.to_string())).collect::<String>()
}

/// Every kind of configuration that has a path of its own.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let normalizer = |clean: bool, chinese: bool, accents: &str, lower: bool| {
        format!(
            r#"{{"type":"BertNormalizer","clean_text":{clean},"handle_chinese_chars":{chinese},"strip_accents":{accents},"lowercase":{lower}}}"#
        )
    };
    let mut pairs: Vec<Pair> = [
        normalizer(true, true, "null", true),
        normalizer(true, true, "false", false),
        normalizer(true, false, "true", false),
        normalizer(false, true, "false", true),
        normalizer(false, false, "true", true),
    ]
    .iter()
    .map(|normalizer| Pair::new(&support::bert(normalizer, ADDED)))
    .collect();
    pairs.extend(support::installed().map(|json| Pair::new(&json)));
    pairs
});

/// Added tokens that share beginnings with each other and with a special token.
const ADDED: &str = r#"
    {"id":900,"content":"[SEPARATE]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false},
    {"id":901,"content":"the<","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false},
    {"id":902,"content":"é]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}"#;

/// Pieces that text is made of: what normalisers, pre-tokenisers and added tokens treat specially.
fn pieces() -> impl Strategy<Value = String> {
    let ascii = "[ -~\t\n\r]{0,12}";
    let special = prop::sample::select(vec![
        "[SEP]",
        "[CLS]",
        "[MASK]",
        "[SEPARATE]",
        "[SEPARAT",
        "the<",
        "<mask>",
        "é]",
        "[[SEP]]",
        "sep",
        "\u{c}",
        "\u{b}",
        "\u{1}",
        "\u{7f}",
        "\u{85}",
        "\u{a0}",
        "\u{ad}",
        "\u{200b}",
        "\u{2028}",
        "\u{fffd}",
        "\u{feff}",
        "İ",
        "ß",
        "ﬁ",
        "Å",
        "한국어",
        "中文",
        "ー",
        "ΣΑΣ",
        "naïve",
        "nai\u{308}ve",
        "\u{302e}",
        "\u{1d165}",
        "\u{1b44}",
        "\u{1d15e}",
        "\u{301}",
        "\u{323}",
        "\u{16ff0}",
        "\u{1f82}",
        "👩‍👩‍👧",
        "  ",
        "\r\n",
        "running",
        "databases",
    ]);
    prop_oneof![
        4 => ascii.prop_map(String::from),
        4 => special.prop_map(str::to_owned),
        1 => "\\PC{0,8}",
        1 => any::<String>().prop_map(|s| s.chars().filter(|c| *c != '\0').take(12).collect()),
        1 => "[a-z]{95,105}",
        1 => "[a-zé]{97,103}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn equals_the_crate_on_random_text(pieces in prop::collection::vec(pieces(), 0..12)) {
        let text = pieces.concat();
        PAIRS.iter().for_each(|pair| pair.check(&text));
    }

    #[test]
    fn equals_the_crate_on_runs_of_combining_marks(
        marks in prop::collection::vec(prop::sample::select(vec![
            'a', 'é', ' ', '.', '\u{302e}', '\u{302f}', '\u{1d165}', '\u{1d16d}', '\u{1b44}', '\u{1baa}',
            '\u{16ff0}', '\u{301}', '\u{323}', '\u{5b0}', '\u{94d}', '\u{1d15e}', '\u{200d}', '\u{1b43}',
        ]), 0..16)
    ) {
        let text: String = marks.into_iter().collect();
        PAIRS.iter().for_each(|pair| pair.check(&text));
    }
}

#[test]
fn equals_the_crate_on_every_character() {
    let pair = &PAIRS[0];
    // Planes 0 to 2 and the tags; the rest is unassigned or private, a sample does.
    let dense = (1..0x3_2000).chain(0xE_0000..0xE_0200);
    let all: Vec<char> =
        dense.chain((0x4_0000..0x11_0000).step_by(997)).filter_map(char::from_u32).collect();
    // Each character stands between letters, doubled, and at the end of a word.
    for block in all.chunks(64) {
        let text: Vec<String> = block.iter().map(|c| format!("a{c}b {c}{c} x{c}")).collect();
        let text = text.join("\n");
        pair.check(&text);
    }
}

#[test]
fn equals_the_crate_on_the_manual() {
    for page in support::manual().iter().step_by(40) {
        PAIRS.iter().for_each(|pair| pair.check(page));
    }
}

#[test]
fn words_of_more_than_a_hundred_characters_are_one_token() {
    for pair in PAIRS.iter() {
        for length in [99, 100, 101, 5000] {
            pair.check(&"a".repeat(length));
            pair.check(&format!("x {} y", "é".repeat(length)));
            pair.check(&"\u{302e}".repeat(length));
        }
    }
}

#[test]
fn other_tokenizers_go_through_the_crate() {
    // An added token that swallows spaces, one that is matched after normalisation, one with spaces.
    for added in [
        r#"{"id":900,"content":"<mask>","single_word":false,"lstrip":true,"rstrip":false,"normalized":false,"special":true}"#,
        r#"{"id":900,"content":"Row","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":false}"#,
        r#"{"id":900,"content":"two words","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false}"#,
    ] {
        let pair = Pair::new(&support::bert(support::UNCASED, added));
        assert!(!pair.ours.is_additive());
        pair.check("the <mask> row of two words\nROW [SEP] x");
    }
    assert!(Pair::new(&support::bert(support::CASED, "")).ours.is_additive());
}

#[test]
fn special_tokens_stand_around_texts_and_pairs() {
    for pair in PAIRS.iter() {
        assert_eq!(pair.ours.special_tokens(), 2);
        let (first, second) = ("select a row", "the table of the server is running");
        let whole = pair.crates.encode((first, second), true).unwrap();
        let ours = pair.ours.encode_pair(first, second, 1000).unwrap();
        assert_eq!(ours.ids, whole.get_ids());
        assert_eq!(ours.type_ids, whole.get_type_ids());
        assert_eq!(ours.ids[ours.text.clone()], pair.ours.tokens(second).unwrap().ids);
        let room = whole.len() - 2;
        let cut = pair.ours.encode_pair(first, second, room).unwrap();
        assert_eq!(cut.ids.len(), room);
        assert!(cut.is_truncated());
        assert_eq!(cut.token_count - cut.text.len(), 2);
        assert_eq!(cut.ids.last(), whole.get_ids().last());
        let full = pair.ours.encode_pair(second, second, 4).unwrap_err();
        assert_eq!(full.sqlstate(), "54000");
        assert!(full.hint().is_some());
    }
}

#[test]
fn a_text_over_the_window_keeps_its_special_tokens() {
    let pair = &PAIRS[0];
    let input = pair.ours.encode("the table of the server", 4).unwrap();
    let tokens = pair.ours.tokens("the table of the server").unwrap();
    assert_eq!(input.ids.len(), 4);
    assert_eq!(input.ids[input.text.clone()], tokens.ids[..2]);
    assert_eq!(input.token_count, 5);
    assert!(input.is_truncated());
    assert_eq!(input.type_ids, [0; 4]);
}

#[test]
fn a_damaged_file_is_an_error() {
    let json = support::bert(support::UNCASED, "");
    let error = Tokenizer::from_bytes(&json[..json.len() / 2]).err().unwrap();
    assert_eq!(error.sqlstate(), "F0000");
    assert!(error.detail().is_some());
}

#[test]
fn a_file_that_is_cut_or_corrupt_is_an_error() {
    let json = support::bert(support::UNCASED, "");
    let decoder = json.windows(9).position(|part| part == b"\"decoder\"").unwrap();
    let corrupt = [&json[..decoder], b"\"decoder\":nul,", &json[decoder..]].concat();
    for json in [&json[..decoder + 11], &corrupt, b"", b"{}"] {
        assert!(Tokenizer::from_bytes(json).is_err(), "{}", String::from_utf8_lossy(json));
    }
}

/// A vocabulary knows a language by tokens of several letters; a Chinese character may be a word.
#[test]
fn a_text_has_words_where_its_tokens_are_known_and_have_letters() {
    let tokenizer = Tokenizer::from_bytes(&support::bert(
        r#"{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}"#,
        "",
    ))
    .unwrap();
    let has = |text: &str| tokenizer.has_words_for(text).unwrap();
    for text in ["select from the table", "a b c", "中文", "the running server x", "!?", ""] {
        assert!(has(text), "{text}");
    }
    // Letter by letter, an unknown word, unknown characters.
    for text in ["abcdefgh", "the zzzzzzzz", "漢字中"] {
        assert!(!has(text), "{text}");
    }
}
