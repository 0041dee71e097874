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
    fn sink(&mut self) -> impl FnMut(&str, u32, &[u8]) -> rag::Result<()> {
        |lexeme, part, bytes| {
            let before = self.0.insert((part, lexeme.to_owned()), bytes.to_vec());
            assert!(before.is_none(), "a row has a key of its own");
            Ok(())
        }
    }
}

impl Lists for Rows {
    fn group(&self, lexeme: &str) -> rag::Result<Option<Cow<'_, [u8]>>> {
        let below = self.0.range((0, String::new())..=(0, lexeme.to_owned()));
        Ok(below.last().map(|(_, bytes)| bytes.into()))
    }

    fn part(&self, part: u32) -> rag::Result<Option<Cow<'_, [u8]>>> {
        Ok(self.0.get(&(part, String::new())).map(Into::into))
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

    fn part(&mut self, part: u32) -> rag::Result<Option<Cow<'_, [u8]>>> {
        Ok(self.rows.0.get(&(part, String::new())).map(Into::into))
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
    builder(chunks).finish_rows(&mut rows.sink()).expect("lexemes are text");
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
        let mut row = live.sink();
        let merged = merge(
            sources(&corpus.live, 0),
            sources(&corpus.deleted, 4),
            Sink::Rows(&mut row),
            Sink::Inline(&mut deletions),
            &mut || Ok(()),
        )
        .expect("whole segments");
        drop(row);
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

/// Everything that reads: what it gives, or an error that says that the bytes are damaged.
fn read_all(index: &Index<Inline<'_>>, lexemes: &[&str]) {
    let damaged = |error: rag::Error| assert_eq!(error.sqlstate(), "XX001", "{error}");
    let chunks: Vec<i64> = (-1_000..3_000).collect();
    for segment in &index.segments {
        read(segment.lists.clone()).map_or_else(damaged, drop);
    }
    index.lengths_among(&chunks, &mut || Ok(())).map_or_else(damaged, drop);
    let terms = match index.terms(lexemes, &mut || Ok(())) {
        Ok(terms) => terms,
        Err(error) => return damaged(error),
    };
    terms.statistics();
    terms.holding_all(10, &mut || Ok(())).map_or_else(damaged, drop);
    terms.frequencies_among(&chunks, &mut || Ok(())).map_or_else(damaged, drop);
    for among in [None, Some(&chunks[..]), Some(&chunks[..3])] {
        let idf = vec![1.0; lexemes.len()];
        let (bm25, after) = (Bm25::new(10.0, 10.0), None);
        let query = TopK { idf: &idf, bm25, k: 5, among, after, budget: u64::MAX };
        terms.top_k(&query, &mut || Ok(())).map_or_else(damaged, drop);
    }
}

fn index<'a>(segments: &'a [Vec<u8>]) -> Index<Inline<'a>> {
    let segment = |(number, bytes): (usize, &'a Vec<u8>)| Segment {
        is_deletion: number == 1,
        chunks: 10,
        length: 100,
        lists: Inline::from(bytes.as_slice()),
    };
    Index { segments: segments.iter().enumerate().map(segment).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_are_read_or_refused(
        mut chunks in chunks(500),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        lexemes in lexemes(),
    ) {
        chunks.insert(0, Chunk::new());
        let whole = builder(&chunks).finish_inline().expect("lexemes are text");
        let mut bytes = whole.clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_all(&index(&[bytes.clone(), whole.clone()]), &lexemes);
        read_all(&index(&[whole, bytes]), &lexemes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        read_all(&index(&[bytes]), &["", "a", "b"]);
    }
}

/// A hundred thousand chunks hold a common lexeme once; ten hold it four times in a shorter text, and one a rare one.
fn skewed() -> Rows {
    let mut builder = Builder::default();
    for chunk in 1..=100_000_i64 {
        let is_best = chunk % 10_000 == 0;
        let common: (&[u8], usize) = (b"common", if is_best { 4 } else { 1 });
        let filler: (&[u8], usize) = (b"filler", if is_best { 1 } else { 30 });
        let rare: (&[u8], usize) = (b"rare", 1);
        let lexemes = [common, filler, rare];
        builder.add(chunk, lexemes.into_iter().take(if chunk == 77_777 { 3 } else { 2 }));
    }
    let mut rows = Rows::default();
    builder.finish_rows(&mut rows.sink()).expect("lexemes are text");
    rows
}

fn found(rows: Rows, lexemes: &[&str], k: usize, budget: u64) -> rag::inverted::Found {
    let segment = Segment { is_deletion: false, chunks: 100_000, length: 3_100_000, lists: rows };
    let index = Index { segments: vec![segment] };
    let terms = index.terms(lexemes, &mut || Ok(())).expect("whole rows");
    let bm25 = Bm25::new(1e5, 31.0);
    let idf = terms.statistics().frequencies;
    let idf: Vec<f64> = idf.iter().map(|count| bm25.idf(*count as f64)).collect();
    let query = TopK { idf: &idf, bm25, k, among: None, after: None, budget };
    terms.top_k(&query, &mut || Ok(())).expect("whole rows")
}

#[test]
fn blocks_that_cannot_hold_one_of_the_best_are_not_unpacked() {
    let best = found(skewed(), &["common"], 10, u64::MAX);
    let chunks: Vec<i64> = best.best.iter().map(|scored| scored.chunk).collect();
    assert_eq!(chunks, (1..=10).map(|n| n * 10_000).collect::<Vec<_>>());
    assert!(best.work.blocks < 30, "{:?}", best.work);

    let best = found(skewed(), &["common", "rare"], 1, u64::MAX);
    assert_eq!(best.best[0].chunk, 77_777);
    assert!(best.work.blocks < 10, "{:?}", best.work);
}

#[test]
fn of_chunks_that_score_alike_no_more_than_the_first_are_unpacked() {
    // A hundred thousand times the same: 100 of them are in the first block.
    let mut builder = Builder::default();
    let same: (&[u8], usize) = (b"same", 2);
    (1..=100_000).for_each(|chunk| builder.add(chunk, [same].into_iter()));
    let mut rows = Rows::default();
    builder.finish_rows(&mut rows.sink()).expect("text");
    let best = found(rows, &["same"], 100, u64::MAX);
    let chunks: Vec<i64> = best.best.iter().map(|scored| scored.chunk).collect();
    assert_eq!(chunks, (1..=100).collect::<Vec<_>>());
    assert!(best.work.blocks <= 20, "{:?}", best.work);
}

#[test]
fn a_search_that_reaches_its_budget_says_so() {
    let all = found(skewed(), &["common", "filler"], 1_000, u64::MAX);
    assert!(all.is_complete, "{:?}", all.work);
    let few = found(skewed(), &["common", "filler"], 1_000, 1_000);
    assert!(!few.is_complete && few.work.postings < all.work.postings, "{:?}", few.work);
    assert_eq!(few.best.len(), 1_000, "what was found until then");
}

#[test]
fn a_checkpoint_ends_a_search() {
    let segment = Segment { is_deletion: false, chunks: 1, length: 1, lists: skewed() };
    let index = Index { segments: vec![segment] };
    let mut calls = 0;
    let mut cancel = || {
        calls += 1;
        if calls < 2 { Ok(()) } else { Err(rag::Error::cancelled()) }
    };
    let result = index.terms(&["common", "filler"], &mut cancel).and_then(|terms| {
        let query = TopK {
            idf: &[0.1, 0.1],
            bm25: Bm25::new(1.0, 1.0),
            k: 1_000_000,
            among: None,
            after: None,
            budget: u64::MAX,
        };
        terms.top_k(&query, &mut cancel).map(drop)
    });
    assert_eq!(result.expect_err("cancelled").sqlstate(), "57014");
}

#[test]
fn ids_that_lie_far_apart_are_kept() {
    let mut far = Chunks::new();
    for id in [i64::MIN, -1, 0, i64::MAX] {
        far.extend((0..200_i64).map(|n| {
            let chunk = Chunk::from([("a".to_owned(), 1 + n as usize % 3)]);
            (if id > 0 { id - n } else { id + n }, chunk)
        }));
    }
    let listed = listed(&far);
    assert_eq!(read(inline(&far)).expect("inline"), listed);
    assert_eq!(read(RowSource { rows: rows(&far), last: None }).expect("rows"), listed);
    let best = found(rows(&far), &["a"], 1_000, u64::MAX);
    assert_eq!(best.best.len(), far.len());
}

#[test]
fn rows_fit_on_a_page_and_rare_lexemes_share_them() {
    let chunk = |id: i64| {
        let own = format!("{:x}", id * 7_919);
        let lexemes = [("common".to_owned(), 1), (format!("seldom{}", id % 90), 2), (own, 1)];
        (id, Chunk::from(lexemes))
    };
    let rows = rows(&(1..=20_000).map(chunk).collect());
    let sizes: Vec<usize> = rows.0.values().map(Vec::len).collect();
    assert!(sizes.iter().all(|size| *size <= 4_040), "{sizes:?}");
    assert!(rows.0.len() < 200, "{} rows", rows.0.len());
}
