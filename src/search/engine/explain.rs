//! A search that shows what it did: the same search, its strategy, and the candidates that it did not score.
use crate::catalog::lexical::Access;
use crate::search::access_path::{AccessPath, joined, name_of};
use crate::search::candidate::{ChunkCandidate, Fate};
use crate::search::engine::request::Request;
use crate::search::engine::strategy::{LexicalChoice, Phrases};
use crate::search::engine::{Outcome, Ranked, Run, Timings, outcome, ranked};
use crate::search::loading::Loading;
use crate::search::options::Options;
use crate::search::question::Question;
use rag::Result;
use rag::model::Embedding;
use rag::search::explain::Leg;
use rag::search::lexical::Engine;
use rag::search::weights::SignalWeights;
use std::time::Instant;

/// A search and its explanation.
pub struct Explained {
    pub outcome: Outcome,
    /// Candidates that were not scored, best first.
    pub not_ranked: Vec<ChunkCandidate>,
    /// How candidates were generated.
    pub strategy: String,
    /// Whether better chunks may have been missed.
    pub is_degraded: bool,
    /// How each leg got at its chunks.
    pub legs: Vec<Leg>,
    /// Weights of the signals that the order is by.
    pub weights: SignalWeights,
    /// What the order is by.
    pub order: &'static str,
    /// What went otherwise than asked.
    pub notes: Vec<String>,
    /// Whose index found the chunks of the lexical leg.
    pub lexical: Engine,
    pub top_k: usize,
    /// How many candidates were to be scored.
    pub wanted: usize,
}

/// What an incomplete run says.
pub const INCOMPLETE: &str = "the vector index ended its scan before it had enough chunks that pass, and there are \
                              too many to compare all: raise hnsw.max_scan_tuples or ivfflat.max_probes";

/// What a run says whose lexical leg has spent its budget.
pub const DEGRADED: &str = "the words of the query occur in more chunks than the search may look at, so that better chunks may have been \
                            missed: raise rag_pg.search_budget";

/// Searches `collection` for `text` as [`crate::search::engine::search`] does, then fetches all candidates of both legs.
pub fn explain(collection: &str, text: &str, options: &Options) -> Result<Explained> {
    let started = Instant::now();
    let (request, embed) = Request::prepare(collection, text, options, |_| ())?;
    let Ranked { candidates, run, timings } = ranked(&request)?;
    let timings = Timings { embed, total: started.elapsed(), ..timings };
    let (all, fetched) = run.fetch(&request, run.fused.len());
    let legs = vec![dense_leg(&request, &run, &all), lexical_leg(&request, &run, &all)];
    let notes = notes(&request, &run, &legs, fetched - all.len());
    let order = order(request.has_token_vectors());
    let lexical =
        if run.lexical.is_foreign { request.resolved.generation.lexical } else { Engine::Builtin };
    let weights = run.weights(&request);
    let is_new =
        |one: &ChunkCandidate| candidates.iter().all(|other| other.chunk_id != one.chunk_id);
    let mut not_ranked: Vec<ChunkCandidate> = all.into_iter().filter(is_new).collect();
    for candidate in &mut not_ranked {
        candidate.fate = Fate::NotRanked;
    }
    let (top_k, wanted) = (options.top_k, run.strategy.wanted);
    let (strategy, is_degraded) = (run.strategy.to_string(), run.is_degraded());
    let outcome = outcome(request, candidates, timings);
    Ok(Explained {
        outcome,
        not_ranked,
        strategy,
        is_degraded,
        legs,
        weights,
        order,
        notes,
        lexical,
        top_k,
        wanted,
    })
}

fn dense_leg(request: &Request, run: &Run, all: &[ChunkCandidate]) -> Leg {
    let has_leg = request.has_dense_leg();
    Leg {
        name: "dense",
        access: match run.strategy.distances() {
            _ if !has_leg => None,
            Some(_) => Some("compared as they were listed".to_owned()),
            None => joined(&run.dense_access(request)),
        },
        wanted: has_leg.then(|| format!("the nearest {}", run.strategy.depth)),
        found: all.iter().filter(|candidate| candidate.ranks.dense_rank.is_some()).count(),
    }
}

fn lexical_leg(request: &Request, run: &Run, all: &[ChunkCandidate]) -> Leg {
    let access = match &request.foreign_index {
        Access::Index(index) if run.lexical.is_foreign => Some(index.described()),
        _ => run.lexical.description.as_ref().and_then(|_| {
            let name = name_of(request.resolved.generation.postings)?;
            Some(format!("inverted file {name}"))
        }),
    };
    let found = all.iter().filter(|candidate| candidate.ranks.lexical_rank.is_some()).count();
    Leg { name: "lexical", access, wanted: run.lexical.description.clone(), found }
}

/// What the order of candidates is by.
pub fn order(has_token_vectors: bool) -> &'static str {
    if has_token_vectors {
        "late interaction, similarity and BM25 as standard scores"
    } else {
        "similarity and BM25 as standard scores"
    }
}

/// What a search knows of the question and of what there is to search, wherever that is.
pub struct Circumstances<'a> {
    pub options: &'a Options,
    pub question: &'a Question,
    pub embedding: Option<&'a Embedding>,
    pub dense_weight: f64,
    pub text_search_config: &'a str,
    pub has_bits: bool,
    /// Whether no chunk has the phrases.
    pub are_phrases_words: bool,
}

impl Circumstances<'_> {
    /// What went otherwise than asked.
    pub fn notes(&self) -> Vec<String> {
        let Self { options, question, embedding, text_search_config, .. } = self;
        let mut notes = Vec::new();
        notes.extend(
            options
                .standalone
                .as_ref()
                .map(|text| format!("with the history the query is \"{text}\"")),
        );
        let mut note = |applies: bool, text: &str| notes.extend(applies.then(|| text.to_owned()));
        note(
            (self.dense_weight > 0.0 || options.rerank) && embedding.is_none(),
            "the model sees nothing in the query, so there is no dense leg",
        );
        note(
            embedding.is_some_and(|embedding| embedding.truncated),
            "the query is longer than the model's window, and its end did not count",
        );
        note(
            options.lexical_weight > 0.0 && question.lexemes.is_empty(),
            &format!(
                "text search configuration {text_search_config} finds no lexeme in the query, so there is no lexical leg"
            ),
        );
        note(
            self.are_phrases_words,
            "no chunk has the phrases of the query, so their words count like others",
        );
        note(
            options.rerank && !self.has_bits,
            "the collection keeps no token bits, so there is no late interaction",
        );
        notes
    }
}

/// What went otherwise than asked. `gone` candidates were kept by the fusion and rejected after it.
fn notes(request: &Request, run: &Run, legs: &[Leg], gone: usize) -> Vec<String> {
    let Request { options, question, embedding, resolved, loading, .. } = request;
    let generation = &resolved.generation;
    let strategy = &run.strategy;
    let circumstances = Circumstances {
        options,
        question,
        embedding: embedding.as_ref(),
        dense_weight: request.weights.dense,
        text_search_config: &resolved.collection.text_search_config,
        has_bits: generation.bits.is_some(),
        are_phrases_words: strategy.phrases == Phrases::AsWords,
    };
    let mut notes = circumstances.notes();
    let mut note = |applies: bool, text: String| notes.extend(applies.then_some(text));
    note(
        options.lexical_weight > 0.0 && request.has_policies,
        "row-level security applies: document frequencies are those of what the caller may see"
            .to_owned(),
    );
    note(
        !generation.is_loaded && generation.index_method != "none",
        "the vector index is not built yet".to_owned(),
    );
    note(loading.is_some(), loading.as_ref().map(Loading::message).unwrap_or_default());
    let found = legs[0].found;
    note(
        run.dense_access(request).iter().any(AccessPath::is_vector_index)
            && found < strategy.depth
            && !run.is_incomplete,
        format!("the vector index gave {found} of {} chunks", strategy.depth),
    );
    note(run.is_incomplete, INCOMPLETE.to_owned());
    note(run.lexical.is_degraded, DEGRADED.to_owned());
    if let LexicalChoice::Builtin(Some(reason)) = strategy.lexical
        && options.lexical_weight > 0.0
    {
        let name = generation.lexical.name();
        note(true, format!("{name} did not find the words, the built-in index did: {reason}"));
    }
    note(gone > 0, format!("{gone} candidates are left out: their documents are gone"));
    notes
}
