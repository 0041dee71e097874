//! Responses that come bit by bit, a line at a time: server-sent events, and JSON objects on lines.
use super::error_body::{read_error, refusal, without_bom};
use super::failure::CallFailure;
use super::provider::{Delta, Provider, unfinished};
use super::secret::Secret;
use crate::answer::repetition::is_repeating;
use crate::model::generator::Generated;

/// Reads a response line by line, and passes its text on.
pub(super) struct StreamObserver<'a> {
    provider: &'static dyn Provider,
    label: String,
    say: &'a mut dyn FnMut(&str),
    generated: Generated,
    is_over: bool,
    /// The next line is the data of an event that is an error.
    is_error: bool,
    /// Bytes of the text that were looked through for repetition.
    looked_at: usize,
}

/// Bytes of text after which it is looked through for repetition again.
const LOOK_INTERVAL: usize = 256;

impl<'a> StreamObserver<'a> {
    pub fn new(
        provider: &'static dyn Provider,
        label: String,
        say: &'a mut dyn FnMut(&str),
    ) -> Self {
        let generated = Generated::default();
        Self { provider, label, say, generated, is_over: false, is_error: false, looked_at: 0 }
    }

    /// Whether text was passed on: from then on nothing may be asked again.
    pub fn has_begun(&self) -> bool {
        !self.generated.text.is_empty()
    }

    /// Begins with a response. One that failed before its first text is forgotten.
    pub fn begin(&mut self) {
        self.generated = Generated::default();
        (self.is_over, self.is_error, self.looked_at) = (false, false, 0);
    }

    /// Whether enough was read: the model only repeats itself.
    pub fn hangs_up(&self) -> bool {
        self.is_over && self.looked_at == usize::MAX
    }

    /// Takes in a line without its end.
    pub fn line(&mut self, line: &[u8], secret: Option<&Secret>) -> Result<(), CallFailure> {
        let line = without_bom(line).trim_ascii();
        let (is_event, line) = match line.strip_prefix(b"data:") {
            Some(data) => (true, data.trim_ascii_start()),
            None => (false, line),
        };
        if let Some(name) = line.strip_prefix(b"event:") {
            self.is_error = name.trim_ascii() == b"error";
            return Ok(());
        }
        // Numbers of events and comments say nothing that their data does not.
        let is_field = |name: &&[u8]| line.starts_with(name);
        if line.is_empty() || [&b"id:"[..], b"retry:", b":"].iter().any(is_field) {
            return Ok(());
        }
        if line == b"[DONE]" {
            self.is_over = true;
            return Ok(());
        }
        let is_named = std::mem::take(&mut self.is_error);
        let may_be_error = || line.windows(7).any(|name| name == b"\"error\"");
        let words = may_be_error().then(|| refusal(line, secret)).flatten();
        let words = words.or_else(|| is_named.then(|| read_error(line, secret)));
        if let Some(words) = words {
            return Err(CallFailure::of_error_body(&self.label, 200, words, None));
        }
        match self.provider.stream_event(line) {
            Ok(delta) => self.take(delta),
            // A line of something else, which is read as a whole when it has ended.
            Err(_) if !is_event && !self.has_begun() => {}
            Err(why) => {
                let failure = |words| CallFailure::of_error_body(&self.label, 200, words, None);
                let malformed = || CallFailure::malformed(&self.label, &why);
                return Err(refusal(line, secret).map_or_else(malformed, failure));
            }
        }
        Ok(())
    }

    fn take(&mut self, delta: Delta) {
        let generated = &mut self.generated;
        if let Some(text) = delta.text.filter(|text| !text.is_empty()) {
            (self.say)(&text);
            generated.text.push_str(&text);
        }
        generated.is_cut |= delta.is_cut;
        generated.input_tokens = delta.input_tokens.or(generated.input_tokens);
        generated.output_tokens = delta.output_tokens.or(generated.output_tokens);
        generated.ended = delta.ended.map(unfinished).or(generated.ended.take());
        self.is_over |= delta.is_over;
        if generated.text.len() >= self.looked_at.saturating_add(LOOK_INTERVAL) {
            self.looked_at = generated.text.len();
            if is_repeating(&generated.text) {
                (self.is_over, generated.is_cut, self.looked_at) = (true, true, usize::MAX);
            }
        }
    }

    /// The whole text, when the response has ended. Some servers never stream.
    pub fn finish(&mut self, body: &[u8]) -> Result<Generated, CallFailure> {
        if self.is_over {
            return Ok(std::mem::take(&mut self.generated));
        }
        if self.has_begun() {
            return Err(CallFailure::malformed(&self.label, "It ends in the middle."));
        }
        let said = self.provider.completion(body);
        let said = said.map_err(|why| CallFailure::malformed(&self.label, &why))?;
        (self.say)(&said.text);
        Ok(said)
    }
}
