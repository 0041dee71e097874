//! How candidates are generated: a value that is chosen before a run, tells the run what to do, and is shown by `rag_explain`. A run
//! that finds too few is followed by one with another strategy.
use crate::catalog::lexical::Access;
use crate::search::engine::candidates::Run;
use crate::search::engine::request::Request;
use crate::search::statement::search_settings;
use crate::sys::rows::required;
use crate::sys::spi::fill;
use crate::sys::{plan, relation_size};
use pgrx::pg_sys::ItemPointerData;
use rag::search::exact_scan::is_cheaper;
use std::rc::Rc;

/// Longest allow-list that is preferred to the vector index.
const MAX_PREFERRED: usize = 5_000;
/// Longest allow-list that is compared after the vector index returned too few. About 5 µs a chunk.
const MAX_COMPARED: usize = 50_000;

/// How one run generates candidates.
#[derive(Debug, Clone)]
pub struct Strategy {
    pub phrases: Phrases,
    pub access: ChunkAccess,
    pub lexical: LexicalChoice,
    /// Ranks of each leg that count.
    pub depth: usize,
    pub wanted: usize,
}

/// What becomes of the phrases of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phrases {
    /// Every candidate has them.
    Required,
    /// Not required, since no chunk had them: their words count like others.
    AsWords,
}

/// Which chunks both legs look at.
#[derive(Debug, Clone)]
pub enum ChunkAccess {
    /// Every chunk that filter and policies let pass; no index is asked. The TIDs are valid as long as the search's snapshot:
    /// chunks are never updated, and VACUUM removes none that the snapshot sees.
    AllowList(Rc<Vec<ItemPointerData>>),
    /// Those that the indexes return.
    Indexes {
        /// When filter and source are asked about them.
        check: Check,
        /// The share of chunks that pass.
        selectivity: Selectivity,
    },
}

/// When filter and source are asked about a chunk that an index returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// In the legs, of every chunk visited: doubles the cost of a search.
    Early,
    /// Of the candidates alone, of which there are some more than wanted.
    Late,
}

/// The share of the chunks that filter and policies let pass.
#[derive(Debug, Clone, Copy)]
pub struct Selectivity {
    /// As the planner expects, whose statistics count rows that the caller may not see.
    pub expected: f64,
    /// As far as rows were counted: a lower bound.
    pub at_least: f64,
}

/// Which index finds the chunks of the lexical leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexicalChoice {
    /// The built-in one; if the collection has another extension's, why not that.
    Builtin(Option<&'static str>),
    /// Another extension's.
    Foreign,
}

/// What to do after a run.
pub enum Verdict {
    Enough,
    Retry(Strategy),
    /// Return its candidates, although the vector index may have missed some.
    Incomplete,
}

impl Strategy {
    /// The strategy to begin with.
    ///
    /// Where filter and policies let few chunks pass, an HNSW scan visits many in vain and may stop before it has enough
    /// (`hnsw.max_scan_tuples`): then all that pass are compared. Else the indexes are scanned; the check is late where nothing
    /// but deleted documents can fail it, or the chunks' own policy does it already.
    pub fn first(request: &Request, phrases: Phrases, depth: usize, wanted: usize) -> Self {
        let is_filtered = request.filter.sql().is_some();
        let must_check = request.has_policies && !request.has_chunk_policy;
        let check = if is_filtered || must_check { Check::Early } else { Check::Late };
        let mut selectivity = Selectivity { expected: 1.0, at_least: 0.0 };
        let mut allow_list = None;
        if request.is_restricted() {
            let chunks = relation_size::rows(request.resolved.generation.chunks);
            let is_cheaper = |passing: f64| {
                passing <= MAX_PREFERRED as f64 && is_cheaper(passing, chunks, depth)
            };
            let passing = Passing::find(request, depth, MAX_PREFERRED, is_cheaper);
            let share = |count: f64| (count / chunks).min(1.0);
            selectivity = Selectivity {
                expected: share(passing.expected.max(passing.at_least)),
                at_least: share(passing.at_least),
            };
            allow_list = passing.all;
        }
        let access = match allow_list {
            Some(tids) => ChunkAccess::AllowList(Rc::new(tids)),
            None => ChunkAccess::Indexes { check, selectivity },
        };
        let lexical = match (&request.foreign_index, &access) {
            (Access::Builtin, _) => LexicalChoice::Builtin(None),
            (Access::Instead(reason), _) => LexicalChoice::Builtin(Some(reason)),
            (Access::Index(_), ChunkAccess::AllowList(_)) => LexicalChoice::Builtin(Some(COMPARED)),
            (Access::Index(_), ChunkAccess::Indexes { .. }) => LexicalChoice::Foreign,
        };
        Self { phrases, access, lexical, depth, wanted }
    }

    /// Judges a run of this strategy.
    pub fn judge(&self, request: &Request, run: &Run) -> Verdict {
        let found = run.candidates.len();
        let mut verdict = Verdict::Enough;
        if let ChunkAccess::Indexes { check, selectivity } = self.access {
            let are_some_gone = run.fused_count == 0 || found < run.fused_count;
            if check == Check::Late && found < self.wanted && are_some_gone {
                let access = ChunkAccess::Indexes { check: Check::Early, selectivity };
                return Verdict::Retry(Self { access, ..self.clone() });
            }
            let is_short =
                found < self.wanted && (request.is_restricted() || check == Check::Early);
            if is_short && run.may_have_missed(request) {
                match self.comparing_all(request) {
                    Some(next) => return Verdict::Retry(next),
                    None => verdict = Verdict::Incomplete,
                }
            }
        }
        // Chunks that come close should not be hidden by a phrase that none has.
        if found == 0 && request.question.has_phrases && self.phrases == Phrases::Required {
            let (depth, wanted) = (self.depth, self.wanted);
            return Verdict::Retry(Self::first(request, Phrases::AsWords, depth, wanted));
        }
        verdict
    }

    /// The same with an allow-list, unless that would be too long.
    fn comparing_all(&self, request: &Request) -> Option<Self> {
        let tids = Passing::find(request, self.depth, MAX_COMPARED, |_| true).all?;
        let lexical = match self.lexical {
            LexicalChoice::Foreign => LexicalChoice::Builtin(Some(COMPARED)),
            builtin @ LexicalChoice::Builtin(_) => builtin,
        };
        Some(Self { access: ChunkAccess::AllowList(Rc::new(tids)), lexical, ..self.clone() })
    }

    /// What every candidate must match: a `tsquery` in its text form.
    pub fn must_match<'a>(&self, request: &'a Request) -> Option<&'a str> {
        match self.phrases {
            Phrases::Required => request.question.required.as_deref(),
            Phrases::AsWords => request.question.excluded.as_deref(),
        }
    }

    /// Whether the legs check filter and source themselves.
    pub fn checks_early(&self) -> bool {
        matches!(self.access, ChunkAccess::Indexes { check: Check::Early, .. })
    }

    /// The allow-list, if one is compared.
    pub fn allow_list(&self) -> Option<&Rc<Vec<ItemPointerData>>> {
        match &self.access {
            ChunkAccess::AllowList(tids) => Some(tids),
            ChunkAccess::Indexes { .. } => None,
        }
    }
}

/// Why another extension's index was not asked.
const COMPARED: &str = "each chunk that is left was compared";

/// Chunks that filter and policies let pass.
pub struct Passing {
    /// The TIDs of all of them, if these are not too many.
    pub all: Option<Vec<ItemPointerData>>,
    /// How many the planner expects.
    expected: f64,
    /// A lower bound of how many there are.
    at_least: f64,
}

impl Passing {
    /// Lists the chunks if they are at most `most`, and the number that the planner expects `is_worth` it.
    pub fn find(
        request: &Request,
        depth: usize,
        most: usize,
        is_worth: impl FnOnce(f64) -> bool,
    ) -> Self {
        let collection = &request.resolved.collection;
        let parts = [
            ("source", collection.source_sql.as_str()),
            ("chunks", &request.resolved.tables.chunks),
            ("keys_equal", &collection.keys_equal("s", "c")),
            ("condition", request.filter.sql().unwrap_or("true")),
        ];
        let sql = fill(statement!("search/allow_list"), &parts);
        let arguments = request.arguments(|own| own[4] = (most as i64 + 1).into());
        let _settings = search_settings(depth, &request.resolved.generation);
        let mut expected = 0.0;
        let is_worth = |rows| {
            expected = rows;
            is_worth(rows)
        };
        let tids: Option<Vec<ItemPointerData>> =
            plan::read_as_caller_if(&sql, &arguments, is_worth, |row| required(row, 1));
        let at_least = tids.as_ref().map_or(0, Vec::len) as f64;
        Self { all: tids.filter(|tids| tids.len() <= most), expected, at_least }
    }
}
