//! Why a request failed: the error for the user, and the kind for [`super::fault`].
use super::error_body::{ErrorBody, read_error, single_line};
use super::failure_kind::{FailureKind, Size};
use super::secret::Secret;
use crate::Error;
use std::time::Duration;

/// Why a request failed.
#[derive(Debug, Clone)]
pub(super) struct CallFailure {
    /// What the response points to.
    pub kind: FailureKind,
    /// The error for the user.
    pub error: Error,
    /// How long the provider asked to wait.
    pub pause: Option<Duration>,
    /// Whether a retry is useless.
    pub is_final: bool,
    /// How often the request failed.
    pub times: u32,
    /// The words of the body, in lower case, of a refusal that may be about a parameter.
    pub lower: String,
}

impl CallFailure {
    pub fn new(kind: FailureKind, error: Error) -> Self {
        Self { kind, error, pause: None, is_final: false, times: 1, lower: String::new() }
    }

    /// A failure that no retry mends.
    pub fn permanent(error: Error) -> Self {
        // A file of a key that cannot be read now, say, may be read later.
        let passes = ["53", "57", "58"].iter().any(|class| error.sqlstate().starts_with(class));
        let kind =
            if passes && !error.is_cancelled() { FailureKind::Outage } else { FailureKind::Model };
        Self { is_final: true, ..Self::new(kind, error) }
    }

    /// A failure of the network.
    pub fn of_network(label: &str, error: ureq::Error) -> Self {
        let detail = match error {
            ureq::Error::Other(inner) => match inner.downcast::<Error>() {
                // One of our own: a cancel, an address that may not be called.
                Ok(error) => return Self::permanent(*error),
                Err(other) => other.to_string(),
            },
            ureq::Error::Timeout(_) => return Self::timed_out(label),
            ureq::Error::HostNotFound => "The host name is not known.".to_owned(),
            // A retry does not make an untrusted TLS peer trusted.
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
                let error = Error::remote(format!("could not trust {label}"))
                    .with_detail(error.to_string())
                    .with_hint("Check the URL; rag_pg.ca_file names further authorities.");
                return Self { is_final: true, ..Self::new(FailureKind::Outage, error) };
            }
            // TLS errors within a stream come as I/O errors.
            other => other.to_string(),
        };
        let error = Error::remote(format!("could not reach {label}"))
            .with_detail(single_line(&detail))
            .with_hint("Check the model's URL and the network; the provider may be down.");
        Self::new(FailureKind::Outage, error)
    }

    /// The deadline passed.
    pub fn timed_out(label: &str) -> Self {
        let error = Error::remote(format!("{label} did not answer in time"))
            .with_hint("Try again, or create the model with a longer timeout.");
        Self { is_final: true, ..Self::new(FailureKind::Slow, error) }
    }

    /// A response that is not what was asked for.
    pub fn malformed(label: &str, why: &str) -> Self {
        let error = Error::malformed(format!("{label} sent a response that is not usable"))
            .with_detail(why)
            .with_hint("Check that the model's provider and URL belong together.");
        // It was answered, and paid for.
        Self { is_final: true, ..Self::new(FailureKind::Unusable, error) }
    }

    /// The same with what the body says, should it be plain text.
    pub fn with_body_text(self, body: &[u8], secret: Option<&Secret>) -> Self {
        let Some(text) = read_error(body, secret).text else { return self };
        let why = self.error.detail().unwrap_or_default().to_owned();
        Self { error: self.error.with_detail(format!("{why} It says: {text}")), ..self }
    }

    /// A response with a status that is no success.
    pub fn of_status(
        label: &str,
        status: u16,
        body: &[u8],
        pause: Option<Duration>,
        secret: Option<&Secret>,
    ) -> Self {
        Self::of_error_body(label, status, read_error(body, secret), pause)
    }

    /// A refusal with these words: under `status`, or under the one that they name.
    pub fn of_error_body(
        label: &str,
        status: u16,
        words: ErrorBody,
        pause: Option<Duration>,
    ) -> Self {
        let status = words.status.filter(|_| status < 300).unwrap_or(status);
        let kind = FailureKind::of(status, &words.lower);
        let error = error_of(label, status, kind, &words);
        let detail = match (&words.text, status) {
            (Some(text), _) => format!("Status {status}: {text}"),
            (None, 300..400) => {
                format!("Status {status}. Redirects are not followed: they could lead anywhere.")
            }
            (None, _) => format!("Status {status}."),
        };
        let is_final =
            !matches!(kind, FailureKind::Outage | FailureKind::Failed | FailureKind::RateLimited);
        let error = error.with_detail(detail);
        Self { pause, is_final, lower: words.lower, ..Self::new(kind, error) }
    }
}

/// Message and hint for a refusal.
fn error_of(label: &str, status: u16, kind: FailureKind, words: &ErrorBody) -> Error {
    let is_about_key = ["api key", "api_key", "apikey", "credential", "unauthorized"];
    match (kind, status) {
        (FailureKind::RateLimited, _) => Error::rate_limited(format!("{label} asks to wait")).with_hint(
            "Try again later, or create the model with its limits: requests_per_minute, tokens_per_minute.",
        ),
        (FailureKind::Model, 402 | 429) => Error::unauthorized(format!("the account with {label} has no credit left"))
            .with_hint("Check the account's plan and billing."),
        (FailureKind::Model, 300..400) => Error::configuration(format!("{label} redirects elsewhere"))
            .with_hint("Create the model with the URL that answers by itself."),
        (FailureKind::Model, 404) => Error::undefined(format!("{label} does not know what was asked for"))
            .with_hint("Check the model's URL and the name the provider knows it by."),
        (FailureKind::Model, _) | (FailureKind::Refused, 401) => refused_key(label),
        (FailureKind::Refused, 403) if words.text.is_none() || is_about_key.iter().any(|kind| words.lower.contains(kind)) => {
            refused_key(label)
        }
        (FailureKind::TooLarge(Size::Tokens), _) => Error::too_large(format!("{label} refuses a text of this length"))
            .with_hint("Pass shorter texts, or create the model with its max_tokens."),
        (FailureKind::TooLarge(Size::Texts), _) => Error::too_large(format!("{label} refuses so many texts at once"))
            .with_hint("Create the model with its max_items."),
        (FailureKind::Outage | FailureKind::Failed | FailureKind::Slow, _) => {
            Error::remote(format!("{label} failed")).with_hint("Try again later.")
        }
        (FailureKind::Exhausted(_), _) => Error::remote(format!("{label} has no room for this request"))
            .with_hint("Pass shorter texts, or create the model with smaller max_items and max_request_tokens."),
        (FailureKind::Refused | FailureKind::Unusable, _) => Error::model(format!("{label} refuses the request"))
            .with_hint("Check the model's provider, its name there and its parameters."),
    }
}

fn refused_key(label: &str) -> Error {
    Error::unauthorized(format!("{label} does not accept the credential"))
        .with_hint("Check the model's credential and what its key may do.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> (FailureKind, &'static str) {
        let failure = CallFailure::of_status("model \"m\"", status, body.as_bytes(), None, None);
        assert!(failure.error.hint().is_some(), "{status}");
        let detail = failure.error.detail().unwrap();
        assert!(detail.starts_with("Status "), "{status}");
        (failure.kind, failure.error.sqlstate())
    }

    #[test]
    fn every_status_has_an_outcome() {
        let quota = r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
        let long = r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#;
        let large = FailureKind::TooLarge(Size::Tokens);
        for (status, body, kind, sqlstate) in [
            (
                200,
                r#"{"error":{"message":"slow down","code":429}}"#,
                FailureKind::RateLimited,
                "53400",
            ),
            (400, "{}", FailureKind::Refused, "38000"),
            (400, long, large, "54000"),
            (413, "", large, "54000"),
            (422, r#"{"detail":[{"msg":"input too long"}]}"#, large, "54000"),
            (401, "{}", FailureKind::Model, "28000"),
            (403, "{}", FailureKind::Refused, "28000"),
            (
                403,
                r#"{"error":{"message":"your input was flagged"}}"#,
                FailureKind::Refused,
                "38000",
            ),
            (402, "{}", FailureKind::Model, "28000"),
            (429, quota, FailureKind::Model, "28000"),
            (429, "{}", FailureKind::RateLimited, "53400"),
            (302, "", FailureKind::Model, "F0000"),
            (404, "{}", FailureKind::Model, "42704"),
            (408, "", FailureKind::Outage, "08000"),
            (500, "oops", FailureKind::Failed, "08000"),
            (500, "CUDA out of memory", FailureKind::Exhausted(Size::Texts), "08000"),
            (503, "", FailureKind::Outage, "08000"),
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
                FailureKind::Outage,
                "08000",
            ),
            (418, "", FailureKind::Refused, "38000"),
        ] {
            assert_eq!(of(status, body), (kind, sqlstate), "{status} {body}");
        }
    }
}
