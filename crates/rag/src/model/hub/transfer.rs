//! Gets a path of a hub: redirects, retries, resumption, limits.
use crate::{Error, Result};
use std::io::Read;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body};

/// The public hub.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// How to reach a hub.
#[derive(Clone)]
pub struct HubSettings {
    /// Scheme, host and perhaps a path, without a slash at the end.
    pub endpoint: String,
    /// Sent to the endpoint's host, and to no other.
    pub token: Option<String>,
    /// Most bytes of one file.
    pub max_bytes: u64,
    /// How often a file is tried again without having got any further.
    pub retries: u32,
    /// Pause before the first retry; doubled for each further one.
    pub pause: Duration,
    /// Longest wait for a connection, an answer, or the next bytes of a body.
    pub timeout: Duration,
}

impl HubSettings {
    /// `HF_ENDPOINT` and `HF_TOKEN`, or the public hub without a token.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|v| !v.trim().is_empty());
        Self::new(
            variable("HF_ENDPOINT").as_deref().unwrap_or(DEFAULT_ENDPOINT),
            variable("HF_TOKEN").as_deref(),
        )
    }

    /// Settings with patience and limits that suit models.
    pub fn new(endpoint: &str, token: Option<&str>) -> Self {
        Self {
            endpoint: endpoint.trim().trim_end_matches('/').to_owned(),
            token: token.map(|t| t.trim().to_owned()),
            max_bytes: 4 << 30,
            retries: 3,
            pause: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
        }
    }
}

const MAX_REDIRECTS: usize = 5;
const USER_AGENT: &str = concat!("rag-model/", env!("CARGO_PKG_VERSION"));

/// A file as it arrived.
pub struct Fetched {
    /// Its bytes.
    pub body: Vec<u8>,
    /// The entity tag the hub itself gave, not a host it redirected to.
    pub etag: Option<String>,
}

/// How far a transfer is.
pub struct TransferProgress {
    /// Bytes so far.
    pub received: u64,
    /// Bytes in all, where known.
    pub size: Option<u64>,
}

/// Connections to a hub.
pub struct Transfer {
    settings: HubSettings,
    origin: String,
    agent: Agent,
}

/// Why an attempt ended early.
enum TransferFailure {
    /// Trying again may help.
    Passing(Error),
    /// It will not.
    Final(Error),
}

/// A response whose body is still to be read.
struct OpenResponse {
    response: Response<Body>,
    etag: Option<String>,
    size: Option<u64>,
}

impl Transfer {
    /// Checks the endpoint.
    pub fn new(settings: HubSettings) -> Result<Self> {
        let origin = origin(&settings.endpoint).ok_or_else(|| {
            Error::invalid_argument(format!("\"{}\" is no address of a hub", settings.endpoint))
                .with_hint("HF_ENDPOINT must begin with https:// or http:// and a host.")
        })?;
        let timeout = Some(settings.timeout);
        let builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(USER_AGENT)
            // Sizes and ranges are of the bytes as stored.
            .accept_encoding("identity")
            .timeout_connect(timeout)
            .timeout_recv_response(timeout)
            .timeout_per_read(timeout);
        // A hub on this machine is not reached through a proxy.
        let builder = if is_loopback(&origin) { builder.proxy(None) } else { builder };
        Ok(Self { settings, origin, agent: builder.build().new_agent() })
    }

    /// Gets a path below the endpoint. `what` names it in errors.
    pub fn get(
        &self,
        path: &str,
        what: &str,
        report: &dyn Fn(&TransferProgress),
    ) -> Result<Fetched> {
        let url = format!("{}{path}", self.settings.endpoint);
        let mut file = Fetched { body: Vec::new(), etag: None };
        let mut failures = 0;
        loop {
            let before = file.body.len();
            match self.attempt(&url, what, &mut file, report) {
                Ok(()) => return Ok(file),
                Err(TransferFailure::Final(error)) => return Err(error),
                Err(TransferFailure::Passing(error)) => {
                    // An attempt that got further does not count; the size is bounded anyway.
                    failures = if file.body.len() > before { 1 } else { failures + 1 };
                    if failures > self.settings.retries {
                        return Err(error);
                    }
                    std::thread::sleep(self.settings.pause * 2_u32.pow((failures - 1).min(6)));
                }
            }
        }
    }

    /// Reads what is missing of `file`.
    fn attempt(
        &self,
        url: &str,
        what: &str,
        file: &mut Fetched,
        report: &dyn Fn(&TransferProgress),
    ) -> Result<(), TransferFailure> {
        let opened = self.request(url, what, file.body.len())?;
        let status = opened.response.status();
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            file.body.clear();
            return Err(TransferFailure::Passing(Error::remote(format!(
                "{what} changed meanwhile"
            ))));
        }
        // A server that ignores the range, or has another file by now, sends all of it.
        let is_rest = status == StatusCode::PARTIAL_CONTENT && opened.etag == file.etag;
        if status == StatusCode::PARTIAL_CONTENT && !is_rest && !file.body.is_empty() {
            file.body.clear();
            return Err(TransferFailure::Passing(Error::remote(format!(
                "{what} changed meanwhile"
            ))));
        }
        if !is_rest {
            file.body.clear();
        }
        file.etag.clone_from(&opened.etag);
        self.read(opened, what, file, report)
    }

    fn read(
        &self,
        opened: OpenResponse,
        what: &str,
        file: &mut Fetched,
        report: &dyn Fn(&TransferProgress),
    ) -> Result<(), TransferFailure> {
        let rest = opened.response.body().content_length();
        let size = rest.map(|n| n + file.body.len() as u64).or(opened.size);
        let limit = self.settings.max_bytes;
        let too_large = || TransferFailure::Final(too_large(what, limit));
        if size.is_some_and(|n| n > limit) {
            return Err(too_large());
        }
        let mut reader = opened.response.into_body().into_reader();
        let mut block = vec![0; 1 << 16];
        loop {
            let length = reader.read(&mut block).map_err(|e| interrupted(what, &e.to_string()))?;
            if length == 0 {
                break;
            }
            file.body.extend_from_slice(&block[..length]);
            let received = file.body.len() as u64;
            if received > limit {
                return Err(too_large());
            }
            report(&TransferProgress { received, size });
        }
        match size {
            Some(size) if size != file.body.len() as u64 => {
                Err(interrupted(what, &format!("got {} of {size} bytes", file.body.len())))
            }
            _ => Ok(()),
        }
    }

    /// Sends the request and follows redirects. The token goes to the endpoint's own host only.
    fn request(&self, url: &str, what: &str, from: usize) -> Result<OpenResponse, TransferFailure> {
        let mut url = url.to_owned();
        let (mut linked, mut plain, mut size) = (None, None, None);
        for _ in 0..=MAX_REDIRECTS {
            let is_hub = origin(&url).as_ref() == Some(&self.origin);
            let mut request = self.agent.get(&url);
            if let (true, Some(token)) = (is_hub, &self.settings.token) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            let response = request.call().map_err(|e| unreachable(&url, what, &e))?;
            if is_hub {
                let headers = response.headers();
                // The hash of a large file, whose own host may tag it differently.
                linked = linked.or_else(|| header(headers, "x-linked-etag"));
                plain = header(headers, "etag").or(plain);
                size = header(headers, "x-linked-size").and_then(|s| s.parse().ok()).or(size);
            }
            if !response.status().is_redirection() {
                let response = accepted(response, what, self.settings.token.is_some())?;
                return Ok(OpenResponse { response, etag: linked.or(plain), size });
            }
            let location = header(response.headers(), "location").unwrap_or_default();
            url = redirected(&url, &location).ok_or_else(|| {
                TransferFailure::Final(
                    Error::remote(format!("the hub redirects {what} to where it must not"))
                        .with_detail(format!("From \"{url}\" to \"{location}\".")),
                )
            })?;
        }
        Err(TransferFailure::Final(Error::remote(format!("too many redirects for {what}"))))
    }
}

fn accepted(
    response: Response<Body>,
    what: &str,
    has_token: bool,
) -> Result<Response<Body>, TransferFailure> {
    let status = response.status();
    if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(response);
    }
    let error = Error::remote(format!("the hub answered {what} with status {}", status.as_u16()));
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if has_token => TransferFailure::Final(
            error.with_hint("HF_TOKEN is not accepted, or its owner may not read this model."),
        ),
        // The public hub answers so for names that do not exist, too.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => TransferFailure::Final(
            error.with_hint("Check the name; for a private or gated model set HF_TOKEN."),
        ),
        StatusCode::NOT_FOUND => {
            TransferFailure::Final(error.with_hint("Check the name and revision."))
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            TransferFailure::Passing(error.with_hint("Try again later."))
        }
        _ if status.is_server_error() => {
            TransferFailure::Passing(error.with_hint("Try again later."))
        }
        _ => TransferFailure::Final(error),
    })
}

fn unreachable(url: &str, what: &str, e: &ureq::Error) -> TransferFailure {
    let host = origin(url).unwrap_or_default();
    TransferFailure::Passing(
        Error::remote(format!("could not get {what} from \"{host}\""))
            .with_detail(e.to_string())
            .with_hint(
                "Check HF_ENDPOINT and the network, or import a directory or wheel instead.",
            ),
    )
}

fn interrupted(what: &str, detail: &str) -> TransferFailure {
    TransferFailure::Passing(
        Error::remote(format!("{what} did not arrive completely")).with_detail(detail),
    )
}

fn too_large(what: &str, limit: u64) -> Error {
    Error::too_large(format!("{what} is larger than {limit} bytes"))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Scheme, host and port, in lower case: what a token is bound to.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    // Names and passwords in addresses end up in logs.
    let is_fine = !host.is_empty() && !host.contains('@') && !host.contains('\\');
    let scheme = scheme.to_ascii_lowercase();
    (is_fine && matches!(&*scheme, "http" | "https"))
        .then(|| format!("{scheme}://{}", host.to_ascii_lowercase()))
}

fn is_loopback(origin: &str) -> bool {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    ["127.", "localhost", "[::1]"].iter().any(|start| host.starts_with(start))
}

/// Where a redirect leads; never from https to http.
fn redirected(from: &str, location: &str) -> Option<String> {
    let base = origin(from)?;
    let to = if location.starts_with("//") {
        format!("{}:{location}", base.split_once(':')?.0)
    } else if location.starts_with('/') {
        format!("{base}{location}")
    } else {
        location.to_owned()
    };
    let target = origin(&to)?;
    let is_downgrade = base.starts_with("https:") && target.starts_with("http:");
    (!is_downgrade).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_encrypted() {
        let hub = "https://hub.example/a/b";
        let to = |location| redirected(hub, location);
        assert_eq!(to("/c?d=1").as_deref(), Some("https://hub.example/c?d=1"));
        assert_eq!(to("//cdn.example/c").as_deref(), Some("https://cdn.example/c"));
        assert_eq!(to("https://cdn.example/c").as_deref(), Some("https://cdn.example/c"));
        assert_eq!(to("http://cdn.example/c"), None);
        assert_eq!(to("file:///etc/passwd"), None);
        assert_eq!(to("c/d"), None);
        assert_eq!(to(""), None);
        assert!(redirected("http://127.0.0.1:8/a", "http://cdn.example/c").is_some());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("HTTPS://Hub.Example:8443/x?y"), Some("https://hub.example:8443".into()));
        assert_ne!(origin("https://hub.example"), origin("https://hub.example.evil"));
        assert_ne!(origin("https://hub.example"), origin("http://hub.example"));
        assert_eq!(origin("https://user:secret@hub.example/"), None);
        assert_eq!(origin("ftp://hub.example"), None);
        assert_eq!(origin("hub.example"), None);
    }
}
