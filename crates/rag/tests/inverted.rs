//! Laws of the inverted file: what is read is what was written, merging is building anew, and the best chunks are those that scoring
//! every chunk gives.
use proptest::prelude::*;
use rag::inverted::{
    Builder, EVERY, Index, Inline, Lists, Posting, Reader, Scored, Segment, Sink, Source, TopK,
    merge,
};
use rag::search::Bm25;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// A chunk: how often it holds each lexeme.
type Chunk = BTreeMap<String, usize>;
type Chunks = BTreeMap<i64, Chunk>;

/// Rows of a segment as a table keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rows(BTreeMap<(u32, String), Vec<u8>>);

impl Rows {
    fn insert(&mut self, lexeme: &str, part: u32, bytes: &[u8]) -> rag::Result<()> {
        let before = self.0.insert((part, lexeme.to_owned()), bytes.to_vec());
        assert!(before.is_none(), "a row has a key of its own");
        Ok(())
    }
}

impl Lists for Rows {
    fn group(&self, lexeme: &str) -> rag::Result<Option<Cow<'_, [u8]>>> {
        let below = self.0.range((0, String::new())..=(0, lexeme.to_owned()));
        Ok(below.last().map(|(_, bytes)| bytes.into()))
    }

    fn part(&self, lexeme: &str, part: u32) -> rag::Result<Option<Cow<'_, [u8]>>> {
        Ok(self.0.get(&(part, lexeme.to_owned())).map(Into::into))
    }
}

/// Reads rows in their order.
struct RowSource {
    rows: Rows,
    last: Option<String>,
}

impl Source for RowSource {
    fn next_group(&mut self) -> rag::Result<Option<Cow<'_, [u8]>>> {
        let last = self.last.take();
        let mut rows = self.rows.0.iter().filter(|((part, _), _)| *part == 0);
        let next = rows.find(|((_, lexeme), _)| last.as_ref().is_none_or(|last| lexeme > last));
        self.last = next.map(|((_, lexeme), _)| lexeme.clone()).or(last);
        Ok(next.map(|(_, bytes)| bytes.into()))
    }

    fn part(&mut self, lexeme: &str, part: u32) -> rag::Result<Option<Cow<'_, [u8]>>> {
        Ok(self.rows.0.get(&(part, lexeme.to_owned())).map(Into::into))
    }
}

fn length(chunk: &Chunk) -> u32 {
    chunk.values().sum::<usize>() as u32
}

fn builder(chunks: &Chunks) -> Builder {
    let mut builder = Builder::default();
    for (id, chunk) in chunks {
        builder.add(*id, chunk.iter().map(|(lexeme, count)| (lexeme.as_bytes(), *count)));
    }
    builder
}

fn inline(chunks: &Chunks) -> Inline<'static> {
    builder(chunks).finish_inline().expect("lexemes are text").into()
}

fn rows(chunks: &Chunks) -> Rows {
    let mut rows = Rows::default();
    let mut row = |lexeme: &str, part, bytes: &[u8]| rows.insert(lexeme, part, bytes);
    builder(chunks).finish_rows(&mut row).expect("lexemes are text");
    rows
}

/// All lists, as a model has them.
fn listed(chunks: &Chunks) -> BTreeMap<String, Vec<Posting>> {
    let mut lists: BTreeMap<String, Vec<Posting>> = BTreeMap::new();
    for (&id, chunk) in chunks {
        let length = length(chunk);
        let every = (EVERY.to_owned(), 1);
        for (lexeme, count) in chunk.clone().into_iter().chain([every]) {
            let posting = Posting { chunk: id, frequency: count as u32, length };
            lists.entry(lexeme).or_default().push(posting);
        }
    }
    lists
}

/// All lists that a segment has.
fn read(source: impl Source) -> rag::Result<BTreeMap<String, Vec<Posting>>> {
    let mut reader = Reader::new(source);
    let mut lists = BTreeMap::new();
    let mut postings = Vec::new();
    while let Some(lexeme) = reader.next_list(&mut postings)? {
        lists.insert(lexeme.to_owned(), std::mem::take(&mut postings));
    }
    Ok(lists)
}

const VOCABULARY: [&str; 6] = ["a", "ab", "abc", "b", "bcd", "ü"];

/// Common and rare lexemes, most chunks alike, so that ties and skipped blocks are frequent.
fn chunk() -> impl Strategy<Value = Chunk> {
    let counts = prop_oneof![
        12 => Just(vec![1, 0, 0, 0, 0, 3]),
        4 => Just(vec![1, 1, 0, 0, 0, 3]),
        4 => prop::collection::vec(0_usize..3, VOCABULARY.len()),
        1 => prop::collection::vec(0_usize..400, VOCABULARY.len()),
        1 => Just(vec![0; VOCABULARY.len()]),
    ];
    let rare = prop::option::weighted(0.3, "[a-z]{1,12}");
    (counts, rare).prop_map(|(counts, rare)| {
        let common = VOCABULARY.iter().zip(counts).filter(|(_, count)| *count > 0);
        let mut chunk: Chunk =
            common.map(|(lexeme, count)| ((*lexeme).to_owned(), count)).collect();
        chunk.extend(rare.map(|lexeme| (lexeme, 1)));
        chunk
    })
}

fn chunks(most: usize) -> impl Strategy<Value = Chunks> {
    let gap = prop_oneof![60 => 1_i64..4, 4 => 1_i64..100_000, 1 => 1_i64..1 << 45];
    (-1_000_i64..1_000, prop::collection::vec((gap, chunk()), 0..most)).prop_map(|(first, all)| {
        let mut id = first;
        let next = |(gap, chunk)| {
            id += gap;
            (id, chunk)
        };
        all.into_iter().map(next).collect()
    })
}

/// Segments of chunks, some in one value and some in rows, and of deletions of some of them.
#[derive(Debug, Clone)]
struct Corpus {
    live: Vec<Chunks>,
    deleted: Vec<Chunks>,
    /// Which segments are in one value.
    inline: u8,
}

fn corpus(most: usize) -> impl Strategy<Value = Corpus> {
    let chunks = chunks(most).prop_flat_map(|chunks| {
        let number = chunks.len();
        let segment = prop::collection::vec(0_usize..4, number);
        let fate = prop_oneof![
            Just(vec![None; number]),
            prop::collection::vec(prop::option::weighted(0.2, 0_usize..2), number)
        ];
        (Just(chunks), segment, fate)
    });
    (chunks, any::<u8>()).prop_map(|((chunks, segments, fates), inline)| {
        let (mut live, mut deleted) = (vec![Chunks::new(); 4], vec![Chunks::new(); 2]);
        for (((id, chunk), segment), fate) in chunks.into_iter().zip(segments).zip(fates) {
            if let Some(fate) = fate {
                deleted[fate].insert(id, chunk.clone());
            }
            live[segment].insert(id, chunk);
        }
        Corpus { live, deleted, inline }
    })
}

impl Corpus {
    fn segment(
        &self,
        number: usize,
        chunks: &Chunks,
        is_deletion: bool,
    ) -> Segment<Box<dyn Lists>> {
        let totals = builder(chunks);
        let lists: Box<dyn Lists> = if self.inline >> number & 1 == 1 {
            Box::new(inline(chunks))
        } else {
            Box::new(rows(chunks))
        };
        Segment { is_deletion, chunks: totals.chunks(), length: totals.length(), lists }
    }

    fn index(&self) -> Index<Box<dyn Lists>> {
        let live = self.live.iter().map(|chunks| (chunks, false));
        let all = live.chain(self.deleted.iter().map(|chunks| (chunks, true)));
        let segments =
            all.enumerate().map(|(i, (chunks, is_deletion))| self.segment(i, chunks, is_deletion));
        Index { segments: segments.collect() }
    }

    /// What is left.
    fn chunks(&self) -> Chunks {
        let mut chunks: Chunks = self.live.iter().flatten().map(|(k, v)| (*k, v.clone())).collect();
        chunks.retain(|id, _| !self.deleted.iter().any(|deleted| deleted.contains_key(id)));
        chunks
    }
}

fn bm25(chunks: &Chunks) -> Bm25 {
    let total: u64 = chunks.values().map(|chunk| u64::from(length(chunk))).sum();
    Bm25::new(chunks.len() as f64, total as f64 / chunks.len().max(1) as f64)
}

fn holding(chunks: &Chunks, lexeme: &str) -> u64 {
    chunks.values().filter(|chunk| chunk.contains_key(lexeme)).count() as u64
}

/// All chunks that hold a lexeme, best first, their scores to the last bit of what the index computes.
fn exhaustive(chunks: &Chunks, lexemes: &[&str], bm25: &Bm25, idf: &[f64]) -> Vec<Scored> {
    let mut scored = Vec::new();
    for (&id, chunk) in chunks {
        if !lexemes.iter().any(|lexeme| chunk.contains_key(*lexeme)) {
            continue;
        }
        let summand = |(lexeme, idf): (&&str, &f64)| {
            let Some(&count) = chunk.get(*lexeme) else { return 0.0 };
            let relative_length = f64::from(length(chunk)) / bm25.average_length;
            let saturation = bm25.k1 * (1.0 - bm25.b + bm25.b * relative_length);
            let score = idf * ((bm25.k1 + 1.0) / (1.0 + saturation / count as f64));
            let plain = bm25.score(*idf, count as f64, f64::from(length(chunk)));
            assert!((score - plain).abs() < 1e-9, "{score} is BM25, {plain}");
            let units = f64::from(1 << 30);
            f64::max((score * units).round_ties_even(), 1.0) / units
        };
        scored.push(Scored { score: lexemes.iter().zip(idf).map(summand).sum(), chunk: id });
    }
    scored.sort_unstable();
    scored
}

fn lexemes() -> impl Strategy<Value = Vec<&'static str>> {
    let all = [&VOCABULARY[..], &["absent"]].concat();
    prop::sample::subsequence(all, 1..=VOCABULARY.len())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_what_was_written(chunks in chunks(1_500)) {
        let listed = listed(&chunks);
        prop_assert_eq!(&read(inline(&chunks)).expect("inline"), &listed);
        prop_assert_eq!(&read(RowSource { rows: rows(&chunks), last: None }).expect("rows"), &listed);
    }

    #[test]
    fn merging_is_building_anew_from_what_is_left(corpus in corpus(900), strays in chunks(5)) {
        // Deletions of chunks that are in none of the merged segments stay deletions.
        let mut corpus = corpus;
        let known: BTreeSet<i64> = corpus.live.iter().flat_map(|chunks| chunks.keys().copied()).collect();
        let strays: Chunks = strays.into_iter().filter(|(id, _)| !known.contains(id)).collect();
        corpus.deleted[0].extend(strays.clone());
        let sources = |segments: &[Chunks], first: usize| {
            let source = |(number, chunks): (usize, &Chunks)| -> Box<dyn Source> {
                if corpus.inline >> (number + first) & 1 == 1 {
                    Box::new(inline(chunks))
                } else {
                    Box::new(RowSource { rows: rows(chunks), last: None })
                }
            };
            segments.iter().enumerate().map(source).collect::<Vec<_>>()
        };
        let (mut live, mut deletions) = (Rows::default(), Vec::new());
        let mut row = |lexeme: &str, part, bytes: &[u8]| live.insert(lexeme, part, bytes);
        let merged = merge(
            sources(&corpus.live, 0),
            sources(&corpus.deleted, 4),
            Sink::Rows(&mut row),
            Sink::Inline(&mut deletions),
            &mut || Ok(()),
        )
        .expect("whole segments");
        let left = corpus.chunks();
        prop_assert_eq!(merged.live.chunks, left.len() as u64);
        prop_assert_eq!(merged.live.length, builder(&left).length());
        prop_assert_eq!(merged.deletions.chunks, strays.len() as u64);
        prop_assert_eq!(merged.deletions.length, builder(&strays).length());
        prop_assert_eq!(live, if left.is_empty() { Rows::default() } else { rows(&left) });
        if strays.is_empty() {
            prop_assert!(deletions.is_empty());
        } else {
            prop_assert_eq!(deletions, builder(&strays).finish_inline().expect("text"));
        }
    }

    #[test]
    fn statistics_are_those_of_what_is_left(corpus in corpus(500), lexemes in lexemes(), every in 1_i64..4) {
        let (index, left) = (corpus.index(), corpus.chunks());
        let terms = index.terms(&lexemes, &mut || Ok(())).expect("whole segments");
        let statistics = terms.statistics();
        prop_assert_eq!(statistics.chunks, left.len() as u64);
        prop_assert_eq!(statistics.length, builder(&left).length());
        let frequencies: Vec<u64> = lexemes.iter().map(|lexeme| holding(&left, lexeme)).collect();
        prop_assert_eq!(statistics.frequencies, frequencies);

        let among: Chunks = left.into_iter().filter(|(id, _)| id.rem_euclid(every) == 0).collect();
        // Ids that are not there are as good as others.
        let ids: Vec<i64> = (-2_000..2_000).filter(|id| id % every == 0).chain(among.keys().copied()).collect();
        let ids: Vec<i64> = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let frequencies: Vec<u64> = lexemes.iter().map(|lexeme| holding(&among, lexeme)).collect();
        prop_assert_eq!(terms.frequencies_among(&ids, &mut || Ok(())).expect("whole"), frequencies);
        let lengths = index.lengths_among(&ids, &mut || Ok(())).expect("whole");
        prop_assert_eq!(lengths, (among.len() as u64, builder(&among).length()));
    }

    #[test]
    fn chunks_that_hold_all_terms_are_found(corpus in corpus(500), lexemes in lexemes(), most in 0_usize..300) {
        let index = corpus.index();
        let terms = index.terms(&lexemes, &mut || Ok(())).expect("whole segments");
        let left = corpus.chunks();
        let holds = |chunk: &Chunk| lexemes.iter().all(|lexeme| chunk.contains_key(*lexeme));
        let expected: Vec<i64> = left.iter().filter(|(_, chunk)| holds(chunk)).map(|(id, _)| *id).collect();
        let found = terms.holding_all(most, &mut || Ok(())).expect("whole");
        prop_assert_eq!(found, (expected.len() <= most).then_some(expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn best_are_those_that_scoring_every_chunk_gives(
        corpus in corpus(1_200),
        lexemes in lexemes(),
        k in prop_oneof![0_usize..20, 0_usize..1_000],
        every in prop::option::of(1_i64..40),
        batches in 1_usize..3,
        own_idf in prop::option::of(prop::collection::vec(0.0_f64..20.0, VOCABULARY.len())),
    ) {
        let (index, left) = (corpus.index(), corpus.chunks());
        let bm25 = bm25(&left);
        let terms = index.terms(&lexemes, &mut || Ok(())).expect("whole segments");
        let statistics = terms.statistics();
        let idf = statistics.frequencies.iter().map(|count| bm25.idf(*count as f64));
        let idf: Vec<f64> = own_idf.unwrap_or_else(|| idf.collect());
        let mut expected = exhaustive(&left, &lexemes, &bm25, &idf);
        let among: Option<Vec<i64>> = every.map(|every| left.keys().copied().filter(|id| id % every == 0).collect());
        if let Some(among) = &among {
            expected.retain(|scored| among.binary_search(&scored.chunk).is_ok());
        }
        let mut after = None;
        for batch in expected.chunks(k.max(1)).take(batches) {
            let query = TopK { idf: &idf, bm25, k, among: among.as_deref(), after, budget: u64::MAX };
            let found = terms.top_k(&query, &mut || Ok(())).expect("whole");
            prop_assert!(found.is_complete);
            prop_assert_eq!(&found.best, &batch[..k.min(batch.len())]);
            after = found.best.last().copied();
        }
    }
}
