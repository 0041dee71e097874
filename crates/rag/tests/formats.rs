//! The exact bytes of what is stored. A test that fails here says that tables or files written before are read otherwise from now
//! on: then `STORAGE_FORMAT`, or the manifest's `FORMAT`, goes up, and `docs/formats.md` changes with it.
use rag::generation;
use rag::inverted::Builder;
use rag::model::TokenVectors;
use rag::model::manifest::{Manifest, hex};
use rag::model::storable::storable;
use rag::queue::diff::{chunk_hash, source_hash};
use rag::rerank::TokenBits;
use rag::search::analysis;
use rag::search::query_stats::{Call, End, Key, Kind, QueryStats};
use sha2::{Digest as _, Sha256};

#[test]
fn source_hash_is_sha256_over_length_and_text_of_title_and_content() {
    // Also computed with sha256sum over the bytes that docs/formats.md describes.
    assert_eq!(
        hex(&source_hash(Some("Title"), Some("Text"))),
        "e8a93d5e352920860a1cddd5317a7545d6d8fc9b1f2656c2b4b8472505eae0b6"
    );
    assert_eq!(
        hex(&source_hash(None, Some(""))),
        "60c69a3e87bf5c4f1e546bec45f262690bcf5494c4ecac2616bf2f731afa152a"
    );
}

#[test]
fn chunk_hash_is_half_of_sha256_over_section_headings_and_content() {
    assert_eq!(hex(&chunk_hash("Section", "Heading", "Text")), "9ef76dfba30f86b0bb996f56bc7f7618");
}

#[test]
fn the_comment_on_a_table_of_documents_has_its_manifest_on_the_last_line() {
    let comment = generation::manifest::Manifest::comment("a b", "{}");
    assert_eq!(comment, "rag_pg: documents of collection a b\n{}");
}

/// Where this fails `analysis::VERSION` goes up, unless no text of a collection has other words.
#[test]
fn words_are_those_of_the_version_of_the_analysis() {
    let texts = [
        "CVE-2026-2332 in /etc/postgresql/16/main/postgresql.conf, node.js and client/server",
        "C, C++, C#, .NET; HttpRequest2 at user.name@example.org: v1.2.3-rc4, -42, 3.14, #hashtag",
        "Cafe\u{301} ＡＢＣ ﬁnd soft\u{ad}hyphen zero\u{200b}width hyphen-\nated 서울은 全文検索 ภาษาไทย שָׁלוֹם مُحَمَّد",
    ];
    let words = texts.map(|text| {
        [analysis::for_documents(text), analysis::for_queries(text), analysis::for_phrases(text)]
    });
    let digest = hex(&Sha256::digest(words.concat().join("\n")));
    assert_eq!(
        (analysis::VERSION, &*digest),
        (2, "a1d73a9e1f2a0bb709e58c8ebc12877881e344e8025769aaf4300611107e397f"),
        "{words:#?}"
    );
}

#[test]
fn token_bits_have_the_lowest_bit_first_and_no_header() {
    let mut first = [-1.0_f32; 10];
    first[0] = 0.5;
    first[3] = 2.0;
    first[9] = f32::MIN_POSITIVE;
    let second = [0.0, -0.0, f32::NAN, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 0.0];
    let vectors = TokenVectors { dimensions: 10, data: [first, second].concat() };
    assert_eq!(TokenBits::of(&vectors).as_bytes(), [0b0000_1001, 0b10, 0b1111_1000, 0]);
}

#[test]
fn vectors_within_half_precision_are_stored_unchanged() {
    assert_eq!(storable(vec![3.0, -4.0]), [3.0, -4.0]);
    assert_eq!(storable(vec![65_504.0, 0.0]), [65_504.0, 0.0]);
    assert_eq!(storable(vec![0.0, 65_505.0]), [0.0, 1.0]);
    assert_eq!(storable(vec![3e-5, -4e-5]), [0.6, -0.8]);
}

#[test]
fn fingerprint_of_a_manifest_is_sha256_over_its_fields_in_their_order() {
    let json = br#"{"format": 1, "name": "m", "kind": "embedder", "fingerprint": "dac83d9b37438402bdb28724d2273b8ec8567320e33199132fdee9102e6ddfee",
        "architecture": "BertModel", "dimensions": 384, "max_tokens": 256, "pooling": "mean", "normalize": true,
        "precision": "int8", "signature": {"input_ids": "input_ids", "attention_mask": "attention_mask", "output": "last_hidden_state"},
        "model_sha256": "aa", "tokenizer_sha256": "bb"}"#;
    let manifest = Manifest::from_json(json).expect("a manifest");
    assert_eq!(
        manifest.computed_fingerprint(),
        "dac83d9b37438402bdb28724d2273b8ec8567320e33199132fdee9102e6ddfee"
    );
}

#[test]
fn counters_are_numbers_of_eight_bytes_and_their_sha256() {
    let mut stats = Box::new(QueryStats::new(7));
    let at = stats.claim(Key { database: 5, collection: 3 }, 1).expect("a slot");
    let call = Call { kind: Kind::Search, end: End::Found, micros: 1_500, now: 9 };
    stats.count(at, &call, i64::MAX);
    let bytes = stats.to_bytes();
    let words = bytes[8..bytes.len() - 32].chunks_exact(8);
    let words: Vec<u64> = words.map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    assert_eq!(bytes[..8], *b"ragqst01");
    assert_eq!(words[..11], [8, 5 << 32 | 3, 7, 9, 0, 1, 0, 0, 1_500, 0, 1]);
    assert_eq!(words.len(), 5 + 2 * 21);
}

/// Chunks of a common lexeme, which the first and every eighth behind it have with another.
fn builder(chunks: i64) -> Builder {
    let mut builder = Builder::default();
    for chunk in 0..chunks {
        let lexemes: [(&[u8], usize); 2] = [(b"ab", 1 + chunk as usize % 2), (b"abc", 3)];
        let count = if chunk % 8 == 0 { 2 } else { 1 };
        builder.add(1_000 + 2 * chunk, lexemes.into_iter().take(count));
    }
    builder
}

#[test]
fn posting_lists_of_a_small_segment_are_one_group() {
    let bytes = builder(9).finish_inline().expect("lexemes are text");
    let parts = [
        // The lowest id and the shortest length; one whole lexeme, at 0.
        "e803000000000000 01000000 01000000 00000000",
        // The empty lexeme: a block of nine, from id 1000 on, 16 more to the last, shortest 1; widths; ids, lengths.
        "00 00 0c 25 00 10 01 010002 fe01 474403",
        // "ab": the same with frequencies.
        "00 02 6162 0e 25 00 10 01 010102 fe01 aa00 474403",
        // "abc" shares two bytes: two postings, each of difference, length and frequency.
        "02 01 63 07 08 00 07 01 0f 07 01",
    ];
    assert_eq!(hex(&bytes), parts.join("").replace(' ', ""));
}

#[test]
fn long_posting_lists_are_parts_in_rows_of_their_own() {
    let mut hash = Sha256::new();
    let mut rows = Vec::new();
    let mut row = |lexeme: &str, part: u32, bytes: &[u8]| {
        rows.push((lexeme.to_owned(), part, bytes.len()));
        hash.update(bytes);
        Ok(())
    };
    builder(20_000).finish_rows(&mut row).expect("lexemes are text");
    let key = |lexeme: &str, part, size| (lexeme.to_owned(), part, size);
    let [every, common] = [[3_953, 3_953, 2_577].as_slice(), &[3_984, 3_984, 3_984, 1_031]];
    let parts = [every, common, &[2_255]].concat();
    let mut expected: Vec<_> = (1..).zip(parts).map(|(part, size)| key("", part, size)).collect();
    expected.push(key("", 0, 119));
    assert_eq!(rows, expected);
    assert_eq!(
        hex(&hash.finalize()),
        "788d8138790001d239b9a8635a8e4a12e08f668585b60983325ab0e43e0c43c0"
    );
}
