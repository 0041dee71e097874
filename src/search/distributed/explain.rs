//! A distributed search that shows what it did.
use crate::catalog::distributed::Distributed;
use crate::search::candidate::{ChunkCandidate, Fate};
use crate::search::distributed::{Fusion, Search};
use crate::search::engine::explain as local;
use crate::search::engine::explain::{DEGRADED, Explained, INCOMPLETE};
use crate::search::engine::term_statistics::TermStatistics;
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
        let (legs, notes) = (self.legs(&ranked.fusion, depth), self.notes(&ranked.fusion));
        let order = if self.asked.rerank {
            "late interaction, similarity and BM25 as standard scores"
        } else {
            "similarity and BM25 as standard scores"
        };
        let strategy = self.strategy(&ranked.fusion);
        let (top_k, is_degraded) = (self.options.top_k, self.is_degraded(&ranked.fusion));
        let (mut outcome, _, weights, wanted) = self.outcome(known, generation, ranked, started)?;
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
            format!("on server \"{}\" {}", self.parts[*position].server.name, legs.strategy)
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
                access: Some(format!(
                    "{sent} chunks of {} on server \"{}\"",
                    part.remote, part.server.name
                )),
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

    fn notes(&self, fusion: &Fusion) -> Vec<String> {
        let mut notes = self.left_out();
        if let Some(standalone) = &self.options.standalone {
            notes.push(format!("with the history the query is \"{standalone}\""));
        }
        if !fusion.are_phrases_required {
            notes.push(
                "no chunk has the phrases of the query, so their words count like others"
                    .to_owned(),
            );
        }
        notes.extend(fusion.is_incomplete().then(|| INCOMPLETE.to_owned()));
        notes.extend(fusion.is_degraded().then(|| DEGRADED.to_owned()));
        notes
    }
}
