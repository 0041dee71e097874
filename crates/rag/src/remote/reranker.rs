//! A remote model as a reranker.
use super::call::{Errand, Patience};
use super::cancel::Cancel;
use super::check;
use super::client::Client;
use super::embedder::{not_offered, of_wrong};
use super::failure::Failure;
use super::record::{Counted, Purpose};
use super::spread::spread;
use super::tokens::estimate;
use crate::Result;
use crate::model::{self, Checkpoint};

/// Most bytes of a response per document; some providers send the document back.
const DOCUMENT: u64 = 1 << 10;
/// Most bytes of a response beside its documents.
const REST: u64 = 1 << 20;

/// Scores documents by a remote model.
pub struct Reranker<'a>(pub &'a Client);

impl model::Reranker for Reranker<'_> {
    /// Scores of one model are comparable over requests: each pair is scored by itself.
    fn rerank(
        &self,
        query: &str,
        documents: &[&str],
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<f32>> {
        let counts: Vec<usize> = documents.iter().map(|text| estimate(text)).collect();
        let extra = estimate(query);
        spread(self.0, &counts, extra, checkpoint, |range, patience, cancel| {
            let tokens = extra + counts[range.clone()].iter().sum::<usize>();
            self.request(query, &documents[range], tokens, patience, cancel)
        })
    }
}

impl Reranker<'_> {
    /// One request.
    fn request(
        &self,
        query: &str,
        documents: &[&str],
        tokens: usize,
        patience: Patience,
        cancel: &Cancel,
    ) -> Result<Vec<f32>, Failure> {
        let (client, spec) = (self.0, self.0.spec());
        let who = spec.who();
        let ask = client.provider().rerank(&spec.model, query, documents);
        let ask = ask.ok_or_else(|| Failure::last(not_offered(&who, "scores")))?;
        let sent: usize = documents.iter().map(|text| text.len()).sum();
        // What is sent back may be escaped.
        let most_bytes = REST + DOCUMENT * documents.len() as u64 + 6 * sent as u64;
        let items = documents.len();
        let purpose = Purpose::Rerank;
        let errand = Errand { ask, purpose, items, tokens, most_bytes, patience };
        client.run(errand, cancel, |body| {
            let read =
                client.provider().scores(body).map_err(|why| Failure::malformed(&who, &why))?;
            let counted = Counted { input: read.tokens, output: None };
            let scores = check::scores(&read, documents.len());
            Ok((scores.map_err(|wrong| of_wrong(&who, wrong))?, counted))
        })
    }
}
