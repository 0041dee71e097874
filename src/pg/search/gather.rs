//! The candidates of a search: which statement gathers them, and what it looks at.
use super::explain::is_vector_index;
use super::statement::{Among, Shape, statement};
use super::text_search::tsquery;
use super::trace::Gathering;
use super::{Found, MOST_CANDIDATES, Search, frequency, settings};
use crate::pg::lexical::Access;
use crate::pg::spi::{fill, required};
use crate::pg::{plan, rights};
use crate::search::legs::{Request, Term, most_telling};
use crate::search::matching::matching;
use crate::search::{any_of, few};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::spi::SpiHeapTupleData;
use std::rc::Rc;

/// Chunks the lexical leg is meant to look at, and the most it does when estimates are off. About 2 µs each.
const MATCHES: usize = 1_500;
const MOST_MATCHES: usize = 4_000;

/// Candidates kept beyond those wanted, in case some of their documents are gone.
const SPARE: usize = 20;

/// Most chunks that are compared all although the vector index could be asked.
const MOST_FEW: usize = 5_000;
/// Most chunks that are compared all after the vector index found too few. About 5 µs each.
const MOST_COMPARED: usize = 50_000;

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
            Gathering { must_match: required, is_strict, limit: wanted, few: None, best: None };
        if is_narrowed {
            let chunks = frequency::rows(self.generation.chunks);
            let is_worth = |n| few::is_worth_comparing(n, chunks, self.options.depth);
            self.trace.gathered.few = self.few(MOST_FEW, is_worth);
            if self.trace.gathered.few.is_some() {
                return self.gather(&self.trace.gathered).found;
            }
        }
        self.trace.gathered.best = self.best();
        let Gathered { mut found, kept, .. } = self.gather_enough();
        let is_enough = found.len() == wanted || (found.len() == kept && kept > 0);
        if !is_strict && !is_enough {
            self.trace.gathered.is_strict = true;
            found = self.gather_enough().found;
        }
        let is_short = found.len() < wanted && (is_narrowed || self.trace.gathered.is_strict);
        if is_short && self.may_have_missed() {
            self.trace.gathered.few = self.few(MOST_COMPARED, |_| true);
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
    /// where that leaves less than the leg is to have, and there is more, ours is asked, which looks at all three.
    fn gather_enough(&mut self) -> Gathered {
        let gathered = self.gather(&self.trace.gathered);
        let asked = self.most_asked();
        let has_more = self.trace.gathered.best.as_ref().is_some_and(|best| best.len() == asked);
        if !has_more || gathered.lexical >= self.options.depth {
            return gathered;
        }
        self.trace.gathered.best = None;
        self.trace.is_short = true;
        self.gather(&self.trace.gathered)
    }

    /// The chunks that filter and policies leave, if they are at most `most`, and the number that the
    /// planner expects `is_worth` finding them.
    fn few(&self, most: usize, is_worth: impl FnOnce(f64) -> bool) -> Option<Rc<Vec<i64>>> {
        let parts = [
            ("source", self.collection.source_sql.as_str()),
            ("chunks", &self.names.chunks),
            ("keys_equal", &self.collection.keys_equal("s", "c")),
            ("condition", self.filter.sql().unwrap_or("true")),
        ];
        let sql = fill(include_str!("../../../sql/run/search_few.sql"), &parts);
        let none = || DatumWithOid::null_oid(pg_sys::TEXTOID);
        let mut arguments = vec![none(), none(), none(), none(), (most as i64 + 1).into()];
        arguments.extend(self.filter.arguments());
        let _settings = settings::Scope::for_search(self.options.depth, &self.generation);
        let few = plan::read_if(&sql, &arguments, is_worth, |row| required::<i64>(row, 1))?;
        (few.len() <= most).then(|| Rc::new(few))
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
        gathered.found = plan::read(&sql, &arguments, |row| {
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
        let Gathering { must_match, is_strict, limit, few, best } = gathering;
        let best = best.as_ref().filter(|_| few.is_none());
        let options = &self.options;
        let terms = self.terms();
        let documents = self.documents();
        let matched = match best {
            Some(_) => None,
            None => self.matched(&terms, documents, few.is_some()),
        };
        let most_matches = if few.is_some() { MOST_COMPARED } else { MOST_MATCHES };
        let is_dense = options.dense_weight > 0.0 && self.embedding.is_some();
        let shape = Shape {
            dense: if is_dense { options.depth } else { 0 },
            lexical: match best {
                Some(best) => best.len(),
                None if matched.is_some() => most_matches,
                None => 0,
            },
            is_ranked: best.is_some(),
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
        if shape.dense == 0 && shape.lexical == 0 {
            return None;
        }
        let matched = matched.map(|matched| match must_match {
            Some(must_match) => format!("({matched}) & {must_match}"),
            None => matched,
        });
        let request = Request {
            terms,
            documents,
            depth: options.depth,
            limit: limit + if shape.among == Among::Asked { 0 } else { SPARE },
            dense_weight: options.dense_weight,
            lexical_weight: options.lexical_weight,
            is_ranked: shape.is_ranked,
        };
        let sql = statement(&self.collection, &self.names, &self.filter, shape);
        let vector = self.embedding.as_ref().map(|e| e.vector.as_slice());
        let vector = self.pgvector.argument(vector);
        let (matched, must_match) = (tsquery(matched.as_deref()), tsquery(must_match.as_deref()));
        let numbers = few.as_ref().or(best).map(|numbers| numbers.to_vec());
        let mut arguments =
            vec![vector, request.pack().into(), matched, must_match, numbers.into()];
        arguments.extend(self.filter.arguments());
        Some((sql, arguments))
    }

    /// What the lexical leg matches: of few chunks each with any of the terms. `None` leaves it out.
    pub(super) fn matched(
        &self,
        terms: &[Term],
        documents: Option<f64>,
        is_few: bool,
    ) -> Option<String> {
        match self.options.lexical_weight > 0.0 {
            true if is_few => any_of(terms.iter().map(|term| &term.lexeme)),
            true if !self.may_use_statistics() => {
                let visible = || self.matched_visible(terms, MATCHES as f64);
                self.visible.get_or_init(visible).clone()
            }
            true => matching(terms, documents.unwrap_or(0.0), MATCHES as f64),
            false => None,
        }
    }

    /// The question's lexemes with what statistics tell of them, if they may tell.
    pub(super) fn terms(&self) -> Vec<Term> {
        let lexemes: Vec<&str> = self.question.lexemes.iter().map(String::as_str).collect();
        let shares = if self.may_use_statistics() {
            frequency::shares(self.generation.chunks, c"lexemes", &lexemes)
        } else {
            vec![None; lexemes.len()]
        };
        let term = |(lexeme, frequency): (&str, Option<f32>)| Term {
            lexeme: lexeme.to_owned(),
            frequency,
        };
        most_telling(lexemes.into_iter().zip(shares).map(term).collect())
    }

    pub(super) fn documents(&self) -> Option<f64> {
        self.may_use_statistics().then(|| frequency::rows(self.generation.chunks)).flatten()
    }

    /// Statistics count rows that others may not see: only for callers whom no policy holds back.
    pub(super) fn may_use_statistics(&self) -> bool {
        !rights::row_security_applies(self.collection.source)
    }
}
