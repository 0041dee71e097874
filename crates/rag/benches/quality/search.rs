//! A search as the database runs it: both legs, reciprocal ranks, token bits.
use crate::corpus::{Corpus, JudgedPassage};
use rag::answer::Passage;
use rag::model::Embedding;
use rag::rerank::{MAX_SIM_WEIGHT, cosine, fuse, max_sim, order};
use rag::search::fusion::RRF_K;
use std::collections::BTreeMap;

/// Candidates that each leg names, and that are reranked.
const LEG_DEPTH: usize = 100;
const CANDIDATES: usize = 50;
/// Passages an answer is taken from.
pub const TOP_K: usize = 5;

/// What each stage of a search found, best first.
pub struct Legs {
    pub dense: Vec<usize>,
    pub lexical: Vec<usize>,
    pub hybrid: Vec<usize>,
    pub reranked: Vec<(usize, f64)>,
}

/// Searches the passages that are allowed.
pub fn search(
    corpus: &Corpus,
    question: &str,
    embedding: &Embedding,
    is_allowed: impl Fn(usize) -> bool,
) -> Legs {
    let best = |scores: &[f64]| -> Vec<usize> {
        let order = order(scores, |passage| passage).into_iter();
        order.filter(|&passage| is_allowed(passage)).take(LEG_DEPTH).collect()
    };
    let Embedding { vector, tokens, .. } = embedding;
    let cosines: Vec<f64> =
        corpus.passages.iter().map(|p| f64::from(cosine(vector, &p.vector))).collect();
    let bm25 = corpus.lexical.scores(question);
    let dense = best(&cosines);
    let mut lexical = best(&bm25);
    lexical.retain(|&passage| bm25[passage] > 0.0);
    let candidates = by_reciprocal_ranks(&[&dense, &lexical]);
    let bits: Vec<_> = candidates.iter().map(|&p| corpus.passages[p].bits.clone()).collect();
    let tokens = tokens.as_ref().expect("token vectors were asked for");
    let late = max_sim(tokens, &bits, &mut || Ok(())).expect("one model");
    let late: Vec<f64> = late.into_iter().map(f64::from).collect();
    let of = |leg: &[f64]| -> Vec<f64> { candidates.iter().map(|&p| leg[p]).collect() };
    let ordered = |scores: &[f64]| -> Vec<(usize, f64)> {
        let order = order(scores, |i| candidates[i]).into_iter();
        order.map(|i| (candidates[i], scores[i])).collect()
    };
    let hybrid = ordered(&fuse(&[(1.0, &of(&cosines)), (1.0, &of(&bm25))]))
        .into_iter()
        .map(|(p, _)| p)
        .collect();
    let reranked =
        ordered(&fuse(&[(MAX_SIM_WEIGHT, &late), (1.0, &of(&cosines)), (1.0, &of(&bm25))]));
    Legs { dense, lexical, hybrid, reranked }
}

/// The passages of an answer.
pub fn passages<'a>(corpus: &'a Corpus, found: &[(usize, f64)]) -> Vec<Passage<'a>> {
    let passage = |&(passage, score): &(usize, f64)| {
        let JudgedPassage { text, bits, section, heading_tokens, .. } = &corpus.passages[passage];
        Passage {
            text,
            heading: section,
            span: 0..text.len(),
            bits: bits.clone(),
            heading_tokens: *heading_tokens,
            tokens: corpus.tokens(text),
            score,
        }
    };
    found.iter().take(TOP_K).map(passage).collect()
}

/// The candidates: the best by the sum of `1 / (k + rank)` over the legs, best first.
fn by_reciprocal_ranks(legs: &[&[usize]]) -> Vec<usize> {
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    for (rank, &passage) in legs.iter().flat_map(|leg| (1_u32..).zip(leg.iter())) {
        *sums.entry(passage).or_default() += 1.0 / (RRF_K + f64::from(rank));
    }
    let mut fused: Vec<(usize, f64)> = sums.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1));
    fused.into_iter().map(|(passage, _)| passage).take(CANDIDATES).collect()
}
