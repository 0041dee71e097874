//! What went wrong with a request, as the user is told and as [`super::fault`] is.
use super::secret::Secret;
use super::sign::{Sign, Size};
use super::words::{Words, plain, words};
use crate::Error;
use std::time::Duration;

/// Why a request failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// Whose fault it may be.
    pub sign: Sign,
    /// What the user is told.
    pub error: Error,
    /// How long the provider asked to wait.
    pub pause: Option<Duration>,
    /// Whether to ask again for the same is no use.
    pub is_final: bool,
    /// How often the request failed.
    pub times: u32,
    /// The words of the body, in lower case, of a refusal that may be about a parameter.
    pub lower: String,
}

impl Failure {
    pub fn new(sign: Sign, error: Error) -> Self {
        Self { sign, error, pause: None, is_final: false, times: 1, lower: String::new() }
    }

    /// Nothing but a change helps.
    pub fn last(error: Error) -> Self {
        // A file of a key that cannot be read now, say, may be read later.
        let passes = ["53", "57", "58"].iter().any(|class| error.sqlstate().starts_with(class));
        let sign = if passes && !error.is_cancelled() { Sign::Outage } else { Sign::Model };
        Self { is_final: true, ..Self::new(sign, error) }
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
                return Self { is_final: true, ..Self::new(Sign::Outage, error) };
            }
            // TLS errors within a stream come as I/O errors.
            other => other.to_string(),
        };
        let error = Error::remote(format!("could not reach {who}"))
            .with_detail(plain(&detail))
            .with_hint("Check the model's URL and the network; the provider may be down.");
        Self::new(Sign::Outage, error)
    }

    /// The deadline passed.
    pub fn timed_out(who: &str) -> Self {
        let error = Error::remote(format!("{who} did not answer in time"))
            .with_hint("Try again, or create the model with a longer timeout.");
        Self { is_final: true, ..Self::new(Sign::Slow, error) }
    }

    /// A response that is not what was asked for.
    pub fn malformed(who: &str, why: &str) -> Self {
        let error = Error::malformed(format!("{who} sent a response that is not usable"))
            .with_detail(why)
            .with_hint("Check that the model's provider and URL belong together.");
        // It was answered, and paid for.
        Self { is_final: true, ..Self::new(Sign::Unusable, error) }
    }

    /// The same with what the body says, should it be text for people.
    pub fn saying(self, body: &[u8], secret: Option<&Secret>) -> Self {
        let Some(text) = words(body, secret).text else { return self };
        let why = self.error.detail().unwrap_or_default().to_owned();
        Self { error: self.error.with_detail(format!("{why} It says: {text}")), ..self }
    }

    /// A response with a status that is no success.
    pub fn of_status(
        who: &str,
        status: u16,
        body: &[u8],
        pause: Option<Duration>,
        secret: Option<&Secret>,
    ) -> Self {
        Self::of_words(who, status, words(body, secret), pause)
    }

    /// A refusal with these words: under `status`, or under the one that they name.
    pub fn of_words(who: &str, status: u16, words: Words, pause: Option<Duration>) -> Self {
        let status = words.status.filter(|_| status < 300).unwrap_or(status);
        let sign = Sign::of(status, &words.lower);
        let error = said(who, status, sign, &words);
        let detail = match (&words.text, status) {
            (Some(text), _) => format!("Status {status}: {text}"),
            (None, 300..400) => {
                format!("Status {status}. Redirects are not followed: they could lead anywhere.")
            }
            (None, _) => format!("Status {status}."),
        };
        let is_final = !matches!(sign, Sign::Outage | Sign::Failed | Sign::RateLimited);
        let error = error.with_detail(detail);
        Self { pause, is_final, lower: words.lower, ..Self::new(sign, error) }
    }
}

/// Message and hint for a refusal.
fn said(who: &str, status: u16, sign: Sign, words: &Words) -> Error {
    let is_about_key = ["api key", "api_key", "apikey", "credential", "unauthorized"];
    match (sign, status) {
        (Sign::RateLimited, _) => Error::rate_limited(format!("{who} asks to wait")).with_hint(
            "Try again later, or create the model with its limits: requests_per_minute, tokens_per_minute.",
        ),
        (Sign::Model, 402 | 429) => Error::unauthorized(format!("the account with {who} has no credit left"))
            .with_hint("Check the account's plan and billing."),
        (Sign::Model, 300..400) => Error::configuration(format!("{who} redirects elsewhere"))
            .with_hint("Create the model with the URL that answers by itself."),
        (Sign::Model, 404) => Error::undefined(format!("{who} does not know what was asked for"))
            .with_hint("Check the model's URL and the name the provider knows it by."),
        (Sign::Model, _) | (Sign::Refused, 401) => refused_key(who),
        (Sign::Refused, 403) if words.text.is_none() || is_about_key.iter().any(|sign| words.lower.contains(sign)) => {
            refused_key(who)
        }
        (Sign::TooLarge(Size::Tokens), _) => Error::too_large(format!("{who} refuses a text of this length"))
            .with_hint("Pass shorter texts, or create the model with its max_tokens."),
        (Sign::TooLarge(Size::Texts), _) => Error::too_large(format!("{who} refuses so many texts at once"))
            .with_hint("Create the model with its max_items."),
        (Sign::Outage | Sign::Failed | Sign::Slow, _) => {
            Error::remote(format!("{who} failed")).with_hint("Try again later.")
        }
        (Sign::Exhausted(_), _) => Error::remote(format!("{who} has no room for this request"))
            .with_hint("Pass shorter texts, or create the model with smaller max_items and max_request_tokens."),
        (Sign::Refused | Sign::Unusable, _) => Error::model(format!("{who} refuses the request"))
            .with_hint("Check the model's provider, its name there and its parameters."),
    }
}

fn refused_key(who: &str) -> Error {
    Error::unauthorized(format!("{who} does not accept the credential"))
        .with_hint("Check the model's credential and what its key may do.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> (Sign, &'static str) {
        let failure = Failure::of_status("model \"m\"", status, body.as_bytes(), None, None);
        assert!(failure.error.hint().is_some(), "{status}");
        let detail = failure.error.detail().unwrap();
        assert!(detail.starts_with("Status "), "{status}");
        (failure.sign, failure.error.sqlstate())
    }

    #[test]
    fn every_status_has_an_outcome() {
        let quota = r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
        let long = r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#;
        let large = Sign::TooLarge(Size::Tokens);
        for (status, body, sign, sqlstate) in [
            (200, r#"{"error":{"message":"slow down","code":429}}"#, Sign::RateLimited, "53400"),
            (400, "{}", Sign::Refused, "38000"),
            (400, long, large, "54000"),
            (413, "", large, "54000"),
            (422, r#"{"detail":[{"msg":"input too long"}]}"#, large, "54000"),
            (401, "{}", Sign::Model, "28000"),
            (403, "{}", Sign::Refused, "28000"),
            (403, r#"{"error":{"message":"your input was flagged"}}"#, Sign::Refused, "38000"),
            (402, "{}", Sign::Model, "28000"),
            (429, quota, Sign::Model, "28000"),
            (429, "{}", Sign::RateLimited, "53400"),
            (302, "", Sign::Model, "F0000"),
            (404, "{}", Sign::Model, "42704"),
            (408, "", Sign::Outage, "08000"),
            (500, "oops", Sign::Failed, "08000"),
            (500, "CUDA out of memory", Sign::Exhausted(Size::Texts), "08000"),
            (503, "", Sign::Outage, "08000"),
            (529, r#"{"type":"error","error":{"type":"overloaded_error"}}"#, Sign::Outage, "08000"),
            (418, "", Sign::Refused, "38000"),
        ] {
            assert_eq!(of(status, body), (sign, sqlstate), "{status} {body}");
        }
    }
}
