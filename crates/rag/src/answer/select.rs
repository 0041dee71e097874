//! Which sentences make the answer.
use super::{Candidate, Passage};
use crate::rerank::{MaxSim, standard_scores};

/// Weight of the passage's own rank beside the sentence's match.
const PASSAGE_WEIGHT: f64 = 0.5;
/// Weight of what a further sentence says that those chosen do not.
const NOVELTY_WEIGHT: f64 = 2.0;
/// A further sentence must match the question at least this well beside the first: an answer is not
/// filled up with what has nothing to do with it.
const LEAST_SHARE: f64 = 0.6;

/// Positions of up to `most` candidates, the best first.
///
/// A sentence counts by its match with the question, query tokens weighted by how well they tell
/// these sentences apart, and by its passage's score; each further one also by the question's
/// tokens that it matches better than those before.
pub(super) fn best(
    candidates: &[Candidate],
    passages: &[Passage<'_>],
    max_sim: &MaxSim,
    most: usize,
) -> Vec<usize> {
    let matches = handed_on(candidates, &max_sim.contrasted());
    let means = handed_on(candidates, &max_sim.means());
    let worth = worth(candidates, passages, &matches);
    let weights = max_sim.contrasts();
    let total = weights.iter().sum::<f32>().max(f32::EPSILON);
    let deviation = deviation(&matches).max(f64::EPSILON);
    let has_quotable = candidates.iter().any(|candidate| !candidate.is_lead);
    let is_quotable = |i: &usize| !(has_quotable && candidates[*i].is_lead);

    let mut chosen: Vec<usize> = Vec::new();
    let mut covered = vec![f32::MAX; weights.len()];
    while chosen.len() < most {
        let novelty = |i: usize| -> f64 {
            let gains = max_sim.of(i).iter().zip(&covered).map(|(x, known)| (x - known).max(0.0));
            f64::from(gains.zip(&weights).map(|(gain, weight)| gain * weight).sum::<f32>() / total)
        };
        let value = |i: usize| worth[i] + NOVELTY_WEIGHT * novelty(i) / deviation;
        let least = chosen.first().map_or(f64::MIN, |&first| LEAST_SHARE * means[first].max(0.0));
        let is_open = |i: &usize| is_quotable(i) && means[*i] >= least && !chosen.contains(i);
        let open = (0..candidates.len()).filter(is_open);
        // The first of equals, so that the passages' order decides.
        let Some(next) = open.rev().max_by(|&a, &b| value(a).total_cmp(&value(b))) else { break };
        for (known, &found) in covered.iter_mut().zip(max_sim.of(next)) {
            *known = if chosen.is_empty() { found } else { known.max(found) };
        }
        chosen.push(next);
    }
    chosen
}

/// Match and passage on one scale.
fn worth(candidates: &[Candidate], passages: &[Passage<'_>], matches: &[f64]) -> Vec<f64> {
    let scores: Vec<f64> = passages.iter().map(|passage| passage.score).collect();
    let passages = standard_scores(&scores);
    let matches = standard_scores(matches).into_iter().zip(candidates);
    matches.map(|(z, candidate)| z + PASSAGE_WEIGHT * passages[candidate.passage]).collect()
}

/// What follows a heading or question answers it: it gets half of the way to the lead's match.
fn handed_on(candidates: &[Candidate], matches: &[f32]) -> Vec<f64> {
    let mut matches: Vec<f64> = matches.iter().copied().map(f64::from).collect();
    for i in 1..candidates.len() {
        let (lead, next) = (&candidates[i - 1], &candidates[i]);
        if lead.is_lead && lead.passage == next.passage {
            matches[i] = matches[i].max(f64::midpoint(matches[i - 1], matches[i]));
        }
    }
    matches
}

fn deviation(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}
