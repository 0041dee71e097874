//! Responses that come bit by bit, a line at a time: server-sent events, and JSON objects on lines.
use super::error_body::{refusal, without_bom};
use super::failure::CallFailure;
use super::provider::{Delta, Provider};
use super::secret::Secret;
use crate::model::generator::Generated;

/// Reads a response line by line, and passes its text on.
pub(super) struct StreamObserver<'a> {
    provider: &'static dyn Provider,
    label: String,
    say: &'a mut dyn FnMut(&str),
    generated: Generated,
    is_over: bool,
}

impl<'a> StreamObserver<'a> {
    pub fn new(
        provider: &'static dyn Provider,
        label: String,
        say: &'a mut dyn FnMut(&str),
    ) -> Self {
        Self { provider, label, say, generated: Generated::default(), is_over: false }
    }

    /// Whether text was passed on: from then on nothing may be asked again.
    pub fn has_begun(&self) -> bool {
        !self.generated.text.is_empty()
    }

    /// Begins with a response. One that failed before its first text is forgotten.
    pub fn begin(&mut self) {
        self.generated = Generated::default();
        self.is_over = false;
    }

    /// Takes in a line without its end.
    pub fn line(&mut self, line: &[u8], secret: Option<&Secret>) -> Result<(), CallFailure> {
        let line = without_bom(line).trim_ascii();
        let (is_event, line) = match line.strip_prefix(b"data:") {
            Some(data) => (true, data.trim_ascii_start()),
            None => (false, line),
        };
        // Names and numbers of events say nothing that their data does not.
        let is_field = |name: &&[u8]| line.starts_with(name);
        if line.is_empty() || [&b"event:"[..], b"id:", b"retry:", b":"].iter().any(is_field) {
            return Ok(());
        }
        if line == b"[DONE]" {
            self.is_over = true;
            return Ok(());
        }
        let is_error = || line.windows(7).any(|name| name == b"\"error\"");
        if let Some(words) = is_error().then(|| refusal(line, secret)).flatten() {
            return Err(CallFailure::of_error_body(&self.label, 200, words, None));
        }
        match self.provider.stream_event(line) {
            Ok(delta) => self.take(delta),
            // A line of something else, which is read as a whole when it has ended.
            Err(_) if !is_event && !self.has_begun() => {}
            Err(why) => return Err(CallFailure::malformed(&self.label, &why)),
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
        self.is_over |= delta.is_over;
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
