//! Which chunks a caller may see and the filter lets pass: asked of some, listed, or estimated. The inverted file knows neither; each
//! answer comes from a statement that runs as the caller.
use crate::search::engine::request::Request;
use crate::search::resolve::lookup::changes;
use crate::search::statement::{all_of, check, search_settings, without_client_messages};
use crate::sys::datum::tsvector::StoredTsVector;
use crate::sys::privileges::current_user;
use crate::sys::rights::as_source_owner;
use crate::sys::rows::row;
use crate::sys::spi::{fill, required};
use crate::sys::text_search::tsquery;
use crate::sys::{plan, relation_size};
use pgrx::itemptr::item_pointer_set_all;
use pgrx::pg_sys::{ItemPointerData, Oid};
use rag::search::sample::{Tid, places, scattered};
use std::cell::{Ref, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// Most chunks of one statement.
const MAX_STATEMENT_CHUNKS: usize = 4_096;
/// Under row security a statement that gets fewer chunks than were asked for gets one of a few numbers of them: this one, [`PADDING_STEP`]
/// times as many, and [`MAX_STATEMENT_CHUNKS`].
const MIN_PADDED_CHUNKS: usize = 64;
/// See [`MIN_PADDED_CHUNKS`].
const PADDING_STEP: usize = 8;
/// Listings whose expected number of chunks a backend keeps.
const MAX_KEPT_EXPECTATIONS: usize = 64;

/// Those of the chunks that are visible, pass the filter and match, in their order. `asked`: how many chunks were looked for, as far as
/// that follows from what the caller may see.
///
/// How many rows a statement reads shows in `pg_stat_xact_all_tables` and in `EXPLAIN (BUFFERS)` of the call. Under row
/// security the number of chunks is therefore the one asked for or one of a few, also where there are none: random ones fill it up.
pub fn visible_of(
    request: &Request,
    must_match: Option<&str>,
    chunks: &[i64],
    asked: Option<usize>,
) -> Vec<i64> {
    let tables = &request.resolved.tables;
    let visible = request.visible_sql();
    let matches = must_match.map(|_| "pg_catalog.ts_match_vq(c.lexemes, $3)");
    let sql = check(tables, "chunk_id", &all_of([matches, Some(visible.as_str())]));
    let _settings = search_settings(request.options.depth, &request.resolved.generation);
    let mut found = HashSet::new();
    let pieces = chunks
        .chunks(MAX_STATEMENT_CHUNKS)
        .chain((request.has_policies && chunks.is_empty()).then_some(&[][..]));
    for piece in pieces {
        let mut listed: BTreeSet<i64> = piece.iter().copied().collect();
        if request.has_policies {
            let size = padded(listed.len()).min(asked.unwrap_or(usize::MAX));
            for chunk in random_chunks(request, size).iter() {
                if listed.len() < size {
                    listed.insert(*chunk);
                }
            }
        }
        let listed: Vec<i64> = listed.into_iter().collect();
        let arguments = request.arguments(|own| {
            own[2] = tsquery(must_match);
            own[3] = listed.into();
        });
        found.extend(plan::read_as_caller(&sql, &arguments, |row| required::<i64>(row, 1)));
    }
    chunks.iter().copied().filter(|chunk| found.contains(chunk)).collect()
}

/// The number of chunks that so many are filled up to.
fn padded(count: usize) -> usize {
    let sizes = std::iter::successors(Some(MIN_PADDED_CHUNKS), |size| Some(size * PADDING_STEP));
    let size = sizes.take_while(|size| *size < MAX_STATEMENT_CHUNKS).find(|size| *size >= count);
    size.unwrap_or(MAX_STATEMENT_CHUNKS)
}

/// Random chunks, visible or not: so many and some more, as some are the same or among the candidates, and at some TIDs is none. How many are
/// read must not depend on how many candidates there are. All statements of a request share them.
fn random_chunks(request: &Request, count: usize) -> Ref<'_, Vec<i64>> {
    let had = request.random_chunks.borrow().0;
    if had < count {
        let more = read_random_chunks(request, count - had);
        let mut all = request.random_chunks.borrow_mut();
        all.0 = count;
        all.1.extend(more);
    }
    Ref::map(request.random_chunks.borrow(), |(_, chunks)| chunks)
}

fn read_random_chunks(request: &Request, count: usize) -> Vec<i64> {
    let resolved = &request.resolved;
    let sql =
        fill(statement!("search/random_chunks"), &[("chunks", resolved.tables.chunks.as_str())]);
    let extent = relation_size::extent(resolved.generation.chunks);
    let seed = RandomState::new().hash_one(count);
    let read = |places: usize| {
        let tids: Vec<ItemPointerData> = scattered(extent, places, seed).map(tid).collect();
        plan::read(&sql, &[tids.into()], |row| required(row, 1))
    };
    as_source_owner(resolved.collection.owner, || {
        let _settings = without_client_messages();
        let chunks = read(count + count / 4);
        // Where many rows are dead.
        if chunks.len() < count + count / 8 { read(4 * count) } else { chunks }
    })
}

/// The lexemes of visible chunks of a sample of about `count`. It is the same for every question: how many rows it reads tells nothing of words,
/// and the number of chunks, by which all weights are too high or too low, does not differ from question to question.
pub fn sample(request: &Request, count: usize) -> Vec<StoredTsVector> {
    let resolved = &request.resolved;
    let names = [("chunks", resolved.tables.chunks.as_str()), ("visible", &request.visible_sql())];
    let extent = relation_size::extent(resolved.generation.chunks);
    let tids: Vec<ItemPointerData> = places(extent, count, 0).into_iter().map(tid).collect();
    let arguments = request.arguments(|own| own[3] = tids.into());
    let _settings = search_settings(request.options.depth, &resolved.generation);
    plan::read_as_caller(&fill(statement!("search/sample"), &names), &arguments, |row| {
        required(row, 1)
    })
}

/// A TID as PostgreSQL has it.
fn tid((block, offset): Tid) -> ItemPointerData {
    let mut tid = ItemPointerData::default();
    item_pointer_set_all(&mut tid, block, offset);
    tid
}

/// All chunks that filter and policies let pass.
#[derive(Debug)]
pub struct Passing {
    /// Ascending.
    pub chunks: Vec<i64>,
    /// Their lengths together, in lexemes.
    pub length: f64,
    /// Those that match, ascending.
    pub matching: Vec<i64>,
    /// How far they are from the question, where that was asked for.
    pub distances: Option<Vec<f64>>,
}

/// What a search for them found.
pub struct Listing {
    /// The chunks, if they are not too many.
    pub passing: Option<Passing>,
    /// How many the planner expects.
    pub expected: f64,
    /// A lower bound of how many there are.
    pub at_least: f64,
}

row! {
    /// A row of `sql/run/search/allow_list.sql`.
    struct ListedChunk {
        chunk_id: i64,
        lexeme_count: i32,
        is_match: bool,
        distance: Option<f64>,
    }
}

/// What a listing tells of each chunk besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Length,
    /// How far it is from the question, too.
    Distance,
}

impl Listing {
    /// Lists the chunks if they are at most `most`, and the number that the planner expects `is_worth` it.
    pub fn find(
        request: &Request,
        must_match: Option<&str>,
        most: usize,
        detail: Detail,
        is_worth: impl Fn(f64) -> bool,
    ) -> Self {
        let collection = &request.resolved.collection;
        let has_distances = detail == Detail::Distance && request.has_dense_leg();
        let parts = [
            ("source", collection.source_sql.as_str()),
            ("chunks", &request.resolved.tables.chunks),
            ("keys_equal", &collection.keys_equal("s", "c")),
            ("condition", request.filter.sql().unwrap_or("true")),
            ("distance", &request.resolved.tables.distance),
        ];
        let sql = fill(statement!("search/allow_list"), &parts);
        let key = (sql.clone(), format!("{:?}", request.options.filter_text), current_user());
        if let Some(expected) = expected_before(&key).filter(|expected| !is_worth(*expected)) {
            return Self { passing: None, expected, at_least: 0.0 };
        }
        let arguments = request.arguments(|own| {
            if has_distances {
                own[0] = request.vector();
            }
            own[1] = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1).into();
            own[2] = tsquery(must_match);
        });
        let _settings = search_settings(request.options.depth, &request.resolved.generation);
        let mut expected = 0.0;
        // Whoever sees the source row sees its chunks; of the chunks' policy, a subquery, the planner expects that every other row passes.
        let per_row = if request.has_chunk_policy { 2.0 } else { 1.0 };
        let is_worth = |rows| {
            expected = rows * per_row;
            is_worth(expected)
        };
        let listed = plan::read_as_caller_if(&sql, &arguments, is_worth, ListedChunk::read);
        EXPECTED.with_borrow_mut(|all| all.1.insert(key, expected));
        let at_least = listed.as_ref().map_or(0, Vec::len) as f64;
        let listed = listed.filter(|listed| listed.len() <= most);
        let passing = listed.map(|listed| Passing::of(listed, has_distances));
        Self { passing, expected, at_least }
    }
}

/// A statement, the filter's values and the role that ran it.
type ListingKey = (String, String, Oid);

thread_local! {
    /// What the planner expected of listings, since so many [`changes`]: where it expects too much, nothing is planned again.
    static EXPECTED: RefCell<(u64, HashMap<ListingKey, f64>)> = RefCell::default();
}

fn expected_before(key: &ListingKey) -> Option<f64> {
    EXPECTED.with_borrow_mut(|(since, all)| {
        if *since != changes() || all.len() >= MAX_KEPT_EXPECTATIONS {
            *since = changes();
            all.clear();
        }
        all.get(key).copied()
    })
}

impl Passing {
    fn of(mut listed: Vec<ListedChunk>, has_distances: bool) -> Self {
        listed.sort_unstable_by_key(|listed| listed.chunk_id);
        let matching = || listed.iter().filter(|listed| listed.is_match);
        let distance = |listed: &ListedChunk| listed.distance.unwrap_or(f64::INFINITY);
        Self {
            length: listed.iter().map(|listed| f64::from(listed.lexeme_count)).sum(),
            matching: matching().map(|listed| listed.chunk_id).collect(),
            distances: has_distances.then(|| matching().map(distance).collect()),
            chunks: listed.iter().map(|listed| listed.chunk_id).collect(),
        }
    }
}
