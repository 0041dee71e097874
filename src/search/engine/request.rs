//! A search as it is prepared once: what is asked for, and the rights of the caller.
use crate::catalog::inverted::{self, SegmentLists};
use crate::catalog::lexical::Access;
use crate::search::candidate::{ChunkCandidate, rank};
use crate::search::engine::term_statistics::Estimate;
use crate::search::filter::{Filter, OWN_PARAMETERS};
use crate::search::loading::Loading;
use crate::search::options::Options;
use crate::search::question::Question;
use crate::search::resolve::{Resolved, resolve};
use crate::sys::interrupt;
use crate::sys::privileges::row_security_applies;
use crate::sys::text_search::Config;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use rag::Result;
use rag::inverted::{Index, Terms};
use rag::model::{Detail, Embedding};
use rag::search::calibration::OfScript;
use rag::search::shard::Statistics;
use rag::search::weights::SignalWeights;
use std::cell::{OnceCell, RefCell};
use std::time::{Duration, Instant};

/// What a search is asked for, and what all its runs share.
pub struct Request {
    pub resolved: Resolved,
    pub filter: Filter,
    pub options: Options,
    pub question: Question,
    /// Of its signals, before the weights of its lexemes are known.
    pub weights: SignalWeights,
    /// What is known of questions in its script.
    pub known: Option<OfScript>,
    /// The question's embedding, with token vectors when reranked; `None` when no part of the search needed or allowed one.
    pub embedding: Option<Embedding>,
    /// Another extension's index, if the lexical leg may ask one.
    pub foreign_index: Access,
    /// Whether policies of the source apply to the caller. If so, no statistics of all chunks may show.
    pub has_policies: bool,
    /// Whether the chunks' own policy, which checks the source, applies too.
    pub has_chunk_policy: bool,
    /// What is not searchable yet.
    pub loading: Option<Loading>,
    /// Term statistics of a whole that the collection is a part of; `None`: its own count.
    pub statistics: Option<Statistics>,
    /// Term statistics that a run estimated.
    pub estimated: RefCell<Option<Estimate>>,
    /// Random chunks among which candidates hide, and how many were wanted.
    pub random_chunks: RefCell<(usize, Vec<i64>)>,
    /// Opened when a run first needs it.
    index: OnceCell<Index<SegmentLists>>,
}

/// The question's lexemes in the inverted file.
pub type QuestionTerms<'a> = Terms<'a, SegmentLists>;

impl Request {
    /// Reads the catalog and embeds the question, which takes the time that is returned too.
    pub fn prepare(
        collection: &str,
        text: &str,
        options: &Options,
        found: impl FnOnce(i32),
    ) -> Result<(Self, Duration)> {
        let resolved = resolve(collection, found)?;
        let Resolved { collection, generation, .. } = &resolved;
        let reranks = options.rerank && generation.bits.is_some();
        let config = Config::named(&collection.text_search_config);
        let question = Question::read(options.text(text), options.syntax, config);
        let started = Instant::now();
        let embedding = if reranks || options.dense_weight != Some(0.0) {
            let detail = if reranks { Detail::Tokens } else { Detail::Vector };
            question.embed(collection, generation, detail)?
        } else {
            None
        };
        let embed = started.elapsed();
        Ok((Self::of(resolved, options, question, embedding)?, embed))
    }

    /// A request whose question is read and embedded.
    pub fn of(
        resolved: Resolved,
        options: &Options,
        question: Question,
        embedding: Option<Embedding>,
    ) -> Result<Self> {
        let Resolved { collection, generation, tables, .. } = &resolved;
        let filter = Filter::compile(options.filter.as_ref(), collection, &tables.documents)?;
        let known = question.known(generation, embedding.is_some());
        let Options { dense_weight, lexical_weight, rerank_weight, .. } = *options;
        Ok(Self {
            weights: SignalWeights::new(
                dense_weight,
                lexical_weight,
                rerank_weight,
                known.as_ref(),
            ),
            known,
            foreign_index: Access::of(collection, generation),
            loading: Loading::of(collection, generation),
            has_policies: row_security_applies(collection.source),
            has_chunk_policy: row_security_applies(generation.chunks),
            filter,
            options: options.clone(),
            question,
            embedding,
            statistics: None,
            estimated: RefCell::default(),
            random_chunks: RefCell::default(),
            index: OnceCell::new(),
            resolved,
        })
    }

    /// Orders its candidates by these weights, and sets their relevance.
    pub fn rank(
        &self,
        candidates: &mut Vec<ChunkCandidate>,
        weights: &SignalWeights,
    ) -> Result<()> {
        let generation = &self.resolved.generation;
        let relevance = self.known.map(|known| known.relevance).unwrap_or_default();
        rank(candidates, generation, self.embedding.as_ref(), weights, &relevance)
    }

    /// Whether filter or policies may reject chunks.
    pub fn is_restricted(&self) -> bool {
        self.filter.sql().is_some() || self.has_policies
    }

    /// Whether there is a vector to compare chunks with.
    pub fn has_dense_leg(&self) -> bool {
        self.weights.dense > 0.0 && self.embedding.is_some()
    }

    /// Whether there are lexemes to look for.
    pub fn has_lexical_leg(&self) -> bool {
        self.options.lexical_weight > 0.0 && !self.question.lexemes.is_empty()
    }

    /// Whether candidates are scored by token vectors.
    pub fn has_token_vectors(&self) -> bool {
        self.embedding.as_ref().is_some_and(|embedding| embedding.tokens.is_some())
    }

    /// SQL that is true for chunks that the caller may see and the filter lets pass.
    pub fn visible_sql(&self) -> String {
        let filter = self.filter.sql();
        if filter.is_none() && self.has_chunk_policy {
            return "true".to_owned();
        }
        self.resolved.collection.source_visible_where("c", filter)
    }

    /// The generation's inverted file.
    pub fn index(&self) -> Result<&Index<SegmentLists>> {
        if self.index.get().is_none() {
            let index = inverted::open(&self.resolved.generation)?;
            return Ok(self.index.get_or_init(|| index));
        }
        Ok(self.index.get().expect("opened"))
    }

    /// The question's lexemes in it.
    pub fn terms(&self) -> Result<QuestionTerms<'_>> {
        let lexemes: Vec<&str> = self.question.lexemes.iter().map(String::as_str).collect();
        self.index()?.terms(&lexemes, &mut interrupt::checkpoint)
    }

    /// Arguments of a statement: those that every statement has, NULL unless `set` gives them, and the filter's.
    pub fn arguments(
        &self,
        set: impl FnOnce(&mut [DatumWithOid<'static>; OWN_PARAMETERS]),
    ) -> Vec<DatumWithOid<'static>> {
        let mut own = [
            self.resolved.pgvector.argument(None),
            DatumWithOid::null_oid(pg_sys::INT8OID),
            DatumWithOid::null_oid(pg_sys::TSQUERYOID),
            DatumWithOid::null_oid(pg_sys::INT8ARRAYOID),
        ];
        set(&mut own);
        own.into_iter().chain(self.filter.arguments()).collect()
    }

    /// The question's vector as an argument.
    pub fn vector(&self) -> DatumWithOid<'static> {
        let vector = self.embedding.as_ref().map(|embedding| embedding.vector.as_slice());
        self.resolved.pgvector.argument(vector)
    }
}
