//! Entry points for fuzzing: everything that reads bytes which others wrote. Each takes any bytes and asserts what
//! must hold of the result. `fuzz/` runs them under libFuzzer, the tests below by mutated seeds for a bounded time.
#![allow(missing_docs, reason = "a target's name and laws are its documentation")]
use crate::answer::{generate, stream};
use crate::chunk::{Format, Options, chunk};
use crate::extract::{ExtractedText, Limits, Reader as FrameReader, units};
use crate::inverted::{Index, Inline, Posting, Reader, Scored, Segment, Sink, TopK, merge};
use crate::model::generator::{Conversation, Generated, Generator};
use crate::model::import::source::ModelSource;
use crate::model::manifest::{Manifest, Precision};
use crate::model::tokenizer::{Tokenizer, Word};
use crate::model::{Checkpoint, TokenVectors, bert, import, onnx};
use crate::remote::{Egress, Estimator, Url};
use crate::rerank::{TokenBits, max_sim};
use crate::search::{Bm25, Query, Syntax, analysis, filter};
use crate::{Result, answer};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::ops::Range;
use zip::write::SimpleFileOptions;

/// A target's name and entry point.
pub type Target = (&'static str, fn(&[u8]));

/// All targets; `fuzz/fuzz_targets` has a file for each.
pub const TARGETS: [Target; 15] = [
    ("html", html),
    ("markdown", markdown),
    ("plain", plain),
    ("filter", filter),
    ("query", query),
    ("claims", claims),
    ("sse", sse),
    ("replies", replies),
    ("urls", urls),
    ("tokenizer", tokenizer),
    ("weights", weights),
    ("wheel", wheel),
    ("wire", wire),
    ("inverted", inverted),
    ("frames", frames),
];

/// Takes a byte off the front; 0 where there is none.
fn byte(data: &mut &[u8]) -> u8 {
    data.split_off_first().copied().unwrap_or_default()
}

/// Splits at the first byte 0.
fn parts(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    (&data[..at], data.get(at + 1..).unwrap_or_default())
}

fn chunks(mut data: &[u8], format: Format) {
    let max_tokens = usize::from(byte(&mut data)).max(1);
    let overlap_tokens = usize::from(byte(&mut data)) % max_tokens;
    let heading_tokens = max_tokens / 4;
    let options =
        Options { max_tokens, overlap_tokens, format, heading_tokens, window: max_tokens };
    let text = String::from_utf8_lossy(data);
    let chunked = chunk(&text, &options, &Estimator, &mut || Ok(())).expect("no limit is reached");
    let text = &*chunked.text;
    let (mut covered, mut start) = (0, None);
    for (position, chunk) in chunked.chunks.iter().enumerate() {
        let Range { start: from, end } = chunk.range;
        assert_eq!(chunk.ordinal, position + 1);
        assert!(start.is_none_or(|start| from > start), "starts ascend");
        assert!(end > covered, "ends ascend");
        let content = &text[from..end];
        assert!(!content.trim().is_empty(), "a chunk holds text");
        assert_eq!(text[..from].chars().count(), chunk.chars.start);
        assert_eq!(content.chars().count(), chunk.chars.len());
        let is_single = content.chars().count() == 1;
        assert!(chunk.token_count <= max_tokens || is_single, "{} tokens", chunk.token_count);
        assert!(chunk.heading_tokens <= heading_tokens);
        if from > covered {
            assert!(text[covered..from].trim().is_empty(), "text is lost");
        }
        (covered, start) = (end, Some(from));
    }
    assert!(text[covered..].trim().is_empty(), "the end is lost");
    for sentence in answer::sentences(text, 0..text.len()) {
        let sentence = &text[sentence.bytes];
        assert!(!sentence.is_empty() && sentence.trim() == sentence);
    }
}

pub fn html(data: &[u8]) {
    chunks(data, Format::Html);
}

pub fn markdown(data: &[u8]) {
    chunks(data, Format::Markdown);
}

pub fn plain(data: &[u8]) {
    chunks(data, Format::Plain);
    chunks(data, Format::Auto);
}

pub fn filter(data: &[u8]) {
    let Ok(value) = serde_json::from_slice(data) else { return };
    match filter::Filter::parse(&value) {
        Ok(filter) => assert_eq!(filter::Filter::parse(&value).ok(), Some(filter)),
        Err(error) => assert!(error.hint().is_some() && error.sqlstate() == "22023", "{error:?}"),
    }
}

pub fn query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = [Syntax::Words, Syntax::Web].map(|syntax| Query::parse(&text, syntax));
    // Every word that is looked for is found where it comes from.
    let document = analysis::for_documents(&text);
    let known: BTreeSet<&str> = document.split(' ').collect();
    for searched in [analysis::for_queries(&text), analysis::for_phrases(&text)] {
        assert!(searched.split(' ').all(|word| known.contains(word)), "{text:?}");
    }
    for sentence in crate::chunk::sentences(&text) {
        let _ = &text[sentence];
    }
}

/// A model that always says the same.
struct Parrot(String);

impl Generator for Parrot {
    fn context(&self) -> usize {
        1 << 20
    }
    fn max_output_tokens(&self) -> usize {
        1 << 10
    }
    fn count(&self, text: &str) -> usize {
        text.len()
    }
    fn generate(&self, _: &Conversation, _: Checkpoint<'_>) -> Result<Generated> {
        Ok(Generated { text: self.0.clone(), ..Generated::default() })
    }
}

/// A passage, a byte 0, a reply that quotes it: quotes are verbatim, and a streamed answer is the answer.
pub fn claims(mut data: &[u8]) {
    let step = usize::from(byte(&mut data)).max(1);
    let (passage, reply) = parts(data);
    let (passage, reply) = (String::from_utf8_lossy(passage), String::from_utf8_lossy(reply));
    let model = Parrot(reply.clone().into_owned());
    let whole = generate::generate(&model, "q", &[&*passage, "Another one."], None, &mut || Ok(()));
    let passages = vec![passage.clone().into_owned(), "Another one.".to_owned()];
    let begun = stream::Stream::begin(&model, "q", passages, None);
    let Ok((mut streamed, _)) = begun else { return };
    let mut shown = Vec::new();
    let mut rest = &*reply;
    while !rest.is_empty() {
        let end = rest.ceil_char_boundary(step.min(rest.len()));
        shown.extend(streamed.push(&rest[..end]));
        rest = &rest[end..];
    }
    let said = Generated { text: model.0.clone(), ..Generated::default() };
    let ended = streamed.end_turn(said);
    let written = match ended {
        Ok(stream::Next::Done(pieces, written)) => {
            shown.extend(pieces);
            written
        }
        _ => return,
    };
    for citation in &written.citations {
        let text = if citation.passage == 0 { &*passage } else { "Another one." };
        let quote: String =
            text.chars().skip(citation.chars.start).take(citation.chars.len()).collect();
        assert_eq!(quote, citation.quote);
    }
    let texts = shown.iter().filter_map(|piece| match piece {
        stream::AnswerPiece::Text(text) => Some(&**text),
        stream::AnswerPiece::Citation(_) => None,
    });
    let texts: Vec<&str> = texts.collect();
    if written.status == answer::Status::Answered {
        assert_eq!(texts.join(" "), written.text);
    }
    if reply.matches("claims").count() == 1 && !reply.contains('\\') {
        let whole = whole.expect("what can be streamed can be read");
        assert_eq!((&whole.text, &whole.citations), (&written.text, &written.citations));
    }
}

pub fn sse(data: &[u8]) {
    crate::remote::fuzz::stream(data);
}

pub fn replies(data: &[u8]) {
    crate::remote::fuzz::replies(data);
}

pub fn urls(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = Url::parse(&text) {
        let spelled = url.to_string();
        assert_eq!(Url::parse(&spelled).ok(), Some(url.clone()), "{spelled}");
        assert!(url.covers(&url.below("/embeddings")), "{spelled}");
    }
    if let Ok(egress) = Egress::parse(&text) {
        for ip in ["169.254.169.254", "fd00:ec2::254"] {
            assert!(egress.check_ip("m.example", 443, ip.parse().expect("an address")).is_err());
        }
    }
}

/// A `tokenizer.json`, a byte 0, a text.
pub fn tokenizer(data: &[u8]) {
    let (json, text) = parts(data);
    let text = String::from_utf8_lossy(text);
    let Ok(own) = Tokenizer::from_bytes(json) else { return };
    let Ok(tokens) = own.tokens(&text) else { return };
    assert_eq!(tokens.ids.len(), tokens.offsets.len());
    assert_eq!(own.count(&text).ok(), Some(tokens.ids.len()));
    for &(start, end) in &tokens.offsets {
        assert!(start <= end && end as usize <= text.len(), "{start}..{end} of {}", text.len());
    }
    let mut words: Vec<Word> = Vec::new();
    let counter: &dyn crate::model::tokenizer::TokenCounter = &own;
    counter.words(&text, 0, &mut words).expect("it was tokenised before");
    if counter.is_additive() {
        let sum: usize = words.iter().map(|word| word.tokens as usize).sum();
        assert_eq!(sum, tokens.ids.len());
        assert!(words.windows(2).all(|pair| pair[0].end <= pair[1].start), "words overlap");
        assert!(
            words.iter().all(|word| text.get(word.start as usize..word.end as usize).is_some())
        );
        let Ok(mut other) = tokenizers::Tokenizer::from_bytes(json) else { return };
        other.with_padding(None);
        let _ = other.with_truncation(None);
        let other = other.encode(&*text, false).expect("ours could");
        assert_eq!(other.get_ids(), tokens.ids, "of {text:?}");
    }
    if let Ok(input) = own.encode(&text, 32) {
        assert!(input.ids.len() <= 32.max(own.special_tokens()));
        assert_eq!(input.ids.len(), input.type_ids.len());
    }
}

/// A `config.json`, a byte 0, a `model.safetensors`; or an ONNX file; or a manifest.
pub fn weights(data: &[u8]) {
    if let Ok(manifest) = Manifest::from_json(data) {
        assert_eq!(Manifest::from_json(&manifest.to_json()).ok(), Some(manifest));
    }
    if onnx::external::is_self_contained(data) {
        let model = <onnx::proto::Model as prost::Message>::decode(data);
        let graph = model.ok().and_then(|model| model.graph).unwrap_or_default();
        assert!(graph.initializer.iter().all(|tensor| tensor.data_location == 0));
    }
    let (config, weights) = parts(data);
    let Ok(config) = bert::Config::from_json(config) else { return };
    let Ok(weights) = bert::Weights::parse(weights) else { return };
    for precision in [Precision::Int8, Precision::Fp32] {
        let Ok(graph) = bert::graph::encoder(&config, &weights, precision) else { continue };
        assert!(onnx::external::is_self_contained(&graph));
    }
}

/// A zip that holds a model; or the files to put into one ([`pack`]), since a changed file in a zip fails its checksum.
pub fn wheel(data: &[u8]) {
    let Ok(mut file) = tempfile() else { return };
    let bytes = if data.starts_with(b"PK") { Some(data.to_vec()) } else { zipped(data) };
    let Some(bytes) = bytes else { return };
    file.0.write_all(&bytes).expect("room for a file");
    let Ok(source) = ModelSource::open(&file.1) else { return };
    for precision in [Precision::Int8, Precision::Fp32] {
        let options =
            import::Options { name: "m".to_owned(), precision, origin: "here".to_owned() };
        let Ok(imported) = import::import(&source, &options) else { continue };
        assert!(onnx::external::is_self_contained(&imported.model));
        assert_eq!(Manifest::from_json(&imported.manifest.to_json()).ok(), Some(imported.manifest));
        Tokenizer::from_bytes(&imported.tokenizer).expect("it was checked");
    }
}

/// Names and contents of files as one input of [`wheel`].
pub fn pack<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut packed = Vec::new();
    for (name, content) in files {
        packed.extend(
            [name.as_bytes(), b"\n", &(content.len() as u32).to_le_bytes(), content].concat(),
        );
    }
    packed
}

/// The zip of packed files; `None` where no name can be read.
fn zipped(mut packed: &[u8]) -> Option<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    while !packed.is_empty() {
        let end = packed.iter().position(|byte| *byte == b'\n')?;
        let name = str::from_utf8(packed.split_off(..end)?).ok()?;
        packed.split_off_first()?;
        let length = u32::from_le_bytes(packed.split_off(..4)?.try_into().ok()?);
        let content = packed.split_off(..packed.len().min(length as usize))?;
        zip.start_file(name, options).ok()?;
        zip.write_all(content).ok()?;
    }
    Some(zip.finish().ok()?.into_inner())
}

/// A file that is gone when it is dropped.
struct Temporary(std::fs::File, std::path::PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.1);
    }
}

fn tempfile() -> std::io::Result<Temporary> {
    let thread = std::thread::current().id();
    let name = format!("rag-fuzz-{}-{thread:?}.zip", std::process::id());
    let path = std::env::temp_dir().join(name);
    Ok(Temporary(std::fs::File::create(&path)?, path))
}

/// Each lexeme's postings.
fn lists(bytes: &[u8]) -> Result<BTreeMap<String, Vec<Posting>>> {
    let mut reader = Reader::new(Inline::from(bytes));
    let (mut lists, mut postings) = (BTreeMap::new(), Vec::new());
    while let Some(lexeme) = reader.next_list(&mut postings)? {
        let lexeme = lexeme.to_owned();
        assert!(postings.is_sorted_by(|a, b| a.chunk < b.chunk), "ids ascend");
        assert!(lists.insert(lexeme, postings.clone()).is_none(), "lexemes ascend");
    }
    Ok(lists)
}

pub fn inverted(data: &[u8]) {
    let (read, bm25) = (lists(data), Bm25::new(1e3, 40.0));
    let lexemes: Vec<String> = match &read {
        Ok(lists) => lists.keys().take(3).cloned().collect(),
        Err(error) => {
            assert_eq!(error.sqlstate(), "XX001");
            vec!["a".into(), "lexeme7".into()]
        }
    };
    let lexemes: Vec<&str> = lexemes.iter().map(String::as_str).collect();
    let lists = Inline::from(data);
    // Without bytes there are no chunks.
    let chunks = if data.is_empty() { 0 } else { 9 };
    let index = Index { segments: vec![Segment { is_deletion: false, chunks, length: 9, lists }] };
    let idf = [2.0, 0.5, 1.0];
    let query =
        TopK { idf: &idf[..lexemes.len()], bm25, k: 5, among: None, after: None, budget: u64::MAX };
    let terms = index.terms(&lexemes, &mut || Ok(()));
    let best = terms.and_then(|terms| {
        terms.frequencies_among(&[1, 2, 70], &mut || Ok(()))?;
        terms.holding_all(100, &mut || Ok(()))?;
        terms.top_k(&query, &mut || Ok(()))
    });
    let Ok(read) = read else {
        assert!(best.is_ok() || best.is_err_and(|error| error.sqlstate() == "XX001"));
        return;
    };
    // What reads as whole has bounds that hold, so that the best are those of all.
    let mut scores: BTreeMap<i64, f64> = BTreeMap::new();
    for (lexeme, idf) in lexemes.iter().zip(idf) {
        for posting in &read[*lexeme] {
            *scores.entry(posting.chunk).or_default() += TopK::summand(&bm25, idf, *posting);
        }
    }
    let mut all: Vec<Scored> =
        scores.into_iter().map(|(chunk, score)| Scored { score, chunk }).collect();
    all.sort_unstable();
    all.truncate(5);
    assert_eq!(best.expect("what reads as whole can be searched").best, all);
    let (mut again, mut none) = (Vec::new(), Vec::new());
    let (live, deletions) = (Sink::Inline(&mut again), Sink::Inline(&mut none));
    merge(vec![Inline::from(data)], Vec::new(), live, deletions, &mut || Ok(())).expect("whole");
    let read: Vec<_> = read.into_iter().filter(|(_, list)| !list.is_empty()).collect();
    let again =
        if again.is_empty() { BTreeMap::new() } else { self::lists(&again).expect("whole") };
    assert_eq!(again.into_iter().collect::<Vec<_>>(), read);
}

/// Stored bytes: token bits, cited passages.
pub fn wire(mut data: &[u8]) {
    let dimensions = usize::from(byte(&mut data));
    if let Ok(bits) = TokenBits::from_bytes(dimensions, data) {
        assert_eq!(bits.as_bytes(), data);
        let half = bits.tokens(0..bits.len() / 2);
        assert_eq!(half.len(), bits.len() / 2);
        let question = TokenVectors { dimensions, data: vec![1.0; dimensions * 2] };
        let scores = max_sim(&question, &[bits], &mut || Ok(()));
        assert!(scores.is_ok_and(|scores| scores.iter().all(|score| !score.is_nan())));
    }
    if let Some(place) =
        serde_json::from_slice(data).ok().as_ref().and_then(answer::json::CitedPassage::read)
    {
        assert_eq!(answer::json::CitedPassage::read(&place.to_json()), Some(place));
    }
}

/// What the program that extracts text says, and the text that its pages make.
pub fn frames(mut data: &[u8]) {
    let limits = Limits { text: 4_096, pages: 64, first: None };
    let piece = usize::from(byte(&mut data)).max(1);
    let read = |piece: usize| {
        let mut reader = FrameReader::new(limits);
        data.chunks(piece).try_for_each(|bytes| reader.push(bytes))?;
        reader.finish()
    };
    let found = read(piece);
    assert_eq!(found, read(data.len().max(1)), "pieces change nothing");
    let Ok(found) = found else { return };
    assert!(found.pages.len() <= limits.pages);
    let contents: Vec<String> = found.pages.iter().map(|page| page.content.clone()).collect();
    assert!(contents.iter().map(String::len).sum::<usize>() <= limits.text);
    let text = ExtractedText::join(found.pages).expect("no limit is reached");
    let stored = ExtractedText::stored(text.text.clone(), text.parts_json());
    assert_eq!(stored, Some(text.clone()), "it comes back as it was stored");
    assert_eq!(text.parts.len(), contents.len());
    let characters = text.text.chars().count();
    assert_eq!(units(&text.parts, characters).iter().map(Range::len).sum::<usize>(), characters);
}

#[cfg(test)]
#[path = "fuzz/driver.rs"]
mod driver;
