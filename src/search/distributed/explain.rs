//! A distributed search that shows what it did.
use crate::catalog::distributed::Distributed;
use crate::search::candidate::{ChunkCandidate, Fate};
use crate::search::distributed::{Fusion, Search};
use crate::search::engine::explain as local;
use crate::search::engine::explain::{Circumstances, DEGRADED, Explained, INCOMPLETE};
use crate::search::engine::term_statistics::TermStatistics;
use crate::search::loading::Loading;
use crate::search::options::Options;
use rag::Result;
use rag::search::explain::Leg;
use rag::search::fusion::Fused;
use rag::search::lexical::Engine;
use rag::search::shard::local_id;
use std::collections::HashSet;
use std::time::Instant;

/// Searches a collection, distributed or not, and explains the search.
pub fn explain(collection: &str, text: &str, options: &Options) -> Result<Explained> {
    let error = match local::explain(collection, text, options) {
        Err(error) if error.is_undefined() => error,
        explained => return explained,
    };
    match Distributed::find(collection)? {
        Some(distributed) => Search::prepare(distributed, text, options)?.explained(),
        None => Err(error),
    }
}

impl Search<'_> {
    fn explained(mut self) -> Result<Explained> {
        let started = Instant::now();
        let known = self.statistics()?;
        let generation = self.generation(&known);
        let ranked = self.ranked(&known, &generation)?;
        let depth = ranked.depth;
        let statistics =
            self.has_lexical_leg().then(|| TermStatistics::of_parts(&known.statistics));
        let ids: HashSet<i64> = ranked.candidates.iter().map(|one| one.chunk_id).collect();
        let is_new = |one: &&Fused| !ids.contains(&one.chunk_id);
        let rest: Vec<Fused> = ranked.fusion.fused.iter().filter(is_new).copied().collect();
        let mut not_ranked: Vec<ChunkCandidate> = Vec::new();
        if !rest.is_empty() {
            not_ranked = self.fetch(&known, statistics.as_ref(), &rest)?;
        }
        for candidate in &mut not_ranked {
            candidate.fate = Fate::NotRanked;
        }
        let legs = self.legs(&ranked.fusion, depth);
        let loading = known.loading(&self.distributed.name);
        let notes = self.notes(&ranked.fusion, loading.as_ref());
        let order = local::order(self.asked.rerank);
        let strategy = self.strategy(&ranked.fusion);
        let (top_k, is_degraded) = (self.options.top_k, self.is_degraded(&ranked.fusion));
        let (mut outcome, _, weights, wanted) =
            self.outcome(&known, generation, ranked, started)?;
        outcome.timings.total = outcome.timings.embed + started.elapsed();
        Ok(Explained {
            outcome,
            not_ranked,
            strategy,
            is_degraded,
            legs,
            weights,
            order,
            notes,
            lexical: Engine::Builtin,
            top_k,
            wanted,
        })
    }

    /// What each server did.
    fn strategy(&self, fusion: &Fusion) -> String {
        let told = fusion.legs.iter().map(|(position, legs)| {
            format!("on {} {}", self.parts[*position].place(), legs.strategy)
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// The legs of each server: how many of its chunks are in those of the whole.
    fn legs(&self, fusion: &Fusion, depth: usize) -> Vec<Leg> {
        let mut all = Vec::new();
        for (position, legs) in &fusion.legs {
            let part = &self.parts[*position];
            let count = |has_rank: fn(&Fused) -> bool| {
                let is_its = |one: &&Fused| local_id(one.chunk_id).0 == part.slot && has_rank(one);
                fusion.fused.iter().filter(is_its).count()
            };
            let leg = |name, what: &str, sent: usize, found| Leg {
                name,
                access: Some(format!("{sent} chunks of {} on {}", part.remote, part.place())),
                wanted: Some(format!("the {what} {depth} of all")),
                found,
            };
            let dense = count(|one| one.dense_rank.is_some());
            all.push(leg("dense", "nearest", legs.dense.len(), dense));
            let lexical = count(|one| one.lexical_rank.is_some());
            all.push(leg("lexical", "best", legs.lexical.len(), lexical));
        }
        all
    }

    fn notes(&self, fusion: &Fusion, loading: Option<&Loading>) -> Vec<String> {
        let circumstances = Circumstances {
            options: self.options,
            question: &self.question,
            embedding: self.embedding.as_ref(),
            dense_weight: self.asked.dense_weight,
            text_search_config: &self.distributed.text_search_config,
            has_bits: self.distributed.has_bits,
            are_phrases_words: !fusion.are_phrases_required,
        };
        let mut notes = self.left_out();
        notes.extend(circumstances.notes());
        notes.extend(loading.map(Loading::message));
        notes.extend(fusion.is_incomplete().then(|| INCOMPLETE.to_owned()));
        notes.extend(fusion.is_degraded().then(|| DEGRADED.to_owned()));
        notes
    }
}
