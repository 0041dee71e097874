//! The lexical leg: the chunks that score best by the question's lexemes.
//!
//! Row security keeps PostgreSQL from using the full-text index for a caller, since its operator is not leakproof. Here this backend
//! reads the index itself. The posting lists give candidates, the highest upper bounds of BM25 first; a statement of the caller's own
//! returns those that are visible, batch by batch, until there are enough or none is left. Hidden rows cost time, never
//! results.
use crate::catalog::lexical::{Access, LexicalIndex};
use crate::search::engine::request::Request;
use crate::search::engine::strategy::{ChunkAccess, LexicalChoice, Passing, Phrases, Strategy};
use crate::search::engine::term_statistics::{TermStatistics, statistics, unknown_terms};
use crate::search::gin_index::{GinEntry, GinIndex};
use crate::search::options::MAX_CANDIDATES;
use crate::search::sql_functions::tid;
use crate::search::statement::{all_of, search_settings, without_client_messages};
use crate::sys::plan::scans::Scan;
use crate::sys::rights::as_source_owner;
use crate::sys::spi::{column, fill, required};
use crate::sys::text_search::tsquery;
use crate::sys::{plan, relation_size};
use pgrx::datum::DatumWithOid;
use pgrx::itemptr::item_pointer_get_both;
use pgrx::pg_sys::{self, ItemPointerData};
use rag::search::gin::packed;
use rag::search::partial_results::{self, Term, partial_results};
use rag::search::postings::{PostingList, Rank, intersect, sum, top_k};
use rag::search::sample::{Tid, places, scattered};
use rag::search::{Bm25, any_of};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};

/// Candidates of the leg. Where filter or policies may reject chunks, at least half as many, and twice the depth.
const CANDIDATES: usize = 400;
/// Most TIDs in one statement.
const MAX_BATCH: usize = 6_000;
/// Under row security a statement gets one of a few numbers of TIDs: this one, [`BATCH_STEP`] overfetch as many, and so on.
const MIN_PADDED_BATCH: usize = 64;
/// See [`MIN_PADDED_BATCH`].
const BATCH_STEP: usize = 8;
/// Most candidates that are put in order at once.
const MAX_TOP_K: f64 = 65_536.0;
/// Most TIDs of posting lists that a search reads, at some nanoseconds each. Where not all chunks pass, up to
/// [`MAX_POSTINGS_FACTOR`] overfetch as many.
const MAX_POSTINGS: f64 = 200_000.0;
/// See [`MAX_POSTINGS`].
const MAX_POSTINGS_FACTOR: f64 = 10.0;
/// Longest allow-list that posting lists are intersected with where most of what they have is hidden.
const MAX_ALLOW_LIST: usize = 200_000;
/// With fewer candidates than these, or `top_k`, a sample of the table is searched too.
const ENOUGH: usize = 20;
/// Chunks of that sample that should pass, where words are too common to read their posting lists, and most that it has.
const SAMPLE_PASSING: f64 = 1_500.0;
/// See [`SAMPLE_PASSING`].
const MAX_SAMPLE: f64 = 6_000.0;
/// Candidates that another extension's index is asked for beyond those wanted, in case some of their documents are gone.
const SPARE: usize = 20;

/// What the lexical leg found.
#[derive(Debug, Default)]
pub struct LexicalLeg {
    /// The partial results, encoded: see [`rag::search::partial_results`].
    pub partials: Vec<u8>,
    /// How many chunks another extension's index returned, if these are the partial results, best first.
    pub ranked: Option<usize>,
    /// The question's lexemes with their frequencies.
    pub terms: Vec<Term>,
    /// Chunks that the frequencies are of.
    pub documents: Option<f64>,
    /// What was read.
    pub scans: Vec<Scan>,
    /// What was searched for, for `rag_explain`.
    pub description: Option<String>,
}

/// Runs the leg of a strategy. An error says why another extension's index will not do.
pub fn leg(request: &Request, strategy: &Strategy) -> Result<LexicalLeg, &'static str> {
    let statistics = statistics(request, strategy);
    let leg = LexicalLeg {
        terms: statistics.map_or_else(|| unknown_terms(request), |known| known.terms.clone()),
        documents: statistics.map(|known| known.documents),
        ..LexicalLeg::default()
    };
    if !request.has_lexical_leg() {
        return Ok(leg);
    }
    match (&strategy.access, statistics, strategy.lexical, &request.foreign_index) {
        (ChunkAccess::Indexes { .. }, _, LexicalChoice::Foreign, Access::Index(index)) => {
            foreign_leg(request, strategy, leg, index)
        }
        (ChunkAccess::Indexes { selectivity, .. }, Some(statistics), ..) => {
            // Of the caller's own chunks there is a sample; else the planner's estimate is better.
            let share = if request.has_policies { statistics.share } else { selectivity.expected };
            Ok(PostingScan { request, strategy, statistics, share }.leg(leg))
        }
        (ChunkAccess::AllowList(tids), ..) => Ok(compared_leg(request, strategy, leg, tids)),
        (ChunkAccess::Indexes { .. }, None, ..) => Ok(leg),
    }
}

/// Of the chunks in the allow-list, those that hold any term.
fn compared_leg(
    request: &Request,
    strategy: &Strategy,
    mut leg: LexicalLeg,
    tids: &[ItemPointerData],
) -> LexicalLeg {
    let lexemes = any_of(leg.terms.iter().map(|term| &term.lexeme));
    leg.partials =
        partials_of(request, strategy, &encoding(&leg.terms), lexemes.as_deref(), tids.to_vec());
    leg.description = lexemes.map(|lexemes| format!("chunks with {lexemes}"));
    leg.scans = vec![Scan::Tids(request.resolved.generation.chunks)];
    leg
}

/// What another extension's index finds, which knows neither filter nor phrases nor deleted rows.
fn foreign_leg(
    request: &Request,
    strategy: &Strategy,
    mut leg: LexicalLeg,
    index: &LexicalIndex,
) -> Result<LexicalLeg, &'static str> {
    let is_filtered = request.filter.sql().is_some() || strategy.must_match(request).is_some();
    let asked = strategy.depth.max(if is_filtered { MAX_CANDIDATES } else { 0 }) + SPARE;
    let lexemes = leg.terms.iter().map(|term| term.lexeme.as_str());
    let best = index.best(lexemes, asked, &request.resolved.tables.chunks);
    let count = best.len();
    if count == 0 {
        return Err("it found nothing");
    }
    let encoding = encoding(&leg.terms);
    let template = statement!("search/ranked_partials");
    leg.partials = partials(request, strategy, template, &encoding, None, |own| {
        own[4] = best.into();
    });
    if count == asked && partial_results(&encoding, &leg.partials).count() < strategy.depth {
        return Err("too few of its best pass filter and phrases");
    }
    leg.ranked = Some(count);
    leg.description = Some(format!("its best {count}"));
    Ok(leg)
}

/// What partial results of these terms are encoded by.
pub fn encoding(terms: &[Term]) -> partial_results::FusionRequest {
    partial_results::FusionRequest {
        terms: terms.to_vec(),
        ..partial_results::FusionRequest::default()
    }
}

/// Partial results of those chunks at `tids` that match and, where the strategy checks early, are visible; of those with any of
/// `lexemes`, if given.
fn partials_of(
    request: &Request,
    strategy: &Strategy,
    encoding: &partial_results::FusionRequest,
    lexemes: Option<&str>,
    tids: Vec<ItemPointerData>,
) -> Vec<u8> {
    let template = statement!("search/partials");
    partials(request, strategy, template, encoding, lexemes, |own| own[5] = tids.into())
}

fn partials(
    request: &Request,
    strategy: &Strategy,
    template: &str,
    encoding: &partial_results::FusionRequest,
    lexemes: Option<&str>,
    set: impl FnOnce(&mut [DatumWithOid<'static>; 6]),
) -> Vec<u8> {
    let must_match = strategy.must_match(request);
    let visible = strategy.checks_early().then(|| request.visible_sql());
    let conditions = all_of([
        lexemes.map(|_| "pg_catalog.ts_match_vq(c.lexemes, $3)"),
        must_match.map(|_| "pg_catalog.ts_match_vq(c.lexemes, $4)"),
        visible.as_deref(),
    ]);
    read_partials(request, strategy.depth, template, &conditions, |own| {
        own[1] = encoding.pack().into();
        own[2] = tsquery(lexemes);
        own[3] = tsquery(must_match);
        set(own);
    })
}

/// Runs a statement that returns partial results.
pub fn read_partials(
    request: &Request,
    depth: usize,
    template: &str,
    conditions: &str,
    set: impl FnOnce(&mut [DatumWithOid<'static>; 6]),
) -> Vec<u8> {
    let resolved = &request.resolved;
    let parts = [("chunks", resolved.tables.chunks.as_str()), ("conditions", conditions)];
    let arguments = request.arguments(set);
    let _settings = search_settings(depth, &resolved.generation);
    let partials = plan::read_as_caller(&fill(template, &parts), &arguments, |row| column(row, 1));
    partials.into_iter().next().flatten().unwrap_or_default()
}

/// TIDs of a sample of the chunks: the same for the same terms.
pub fn sample(request: &Request, terms: &[Term], count: usize) -> Vec<ItemPointerData> {
    let extent = relation_size::extent(request.resolved.generation.chunks);
    let mut hasher = DefaultHasher::new();
    for term in terms {
        term.lexeme.hash(&mut hasher);
    }
    places(extent, count, hasher.finish()).into_iter().map(tid).collect()
}

/// Entries of lexemes in the full-text index.
pub struct Entries {
    index: Option<GinIndex>,
    entries: Vec<Option<GinEntry>>,
}

impl Entries {
    /// Looks lexemes up. `None` for all of them where there is no index, or its pages are not as expected.
    pub fn find(request: &Request, lexemes: &[&str]) -> Self {
        let index = GinIndex::open(request.resolved.generation.chunks, c"lexemes");
        let entries = index.as_ref().and_then(|index| index.entries(lexemes).ok());
        let entries = entries.map(|entries| entries.into_iter().map(Some).collect());
        Self { index, entries: entries.unwrap_or_else(|| lexemes.iter().map(|_| None).collect()) }
    }

    /// About how many chunks hold a lexeme.
    pub fn count(&self, position: usize) -> Option<f64> {
        self.entries[position].as_ref().map(|entry| entry.count)
    }
}

/// Posting lists of the question's terms.
struct PostingLists {
    /// Positions of the terms, rarest first, with their TIDs, packed.
    by_term: Vec<(usize, Vec<u64>)>,
    /// Whether every term is among them.
    is_complete: bool,
    index: Option<pg_sys::Oid>,
}

/// The visible candidates of posting lists, best first, with their partial results.
#[derive(Default)]
struct VisibleTopK {
    candidates: Vec<(Rank, Vec<u8>)>,
    /// Whether there are no more.
    is_exhausted: bool,
    /// Whether so many were hidden that an allow-list is cheaper.
    has_given_up: bool,
}

/// The leg by posting lists.
struct PostingScan<'a> {
    request: &'a Request,
    strategy: &'a Strategy,
    statistics: &'a TermStatistics,
    /// Share of the chunks that filter and policies let pass.
    share: f64,
}

impl PostingScan<'_> {
    fn leg(&self, mut leg: LexicalLeg) -> LexicalLeg {
        let encoding = encoding(&self.statistics.terms);
        let mut lists = self.posting_lists(None);
        let expected = self.share * relation_size::rows(self.request.resolved.generation.chunks);
        let may_list = self.request.is_restricted() && expected <= MAX_ALLOW_LIST as f64;
        let mut top = self.visible_top_k(&lists, &encoding, may_list.then_some(expected));
        let is_short = top.candidates.len() < self.wanted() && !lists.is_complete;
        if may_list && (top.has_given_up || is_short) {
            let passing =
                Passing::find(self.request, self.strategy.depth, MAX_ALLOW_LIST, |_| true);
            if let Some(tids) = passing.all {
                let mut allowed: Vec<u64> = tids.into_iter().map(packed_tid).collect();
                allowed.sort_unstable();
                lists = self.posting_lists(Some(&allowed));
            }
            top = self.visible_top_k(&lists, &encoding, None);
        }
        leg.partials = top.candidates.iter().flat_map(|(_, partial)| partial).copied().collect();
        let enough = self.request.options.top_k.max(ENOUGH);
        let is_sampled = !lists.is_complete && top.candidates.len() < enough;
        if is_sampled {
            let lexemes = any_of(encoding.terms.iter().map(|term| &term.lexeme));
            let count = (SAMPLE_PASSING / self.share).min(MAX_SAMPLE) as usize;
            let sample = sample(self.request, &encoding.terms, count);
            let (request, strategy) = (self.request, self.strategy);
            let found = partials_of(request, strategy, &encoding, lexemes.as_deref(), sample);
            leg.partials.extend(found);
        }
        self.refine_frequencies(&mut leg.terms, &lists, &top);
        self.describe(&mut leg, &lists, is_sampled);
        leg
    }

    /// Replaces estimates by counts. Under row security sets `None`, by which the fusion counts the visible chunks itself, for terms
    /// all of whose chunks are candidates; which terms these are depends on nothing that the caller may not see.
    fn refine_frequencies(&self, terms: &mut [Term], lists: &PostingLists, top: &VisibleTopK) {
        if self.strategy.must_match(self.request).is_some() {
            return;
        }
        if !self.request.has_policies {
            for (position, tids) in &lists.by_term {
                let share = tids.len() as f64 / self.statistics.documents;
                terms[*position].frequency = Some(share.min(1.0) as f32);
            }
        } else if lists.is_complete {
            let least = top.candidates.last().map_or(0.0, |(rank, _)| sum(*rank));
            for term in terms {
                let idf = idf(term, self.statistics.documents) as f32;
                if top.is_exhausted || idf > least {
                    term.frequency = None;
                }
            }
        }
    }

    /// Notes how the leg was run. Under row security nothing that depends on what the caller may not see.
    fn describe(&self, leg: &mut LexicalLeg, lists: &PostingLists, is_sampled: bool) {
        let has_policies = self.request.has_policies;
        let is_sampled = is_sampled && !has_policies;
        let listed = lists.by_term.iter().map(|(position, _)| &leg.terms[*position].lexeme);
        let lexemes = if has_policies {
            any_of(rarest_first(&leg.terms).into_iter().map(|n| &leg.terms[n].lexeme))
        } else {
            any_of(listed)
        };
        let chunks = self.request.resolved.generation.chunks;
        let scan = lists.index.map_or(Scan::Table(chunks), Scan::Index);
        leg.scans = lexemes.iter().map(|_| scan).collect();
        leg.scans.extend(is_sampled.then_some(Scan::Tids(chunks)));
        let most = lexemes.map(|lexemes| format!("chunks with most of {lexemes}"));
        let wanted: Vec<String> =
            most.into_iter().chain(is_sampled.then(|| "a sample".to_owned())).collect();
        leg.description = (!wanted.is_empty()).then(|| wanted.join(", and "));
    }

    /// How many candidates the leg should have.
    fn wanted(&self) -> usize {
        let deep = (2 * self.strategy.depth).clamp(CANDIDATES / 2, CANDIDATES);
        if self.request.is_restricted() { deep } else { CANDIDATES }
    }

    /// Goes through the candidates, best first, until enough are visible. Gives up where that would take more than `most`.
    fn visible_top_k(
        &self,
        lists: &PostingLists,
        encoding: &partial_results::FusionRequest,
        most: Option<f64>,
    ) -> VisibleTopK {
        let mut left: usize = lists.by_term.iter().map(|(_, tids)| tids.len()).sum();
        let postings: Vec<PostingList<'_>> = lists
            .by_term
            .iter()
            .map(|(position, tids)| {
                let weight = idf(&self.statistics.terms[*position], self.statistics.documents);
                PostingList { weight, tids }
            })
            .collect();
        let wanted = self.wanted();
        let (mut top, mut after, mut seen, mut overfetch) = (VisibleTopK::default(), None, 0, 1.25);
        while top.candidates.len() < wanted {
            pgrx::check_for_interrupts!();
            let missing = (wanted - top.candidates.len()) as f64;
            let bound = if after.is_none() { MAX_BATCH as f64 } else { MAX_TOP_K };
            let share = if self.request.is_restricted() { self.share / overfetch } else { 1.0 };
            let count = (missing / share).max(missing).min(bound).ceil() as usize;
            let batch = top_k(&postings, count, after);
            // Under row security a statement runs also without candidates, so that its work shows nothing.
            if after.is_none() && batch.is_empty() && self.request.has_policies {
                self.visible_of(&[], encoding);
            }
            for batch in batch.chunks(MAX_BATCH) {
                if top.candidates.len() < wanted {
                    top.candidates.extend(self.visible_of(batch, encoding));
                }
            }
            if batch.len() < count {
                top.is_exhausted = top.candidates.len() <= wanted;
                break;
            }
            seen += batch.len();
            left = left.saturating_sub(batch.len());
            let missing = wanted.saturating_sub(top.candidates.len()) as f64;
            let needed = (missing * seen as f64 / top.candidates.len() as f64).min(left as f64);
            if missing > 0.0 && most.is_some_and(|most| needed > most) {
                top.has_given_up = true;
                break;
            }
            after = batch.last().copied();
            overfetch *= 2.0;
        }
        top.candidates.truncate(wanted);
        top
    }

    /// Those of the candidates that are visible, in their order, with their partial results.
    ///
    /// How many rows a statement reads shows in `pg_stat_xact_all_tables` and in `EXPLAIN (BUFFERS)` of the call. Under row
    /// security the number of TIDs is therefore one of a few, whatever the candidates are, also where there are none: random TIDs
    /// fill it up.
    fn visible_of(
        &self,
        batch: &[Rank],
        encoding: &partial_results::FusionRequest,
    ) -> Vec<(Rank, Vec<u8>)> {
        let ranks: HashMap<Tid, Rank> = batch.iter().map(|rank| (rank.2, *rank)).collect();
        let mut tids: Vec<Tid> = batch.iter().map(|(.., tid)| *tid).collect();
        if self.request.has_policies {
            let mut sizes =
                std::iter::successors(Some(MIN_PADDED_BATCH), |size| Some(size * BATCH_STEP));
            let size = sizes.find(|size| *size >= tids.len());
            let missing = size.map_or(0, |size| size - tids.len());
            let extent = relation_size::extent(self.request.resolved.generation.chunks);
            tids.extend(scattered(extent, missing, RandomState::new().hash_one(missing)));
        }
        tids.sort_unstable();
        let tids = tids.into_iter().map(tid).collect();
        let partials = partials_of(self.request, self.strategy, encoding, None, tids);
        let partials = partial_results(encoding, &partials);
        let mut visible: Vec<(Rank, Vec<u8>)> = partials
            .filter_map(|(tid, partial)| Some((*ranks.get(&tid)?, partial.to_vec())))
            .collect();
        visible.sort_unstable_by_key(|(rank, _)| Reverse(*rank));
        visible
    }

    /// Reads the terms' posting lists, the rarest first, as long as they are not too long; of these only the TIDs that are
    /// `allowed`, if given. Where phrases are required, chunks without all their lexemes are left out.
    fn posting_lists(&self, allowed: Option<&[u64]>) -> PostingLists {
        let terms = &self.statistics.terms;
        let order = rarest_first(terms);
        let lexemes: Vec<&str> = order.iter().map(|n| terms[*n].lexeme.as_str()).collect();
        let Entries { index, entries } = Entries::find(self.request, &lexemes);
        let question = &self.request.question;
        let has_phrases = question.has_phrases && self.strategy.phrases == Phrases::Required;
        let share = if has_phrases { 0.0 } else { self.share };
        let mut most = match allowed {
            Some(_) => usize::MAX,
            None => (MAX_POSTINGS / share).min(MAX_POSTINGS * MAX_POSTINGS_FACTOR) as usize,
        };
        let mut lists = Vec::with_capacity(order.len());
        for ((position, lexeme), entry) in order.iter().zip(&lexemes).zip(entries) {
            let is_long = |entry: &GinEntry| allowed.is_none() && entry.count > most as f64;
            if entry.as_ref().is_some_and(is_long) {
                continue;
            }
            let read = index.as_ref().zip(entry);
            let read = read.and_then(|(index, entry)| index.tids(entry, most, allowed).ok());
            if let Some(tids) = read.unwrap_or_else(|| self.tids_by_query(lexeme, most, allowed)) {
                most = most.saturating_sub(tids.len());
                lists.push((*position, tids));
            }
        }
        let is_complete = lists.len() == terms.len();
        if has_phrases {
            let is_required =
                |position: usize| question.phrase_lexemes.contains(&terms[position].lexeme);
            let required = lists.iter().filter(|(position, _)| is_required(*position));
            let mut required = required.map(|(_, tids)| tids.clone());
            if let Some(mut all) = required.next() {
                for tids in required {
                    intersect(&mut all, &tids);
                }
                for (_, tids) in &mut lists {
                    intersect(tids, &all);
                }
            }
        }
        PostingLists { by_term: lists, is_complete, index: index.map(|index| index.oid()) }
    }

    /// A posting list by PostgreSQL's own scan, which also reads the rows, as the owner. The caller's client gets no message of
    /// that statement, whatever is logged of statements.
    fn tids_by_query(
        &self,
        lexeme: &str,
        most: usize,
        allowed: Option<&[u64]>,
    ) -> Option<Vec<u64>> {
        let resolved = &self.request.resolved;
        let template = statement!("search/matching_tids");
        let sql = fill(template, &[("chunks", resolved.tables.chunks.as_str())]);
        let query = any_of([lexeme])?;
        let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        let mut tids = as_source_owner(resolved.collection.owner, || {
            let _settings = without_client_messages();
            let arguments = [tsquery(Some(&query)), limit.into()];
            plan::read(&sql, &arguments, |row| packed_tid(required(row, 1)))
        });
        tids.sort_unstable();
        if let Some(allowed) = allowed {
            intersect(&mut tids, allowed);
        }
        (tids.len() <= most).then_some(tids)
    }
}

/// Inverse document frequency of a term; one of unknown frequency counts as one that no chunk holds.
fn idf(term: &Term, documents: f64) -> f64 {
    let share = term.frequency.map_or(0.0, f64::from);
    Bm25::new(documents, 0.0).idf(share * documents)
}

/// Positions of terms, rarest first.
fn rarest_first(terms: &[Term]) -> Vec<usize> {
    let share = |n: usize| terms[n].frequency.unwrap_or(0.0);
    let mut order: Vec<usize> = (0..terms.len()).collect();
    order.sort_by(|a, b| share(*a).total_cmp(&share(*b)).then(a.cmp(b)));
    order
}

/// A TID as a number, in the order of TIDs.
fn packed_tid(tid: ItemPointerData) -> u64 {
    packed(item_pointer_get_both(tid))
}
