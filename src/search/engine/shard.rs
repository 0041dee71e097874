//! The steps of a search on a server that holds a part of the collection. The server that asks fuses what all parts found and ranks it.
use crate::catalog::inverted::damaged;
use crate::search::candidate::{ChunkCandidate, token_matches};
use crate::search::engine::passages::{chunks_with_bits, pieces};
use crate::search::engine::request::Request;
use crate::search::engine::strategy::{Phrases, Strategy, Verdict};
use crate::search::engine::term_statistics::TermStatistics;
use crate::search::engine::visibility::visible_of;
use crate::search::engine::{Run, chunks_of};
use rag::Result;
use rag::search::shard::{Around, Chunk, Legs, Statistics};
use std::collections::{BTreeSet, HashSet};

impl Run {
    /// As [`Run::generate`], without fetching, and without giving phrases up: another part may have them.
    fn of_part(request: &Request, phrases: Phrases, depth: usize, wanted: usize) -> Result<Self> {
        let mut strategy = Strategy::first(request, phrases, depth, wanted)?;
        loop {
            let mut run = Self::of_legs(request, strategy)?;
            run.keep_visible(request);
            strategy = match run.strategy.judge(request, &run)? {
                Verdict::Retry(next) if next.phrases == phrases => next,
                Verdict::Incomplete => {
                    run.is_incomplete = true;
                    return Ok(run);
                }
                Verdict::Retry(_) | Verdict::Enough => return Ok(run),
            }
        }
    }

    /// Drops from the legs what the caller may not see, if the legs did not ask.
    fn keep_visible(&mut self, request: &Request) {
        let wanted = self.strategy.wanted;
        let all: Vec<i64> = self.fused.iter().map(|one| one.chunk_id).collect();
        let is_checked = self.strategy.checks_early() || self.strategy.allow_list().is_some();
        self.fetched = all.len().min(wanted);
        if is_checked {
            self.found = self.fetched;
            return;
        }
        let asked = Some(2 * self.strategy.depth);
        let visible: HashSet<i64> = visible_of(request, None, &all, asked).into_iter().collect();
        self.dense.retain(|(_, chunk_id)| visible.contains(chunk_id));
        let lexical = &mut self.lexical;
        let mut is_seen = lexical.chunks.iter().map(|chunk_id| visible.contains(chunk_id));
        lexical.scores.retain(|_| is_seen.next().unwrap_or(false));
        lexical.chunks.retain(|chunk_id| visible.contains(chunk_id));
        self.found = visible.len().min(wanted);
        self.fetched = all.len().min(wanted);
    }
}

/// Term statistics of what the caller may see.
pub fn statistics(request: &Request) -> Result<Statistics> {
    let options = &request.options;
    let read = || {
        let strategy =
            Strategy::first(request, Phrases::Required, options.depth, options.candidates)?;
        let terms = request.terms()?;
        Ok(TermStatistics::of(request, &strategy, &terms)?.of_part())
    };
    read().map_err(|error| damaged(&request.resolved.generation, error))
}

/// What both legs find.
pub fn legs(request: &Request, phrases: Phrases, depth: usize, wanted: usize) -> Result<Legs> {
    let run = Run::of_part(request, phrases, depth, wanted)
        .map_err(|error| damaged(&request.resolved.generation, error))?;
    Ok(Legs {
        dense: run.dense.iter().map(|(distance, chunk_id)| (*chunk_id, *distance)).collect(),
        lexical: run.lexical.chunks.into_iter().zip(run.lexical.scores).collect(),
        strategy: run.strategy.to_string(),
        is_incomplete: run.is_incomplete,
        is_degraded: run.lexical.is_degraded,
    })
}

/// Chunks with all that their order needs, those that the caller may see.
pub fn fetch(request: &Request, chunks: Vec<i64>) -> Result<Vec<Chunk>> {
    let statistics = request.statistics.as_ref().filter(|_| request.has_lexical_leg());
    let statistics = statistics.map(TermStatistics::of_parts);
    let (limit, depth) = (chunks.len(), request.options.depth);
    let found = chunks_of(request, chunks, limit, depth, statistics.as_ref());
    let dimensions = request.resolved.generation.dimensions;
    let matches = token_matches(&found, dimensions, request.embedding.as_ref())?;
    let part = |(chunk, matches): (ChunkCandidate, _)| chunk.into_part(matches, false);
    Ok(found.into_iter().zip(matches).map(part).collect())
}

/// What stands around chunks.
pub fn around(request: &Request, chunks: &[i64], expand: usize, with_bits: bool) -> Around {
    let pieces = if expand > 0 { pieces(request, chunks.to_vec(), expand) } else { Vec::new() };
    let all: BTreeSet<i64> =
        pieces.iter().map(|(_, piece)| piece.chunk_id).chain(chunks.iter().copied()).collect();
    let chunks = if with_bits {
        let all = chunks_with_bits(request, all.into_iter().collect());
        all.into_iter().map(|chunk| chunk.into_part(None, true)).collect()
    } else {
        Vec::new()
    };
    Around { pieces, chunks }
}
