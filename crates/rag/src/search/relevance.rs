//! How sure it is that a chunk is about a question, between 0 and 1: by signals whose values mean the same whatever the other candidates are.
use serde::{Deserialize, Serialize};

/// Signals of one chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Signals {
    /// How well it matches the question's words, see [`word_match`].
    pub words: Option<f64>,
    /// Mean over the question's tokens of the best cosine with a token of the chunk.
    pub max_sim: Option<f64>,
    /// Cosine of both vectors; counts where there is no `max_sim`.
    pub cosine: Option<f64>,
}

/// How well a chunk of BM25 score `bm25` matches the words of a question: the score over the geometric mean of `highest`, which no score of this
/// question exceeds, and `rarest`, the weight of a word that a single chunk holds. A share of `highest` alone would be too strict for long
/// questions, whose answers hold a part of the words. 0 for a question without words.
pub fn word_match(bm25: f64, highest: f64, rarest: f64) -> f64 {
    let scale = (highest * rarest).sqrt();
    if scale > 0.0 { bm25 / scale } else { 0.0 }
}

/// How the values of a signal are read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Value between those of the best chunks of questions with an answer and of questions without one.
    pub middle: f64,
    /// Standard deviation of either.
    pub deviation: f64,
    /// Weight of the signal beside others.
    pub weight: f64,
}

impl Scale {
    /// How far a value lies above the middle, in standard deviations.
    fn standard(&self, value: f64) -> f64 {
        ((value - self.middle) / self.deviation.max(f64::EPSILON)).clamp(-FARTHEST, FARTHEST)
    }
}

/// Standard deviations from which on a value says no more.
const FARTHEST: f64 = 4.0;

/// Steepness of the logistic function of the mean standard value.
const STEEPNESS: f64 = 1.5;

/// Makes one number of the signals of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Relevance {
    /// Of [`Signals::words`].
    pub words: Scale,
    /// Of [`Signals::max_sim`].
    pub max_sim: Scale,
    /// Of [`Signals::cosine`].
    pub cosine: Scale,
}

impl Default for Relevance {
    /// Where nothing is known of a collection: the scales of all-MiniLM-L6-v2 on English texts.
    fn default() -> Self {
        Self {
            words: Scale { middle: 0.65, deviation: 0.3, weight: 1.0 },
            max_sim: Scale { middle: 0.43, deviation: 0.07, weight: 2.5 },
            cosine: Scale { middle: 0.42, deviation: 0.12, weight: 1.5 },
        }
    }
}

impl Relevance {
    /// Between 0 and 1; 0.5 is as likely as not. 0 without any signal.
    pub fn of(&self, signals: &Signals) -> f64 {
        let of_model = match (signals.max_sim, signals.cosine) {
            (Some(value), _) => Some((&self.max_sim, value)),
            (None, Some(value)) => Some((&self.cosine, value)),
            (None, None) => None,
        };
        let of_words = signals.words.map(|value| (&self.words, value));
        let present = || of_words.into_iter().chain(of_model);
        // A model that is deaf to the language says nothing, unless nobody else does.
        let total: f64 = present().map(|(scale, _)| scale.weight).sum();
        let weight = |scale: &Scale| if total > 0.0 { scale.weight / total } else { 1.0 };
        if present().next().is_none() {
            return 0.0;
        }
        let mean: f64 = present().map(|(scale, value)| weight(scale) * scale.standard(value)).sum();
        1.0 / (1.0 + (-STEEPNESS * mean).exp())
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // exact by construction
mod tests {
    use super::*;

    #[test]
    fn more_of_a_signal_is_never_less_relevant() {
        let relevance = Relevance::default();
        let with = |words: f64, max_sim: f64| {
            relevance.of(&Signals { words: Some(words), max_sim: Some(max_sim), cosine: None })
        };
        for step in 0..40 {
            let value = f64::from(step) / 20.0;
            assert!(with(value + 0.05, 0.5) >= with(value, 0.5));
            assert!(with(0.5, value + 0.05) >= with(0.5, value));
            assert!((0.0..=1.0).contains(&with(value, value)));
        }
    }

    #[test]
    fn a_perfect_hit_is_relevant_and_a_stranger_is_not() {
        let relevance = Relevance::default();
        let perfect = Signals { words: Some(1.2), max_sim: Some(0.8), cosine: Some(0.8) };
        let stranger = Signals { words: Some(0.0), max_sim: Some(0.25), cosine: Some(0.1) };
        assert!(relevance.of(&perfect) > 0.9);
        assert!(relevance.of(&stranger) < 0.1);
        assert_eq!(relevance.of(&Signals::default()), 0.0);
    }

    #[test]
    fn a_signal_without_weight_counts_only_alone() {
        let mut relevance = Relevance::default();
        relevance.max_sim.weight = 0.0;
        let both = Signals { words: Some(0.0), max_sim: Some(0.9), cosine: None };
        assert!(relevance.of(&both) < 0.1);
        assert!(relevance.of(&Signals { words: None, ..both }) > 0.9);
    }

    #[test]
    fn every_word_of_a_longer_question_counts_for_more() {
        let full = |words: f64| word_match(2.0 * words, 2.0 * words * 1.9, 2.0);
        assert!(full(1.0) > 0.7 && full(2.0) > full(1.0));
        assert!(word_match(2.0, 3.0 * 2.0 * 1.9, 2.0) < full(1.0));
        assert_eq!(word_match(0.0, 0.0, 0.0), 0.0);
    }
}
