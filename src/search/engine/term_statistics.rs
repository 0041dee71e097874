//! Term statistics: how many chunks hold each of the question's lexemes. Under row security they come from nothing but what
//! the caller may see.
use crate::search::engine::Search;
use crate::search::engine::lexical_leg::Entries;
use crate::search::settings;
use crate::sys::plan;
use crate::sys::privileges;
use crate::sys::relation_size as frequency;
use crate::sys::spi::{column, fill};
use rag::search::partial_results::{Request, Term, rarest_terms, seen};

/// Chunks of a sample, and of a larger one where the caller may see hardly any of them.
const LOOKED_AT: [usize; 2] = [600, 3_600];
/// How many visible ones are enough to tell what is common.
const TELLING: usize = 20;

/// What is known before the legs gather.
#[derive(Clone)]
pub(super) struct TermStatistics {
    /// Share of the chunks that filter and policies let pass.
    pub share: f64,
    /// Chunks that the frequencies are of.
    pub documents: f64,
    /// The question's lexemes and their frequencies.
    pub terms: Vec<Term>,
}

impl Search {
    /// The question's lexemes, of which nothing is known.
    pub(super) fn unknown_terms(&self) -> Vec<Term> {
        let unknown = |lexeme: &String| Term { lexeme: lexeme.clone(), frequency: None };
        rarest_terms(self.question.lexemes.iter().map(unknown).collect())
    }

    /// By the index, which counts all chunks: only for callers to whom no row security applies.
    pub(super) fn count_by_index(&self) -> TermStatistics {
        let documents = frequency::rows(self.generation.chunks);
        let lexemes: Vec<&str> = self.question.lexemes.iter().map(String::as_str).collect();
        let entries = Entries::find(self, &lexemes);
        let share = |position| entries.count(position).map(|n| (n / documents).min(1.0) as f32);
        let lexemes = lexemes.iter().enumerate();
        let term = |(n, lexeme): (usize, &&str)| Term {
            lexeme: (*lexeme).to_owned(),
            frequency: share(n),
        };
        TermStatistics { share: 1.0, documents, terms: rarest_terms(lexemes.map(term).collect()) }
    }

    /// By a sample of what the caller may see and the filter lets pass, of which there are at least the share `least`. A
    /// lexeme that none of them holds counts as held by half a chunk of the sample.
    pub(super) fn estimate_by_sample(&self, least: f64) -> TermStatistics {
        let rows = frequency::rows(self.generation.chunks);
        let request = Request { terms: self.unknown_terms(), ..Request::default() };
        let (mut looked_at, mut visible, mut holding) = (0.0, 0, Vec::new());
        for count in LOOKED_AT {
            if visible < TELLING && looked_at < rows {
                looked_at = rows.min(count as f64);
                (visible, holding) = self.look(&request, count);
            }
        }
        let share = (visible as f64 / looked_at).max(least).clamp(1.0 / rows, 1.0);
        let mut terms = request.terms;
        for (term, holding) in terms.iter_mut().zip(holding) {
            term.frequency = Some(((holding as f32).max(0.5) / visible.max(1) as f32).min(1.0));
        }
        TermStatistics { share, documents: rows * share, terms }
    }

    /// Of a sample of so many chunks, how many the caller may see, and how many of those hold each term.
    fn look(&self, request: &Request, count: usize) -> (usize, Vec<usize>) {
        let parts = [("chunks", self.names.chunks.as_str()), ("conditions", &self.visible())];
        let sql = fill(statement!("search/hits"), &parts);
        let arguments =
            self.hit_arguments(request, None, None, None, Some(self.sample(&request.terms, count)));
        let _settings = settings::for_search(self.options.depth, &self.generation);
        let hits =
            plan::read_as_caller(&sql, &arguments, |row| column::<Vec<u8>>(row, 1)).pop().flatten();
        seen(request, &hits.unwrap_or_default())
    }

    /// SQL that is true for chunks that the caller may see and the filter lets pass.
    pub(super) fn visible(&self) -> String {
        if self.filter.sql().is_none() && privileges::row_security_applies(self.generation.chunks) {
            return "true".to_owned();
        }
        self.collection.source_visible_where("c", self.filter.sql())
    }
}
