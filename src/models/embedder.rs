//! An embedder, local or remote.
use crate::models::local as model;
use crate::models::local::{Named, report_truncated};
use crate::models::remote::{Remote, require};
use crate::sys::interrupt;
use pgrx::pg_sys::Oid;
use rag::Result;
use rag::model::local::Busy;
use rag::model::manifest;
use rag::model::tokenizer::TokenCounter;
use rag::model::{self as models, Checkpoint, Detail, Embedding, LocalModel, Purpose};
use rag::remote::{self as remotely, Estimator, RemoteKind};
use std::borrow::Cow;

/// An embedder, and its properties that need no inference.
pub enum Embedder {
    Local(&'static LocalModel),
    Remote(Box<Remote>),
}

impl Embedder {
    /// The embedder of this name, or the default one, for use by `role`. A local one need not be able to
    /// run: its tokenizer alone is read.
    pub fn named(name: Option<&str>, role: Oid) -> Result<Self> {
        match model::named_for(name, role)? {
            Named::Local(model) => {
                model.require(manifest::ModelKind::Embedder)?;
                Ok(Self::Local(model))
            }
            Named::Remote(client) => {
                require(&client, RemoteKind::Embedder)?;
                Ok(Self::Remote(client))
            }
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Local(model) => &model.manifest().name,
            Self::Remote(client) => &client.spec().name,
        }
    }

    /// Hash over everything that its vectors depend on.
    pub fn fingerprint(&self) -> Cow<'_, str> {
        match self {
            Self::Local(model) => Cow::Borrowed(model.fingerprint()),
            Self::Remote(client) => Cow::Owned(client.spec().fingerprint()),
        }
    }

    /// Whether its vocabulary has words for a text, as far as that is known.
    pub fn has_words_for(&self, text: &str) -> Result<bool> {
        match self {
            Self::Local(model) => model.tokenizer().has_words_for(text),
            Self::Remote(_) => Ok(true),
        }
    }

    pub fn dimensions(&self) -> usize {
        match self {
            Self::Local(model) => model.manifest().dimensions,
            Self::Remote(client) => client.spec().dimensions.unwrap_or_default(),
        }
    }

    /// Most tokens of a text that count, by [`Embedder::counter`].
    pub fn room(&self, purpose: Purpose) -> Result<usize> {
        match self {
            Self::Local(model) => model.room(purpose),
            Self::Remote(client) => client.spec().room(purpose),
        }
    }

    /// Most tokens of a text with all that is put around it.
    pub fn window(&self) -> usize {
        match self {
            Self::Local(model) => model.window(),
            Self::Remote(client) => client.spec().max_tokens,
        }
    }

    /// Counts tokens: as the model does, or more of them where its tokenizer is not here.
    pub fn counter(&self) -> &dyn TokenCounter {
        match self {
            Self::Local(model) => model.tokenizer(),
            Self::Remote(_) => &Estimator,
        }
    }

    /// Cost of embedding `texts` texts of `tokens` tokens in all, where prices are known.
    pub fn cost(&self, texts: f64, tokens: f64) -> Option<f64> {
        match self {
            Self::Local(_) => None,
            Self::Remote(client) => client.spec().cost(texts, tokens),
        }
    }

    /// For many calls in a row: see [`LocalModel::busy`].
    pub fn busy(&self) -> Option<Busy<'static>> {
        match self {
            Self::Local(model) => Some(model.busy()),
            Self::Remote(_) => None,
        }
    }

    /// Whether it is local. Only local embedders return a vector per token.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Embeds texts, and reports those that were truncated as `rag_pg.truncation` says.
    pub fn embed_reporting(
        &self,
        texts: &[&str],
        purpose: Purpose,
        detail: Detail,
    ) -> Result<Vec<Embedding>> {
        let embeddings =
            models::Embedder::embed(self, texts, purpose, detail, &mut interrupt::checkpoint)?;
        self.report(purpose, &embeddings)?;
        Ok(embeddings)
    }

    /// Does what `rag_pg.truncation` says about truncated texts. Remote models truncate none: their provider
    /// rejects a text that is too long.
    pub fn report(&self, purpose: Purpose, embeddings: &[Embedding]) -> Result<()> {
        match self {
            Self::Local(model) => report_truncated(model, purpose, embeddings),
            Self::Remote(_) => Ok(()),
        }
    }
}

impl models::Embedder for Embedder {
    fn embed(
        &self,
        texts: &[&str],
        purpose: Purpose,
        detail: Detail,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<Embedding>> {
        match self {
            Self::Local(model) => model.embed(texts, purpose, detail, checkpoint),
            Self::Remote(client) => {
                remotely::Embedder(client).embed(texts, purpose, detail, checkpoint)
            }
        }
    }
}
