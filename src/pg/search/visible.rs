//! How common a question's lexemes are among the chunks that a caller under row-level security may see.
//! Statistics would tell of the others' too.
use super::{Search, settings};
use crate::pg::spi::{fill, required};
use crate::pg::{plan, rights};
use crate::search::any_of;
use crate::search::legs::Term;
use crate::search::matching::among_counted;

/// Matches counted of each lexeme, and of the few that are looked at again when all have as many.
const COUNTED: i64 = 300;
const COUNTED_AGAIN: i64 = 1_500;
const LOOKED_AT_AGAIN: usize = 8;

impl Search {
    /// What the lexical leg matches: about `budget` chunks, or all with a rare lexeme. Counting is bounded,
    /// so that no question takes long.
    pub(super) fn matched_visible(&self, terms: &[Term], budget: f64) -> Option<String> {
        let lexemes: Vec<&str> = terms.iter().map(|term| term.lexeme.as_str()).collect();
        let counted = self.count_visible(&lexemes, COUNTED);
        if counted.iter().any(Option::is_some) || lexemes.is_empty() {
            return among_counted(&lexemes, &counted, budget);
        }
        let again = &lexemes[..lexemes.len().min(LOOKED_AT_AGAIN)];
        let mut counted = self.count_visible(again, COUNTED_AGAIN);
        counted.resize(lexemes.len(), None);
        among_counted(&lexemes, &counted, budget)
    }

    /// Visible chunks with each lexeme; `None` for `most` or more.
    fn count_visible(&self, lexemes: &[&str], most: i64) -> Vec<Option<f64>> {
        let is_asked = rights::row_security_applies(self.generation.chunks);
        let visible =
            if is_asked { "true".to_owned() } else { self.collection.source_visible("c") };
        let parts = [("chunks", self.names.chunks.as_str()), ("visible", &visible)];
        let sql = fill(include_str!("../../../sql/run/search_frequency.sql"), &parts);
        let _settings = settings::Scope::for_search(self.options.depth, &self.generation);
        let queries: Vec<String> = lexemes.iter().filter_map(|lexeme| any_of([lexeme])).collect();
        plan::read(&sql, &[queries.into(), most.into()], |row| required::<i64>(row, 1))
            .into_iter()
            .map(|count| (count < most).then_some(count as f64))
            .collect()
    }
}
