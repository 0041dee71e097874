//! Term statistics: how many chunks hold each of the question's lexemes, and how long chunks are. Under row security they come from
//! nothing but what the caller may see.
use crate::search::engine::request::{QuestionTerms, Request};
use crate::search::engine::strategy::{AllowList, ChunkAccess, Strategy};
use crate::search::engine::visibility::sample;
use crate::sys::{interrupt, relation_size};
use rag::Result;
use rag::search::{Bm25, Weights};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Chunks of a sample, and of a larger one where hardly any of them are visible.
const SAMPLES: [usize; 2] = [600, 3_600];
/// How many visible ones are enough to estimate frequencies.
const ENOUGH_VISIBLE: usize = 20;

/// What BM25 needs to know of a collection.
#[derive(Debug, Clone)]
pub struct TermStatistics {
    /// Share of the chunks that filter and policies let pass.
    pub share: f64,
    /// Chunks that the statistics are of.
    pub documents: f64,
    /// Their mean length, in lexemes.
    pub average_length: f64,
    /// Of these chunks, how many hold each of the question's lexemes.
    pub frequencies: Vec<f64>,
    /// Whether they are estimated by a sample.
    pub is_estimate: bool,
}

impl TermStatistics {
    /// Without row security: of all chunks, by the inverted file. Under row security: of the chunks that filter and policies let pass,
    /// counted if the strategy has listed them, else by a sample.
    pub fn of(request: &Request, strategy: &Strategy, terms: &QuestionTerms<'_>) -> Result<Self> {
        let share = match &strategy.access {
            ChunkAccess::Indexes { selectivity, .. } => selectivity.expected,
            ChunkAccess::CompareAll(_) => 1.0,
        };
        if !request.has_policies {
            let known = terms.statistics();
            let numbers = known.frequencies.iter().map(|n| *n as f64);
            return Ok(Self::counted(share, known.chunks as f64, known.length as f64, numbers));
        }
        match &strategy.access {
            ChunkAccess::CompareAll(list) if let AllowList::Passing(passing) = &**list => {
                let chunks = &passing.chunks;
                let holding = terms.frequencies_among(chunks, &mut interrupt::checkpoint)?;
                let numbers = holding.iter().map(|n| *n as f64);
                Ok(Self::counted(share, chunks.len() as f64, passing.length, numbers))
            }
            ChunkAccess::Indexes { selectivity, .. } => {
                Ok(Self::estimated(request, selectivity.at_least))
            }
            ChunkAccess::CompareAll(_) => Ok(Self::estimated(request, 0.0)),
        }
    }

    fn counted(
        share: f64,
        documents: f64,
        length: f64,
        frequencies: impl Iterator<Item = f64>,
    ) -> Self {
        let average_length = length / documents.max(1.0);
        let frequencies = frequencies.collect();
        Self { share, documents, average_length, frequencies, is_estimate: false }
    }

    /// By a sample of the chunks that are visible and pass the filter, whose share is `at_least`. A lexeme that none of them holds
    /// counts as held by half a chunk of the sample.
    fn estimated(request: &Request, at_least: f64) -> Self {
        let rows = relation_size::rows(request.resolved.generation.chunks);
        let lexemes = &request.question.lexemes;
        let mut hasher = DefaultHasher::new();
        lexemes.hash(&mut hasher);
        let seed = hasher.finish();
        let (mut sampled, mut visible) = (0.0, Vec::new());
        for count in SAMPLES {
            if visible.len() < ENOUGH_VISIBLE && sampled < rows {
                sampled = rows.min(count as f64);
                visible = sample(request, count, seed);
            }
        }
        let positions = lexemes.iter().enumerate();
        let positions: HashMap<&[u8], usize> =
            positions.map(|(position, lexeme)| (lexeme.as_bytes(), position)).collect();
        let (mut holding, mut length) = (vec![0.0_f64; lexemes.len()], 0.0);
        for chunk in &visible {
            for (lexeme, occurrences) in chunk.as_tsvector().lexemes() {
                length += occurrences as f64;
                if let Some(position) = positions.get(lexeme) {
                    holding[*position] += 1.0;
                }
            }
        }
        let sampled = visible.len().max(1) as f64;
        let share = (visible.len() as f64 / sampled).max(at_least).clamp(1.0 / rows, 1.0);
        let documents = rows * share;
        let frequency = |holding: f64| (holding.max(0.5) / sampled).min(1.0) * documents;
        Self {
            share,
            documents,
            average_length: length / sampled,
            frequencies: holding.into_iter().map(frequency).collect(),
            is_estimate: true,
        }
    }

    /// BM25 by these statistics.
    pub fn bm25(&self) -> Bm25 {
        Bm25::new(self.documents, self.average_length)
    }

    /// The weight of each lexeme.
    pub fn idf(&self) -> Vec<f64> {
        let bm25 = self.bm25();
        self.frequencies.iter().map(|frequency| bm25.idf(*frequency)).collect()
    }

    /// What the score of a chunk needs besides its own lexemes.
    pub fn weights<'a>(&self, lexemes: &'a [String]) -> Weights<'a> {
        Weights::new(self.bm25(), lexemes.iter().map(String::as_str).zip(self.idf()))
    }
}
