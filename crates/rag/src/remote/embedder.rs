//! A remote model as an embedder.
use super::call::{CallRequest, RESPONSE_OVERHEAD, RetryPolicy};
use super::cancel::Cancel;
use super::check::{self, ResponseDefect};
use super::client::Client;
use super::failure::CallFailure;
use super::failure_kind::FailureKind;
use super::fan_out::{PartialResults, fan_out, fan_out_partly};
use super::fault::Fault;
use super::record::{CallPurpose, Counted};
use super::tokens::estimate;
use crate::model::{self, Checkpoint, Detail, Embedding, Purpose};
use crate::{Error, Result};
use std::borrow::Cow;
use std::ops::Range;

/// Most bytes of a number in JSON, with what separates it from the next.
const MAX_NUMBER_BYTES: u64 = 32;
/// The harmless text that shows whether any request succeeds.
const PROBE_TEXT: &str = "test";

/// Turns texts into vectors by a remote model.
pub struct Embedder<'a>(pub &'a Client);

/// Results of texts of which some failed.
pub struct Partial {
    /// One per text; `None` where it was rejected, or its request was not made any more.
    pub embeddings: Vec<Option<Embedding>>,
    /// Texts that fail while others succeed.
    pub rejected: Vec<(usize, Fault)>,
    /// The failure that ended the call.
    pub fault: Option<Fault>,
    /// What the checkpoint ended the call with. Nothing is rejected or at fault then.
    pub cancelled: Option<Error>,
}

impl model::Embedder for Embedder<'_> {
    /// Token counts are estimates, and no text is cut: what is too long the provider refuses.
    fn embed(
        &self,
        texts: &[&str],
        purpose: Purpose,
        detail: Detail,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<Embedding>> {
        if detail == Detail::Tokens {
            return Err(Error::unsupported(format!(
                "{} has no vectors of tokens",
                self.0.spec().label()
            ))
            .with_hint("Use a local model for this."));
        }
        let texts = self.prepared(texts, purpose)?;
        let (texts, counts) = counted(&texts);
        let vectors = fan_out(self.0, &counts, 0, checkpoint, |range, retry, cancel| {
            let tokens = counts[range.clone()].iter().sum();
            self.request(&texts[range], purpose, tokens, retry, cancel)
        })?;
        Ok(vectors.into_iter().zip(counts).map(embedding_of).collect())
    }
}

impl Embedder<'_> {
    /// Embeds `texts`, keeping what was paid for when a request among several fails or the call is cancelled, and
    /// finding the texts that fail. The last `suspects` of them failed before: each is sent in a request of its own,
    /// after the others. An error is a text that is empty.
    pub fn embed_partly(
        &self,
        texts: &[&str],
        suspects: usize,
        purpose: Purpose,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Partial> {
        let texts = self.prepared(texts, purpose)?;
        let (texts, counts) = counted(&texts);
        let send = |range: Range<usize>, retry, cancel: &Cancel| {
            let tokens = counts[range.clone()].iter().sum();
            self.request(&texts[range], purpose, tokens, retry, cancel)
        };
        let probe = |cancel: &Cancel| {
            let text = prefixed(self.0.spec().prefix(purpose), PROBE_TEXT);
            let tokens = estimate(&text);
            self.request(&[&text], purpose, tokens, RetryPolicy::Pauses, cancel).map(drop)
        };
        let PartialResults { results, rejected, fault, cancelled } =
            fan_out_partly(self.0, &counts, suspects, checkpoint, send, probe);
        let embeddings = results.into_iter().zip(&counts);
        let embeddings = embeddings.map(|(vector, count)| Some(embedding_of((vector?, *count))));
        Ok(Partial { embeddings: embeddings.collect(), rejected, fault, cancelled })
    }

    /// The texts with what is put before them.
    fn prepared<'t>(&self, texts: &[&'t str], purpose: Purpose) -> Result<Vec<Cow<'t, str>>> {
        if let Some(i) = texts.iter().position(|text| text.trim().is_empty()) {
            return Err(Error::invalid_argument(format!("text {} has no token", i + 1))
                .with_hint("Leave out texts that are empty."));
        }
        let prefix = self.0.spec().prefix(purpose);
        Ok(texts.iter().map(|text| prefixed(prefix, text)).collect())
    }

    /// One request.
    fn request(
        &self,
        texts: &[&str],
        purpose: Purpose,
        tokens: usize,
        retry: RetryPolicy,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>, CallFailure> {
        let (client, spec) = (self.0, self.0.spec());
        let label = spec.label();
        let payload = client.provider().embed(&spec.model, texts, purpose);
        let payload =
            payload.ok_or_else(|| CallFailure::permanent(not_offered(&label, "vectors")))?;
        let numbers = (texts.len() * spec.dimensions.unwrap_or(16_000)) as u64;
        let max_bytes = RESPONSE_OVERHEAD + MAX_NUMBER_BYTES * numbers;
        let items = texts.len();
        let purpose = match purpose {
            Purpose::Query => CallPurpose::Query,
            Purpose::Document => CallPurpose::Document,
        };
        let request = CallRequest { payload, purpose, items, tokens, max_bytes, retry };
        client.run(request, cancel, |body| {
            let read = client
                .provider()
                .vectors(body)
                .map_err(|why| CallFailure::malformed(&label, &why))?;
            check::vectors(&read.vectors, texts.len(), spec.dimensions, &label)
                .map_err(|wrong| failure_of(&label, wrong))?;
            Ok((read.vectors, Counted { input: read.tokens, output: None }))
        })
    }
}

fn counted<'t>(texts: &'t [Cow<'_, str>]) -> (Vec<&'t str>, Vec<usize>) {
    texts.iter().map(|text| (&**text, estimate(text))).unzip()
}

fn embedding_of((vector, token_count): (Vec<f32>, usize)) -> Embedding {
    Embedding { vector, tokens: None, token_count, truncated: false }
}

fn prefixed<'t>(prefix: &str, text: &'t str) -> Cow<'t, str> {
    if prefix.is_empty() { Cow::Borrowed(text) } else { Cow::Owned([prefix, text].concat()) }
}

pub(super) fn not_offered(label: &str, what: &str) -> Error {
    Error::unsupported(format!("{label} gives no {what}"))
        .with_hint("The view rag.model lists the models and their kinds.")
}

pub(super) fn failure_of(label: &str, wrong: ResponseDefect) -> CallFailure {
    match wrong {
        ResponseDefect::Malformed(why) => CallFailure::malformed(label, &why),
        // Whether it always does so others show.
        ResponseDefect::Configuration(error) => {
            CallFailure { kind: FailureKind::Unusable, ..CallFailure::permanent(error) }
        }
    }
}
