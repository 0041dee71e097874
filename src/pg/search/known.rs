//! What is known of the chunks that a search is about, and of the question's lexemes in them.
use super::{Search, frequency, settings};
use crate::pg::spi::{column, fill, required};
use crate::pg::{plan, rights};
use crate::search::any_of;
use crate::search::legs::{Request, Term, most_telling, seen};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

/// Chunks of a sample, and of a larger one where the caller may see hardly any of them.
const LOOKED_AT: [usize; 2] = [600, 3_600];
/// How many visible ones are enough to tell what is common.
const TELLING: usize = 30;
/// How many of them have to hold a lexeme for their share to stand for that of all.
const HOLDING: usize = 3;
/// Most chunks counted that hold a lexeme, for a caller who may see all, and for one who may see little.
const COUNTED: f64 = 300.0;
const LEAST_COUNTED: f64 = 20.0;
/// Most chunks fetched to count those with lexemes that are rare or nowhere.
const FETCHED: f64 = 20_000.0;

/// What is known before the legs gather.
pub(super) struct Known {
    /// Share of the chunks that filter and policies let pass.
    pub share: f64,
    /// Chunks that the frequencies are of.
    pub documents: Option<f64>,
    /// More than the frequency of any lexeme that has none.
    pub lowest: Option<f32>,
    /// The question's lexemes and their frequencies.
    pub terms: Vec<Term>,
}

impl Search {
    /// The question's lexemes, of which nothing is known.
    pub(super) fn unknown_terms(&self) -> Vec<Term> {
        let unknown = |lexeme: &String| Term { lexeme: lexeme.clone(), frequency: None };
        most_telling(self.question.lexemes.iter().map(unknown).collect())
    }

    /// By planner statistics: only for callers to whom no row security applies.
    pub(super) fn known_by_statistics(&self) -> Known {
        let lexemes: Vec<&str> = self.question.lexemes.iter().map(String::as_str).collect();
        let (shares, lowest) = frequency::shares(self.generation.chunks, c"lexemes", &lexemes);
        let term = |(lexeme, frequency): (&&str, Option<f32>)| Term {
            lexeme: (*lexeme).to_owned(),
            frequency,
        };
        let terms = most_telling(lexemes.iter().zip(shares).map(term).collect());
        Known { share: 1.0, documents: frequency::rows(self.generation.chunks), lowest, terms }
    }

    /// By a look at a sample of what the caller may see and the filter lets pass, and by counting what is too rare for
    /// that; statistics would tell of others' rows too. All of it is bounded, so that no question takes long.
    /// At least the share `least` is visible. `None` where nothing tells how large the table is.
    pub(super) fn known_by_looking(&self, least: f64) -> Option<Known> {
        let rows = frequency::rows(self.generation.chunks)?;
        let request = Request { terms: self.unknown_terms(), ..Request::default() };
        let (mut looked_at, mut visible, mut holding) = (0.0, 0, Vec::new());
        for count in LOOKED_AT {
            if visible < TELLING && looked_at < rows {
                looked_at = rows.min(count as f64);
                (visible, holding) = self.look(&request, count)?;
            }
        }
        let visible = visible as f64;
        let mut share = (visible / looked_at).max(least).clamp(1.0 / rows, 1.0);
        let most = (COUNTED * share).max(LEAST_COUNTED).round();
        let mut terms = request.terms;
        let (mut rare, common): (Vec<_>, Vec<_>) =
            terms.iter_mut().zip(holding).partition(|(_, holding)| *holding < HOLDING);
        for (term, holding) in common {
            term.frequency = Some((holding as f64 / visible) as f32);
        }
        // Long words are rare more often than short ones.
        rare.sort_by_key(|(term, holding)| (*holding, std::cmp::Reverse(term.lexeme.len())));
        let is_counted = (FETCHED * share / most).max(1.0) as usize;
        let lexemes = rare.iter().take(is_counted).filter_map(|(term, _)| any_of([&term.lexeme]));
        let (condition, arguments) = (self.visible(), self.filter.arguments().collect());
        let counts = self.count(lexemes.collect(), most, &condition, arguments);
        share = counts.iter().fold(share, |share, count| share.max(count / rows));
        let at_most = HOLDING as f64 / visible.max(HOLDING as f64);
        let counts = counts.into_iter().map(Some).chain(std::iter::repeat(None));
        for ((term, _), count) in rare.into_iter().zip(counts) {
            let exact = count.filter(|count| *count < most).map(|count| count / (rows * share));
            term.frequency = Some(exact.unwrap_or(at_most).min(1.0) as f32);
        }
        Some(Known { share, documents: Some(rows * share), lowest: None, terms })
    }

    /// Of a sample of so many chunks, how many the caller may see, and how many of those hold each term.
    fn look(&self, request: &Request, count: usize) -> Option<(usize, Vec<usize>)> {
        let parts = [("chunks", self.names.chunks.as_str()), ("visible", &self.visible())];
        let sql = fill(include_str!("../../../sql/run/search_visible.sql"), &parts);
        let places = self.sample(&request.terms, count)?;
        let none = || DatumWithOid::null_oid(pg_sys::TEXTOID);
        let packed = request.pack().into();
        let mut arguments = vec![none(), packed, none(), none(), none(), places.into(), none()];
        arguments.extend(self.filter.arguments());
        let _settings = settings::Scope::for_search(self.options.depth, &self.generation);
        let hits = plan::read_as_caller(&sql, &arguments, |row| column::<Vec<u8>>(row, 1)).pop()?;
        Some(seen(request, &hits.unwrap_or_default()))
    }

    /// Chunks for which `condition` holds and that match each of `queries`, counted up to `most`.
    fn count(
        &self,
        queries: Vec<String>,
        most: f64,
        condition: &str,
        arguments: Vec<DatumWithOid<'static>>,
    ) -> Vec<f64> {
        if queries.is_empty() {
            return Vec::new();
        }
        let parts = [("chunks", self.names.chunks.as_str()), ("visible", condition)];
        let sql = fill(include_str!("../../../sql/run/search_frequency.sql"), &parts);
        let none = || DatumWithOid::null_oid(pg_sys::TEXTOID);
        let (queries, most) = (queries.into(), (most as i64).into());
        let mut all = vec![none(), none(), queries, none(), most, none(), none()];
        all.extend(arguments);
        let _settings = settings::Scope::for_search(self.options.depth, &self.generation);
        plan::read_as_caller(&sql, &all, |row| required::<i64>(row, 1) as f64)
    }

    /// SQL that is true for chunks that the caller may see and the filter lets pass.
    fn visible(&self) -> String {
        if self.filter.sql().is_none() && rights::row_security_applies(self.generation.chunks) {
            return "true".to_owned();
        }
        self.collection.source_visible_where("c", self.filter.sql())
    }
}
