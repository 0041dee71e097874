//! The candidates of a search: which statement gathers them, and what it looks at.
use super::explain::is_vector_index;
use super::hits::tid;
use super::listed::WEIGHTIEST;
use super::statement::{Among, By, Shape, statement};
use super::text_search::tsquery;
use super::trace::Gathering;
use super::{Found, MOST_CANDIDATES, Search, frequency, settings};
use crate::pg::lexical::Access;
use crate::pg::spi::{fill, required};
use crate::pg::{plan, rights};
use crate::search::legs::{Request, Term};
use crate::search::matching::{MOST_FETCHED, Matching, Searched, matching};
use crate::search::sample::places;
use crate::search::{any_of, few};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::spi::SpiHeapTupleData;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// Most chunks that the lexical leg looks at, when estimates are off.
const MOST_MATCHES: usize = 4_000;
/// Chunks that the lexical leg should have at least, if that many hold a word.
const ENOUGH: usize = 20;
/// Chunks of a sample that pass, where words are too common for the index, and most that are looked at for them.
const SAMPLED: f64 = 1_500.0;
const MOST_SAMPLED: f64 = 6_000.0;

/// Candidates kept beyond those wanted, in case some of their documents are gone.
const SPARE: usize = 20;

/// Most chunks that are compared all although the vector index could be asked.
const MOST_FEW: usize = 5_000;
/// Most chunks that are compared all after the vector index found too few. About 5 µs each.
const MOST_COMPARED: usize = 50_000;

/// How much filter and policies let pass.
#[derive(Clone, Copy)]
struct Passing {
    /// The share that the planner expects, who knows of others' rows too.
    expected: f64,
    /// The share that was come upon.
    least: f64,
}

/// What the statement that gathers gave.
#[derive(Default)]
pub(super) struct Gathered {
    /// The candidates that come out.
    pub found: Vec<Found>,
    /// How many the fusion kept.
    pub kept: usize,
    /// How many chunks the lexical leg gave.
    pub lexical: usize,
}

impl Search {
    /// The candidates in order of reciprocal rank fusion; every one matches `required`.
    ///
    /// To ask the source about every chunk that a leg comes upon costs as much as all the rest. Where
    /// nothing but deleted rows can be missing from it, or the chunks' own policy asks already, only
    /// the candidates are asked for, some more than wanted; if too many are gone, all are.
    ///
    /// An index that filter or policies leave little of looks at much in vain, and gives up before it has
    /// enough: what few chunks they leave are compared all instead.
    pub(super) fn candidates(&mut self, required: Option<String>) -> Vec<Found> {
        let wanted = self.options.candidates;
        let is_filtered = self.filter.sql().is_some();
        let has_policies = rights::row_security_applies(self.collection.source);
        let is_narrowed = is_filtered || has_policies;
        let is_strict =
            is_filtered || (has_policies && !rights::row_security_applies(self.generation.chunks));
        self.trace.is_short = false;
        self.trace.gathered =
            Gathering { must_match: required, is_strict, limit: wanted, ..Gathering::default() };
        if self.known.is_none() && self.may_use_statistics() {
            self.known = Some(self.known_by_statistics());
        }
        let mut passing = Passing { expected: 1.0, least: 0.0 };
        if is_narrowed {
            let chunks = frequency::rows(self.generation.chunks);
            let is_worth = |n: f64| {
                n <= MOST_FEW as f64 && few::is_worth_comparing(n, chunks, self.options.depth)
            };
            let (few, expected, least) = self.few(MOST_FEW, is_worth);
            self.trace.gathered.few = few;
            if self.trace.gathered.few.is_some() {
                return self.gather(&self.trace.gathered).found;
            }
            let share = |count: f64| chunks.map_or(1.0, |chunks| (count / chunks).min(1.0));
            passing = Passing { expected: share(expected.max(least)), least: share(least) };
        }
        if self.options.lexical_weight > 0.0 && !self.question.lexemes.is_empty() {
            self.learn(passing);
        }
        self.trace.gathered.best = self.best();
        if self.trace.gathered.best.is_none() {
            self.weigh(WEIGHTIEST);
        }
        let Gathered { mut found, kept, .. } = self.gather_enough();
        let is_enough = found.len() == wanted || (found.len() == kept && kept > 0);
        if !is_strict && !is_enough {
            self.trace.gathered.is_strict = true;
            found = self.gather_enough().found;
        }
        let is_short = found.len() < wanted && (is_narrowed || self.trace.gathered.is_strict);
        if is_short && self.may_have_missed() {
            self.trace.gathered.few = self.few(MOST_COMPARED, |_| true).0;
            if self.trace.gathered.few.is_some() {
                return self.gather(&self.trace.gathered).found;
            }
            self.trace.is_cut = true;
        }
        found
    }

    /// What another extension's index finds for the lexical leg; `None` where it is not to be asked, or finds
    /// nothing: ours is quick to confirm that.
    fn best(&self) -> Option<Rc<Vec<i64>>> {
        let Access::Index(index) = &self.access else { return None };
        let terms = self.terms();
        if terms.is_empty() || self.options.lexical_weight <= 0.0 {
            return None;
        }
        let lexemes = terms.iter().map(|term| term.lexeme.as_str());
        let best = index.best(lexemes, self.most_asked(), &self.names.chunks);
        (!best.is_empty()).then(|| Rc::new(best))
    }

    /// How many chunks another extension's index is asked for. It looks at neither filter nor phrases.
    pub(super) fn most_asked(&self) -> usize {
        let is_narrowed = self.filter.sql().is_some() || self.trace.gathered.must_match.is_some();
        self.options.depth.max(if is_narrowed { MOST_CANDIDATES } else { 0 }) + SPARE
    }

    /// Gathers. An index of another extension gives its best without a look at filter, phrases or deleted rows:
    /// where that leaves less than the leg is to have, and there is more, ours is asked, which looks at all three. Our own
    /// lists name deleted rows and those that filter and policies hold back, too: where these take up most places, more
    /// are looked at.
    fn gather_enough(&mut self) -> Gathered {
        let gathered = self.gather(&self.trace.gathered);
        let has_more = self.trace.gathered.weightiest.as_ref().is_some_and(|w| w.has_more);
        if has_more && gathered.lexical < self.enough() {
            self.weigh(MOST_FETCHED);
            return self.gather(&self.trace.gathered);
        }
        let asked = self.most_asked();
        let has_more = self.trace.gathered.best.as_ref().is_some_and(|best| best.len() == asked);
        if !has_more || gathered.lexical >= self.options.depth {
            return gathered;
        }
        self.trace.gathered.best = None;
        self.trace.is_short = true;
        self.weigh(WEIGHTIEST);
        self.gather(&self.trace.gathered)
    }

    /// The chunks that filter and policies leave, if they are at most `most`, and the number that the
    /// planner expects `is_worth` finding them. Beside them that number, and one that there are at least.
    #[allow(clippy::type_complexity)] // three things that come of one statement
    fn few(
        &self,
        most: usize,
        is_worth: impl FnOnce(f64) -> bool,
    ) -> (Option<Rc<Vec<pg_sys::ItemPointerData>>>, f64, f64) {
        let parts = [
            ("source", self.collection.source_sql.as_str()),
            ("chunks", &self.names.chunks),
            ("keys_equal", &self.collection.keys_equal("s", "c")),
            ("condition", self.filter.sql().unwrap_or("true")),
        ];
        let sql = fill(include_str!("../../../sql/run/search_few.sql"), &parts);
        let none = || DatumWithOid::null_oid(pg_sys::TEXTOID);
        let most_asked = (most as i64 + 1).into();
        let mut arguments = vec![none(), none(), none(), none(), most_asked, none(), none()];
        arguments.extend(self.filter.arguments());
        let _settings = settings::Scope::for_search(self.options.depth, &self.generation);
        let mut expected = 0.0;
        let is_worth = |n| {
            expected = n;
            is_worth(n)
        };
        let few = plan::read_as_caller_if(&sql, &arguments, is_worth, |row| required(row, 1));
        let least = few.as_ref().map_or(0, Vec::len) as f64;
        (few.filter(|few| few.len() <= most).map(Rc::new), expected, least)
    }

    /// Whether the vector index was asked, and there may be chunks that neither it nor the words came upon.
    fn may_have_missed(&self) -> bool {
        let has_words =
            self.trace.gathered.must_match.is_some() && self.options.lexical_weight > 0.0;
        !has_words && self.access("dense").as_deref().is_some_and(is_vector_index)
    }

    /// Runs the statement that gathers.
    pub(super) fn gather(&self, gathering: &Gathering) -> Gathered {
        let mut gathered = Gathered::default();
        let Some((sql, arguments)) = self.statement(gathering) else { return gathered };
        let _settings = settings::Scope::for_search(self.options.depth, &self.generation);
        let keys = self.collection.keys.len();
        let count = |row: &SpiHeapTupleData<'_>, position| {
            usize::try_from(required::<i64>(row, position)).unwrap_or_default()
        };
        let mut key_text = None;
        gathered.found = plan::read_as_caller(&sql, &arguments, |row| {
            // Policies have run under the caller's settings; keys come out the same whatever those are.
            key_text.get_or_insert_with(rights::key_text_settings);
            gathered.kept = count(row, 15);
            gathered.lexical = count(row, 16);
            Found::read(row, keys)
        });
        gathered
    }

    /// The statement that gathers, with its arguments; `None` when neither leg has anything to go by.
    pub(super) fn statement(
        &self,
        gathering: &Gathering,
    ) -> Option<(String, Vec<DatumWithOid<'static>>)> {
        let Gathering { must_match, is_strict, limit, few, best, weightiest } = gathering;
        let best = best.as_ref().filter(|_| few.is_none());
        let weightiest = weightiest.as_ref().filter(|_| few.is_none());
        let options = &self.options;
        let terms = self.terms();
        let documents = self.documents();
        let Matching { indexed, sampled, .. } = match (best, weightiest) {
            (None, None) => self.matched(&terms, gathering),
            _ => Matching::default(),
        };
        let sample = sampled.as_ref().and_then(|_| self.sample(&terms, self.sampled()));
        let most_matches = if few.is_some() { MOST_COMPARED } else { MOST_MATCHES };
        let is_dense = options.dense_weight > 0.0 && self.embedding.is_some();
        let shape = Shape {
            dense: if is_dense { options.depth } else { 0 },
            lexical: match (best, weightiest) {
                (Some(best), _) => best.len(),
                (None, Some(weightiest)) => weightiest.places.len(),
                (None, None) if indexed.is_some() => most_matches,
                (None, None) => 0,
            },
            sampled: sample.as_ref().map(|_| self.enough()),
            lexical_by: match (best, weightiest) {
                (Some(_), _) => By::Rank,
                (None, Some(_)) => By::Places,
                (None, None) => By::Query,
            },
            limit: *limit,
            is_required: must_match.is_some(),
            among: match few {
                Some(_) => Among::Few,
                None if *is_strict => Among::Asked,
                None => Among::All,
            },
            with_bits: options.rerank
                && self.embedding.as_ref().is_some_and(|e| e.tokens.is_some()),
        };
        if shape.dense == 0 && shape.lexical == 0 && sample.is_none() {
            return None;
        }
        let with_required = |matched: String| match must_match {
            Some(must_match) => format!("({matched}) & {must_match}"),
            None => matched,
        };
        let (indexed, sampled) = (indexed.map(with_required), sampled.map(with_required));
        let request = Request {
            terms,
            documents,
            depth: options.depth,
            limit: limit + if shape.among == Among::Asked { 0 } else { SPARE },
            dense_weight: options.dense_weight,
            lexical_weight: options.lexical_weight,
            is_ranked: best.is_some(),
        };
        let sql = statement(&self.collection, &self.names, &self.filter, shape);
        let vector = self.embedding.as_ref().map(|e| e.vector.as_slice());
        let vector = self.pgvector.argument(vector);
        let best = best.map(|best| best.to_vec());
        let weightiest = || weightiest.map(|weightiest| weightiest.places.clone());
        let places = few.as_ref().map(|few| few.to_vec()).or_else(weightiest).or(sample);
        let mut arguments = vec![
            vector,
            request.pack().into(),
            tsquery(indexed.as_deref()),
            tsquery(must_match.as_deref()),
            best.into(),
            places.into(),
            tsquery(sampled.as_deref()),
        ];
        arguments.extend(self.filter.arguments());
        Some((sql, arguments))
    }

    /// What the lexical leg matches: of few chunks each with any of the terms.
    pub(super) fn matched(&self, terms: &[Term], gathering: &Gathering) -> Matching {
        let lexemes = || terms.iter().map(|term| &term.lexeme);
        let by_index = |indexed| Matching { indexed, ..Matching::default() };
        if self.options.lexical_weight <= 0.0 {
            return Matching::default();
        }
        if gathering.few.is_some() {
            return by_index(any_of(lexemes()));
        }
        let indexed = frequency::rows(self.generation.chunks).unwrap_or(0.0);
        let found = matching(terms, Searched { indexed, passing: self.passing() });
        match &gathering.must_match {
            // A phrase is looked for wherever it may be, unless other words find enough with it.
            Some(phrases) if self.asks_for_phrases() && found.expected < self.enough() as f64 => {
                by_index(Some(phrases.clone()))
            }
            _ => found,
        }
    }

    /// Whether what must match has phrases.
    fn asks_for_phrases(&self) -> bool {
        self.question.has_phrases && !self.trace.is_relaxed
    }

    /// Chunks of the lexical leg from which on no more are looked for in a sample.
    pub(super) fn enough(&self) -> usize {
        self.options.top_k.max(ENOUGH)
    }

    /// Chunks of a sample that enough pass filter and policies of.
    pub(super) fn sampled(&self) -> usize {
        (SAMPLED / self.passing()).min(MOST_SAMPLED) as usize
    }

    /// Share of the chunks that filter and policies let pass, as far as is known.
    fn passing(&self) -> f64 {
        self.known.as_ref().map_or(1.0, |known| known.share)
    }

    /// Learns what the lexical leg has to know before it looks for anything.
    fn learn(&mut self, passing: Passing) {
        if !self.may_use_statistics() {
            self.known = self.known.take().or_else(|| self.known_by_looking(passing.least));
        } else if let Some(mut known) = self.known.take() {
            known.share = passing.expected;
            self.known = Some(known);
        }
    }

    /// Where the chunks of a sample lie: the same for the same terms.
    pub(super) fn sample(
        &self,
        terms: &[Term],
        count: usize,
    ) -> Option<Vec<pg_sys::ItemPointerData>> {
        let extent = frequency::extent(self.generation.chunks)?;
        let mut hasher = DefaultHasher::new();
        for term in terms {
            term.lexeme.hash(&mut hasher);
        }
        Some(places(extent, count, hasher.finish()).into_iter().map(tid).collect())
    }

    /// The question's lexemes with what is known of them.
    pub(super) fn terms(&self) -> Vec<Term> {
        self.known.as_ref().map_or_else(|| self.unknown_terms(), |known| known.terms.clone())
    }

    fn documents(&self) -> Option<f64> {
        self.known.as_ref().and_then(|known| known.documents)
    }

    /// Statistics count rows that others may not see: only for callers whom no policy holds back.
    pub(super) fn may_use_statistics(&self) -> bool {
        !rights::row_security_applies(self.collection.source)
    }
}
