//! How well chunks retrieve, against a recursive character splitter whose chunks have the same mean size. `benches/chunk_quality.sh` runs it.
//!
//! Each kind of text is one index. A question is about a span of one document; the five chunks nearest to it by the default model are
//! taken. Recall is the share of the span that they hold, `IoU` the characters shared with the span of all in either. Both are compared
//! question by question; intervals are of 95 %, from documents (of people's questions: from these) drawn anew. People's questions are those of
//! `tests/questions`, about the texts in the directories `docs` and `manual` of `RAG_PG_ASKED_TEXTS`; any sentence with an accepted phrase is the span.
//! `RAG_PG_CHUNK_TOKENS` is the size of chunks (160 by default),
//! `RAG_PG_EMBEDDED` names a file that keeps vectors for the next time.
#[path = "chunk_quality/recursive.rs"]
mod recursive;
#[path = "chunk_quality/texts.rs"]
mod texts;

use rag::chunk::{Format, Options, chunk};
use rag::model::session::SessionOptions;
use rag::model::store::Store;
use rag::model::{Detail, Embedder as _, LocalModel, Purpose};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::ops::Range;
use std::{env, fs};
use texts::{Asked, Document, Kind};

const TOP: usize = 5;
const RESAMPLES: usize = 2000;
/// Vectors of the default model.
const DIMENSIONS: usize = 384;

fn main() {
    if env::args().any(|argument| argument == "--test") {
        return;
    }
    let kinds = texts::all();
    if kinds.is_empty() {
        println!(
            "figure\tretrieval by chunks\tnot measured\tset RAG_PG_SQUAD, RAG_PG_CHUNK_TEXTS or RAG_PG_ASKED_TEXTS"
        );
        return;
    }
    let mut vectors = Vectors::open();
    let mut all = Vec::new();
    println!(
        "kind\tquestions\tchunks\ttokens\trecall@{TOP} of both, and how much more\tIoU of both, and how much more"
    );
    let only = env::var("KINDS").unwrap_or_default();
    for kind in kinds.iter().filter(|kind| kind.name.contains(&only)) {
        let answers = measure(kind, &mut vectors);
        report(&kind.name, &answers);
        all.push(answers);
    }
    // Every kind counts as much as every other.
    report("all", &Measured::join(all));
}

/// A text divided, and what each chunk is embedded as.
struct Divided {
    ranges: Vec<Range<usize>>,
    embedded: Vec<String>,
    tokens: usize,
}

/// What a kind of text gave: per document its questions' figures, of ours and of the splitter.
#[derive(Default)]
struct Measured {
    documents: Vec<Vec<[[f64; 2]; 2]>>,
    chunks: [usize; 2],
    tokens: [f64; 2],
}

impl Measured {
    fn join(all: Vec<Self>) -> Self {
        let mut joined = Self::default();
        for one in all {
            joined.documents.extend(one.documents);
            for i in 0..2 {
                joined.chunks[i] += one.chunks[i];
                joined.tokens[i] += one.tokens[i] * one.chunks[i] as f64;
            }
        }
        for i in 0..2 {
            joined.tokens[i] /= joined.chunks[i].max(1) as f64;
        }
        joined
    }
}

fn measure(kind: &Kind, vectors: &mut Vectors) -> Measured {
    let max_tokens = number("RAG_PG_CHUNK_TOKENS", 160);
    let mut texts = Vec::new();
    let mut ours = Vec::new();
    for document in &kind.documents {
        let (text, divided) = ours_of(document, max_tokens, &vectors.model);
        texts.push(text);
        ours.push(divided);
    }
    let size = size_like(&texts, &ours, &vectors.model);
    let theirs: Vec<Divided> =
        texts.iter().map(|text| theirs_of(text, size, &vectors.model)).collect();
    let both = [ours, theirs];
    let found = both.each_ref().map(|divided| Index::new(divided, vectors));
    let mut measured = Measured {
        chunks: both.each_ref().map(|divided| divided.iter().map(|d| d.ranges.len()).sum()),
        tokens: both.each_ref().map(|divided| mean_tokens(divided)),
        ..Measured::default()
    };
    for (question, phrases) in &kind.people {
        let holding = texts.iter().map(|text| texts::holding(text, phrases)).enumerate();
        let spans = holding.flat_map(|(i, spans)| spans.into_iter().map(move |span| (i, span)));
        let asked = spans.map(|(i, span)| (i, Asked { question: question.clone(), span }));
        let asked: Vec<(usize, Asked)> = asked.collect();
        let embedded = vectors.of(std::slice::from_ref(question), Purpose::Query).swap_remove(0);
        // Any place that answers is as good.
        let best = found.each_ref().map(|index| {
            let figures = asked.iter().map(|(i, asked)| index.figures(*i, asked, &embedded));
            figures.reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])]).unwrap_or_default()
        });
        if !asked.is_empty() {
            measured.documents.push(vec![best]);
        }
    }
    let documents = kind.documents.iter().enumerate().filter(|_| kind.people.is_empty());
    for (i, document) in documents {
        let asked = if document.questions.is_empty() {
            texts::questions(&texts[i])
        } else {
            document.questions.clone()
        };
        let questions: Vec<String> = asked.iter().map(|asked| asked.question.clone()).collect();
        let embedded = vectors.of(&questions, Purpose::Query);
        let figures = asked.iter().zip(&embedded).map(|(asked, question)| {
            found.each_ref().map(|index| index.figures(i, asked, question))
        });
        let figures: Vec<_> = figures.collect();
        if !figures.is_empty() {
            measured.documents.push(figures);
        }
    }
    measured
}

fn ours_of(document: &Document, max_tokens: usize, model: &LocalModel) -> (String, Divided) {
    let window = model.room(Purpose::Document).expect("a window");
    let options = Options {
        max_tokens,
        overlap_tokens: 0,
        format: document.format,
        heading_tokens: window / 4,
        window,
    };
    let chunked =
        chunk(&document.source, &options, model.tokenizer(), &mut || Ok(())).expect("chunks");
    // As in a collection: there is nothing to find chunks by that have no token.
    let chunks = || chunked.chunks.iter().filter(|chunk| chunk.token_count > 0);
    let divided = Divided {
        ranges: chunks().map(|chunk| chunk.range.clone()).collect(),
        embedded: chunks().map(|chunk| chunked.embedding_text(chunk).into_owned()).collect(),
        tokens: chunks().map(|chunk| chunk.token_count).sum(),
    };
    debug_assert_ne!(chunked.format, Format::Auto);
    (chunked.text.into_owned(), divided)
}

fn theirs_of(text: &str, size: usize, model: &LocalModel) -> Divided {
    let mut ranges = recursive::split(text, size);
    ranges.retain(|range| model.tokenizer().count(&text[range.clone()]).expect("a count") > 0);
    let embedded: Vec<String> = ranges.iter().map(|range| text[range.clone()].to_owned()).collect();
    let tokens = embedded.iter().map(|t| model.tokenizer().count(t).expect("a count")).sum();
    Divided { ranges, embedded, tokens }
}

fn mean_tokens(divided: &[Divided]) -> f64 {
    let chunks: usize = divided.iter().map(|d| d.ranges.len()).sum();
    divided.iter().map(|d| d.tokens).sum::<usize>() as f64 / chunks.max(1) as f64
}

/// Characters at which the splitter's chunks have the mean size of ours: both divide the same text, so as many chunks.
fn size_like(texts: &[String], ours: &[Divided], model: &LocalModel) -> usize {
    let (mut low, mut high) = (20, 4000);
    let wanted = mean_tokens(ours);
    let mean = |size: usize| {
        let ranges: Vec<Vec<Range<usize>>> =
            texts.iter().map(|text| recursive::split(text, size)).collect();
        let count: usize = ranges.iter().map(Vec::len).sum();
        count
    };
    let tokens: usize =
        texts.iter().map(|text| model.tokenizer().count(text).expect("a count")).sum();
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if (tokens as f64 / mean(middle) as f64) < wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The chunks of all documents of a kind, embedded.
struct Index {
    /// Document and range.
    chunks: Vec<(usize, Range<usize>)>,
    vectors: Vec<Vec<f32>>,
}

impl Index {
    fn new(divided: &[Divided], vectors: &mut Vectors) -> Self {
        let embedded: Vec<String> = divided.iter().flat_map(|d| d.embedded.clone()).collect();
        let of = |(i, divided): (usize, &Divided)| {
            divided.ranges.iter().map(|range| (i, range.clone())).collect::<Vec<_>>()
        };
        let chunks = divided.iter().enumerate().flat_map(of).collect();
        Self { chunks, vectors: vectors.of(&embedded, Purpose::Document) }
    }

    /// Recall and `IoU` of the nearest chunks.
    fn figures(&self, document: usize, asked: &Asked, question: &[f32]) -> [f64; 2] {
        let cosine =
            |vector: &Vec<f32>| vector.iter().zip(question).map(|(a, b)| a * b).sum::<f32>();
        let mut near: Vec<(f32, usize)> =
            self.vectors.iter().map(cosine).enumerate().map(|(i, c)| (-c, i)).collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut shared, mut taken) = (0, 0);
        for (_, i) in near.iter().take(TOP) {
            let (of, range) = &self.chunks[*i];
            taken += range.len();
            if *of == document {
                let end = range.end.min(asked.span.end);
                shared += end.saturating_sub(range.start.max(asked.span.start));
            }
        }
        let span = asked.span.len();
        [shared as f64 / span as f64, shared as f64 / (taken + span - shared) as f64]
    }
}

fn report(name: &str, measured: &Measured) {
    let questions: usize = measured.documents.iter().map(Vec::len).sum();
    let [a, b] = measured.chunks;
    let [ta, tb] = measured.tokens;
    print!("figure\t{name}\t{questions} questions\t{a}/{b} chunks\t{ta:.1}/{tb:.1} tokens");
    for figure in 0..2 {
        let sums: Vec<(f64, f64, usize)> = measured
            .documents
            .iter()
            .map(|document| {
                let sum = |side: usize| document.iter().map(|q| q[side][figure]).sum::<f64>();
                (sum(0), sum(1), document.len())
            })
            .collect();
        let mean = |of: &dyn Fn(&(f64, f64, usize)) -> f64| {
            sums.iter().map(of).sum::<f64>() / questions.max(1) as f64
        };
        let (ours, theirs) = (mean(&|s| s.0), mean(&|s| s.1));
        let (low, high) = interval(&sums);
        print!("\t{ours:.4} {theirs:.4} {:+.4} [{low:+.4}, {high:+.4}]", ours - theirs);
    }
    println!();
}

/// Of the mean difference, documents drawn anew.
fn interval(sums: &[(f64, f64, usize)]) -> (f64, f64) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % most as u64) as usize
    };
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let (mut difference, mut count) = (0.0, 0);
            for _ in 0..sums.len() {
                let (ours, theirs, questions) = sums[below(sums.len())];
                difference += ours - theirs;
                count += questions;
            }
            difference / f64::from(u32::try_from(count).unwrap_or(u32::MAX).max(1))
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (means[RESAMPLES / 40], means[RESAMPLES - RESAMPLES / 40 - 1])
}

fn number(variable: &str, default: usize) -> usize {
    env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The model, and the vectors it made.
struct Vectors {
    model: LocalModel,
    known: HashMap<u64, Vec<f32>>,
    file: Option<fs::File>,
}

impl Vectors {
    fn open() -> Self {
        let path =
            |variable: &str, default: &str| env::var(variable).unwrap_or_else(|_| default.into());
        let store = Store::new(path("RAG_PG_MODEL_PATH", "/var/lib/rag_pg/models"));
        let library = path("RAG_PG_ONNXRUNTIME", "/usr/local/lib/rag_pg/libonnxruntime.so");
        let located = store.locate("all-MiniLM-L6-v2").expect("make setup installs the model");
        let model = LocalModel::open(located, SessionOptions::new(library)).expect("the model");
        let mut known = HashMap::new();
        let file = env::var("RAG_PG_EMBEDDED").ok();
        let bytes = file.as_ref().and_then(|file| fs::read(file).ok()).unwrap_or_default();
        for entry in bytes.chunks_exact(8 + 4 * DIMENSIONS) {
            let (key, vector) = entry.split_at(8);
            let key = u64::from_le_bytes(key.try_into().expect("eight bytes"));
            let real = |four: &[u8]| f32::from_le_bytes(four.try_into().expect("four bytes"));
            known.insert(key, vector.chunks_exact(4).map(real).collect());
        }
        let file = file.map(|file| {
            fs::OpenOptions::new().append(true).create(true).open(file).expect("a file to write")
        });
        Self { model, known, file }
    }

    fn of(&mut self, texts: &[String], purpose: Purpose) -> Vec<Vec<f32>> {
        let key = |text: &String| {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            hasher.finish()
        };
        let mut unknown: Vec<&String> =
            texts.iter().filter(|text| !self.known.contains_key(&key(text))).collect();
        // Texts of one length at once need no padding.
        unknown.sort_by_key(|text| text.len());
        for some in unknown.chunks(64) {
            let some_texts: Vec<&str> = some.iter().map(|text| text.as_str()).collect();
            let found = self.model.embed(&some_texts, purpose, Detail::Vector, &mut || Ok(()));
            for (text, embedding) in some.iter().zip(found.expect("the texts embed")) {
                if let Some(file) = &mut self.file {
                    let vector = embedding.vector.iter().flat_map(|x| x.to_le_bytes());
                    let entry: Vec<u8> =
                        key(text).to_le_bytes().into_iter().chain(vector).collect();
                    file.write_all(&entry).expect("the file is written");
                }
                self.known.insert(key(text), embedding.vector);
            }
        }
        texts.iter().map(|text| self.known[&key(text)].clone()).collect()
    }
}
