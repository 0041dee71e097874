//! The lexical leg: the top-k chunks by the sum of the weights of the question's lexemes.
//!
//! Row security keeps PostgreSQL from using the full-text index for a caller, since its operator could tell of rows that the
//! caller may not see. Here the index is read by this backend itself, which tells nobody. What it lists are candidates, best
//! first; a statement of the caller's own lets through those that the caller may see, batch by batch, until there are enough or
//! none is left. So others' rows cost time, never results.
use crate::catalog::lexical::Access;
use crate::search::engine::gather::Passing;
use crate::search::engine::term_statistics::TermStatistics;
use crate::search::engine::{MOST_CANDIDATES, Search};
use crate::search::hits::tid;
use crate::search::postings::{Entry, Index};
use crate::search::settings;
use crate::sys::plan;
use crate::sys::plan::scans::Scan;
use crate::sys::relation_size as frequency;
use crate::sys::rights::as_source_owner;
use crate::sys::spi::{column, fill, required};
use crate::sys::text_search::tsquery;
use pgrx::datum::DatumWithOid;
use pgrx::itemptr::item_pointer_get_both;
use pgrx::pg_sys::{self, ItemPointerData};
use rag::search::gin::packed;
use rag::search::partial_results::{Request, Term, partial_results};
use rag::search::postings::{PostingList, Rank, intersect, sum, top_k};
use rag::search::sample::{Tid, places, scattered};
use rag::search::{Bm25, any_of};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};

/// Chunks that the leg looks at, if as many may be seen; where not all may, at least half as many, and twice as many as it is
/// deep.
const CANDIDATES: usize = 400;
/// Most chunks that one statement is asked about.
const MOST_FETCHED: usize = 6_000;
/// Under row security, least chunks that a statement is asked about, and the factor between that number and the next higher one.
const LEAST_ASKED: usize = 64;
/// See [`LEAST_ASKED`].
const STEP: usize = 8;
/// Most candidates that are put in order at once.
const MOST_RANKED: f64 = 65_536.0;
/// Most entries of the index that a search reads: some nanoseconds each. Where not all may be seen, up to
/// [`MOST_TIMES`] as many.
const MOST_ENTRIES: f64 = 200_000.0;
/// See [`MOST_ENTRIES`].
const MOST_TIMES: f64 = 10.0;
/// Most visible chunks that are listed where others' rows are most of what the index has.
const MOST_VISIBLE: usize = 200_000;
/// Chunks that the leg should have at least, if that many hold a word.
const ENOUGH: usize = 20;
/// Chunks of a sample that pass, where words are too common to read all their entries, and most that are looked at for them.
const SAMPLED: f64 = 1_500.0;
const MOST_SAMPLED: f64 = 6_000.0;
/// Candidates that another extension's index is asked for beyond those wanted, in case some of their documents are gone.
const SPARE: usize = 20;

/// What the lexical leg found.
#[derive(Debug, Default)]
pub struct LexicalLeg {
    /// The packed hits.
    pub hits: Vec<u8>,
    /// How many chunks another extension's index gave, best first, where these are the hits.
    pub ranked: Option<usize>,
    /// The question's lexemes with their frequencies.
    pub terms: Vec<Term>,
    /// Chunks that the frequencies are of.
    pub documents: Option<f64>,
    /// What was read.
    pub scans: Vec<Scan>,
    /// What was looked for.
    pub wanted: Option<String>,
}

/// Lexemes in the full-text index.
pub(super) struct Entries {
    index: Option<Index>,
    entries: Vec<Option<Entry>>,
}

impl Entries {
    /// Looks lexemes up. Where there is no index, or pages of it are not as expected, nothing is known of them.
    pub fn find(search: &Search, lexemes: &[&str]) -> Self {
        let index = Index::open(search.generation.chunks, c"lexemes");
        let entries = index.as_ref().and_then(|index| index.entries(lexemes).ok());
        let entries = entries.map(|entries| entries.into_iter().map(Some).collect());
        Self { index, entries: entries.unwrap_or_else(|| lexemes.iter().map(|_| None).collect()) }
    }

    /// About how many chunks hold a lexeme.
    pub fn count(&self, position: usize) -> Option<f64> {
        self.entries[position].as_ref().map(|entry| entry.count)
    }
}

/// TIDs by lexeme, as numbers.
struct Lists {
    /// Positions of the terms, rarest first, with the TIDs of chunks that hold them.
    by_term: Vec<(usize, Vec<u64>)>,
    /// Whether every term is among them.
    is_complete: bool,
    index: Option<pg_sys::Oid>,
}

/// Candidates that were found to be visible, best first.
#[derive(Default)]
struct Walk {
    kept: Vec<(Rank, Vec<u8>)>,
    /// Whether these are all there are.
    is_exhausted: bool,
    /// Whether so many were left that there are better ways.
    has_given_up: bool,
}

impl Search {
    /// Finds the chunks of the lexical leg. `passing` is how much filter and policies let pass.
    pub(super) fn lexical_leg(&mut self, passing: Passing) -> LexicalLeg {
        let has_leg = self.options.lexical_weight > 0.0 && !self.question.lexemes.is_empty();
        let few = self.trace.gathered.few.clone();
        if self.statistics.is_none() {
            if self.may_use_statistics() {
                self.statistics = Some(self.count_by_index());
            } else if has_leg && few.is_none() {
                self.statistics = Some(self.estimate_by_sample(passing.least));
            }
        }
        let Some(mut statistics) = self.statistics.clone() else {
            let leg = LexicalLeg { terms: self.unknown_terms(), ..LexicalLeg::default() };
            return if has_leg { self.compared_leg(leg) } else { leg };
        };
        if self.may_use_statistics() {
            statistics.share = passing.expected;
        }
        let TermStatistics { documents, terms, .. } = statistics.clone();
        let leg = LexicalLeg { terms, documents: Some(documents), ..LexicalLeg::default() };
        if !has_leg {
            return leg;
        }
        if few.is_some() {
            return self.compared_leg(leg);
        }
        match self.ranked_leg(&leg) {
            Some(ranked) => ranked,
            None => self.listed_leg(leg, &statistics),
        }
    }

    /// Of the few chunks that filter and policies leave, those that hold any term.
    fn compared_leg(&self, leg: LexicalLeg) -> LexicalLeg {
        let Some(few) = &self.trace.gathered.few else { return leg };
        let request = Request { terms: leg.terms, ..Request::default() };
        let lexemes = any_of(request.terms.iter().map(|term| &term.lexeme));
        let hits = self.hits(&request, lexemes.as_deref(), few.to_vec());
        let wanted = lexemes.map(|lexemes| format!("chunks with {lexemes}"));
        let scans = vec![Scan::Places(self.generation.chunks)];
        LexicalLeg { hits, wanted, scans, terms: request.terms, ..leg }
    }

    /// What another extension's index finds, which looks at neither filter nor phrases nor deleted rows: where these leave less
    /// than the leg is to have, and there is more, or where it finds nothing, ours is asked.
    fn ranked_leg(&mut self, leg: &LexicalLeg) -> Option<LexicalLeg> {
        let Access::Index(index) = &self.access else { return None };
        let lexemes = leg.terms.iter().map(|term| term.lexeme.as_str());
        let is_narrowed = self.filter.sql().is_some() || self.trace.gathered.must_match.is_some();
        let asked = self.options.depth.max(if is_narrowed { MOST_CANDIDATES } else { 0 }) + SPARE;
        let best = index.best(lexemes, asked, &self.names.chunks);
        let count = best.len();
        if count == 0 {
            return None;
        }
        let request = Request { terms: leg.terms.clone(), ..Request::default() };
        let template = statement!("search/ranked");
        let hits = self.run_for_hits(template, &request, None, Some(best), None);
        if count == asked && partial_results(&request, &hits).count() < self.options.depth {
            self.trace.is_short = true;
            return None;
        }
        Some(LexicalLeg {
            hits,
            ranked: Some(count),
            wanted: Some(format!("its best {count}")),
            terms: request.terms,
            documents: leg.documents,
            ..LexicalLeg::default()
        })
    }

    /// What the index lists under the question's lexemes.
    fn listed_leg(&self, mut leg: LexicalLeg, statistics: &TermStatistics) -> LexicalLeg {
        let request = Request { terms: statistics.terms.clone(), ..Request::default() };
        let mut lists = self.lists(statistics, None);
        let expected = statistics.share * frequency::rows(self.generation.chunks);
        let may_list = self.is_narrowed() && expected <= MOST_VISIBLE as f64;
        let mut walk = self.walk(&lists, &request, statistics, may_list.then_some(expected));
        let is_short = walk.kept.len() < self.wanted() && !lists.is_complete;
        if may_list && (walk.has_given_up || is_short) {
            if let Some(visible) = self.few(MOST_VISIBLE, |_| true).0 {
                let mut visible: Vec<u64> = visible.iter().copied().map(packed_tid).collect();
                visible.sort_unstable();
                lists = self.lists(statistics, Some(&visible));
            }
            walk = self.walk(&lists, &request, statistics, None);
        }
        leg.hits = walk.kept.iter().flat_map(|(_, hit)| hit).copied().collect();
        let is_sampled = !lists.is_complete && walk.kept.len() < self.enough();
        let lexemes = any_of(request.terms.iter().map(|term| &term.lexeme));
        if is_sampled {
            let sample = self.sample(&request.terms, sampled(statistics.share));
            leg.hits.extend(self.hits(&request, lexemes.as_deref(), sample));
        }
        self.count_visible(&mut leg.terms, &lists, &walk, statistics);
        self.describe(&mut leg, &lists, is_sampled);
        leg
    }

    /// Of a term whose chunks all were among the candidates, what the caller may see of these tells how many there are. Which
    /// terms these are does not depend on what the caller may not see.
    fn count_visible(
        &self,
        terms: &mut [Term],
        lists: &Lists,
        walk: &Walk,
        statistics: &TermStatistics,
    ) {
        if self.may_use_statistics() {
            for (position, places) in &lists.by_term {
                let share = places.len() as f64 / statistics.documents;
                if self.trace.gathered.must_match.is_none() {
                    terms[*position].frequency = Some(share.min(1.0) as f32);
                }
            }
        } else if lists.is_complete && self.trace.gathered.must_match.is_none() {
            let least = walk.kept.last().map_or(0.0, |(rank, _)| sum(*rank));
            for term in terms {
                if walk.is_exhausted || weight(term, statistics.documents) as f32 > least {
                    term.frequency = None;
                }
            }
        }
    }

    /// Notes how the leg got at its chunks. Under row security nothing that depends on what the caller may not see.
    fn describe(&self, leg: &mut LexicalLeg, lists: &Lists, is_sampled: bool) {
        let is_sampled = is_sampled && self.may_use_statistics();
        let listed = lists.by_term.iter().map(|(position, _)| &leg.terms[*position].lexeme);
        let lexemes = if self.may_use_statistics() {
            any_of(listed)
        } else {
            any_of(rarest_first(&leg.terms).into_iter().map(|n| &leg.terms[n].lexeme))
        };
        let chunks = self.generation.chunks;
        let scan = lists.index.map_or(Scan::Table(chunks), Scan::Index);
        leg.scans = lexemes.iter().map(|_| scan).collect();
        leg.scans.extend(is_sampled.then_some(Scan::Places(chunks)));
        let most = lexemes.map(|lexemes| format!("chunks with most of {lexemes}"));
        let wanted: Vec<String> =
            most.into_iter().chain(is_sampled.then(|| "a sample".to_owned())).collect();
        leg.wanted = (!wanted.is_empty()).then(|| wanted.join(", and "));
    }

    /// How many chunks the leg looks at.
    fn wanted(&self) -> usize {
        let deep = (2 * self.options.depth).clamp(CANDIDATES / 2, CANDIDATES);
        if self.is_narrowed() { deep } else { CANDIDATES }
    }

    /// Goes through the candidates, best first, until there are enough that may be seen. Gives up where more than `most` would
    /// have to be looked at.
    fn walk(
        &self,
        lists: &Lists,
        request: &Request,
        statistics: &TermStatistics,
        most: Option<f64>,
    ) -> Walk {
        let mut left: usize = lists.by_term.iter().map(|(_, places)| places.len()).sum();
        let postings: Vec<PostingList<'_>> = lists
            .by_term
            .iter()
            .map(|(position, places)| {
                let weight = weight(&statistics.terms[*position], statistics.documents);
                PostingList { weight, tids: places }
            })
            .collect();
        let wanted = self.wanted();
        let (mut walk, mut after, mut seen, mut times) = (Walk::default(), None, 0, 1.25);
        while walk.kept.len() < wanted {
            pgrx::check_for_interrupts!();
            let missing = (wanted - walk.kept.len()) as f64;
            let bound = if after.is_none() { MOST_FETCHED as f64 } else { MOST_RANKED };
            let share = if self.is_narrowed() { statistics.share / times } else { 1.0 };
            let count = (missing / share).max(missing).min(bound).ceil() as usize;
            let batch = top_k(&postings, count, after);
            if after.is_none() && batch.is_empty() && !self.may_use_statistics() {
                self.visible_of(&[], request);
            }
            for batch in batch.chunks(MOST_FETCHED) {
                if walk.kept.len() < wanted {
                    walk.kept.extend(self.visible_of(batch, request));
                }
            }
            if batch.len() < count {
                walk.is_exhausted = walk.kept.len() <= wanted;
                break;
            }
            seen += batch.len();
            left = left.saturating_sub(batch.len());
            let missing = wanted.saturating_sub(walk.kept.len()) as f64;
            let needed = (missing * seen as f64 / walk.kept.len() as f64).min(left as f64);
            if missing > 0.0 && most.is_some_and(|most| needed > most) {
                walk.has_given_up = true;
                break;
            }
            after = batch.last().copied();
            times *= 2.0;
        }
        walk.kept.truncate(wanted);
        walk
    }

    /// Those candidates that may be seen, in their order, with their hits.
    ///
    /// How many rows a statement looks at is counted where everyone can read it (`pg_stat_xact_all_tables`, `EXPLAIN (BUFFERS)`
    /// of the call). Under row security it is one of a few numbers, whatever the candidates are, also where there are none: chance makes
    /// up the rest.
    fn visible_of(&self, batch: &[Rank], request: &Request) -> Vec<(Rank, Vec<u8>)> {
        let ranks: HashMap<Tid, Rank> = batch.iter().map(|rank| (rank.2, *rank)).collect();
        let mut places: Vec<Tid> = batch.iter().map(|(.., place)| *place).collect();
        if !self.may_use_statistics() {
            let sizes = std::iter::successors(Some(LEAST_ASKED), |size| Some(size * STEP));
            let size = sizes.into_iter().find(|size| *size >= places.len());
            let missing = size.map_or(0, |size| size - places.len());
            let extent = frequency::extent(self.generation.chunks);
            places.extend(scattered(extent, missing, RandomState::new().hash_one(missing)));
        }
        places.sort_unstable();
        let hits = self.hits(request, None, places.into_iter().map(tid).collect());
        let hits = partial_results(request, &hits);
        let mut visible: Vec<(Rank, Vec<u8>)> =
            hits.filter_map(|(place, hit)| Some((*ranks.get(&place)?, hit.to_vec()))).collect();
        visible.sort_unstable_by_key(|(rank, _)| Reverse(*rank));
        visible
    }

    /// Reads what the index lists under the terms, the rarest first, as long as that is not too much; of it only what is
    /// among `visible`, if given. Where there are phrases, chunks that lack one of their lexemes are left out.
    fn lists(&self, statistics: &TermStatistics, visible: Option<&[u64]>) -> Lists {
        let terms = &statistics.terms;
        let order = rarest_first(terms);
        let lexemes: Vec<&str> = order.iter().map(|n| terms[*n].lexeme.as_str()).collect();
        let Entries { index, entries } = Entries::find(self, &lexemes);
        let has_phrases = self.question.has_phrases && !self.trace.is_relaxed;
        let share = if has_phrases { 0.0 } else { statistics.share };
        let mut most = match visible {
            Some(_) => usize::MAX,
            None => (MOST_ENTRIES / share).min(MOST_ENTRIES * MOST_TIMES) as usize,
        };
        let mut lists = Vec::with_capacity(order.len());
        for ((position, lexeme), entry) in order.iter().zip(&lexemes).zip(entries) {
            let is_much = |entry: &Entry| visible.is_none() && entry.count > most as f64;
            if entry.as_ref().is_some_and(is_much) {
                continue;
            }
            let read = index.as_ref().zip(entry);
            let read = read.and_then(|(index, entry)| index.places(entry, most, visible).ok());
            if let Some(places) =
                read.unwrap_or_else(|| self.places_by_query(lexeme, most, visible))
            {
                most = most.saturating_sub(places.len());
                lists.push((*position, places));
            }
        }
        let is_complete = lists.len() == terms.len();
        if has_phrases {
            let is_needed =
                |position: usize| self.question.phrase_lexemes.contains(&terms[position].lexeme);
            let needed = lists.iter().filter(|(position, _)| is_needed(*position));
            let mut needed = needed.map(|(_, places)| places.clone());
            if let Some(mut all) = needed.next() {
                for places in needed {
                    intersect(&mut all, &places);
                }
                for (_, places) in &mut lists {
                    intersect(places, &all);
                }
            }
        }
        Lists { by_term: lists, is_complete, index: index.map(|index| index.oid()) }
    }

    /// The same by PostgreSQL's own scan, which also looks at the rows, with the owner's rights. The caller is told nothing of
    /// that statement, whatever is logged of statements.
    fn places_by_query(
        &self,
        lexeme: &str,
        most: usize,
        visible: Option<&[u64]>,
    ) -> Option<Vec<u64>> {
        let sql = statement!("search/listed");
        let sql = fill(sql, &[("chunks", self.names.chunks.as_str())]);
        let query = any_of([lexeme])?;
        let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        let mut found = as_source_owner(self.collection.owner, || {
            let _settings = settings::without_client_messages();
            let arguments = [tsquery(Some(&query)), limit.into()];
            plan::read(&sql, &arguments, |row| packed_tid(required(row, 1)))
        });
        found.sort_unstable();
        if let Some(visible) = visible {
            intersect(&mut found, visible);
        }
        (found.len() <= most).then_some(found)
    }

    /// What ranking must know of those chunks at these TIDs that may be seen and that match; of those with any of `lexemes`, if
    /// given.
    fn hits(
        &self,
        request: &Request,
        lexemes: Option<&str>,
        tids: Vec<ItemPointerData>,
    ) -> Vec<u8> {
        let template = statement!("search/hits");
        self.run_for_hits(template, request, lexemes, None, Some(tids))
    }

    fn run_for_hits(
        &self,
        template: &str,
        request: &Request,
        lexemes: Option<&str>,
        ids: Option<Vec<i64>>,
        tids: Option<Vec<ItemPointerData>>,
    ) -> Vec<u8> {
        let must_match = self.trace.gathered.must_match.as_deref();
        let visible = self.trace.gathered.is_strict.then(|| self.visible());
        let matches = |query: &str| format!("pg_catalog.ts_match_vq(c.lexemes, {query})");
        let conditions = lexemes.map(|_| matches("$3")).into_iter();
        let conditions = conditions.chain(must_match.map(|_| matches("$4"))).chain(visible);
        let conditions: Vec<String> = conditions.chain(["true".to_owned()]).collect();
        let conditions = conditions.join(" AND ");
        let parts = [("chunks", self.names.chunks.as_str()), ("conditions", &conditions)];
        let arguments = self.hit_arguments(request, lexemes, must_match, ids, tids);
        let _settings = settings::for_search(self.options.depth, &self.generation);
        let hits = plan::read_as_caller(&fill(template, &parts), &arguments, |row| column(row, 1));
        hits.into_iter().next().flatten().unwrap_or_default()
    }

    pub(super) fn hit_arguments(
        &self,
        request: &Request,
        lexemes: Option<&str>,
        must_match: Option<&str>,
        ids: Option<Vec<i64>>,
        tids: Option<Vec<ItemPointerData>>,
    ) -> Vec<DatumWithOid<'static>> {
        let mut arguments = vec![
            DatumWithOid::null_oid(pg_sys::TEXTOID),
            request.pack().into(),
            tsquery(lexemes),
            tsquery(must_match),
            ids.into(),
            tids.into(),
        ];
        arguments.extend(self.filter.arguments());
        arguments
    }

    /// TIDs of a sample: the same for the same terms.
    pub(super) fn sample(&self, terms: &[Term], count: usize) -> Vec<ItemPointerData> {
        let extent = frequency::extent(self.generation.chunks);
        let mut hasher = DefaultHasher::new();
        for term in terms {
            term.lexeme.hash(&mut hasher);
        }
        places(extent, count, hasher.finish()).into_iter().map(tid).collect()
    }

    /// Chunks of the lexical leg from which on no more are looked for in a sample.
    fn enough(&self) -> usize {
        self.options.top_k.max(ENOUGH)
    }
}

/// How many chunks of a sample to look at.
fn sampled(share: f64) -> usize {
    (SAMPLED / share).min(MOST_SAMPLED) as usize
}

/// What a term weighs; one of unknown frequency as much as one that no chunk holds.
fn weight(term: &Term, documents: f64) -> f64 {
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

fn packed_tid(tid: ItemPointerData) -> u64 {
    packed(item_pointer_get_both(tid))
}
