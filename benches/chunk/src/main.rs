//! Megabytes per second of chunking the PostgreSQL manual, against the `text-splitter` crate with the
//! same tokenizer, and against tokenising alone. A package of its own, so that what it compares with is
//! not built for the tests; `benches/chunk.sh` runs it.
#[path = "../../../tests/support/tokenizers.rs"]
mod support;

use rag::chunk::{Chunked, Format, Options, chunk};
use rag::model::tokenizer::Tokenizer;
use std::time::Instant;
use text_splitter::{ChunkConfig, ChunkSizer, TextSplitter};

/// Runs of each measurement; the median counts.
const RUNS: usize = 5;
/// Bytes of the manual's text that the slow side is measured on.
const SAMPLE: usize = 1_000_000;

fn main() {
    let Some(json) = support::installed() else { return };
    let pages = support::manual();
    if pages.is_empty() {
        return;
    }
    let tokenizer = Tokenizer::from_bytes(&json).unwrap();
    let crates = Sizer(support::reference(&json));
    let html: usize = pages.iter().map(String::len).sum();
    let run = |text: &str, overlap, format| {
        let options = Options {
            max_tokens: 254,
            overlap_tokens: overlap,
            format,
            heading_tokens: 0,
            window: 254,
        };
        chunk(text, &options, &tokenizer, &mut || Ok(()))
            .map(|c| (c.text.into_owned(), c.chunks))
            .unwrap()
    };
    let text: String = pages.iter().map(|page| run(page, 0, Format::Html).0 + "\n\n").collect();
    let sample = &text[..text.floor_char_boundary(SAMPLE)];
    println!(
        "manual: {} pages, {:.1} MB of HTML, {:.1} MB of text",
        pages.len(),
        mb(html),
        mb(text.len())
    );
    report("tokenise, rag_pg", text.len(), || tokenizer.count(&text).unwrap());
    report("tokenise, tokenizers crate", sample.len(), || {
        sample.split_inclusive('\n').map(|line| crates.0.encode(line, false).unwrap().len()).sum()
    });
    for overlap in [0, 50] {
        let ours = report(&format!("rag_chunk plain, overlap {overlap}"), text.len(), || {
            run(&text, overlap, Format::Plain).1.len()
        });
        let config = ChunkConfig::new(254).with_sizer(&crates).with_overlap(overlap).unwrap();
        let splitter = TextSplitter::new(config);
        let theirs = report(&format!("text-splitter, overlap {overlap}"), sample.len(), || {
            splitter.chunks(sample).count()
        });
        let (ratio, bar) = (ours / theirs, ">= 4x, then 15x");
        println!("figure\trag_chunk against text-splitter, overlap {overlap}\t{ratio:.1}x\t{bar}");
    }
    for overlap in [0, 50] {
        report(&format!("rag_chunk html, overlap {overlap}"), html, || {
            pages.iter().map(|page| run(page, overlap, Format::Html).1.len()).sum()
        });
    }
    sizes(&pages, &tokenizer);
}

/// How full chunks are, as deciles of their token counts.
fn sizes(pages: &[String], tokenizer: &Tokenizer) {
    let options = Options {
        max_tokens: 254,
        overlap_tokens: 50,
        format: Format::Html,
        heading_tokens: 0,
        window: 254,
    };
    let chunked =
        |page| -> Chunked<'_> { chunk(page, &options, tokenizer, &mut || Ok(())).unwrap() };
    let counts = pages.iter().flat_map(|page| chunked(page).chunks);
    let mut counts: Vec<usize> = counts.map(|chunk| chunk.token_count).collect();
    counts.sort_unstable();
    let decile = |i: usize| counts[(counts.len() - 1) * i / 10].to_string();
    let deciles: Vec<String> = (0..=10).map(decile).collect();
    println!("figure\ttokens per chunk of the manual, deciles\t{}\t", deciles.join(" "));
}

/// Prints the median rate of `work` over `bytes`, and returns it.
fn report(name: &str, bytes: usize, work: impl Fn() -> usize) -> f64 {
    let mut seconds: Vec<f64> = (0..RUNS).map(|_| time(&work)).collect();
    seconds.sort_by(f64::total_cmp);
    let rate = mb(bytes) / seconds[RUNS / 2];
    println!("figure\t{name}\t{rate:.2} MB/s ({} results)\t", work());
    rate
}

fn time(work: impl Fn() -> usize) -> f64 {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed().as_secs_f64()
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// The crate's tokenizer as text-splitter's own adapter calls it.
struct Sizer(tokenizers::Tokenizer);

impl ChunkSizer for Sizer {
    fn size(&self, chunk: &str) -> usize {
        self.0.encode_fast(chunk, false).unwrap().len()
    }
}
