//! Search over a collection: one statement gathers candidates and fuses them by rank, then their scores
//! order them.
//!
//! Everything runs with the caller's rights and in the caller's snapshot.

pub mod expand;
pub mod explain;
pub mod gather;
pub mod lexical_leg;
pub mod quotable;
pub mod term_statistics;
use crate::catalog::collection::{Collection, Generation};
use crate::catalog::lexical::Access;
use crate::catalog::vector_index;
pub use crate::search::comparable::values;
pub use crate::search::engine::explain::{Explained, explain};
pub use crate::search::engine::quotable::Quotable;
use crate::search::engine::term_statistics::TermStatistics;
use crate::search::filter::Filter;
pub use crate::search::found::{Fate, Found, key_of};
pub use crate::search::loading::Loading;
use crate::search::pgvector::PgVector;
use crate::search::question::Question;
use crate::search::rank::rank;
use crate::search::resolve::{Resolved, resolve};
use crate::search::statement::Names;
use crate::search::trace::timed;
pub use crate::search::trace::{Trace, milliseconds};
use crate::sys::cursor::Snapshot;
use crate::sys::privileges;
use crate::sys::text_search::Config;
use rag::model::{Detail, Embedding};
use rag::rerank::MAX_SIM_WEIGHT;
use rag::search::diverse::{Choice, Limits, choose};
use rag::search::filter::Filter as Tree;
use rag::search::passage::Passage;
use rag::{Error, Result};
use serde_json::Value;
use std::time::Instant;

/// How to search.
#[derive(Debug, Clone)]
pub struct Options {
    /// Chunks to return.
    pub top_k: usize,
    /// Which documents and chunks it is about.
    pub filter: Option<Tree>,
    /// The same as the caller wrote it.
    pub filter_text: Option<Value>,
    /// Whether late interaction counts beside the legs' own scores.
    pub rerank: bool,
    /// Ranks of each leg that count.
    pub depth: usize,
    /// Candidates whose scores are compared.
    pub candidates: usize,
    /// Weight of the dense leg; 0 leaves it out.
    pub dense_weight: f64,
    /// Weight of the lexical leg; 0 leaves it out.
    pub lexical_weight: f64,
    /// Weight of MaxSim beside the legs' own scores.
    pub rerank_weight: f64,
    /// Most chunks of one document.
    pub per_document: Option<usize>,
    /// Resemblance with a better chunk from which on one is left out.
    pub near_duplicate: Option<f64>,
    /// Chunks on each side that come with one that was found.
    pub expand: usize,
    /// Whether those are to be quoted, so that each is needed by itself.
    pub quotes: bool,
}

/// Chunks to return when none are asked for.
pub const DEFAULT_TOP_K: i32 = 5;

/// Most chunks that one search returns, ranks, or has a leg find.
pub const MOST_CANDIDATES: usize = 1_000;

impl Options {
    /// The default way to find the best `top_k` chunks.
    pub fn top(top_k: usize) -> Self {
        Self {
            top_k,
            filter: None,
            filter_text: None,
            rerank: true,
            depth: 100.max(top_k),
            candidates: 50.max(top_k),
            dense_weight: 1.0,
            lexical_weight: 1.0,
            rerank_weight: MAX_SIM_WEIGHT,
            per_document: None,
            near_duplicate: None,
            expand: 0,
            quotes: false,
        }
    }
}

/// What a search found, and the question as the model sees it.
pub struct Outcome {
    /// The collection searched.
    pub collection: Collection,
    /// The generation searched.
    pub generation: Generation,
    /// Best first.
    pub found: Vec<Found>,
    /// The other candidates that were ranked, best first.
    pub others: Vec<Found>,
    /// Where neighbours were asked for: what was found with them, each stretch once.
    pub passages: Option<Vec<Passage>>,
    /// Where they are to be quoted: the chunks of these stretches that were not found themselves.
    pub neighbours: Vec<Found>,
    /// How it was searched in the end.
    pub options: Options,
    /// What is not searchable yet.
    pub loading: Option<Loading>,
    /// How the search went.
    pub trace: Trace,
    /// The question's embedding, with token vectors when reranked; `None` when no part of it needed
    /// or allowed one.
    pub question: Option<Embedding>,
}

impl Outcome {
    /// The rank of the better chunk that a chunk which was found shares a passage with; `None` when the
    /// passage is its own, or there are none.
    pub fn merged_into(&self, chunk_id: i64) -> Option<usize> {
        let position = self.found.iter().position(|found| found.chunk_id == chunk_id)?;
        let passage = self.passages.iter().flatten().find(|p| p.hits.contains(&position))?;
        passage.hits.first().filter(|best| **best != position).map(|best| best + 1)
    }
}

/// Searches `collection` for `text`. `found` gets the number of the collection once it is known, whatever follows.
pub fn search(
    collection: &str,
    text: &str,
    options: &Options,
    found: impl FnOnce(i32),
) -> Result<Outcome> {
    let started = Instant::now();
    let mut search = Search::prepare(collection, text, options, found)?;
    let ranked = search.run()?;
    if search.trace.is_cut {
        pgrx::notice!("{CUT}");
    }
    Ok(search.outcome(ranked, started))
}

/// What is said where a search may have missed chunks.
pub const CUT: &str = "the vector index ended its scan before it had enough chunks that pass, and there are \
                   too many to compare all: raise hnsw.max_scan_tuples or ivfflat.max_probes";

/// SELECT on the chunks is what `rag_grant` gives; on the source, what the source's owner gives.
fn require_rights(collection: &Collection, generation: &Generation) -> Result<()> {
    let name = &collection.name;
    if !privileges::may_select(generation.chunks) {
        return Err(Error::forbidden(format!("permission denied for collection \"{name}\""))
            .with_hint(format!(
                "Its owner can let a role search it: SELECT rag_grant({}, 'role');",
                pgrx::spi::quote_literal(name)
            )));
    }
    let needed = collection.source_columns();
    if !privileges::may_select_columns(collection.source, &needed) {
        let source = &collection.source_sql;
        let columns: Vec<String> = needed.iter().map(pgrx::spi::quote_identifier).collect();
        return Err(Error::forbidden(format!("permission denied for table {source}"))
            .with_detail("A role sees those chunks of a collection whose source rows it may read.")
            .with_hint(format!("GRANT SELECT ({}) ON {source} TO the role.", columns.join(", "))));
    }
    Ok(())
}

/// Refuses a caller without the rights that a search needs, and tables with code of their owner's that would run with the
/// caller's rights.
pub fn admit(collection: &Collection, generation: &Generation) -> Result<()> {
    require_rights(collection, generation)?;
    generation.require_intact(collection)
}

pub fn names(generation: &Generation, pgvector: &PgVector) -> Result<Names> {
    let mut tables = generation.tables_sql()?.into_iter();
    let mut next = || tables.next().unwrap_or_default();
    Ok(Names {
        distance: vector_index::distance("c", "$1", generation.dimensions, &pgvector.schema_sql),
        documents: next(),
        chunks: next(),
        bits: generation.bits.map(|_| next()),
    })
}

/// A search that is ready to run.
pub struct Search {
    collection: Collection,
    generation: Generation,
    pgvector: PgVector,
    names: Names,
    filter: Filter,
    options: Options,
    question: Question,
    embedding: Option<Embedding>,
    trace: Trace,
    loading: Option<Loading>,
    /// Whether another extension's index finds the chunks of the lexical leg.
    access: Access,
    /// What is known of the question's lexemes, once the legs need it.
    statistics: Option<TermStatistics>,
    /// Kept in force while the search lasts.
    _snapshot: Option<Snapshot>,
}

impl Search {
    fn prepare(
        collection: &str,
        text: &str,
        options: &Options,
        found: impl FnOnce(i32),
    ) -> Result<Self> {
        let Resolved { collection, generation, snapshot } = resolve(collection)?;
        found(collection.id);
        admit(&collection, &generation)?;
        let pgvector = PgVector::find()?;
        let names = names(&generation, &pgvector)?;
        let filter = Filter::compile(options.filter.as_ref(), &collection, &names.documents)?;
        let reranks = options.rerank && generation.bits.is_some();
        let question = Question::read(text, Config::named(&collection.text_search_config));
        let mut trace = Trace::default();
        let embedding = if reranks || options.dense_weight > 0.0 {
            let detail = if reranks { Detail::Tokens } else { Detail::Vector };
            timed(&mut trace.embed, || question.embed(&collection, &generation, detail))?
        } else {
            None
        };
        Ok(Self {
            access: Access::of(&collection, &generation),
            loading: Loading::of(&collection, &generation),
            collection,
            generation,
            pgvector,
            names,
            filter,
            options: options.clone(),
            question,
            embedding,
            trace,
            statistics: None,
            _snapshot: snapshot,
        })
    }

    /// All candidates, best first, with what becomes of each.
    ///
    /// Where documents or duplicates are held back, the usual number of candidates may not have enough
    /// others: then there are more.
    fn run(&mut self) -> Result<Vec<Found>> {
        loop {
            let mut found = self.ranked()?;
            let kept = self.choose(&mut found);
            let options = &mut self.options;
            let wants_more = options.per_document.is_some() || options.near_duplicate.is_some();
            let is_full = found.len() >= options.candidates && options.candidates < MOST_CANDIDATES;
            if kept >= options.top_k || !wants_more || !is_full {
                return Ok(found);
            }
            options.candidates = (options.candidates * 4).min(MOST_CANDIDATES);
            options.depth = options.depth.max(options.candidates);
        }
    }

    fn ranked(&mut self) -> Result<Vec<Found>> {
        let started = Instant::now();
        let mut found = self.candidates(self.question.required.clone());
        // A phrase that no chunk has as it stands should not hide those that come close.
        if found.is_empty() && self.question.has_phrases {
            self.trace.is_relaxed = true;
            found = self.candidates(self.question.excluded.clone());
        }
        self.trace.gather += started.elapsed();
        let started = Instant::now();
        rank(&mut found, &self.options, &self.generation, self.embedding.as_ref())?;
        self.trace.rank += started.elapsed();
        Ok(found)
    }

    /// Decides what becomes of each candidate; returns how many are kept.
    fn choose(&self, ranked: &mut [Found]) -> usize {
        let Options { top_k, per_document, near_duplicate, .. } = self.options;
        let limits = Limits { top_k, per_document, near_duplicate };
        let candidates: Vec<_> =
            ranked.iter().map(|found| (found.key.as_slice(), &found.content)).collect();
        let choices = choose(&candidates, |content| content, &limits);
        drop(candidates);
        for (found, choice) in ranked.iter_mut().zip(&choices) {
            found.fate = Fate::Ranked(*choice);
        }
        choices.iter().filter(|choice| **choice == Choice::Kept).count()
    }

    /// Parts what is returned from the rest.
    fn outcome(mut self, ranked: Vec<Found>, started: Instant) -> Outcome {
        let (found, others): (Vec<Found>, Vec<Found>) =
            ranked.into_iter().partition(|found| found.fate == Fate::Ranked(Choice::Kept));
        let passages = (self.options.expand > 0).then(|| self.expand(&found));
        let neighbours = match &passages {
            Some(passages) if self.options.quotes => self.neighbours(&found, passages),
            _ => Vec::new(),
        };
        self.trace.total = started.elapsed();
        let Self { collection, generation, embedding: question, trace, options, loading, .. } =
            self;
        Outcome {
            collection,
            generation,
            found,
            others,
            passages,
            neighbours,
            options,
            loading,
            trace,
            question,
        }
    }
}
