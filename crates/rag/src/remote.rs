//! Models that other servers run: `OpenAI` and what speaks its format, Azure, Cohere, Voyage, Jina, TEI,
//! Anthropic, Ollama.
//!
//! A [`Spec`] says what a model is, a [`Client`] calls it. [`Embedder`], [`Reranker`] and
//! [`Generator`] put it behind the same traits as local models. A call runs on a thread of its own
//! while the caller's checkpoint keeps running, so that a cancel acts at once even when the peer is
//! silent. It has one deadline, retries included.
mod adapt;
mod call;
mod cancel;
mod check;
mod client;
mod egress;
mod embedder;
mod error_body;
mod failure;
mod failure_kind;
mod fan_out;
mod fault;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod generator;
mod pace;
mod provider;
mod record;
mod reranker;
mod retry;
mod secret;
mod spec;
mod stream;
mod tokens;
mod transport;
mod url;

pub use adapt::Adapted;
pub use cancel::Cancel;
pub use client::{Client, Connection};
pub use egress::Egress;
pub use embedder::{Embedder, Partial};
pub use fault::{Blame, Fault};
pub use generator::{Blocking, Generator};
pub use pace::{Learnt, Limits, Pace, now};
pub use provider::RemoteKind;
pub use record::{Call, CallPurpose, Counted, Price};
pub use reranker::Reranker;
pub use secret::{Credential, KeySource, Secret};
pub use spec::Spec;
pub use tokens::{Estimator, estimate};
pub use transport::ConnectionSettings;
pub use url::Url;
