//! A search that tells what it did: the same search, and the candidates it went no further with.
use crate::catalog::lexical::Access;
use crate::search::engine::gather::Gathered;
use crate::search::engine::{Fate, Found, Options, Outcome, Search};
use crate::search::trace::Gathering;
use crate::sys::plan::scans;
use crate::sys::plan::scans::Scan;
use crate::sys::spi::{column, read, required};
use rag::Result;
use rag::search::explain::Leg;
use rag::search::lexical::Engine;
use std::time::Instant;

/// A search and what there is to say about it.
pub struct Explained {
    /// The search.
    pub outcome: Outcome,
    /// Candidates of either leg that were not ranked, best first.
    pub not_ranked: Vec<Found>,
    /// How each leg got at its chunks.
    pub legs: Vec<Leg>,
    /// What the order is by.
    pub order: String,
    /// What went otherwise than asked.
    pub notes: Vec<String>,
    /// Whose index found the chunks of the lexical leg.
    pub lexical: Engine,
}

/// Searches `collection` for `text` as [`crate::search::engine::search`] does, then gathers once more what both legs
/// came upon, by the same statement with a higher limit.
pub fn explain(collection: &str, text: &str, options: &Options) -> Result<Explained> {
    let started = Instant::now();
    let mut search = Search::prepare(collection, text, options, |_| ())?;
    let ranked = search.run()?;
    search.trace.total = started.elapsed();
    let everything = Gathering { limit: 2 * search.options.depth, ..search.trace.gathered.clone() };
    let Gathered { found: all, kept, .. } = search.gather(&everything);
    let gone = kept - all.len();
    let legs = vec![search.dense_leg(&all), search.words_leg(&all)];
    let notes = search.notes(&legs, gone);
    let order = search.order().to_owned();
    let lexical = search.engine();
    let is_new = |found: &Found| ranked.iter().all(|other| other.chunk_id != found.chunk_id);
    let mut not_ranked: Vec<Found> = all.into_iter().filter(is_new).collect();
    for found in &mut not_ranked {
        found.fate = Fate::NotRanked;
    }
    let total = search.trace.total;
    let mut outcome = search.outcome(ranked, started);
    outcome.trace.total = total;
    Ok(Explained { outcome, not_ranked, legs, order, notes, lexical })
}

impl Search {
    fn dense_leg(&self, all: &[Found]) -> Leg {
        let has_leg = self.embedding.is_some() && self.options.dense_weight > 0.0;
        Leg {
            name: "dense",
            access: has_leg.then(|| self.dense_access()).flatten(),
            wanted: has_leg.then(|| format!("the nearest {}", self.options.depth)),
            found: all.iter().filter(|found| found.dense_rank.is_some()).count(),
        }
    }

    fn words_leg(&self, all: &[Found]) -> Leg {
        let lexical = &self.trace.gathered.lexical;
        let access = match (&self.access, lexical.ranked) {
            (Access::Index(index), Some(_)) => Some(index.described()),
            _ => described(&lexical.scans),
        };
        let found = all.iter().filter(|found| found.lexical_rank.is_some()).count();
        Leg { name: "lexical", access, wanted: lexical.wanted.clone(), found }
    }

    fn engine(&self) -> Engine {
        let ranked = self.trace.gathered.lexical.ranked;
        ranked.map_or(Engine::Builtin, |_| self.generation.lexical)
    }

    /// Why the lexical leg was not the generation's engine's.
    fn instead(&self) -> Option<&'static str> {
        match &self.access {
            Access::Instead(reason) => Some(reason),
            Access::Index(_) if self.trace.gathered.few.is_some() => {
                Some("each chunk that is left was compared")
            }
            Access::Index(_) if self.trace.is_short => {
                Some("too few of its best pass filter and phrases")
            }
            Access::Index(_) if self.trace.gathered.lexical.ranked.is_none() => {
                Some("it found nothing")
            }
            Access::Index(_) | Access::Builtin => None,
        }
    }

    /// How the plan of the statement that ran gets at the dense leg's chunks.
    pub(super) fn dense_access(&self) -> Option<String> {
        let (sql, arguments) = self.statement(&self.trace.gathered)?;
        described(&scans::of_cte(&sql, &arguments, "dense"))
    }

    /// What the order is by.
    fn order(&self) -> &'static str {
        if self.reranks() {
            "late interaction, similarity and BM25 as standard scores"
        } else {
            "similarity and BM25 as standard scores"
        }
    }

    fn reranks(&self) -> bool {
        self.embedding.as_ref().is_some_and(|embedding| embedding.tokens.is_some())
    }

    fn notes(&self, legs: &[Leg], gone: usize) -> Vec<String> {
        let options = &self.options;
        let mut notes = Vec::new();
        let mut note = |applies: bool, text: String| {
            if applies {
                notes.push(text);
            }
        };
        let wants_vector = options.dense_weight > 0.0 || options.rerank;
        note(
            wants_vector && self.embedding.is_none(),
            "the model sees nothing in the query, so there is no dense leg".to_owned(),
        );
        note(
            self.embedding.as_ref().is_some_and(|embedding| embedding.truncated),
            "the query is longer than the model's window, and its end did not count".to_owned(),
        );
        note(
            options.lexical_weight > 0.0 && self.question.lexemes.is_empty(),
            format!(
                "text search configuration {} finds no lexeme in the query, so there is no lexical leg",
                self.collection.text_search_config
            ),
        );
        note(
            self.trace.is_relaxed,
            "no chunk has the phrases of the query, so their words count like others".to_owned(),
        );
        note(
            options.rerank && self.generation.bits.is_none(),
            "the collection keeps no token bits, so there is no late interaction".to_owned(),
        );
        note(
            options.lexical_weight > 0.0 && !self.may_use_statistics(),
            "row-level security applies: document frequencies are those of what the caller may see"
                .to_owned(),
        );
        note(
            !self.generation.is_loaded && self.generation.index_method != "none",
            "the vector index is not built yet".to_owned(),
        );
        if let Some(loading) = &self.loading {
            note(true, loading.message());
        }
        let few = self.trace.gathered.few.as_ref().map(|few| few.len());
        note(few == Some(0), "filter and policies leave no chunk".to_owned());
        let few = few.unwrap_or(0);
        note(
            few > 0,
            format!("filter and policies leave {few} chunks, each of which was compared"),
        );
        let dense = &legs[0];
        let asked_index = dense.access.as_deref().is_some_and(is_vector_index);
        note(
            asked_index && dense.found < options.depth && !self.trace.is_cut,
            format!("the vector index gave {} of {} chunks", dense.found, options.depth),
        );
        note(self.trace.is_cut, crate::search::engine::CUT.to_owned());
        if let Some(reason) = self.instead().filter(|_| options.lexical_weight > 0.0) {
            let name = self.generation.lexical.name();
            note(true, format!("{name} did not find the words, the built-in index did: {reason}"));
        }
        note(gone > 0, format!("{gone} candidates are left out: their documents are gone"));
        notes
    }
}

/// Whether an access that [`described`] names is that of a vector index, which may miss chunks.
pub(super) fn is_vector_index(access: &str) -> bool {
    access.starts_with("hnsw index") || access.starts_with("ivfflat index")
}

/// What scans read, by name; `None` for none.
pub fn described(scans: &[Scan]) -> Option<String> {
    let name = |scan: &Scan| {
        let (Scan::Index(relation) | Scan::Table(relation) | Scan::Places(relation)) = *scan;
        let sql = statement!("search/explain_relation");
        let names = read(sql, &[relation.into()], |row| {
            let (name, method): (String, Option<String>) = (required(&row, 1), column(&row, 2));
            match (scan, method) {
                (Scan::Index(_), Some(method)) => format!("{method} index {name}"),
                (Scan::Places(_), _) => format!("places of {name}"),
                _ => format!("sequential scan of {name}"),
            }
        });
        names.concat()
    };
    let names: Vec<String> = scans.iter().map(name).collect();
    (!names.is_empty()).then(|| names.join(" and "))
}
