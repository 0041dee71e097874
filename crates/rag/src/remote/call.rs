//! One request until it succeeds, fails for good, or its time is over.
use super::adapt::Adapted;
use super::cancel::Cancel;
use super::client::Client;
use super::failure::Failure;
use super::limit;
use super::provider::Ask;
use super::record::{Call, Counted, Purpose};
use super::retry::{asked_pause, backoff, random, used_up};
use super::secret::Secret;
use super::sign::Sign;
use super::stream::Ear;
use super::words::refusal;
use crate::Error;
use serde_json::{Map, Value};
use std::io::Read;
use std::time::{Duration, Instant, SystemTime};
use ureq::http::{HeaderMap, Response};
use ureq::{Body, Timeout};

/// Most bytes of a refusal that are read; a provider's reasons are shorter.
const REFUSAL: u64 = 64 * 1024;

/// What to send, and what may come back.
pub(super) struct Errand {
    pub ask: Ask,
    pub purpose: Purpose,
    /// Texts or documents in it.
    pub items: usize,
    /// Tokens of it, estimated.
    pub tokens: usize,
    /// Most bytes of the response.
    pub most_bytes: u64,
    /// What is tried again.
    pub patience: Patience,
}

/// Which failures are tried again with the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// All that may pass.
    All,
    /// Those of the network; what the server fails at may be a text, which is looked for.
    Network,
    /// Those that ask for it.
    Pauses,
}

impl Patience {
    fn covers(self, failure: &Failure, items: usize) -> bool {
        match failure.sign {
            _ if failure.is_final => false,
            Sign::RateLimited => true,
            Sign::Outage => self != Self::Pauses,
            Sign::Failed => self == Self::All,
            Sign::Exhausted(_) => self == Self::All && items == 1,
            _ => false,
        }
    }
}

/// Where and as whom to send it; the key lives no longer than the call.
struct Envelope {
    url: String,
    secret: Option<Secret>,
    headers: Vec<(&'static str, String)>,
    /// The body before it is adapted, and after.
    fields: Map<String, Value>,
    adapted: Adapted,
    body: Vec<u8>,
}

impl Envelope {
    /// Leaves out, or renames, what adaptations say, unless the model's own parameters ask for it.
    fn adapt(&mut self, adapted: Adapted, own: &Map<String, Value>) {
        let mut fields = self.fields.clone();
        adapted.apply(&mut fields, own);
        self.adapted = adapted;
        self.body = Value::Object(fields).to_string().into_bytes();
    }
}

/// A body that came with a success, and how long the provider asks to wait should it be a refusal.
struct Reply {
    body: Vec<u8>,
    status: u16,
    pause: Option<Duration>,
}

impl Client {
    /// Sends a request, again where that may help, and `read`s the body of the response, with what the
    /// provider counted. One deadline bounds all of it.
    pub(super) fn run<T>(
        &self,
        errand: Errand,
        cancel: &Cancel,
        mut read: impl FnMut(&[u8]) -> Result<(T, Counted), Failure>,
    ) -> Result<T, Failure> {
        self.run_heard(errand, cancel, None, |body, _| read(body))
    }

    /// The same for a response that is heard while it comes. What was passed on is not asked for again.
    pub(super) fn run_heard<'e, T>(
        &self,
        errand: Errand,
        cancel: &Cancel,
        mut ear: Option<Ear<'e>>,
        mut read: impl FnMut(&[u8], Option<&mut Ear<'e>>) -> Result<(T, Counted), Failure>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let deadline = started + self.spec().timeout;
        let Errand { ask, purpose, items, tokens, most_bytes, patience } = errand;
        let mut envelope = self.envelope(ask, purpose).map_err(Failure::last)?;
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
            let attempt = || self.attempt(&envelope, most_bytes, &mut call, ear.as_mut());
            let reply = cancel.scope(deadline, attempt);
            let read = reply.and_then(|reply| {
                let secret = envelope.secret.as_ref();
                let result = read(&reply.body, ear.as_mut());
                result.map_err(|failure| self.judged(failure, &reply, secret))
            });
            let mut failure = match read {
                Ok(value) => {
                    self.pace().note_worked(limit::now(), items, tokens, sent.elapsed());
                    self.pace().learn_adapted(envelope.adapted);
                    break Ok(value);
                }
                Err(failure) if !cancel.is_set() => failure,
                Err(_) => break Err(Failure::last(Error::cancelled())),
            };
            failure.times = call.attempts;
            // Most of the time went by with waiting for a turn, or for others.
            if failure.sign == Sign::Slow && sent.elapsed() < self.spec().timeout / 2 {
                failure.sign = Sign::Outage;
            }
            if ear.as_ref().is_some_and(Ear::has_begun) {
                break Err(failure);
            }
            if self.adapts(&mut envelope, &failure) {
                continue;
            }
            let may_help = patience.covers(&failure, items);
            if let Err(failure) =
                self.before_next(failure, may_help, call.attempts, deadline, cancel)
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

    /// What a response of success that cannot be read comes to: some refuse in such a one.
    fn judged(&self, failure: Failure, reply: &Reply, secret: Option<&Secret>) -> Failure {
        if failure.sign != Sign::Refused || !failure.lower.is_empty() {
            return failure;
        }
        match refusal(&reply.body, secret) {
            Some(words) => Failure::of_words(&self.spec().who(), reply.status, words, reply.pause),
            None => failure.saying(&reply.body, secret),
        }
    }

    /// Whether the request can go again without what the refusal names.
    fn adapts(&self, envelope: &mut Envelope, failure: &Failure) -> bool {
        let own = &self.spec().parameters;
        let adapted = (failure.sign == Sign::Refused)
            .then(|| envelope.adapted.by_words(&failure.lower, &envelope.fields, own));
        let Some(adapted) = adapted.flatten() else { return false };
        envelope.adapt(adapted, own);
        true
    }

    fn envelope(&self, ask: Ask, purpose: Purpose) -> crate::Result<Envelope> {
        let spec = self.spec();
        let address = spec.url.below(ask.path);
        self.check(&address)?;
        let secret = spec.credential.as_ref().map(|c| c.read(&address)).transpose()?;
        let mut headers = self.provider().headers(secret.as_ref());
        // Providers that know it do not charge a repeated request twice; others ignore it.
        let (left, right) = (random().to_bits(), random().to_bits());
        headers.push(("idempotency-key", format!("rag_pg-{left:016x}{right:016x}")));
        let mut fields = ask.body;
        for (name, value) in spec.parameters.iter().chain(spec.parameters_of(purpose)) {
            match value {
                Value::Null => fields.remove(name),
                value => fields.insert(name.clone(), value.clone()),
            };
        }
        let (adapted, body) = (Adapted::default(), Vec::new());
        let mut envelope =
            Envelope { url: address.to_string(), secret, headers, fields, adapted, body };
        envelope.adapt(self.pace().learnt().adapted, &spec.parameters);
        Ok(envelope)
    }

    /// Waits until the model's limits let a request leave.
    fn wait_turn(&self, tokens: usize, deadline: Instant, cancel: &Cancel) -> Result<(), Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        let turn = self.pace().reserve(self.spec().limits, tokens as u64, limit::now(), left);
        let wait = turn.map_err(|wait| {
            let who = self.spec().who();
            let error = Error::rate_limited(format!("{who} has no turn left before its timeout"))
                .with_detail(format!("The next one is in {:.1} s.", wait.as_secs_f64()))
                .with_hint("Try again later, or create the model with a longer timeout.");
            Failure { is_final: true, ..Failure::new(Sign::RateLimited, error) }
        })?;
        cancel.sleep(wait).map_err(Failure::last)
    }

    /// Decides whether there is a next attempt, and waits for its time.
    fn before_next(
        &self,
        failure: Failure,
        may_help: bool,
        attempts: u32,
        deadline: Instant,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        let passes = matches!(failure.sign, Sign::RateLimited | Sign::Outage | Sign::Failed);
        if let (true, Some(pause)) = (passes, failure.pause) {
            self.pace().hold(limit::now(), pause);
        }
        if !may_help || attempts > self.spec().retries {
            return Err(failure);
        }
        let pause = failure.pause.unwrap_or_default().max(backoff(attempts, random()));
        if Instant::now() + pause >= deadline {
            return Err(failure);
        }
        cancel.sleep(pause).map_err(Failure::last)
    }

    /// Sends the request once.
    fn attempt(
        &self,
        envelope: &Envelope,
        most_bytes: u64,
        call: &mut Call,
        ear: Option<&mut Ear<'_>>,
    ) -> Result<Reply, Failure> {
        let who = self.spec().who();
        let mut request =
            self.agent().post(&envelope.url).header("content-type", "application/json");
        for (name, value) in &envelope.headers {
            request = request.header(*name, value);
        }
        let response =
            request.send(&envelope.body[..]).map_err(|e| Failure::of_network(&who, e))?;
        let (now, status) = (SystemTime::now(), response.status());
        let headers = response.headers().clone();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        call.status = Some(status.as_u16());
        call.request_id = request_id(&headers);
        let pause = asked_pause(header, now);
        if status.is_success() {
            if let Some(pause) = used_up(header, now) {
                self.pace().hold(limit::now(), pause);
            }
            let body = match ear {
                None => read(response, most_bytes, &who),
                Some(ear) => {
                    ear.begin();
                    let reader = response.into_body().into_reader();
                    follow(reader, most_bytes, &who, ear, envelope.secret.as_ref())
                }
            };
            return Ok(Reply { body: body?, status: status.as_u16(), pause });
        }
        let body = read(response, REFUSAL, &who).unwrap_or_default();
        Err(Failure::of_status(&who, status.as_u16(), &body, pause, envelope.secret.as_ref()))
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let names = ["x-request-id", "request-id", "apim-request-id"];
    let value = names.iter().find_map(|name| headers.get(*name)?.to_str().ok())?;
    Some(value.chars().take(200).collect())
}

/// Reads a body, but no more than so many bytes.
fn read(response: Response<Body>, most: u64, who: &str) -> Result<Vec<u8>, Failure> {
    let too_long = || Failure::malformed(who, &format!("It is longer than {most} bytes."));
    if response.body().content_length().is_some_and(|length| length > most) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    let reader = response.into_body().into_reader();
    let read = reader.take(most + 1).read_to_end(&mut body);
    read.map_err(|error| interrupted(who, error))?;
    if body.len() as u64 > most {
        return Err(too_long());
    }
    Ok(body)
}

/// Reads a body, but no more than so many bytes, and lets every line be heard as it comes.
pub(super) fn follow(
    mut reader: impl Read,
    most: u64,
    who: &str,
    ear: &mut Ear<'_>,
    secret: Option<&Secret>,
) -> Result<Vec<u8>, Failure> {
    let (mut body, mut start, mut buffer) = (Vec::new(), 0, [0; 4096]);
    loop {
        let length = reader.read(&mut buffer).map_err(|error| interrupted(who, error))?;
        // Only what is new is searched: a line of megabytes comes in thousands of reads.
        let mut searched = body.len();
        body.extend_from_slice(&buffer[..length]);
        while let Some(end) = body[searched..].iter().position(|byte| *byte == b'\n') {
            ear.line(&body[start..searched + end], secret)?;
            start = searched + end + 1;
            searched = start;
        }
        if length == 0 {
            ear.line(&body[start..], secret)?;
            return Ok(body);
        }
        if body.len() as u64 > most {
            return Err(Failure::malformed(who, &format!("It is longer than {most} bytes.")));
        }
    }
}

/// A response that did not arrive completely.
fn interrupted(who: &str, error: std::io::Error) -> Failure {
    match error.downcast::<ureq::Error>() {
        Ok(ureq::Error::Timeout(Timeout::Global)) => Failure::timed_out(who),
        Ok(error) => Failure::of_network(who, error),
        Err(error) => Failure::of_network(who, ureq::Error::Io(error)),
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
        let mut ear = Ear::new(by_name("openai").unwrap(), "m".to_owned(), &mut say);
        let started = Instant::now();
        let read = follow(Cursor::new(&body), 32 << 20, "m", &mut ear, None);
        assert_eq!(read.map(|read| read.len()).ok(), Some(body.len()));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}
