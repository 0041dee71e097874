//! What went wrong with a request, and whether trying again helps.
use super::secret::Secret;
use crate::Error;
use serde_json::Value;
use std::time::Duration;

/// Most characters of a provider's own words that an error repeats.
const WORDS: usize = 300;

/// Why a request failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// What can be done about it.
    pub class: Class,
    /// What the user is told.
    pub error: Error,
    /// How long the provider asked to wait.
    pub pause: Option<Duration>,
}

/// What can be done about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Trying again may help.
    Transient,
    /// Trying again helps after a pause.
    RateLimited,
    /// Fewer texts in one request help.
    TooLarge,
    /// Nothing helps but a change.
    Final,
}

impl Failure {
    /// Nothing but a change helps.
    pub fn last(error: Error) -> Self {
        Self { class: Class::Final, error, pause: None }
    }

    /// A failure of the network.
    pub fn of_network(who: &str, error: ureq::Error) -> Self {
        let detail = match error {
            ureq::Error::Other(inner) => match inner.downcast::<Error>() {
                // One of our own: a cancel, an address that may not be called.
                Ok(error) => return Self::last(*error),
                Err(other) => other.to_string(),
            },
            ureq::Error::Timeout(_) => return Self::timed_out(who),
            ureq::Error::HostNotFound => "The host name is not known.".to_owned(),
            // A TLS peer that cannot prove who it is does not become another by trying again.
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
                let error = Error::remote(format!("could not trust {who}"))
                    .with_detail(error.to_string())
                    .with_hint("Check the URL; rag_pg.ca_file names further authorities.");
                return Self::last(error);
            }
            // TLS errors within a stream come as I/O errors.
            other => other.to_string(),
        };
        let error = Error::remote(format!("could not reach {who}"))
            .with_detail(plain(&detail))
            .with_hint("Check the model's URL and the network; the provider may be down.");
        Self { class: Class::Transient, error, pause: None }
    }

    /// The deadline passed.
    pub fn timed_out(who: &str) -> Self {
        let error = Error::remote(format!("{who} did not answer in time"))
            .with_hint("Try again, or create the model with a longer timeout.");
        Self::last(error)
    }

    /// A response that is not what was asked for.
    pub fn malformed(who: &str, why: &str) -> Self {
        let error = Error::malformed(format!("{who} sent a response that is not usable"))
            .with_detail(why)
            .with_hint("Check that the model's provider and URL belong together.");
        Self::last(error)
    }

    /// A response with a status that is no success.
    pub fn of_status(
        who: &str,
        status: u16,
        body: &[u8],
        pause: Option<Duration>,
        secret: Option<&Secret>,
    ) -> Self {
        let words = words(body);
        let said = |error: Error| match &words {
            Some(words) => {
                let words = secret.map_or_else(|| words.clone(), |secret| secret.redact(words));
                error.with_detail(format!("Status {status}: {words}"))
            }
            None => error.with_detail(format!("Status {status}.")),
        };
        let lower = words.as_deref().unwrap_or_default().to_lowercase();
        let (class, error) = match status {
            // What it says about a key may hold a part of it.
            401 | 403 => (Class::Final, refused_key(who, status)),
            402 => (Class::Final, said(no_credit(who))),
            429 if lower.contains("insufficient_quota") || lower.contains("billing") => {
                (Class::Final, said(no_credit(who)))
            }
            429 => (Class::RateLimited, said(Error::rate_limited(format!("{who} asks to wait")))
                .with_hint("Try again later, or create the model with its limits: requests_per_minute, tokens_per_minute.")),
            300..400 => (Class::Final, moved(who, status)),
            404 => (Class::Final, said(Error::undefined(format!("{who} does not know what was asked for")))
                .with_hint("Check the model's URL and the name the provider knows it by.")),
            400 | 413 | 422 | 424 if status == 413 || is_about_length(&lower) => {
                (Class::TooLarge, said(Error::too_large(format!("{who} refuses a text of this length")))
                    .with_hint("Pass shorter texts, or create the model with its max_tokens."))
            }
            408 | 409 | 425 | 500.. => (Class::Transient, said(Error::remote(format!("{who} failed")))
                .with_hint("Try again later.")),
            _ => (Class::Final, said(Error::model(format!("{who} refuses the request")))
                .with_hint("Check the model's provider, its name there and its parameters.")),
        };
        Self { class, error, pause }
    }
}

fn refused_key(who: &str, status: u16) -> Error {
    Error::unauthorized(format!("{who} does not accept the credential"))
        .with_detail(format!("Status {status}."))
        .with_hint("Check the model's credential and what its key may do.")
}

fn no_credit(who: &str) -> Error {
    Error::unauthorized(format!("the account with {who} has no credit left"))
        .with_hint("Check the account's plan and billing.")
}

fn moved(who: &str, status: u16) -> Error {
    Error::configuration(format!("{who} redirects elsewhere"))
        .with_detail(format!(
            "Status {status}. Redirects are not followed: they could lead anywhere."
        ))
        .with_hint("Create the model with the URL that answers by itself.")
}

/// Whether words of a refusal are about too long an input.
fn is_about_length(lower: &str) -> bool {
    const SIGNS: [&str; 14] = [
        "context length",
        "context_length",
        "maximum context",
        "too many tokens",
        "too long",
        "max_tokens_per_request",
        "maximum number of tokens",
        "max tokens",
        "token limit",
        "must have less than",
        "input length",
        "max allowed tokens",
        "batch size",
        "prompt is too",
    ];
    SIGNS.iter().any(|sign| lower.contains(sign))
}

/// What a provider says in the body of a refusal, on one line; providers put it in different places.
pub(super) fn words(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let mut parts = Vec::new();
    for path in [
        "/error/code",
        "/error/type",
        "/error_type",
        "/error/message",
        "/error",
        "/message",
        "/detail",
        "/detail/0/msg",
    ] {
        if let Some(text) = value.pointer(path).and_then(Value::as_str)
            && !parts.contains(&text)
        {
            parts.push(text);
        }
    }
    (!parts.is_empty()).then(|| plain(&parts.join(": ")))
}

/// A peer's words without control characters, cut where they become many.
pub(super) fn plain(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut plain: String = text.chars().take(WORDS).map(clean).collect();
    if text.chars().nth(WORDS).is_some() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> (Class, &'static str) {
        let failure = Failure::of_status("model \"m\"", status, body.as_bytes(), None, None);
        assert!(failure.error.hint().is_some(), "{status}");
        (failure.class, failure.error.sqlstate())
    }

    #[test]
    fn every_status_has_an_outcome() {
        let quota = r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
        let long = r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#;
        for (status, body, class, sqlstate) in [
            (400, "{}", Class::Final, "38000"),
            (400, long, Class::TooLarge, "54000"),
            (413, "", Class::TooLarge, "54000"),
            (422, r#"{"detail":[{"msg":"input too long"}]}"#, Class::TooLarge, "54000"),
            (401, "{}", Class::Final, "28000"),
            (403, "{}", Class::Final, "28000"),
            (402, "{}", Class::Final, "28000"),
            (429, quota, Class::Final, "28000"),
            (429, "{}", Class::RateLimited, "53400"),
            (302, "", Class::Final, "F0000"),
            (404, "{}", Class::Final, "42704"),
            (408, "", Class::Transient, "08000"),
            (500, "oops", Class::Transient, "08000"),
            (503, "", Class::Transient, "08000"),
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                Class::Transient,
                "08000",
            ),
            (418, "", Class::Final, "38000"),
        ] {
            assert_eq!(of(status, body), (class, sqlstate), "{status} {body}");
        }
    }

    #[test]
    fn the_providers_words_are_found_and_bounded() {
        assert_eq!(words(br#"{"error":{"message":"a","type":"b"}}"#).unwrap(), "b: a");
        assert_eq!(
            words(br#"{"error":"a\nb","error_type":"Validation"}"#).unwrap(),
            "Validation: a b"
        );
        assert_eq!(words(br#"{"message":"a"}"#).unwrap(), "a");
        assert_eq!(words(br#"{"detail":"a"}"#).unwrap(), "a");
        assert_eq!(words(b"<html>"), None);
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(5000));
        assert_eq!(words(long.as_bytes()).unwrap().chars().count(), WORDS + 1);
    }
}
