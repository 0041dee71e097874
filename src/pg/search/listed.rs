//! The lexical leg by the lists of the full-text index: which chunks hold the weightiest of the question's lexemes.
use super::hits::tid;
use super::trace::Weightiest;
use super::{Search, frequency, postings};
use crate::search::legs::Term;
use crate::search::matching::MOST_FETCHED;
use crate::search::postings::{Postings, weightiest};
use crate::search::{Bm25, any_of};
use pgrx::pg_sys;
use std::rc::Rc;

/// Most entries of the index that a search reads: some nanoseconds each.
const MOST_ENTRIES: usize = 200_000;

/// Chunks that the leg looks at, where all pass.
pub(super) const WEIGHTIEST: f64 = 400.0;

/// What the index lists.
pub(super) struct Listed {
    index: pg_sys::Oid,
    /// Lexemes, rarest first, with their places.
    lists: Vec<(String, Vec<u64>)>,
    /// Whether every lexeme of the question is among them.
    is_complete: bool,
}

impl Search {
    /// Finds the chunks with the weightiest of what the index lists, about `most` that pass. Where something must match,
    /// it only counts: a query looks for that.
    pub(super) fn weigh(&mut self, most: f64) {
        if self.options.lexical_weight <= 0.0 || self.question.lexemes.is_empty() {
            return;
        }
        if self.listed.is_none() {
            self.listed = self.list();
            self.count_listed();
        }
        let is_query = self.trace.gathered.must_match.is_some();
        let weightiest = if is_query { None } else { self.weightiest(most) };
        self.trace.gathered.weightiest = weightiest.map(Rc::new);
    }

    /// Looks up the places of the question's lexemes, the rarest first, as long as they are not too many. For callers who
    /// may see all chunks their numbers are better known from then on.
    fn list(&self) -> Option<Listed> {
        let known = self.known.as_ref()?;
        let rows = frequency::rows(self.generation.chunks)?;
        let share = |term: &Term| f64::from(term.frequency.or(known.lowest).unwrap_or(0.0));
        let mut terms: Vec<&Term> = known.terms.iter().collect();
        terms.sort_by(|a, b| share(a).total_cmp(&share(b)).then_with(|| a.lexeme.cmp(&b.lexeme)));
        let mut left = MOST_ENTRIES as f64;
        let is_little = |term: &&&Term| {
            left -= share(term) * rows;
            left >= 0.0
        };
        let lexemes: Vec<&str> =
            terms.iter().take_while(is_little).map(|term| term.lexeme.as_str()).collect();
        // What is rare among the rows that a caller sees may be common among others'.
        let most = MOST_ENTRIES * if self.may_use_statistics() { 1 } else { 10 };
        let index = postings::Index::open(self.generation.chunks, c"lexemes")?;
        let places = index.places(&lexemes, most).ok()?;
        let lists = lexemes.iter().zip(places);
        let lists = lists.filter_map(|(lexeme, places)| Some(((*lexeme).to_owned(), places?)));
        let lists: Vec<_> = lists.collect();
        Some(Listed { index: index.oid(), is_complete: lists.len() == terms.len(), lists })
    }

    /// Takes the frequencies of lexemes from what the index lists of them.
    fn count_listed(&mut self) {
        if !self.may_use_statistics() {
            return;
        }
        let (Some(listed), Some(known)) = (&self.listed, &mut self.known) else { return };
        let Some(documents) = known.documents else { return };
        for (lexeme, places) in &listed.lists {
            let term = known.terms.iter_mut().find(|term| term.lexeme == *lexeme);
            if let Some(term) = term {
                term.frequency = Some((places.len() as f64 / documents).min(1.0) as f32);
            }
        }
    }

    /// The chunks with the weightiest of what the index lists, and where these are too few and lexemes are left that were
    /// not looked up, a sample of all.
    fn weightiest(&self, most: f64) -> Option<Weightiest> {
        let (listed, known) = (self.listed.as_ref()?, self.known.as_ref()?);
        let documents = known.documents?;
        let bm25 = Bm25::new(documents, 0.0);
        let weight = |lexeme: &String| {
            let term = known.terms.iter().find(|term| term.lexeme == *lexeme);
            bm25.idf(term.and_then(|term| term.frequency).map_or(1.0, f64::from) * documents)
        };
        let lists = listed.lists.iter();
        let lists: Vec<Postings<'_>> =
            lists.map(|(lexeme, places)| Postings { weight: weight(lexeme), places }).collect();
        let most = (most / known.share).min(MOST_FETCHED);
        let places = weightiest(&lists, most as usize);
        let mut places: Vec<pg_sys::ItemPointerData> = places.into_iter().map(tid).collect();
        let found = places.len();
        let has_more = found == most as usize && most < MOST_FETCHED;
        if !listed.is_complete && (found as f64 * known.share) < self.enough() as f64 {
            places.extend(self.sample(&known.terms, self.sampled())?);
        }
        let lexemes = any_of(listed.lists.iter().map(|(lexeme, _)| lexeme));
        Some(Weightiest { places, found, has_more, index: listed.index, lexemes })
    }
}
