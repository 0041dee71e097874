//! Search over a collection: one statement gathers candidates and fuses them by rank, then their scores
//! order them.
//!
//! Everything runs with the caller's rights and in the caller's snapshot.
mod comparable;
mod explain;
mod filter;
mod found;
mod frequency;
mod gather;
mod hits;
mod pgvector;
mod question;
mod rank;
pub mod recall;
mod resolve;
pub mod settings;
mod statement;
mod text_search;
mod trace;
mod tsvector;

use super::collection::{Collection, Generation};
use super::cursor::Snapshot;
use super::{rights, vector_index};
use crate::model::{Detail, Embedding};
use crate::search::filter::Filter as Tree;
use crate::{Error, Result};
pub use comparable::values;
pub use explain::{Explained, explain};
use filter::Filter;
pub use found::{Fate, Found, key_of};
use pgvector::PgVector;
use question::Question;
use rank::rank;
use resolve::{Resolved, resolve};
use serde_json::Value;
use statement::Names;
use std::time::Instant;
use text_search::Config;
use trace::timed;
pub use trace::{Trace, milliseconds};

pgrx::extension_sql_file!("../../sql/search.sql", name = "search", requires = ["catalog"]);

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
}

/// Chunks to return when none are asked for.
pub const DEFAULT_TOP_K: i32 = 5;

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
            rerank_weight: 1.0,
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
    /// How the search went.
    pub trace: Trace,
    /// The question's embedding, with token vectors when reranked; `None` when no part of it needed
    /// or allowed one.
    pub question: Option<Embedding>,
}

/// Searches `collection` for `text`.
pub fn search(collection: &str, text: &str, options: &Options) -> Result<Outcome> {
    let started = Instant::now();
    let mut search = Search::prepare(collection, text, options)?;
    let ranked = search.run()?;
    if search.trace.is_cut {
        pgrx::notice!("{CUT}");
    }
    Ok(search.outcome(ranked, started))
}

/// What is said where a search may have missed chunks.
const CUT: &str = "the vector index ended its scan before it had enough chunks that pass, and there are \
                   too many to compare all: raise hnsw.max_scan_tuples or ivfflat.max_probes";

/// SELECT on the chunks is what `rag_grant` gives; on the source, what the source's owner gives.
pub fn require_rights(collection: &Collection, generation: &Generation) -> Result<()> {
    let name = &collection.name;
    if !rights::may_select(generation.chunks) {
        return Err(Error::forbidden(format!("permission denied for collection \"{name}\""))
            .with_hint(format!(
                "Its owner can let a role search it: SELECT rag_grant({}, 'role');",
                pgrx::spi::quote_literal(name)
            )));
    }
    let keys = collection.keys.iter().map(|key| key.name.as_str());
    let needed: Vec<&str> = keys.chain([collection.content.as_str()]).collect();
    if !rights::may_select_columns(collection.source, &needed) {
        let source = &collection.source_sql;
        let columns: Vec<String> = needed.iter().map(pgrx::spi::quote_identifier).collect();
        return Err(Error::forbidden(format!("permission denied for table {source}"))
            .with_detail("A role sees those chunks of a collection whose source rows it may read.")
            .with_hint(format!("GRANT SELECT ({}) ON {source} TO the role.", columns.join(", "))));
    }
    Ok(())
}

fn names(generation: &Generation, pgvector: &PgVector) -> Result<Names> {
    let mut tables = generation.tables_sql()?.into_iter();
    let mut next = || tables.next().unwrap_or_default();
    Ok(Names {
        vector: pgvector.schema_sql.clone(),
        distance: vector_index::distance("c", "$1", generation.dimensions, &pgvector.schema_sql),
        documents: next(),
        chunks: next(),
        bits: generation.bits.map(|_| next()),
    })
}

/// A search that is ready to run.
struct Search<'a> {
    collection: Collection,
    generation: Generation,
    pgvector: PgVector,
    names: Names,
    filter: Filter,
    options: &'a Options,
    question: Question,
    embedding: Option<Embedding>,
    trace: Trace,
    /// Kept in force while the search lasts.
    _snapshot: Option<Snapshot>,
}

impl<'a> Search<'a> {
    fn prepare(collection: &str, text: &str, options: &'a Options) -> Result<Self> {
        let Resolved { collection, generation, snapshot } = resolve(collection)?;
        require_rights(&collection, &generation)?;
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
            collection,
            generation,
            pgvector,
            names,
            filter,
            options,
            question,
            embedding,
            trace,
            _snapshot: snapshot,
        })
    }

    /// All candidates, best first.
    fn run(&mut self) -> Result<Vec<Found>> {
        let started = Instant::now();
        let mut found = self.candidates(self.question.required.clone());
        // A phrase that no chunk has as it stands should not hide those that come close.
        if found.is_empty() && self.question.has_phrases {
            self.trace.is_relaxed = true;
            found = self.candidates(self.question.excluded.clone());
        }
        self.trace.gather = started.elapsed();
        let started = Instant::now();
        rank(&mut found, self.options, &self.generation, self.embedding.as_ref())?;
        self.trace.rank = started.elapsed();
        Ok(found)
    }

    /// Parts the best from the rest.
    fn outcome(mut self, mut ranked: Vec<Found>, started: Instant) -> Outcome {
        let others = ranked.split_off(ranked.len().min(self.options.top_k));
        for found in &mut ranked {
            found.fate = Fate::Kept;
        }
        self.trace.total = started.elapsed();
        let Self { collection, generation, embedding: question, trace, .. } = self;
        Outcome { collection, generation, found: ranked, others, question, trace }
    }
}
