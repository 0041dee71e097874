//! A remote model as a generator.
use super::call::{CallRequest, RESPONSE_OVERHEAD, RetryPolicy};
use super::cancel::Cancel;
use super::client::Client;
use super::embedder::not_offered;
use super::failure::CallFailure;
use super::provider::GenerationOptions;
use super::record::{CallPurpose, Counted};
use super::stream::StreamObserver;
use super::tokens::estimate;
use crate::Result;
use crate::model::Checkpoint;
use crate::model::generator::{self, Conversation, Generated};
use crate::model::watch::run_watched;

/// Most bytes of a token in JSON.
const MAX_TOKEN_BYTES: u64 = 128;

/// Writes text by a remote model.
pub struct Generator<'a>(pub &'a Client);

impl generator::Generator for Generator<'_> {
    fn context(&self) -> usize {
        self.0.spec().max_tokens
    }

    fn max_output_tokens(&self) -> usize {
        self.0.spec().max_output_tokens as usize
    }

    fn count(&self, text: &str) -> usize {
        estimate(text)
    }

    fn is_small(&self) -> bool {
        self.0.spec().is_small()
    }

    fn generate(
        &self,
        conversation: &Conversation,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Generated> {
        let cancel = Cancel::default();
        let work = || self.request(conversation, &cancel);
        run_watched(work, || cancel.set(), checkpoint)?.map_err(|failure| failure.error)
    }
}

/// The same on a thread that may block: no further one is made, and only `Cancel` ends a request early.
pub struct Blocking<'a>(pub &'a Client, pub &'a Cancel);

impl generator::Generator for Blocking<'_> {
    fn context(&self) -> usize {
        Generator(self.0).context()
    }

    fn max_output_tokens(&self) -> usize {
        Generator(self.0).max_output_tokens()
    }

    fn count(&self, text: &str) -> usize {
        Generator(self.0).count(text)
    }

    fn is_small(&self) -> bool {
        Generator(self.0).is_small()
    }

    fn generate(
        &self,
        conversation: &Conversation,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Generated> {
        checkpoint()?;
        Generator(self.0).stream_kept(conversation, self.1, &mut |_| {})
    }
}

impl Generator<'_> {
    /// Has the next say, and passes every bit of it on to `say` as it comes. Blocks, on a thread that is not a
    /// backend's main one, until the end or a cancel. What was passed on is not asked for again.
    pub fn stream(
        &self,
        conversation: &Conversation,
        cancel: &Cancel,
        say: &mut dyn FnMut(&str),
    ) -> Result<Generated> {
        let mut streamed = || {
            let client = self.0;
            let mut request = self.prepare(conversation)?;
            client.provider().stream(&mut request.payload.body);
            // Each token comes wrapped in an event.
            request.max_bytes *= 8;
            let observer = StreamObserver::new(client.provider(), client.spec().label(), say);
            client.run_observed(request, cancel, Some(observer), |body, observer| {
                let said = match observer {
                    Some(observer) => observer.finish(body)?,
                    None => Generated::default(),
                };
                let counted = Counted { input: said.input_tokens, output: said.output_tokens };
                Ok((said, counted))
            })
        };
        streamed().map_err(|failure| failure.error)
    }

    /// The same; of an answer that breaks off what was said is kept, with the reason.
    pub fn stream_kept(
        &self,
        conversation: &Conversation,
        cancel: &Cancel,
        say: &mut dyn FnMut(&str),
    ) -> Result<Generated> {
        let mut text = String::new();
        let mut keep = |more: &str| {
            text.push_str(more);
            say(more);
        };
        match self.stream(conversation, cancel, &mut keep) {
            Err(error) if !text.is_empty() && !cancel.is_set() => {
                Ok(Generated { text, ended: Some(error), ..Generated::default() })
            }
            ended => ended,
        }
    }

    /// One request.
    fn request(
        &self,
        conversation: &Conversation,
        cancel: &Cancel,
    ) -> Result<Generated, CallFailure> {
        let client = self.0;
        client.run(self.prepare(conversation)?, cancel, |body| {
            let said = client.provider().completion(body);
            let said = said.map_err(|why| CallFailure::malformed(&client.spec().label(), &why))?;
            let counted = Counted { input: said.input_tokens, output: said.output_tokens };
            Ok((said, counted))
        })
    }

    fn prepare(&self, conversation: &Conversation) -> Result<CallRequest, CallFailure> {
        let (client, spec) = (self.0, self.0.spec());
        let label = spec.label();
        let turns = conversation.turns.iter().map(|turn| estimate(&turn.text)).sum::<usize>();
        let tokens = estimate(&conversation.system) + turns;
        let options = GenerationOptions {
            temperature: spec.temperature,
            max_output_tokens: spec.max_output_tokens,
            context: spec.max_tokens,
        };
        let payload = client.provider().chat(&spec.model, conversation, options);
        let payload = payload.ok_or_else(|| CallFailure::permanent(not_offered(&label, "text")))?;
        let max_bytes = RESPONSE_OVERHEAD + MAX_TOKEN_BYTES * u64::from(spec.max_output_tokens);
        let (purpose, retry) = (CallPurpose::Answer, RetryPolicy::All);
        Ok(CallRequest { payload, purpose, items: 1, tokens, max_bytes, retry })
    }
}
