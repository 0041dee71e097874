//! One request until it succeeds, fails for good, or its time is over.
use super::adapt::Adapted;
use super::cancel::{CallScope, Cancel};
use super::client::Client;
use super::error_body::refusal;
use super::failure::CallFailure;
use super::failure_kind::FailureKind;
use super::pace;
use super::provider::Payload;
use super::record::{Call, CallPurpose, Counted};
use super::retry::{asked_pause, backoff, time_until_reset};
use super::secret::Secret;
use super::stream::StreamObserver;
use crate::Error;
use crate::queue::backoff::random;
use serde_json::{Map, Value};
use std::io::Read;
use std::time::{Duration, Instant, SystemTime};
use ureq::http::{HeaderMap, Response};
use ureq::{Body, Timeout};

/// Most bytes of a refusal that are read; a provider's reasons are shorter.
const MAX_REFUSAL_BYTES: u64 = 64 * 1024;

/// Most bytes of a response beside its vectors, scores or text.
pub(super) const RESPONSE_OVERHEAD: u64 = 1 << 20;

/// How many times its timeout a stream may take. The timeout itself is for its beginning, and for each silence.
const MAX_STREAM_TIMEOUTS: u32 = 10;

/// A request to send, and the bounds of its response.
pub(super) struct CallRequest {
    pub payload: Payload,
    pub purpose: CallPurpose,
    /// Texts or documents in it.
    pub items: usize,
    /// Tokens of it, estimated.
    pub tokens: usize,
    /// Most bytes of the response.
    pub max_bytes: u64,
    /// Which failures are tried again.
    pub retry: RetryPolicy,
}

/// Which failures are tried again with the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryPolicy {
    /// All that may pass.
    All,
    /// Those of the network; what the server fails at may be a text, which is looked for.
    Network,
    /// Those that ask for it.
    Pauses,
}

impl RetryPolicy {
    fn covers(self, failure: &CallFailure, items: usize) -> bool {
        match failure.kind {
            _ if failure.is_final => false,
            FailureKind::RateLimited => true,
            FailureKind::Outage => self != Self::Pauses,
            FailureKind::Failed => self == Self::All,
            FailureKind::Exhausted(_) => self == Self::All && items == 1,
            _ => false,
        }
    }
}

/// A request with address and key; the key lives no longer than the call.
struct PreparedRequest {
    url: String,
    secret: Option<Secret>,
    headers: Vec<(&'static str, String)>,
    /// The body before it is adapted, and after.
    fields: Map<String, Value>,
    adapted: Adapted,
    body: Vec<u8>,
}

impl PreparedRequest {
    /// Leaves out, or renames, what adaptations say, unless the model's own parameters ask for it.
    fn adapt(&mut self, adapted: Adapted, own: &Map<String, Value>) {
        let mut fields = self.fields.clone();
        adapted.apply(&mut fields, own);
        self.adapted = adapted;
        self.body = Value::Object(fields).to_string().into_bytes();
    }
}

/// The body of a successful response, and the pause that applies if it is a refusal after all.
struct ResponseBody {
    body: Vec<u8>,
    status: u16,
    pause: Option<Duration>,
}

impl Client {
    /// Sends a request, again where that may help, and `read`s the body of the response, with what the
    /// provider counted. One deadline bounds all of it.
    pub(super) fn run<T>(
        &self,
        request: CallRequest,
        cancel: &Cancel,
        mut read: impl FnMut(&[u8]) -> Result<(T, Counted), CallFailure>,
    ) -> Result<T, CallFailure> {
        self.run_observed(request, cancel, None, |body, _| read(body))
    }

    /// The same for a streamed response. After text was passed on, there is no retry.
    pub(super) fn run_observed<'e, T>(
        &self,
        request: CallRequest,
        cancel: &Cancel,
        mut observer: Option<StreamObserver<'e>>,
        mut read: impl FnMut(
            &[u8],
            Option<&mut StreamObserver<'e>>,
        ) -> Result<(T, Counted), CallFailure>,
    ) -> Result<T, CallFailure> {
        let started = Instant::now();
        let deadline = started + self.spec().timeout;
        let CallRequest { payload, purpose, items, tokens, max_bytes, retry } = request;
        let mut prepared = self.prepare(payload, purpose).map_err(CallFailure::permanent)?;
        let mut call = Call {
            purpose,
            items,
            tokens,
            counted: Counted::default(),
            began: SystemTime::now(),
            attempts: 0,
            duration: Duration::ZERO,
            status: None,
            request_id: None,
            is_success: false,
        };
        let result = loop {
            if let Err(failure) = self.wait_turn(tokens, deadline, cancel) {
                break Err(failure);
            }
            call.attempts += 1;
            let sent = Instant::now();
            // A stream may take longer, as long as it is not silent.
            let stream_end =
                observer.is_some().then(|| started + MAX_STREAM_TIMEOUTS * self.spec().timeout);
            let attempt = || self.attempt(&prepared, max_bytes, &mut call, observer.as_mut());
            let reply = cancel.scope(deadline, stream_end, attempt);
            let read = reply.and_then(|reply| {
                let secret = prepared.secret.as_ref();
                let result = read(&reply.body, observer.as_mut());
                result.map_err(|failure| self.reclassified(failure, &reply, secret))
            });
            let mut failure = match read {
                Ok(value) => {
                    self.pace().note_success(pace::now(), items, tokens, sent.elapsed());
                    self.pace().learn_adapted(prepared.adapted);
                    break Ok(value);
                }
                Err(failure) if !cancel.is_set() => failure,
                Err(_) => break Err(CallFailure::permanent(Error::cancelled())),
            };
            failure.times = call.attempts;
            // Most of the time went by with waiting for a turn, or for others.
            if failure.kind == FailureKind::Slow && sent.elapsed() < self.spec().timeout / 2 {
                failure.kind = FailureKind::Outage;
            }
            if observer.as_ref().is_some_and(StreamObserver::has_begun) {
                break Err(failure);
            }
            if self.adapts(&mut prepared, &failure) {
                continue;
            }
            let may_help = retry.covers(&failure, items);
            if let Err(failure) =
                self.pause_before_retry(failure, may_help, call.attempts, deadline, cancel)
            {
                break Err(failure);
            }
        };
        call.duration = started.elapsed();
        if let Ok((_, counted)) = &result {
            call.counted = *counted;
        }
        call.is_success = result.is_ok();
        if call.attempts > 0 {
            self.note(call);
        }
        result.map(|(value, _)| value)
    }

    /// The failure of a successful response that cannot be read: some providers refuse with status 200.
    fn reclassified(
        &self,
        failure: CallFailure,
        reply: &ResponseBody,
        secret: Option<&Secret>,
    ) -> CallFailure {
        if failure.kind != FailureKind::Unusable {
            return failure;
        }
        match refusal(&reply.body, secret) {
            Some(words) => {
                CallFailure::of_error_body(&self.spec().label(), reply.status, words, reply.pause)
            }
            None => failure.with_body_text(&reply.body, secret),
        }
    }

    /// Whether the request can go again without what the refusal names.
    fn adapts(&self, prepared: &mut PreparedRequest, failure: &CallFailure) -> bool {
        let own = &self.spec().parameters;
        let adapted = (failure.kind == FailureKind::Refused)
            .then(|| prepared.adapted.by_message(&failure.lower, &prepared.fields, own));
        let Some(adapted) = adapted.flatten() else { return false };
        prepared.adapt(adapted, own);
        true
    }

    fn prepare(&self, payload: Payload, purpose: CallPurpose) -> crate::Result<PreparedRequest> {
        let spec = self.spec();
        let address = spec.url.below(payload.path);
        self.check(&address)?;
        let secret = spec.credential.as_ref().map(|c| c.read(&address)).transpose()?;
        let mut headers = self.provider().headers(secret.as_ref());
        // Providers that know it do not charge a repeated request twice; others ignore it.
        let (left, right) = (random().to_bits(), random().to_bits());
        headers.push(("idempotency-key", format!("rag_pg-{left:016x}{right:016x}")));
        let mut fields = payload.body;
        for (name, value) in spec.parameters.iter().chain(spec.parameters_of(purpose)) {
            match value {
                Value::Null => fields.remove(name),
                value => fields.insert(name.clone(), value.clone()),
            };
        }
        let (adapted, body) = (Adapted::default(), Vec::new());
        let mut prepared =
            PreparedRequest { url: address.to_string(), secret, headers, fields, adapted, body };
        prepared.adapt(self.pace().learnt().adapted, &spec.parameters);
        Ok(prepared)
    }

    /// Waits until the model's limits let a request leave.
    fn wait_turn(
        &self,
        tokens: usize,
        deadline: Instant,
        cancel: &Cancel,
    ) -> Result<(), CallFailure> {
        let left = deadline.saturating_duration_since(Instant::now());
        let turn = self.pace().reserve(self.spec().limits, tokens as u64, pace::now(), left);
        let wait = turn.map_err(|wait| {
            let label = self.spec().label();
            let error = Error::rate_limited(format!("{label} has no turn left before its timeout"))
                .with_detail(format!("The next one is in {:.1} s.", wait.as_secs_f64()))
                .with_hint("Try again later, or create the model with a longer timeout.");
            CallFailure { is_final: true, ..CallFailure::new(FailureKind::RateLimited, error) }
        })?;
        cancel.sleep(wait).map_err(CallFailure::permanent)
    }

    /// Decides whether there is a next attempt, and waits for its time.
    fn pause_before_retry(
        &self,
        failure: CallFailure,
        may_help: bool,
        attempts: u32,
        deadline: Instant,
        cancel: &Cancel,
    ) -> Result<(), CallFailure> {
        let passes = matches!(
            failure.kind,
            FailureKind::RateLimited | FailureKind::Outage | FailureKind::Failed
        );
        if let (true, Some(pause)) = (passes, failure.pause) {
            self.pace().hold(pace::now(), pause);
        }
        if !may_help || attempts > self.spec().retries {
            return Err(failure);
        }
        let pause = failure.pause.unwrap_or_default().max(backoff(attempts, random()));
        if Instant::now() + pause >= deadline {
            return Err(failure);
        }
        cancel.sleep(pause).map_err(CallFailure::permanent)
    }

    /// Sends the request once.
    fn attempt(
        &self,
        prepared: &PreparedRequest,
        max_bytes: u64,
        call: &mut Call,
        observer: Option<&mut StreamObserver<'_>>,
    ) -> Result<ResponseBody, CallFailure> {
        let label = self.spec().label();
        let mut request =
            self.agent().post(&prepared.url).header("content-type", "application/json");
        for (name, value) in &prepared.headers {
            request = request.header(*name, value);
        }
        let response =
            request.send(&prepared.body[..]).map_err(|e| CallFailure::of_network(&label, e))?;
        let (now, status) = (SystemTime::now(), response.status());
        let headers = response.headers().clone();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        call.status = Some(status.as_u16());
        call.request_id = request_id(&headers);
        let pause = asked_pause(header, now);
        if status.is_success() {
            if let Some(pause) = time_until_reset(header, now) {
                self.pace().hold(pace::now(), pause);
            }
            let body = match observer {
                None => read(response, max_bytes, &label),
                Some(observer) => {
                    observer.begin();
                    let reader = response.into_body().into_reader();
                    read_stream(reader, max_bytes, &label, observer, prepared.secret.as_ref())
                }
            };
            return Ok(ResponseBody { body: body?, status: status.as_u16(), pause });
        }
        let body = read(response, MAX_REFUSAL_BYTES, &label).unwrap_or_default();
        Err(CallFailure::of_status(&label, status.as_u16(), &body, pause, prepared.secret.as_ref()))
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let names = ["x-request-id", "request-id", "apim-request-id"];
    let value = names.iter().find_map(|name| headers.get(*name)?.to_str().ok())?;
    Some(value.chars().take(200).collect())
}

/// Reads a body, but no more than so many bytes.
fn read(response: Response<Body>, most: u64, label: &str) -> Result<Vec<u8>, CallFailure> {
    let too_long = || CallFailure::malformed(label, &format!("It is longer than {most} bytes."));
    if response.body().content_length().is_some_and(|length| length > most) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    let reader = response.into_body().into_reader();
    let read = reader.take(most + 1).read_to_end(&mut body);
    read.map_err(|error| interrupted(label, error))?;
    if body.len() as u64 > most {
        return Err(too_long());
    }
    Ok(body)
}

/// Reads a streamed body of at most `most` bytes, and passes every line on as it comes.
pub(super) fn read_stream(
    mut reader: impl Read,
    most: u64,
    label: &str,
    observer: &mut StreamObserver<'_>,
    secret: Option<&Secret>,
) -> Result<Vec<u8>, CallFailure> {
    let (mut body, mut start, mut buffer) = (Vec::new(), 0, [0; 4096]);
    loop {
        let length = reader.read(&mut buffer).map_err(|error| interrupted(label, error))?;
        CallScope::heard();
        // Only what is new is searched: a line of megabytes comes in thousands of reads.
        let mut searched = body.len();
        body.extend_from_slice(&buffer[..length]);
        while let Some(end) = body[searched..].iter().position(|byte| *byte == b'\n') {
            observer.line(&body[start..searched + end], secret)?;
            start = searched + end + 1;
            searched = start;
            if observer.hangs_up() {
                return Ok(body);
            }
        }
        if length == 0 {
            observer.line(&body[start..], secret)?;
            return Ok(body);
        }
        if body.len() as u64 > most {
            return Err(CallFailure::malformed(label, &format!("It is longer than {most} bytes.")));
        }
    }
}

/// A response that did not arrive completely.
fn interrupted(label: &str, error: std::io::Error) -> CallFailure {
    match error.downcast::<ureq::Error>() {
        Ok(ureq::Error::Timeout(Timeout::Global)) => CallFailure::timed_out(label),
        Ok(error) => CallFailure::of_network(label, error),
        Err(error) => CallFailure::of_network(label, ureq::Error::Io(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::provider::by_name;
    use std::io::Cursor;

    #[test]
    fn a_long_line_is_read_in_linear_time() {
        let body = b"x".repeat(24 << 20);
        let mut say = |_: &str| {};
        let mut observer =
            StreamObserver::new(by_name("openai").unwrap(), "m".to_owned(), &mut say);
        let started = Instant::now();
        let read = read_stream(Cursor::new(&body), 32 << 20, "m", &mut observer, None);
        assert_eq!(read.map(|read| read.len()).ok(), Some(body.len()));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}
