//! How candidates are generated: a value that is chosen before a run, tells the run what to do, and is shown by `rag_explain`. A run
//! that finds too few is followed by one with another strategy.
use crate::catalog::lexical::Access;
use crate::search::engine::Run;
use crate::search::engine::request::Request;
use crate::search::engine::visibility::{Detail, Listing, Passing, visible_of};
use crate::sys::{interrupt, relation_size};
use rag::Result;
use rag::search::exact_scan::most_compared;
use std::fmt;
use std::rc::Rc;

/// Most chunks that are compared. About 5 µs a chunk.
pub const MAX_COMPARED: usize = 50_000;

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
    /// Every chunk of a list; the vector index is not asked.
    CompareAll(Rc<AllowList>),
    /// Those that the indexes return.
    Indexes {
        /// When filter and source are asked about them.
        check: Check,
        /// The share of chunks that pass.
        selectivity: Selectivity,
    },
}

/// Chunks that are all compared.
#[derive(Debug)]
pub enum AllowList {
    /// All that filter and policies let pass.
    Passing(Passing),
    /// Of these, all with the question's phrases, ascending.
    WithPhrases(Vec<i64>),
}

impl AllowList {
    /// Those that both legs compare, ascending.
    pub fn chunks(&self) -> &[i64] {
        match self {
            Self::Passing(passing) => &passing.matching,
            Self::WithPhrases(chunks) => chunks,
        }
    }
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
    /// Where filter, policies and phrases leave few chunks, an HNSW scan visits many in vain and may stop before it has enough
    /// (`hnsw.max_scan_tuples`): then all that are left are compared. Else the indexes are scanned; the check is late where nothing
    /// but deleted documents can fail it, or the chunks' own policy does it already.
    pub fn first(request: &Request, phrases: Phrases, depth: usize, wanted: usize) -> Result<Self> {
        let is_filtered = request.filter.sql().is_some();
        let must_check = request.has_policies && !request.has_chunk_policy;
        let check = if is_filtered || must_check { Check::Early } else { Check::Late };
        let selectivity = Selectivity { expected: 1.0, at_least: 0.0 };
        let access = ChunkAccess::Indexes { check, selectivity };
        let lexical = match &request.foreign_index {
            Access::Builtin => LexicalChoice::Builtin(None),
            Access::Instead(reason) => LexicalChoice::Builtin(Some(reason)),
            Access::Index(_) => LexicalChoice::Foreign,
        };
        let mut strategy = Self { phrases, access, lexical, depth, wanted };
        if request.is_restricted() {
            let chunks = relation_size::rows(request.resolved.generation.chunks);
            let legs = [request.has_dense_leg(), request.has_lexical_leg()];
            let wanted = depth * legs.into_iter().filter(|is_asked| *is_asked).count();
            let most = most_compared(chunks, wanted).min(MAX_COMPARED as f64);
            let must_match = strategy.must_match(request);
            let listing =
                Listing::find(request, must_match, most as usize, Detail::Distance, |n| n <= most);
            if let Some(passing) = listing.passing {
                return Ok(strategy.comparing(AllowList::Passing(passing)));
            }
            let share = |count: f64| (count / chunks).min(1.0);
            let selectivity = Selectivity {
                expected: share(listing.expected.max(listing.at_least)),
                at_least: share(listing.at_least),
            };
            strategy.access = ChunkAccess::Indexes { check, selectivity };
        }
        match strategy.with_phrases(request)? {
            Some(chunks) => Ok(strategy.comparing(AllowList::WithPhrases(chunks))),
            None => Ok(strategy),
        }
    }

    /// The visible chunks with the question's phrases, which the inverted file narrows down to those with all their words. `None` where
    /// there are no phrases, or so many chunks that an index is cheaper.
    fn with_phrases(&self, request: &Request) -> Result<Option<Vec<i64>>> {
        let lexemes: Vec<&str> =
            request.question.phrase_lexemes.iter().map(String::as_str).collect();
        if self.phrases == Phrases::AsWords || lexemes.is_empty() {
            return Ok(None);
        }
        let checkpoint = &mut interrupt::checkpoint;
        let terms = request.index()?.terms(&lexemes, checkpoint)?;
        // Under row security only what is visible may decide.
        let most = if request.has_policies { usize::MAX } else { MAX_COMPARED };
        let Some(holding) = terms.holding_all(most, checkpoint)? else { return Ok(None) };
        let chunks = visible_of(request, self.must_match(request), &holding, None);
        Ok((chunks.len() <= MAX_COMPARED).then_some(chunks))
    }

    /// Judges a run of this strategy.
    pub fn judge(&self, request: &Request, run: &Run) -> Result<Verdict> {
        let found = run.found;
        let mut verdict = Verdict::Enough;
        if let ChunkAccess::Indexes { check, selectivity } = self.access {
            let are_some_gone = run.fetched == 0 || found < run.fetched;
            if check == Check::Late && found < self.wanted && are_some_gone {
                let access = ChunkAccess::Indexes { check: Check::Early, selectivity };
                return Ok(Verdict::Retry(Self { access, ..self.clone() }));
            }
            let is_short =
                found < self.wanted && (request.is_restricted() || check == Check::Early);
            if is_short && run.may_have_missed(request) {
                let must_match = self.must_match(request);
                match Listing::find(request, must_match, MAX_COMPARED, Detail::Distance, |_| true)
                    .passing
                {
                    Some(passing) => {
                        let next = self.clone().comparing(AllowList::Passing(passing));
                        return Ok(Verdict::Retry(next));
                    }
                    None => verdict = Verdict::Incomplete,
                }
            }
        }
        // Chunks that come close should not be hidden by a phrase that none has.
        if found == 0 && request.question.has_phrases && self.phrases == Phrases::Required {
            let (depth, wanted) = (self.depth, self.wanted);
            return Self::first(request, Phrases::AsWords, depth, wanted).map(Verdict::Retry);
        }
        Ok(verdict)
    }

    /// The same over a list of chunks.
    fn comparing(mut self, allow_list: AllowList) -> Self {
        if self.lexical == LexicalChoice::Foreign {
            self.lexical = LexicalChoice::Builtin(Some("each chunk that is left was compared"));
        }
        self.access = ChunkAccess::CompareAll(Rc::new(allow_list));
        self
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

    /// The chunks of the allow-list and how far each is from the question, if that was found out when they were listed.
    pub fn distances(&self) -> Option<impl Iterator<Item = (f64, i64)>> {
        let Some(AllowList::Passing(passing)) = self.allow_list() else { return None };
        let distances = passing.distances.as_ref()?.iter().copied();
        Some(distances.zip(passing.matching.iter().copied()))
    }

    /// The allow-list, if one is compared.
    pub fn allow_list(&self) -> Option<&AllowList> {
        match &self.access {
            ChunkAccess::CompareAll(list) => Some(list),
            ChunkAccess::Indexes { .. } => None,
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.access {
            ChunkAccess::CompareAll(list) => match &**list {
                AllowList::Passing(passing) => match passing.chunks.len() {
                    0 => write!(f, "filter and policies leave no chunk"),
                    n => write!(
                        f,
                        "filter and policies leave {n} chunks, each of which was compared"
                    ),
                },
                AllowList::WithPhrases(chunks) => {
                    write!(
                        f,
                        "{} chunks have the phrases, each of which was compared",
                        chunks.len()
                    )
                }
            },
            ChunkAccess::Indexes { check: Check::Early, .. } => {
                write!(f, "each leg by its index, filter and source checked in the legs")
            }
            ChunkAccess::Indexes { check: Check::Late, .. } => {
                write!(f, "each leg by its index, source checked of the candidates")
            }
        }
    }
}
