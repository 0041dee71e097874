//! Answers from bare text: token bits are computed on the fly.
use super::{Answer, Options, Passage, extract};
use crate::Result;
use crate::chunk::{self, Format};
use crate::model::tokenizer::Tokenizer;
use crate::model::{Checkpoint, Detail, Embedder, Purpose};
use crate::rerank::{
    MAX_SIM_WEIGHT, TokenBits, cosine, embed_query, fuse, max_sim, order, token_vectors,
};
use std::ops::Range;

/// Pieces embedded in one call; their token vectors are held until they become bits.
const PIECES_PER_CALL: usize = 128;

/// Pieces that sentences are taken from: as many as a search gives by default.
const PIECES_QUOTED: usize = 5;

/// A part of a passage that fits the model's window.
struct PassagePiece<'a> {
    passage: usize,
    text: &'a str,
    span: Range<usize>,
}

/// Answers `question` from `passages`, however long they are. Blank ones are passed over.
/// [`Options::searched`] is found here. `window` is the most tokens of a document that the model takes, special tokens not counted. An
/// error when the question has no token.
pub fn from_passages(
    embedder: &dyn Embedder,
    tokenizer: &Tokenizer,
    window: usize,
    question: &str,
    passages: &[&str],
    options: &Options,
    checkpoint: Checkpoint<'_>,
) -> Result<Answer> {
    let asked = embed_query(embedder, question, checkpoint)?;
    let question_tokens = token_vectors(&asked)?;
    let pieces = pieces(tokenizer, window, passages, checkpoint)?;
    let (mut cosines, mut bits) = (Vec::new(), Vec::new());
    for call in pieces.chunks(PIECES_PER_CALL) {
        let texts: Vec<&str> = call.iter().map(|piece| &piece.text[piece.span.clone()]).collect();
        for embedding in embedder.embed(&texts, Purpose::Document, Detail::Tokens, checkpoint)? {
            cosines.push(f64::from(cosine(&asked.vector, &embedding.vector)));
            bits.push(TokenBits::of(token_vectors(&embedding)?));
        }
    }
    let max_sim = max_sim(question_tokens, &bits, checkpoint)?;
    let max_sim: Vec<f64> = max_sim.into_iter().map(f64::from).collect();
    let scores = fuse(&[(MAX_SIM_WEIGHT, &max_sim), (1.0, &cosines)]);
    let best: Vec<usize> = order(&scores, |i| i).into_iter().take(PIECES_QUOTED).collect();
    let passage = |&i: &usize| {
        let PassagePiece { text, span, .. } = &pieces[i];
        let tokens = tokenizer.tokens(&text[span.clone()])?.offsets;
        let place = |(from, to): (u32, u32)| span.start + from as usize..span.start + to as usize;
        Ok(Passage {
            text,
            heading: "",
            span: span.clone(),
            bits: bits[i].clone(),
            heading_tokens: 0,
            tokens: tokens.into_iter().map(place).collect(),
            score: scores[i],
        })
    };
    let found = best.iter().map(passage).collect::<Result<Vec<_>>>()?;
    let options = Options { searched: pieces.len(), ..*options };
    let mut answer = extract(question, question_tokens, &found, &options, checkpoint)?;
    for citation in answer.citations.iter_mut().chain(&mut answer.refused) {
        citation.passage = pieces[best[citation.passage]].passage;
    }
    Ok(answer)
}

/// The passages, those that are longer than the window divided at the best places.
fn pieces<'a>(
    tokenizer: &Tokenizer,
    window: usize,
    passages: &[&'a str],
    checkpoint: Checkpoint<'_>,
) -> Result<Vec<PassagePiece<'a>>> {
    let options = chunk::Options {
        max_tokens: window,
        overlap_tokens: 0,
        format: Format::Plain,
        heading_tokens: 0,
        window,
    };
    let mut pieces = Vec::new();
    for (passage, &text) in passages.iter().enumerate() {
        let mut chunks = chunk::chunk(text, &options, tokenizer, checkpoint)?.chunks;
        chunks.retain(|chunk| chunk.token_count > 0);
        pieces.extend(chunks.into_iter().map(|chunk| PassagePiece {
            passage,
            text,
            span: chunk.range,
        }));
    }
    Ok(pieces)
}
