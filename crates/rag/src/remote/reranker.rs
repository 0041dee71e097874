//! A remote model as a reranker.
use super::call::{CallRequest, RESPONSE_OVERHEAD, RetryPolicy};
use super::cancel::Cancel;
use super::check;
use super::client::Client;
use super::embedder::{failure_of, not_offered};
use super::failure::CallFailure;
use super::fan_out::fan_out;
use super::record::{CallPurpose, Counted};
use super::tokens::estimate;
use crate::Result;
use crate::model::{self, Checkpoint};

/// Most bytes of a response per document; some providers send the document back.
const MAX_DOCUMENT_BYTES: u64 = 1 << 10;

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
        fan_out(self.0, &counts, extra, checkpoint, |range, retry, cancel| {
            let tokens = extra + counts[range.clone()].iter().sum::<usize>();
            self.request(query, &documents[range], tokens, retry, cancel)
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
        retry: RetryPolicy,
        cancel: &Cancel,
    ) -> Result<Vec<f32>, CallFailure> {
        let (client, spec) = (self.0, self.0.spec());
        let label = spec.label();
        let payload = client.provider().rerank(&spec.model, query, documents);
        let payload =
            payload.ok_or_else(|| CallFailure::permanent(not_offered(&label, "scores")))?;
        let sent: usize = documents.iter().map(|text| text.len()).sum();
        // Documents sent back may be escaped.
        let max_bytes =
            RESPONSE_OVERHEAD + MAX_DOCUMENT_BYTES * documents.len() as u64 + 6 * sent as u64;
        let items = documents.len();
        let purpose = CallPurpose::Rerank;
        let request = CallRequest { payload, purpose, items, tokens, max_bytes, retry };
        client.run(request, cancel, |body| {
            let read = client
                .provider()
                .scores(body)
                .map_err(|why| CallFailure::malformed(&label, &why))?;
            let counted = Counted { input: read.tokens, output: None };
            let scores = check::scores(&read, documents.len());
            Ok((scores.map_err(|wrong| failure_of(&label, wrong))?, counted))
        })
    }
}
