//! A search of a collection, which may be distributed over several servers.
//!
//! In rounds, each of which asks all servers at once: *term statistics* of what the caller may see, unless they are fresh; the best chunks of
//! both *legs*, by the statistics of the whole; the *candidates* among these, with all signals; and where wanted, what stands *around* the
//! results. Between the rounds the same code as in a search of one server fuses, ranks and chooses. No transaction stays open on a server
//! between two rounds: a chunk that is deleted in between is left out.
pub mod explain;
mod statistics;
pub mod status;

use crate::catalog::collection::{Collection, Generation};
use crate::catalog::distributed::ask::{ask, is_callers_fault};
use crate::catalog::distributed::{Distributed, Part};
use crate::search::candidate::{ChunkCandidate, Fate, rank};
use crate::search::distributed::statistics::Known;
use crate::search::engine;
use crate::search::engine::explain::{DEGRADED, INCOMPLETE};
use crate::search::engine::passages::{joined, scores_of_neighbours};
use crate::search::engine::term_statistics::TermStatistics;
use crate::search::engine::{Outcome, Timings, decide, weights_for};
use crate::search::options::{MAX_CANDIDATES, Options};
use crate::search::question::Question;
use crate::sys::guc::scope::Scope;
use crate::sys::privileges::{may_select_columns, row_security_applies};
use crate::sys::statement::is_news;
use crate::sys::text_search::Config;
use rag::model::{Detail, Embedding};
use rag::search::calibration::OfScript;
use rag::search::diverse::Choice;
use rag::search::fusion::{Fused, fuse, fused_with_ties};
use rag::search::passage::{Passage, Piece};
use rag::search::shard::{
    Around, Asked, Best, Chunk, Leg, Legs, Statistics, Step, global_id, local_id, merged,
    vectors_to_bytes,
};
use rag::search::weights::SignalWeights;
use rag::{Error, Result};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// Searches `collection` for `text`, wherever its chunks are. `found` gets the collection's id once it is known, whatever follows.
pub fn search(
    collection: &str,
    text: &str,
    options: &Options,
    mut found: impl FnMut(i32),
) -> Result<Outcome> {
    let error = match engine::search(collection, text, options, &mut found) {
        Err(error) if error.is_undefined() => error,
        outcome => return outcome,
    };
    let Some(distributed) = Distributed::find(collection)? else { return Err(error) };
    found(distributed.id);
    let started = Instant::now();
    let mut outcome = Search::prepare(distributed, text, options)?.run()?;
    outcome.timings.total = started.elapsed();
    Ok(outcome)
}

/// Key of the document of a chunk that the caller may see.
pub fn document_of(distributed: &Distributed, chunk_id: i64) -> Result<Option<Vec<String>>> {
    require_rights(distributed)?;
    let (slot, chunk) = local_id(chunk_id);
    let parts = distributed.parts()?;
    let Some(part) = parts.iter().find(|part| part.slot == slot) else { return Ok(None) };
    let time_zone = "UTC".to_owned();
    let asked = Asked { space: distributed.space(), time_zone, ..Asked::default() };
    let step = Step::Fetch { asked, statistics: Statistics::default(), chunks: vec![chunk] };
    let mut answers = ask::<Vec<Chunk>>(&distributed.name, &[(part, step)], &[])?;
    let chunks = answers.pop().expect("one part was asked")?;
    Ok(chunks.into_iter().next().map(|chunk| chunk.key))
}

/// A collection, distributed or not, as far as it is known here.
pub fn collection(name: &str) -> Result<Collection> {
    match Collection::by_name(name) {
        Err(error) if error.is_undefined() => match Distributed::find(name)? {
            Some(found) => found.as_collection(),
            None => Err(error),
        },
        found => found,
    }
}

/// A search over several servers.
struct Search<'a> {
    distributed: Distributed,
    parts: Vec<Part>,
    options: &'a Options,
    question: Question,
    embedding: Option<Embedding>,
    /// The same as it travels.
    vectors: Vec<u8>,
    asked: Asked,
    embedded_in: std::time::Duration,
    /// Why parts are left out.
    failed: RefCell<BTreeMap<usize, Error>>,
}

/// What the legs of all parts found.
struct Fusion {
    legs: Vec<(usize, Legs)>,
    /// In order of reciprocal ranks in the legs of the whole.
    fused: Vec<Fused>,
    are_phrases_required: bool,
}

/// Candidates with their scores and fates, best first, and how they were found.
struct Ranked {
    candidates: Vec<ChunkCandidate>,
    fusion: Fusion,
    weights: SignalWeights,
    depth: usize,
    wanted: usize,
}

impl Fusion {
    fn is_incomplete(&self) -> bool {
        self.legs.iter().any(|(_, legs)| legs.is_incomplete)
    }

    fn is_degraded(&self) -> bool {
        self.legs.iter().any(|(_, legs)| legs.is_degraded)
    }
}

impl<'a> Search<'a> {
    fn prepare(distributed: Distributed, text: &str, options: &'a Options) -> Result<Self> {
        require_rights(&distributed)?;
        let parts = distributed.parts()?;
        let collection = distributed.as_collection()?;
        let generation =
            distributed.as_generation(rag::search::calibration::Calibration::default());
        let config = Config::named(&collection.text_search_config);
        let question = Question::read(options.text(text), options.syntax, config);
        let started = Instant::now();
        let reranks = options.rerank && distributed.has_bits;
        let embedding = if reranks || options.dense_weight != Some(0.0) {
            let detail = if reranks { Detail::Tokens } else { Detail::Vector };
            question.embed(&collection, &generation, detail)?
        } else {
            None
        };
        let asked = Asked {
            space: distributed.space(),
            lexemes: question.lexemes.clone(),
            required: question.required.clone(),
            excluded: question.excluded.clone(),
            has_phrases: question.has_phrases,
            phrase_lexemes: question.phrase_lexemes.iter().cloned().collect(),
            filter: options.filter_text.clone(),
            time_zone: Scope::current(c"timezone").unwrap_or_default(),
            dense_weight: 0.0,
            lexical_weight: options.lexical_weight,
            rerank: reranks,
        };
        Ok(Self {
            vectors: embedding.as_ref().map(vectors_to_bytes).unwrap_or_default(),
            embedded_in: started.elapsed(),
            distributed,
            parts,
            options,
            question,
            embedding,
            asked,
            failed: RefCell::default(),
        })
    }

    fn run(mut self) -> Result<Outcome> {
        let started = Instant::now();
        let known = self.statistics()?;
        let generation = self.generation(&known);
        let ranked = self.ranked(&known, &generation)?;
        self.outcome(&known, generation, ranked, started).map(|(outcome, ..)| outcome)
    }

    fn generation(&self, known: &Known) -> Generation {
        self.distributed.as_generation(known.calibration.clone())
    }

    /// Separates the results from the other candidates, and adds what stands around them.
    fn outcome(
        self,
        known: &Known,
        generation: Generation,
        ranked: Ranked,
        started: Instant,
    ) -> Result<(Outcome, Fusion, SignalWeights, usize)> {
        let Ranked { candidates, fusion, weights, wanted, .. } = ranked;
        let is_kept = |candidate: &ChunkCandidate| candidate.fate == Fate::Ranked(Choice::Kept);
        let (mut found, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_kept);
        let (passages, neighbours) = self.around(&mut found)?;
        self.announce(&fusion);
        let is_degraded = self.is_degraded(&fusion);
        let outcome = Outcome {
            collection: self.distributed.as_collection()?,
            known: self.known(&generation),
            generation,
            found,
            others,
            passages,
            neighbours,
            loading: known.loading(&self.distributed.name),
            is_degraded,
            timings: Timings {
                embed: self.embedded_in,
                candidates: started.elapsed(),
                ..Timings::default()
            },
            question: self.embedding,
        };
        Ok((outcome, fusion, weights, wanted))
    }

    fn is_degraded(&self, fusion: &Fusion) -> bool {
        fusion.is_incomplete() || fusion.is_degraded() || !self.failed.borrow().is_empty()
    }

    /// What was left out, in words.
    fn left_out(&self) -> Vec<String> {
        let failed = self.failed.borrow();
        let told = |(position, error): (&usize, &Error)| {
            let part = &self.parts[*position];
            format!("partition {} on {} is left out: {error}", part.leaf_sql, part.place())
        };
        failed.iter().map(told).collect()
    }

    fn announce(&self, fusion: &Fusion) {
        let mut notices = self.left_out();
        notices.extend(fusion.is_incomplete().then(|| INCOMPLETE.to_owned()));
        notices.extend(fusion.is_degraded().then(|| DEGRADED.to_owned()));
        for notice in notices {
            if is_news(&notice) {
                pgrx::notice!("{notice}");
            }
        }
    }

    /// Asks parts, each for its step; those that fail are an error or, where the caller wants what the others have, left out from now on.
    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        steps: Vec<(usize, Step)>,
        vectors: &[u8],
    ) -> Result<Vec<(usize, T)>> {
        let is_left = |position: &usize| !self.failed.borrow().contains_key(position);
        let steps: Vec<(usize, Step)> =
            steps.into_iter().filter(|(position, _)| is_left(position)).collect();
        let positions: Vec<usize> = steps.iter().map(|(position, _)| *position).collect();
        let asked: Vec<(&Part, Step)> =
            steps.into_iter().map(|(position, step)| (&self.parts[position], step)).collect();
        let answers = ask::<T>(&self.distributed.name, &asked, vectors)?;
        let mut all = Vec::new();
        for (position, answer) in positions.into_iter().zip(answers) {
            match answer {
                Ok(answer) => all.push((position, answer)),
                Err(error) if self.options.is_partial && !is_callers_fault(&error) => {
                    self.failed.borrow_mut().insert(position, error);
                }
                Err(error) => return Err(error),
            }
        }
        let failed = self.failed.borrow();
        if failed.len() == self.parts.len() {
            return Err(failed.values().next().cloned().expect("there are parts"));
        }
        Ok(all)
    }

    /// Generates candidates, scores them and chooses among them; more of them where limits leave too few.
    fn ranked(&mut self, known: &Known, generation: &Generation) -> Result<Ranked> {
        let options = self.options;
        let of_script = self.known(generation);
        let Options { dense_weight, lexical_weight, rerank_weight, .. } = *options;
        let of_signals =
            SignalWeights::new(dense_weight, lexical_weight, rerank_weight, of_script.as_ref());
        self.asked.dense_weight = of_signals.dense;
        let statistics =
            self.has_lexical_leg().then(|| TermStatistics::of_parts(&known.statistics));
        let weights = weights_for(of_signals, &self.question.lexemes, statistics.as_ref());
        let relevance = of_script.map(|known| known.relevance).unwrap_or_default();
        let is_limited = options.per_document.is_some() || options.near_duplicate.is_some();
        let (mut depth, mut wanted) = (options.depth, options.candidates);
        loop {
            let fusion = self.fusion(known, of_signals, depth, wanted)?;
            let best = &fusion.fused[..fused_with_ties(&fusion.fused, wanted)];
            let mut candidates = self.fetch(known, statistics.as_ref(), best)?;
            rank(&mut candidates, generation, self.embedding.as_ref(), &weights, &relevance)?;
            let kept = decide(options, &mut candidates);
            let may_be_more = candidates.len() >= wanted && wanted < MAX_CANDIDATES;
            if kept >= options.top_k || !is_limited || !may_be_more {
                return Ok(Ranked { candidates, fusion, weights, depth, wanted });
            }
            wanted = (wanted * 4).min(MAX_CANDIDATES);
            depth = depth.max(wanted);
        }
    }

    fn known(&self, generation: &Generation) -> Option<OfScript> {
        self.question.known(generation, self.embedding.is_some())
    }

    fn has_lexical_leg(&self) -> bool {
        self.options.lexical_weight > 0.0 && !self.question.lexemes.is_empty()
    }

    /// The best chunks of all parts by reciprocal ranks, those ranks being of the legs of the whole. Phrases that no part has are words
    /// like others.
    fn fusion(
        &self,
        known: &Known,
        weights: SignalWeights,
        depth: usize,
        wanted: usize,
    ) -> Result<Fusion> {
        let mut are_phrases_required = true;
        loop {
            let step = Step::Candidates {
                asked: self.asked.clone(),
                statistics: known.statistics.clone(),
                are_phrases_required,
                depth,
                wanted,
            };
            let steps = (0..self.parts.len()).map(|position| (position, step.clone())).collect();
            let legs: Vec<(usize, Legs)> = self.ask(steps, &self.vectors)?;
            let of = |leg: fn(&Legs) -> &Leg, best| {
                let parts = legs.iter().map(|(n, legs)| (self.parts[*n].slot, leg(legs)));
                merged(parts, best, depth)
            };
            let dense = of(|legs| &legs.dense, Best::Lowest);
            let lexical = of(|legs| &legs.lexical, Best::Highest);
            let fused = fuse((weights.dense, &dense), (weights.lexical, &lexical));
            if fused.is_empty() && are_phrases_required && self.question.has_phrases {
                are_phrases_required = false;
                continue;
            }
            return Ok(Fusion { legs, fused, are_phrases_required });
        }
    }

    /// The chunks with their signals, in the order of the fusion.
    fn fetch(
        &self,
        known: &Known,
        statistics: Option<&TermStatistics>,
        fused: &[Fused],
    ) -> Result<Vec<ChunkCandidate>> {
        let steps = self.by_part(fused.iter().map(|one| one.chunk_id), |chunks| Step::Fetch {
            asked: self.asked.clone(),
            statistics: known.statistics.clone(),
            chunks,
        });
        let chunks: Vec<(usize, Vec<Chunk>)> = self.ask(steps, &self.vectors)?;
        let weights = statistics.map(|statistics| statistics.weights(&self.question.lexemes));
        let mut by_id: HashMap<i64, ChunkCandidate> = HashMap::new();
        for (position, chunks) in chunks {
            for chunk in chunks {
                let bm25 = chunk.bm25;
                let mut candidate = ChunkCandidate::of_part(self.parts[position].slot, chunk);
                if let (Some(bm25), Some(weights)) = (bm25, &weights) {
                    candidate.set_bm25(bm25, weights);
                }
                by_id.insert(candidate.chunk_id, candidate);
            }
        }
        let candidate = |one: &Fused| {
            let mut candidate = by_id.remove(&one.chunk_id)?;
            candidate.ranks = *one;
            Some(candidate)
        };
        Ok(fused.iter().filter_map(candidate).collect())
    }

    /// A step for each part that has some of the chunks.
    fn by_part(
        &self,
        chunks: impl Iterator<Item = i64>,
        step: impl Fn(Vec<i64>) -> Step,
    ) -> Vec<(usize, Step)> {
        let mut by_slot: BTreeMap<u16, Vec<i64>> = BTreeMap::new();
        for (slot, chunk) in chunks.map(local_id) {
            by_slot.entry(slot).or_default().push(chunk);
        }
        let parts = self.parts.iter().enumerate();
        parts
            .filter_map(|(position, part)| Some((position, step(by_slot.remove(&part.slot)?))))
            .collect()
    }

    /// The stretches around the results, and what an answer may quote of them.
    fn around(
        &self,
        found: &mut [ChunkCandidate],
    ) -> Result<(Option<Vec<Passage>>, Vec<ChunkCandidate>)> {
        let expand = self.options.expand;
        let with_bits = self.options.quotes;
        if expand == 0 && !with_bits || found.is_empty() {
            return Ok((if expand > 0 { Some(Vec::new()) } else { None }, Vec::new()));
        }
        let ids: Vec<i64> = found.iter().map(|found| found.chunk_id).collect();
        let asked = Asked { lexemes: Vec::new(), ..self.asked.clone() };
        let steps = self.by_part(ids.iter().copied(), |chunks| Step::Around {
            asked: asked.clone(),
            chunks,
            expand,
            with_bits,
        });
        let mut positions: Vec<Vec<usize>> = vec![Vec::new(); self.parts.len()];
        for (result, id) in ids.iter().enumerate() {
            let slot = local_id(*id).0;
            let part = self.parts.iter().position(|part| part.slot == slot);
            positions[part.expect("a chunk is of a part")].push(result);
        }
        let (mut pieces, mut chunks) = (Vec::new(), HashMap::new());
        let answers: Vec<(usize, Around)> = self.ask(steps, &[])?;
        for (position, around) in answers {
            let slot = self.parts[position].slot;
            for (result, piece) in around.pieces {
                let Some(result) = positions[position].get(result) else { continue };
                let chunk_id = global_id(slot, piece.chunk_id);
                pieces.push((*result, Piece { chunk_id, ..piece }));
            }
            for chunk in around.chunks {
                let chunk = ChunkCandidate::of_part(slot, chunk);
                chunks.insert(chunk.chunk_id, chunk);
            }
        }
        for result in found.iter_mut() {
            if let Some(chunk) = chunks.get(&result.chunk_id) {
                result.set_bits(chunk);
            }
        }
        let passages = (expand > 0).then(|| joined(found, pieces));
        let scores = scores_of_neighbours(found, passages.as_deref().unwrap_or_default());
        let neighbour = |(id, score): (i64, f64)| {
            let mut chunk = chunks.remove(&id)?;
            chunk.score = score;
            Some(chunk)
        };
        let neighbours = scores.into_iter().filter_map(neighbour).collect();
        Ok((passages, neighbours))
    }
}

/// What `postgres_fdw` asks for too: SELECT on the partitioned table. Its policies would not be applied on the servers.
pub fn require_rights(distributed: &Distributed) -> Result<()> {
    let Distributed { name, source_sql, content, keys, title, .. } = distributed;
    let columns: Vec<&str> =
        keys.iter().chain([content]).chain(title).map(String::as_str).collect();
    if !may_select_columns(distributed.source, &columns) {
        return Err(Error::forbidden(format!("permission denied for table {source_sql}"))
            .with_detail(format!("Collection \"{name}\" is distributed over its partitions."))
            .with_hint(format!("GRANT SELECT ON {source_sql} TO the role.")));
    }
    if row_security_applies(distributed.source) {
        return Err(Error::unsupported(format!(
            "row-level security of {source_sql} does not reach the servers of its partitions"
        ))
        .with_hint("Create the policies on the servers, for the roles that user mappings name."));
    }
    Ok(())
}
