//! The candidates of a search: which statement gathers them, and what it looks at.
use crate::search::engine::explain::is_vector_index;
use crate::search::engine::{Found, Search};
use crate::search::settings;
use crate::search::statement::{Among, Shape, statement};
use crate::search::trace::Gathering;
use crate::sys::relation_size as frequency;
use crate::sys::spi::{fill, required};
use crate::sys::text_search::tsquery;
use crate::sys::{plan, privileges, rights};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use rag::search::exact_scan;
use rag::search::partial_results::Request;
use std::rc::Rc;

/// Candidates kept beyond those wanted, in case some of their documents are gone.
const SPARE: usize = 20;

/// Most chunks that are compared all although the vector index could be asked.
const MOST_FEW: usize = 5_000;
/// Most chunks that are compared all after the vector index found too few. About 5 µs each.
const MOST_COMPARED: usize = 50_000;

/// How much filter and policies let pass.
#[derive(Clone, Copy)]
pub(super) struct Passing {
    /// The share that the planner expects, who knows of others' rows too.
    pub expected: f64,
    /// The share that was come upon.
    pub least: f64,
}

/// What the statement that gathers gave.
#[derive(Default)]
pub(super) struct Gathered {
    /// The candidates that come out.
    pub found: Vec<Found>,
    /// How many the fusion kept.
    pub kept: usize,
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
        let has_policies = privileges::row_security_applies(self.collection.source);
        let is_strict = is_filtered
            || (has_policies && !privileges::row_security_applies(self.generation.chunks));
        self.trace.is_short = false;
        self.trace.gathered =
            Gathering { must_match: required, is_strict, limit: wanted, ..Gathering::default() };
        let mut passing = Passing { expected: 1.0, least: 0.0 };
        if self.is_narrowed() {
            let chunks = frequency::rows(self.generation.chunks);
            let is_worth = |n: f64| {
                n <= MOST_FEW as f64 && exact_scan::is_cheaper(n, chunks, self.options.depth)
            };
            let (few, expected, least) = self.few(MOST_FEW, is_worth);
            let share = |count: f64| (count / chunks).min(1.0);
            passing = Passing { expected: share(expected.max(least)), least: share(least) };
            self.trace.gathered.few = few;
        }
        let Gathered { mut found, kept } = self.gather_anew(passing);
        if self.trace.gathered.few.is_some() {
            return found;
        }
        let is_enough = found.len() == wanted || (found.len() == kept && kept > 0);
        if !is_strict && !is_enough {
            self.trace.gathered.is_strict = true;
            found = self.gather_anew(passing).found;
        }
        let is_short =
            found.len() < wanted && (self.is_narrowed() || self.trace.gathered.is_strict);
        if is_short && self.may_have_missed() {
            self.trace.gathered.few = self.few(MOST_COMPARED, |_| true).0;
            if self.trace.gathered.few.is_some() {
                return self.gather_anew(passing).found;
            }
            self.trace.is_cut = true;
        }
        found
    }

    /// Whether filter or policies may hold chunks back.
    pub(super) fn is_narrowed(&self) -> bool {
        self.filter.sql().is_some() || !self.may_use_statistics()
    }

    /// Gathers, with the lexical leg found anew.
    fn gather_anew(&mut self, passing: Passing) -> Gathered {
        self.trace.gathered.lexical = Rc::new(self.lexical_leg(passing));
        self.gather(&self.trace.gathered)
    }

    /// The chunks that filter and policies leave, if they are at most `most`, and the number that the
    /// planner expects `is_worth` finding them. Beside them that number, and one that there are at least.
    #[allow(clippy::type_complexity)] // three things that come of one statement
    pub(super) fn few(
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
        let sql = fill(statement!("search/few"), &parts);
        let none = || DatumWithOid::null_oid(pg_sys::TEXTOID);
        let most_asked = (most as i64 + 1).into();
        let mut arguments = vec![none(), none(), none(), none(), most_asked, none()];
        arguments.extend(self.filter.arguments());
        let _settings = settings::for_search(self.options.depth, &self.generation);
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
        !has_words && self.dense_access().as_deref().is_some_and(is_vector_index)
    }

    /// Runs the statement that gathers.
    pub(super) fn gather(&self, gathering: &Gathering) -> Gathered {
        let mut gathered = Gathered::default();
        let Some((sql, arguments)) = self.statement(gathering) else { return gathered };
        let _settings = settings::for_search(self.options.depth, &self.generation);
        let keys = self.collection.keys.len();
        let mut key_text = None;
        gathered.found = plan::read_as_caller(&sql, &arguments, |row| {
            // Policies have run under the caller's settings; keys come out the same whatever those are.
            key_text.get_or_insert_with(rights::key_text_settings);
            gathered.kept = usize::try_from(required::<i64>(row, 15)).unwrap_or_default();
            Found::read(row, keys)
        });
        gathered
    }

    /// The statement that gathers, with its arguments; `None` when neither leg has anything to go by.
    pub(super) fn statement(
        &self,
        gathering: &Gathering,
    ) -> Option<(String, Vec<DatumWithOid<'static>>)> {
        let Gathering { must_match, is_strict, limit, few, lexical } = gathering;
        let options = &self.options;
        let is_dense = options.dense_weight > 0.0 && self.embedding.is_some();
        let shape = Shape {
            dense: if is_dense { options.depth } else { 0 },
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
        if shape.dense == 0 && lexical.hits.is_empty() {
            return None;
        }
        let request = Request {
            terms: lexical.terms.clone(),
            documents: lexical.documents,
            depth: options.depth,
            limit: limit + if shape.among == Among::Asked { 0 } else { SPARE },
            dense_weight: options.dense_weight,
            lexical_weight: options.lexical_weight,
            is_ranked: lexical.ranked.is_some(),
        };
        let sql = statement(&self.collection, &self.names, &self.filter, shape);
        let vector = self.embedding.as_ref().map(|e| e.vector.as_slice());
        let mut arguments = vec![
            self.pgvector.argument(vector),
            request.pack().into(),
            lexical.hits.clone().into(),
            tsquery(must_match.as_deref()),
            DatumWithOid::null_oid(pg_sys::INT8OID),
            few.as_ref().map(|few| few.to_vec()).into(),
        ];
        arguments.extend(self.filter.arguments());
        Some((sql, arguments))
    }

    /// Statistics count rows that others may not see: only for callers whom no policy holds back.
    pub(super) fn may_use_statistics(&self) -> bool {
        !privileges::row_security_applies(self.collection.source)
    }
}
