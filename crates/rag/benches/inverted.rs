//! The inverted file in memory: the best hundred of a million generated chunks, bytes a chunk, writing and merging.
//! `cargo bench -p rag --bench inverted [CHUNKS] [KIND]`, such as `1000000 'eight commonest words'`.
use rag::inverted::{
    Builder, Index, Inline, Lists, Reader, Segment, Sink, Source, TopK, Work, merge,
};
use rag::search::Bm25;
use std::borrow::Cow;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Chunks of a segment that merging no longer makes larger.
const SEGMENT: u64 = 262_144;
/// Distinct words of the language.
const WORDS: f64 = 1e6;
/// The rank that Mandelbrot's law adds to Zipf's.
const SHIFT: f64 = 2.7;
/// Chunks asked for.
const K: usize = 100;
/// Questions of each kind.
const QUESTIONS: usize = 100;
/// Runs of each question.
const RUNS: usize = 5;

/// Rows of a segment.
#[derive(Default)]
struct Rows {
    groups: Vec<(String, Vec<u8>)>,
    parts: Vec<Vec<u8>>,
}

impl Rows {
    fn insert(&mut self, lexeme: &str, part: u32, bytes: &[u8]) {
        if part == 0 {
            self.groups.push((lexeme.to_owned(), bytes.to_vec()));
        } else {
            assert_eq!(
                self.parts.len() + 1,
                part as usize,
                "parts come in the order of their numbers"
            );
            self.parts.push(bytes.to_vec());
        }
    }

    /// Bytes in PostgreSQL: of each row's tuple and line pointer, and of its index tuple.
    fn size(&self) -> (usize, usize) {
        let parts = self.parts.iter().map(|bytes| ("", bytes));
        let rows = self.groups.iter().map(|(lexeme, bytes)| (lexeme.as_str(), bytes)).chain(parts);
        let of = |(lexeme, bytes): (&str, &Vec<u8>)| {
            let key = 8 + 1 + lexeme.len();
            (24 + key + 4 + bytes.len()).next_multiple_of(8) + 4 + (8 + key).next_multiple_of(8) + 4
        };
        rows.map(of).fold((0, 0), |(rows, bytes), more| (rows + 1, bytes + more))
    }
}

impl Lists for &Rows {
    fn group(&self, lexeme: &str) -> rag::Result<Option<Cow<'_, [u8]>>> {
        let behind = self.groups.partition_point(|(first, _)| **first <= *lexeme);
        Ok(behind.checked_sub(1).map(|at| self.groups[at].1.as_slice().into()))
    }

    fn part(&self, part: u32) -> rag::Result<Option<Cow<'_, [u8]>>> {
        Ok(self.parts.get(part as usize - 1).map(|part| part.as_slice().into()))
    }
}

struct RowSource<'a> {
    rows: &'a Rows,
    at: usize,
}

impl Source for RowSource<'_> {
    fn next_group(&mut self) -> rag::Result<Option<Cow<'_, [u8]>>> {
        self.at += 1;
        Ok(self.rows.groups.get(self.at - 1).map(|(_, bytes)| bytes.as_slice().into()))
    }

    fn part(&mut self, part: u32) -> rag::Result<Option<Cow<'_, [u8]>>> {
        Ok(self.rows.parts.get(part as usize - 1).map(|bytes| bytes.as_slice().into()))
    }
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// From 0 to 1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.uniform() * limit as f64) as usize
    }

    /// A word's rank, from 0.
    fn word(&mut self) -> u32 {
        (((WORDS + SHIFT) / SHIFT).powf(self.uniform()) * SHIFT - SHIFT) as u32
    }
}

/// As text: common words are short, and their order is not that of their ranks.
fn lexeme(word: u32) -> String {
    let mut rest = u64::from(word) * 7 + 3;
    let mut lexeme = String::new();
    while rest > 0 || lexeme.len() < 3 {
        lexeme.insert(0, char::from(b'a' + (rest % 19) as u8));
        rest /= 19;
    }
    lexeme
}

/// A chunk's words, each with its occurrences.
fn chunk(random: &mut Random) -> Vec<(usize, usize)> {
    let length = 60 + random.below(80);
    let mut words: Vec<u32> = Vec::with_capacity(length);
    for _ in 0..length {
        // What a text is about it says more than once.
        let again = random.uniform() < 0.2 && !words.is_empty();
        let word = if again { words[random.below(words.len())] } else { random.word() };
        words.push(word);
    }
    words.sort_unstable();
    words.chunk_by(|a, b| a == b).map(|same| (same[0] as usize, same.len())).collect()
}

fn add(builder: &mut Builder, id: i64, chunk: &[(usize, usize)], names: &[String]) {
    builder.add(id, chunk.iter().map(|(word, count)| (names[*word].as_bytes(), *count)));
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let arguments: Vec<String> = arguments.collect();
    let chunks: u64 = arguments.first().map_or(1_000_000, |n| n.parse().expect("a number"));
    let kind = arguments.get(1).map(String::as_str);
    let names: Vec<String> = (0..=WORDS as u32).map(lexeme).collect();
    let mut random = Random(16);
    let started = Instant::now();
    let segments: Vec<(Rows, u64, u64)> = (0..chunks.div_ceil(SEGMENT))
        .map(|segment| {
            let mut builder = Builder::default();
            for id in segment * SEGMENT..chunks.min((segment + 1) * SEGMENT) {
                add(&mut builder, id as i64 + 1, &chunk(&mut random), &names);
            }
            let mut rows = Rows::default();
            let (chunks, length) = (builder.chunks(), builder.length());
            let mut insert = |lexeme: &str, part, bytes: &[u8]| {
                rows.insert(lexeme, part, bytes);
                Ok(())
            };
            builder.finish_rows(&mut insert).unwrap();
            (rows, chunks, length)
        })
        .collect();
    let (mut count, mut bytes) = (0, 0);
    for (rows, ..) in &segments {
        let more = rows.size();
        (count, bytes) = (count + more.0, bytes + more.1);
    }
    println!(
        "{chunks} chunks in {:.1} s: {:.1} bytes a chunk, {:.3} rows a chunk",
        started.elapsed().as_secs_f64(),
        bytes as f64 / chunks as f64,
        count as f64 / chunks as f64
    );
    let index = Index {
        segments: segments
            .iter()
            .map(|(rows, chunks, length)| Segment {
                is_deletion: false,
                chunks: *chunks,
                length: *length,
                lists: rows,
            })
            .collect(),
    };
    search(&index, &names, kind);
    if kind.is_none() {
        write(&names);
        merging(&segments, &names);
    }
}

fn search(index: &Index<&Rows>, names: &[String], only: Option<&str>) {
    type Words = fn(&mut Random, usize) -> Vec<usize>;
    let kinds: [(&str, Words); 6] = [
        ("one common word", |_, i| vec![i % 50]),
        ("two common words", |random, _| distinct(2, || random.below(200))),
        ("two random words", |random, _| distinct(2, || random.word() as usize)),
        ("four random words", |random, _| distinct(4, || random.word() as usize)),
        ("eight random words", |random, _| distinct(8, || random.word() as usize)),
        ("eight commonest words", |_, _| (0..8).collect()),
    ];
    let is_wanted = |kind: &str| only.is_none_or(|only| only == kind);
    for (kind, words) in kinds.into_iter().filter(|(kind, _)| is_wanted(kind)) {
        let mut random = Random(7);
        let mut times = Vec::new();
        let mut work = Work::default();
        for i in 0..QUESTIONS {
            let words = words(&mut random, i);
            let lexemes: Vec<&str> = words.iter().map(|word| names[*word].as_str()).collect();
            let (time, found) = measured(index, &lexemes, None);
            times.push(time);
            work.parts += found.parts;
            work.blocks += found.blocks;
            work.postings += found.postings;
        }
        report(kind, &mut times, work);
    }
    let among = [("among 50 %", 2), ("among 1 %", 100), ("among 0.01 %", 10_000)];
    for (kind, every) in among.into_iter().filter(|(kind, _)| is_wanted(kind)) {
        let among: Vec<i64> = (1..=1_000_000).filter(|id| id % every == 0).collect();
        let mut random = Random(8);
        let mut times = Vec::new();
        for _ in 0..QUESTIONS / 4 {
            let words = distinct(4, || random.word() as usize);
            let lexemes: Vec<&str> = words.iter().map(|word| names[*word].as_str()).collect();
            times.push(measured(index, &lexemes, Some(&among)).0);
        }
        report(kind, &mut times, Work::default());
    }
}

fn distinct(count: usize, mut next: impl FnMut() -> usize) -> Vec<usize> {
    let mut words = Vec::new();
    while words.len() < count {
        let word = next();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

fn best(index: &Index<&Rows>, lexemes: &[&str], among: Option<&[i64]>) -> Work {
    let terms = index.terms(lexemes, &mut || Ok(())).unwrap();
    let statistics = terms.statistics();
    let chunks = statistics.chunks as f64;
    let bm25 = Bm25::new(chunks, statistics.length as f64 / chunks);
    let idf: Vec<f64> = statistics.frequencies.iter().map(|n| bm25.idf(*n as f64)).collect();
    let query = TopK { idf: &idf, bm25, k: K, among, after: None, budget: u64::MAX };
    let found = terms.top_k(&query, &mut || Ok(())).unwrap();
    black_box(&found.best);
    found.work
}

/// The shortest time of some: others have the processor too.
fn measured(index: &Index<&Rows>, lexemes: &[&str], among: Option<&[i64]>) -> (Duration, Work) {
    let run = |_| {
        let started = Instant::now();
        let work = best(index, lexemes, among);
        (started.elapsed(), work)
    };
    (0..RUNS).map(run).min_by_key(|(time, _)| *time).expect("at least one run")
}

fn report(kind: &str, times: &mut [Duration], work: Work) {
    times.sort_unstable();
    let n = times.len() as u64;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{kind:24} p50 {:7.3} ms  p99 {:7.3} ms  {:5} parts {:6} blocks {:8} postings",
        ms(times[times.len() / 2]),
        ms(times[times.len() * 99 / 100]),
        work.parts / n,
        work.blocks / n,
        work.postings / n
    );
}

fn write(names: &[String]) {
    let mut random = Random(3);
    let mut times = Vec::new();
    let mut size = 0;
    for _ in 0..20 {
        // The generator's time is not the builder's.
        let with_text = |(word, count): (usize, usize)| (names[word].clone(), count);
        let chunks: Vec<Vec<(String, usize)>> =
            (0..500).map(|_| chunk(&mut random).into_iter().map(with_text).collect()).collect();
        let started = Instant::now();
        let mut builder = Builder::default();
        for (id, chunk) in (1..).zip(&chunks) {
            builder.add(id, chunk.iter().map(|(lexeme, count)| (lexeme.as_bytes(), *count)));
        }
        size = builder.finish_inline().unwrap().len();
        times.push(started.elapsed());
    }
    times.sort_unstable();
    println!("500 chunks in one value: {:?}, {size} bytes", times[0]);
}

fn merging(segments: &[(Rows, u64, u64)], names: &[String]) {
    let rows = &segments[0].0;
    let started = Instant::now();
    let mut written = Rows::default();
    let mut insert = |lexeme: &str, part, bytes: &[u8]| {
        written.insert(lexeme, part, bytes);
        Ok(())
    };
    let mut none = |_: &str, _, _: &[u8]| Ok(());
    let sources = vec![RowSource { rows, at: 0 }];
    let (to, deletions) = (Sink::Rows(&mut insert), Sink::Rows(&mut none));
    let merged = merge(sources, Vec::new(), to, deletions, &mut || Ok(())).unwrap();
    println!("merging {} chunks: {:?}", merged.live.chunks, started.elapsed());
    assert!(written.groups == rows.groups, "merging one segment writes it again");

    let mut random = Random(5);
    let inline = (0..32).map(|number| {
        let mut builder = Builder::default();
        let ids = number * 500..(number + 1) * 500;
        ids.for_each(|id| add(&mut builder, id, &chunk(&mut random), names));
        Inline::from(builder.finish_inline().unwrap())
    });
    let inline: Vec<Inline<'static>> = inline.collect();
    let started = Instant::now();
    let mut rows = 0;
    let mut insert = |_: &str, _, _: &[u8]| {
        rows += 1;
        Ok(())
    };
    let mut none = |_: &str, _, _: &[u8]| Ok(());
    let (to, deletions) = (Sink::Rows(&mut insert), Sink::Rows(&mut none));
    let sources = inline.clone();
    let merged = merge(sources, Vec::new(), to, deletions, &mut || Ok(())).unwrap();
    println!(
        "merging {} chunks of 32 values: {:?}, {rows} rows",
        merged.live.chunks,
        started.elapsed()
    );
    let started = Instant::now();
    let mut reader = Reader::new(inline[0].clone());
    let (mut postings, mut count) = (Vec::new(), 0);
    while reader.next_list(&mut postings).unwrap().is_some() {
        count += postings.len();
    }
    println!("reading a value of {count} postings: {:?}", started.elapsed());
}
