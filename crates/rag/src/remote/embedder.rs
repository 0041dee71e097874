//! A remote model as an embedder.
use super::call::{self, Counted, Errand, Patience};
use super::cancel::Cancel;
use super::check::{self, Wrong};
use super::client::Client;
use super::failure::Failure;
use super::fault::Fault;
use super::sign::Sign;
use super::spread::{Parts, spread, spread_partly};
use super::tokens::estimate;
use crate::model::{self, Checkpoint, Detail, Embedding, Purpose};
use crate::{Error, Result};
use std::borrow::Cow;
use std::ops::Range;

/// Most bytes of a number in JSON, with what separates it from the next.
const NUMBER: u64 = 32;
/// Most bytes of a response beside its numbers.
const REST: u64 = 1 << 20;
/// What is asked for to see whether anything succeeds.
const PROBE: &str = "test";

/// Turns texts into vectors by a remote model.
pub struct Embedder<'a>(pub &'a Client);

/// What became of texts of which some failed.
pub struct Partial {
    /// One per text; `None` where it was rejected, or its request was not made any more.
    pub embeddings: Vec<Option<Embedding>>,
    /// Texts that fail while others succeed.
    pub rejected: Vec<(usize, Fault)>,
    /// What ended the call.
    pub fault: Option<Fault>,
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
                self.0.spec().who()
            ))
            .with_hint("Use a local model for this."));
        }
        let texts = self.prepared(texts, purpose)?;
        let (texts, counts) = counted(&texts);
        let vectors = spread(self.0, &counts, 0, checkpoint, |range, patience, cancel| {
            let tokens = counts[range.clone()].iter().sum();
            self.request(&texts[range], purpose, tokens, patience, cancel)
        })?;
        Ok(vectors.into_iter().zip(counts).map(of_vector).collect())
    }
}

impl Embedder<'_> {
    /// Embeds `texts`, keeping what was paid for when a request among several fails, and finding the texts that
    /// fail. An error is a text that is empty, or a cancel.
    pub fn embed_partly(
        &self,
        texts: &[&str],
        purpose: Purpose,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Partial> {
        let texts = self.prepared(texts, purpose)?;
        let (texts, counts) = counted(&texts);
        let send = |range: Range<usize>, patience, cancel: &Cancel| {
            let tokens = counts[range.clone()].iter().sum();
            self.request(&texts[range], purpose, tokens, patience, cancel)
        };
        let probe = |cancel: &Cancel| {
            let text = prefixed(self.0.spec().prefix(purpose), PROBE);
            let tokens = estimate(&text);
            self.request(&[&text], purpose, tokens, Patience::Pauses, cancel).map(drop)
        };
        let Parts { results, rejected, fault } =
            spread_partly(self.0, &counts, checkpoint, send, probe)?;
        let embeddings = results.into_iter().zip(&counts);
        let embeddings = embeddings.map(|(vector, count)| Some(of_vector((vector?, *count))));
        Ok(Partial { embeddings: embeddings.collect(), rejected, fault })
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
        patience: Patience,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>, Failure> {
        let (client, spec) = (self.0, self.0.spec());
        let who = spec.who();
        let ask = client.provider().embed(&spec.model, texts, purpose);
        let ask = ask.ok_or_else(|| Failure::last(not_offered(&who, "vectors")))?;
        let numbers = (texts.len() * spec.dimensions.unwrap_or(16_000)) as u64;
        let most_bytes = REST + NUMBER * numbers;
        let items = texts.len();
        let purpose = match purpose {
            Purpose::Query => call::Purpose::Query,
            Purpose::Document => call::Purpose::Document,
        };
        let errand = Errand { ask, purpose, items, tokens, most_bytes, patience };
        client.run(errand, cancel, |body| {
            let read =
                client.provider().vectors(body).map_err(|why| Failure::malformed(&who, &why))?;
            check::vectors(&read.vectors, texts.len(), spec.dimensions, &who)
                .map_err(|wrong| of_wrong(&who, wrong))?;
            Ok((read.vectors, Counted { input: read.tokens, output: None }))
        })
    }
}

fn counted<'t>(texts: &'t [Cow<'_, str>]) -> (Vec<&'t str>, Vec<usize>) {
    texts.iter().map(|text| (&**text, estimate(text))).unzip()
}

fn of_vector((vector, token_count): (Vec<f32>, usize)) -> Embedding {
    Embedding { vector, tokens: None, token_count, truncated: false }
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
        // Whether it always does so others show.
        Wrong::Configuration(error) => Failure { sign: Sign::Refused, ..Failure::last(error) },
    }
}
