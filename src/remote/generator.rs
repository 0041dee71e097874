//! A remote model as a generator.
use super::call::{Counted, Errand, Purpose};
use super::cancel::Cancel;
use super::client::Client;
use super::embedder::not_offered;
use super::failure::Failure;
use super::provider::Manner;
use super::tokens::estimate;
use crate::Result;
use crate::model::Checkpoint;
use crate::model::generator::{self, Conversation, Generated};
use crate::model::watch::run_watched;

/// Most bytes of a token in JSON.
const TOKEN: u64 = 128;
/// Most bytes of a response beside its text.
const REST: u64 = 1 << 20;

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

impl Generator<'_> {
    /// One request.
    fn request(&self, conversation: &Conversation, cancel: &Cancel) -> Result<Generated, Failure> {
        let (client, spec) = (self.0, self.0.spec());
        let who = spec.who();
        let turns = conversation.turns.iter().map(|turn| estimate(&turn.text)).sum::<usize>();
        let tokens = estimate(&conversation.system) + turns;
        let manner = Manner {
            temperature: spec.temperature,
            max_output_tokens: spec.max_output_tokens,
            context: (tokens + spec.max_output_tokens as usize).min(spec.max_tokens),
        };
        let ask = client.provider().chat(&spec.model, conversation, manner);
        let ask = ask.ok_or_else(|| Failure::last(not_offered(&who, "text")))?;
        let most_bytes = REST + TOKEN * u64::from(spec.max_output_tokens);
        let errand = Errand { ask, purpose: Purpose::Answer, items: 1, tokens, most_bytes };
        client.run(errand, cancel, |body| {
            let said =
                client.provider().said(body).map_err(|why| Failure::malformed(&who, &why))?;
            let counted = Counted { input: said.input_tokens, output: said.output_tokens };
            Ok((said, counted))
        })
    }
}
