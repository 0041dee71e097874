//! Candidate generation: runs a strategy, and others after it until one finds enough or nothing is left to try.
use crate::search::access_path::AccessPath;
use crate::search::candidate::ChunkCandidate;
use crate::search::engine::lexical::{self, LexicalLeg};
use crate::search::engine::request::Request;
use crate::search::engine::strategy::{LexicalChoice, Phrases, Strategy, Verdict};
use crate::search::statement::{DenseScan, Shape, search_settings, statement};
use crate::sys::plan;
use crate::sys::plan::scans;
use crate::sys::rights::key_text_settings;
use crate::sys::text_search::tsquery;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use rag::search::partial_results;

/// Candidates that the fusion keeps beyond those wanted, in case some of their documents are gone.
const SPARE: usize = 20;

/// What a strategy found.
pub struct Run {
    pub strategy: Strategy,
    pub lexical: LexicalLeg,
    /// In order of reciprocal rank fusion.
    pub candidates: Vec<ChunkCandidate>,
    /// Candidates that the fusion kept, visible or not.
    pub fused_count: usize,
    /// Whether the vector index may have missed chunks.
    pub is_incomplete: bool,
}

/// Generates up to `wanted` candidates, from legs of `depth` ranks.
pub fn generate(request: &Request, depth: usize, wanted: usize) -> Run {
    let mut strategy = Strategy::first(request, Phrases::Required, depth, wanted);
    loop {
        let mut run = Run::new(request, strategy);
        strategy = match run.strategy.judge(request, &run) {
            Verdict::Retry(next) => next,
            Verdict::Enough => return run,
            Verdict::Incomplete => {
                run.is_incomplete = true;
                return run;
            }
        }
    }
}

impl Run {
    fn new(request: &Request, mut strategy: Strategy) -> Self {
        let lexical = lexical::leg(request, &strategy).unwrap_or_else(|reason| {
            strategy.lexical = LexicalChoice::Builtin(Some(reason));
            lexical::leg(request, &strategy).unwrap_or_default()
        });
        let wanted = strategy.wanted;
        let mut run = Self {
            strategy,
            lexical,
            candidates: Vec::new(),
            fused_count: 0,
            is_incomplete: false,
        };
        (run.candidates, run.fused_count) = run.read_candidates(request, wanted);
        run
    }

    /// Up to `limit` candidates of the fusion that filter and source let pass, and how many it kept in all.
    pub fn read_candidates(&self, request: &Request, limit: usize) -> (Vec<ChunkCandidate>, usize) {
        let Some((sql, arguments)) = self.statement(request, limit) else {
            return (Vec::new(), 0);
        };
        let _settings = search_settings(self.strategy.depth, &request.resolved.generation);
        let keys = request.resolved.collection.keys.len();
        let mut key_text = None;
        let candidates = plan::read_as_caller(&sql, &arguments, |row| {
            // Policies have run under the caller's settings; keys come out the same whatever those are.
            key_text.get_or_insert_with(key_text_settings);
            ChunkCandidate::read(row, keys)
        });
        let fused_count = candidates.first().map_or(0, |candidate| candidate.fused);
        (candidates, usize::try_from(fused_count).unwrap_or_default())
    }

    /// The statement of the dense leg and the fusion, with its arguments; `None` when neither leg has anything to go by.
    fn statement(
        &self,
        request: &Request,
        limit: usize,
    ) -> Option<(String, Vec<DatumWithOid<'static>>)> {
        let Self { strategy, lexical, .. } = self;
        let Request { resolved, filter, options, .. } = request;
        let allow_list = strategy.allow_list();
        let must_match = strategy.must_match(request);
        let shape = Shape {
            dense: if request.has_dense_leg() { strategy.depth } else { 0 },
            limit,
            must_match: must_match.is_some(),
            dense_scan: match allow_list {
                Some(_) => DenseScan::AllowList,
                None if strategy.checks_early() => DenseScan::CheckedIndex,
                None => DenseScan::Index,
            },
            with_bits: options.rerank && request.has_token_vectors(),
        };
        if shape.dense == 0 && lexical.partials.is_empty() {
            return None;
        }
        let fusion = partial_results::FusionRequest {
            terms: lexical.terms.clone(),
            documents: lexical.documents,
            depth: strategy.depth,
            limit: limit + if strategy.checks_early() { 0 } else { SPARE },
            dense_weight: options.dense_weight,
            lexical_weight: options.lexical_weight,
            is_ranked: lexical.ranked.is_some(),
        };
        let sql = statement(&resolved.collection, &resolved.tables, filter, shape);
        let vector = request.embedding.as_ref().map(|embedding| embedding.vector.as_slice());
        let arguments = request.arguments(|own| {
            own[0] = resolved.pgvector.argument(vector);
            own[1] = fusion.pack().into();
            own[2] = lexical.partials.clone().into();
            own[3] = tsquery(must_match);
            own[4] = DatumWithOid::null_oid(pg_sys::INT8OID);
            own[5] = allow_list.map(|tids| tids.to_vec()).into();
        });
        Some((sql, arguments))
    }

    /// Whether the vector index may have stopped early with matching chunks unseen: it was scanned, and no phrase is required, by
    /// which the lexical leg would find every match.
    pub fn may_have_missed(&self, request: &Request) -> bool {
        let requires_phrases = self.strategy.phrases == Phrases::Required
            && request.question.has_phrases
            && request.options.lexical_weight > 0.0;
        !requires_phrases && self.dense_access(request).iter().any(AccessPath::is_vector_index)
    }

    /// How the plan of the statement that ran reads the dense leg's chunks.
    pub fn dense_access(&self, request: &Request) -> Vec<AccessPath> {
        let statement = self.statement(request, self.strategy.wanted);
        statement.map_or_else(Vec::new, |(sql, arguments)| {
            AccessPath::of(&scans::of_cte(&sql, &arguments, "dense"))
        })
    }
}
