//! How common a question's lexemes are among the chunks that a caller under row-level security may see.
//! Statistics would tell of the others' too.
use super::{Search, frequency, settings};
use crate::pg::spi::{column, fill, required};
use crate::pg::{plan, rights};
use crate::search::any_of;
use crate::search::legs::{Request, Term, most_telling, seen};

/// Chunks of a sample, of which the caller may see some.
const LOOKED_AT: usize = 600;
/// How many of them have to hold a lexeme for their share to stand for that of all; of others all that hold it
/// are counted.
const TELLING: usize = 3;
/// Most chunks counted that hold a lexeme, for a caller who may see all, and the least for one who may see few.
const COUNTED: f64 = 300.0;
const LEAST_COUNTED: f64 = 20.0;

/// What a caller may see, as far as a search has to know.
pub(super) struct Visible {
    /// About which share of all chunks.
    pub share: f64,
    /// The question's lexemes with their share among them.
    pub terms: Vec<Term>,
}

impl Search {
    /// Looks at a sample of what the caller may see, and counts what is too rare for that. All of it is
    /// bounded, so that no question takes long. `None` where nothing tells how large the table is.
    pub(super) fn look_around(&self) -> Option<Visible> {
        let unknown = |lexeme: &String| Term { lexeme: lexeme.clone(), frequency: None };
        let mut terms = most_telling(self.question.lexemes.iter().map(unknown).collect());
        let extent = frequency::extent(self.generation.chunks)?;
        let _settings = settings::Scope::for_search(self.options.depth, &self.generation);
        let request = Request { terms, ..Request::default() };
        let arguments = [request.pack().into(), self.sample(&request.terms, LOOKED_AT).into()];
        let sql = self.about_visible(include_str!("../../../sql/run/search_visible.sql"));
        let hits = plan::read(&sql, &arguments, |row| column::<Vec<u8>>(row, 1)).pop().flatten();
        let (visible, holding) = seen(&request, &hits.unwrap_or_default());
        terms = request.terms;
        let (visible, looked_at) = (visible as f64, extent.rows.min(LOOKED_AT as f64));
        let share = (visible / looked_at).clamp(1.0 / extent.rows, 1.0);
        let documents = extent.rows * share;
        let most = (COUNTED * share).max(LEAST_COUNTED).round();
        let is_rare = |(_, holding): &(&mut Term, usize)| *holding < TELLING;
        let (rare, common): (Vec<_>, Vec<_>) = terms.iter_mut().zip(holding).partition(is_rare);
        for (term, holding) in common {
            term.frequency = Some((holding as f64 / visible) as f32);
        }
        let lexemes = rare.iter().filter_map(|(term, _)| any_of([&term.lexeme]));
        let counts = self.count_visible(lexemes.collect(), most);
        for ((term, _), count) in rare.into_iter().zip(counts) {
            let is_all = count < most;
            let at_most = TELLING as f64 / visible.max(1.0);
            let share = if is_all { count / documents } else { at_most.max(count / documents) };
            term.frequency = Some(share.min(1.0) as f32);
        }
        Some(Visible { share, terms })
    }

    /// Visible chunks that match each of `queries`, counted up to `most`.
    fn count_visible(&self, queries: Vec<String>, most: f64) -> Vec<f64> {
        if queries.is_empty() {
            return Vec::new();
        }
        let sql = self.about_visible(include_str!("../../../sql/run/search_frequency.sql"));
        let arguments = [queries.into(), (most as i64).into()];
        plan::read(&sql, &arguments, |row| required::<i64>(row, 1) as f64)
    }

    /// A statement about the chunks that the caller may see.
    fn about_visible(&self, template: &str) -> String {
        let is_asked = rights::row_security_applies(self.generation.chunks);
        let visible =
            if is_asked { "true".to_owned() } else { self.collection.source_visible("c") };
        fill(template, &[("chunks", &self.names.chunks), ("visible", &visible)])
    }
}
