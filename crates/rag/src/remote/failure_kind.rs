//! The kind of a single failure: what it points to by itself.

/// What a response, or its absence, points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The model as it is described here, whatever it is asked: credential, account, address, name.
    Model,
    /// Too much was asked in too short a time.
    RateLimited,
    /// The network, a gateway, or a server that says it is busy.
    Outage,
    /// The server failed without saying that it is busy: at a text, or altogether.
    Failed,
    /// It refused: because of a text, or of all that is sent.
    Refused,
    /// It answered with something else: because of a text, or whatever is sent.
    Unusable,
    /// More than it takes at once.
    TooLarge(Size),
    /// More than its memory holds at the moment.
    Exhausted(Size),
    /// It did not answer in time.
    Slow,
}

/// The dimension in which a request is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Texts in a request.
    Texts,
    /// Tokens or bytes of a request.
    Tokens,
}

impl FailureKind {
    /// The sign of a status, with the words of the body in lower case.
    pub fn of(status: u16, lower: &str) -> Self {
        let has = |signs: &[&str]| signs.iter().any(|kind| lower.contains(kind));
        match status {
            401 | 402 | 404 | 300..400 => Self::Model,
            413 => Self::TooLarge(size(lower)),
            // Of a minute, or of one request.
            429 if has(&ACCOUNT) => Self::Model,
            429 if has(&OF_ONE_REQUEST) => Self::TooLarge(Size::Tokens),
            429 => Self::RateLimited,
            501 | 505 => Self::Refused,
            // Some name the pace with another status, or with a success.
            ..=400 | 403 | 503 if has(&PACE) => Self::RateLimited,
            // A stream has begun with success when its server fails.
            200..300 if has(&MEMORY) => Self::Exhausted(size(lower)),
            200..300 if has(&BUSY) => Self::Outage,
            200..300 if has(&FAILED) => Self::Failed,
            500.. if has(&MEMORY) || has(&SIZE) => Self::Exhausted(size(lower)),
            ..=400 | 422 | 424 if has(&SIZE) || has(&MEMORY) => Self::TooLarge(size(lower)),
            408 | 409 | 425 | 502..=504 | 507..=530 => Self::Outage,
            500.. if has(&BUSY) => Self::Outage,
            500.. => Self::Failed,
            _ => Self::Refused,
        }
    }

    /// Whether no other request would fare better.
    pub fn is_general(self) -> bool {
        matches!(self, Self::Model | Self::RateLimited)
    }
}

const ACCOUNT: [&str; 4] = ["insufficient_quota", "billing", "credit balance", "out of credits"];
const OF_ONE_REQUEST: [&str; 4] =
    ["too large", "must be reduced", "reduce the length", "reduce your"];
const PACE: [&str; 6] =
    ["rate limit", "rate_limit", "ratelimit", "too many requests", "throttl", "resource_exhausted"];
const BUSY: [&str; 6] =
    ["overloaded", "try again later", "unavailable", "is loading", "model loading", "at capacity"];
const FAILED: [&str; 4] =
    ["internal server error", "internal_server_error", "server_error", "api_error"];
const MEMORY: [&str; 7] = [
    "more system memory",
    "out of memory",
    "outofmemory",
    "alloc_failed",
    "failed to allocate",
    "oom-kill",
    "unable to allocate",
];
const SIZE: [&str; 26] = [
    "context length",
    "context_length",
    "context size",
    "maximum context",
    "context window",
    "too many tokens",
    "too long",
    "too large",
    "max_tokens_per_request",
    "maximum number of tokens",
    "max tokens",
    "token limit",
    "maximum allowed length",
    "must have less than",
    "input length",
    "max allowed tokens",
    "batch size",
    "prompt is too",
    "exceeds the maximum",
    "exceeds maximum",
    "exceeds the limit",
    "too many inputs",
    "maximum number of inputs",
    "number of texts",
    "request entity",
    "payload size",
];
/// Words that are about how many texts there are.
const TEXTS: [&str; 8] = [
    "batch size",
    "too many inputs",
    "number of inputs",
    "number of texts",
    "number of items",
    "inputs per",
    "out of memory",
    "alloc",
];

fn size(lower: &str) -> Size {
    // llama.cpp divides a prompt into such batches; elsewhere a batch holds texts.
    let is_of_texts = TEXTS.iter().any(|kind| lower.contains(kind));
    if is_of_texts && !lower.contains("physical batch") { Size::Texts } else { Size::Tokens }
}

#[cfg(test)]
mod tests {
    use super::{FailureKind, Size};

    #[test]
    fn every_status_and_error_text_has_a_failure_kind() {
        use FailureKind::{Exhausted, Failed, Model, Outage, RateLimited, Refused, TooLarge};
        for (status, words, kind) in [
            (400, "", Refused),
            (400, "this model's maximum context length is 8192 tokens", TooLarge(Size::Tokens)),
            (400, "api key not valid", Refused),
            (400, "throttlingexception: too many requests", RateLimited),
            (401, "", Model),
            (402, "", Model),
            (403, "your input was flagged", Refused),
            (403, "ratelimitexceeded", RateLimited),
            (404, "", Model),
            (302, "", Model),
            (408, "", Outage),
            (413, "", TooLarge(Size::Tokens)),
            (413, "batch size 100 > maximum allowed batch size 32", TooLarge(Size::Texts)),
            (418, "", Refused),
            (422, "input too long", TooLarge(Size::Tokens)),
            (429, "", RateLimited),
            (429, "you exceeded your current quota: insufficient_quota", Model),
            (
                429,
                "rate limit reached on tokens per min (tpm): limit 40000, used 39000, requested 2000",
                RateLimited,
            ),
            (
                429,
                "request too large on tokens per min (tpm): limit 40000, requested 60000",
                TooLarge(Size::Tokens),
            ),
            (500, "", Failed),
            (500, "failed to encode response: json: unsupported value: nan", Failed),
            (
                500,
                "input is too large to process. increase the physical batch size",
                Exhausted(Size::Tokens),
            ),
            (500, "cuda out of memory", Exhausted(Size::Texts)),
            (500, "cublas_status_alloc_failed", Exhausted(Size::Texts)),
            (501, "not implemented", Refused),
            (503, "", Outage),
            (503, "rate limit exceeded", RateLimited),
            (529, "overloaded", Outage),
            (200, "rate limit exceeded: free tier", RateLimited),
            (200, "kind in", Refused),
            (200, "overloaded_error: overloaded", Outage),
            (200, "cuda out of memory", Exhausted(Size::Texts)),
            (
                200,
                "model requires more system memory (5.6 gib) than is available",
                Exhausted(Size::Tokens),
            ),
            (200, "internal server error", Failed),
        ] {
            assert_eq!(FailureKind::of(status, words), kind, "{status} {words}");
        }
    }
}
