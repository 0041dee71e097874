//! Calibration of a collection without judged questions: what its signals are worth, per script of the question.
//!
//! A sentence of a chunk is asked as a question of a collection in which the chunk lacks the sentence: the inverse cloze task (Lee, Chang and
//! Toutanova 2019). How well each signal ranks the chunk says how to weigh the signals. A medley of words of several chunks is a question that
//! nothing answers: what its best chunk reaches, a chunk reaches by chance.
mod question;

pub use question::{cloze, medley};

use super::relevance::{Relevance, Scale, Signals};
use crate::rerank::{MAX_SIM_WEIGHT, fuse};
use crate::text::script::Writing;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Chunks of a collection from which on it is calibrated, and again whenever it has twice as many.
pub const MIN_CHUNKS: i64 = 100;
/// Most sentences that are asked.
const MAX_QUESTIONS: usize = 256;
/// Least, where there are so many.
const MIN_QUESTIONS: usize = 64;
/// Chunks to a sentence that is asked: each takes, as a medley does, about as long as to ingest a chunk.
const CHUNKS_PER_QUESTION: usize = 200;
/// Sentences of one script from which on it has a calibration of its own.
const MIN_OF_SCRIPT: usize = 24;
/// Weights of cosine and MaxSim beside their defaults, from the default on.
const MODEL_WEIGHTS: [f64; 5] = [1.0, 0.5, 0.25, 0.1, 0.05];
/// Where vectors alone find less than this share of what words alone find, words are trusted in doubt, as where the model has no words: in seven languages that the default model does
/// not know these find 0.18 to 0.40 of it, in the two that it reads 0.7 or more.
const TRUSTED: f64 = 0.5;
/// Weight below which a model's signals do not judge relevance.
const MIN_JUDGING: f64 = 1.0;
/// Weight from which on the model is said to be deaf to a script.
const DEAF: f64 = 0.25;

/// How many sentences to ask of a collection.
pub fn questions(chunks: usize) -> usize {
    (chunks / CHUNKS_PER_QUESTION).clamp(MIN_QUESTIONS, MAX_QUESTIONS)
}

/// What a candidate of a question is ranked and judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// MaxSim, cosine and BM25 as a search ranks by them; NaN for none.
    pub ranking: [f64; 3],
    /// What its relevance is by.
    pub signals: Signals,
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its script.
    pub writing: Writing,
    /// Whether the model has words for it.
    pub has_words: bool,
    /// Whether it is a sentence of a chunk, not a medley.
    pub is_cloze: bool,
    /// Position of that chunk among the candidates.
    pub own: Option<usize>,
    /// All that was found.
    pub candidates: Vec<Candidate>,
}

/// What is known of a collection, by the script of a question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Calibration(BTreeMap<Writing, OfScript>);

/// What is known of questions in one script.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OfScript {
    /// Sentences that were asked.
    pub questions: usize,
    /// Mean reciprocal rank of their chunks by each signal alone.
    pub found: Found,
    /// Weight of cosine and MaxSim beside their defaults.
    pub model_weight: f64,
    /// How signals make relevance.
    pub relevance: Relevance,
}

/// Mean reciprocal ranks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// By late interaction.
    pub max_sim: f64,
    /// By cosine.
    pub dense: f64,
    /// By BM25.
    pub lexical: f64,
}

impl OfScript {
    /// Whether the model's signals judge relevance.
    pub fn is_model_judge(&self) -> bool {
        self.model_weight >= MIN_JUDGING
    }

    /// Whether the model hardly tells chunks of this script apart.
    pub fn is_deaf(&self) -> bool {
        self.model_weight <= DEAF
    }

    /// Of a script that the model's vocabulary has no words of, as long as no sentence of it was asked.
    pub fn without_words() -> Self {
        let silent = |scale: Scale| Scale { weight: 0.0, ..scale };
        let Relevance { words, max_sim, cosine } = Relevance::default();
        Self {
            questions: 0,
            found: Found::default(),
            model_weight: MODEL_WEIGHTS[MODEL_WEIGHTS.len() - 1],
            relevance: Relevance { words, max_sim: silent(max_sim), cosine: silent(cosine) },
        }
    }
}

impl Calibration {
    /// Of the questions that were asked.
    pub fn of(trials: &[Trial]) -> Self {
        let mut by_script: BTreeMap<Writing, Vec<&Trial>> = BTreeMap::new();
        for trial in trials {
            by_script.entry(trial.writing).or_default().push(trial);
        }
        let enough = |(writing, trials): (Writing, Vec<&Trial>)| {
            let count = trials.iter().filter(|trial| trial.is_cloze).count();
            (count >= MIN_OF_SCRIPT).then(|| (writing, calibrated(&trials)))
        };
        Self(by_script.into_iter().filter_map(enough).collect())
    }

    /// That of a collection whose parts are calibrated apart: of each script the mean, each part counting as it has chunks. Parts that know
    /// nothing of a script do not count for it.
    pub fn of_parts(parts: &[(f64, &Self)]) -> Self {
        let mut by_script: BTreeMap<Writing, Vec<(f64, &OfScript)>> = BTreeMap::new();
        for (chunks, part) in parts {
            for (writing, known) in &part.0 {
                by_script.entry(*writing).or_default().push((chunks.max(1.0), known));
            }
        }
        Self(by_script.into_iter().map(|(writing, parts)| (writing, mean_of(&parts))).collect())
    }

    /// For questions in a script; `None` where too few of its sentences were asked.
    pub fn of_script(&self, writing: Writing) -> Option<&OfScript> {
        self.0.get(&writing)
    }

    /// Scripts that the model is deaf to.
    pub fn deaf(&self) -> impl Iterator<Item = Writing> {
        self.0.iter().filter(|(_, one)| one.is_deaf()).map(|(writing, _)| *writing)
    }
}

/// The mean of what parts know of a script. What all know the same stays as it is, to the last bit.
fn mean_of(parts: &[(f64, &OfScript)]) -> OfScript {
    let all: f64 = parts.iter().map(|(chunks, _)| chunks).sum();
    let mean = |value: &dyn Fn(&OfScript) -> f64| {
        let first = value(parts[0].1);
        first + parts.iter().map(|(chunks, part)| chunks / all * (value(part) - first)).sum::<f64>()
    };
    let scale = |of: fn(&Relevance) -> Scale| Scale {
        middle: mean(&|part| of(&part.relevance).middle),
        deviation: mean(&|part| of(&part.relevance).deviation),
        weight: mean(&|part| of(&part.relevance).weight),
    };
    OfScript {
        questions: parts.iter().map(|(_, part)| part.questions).sum(),
        found: Found {
            max_sim: mean(&|part| part.found.max_sim),
            dense: mean(&|part| part.found.dense),
            lexical: mean(&|part| part.found.lexical),
        },
        model_weight: mean(&|part| part.model_weight),
        relevance: Relevance {
            words: scale(|relevance| relevance.words),
            max_sim: scale(|relevance| relevance.max_sim),
            cosine: scale(|relevance| relevance.cosine),
        },
    }
}

fn calibrated(trials: &[&Trial]) -> OfScript {
    let (clozes, medleys): (Vec<&Trial>, Vec<&Trial>) =
        trials.iter().copied().partition(|trial| trial.is_cloze);
    let alone = |weights: [f64; 3]| rounded(mean(&reciprocal_ranks(&clozes, weights)));
    let found = Found {
        max_sim: alone([1.0, 0.0, 0.0]),
        dense: alone([0.0, 1.0, 0.0]),
        lexical: alone([0.0, 0.0, 1.0]),
    };
    let with_words = clozes.iter().filter(|trial| trial.has_words).count();
    let finds_enough = found.dense >= TRUSTED * found.lexical;
    let model_weight = model_weight(&clozes, finds_enough && 2 * with_words >= clozes.len());
    let weights = [MAX_SIM_WEIGHT * model_weight, model_weight, 1.0];
    let best = |trials: &[&Trial]| -> Vec<Signals> {
        trials.iter().filter_map(|trial| best(trial, weights)).collect()
    };
    let relevance = relevance(&best(&clozes), &best(&medleys), model_weight >= MIN_JUDGING);
    OfScript { questions: clozes.len(), found, model_weight, relevance }
}

/// A weight whose mean reciprocal rank is within a standard error of the best one's (Breiman's rule of one standard error): the highest of a model
/// that is trusted, so that the default holds unless another is surely better, else the lowest.
fn model_weight(clozes: &[&Trial], is_trusted: bool) -> f64 {
    let ranks = MODEL_WEIGHTS
        .map(|weight| (weight, reciprocal_ranks(clozes, [MAX_SIM_WEIGHT * weight, weight, 1.0])));
    let best = ranks.iter().map(|(_, ranks)| ranks).max_by(|a, b| mean(a).total_cmp(&mean(b)));
    let Some(best) = best else { return 1.0 };
    let is_as_good = |ranks: &[f64]| {
        let losses: Vec<f64> = best.iter().zip(ranks).map(|(best, one)| best - one).collect();
        mean(&losses) <= deviation(&losses) / (losses.len() as f64).sqrt()
    };
    let mut as_good =
        ranks.iter().filter(|(_, ranks)| is_as_good(ranks)).map(|(weight, _)| *weight);
    let chosen = if is_trusted { as_good.next() } else { as_good.next_back() };
    chosen.unwrap_or(1.0)
}

/// The reciprocal rank of each sentence's chunk, 0 where it was not found.
fn reciprocal_ranks(clozes: &[&Trial], weights: [f64; 3]) -> Vec<f64> {
    let rank = |trial: &&Trial| {
        let Some(own) = trial.own else { return 0.0 };
        let scores = scores(trial, weights);
        let better = scores.iter().filter(|score| **score > scores[own]).count();
        // Equals share the mean of their ranks.
        let no_worse = scores.iter().filter(|score| **score >= scores[own]).count();
        1.0 / f64::midpoint(better as f64 + 1.0, no_worse as f64)
    };
    clozes.iter().map(rank).collect()
}

fn scores(trial: &Trial, weights: [f64; 3]) -> Vec<f64> {
    let values = [0, 1, 2].map(|signal| -> Vec<f64> {
        trial.candidates.iter().map(|candidate| candidate.ranking[signal]).collect()
    });
    let [max_sim, cosine, bm25] = &values;
    fuse(&[(weights[0], max_sim), (weights[1], cosine), (weights[2], bm25)])
}

fn best(trial: &Trial, weights: [f64; 3]) -> Option<Signals> {
    let scores = scores(trial, weights);
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))?;
    Some(trial.candidates[best].signals)
}

/// Scales of the signals, from the best chunks of sentences and of medleys.
fn relevance(answered: &[Signals], unanswered: &[Signals], is_model_judge: bool) -> Relevance {
    let default = Relevance::default();
    let of = |signal: fn(&Signals) -> Option<f64>, middle: [f64; 2], default: Scale| {
        let values = |all: &[Signals]| -> Vec<f64> { all.iter().filter_map(signal).collect() };
        scale(&values(answered), &values(unanswered), middle).unwrap_or(default)
    };
    let judge =
        |scale: Scale| Scale { weight: if is_model_judge { scale.weight } else { 0.0 }, ..scale };
    Relevance {
        words: of(|signals| signals.words, WORDS_MIDDLE, default.words),
        max_sim: judge(of(|signals| signals.max_sim, MODEL_MIDDLE, default.max_sim)),
        cosine: judge(of(|signals| signals.cosine, MODEL_MIDDLE, default.cosine)),
    }
}

/// Least and most weight of a signal that judges.
const MIN_WEIGHT: f64 = 0.5;
const MAX_WEIGHT: f64 = 4.0;

/// Quantiles of medleys and of sentences between which the middle of a scale lies. Medleys are of the collection's own words, of which
/// questions about something else have few; for a model they are about as far off as those. With judged questions of seven collections, these
/// lie closest to what divides the answered from the others.
const WORDS_MIDDLE: [f64; 2] = [0.5, 0.2];
const MODEL_MIDDLE: [f64; 2] = [0.8, 0.25];

/// The scale of a signal; `None` for too few values. The weight is how many standard deviations the medians are apart.
fn scale(answered: &[f64], unanswered: &[f64], middle: [f64; 2]) -> Option<Scale> {
    if answered.len().min(unanswered.len()) < MIN_OF_SCRIPT {
        return None;
    }
    let deviation =
        rounded(f64::midpoint(deviation(answered).powi(2), deviation(unanswered).powi(2)).sqrt());
    let middle = f64::midpoint(quantile(unanswered, middle[0]), quantile(answered, middle[1]));
    let apart = quantile(answered, 0.5) - quantile(unanswered, 0.5);
    (deviation > 0.0).then(|| Scale {
        middle: rounded(middle),
        deviation,
        weight: rounded((apart / deviation).clamp(MIN_WEIGHT, MAX_WEIGHT)),
    })
}

/// To four decimals, which is more than is known.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (squares / values.len().max(1) as f64).sqrt()
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() as f64 - 1.0);
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // exact by construction
mod tests {
    use super::*;

    #[test]
    fn parts_count_as_they_have_chunks_and_what_they_share_stays() {
        let known = |model_weight: f64| OfScript {
            questions: 30,
            found: Found { max_sim: 0.7, dense: 0.6, lexical: 0.5 },
            model_weight,
            relevance: Relevance::default(),
        };
        let of = |model_weight| Calibration([(Writing::Latin, known(model_weight))].into());
        let (one, half, none) = (of(1.0), of(0.5), Calibration::default());
        let merged = |parts: &[(f64, &Calibration)]| {
            Calibration::of_parts(parts).of_script(Writing::Latin).copied()
        };
        let both = merged(&[(300.0, &one), (100.0, &half), (900.0, &none)]).unwrap();
        assert!((both.model_weight - 0.875).abs() < 1e-12);
        assert_eq!((both.questions, both.found), (60, known(1.0).found));
        assert!(merged(&[(3.0, &one), (7.0, &one)]).unwrap().is_model_judge());
        assert_eq!(merged(&[(3.0, &none)]), None);
    }

    /// A trial whose own chunk stands first by the signals that hear it.
    fn trial(n: usize, hears: [bool; 3], is_cloze: bool) -> Trial {
        let candidates = (0..20).map(|i| {
            let noise = |signal: usize| ((i * 7 + n * 13 + signal * 5) % 17) as f64 / 17.0;
            let ranking =
                [0, 1, 2].map(|s| if is_cloze && i == 0 && hears[s] { 1.5 } else { noise(s) });
            let [max_sim, cosine, words] = ranking.map(Some);
            Candidate { ranking, signals: Signals { words, max_sim, cosine } }
        });
        let own = is_cloze.then_some(0);
        let candidates = candidates.collect();
        Trial { writing: Writing::Thai, has_words: true, is_cloze, own, candidates }
    }

    fn calibration(hears: [bool; 3]) -> OfScript {
        let trials: Vec<Trial> = (0..120).map(|n| trial(n, hears, n % 2 == 0)).collect();
        *Calibration::of(&trials).of_script(Writing::Thai).unwrap()
    }

    #[test]
    fn a_model_that_finds_as_much_keeps_its_weight() {
        let all = calibration([true; 3]);
        assert_eq!(all.model_weight, 1.0);
        assert!(!all.is_deaf());
        assert_eq!(all.found.lexical, 1.0);
        assert!(all.relevance.max_sim.weight > 0.0);
    }

    #[test]
    fn a_deaf_model_loses_its_weight_and_does_not_judge() {
        let deaf = calibration([false, false, true]);
        assert!(deaf.is_deaf());
        assert!(deaf.found.dense < 0.5 && deaf.found.lexical == 1.0);
        assert_eq!(deaf.relevance.max_sim.weight, 0.0);
        let [known, unknown] = [1.5, 0.3].map(|words| {
            deaf.relevance.of(&Signals { words: Some(words), max_sim: Some(0.9), cosine: None })
        });
        assert!(known > 0.5 && unknown < 0.5);
    }

    #[test]
    fn in_doubt_words_are_trusted_where_vectors_find_less_than_half_of_what_words_find() {
        let hears = |n: usize| [n % 8 < 3, n.is_multiple_of(8), n % 8 < 4];
        let trials: Vec<Trial> = (0..64).map(|n| trial(n, hears(n), true)).collect();
        let clozes: Vec<&Trial> = trials.iter().collect();
        let known = calibrated(&clozes);
        assert!(known.found.dense < TRUSTED * known.found.lexical, "{known:?}");
        assert_eq!(known.model_weight, model_weight(&clozes, false));
        assert!(model_weight(&clozes, false) < model_weight(&clozes, true));
    }

    #[test]
    fn words_judge_what_the_model_has_no_words_of() {
        let known = OfScript::without_words();
        assert!(known.is_deaf() && !known.is_model_judge());
        let [known, unknown] = [1.5, 0.1].map(|words| {
            let signals = Signals { words: Some(words), max_sim: Some(0.6), cosine: Some(0.6) };
            known.relevance.of(&signals)
        });
        assert!(known > 0.5 && unknown < 0.5);
    }

    #[test]
    fn in_doubt_words_are_trusted_where_the_model_has_none() {
        let of = |has_words| -> Vec<Trial> {
            (0..64).map(|n| Trial { has_words, ..trial(n, [true; 3], true) }).collect()
        };
        let weight = |trials: &[Trial]| calibrated(&trials.iter().collect::<Vec<_>>()).model_weight;
        assert_eq!((weight(&of(true)), weight(&of(false))), (1.0, 0.05));
    }

    #[test]
    fn a_script_of_few_sentences_has_no_calibration() {
        let trials: Vec<Trial> = (0..40).map(|n| trial(n, [true; 3], n % 2 == 0)).collect();
        assert_eq!(Calibration::of(&trials), Calibration::default());
        assert_eq!(Calibration::of(&[]).of_script(Writing::Latin), None);
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let trials: Vec<Trial> = (0..100).map(|n| trial(n, [true; 3], n % 2 == 0)).collect();
        let calibration = Calibration::of(&trials);
        let stored = serde_json::to_string(&calibration).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&stored).unwrap(), calibration);
        assert!(stored.contains("thai"));
    }
}
