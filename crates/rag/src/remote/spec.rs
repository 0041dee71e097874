//! A remote model: its row of the catalog as an owned value.
use super::pace::Limits;
use super::provider::{self, Provider, RemoteKind};
use super::record::{CallPurpose, Price};
use super::secret::Credential;
use super::tokens::estimate;
use super::url::Url;
use crate::model::Purpose;
use crate::model::manifest::sha256_hex;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::time::Duration;

/// Tokens that a model puts around a text.
const SPECIAL_TOKENS: usize = 4;

/// The assumed duration of a request where none was measured: that of a public embedder.
const ASSUMED_REQUEST_TIME: Duration = Duration::from_millis(500);

/// A remote model.
#[derive(Debug, Clone)]
pub struct Spec {
    /// As SQL names it.
    pub name: String,
    /// Embedder, reranker or generator.
    pub kind: RemoteKind,
    /// The provider whose format it speaks.
    pub provider: String,
    /// Where it is; the provider's own where NULL was given.
    pub url: Url,
    /// The name its provider knows it by.
    pub model: String,
    /// The key it is called with, and where that may go.
    pub credential: Option<Credential>,
    /// Length of its vectors; an embedder has one.
    pub dimensions: Option<usize>,
    /// Most tokens of a text or, for a generator, of rules, passages and answer together.
    pub max_tokens: usize,
    /// Most tokens of a generator's answer.
    pub max_output_tokens: u32,
    /// Put before a text that asks.
    pub query_prefix: String,
    /// Put before a text that is searched.
    pub document_prefix: String,
    /// Most texts of a request.
    pub max_items: usize,
    /// Most tokens of a request, all texts together.
    pub max_request_tokens: usize,
    /// Requests in flight at once.
    pub concurrency: usize,
    /// The provider's rate limits.
    pub limits: Limits,
    /// How freely a generator chooses words; `None` for models that take no such value.
    pub temperature: Option<f64>,
    /// For all of a call, retries included.
    pub timeout: Duration,
    /// How often a request is tried again.
    pub retries: u32,
    /// Put into every request's body; NULL takes out what would be there.
    pub parameters: Map<String, Value>,
    /// The same for an embedder's requests with texts that ask.
    pub query_parameters: Map<String, Value>,
    /// The same with texts that are searched.
    pub document_parameters: Map<String, Value>,
    /// The provider's prices.
    pub price: Price,
}

impl Spec {
    /// The cost of embedding so many texts of so many tokens in all; `None` where the model has no price.
    pub fn cost(&self, texts: f64, tokens: f64) -> Option<f64> {
        let Price { input, request, .. } = self.price;
        input.or(request)?;
        let requests = (texts / self.max_items as f64).max(tokens / self.max_request_tokens as f64);
        Some(tokens / 1e6 * input.unwrap_or(0.0) + requests.ceil() * request.unwrap_or(0.0))
    }
}

/// A window below which a generator is given sentences instead of passages.
const SMALL_WINDOW: usize = 4_096;
/// Billions of parameters up to which one is small.
const SMALL_SIZE: f64 = 3.0;

impl Spec {
    /// Whether a generator is one that loses its way in long prompts, by the size that its name says.
    pub fn is_small(&self) -> bool {
        let size = |word: &str| {
            let lower = word.to_ascii_lowercase();
            let (number, factor) = match (lower.strip_suffix('b'), lower.strip_suffix('m')) {
                (Some(number), _) => (number, 1.0),
                (None, Some(number)) => (number, 0.001),
                _ => return None,
            };
            number.parse::<f64>().ok().map(|number| number * factor)
        };
        let mut sizes =
            self.model.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').filter_map(size);
        sizes.any(|size| size > 0.0 && size <= SMALL_SIZE)
    }

    /// Whether whole passages would leave little room in its window.
    pub fn has_small_window(&self) -> bool {
        self.max_tokens < SMALL_WINDOW
    }

    /// The module that knows the provider's format.
    pub(super) fn provider(&self) -> Result<&'static dyn Provider> {
        find_provider(&self.provider)
    }

    /// How errors name it.
    pub(super) fn label(&self) -> String {
        format!("model \"{}\"", self.name)
    }

    /// Stands for what its vectors depend on, as far as one can know from here: vectors of models that
    /// differ in it never meet in one search.
    pub fn fingerprint(&self) -> String {
        let dimensions = self.dimensions.unwrap_or_default().to_string();
        let parameters = Value::Object(self.parameters.clone()).to_string();
        let url = self.url.to_string();
        let mut parts = vec![
            "remote",
            &*self.provider,
            &*url,
            &*self.model,
            &*dimensions,
            &*self.query_prefix,
            &*self.document_prefix,
            &*parameters,
        ];
        let by_purpose = [&self.query_parameters, &self.document_parameters];
        let by_purpose = by_purpose.map(|parameters| Value::Object(parameters.clone()).to_string());
        if by_purpose.iter().any(|parameters| parameters != "{}") {
            parts.extend(by_purpose.iter().map(String::as_str));
        }
        // Each with its length, so that no two lists of parts look the same.
        let parts: Vec<String> =
            parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
        sha256_hex(parts.concat().as_bytes())
    }

    /// Parameters of the requests for this purpose alone.
    pub(super) fn parameters_of(&self, purpose: CallPurpose) -> &Map<String, Value> {
        static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        match purpose {
            CallPurpose::Query => &self.query_parameters,
            CallPurpose::Document => &self.document_parameters,
            CallPurpose::Rerank | CallPurpose::Answer => &NONE,
        }
    }

    /// The prefix of a text.
    pub fn prefix(&self, purpose: Purpose) -> &str {
        match purpose {
            Purpose::Query => &self.query_prefix,
            Purpose::Document => &self.document_prefix,
        }
    }

    /// Most tokens of a text, by [`estimate`], that the model takes besides its prefix and the tokens that
    /// it may add itself.
    pub fn room(&self, purpose: Purpose) -> Result<usize> {
        let taken = SPECIAL_TOKENS + estimate(self.prefix(purpose));
        self.max_tokens.checked_sub(taken).filter(|room| *room > 0).ok_or_else(|| {
            Error::configuration(format!("the prefix of {} fills its window", self.label()))
                .with_hint("Create the model with a larger max_tokens, or a shorter prefix.")
        })
    }

    /// Tokens that can be embedded in a second, in texts of so many tokens: what the limits allow and at most
    /// what requests of [`ASSUMED_REQUEST_TIME`] come to.
    pub fn tokens_per_second(&self, tokens_per_text: f64) -> f64 {
        let a_request =
            (self.max_items as f64 * tokens_per_text).min(self.max_request_tokens as f64);
        let limits = [
            Some(a_request * self.concurrency as f64 / ASSUMED_REQUEST_TIME.as_secs_f64()),
            self.limits.tokens.map(|a_minute| f64::from(a_minute) / 60.0),
            self.limits.requests.map(|a_minute| f64::from(a_minute) / 60.0 * a_request),
        ];
        limits.into_iter().flatten().fold(f64::INFINITY, f64::min)
    }

    /// Checks what the parts must be, also to each other.
    pub fn check(&self) -> Result<()> {
        let provider = self.provider()?;
        if !provider::offers(provider, self.kind) {
            let (name, kind) = (&self.provider, self.kind.as_str());
            return Err(Error::unsupported(format!("provider \"{name}\" has no {kind}s"))
                .with_hint("Choose another provider or kind."));
        }
        if let Some(credential) = &self.credential {
            credential.require(&self.url)?;
        }
        let require_range = |what: &str, given: usize, least: usize, most: usize| {
            if (least..=most).contains(&given) {
                return Ok(());
            }
            Err(Error::invalid_argument(format!("{what} must be from {least} to {most}"))
                .with_hint("Leave it NULL for its default."))
        };
        match (self.kind, self.dimensions) {
            (RemoteKind::Embedder, None) => {
                return Err(Error::invalid_argument("an embedder needs its dimensions")
                    .with_hint("Give the length of its vectors, which the provider documents."));
            }
            (RemoteKind::Embedder, Some(dimensions)) => {
                require_range("dimensions", dimensions, 1, 16_000)?;
            }
            (_, Some(_)) => {
                return Err(Error::invalid_argument("only an embedder has dimensions")
                    .with_hint("Leave dimensions NULL."));
            }
            (_, None) => {}
        }
        let by_purpose = [&self.query_parameters, &self.document_parameters];
        if self.kind != RemoteKind::Embedder && by_purpose.iter().any(|given| !given.is_empty()) {
            return Err(Error::invalid_argument(
                "only an embedder has query_parameters and document_parameters",
            )
            .with_hint("Put them into parameters."));
        }
        require_range("max_tokens", self.max_tokens, 16, 100_000_000)?;
        let room = self.max_tokens.saturating_sub(1).max(1);
        if self.kind == RemoteKind::Generator {
            require_range("max_output_tokens", self.max_output_tokens as usize, 1, room)?;
        }
        require_range("max_items", self.max_items, 1, provider.max_items())?;
        require_range("max_request_tokens", self.max_request_tokens, 16, 100_000_000)?;
        require_range("concurrency", self.concurrency, 1, 32)?;
        require_range(
            "requests_per_minute",
            self.limits.requests.map_or(1, |n| n as usize),
            1,
            10_000_000,
        )?;
        require_range(
            "tokens_per_minute",
            self.limits.tokens.map_or(1, |n| n as usize),
            1,
            1_000_000_000,
        )?;
        require_range("retries", self.retries as usize, 0, 20)?;
        let Price { input, output, request } = self.price;
        if [input, output, request].into_iter().flatten().any(|p| !(0.0..=1e9).contains(&p)) {
            return Err(Error::invalid_argument("a price must be from 0 to 1000000000")
                .with_hint("Leave it NULL where it is not known."));
        }
        if !self.temperature.is_none_or(|t| (0.0..=2.0).contains(&t)) {
            return Err(Error::invalid_argument("temperature must be from 0 to 2")
                .with_hint("Leave it NULL for the provider's default."));
        }
        if !(Duration::from_millis(100)..=Duration::from_hours(1)).contains(&self.timeout) {
            return Err(Error::invalid_argument(
                "timeout must be from 100 milliseconds to an hour",
            )
            .with_hint("Leave it NULL for its default."));
        }
        Ok(())
    }

    /// Most texts of a request that a provider takes.
    pub fn default_max_items(provider: &str) -> Result<usize> {
        Ok(find_provider(provider)?.max_items())
    }

    /// The URL of a provider that has only one.
    pub fn default_url(provider: &str) -> Result<Url> {
        let found = find_provider(provider)?;
        let url = found.default_url().ok_or_else(|| {
            Error::invalid_argument(format!("provider \"{provider}\" needs a URL"))
                .with_hint("Give the URL of your server.")
        })?;
        Url::parse(url)
    }
}

fn find_provider(name: &str) -> Result<&'static dyn Provider> {
    provider::by_name(name).ok_or_else(|| {
        let names: Vec<String> = provider::names().iter().map(|n| format!("\"{n}\"")).collect();
        Error::invalid_argument(format!("unknown provider \"{name}\"")).with_hint(format!(
            "It is one of {}; \"openai\" is for every server that speaks its format.",
            names.join(", ")
        ))
    })
}
