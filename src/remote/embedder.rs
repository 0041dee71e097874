//! A remote model as an embedder.
use super::call::Errand;
use super::cancel::Cancel;
use super::check::{self, Wrong};
use super::client::Client;
use super::failure::Failure;
use super::spread::spread;
use super::tokens::estimate;
use crate::model::{self, Checkpoint, Detail, Embedding, Purpose};
use crate::{Error, Result};
use std::borrow::Cow;

/// Most bytes of a number in JSON, with what separates it from the next.
const NUMBER: u64 = 32;
/// Most bytes of a response beside its numbers.
const REST: u64 = 1 << 20;

/// Turns texts into vectors by a remote model.
pub struct Embedder<'a>(pub &'a Client);

impl model::Embedder for Embedder<'_> {
    /// Token counts are estimates, and no text is cut: what is too long the provider refuses.
    fn embed(
        &self,
        texts: &[&str],
        purpose: Purpose,
        detail: Detail,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<Embedding>> {
        let spec = self.0.spec();
        if detail == Detail::Tokens {
            return Err(Error::unsupported(format!("{} has no vectors of tokens", spec.who()))
                .with_hint("Use a local model for this."));
        }
        if let Some(i) = texts.iter().position(|text| text.trim().is_empty()) {
            return Err(Error::invalid_argument(format!("text {} has no token", i + 1))
                .with_hint("Leave out texts that are empty."));
        }
        let prefix = match purpose {
            Purpose::Query => &*spec.query_prefix,
            Purpose::Document => &*spec.document_prefix,
        };
        let texts: Vec<Cow<'_, str>> = texts.iter().map(|text| prefixed(prefix, text)).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let counts: Vec<usize> = texts.iter().map(|text| estimate(text)).collect();
        let vectors = spread(self.0, &counts, 0, checkpoint, |range, cancel| {
            let tokens = counts[range.clone()].iter().sum();
            self.request(&texts[range], purpose, tokens, cancel)
        })?;
        let embeddings = vectors.into_iter().zip(counts).map(|(vector, token_count)| Embedding {
            vector,
            tokens: None,
            token_count,
            truncated: false,
        });
        Ok(embeddings.collect())
    }
}

impl Embedder<'_> {
    /// One request.
    fn request(
        &self,
        texts: &[&str],
        purpose: Purpose,
        tokens: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>, Failure> {
        let (client, spec) = (self.0, self.0.spec());
        let who = spec.who();
        let ask = client.provider().embed(&spec.model, texts, purpose);
        let ask = ask.ok_or_else(|| Failure::last(not_offered(&who, "vectors")))?;
        let numbers = (texts.len() * spec.dimensions.unwrap_or(16_000)) as u64;
        let most_bytes = REST + NUMBER * numbers;
        let items = texts.len();
        let body = client.run(Errand { ask, items, tokens, most_bytes }, cancel)?;
        let read =
            client.provider().vectors(&body).map_err(|why| Failure::malformed(&who, &why))?;
        check::vectors(&read.vectors, texts.len(), spec.dimensions, &who)
            .map_err(|wrong| of_wrong(&who, wrong))?;
        Ok(read.vectors)
    }
}

fn prefixed<'t>(prefix: &str, text: &'t str) -> Cow<'t, str> {
    if prefix.is_empty() { Cow::Borrowed(text) } else { Cow::Owned([prefix, text].concat()) }
}

pub(super) fn not_offered(who: &str, what: &str) -> Error {
    Error::unsupported(format!("{who} gives no {what}"))
        .with_hint("The view rag.model lists the models and their kinds.")
}

pub(super) fn of_wrong(who: &str, wrong: Wrong) -> Failure {
    match wrong {
        Wrong::Malformed(why) => Failure::malformed(who, &why),
        Wrong::Configuration(error) => Failure::last(error),
    }
}
