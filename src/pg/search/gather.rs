//! The candidates of a search: which statement gathers them, and what it looks at.
use super::explain::is_vector_index;
use super::statement::{Among, Shape, statement};
use super::text_search::tsquery;
use super::trace::Gathering;
use super::{Found, Search, frequency, settings};
use crate::pg::spi::{fill, required};
use crate::pg::{plan, rights};
use crate::search::legs::{Request, Term, most_telling};
use crate::search::matching::matching;
use crate::search::{any_of, few};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
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
        let gathered = Gathering { must_match: required, is_strict, limit: wanted, few: None };
        self.trace.gathered = gathered;
        if is_narrowed {
            let chunks = frequency::rows(self.generation.chunks);
            let is_worth = |n| few::is_worth_comparing(n, chunks, self.options.depth);
            self.trace.gathered.few = self.few(MOST_FEW, is_worth);
            if self.trace.gathered.few.is_some() {
                return self.gather(&self.trace.gathered).0;
            }
        }
        let (mut found, kept) = self.gather(&self.trace.gathered);
        let is_enough = found.len() == wanted || (found.len() == kept && kept > 0);
        if !is_strict && !is_enough {
            self.trace.gathered.is_strict = true;
            found = self.gather(&self.trace.gathered).0;
        }
        let is_short = found.len() < wanted && (is_narrowed || self.trace.gathered.is_strict);
        if is_short && self.may_have_missed() {
            self.trace.gathered.few = self.few(MOST_COMPARED, |_| true);
            if self.trace.gathered.few.is_some() {
                return self.gather(&self.trace.gathered).0;
            }
            self.trace.is_cut = true;
        }
        found
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

    /// The candidates that come out, and how many the fusion kept.
    pub(super) fn gather(&self, gathering: &Gathering) -> (Vec<Found>, usize) {
        let Some((sql, arguments)) = self.statement(gathering) else { return (Vec::new(), 0) };
        let _settings = settings::Scope::for_search(self.options.depth, &self.generation);
        let keys = self.collection.keys.len();
        let mut kept = 0;
        let mut key_text = None;
        let found = plan::read(&sql, &arguments, |row| {
            // Policies have run under the caller's settings; keys come out the same whatever those are.
            key_text.get_or_insert_with(rights::key_text_settings);
            kept = usize::try_from(required::<i64>(row, 15)).unwrap_or_default();
            Found::read(row, keys)
        });
        (found, kept)
    }

    /// The statement that gathers, with its arguments; `None` when neither leg has anything to go by.
    pub(super) fn statement(
        &self,
        gathering: &Gathering,
    ) -> Option<(String, Vec<DatumWithOid<'static>>)> {
        let Gathering { must_match, is_strict, limit, few } = gathering;
        let options = &self.options;
        let terms = self.terms();
        let documents = self.documents();
        let matched = self.matched(&terms, documents, few.is_some());
        let most_matches = if few.is_some() { MOST_COMPARED } else { MOST_MATCHES };
        let is_dense = options.dense_weight > 0.0 && self.embedding.is_some();
        let shape = Shape {
            dense: if is_dense { options.depth } else { 0 },
            lexical: if matched.is_some() { most_matches } else { 0 },
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
        };
        let sql = statement(&self.collection, &self.names, &self.filter, shape);
        let vector = self.embedding.as_ref().map(|e| e.vector.as_slice());
        let vector = self.pgvector.argument(vector);
        let (matched, must_match) = (tsquery(matched.as_deref()), tsquery(must_match.as_deref()));
        let few = few.as_ref().map(|few| few.to_vec());
        let mut arguments = vec![vector, request.pack().into(), matched, must_match, few.into()];
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
