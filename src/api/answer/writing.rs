//! How a model is to write an answer, and what takes its place where it cannot.
use crate::api::answer::default_options;
use crate::sys::limit;
use rag::answer::generate::{GeneratedAnswer, VerifiedQuote, needs_fallback};
use rag::answer::json::{CitedPassage, surrounded};
use rag::answer::{Answer, Citation, Options, Status, narrow};
use rag::remote::Client;
use rag::{Error, Result};
use serde_json::Value;

/// Options of an answer that a model writes.
pub(in crate::api) struct Writing<'a> {
    /// Wishes about style and content.
    pub instructions: Option<&'a str>,
    context: Option<Context>,
    /// Whether the passages' own sentences answer where the model's do not.
    fallback: bool,
}

/// What the model is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Passages,
    Sentences,
}

/// Passages, and what to cite of each.
#[derive(Clone, Copy)]
pub(in crate::api) struct Sources<'a> {
    pub places: &'a [CitedPassage],
    pub texts: &'a [&'a str],
}

impl Sources<'_> {
    /// A citation of a sentence, with what stands around it.
    pub fn scored(&self, cited: &Citation) -> Value {
        surrounded(
            self.places[cited.passage].scored(cited),
            self.texts[cited.passage],
            &cited.chars,
        )
    }

    /// A citation of a model's quote, with what stands around it.
    pub fn verified(&self, found: &VerifiedQuote) -> Value {
        surrounded(
            self.places[found.passage].verified(found),
            self.texts[found.passage],
            &found.chars,
        )
    }
}

/// Sentences of them.
pub(in crate::api) struct Near<'a> {
    places: Vec<CitedPassage>,
    texts: Vec<&'a str>,
}

impl Near<'_> {
    /// What a model is given of them.
    pub fn sources(&self) -> Sources<'_> {
        Sources { places: &self.places, texts: &self.texts }
    }
}

/// An answer in the passages' own sentences.
pub(in crate::api) struct Picked {
    pub text: String,
    pub citations: Vec<Value>,
}

impl Default for Writing<'_> {
    fn default() -> Self {
        Self { instructions: None, context: None, fallback: true }
    }
}

impl<'a> Writing<'a> {
    /// Reads the arguments.
    pub fn read(
        instructions: Option<&'a str>,
        context: Option<&str>,
        fallback: Option<bool>,
    ) -> Result<Self> {
        limit::texts(instructions)?;
        let context = match context {
            None => None,
            Some("passages") => Some(Context::Passages),
            Some("sentences") => Some(Context::Sentences),
            Some(other) => {
                return Err(Error::invalid_argument(format!("unknown context \"{other}\"")).with_hint(
                    "Use \"passages\" or \"sentences\", or NULL to leave it to the model's size.",
                ));
            }
        };
        Ok(Self { instructions, context, fallback: fallback.unwrap_or(true) })
    }

    /// The best sentences of the passages, where the model is to be given these instead. A small one is given those that would answer
    /// without it, and none where they would not: it copies faithfully and chooses badly.
    pub fn narrow(
        &self,
        client: &Client,
        Sources { places, texts }: Sources<'a>,
        pick: &impl Fn(&Options) -> Result<Answer>,
    ) -> Result<Option<Near<'a>>> {
        let spec = client.spec();
        let is_wanted = match self.context {
            Some(context) => context == Context::Sentences,
            None => spec.is_small() || spec.has_small_window(),
        };
        if !is_wanted {
            return Ok(None);
        }
        let options = if spec.is_small() { default_options() } else { narrow::options() };
        let picked = match pick(&options) {
            // The embedder does not know the question's language, or nothing was compared with it.
            Ok(
                Answer { is_judged: false, .. }
                | Answer { status: Status::NoAnswer, refused: None, .. },
            ) => pick(&narrow::options()),
            picked => picked,
        };
        let picked = match picked {
            // Nobody asked for it, and the model that picks may not be installed.
            Err(error) if self.context.is_none() && !error.is_cancelled() => return Ok(None),
            picked => picked?,
        };
        let parts = narrow::parts(&picked, texts);
        if parts.is_empty() && picked.refused.is_none() {
            return Ok(None);
        }
        let places = parts.iter().map(|part| places[part.passage].from(part.char_start)).collect();
        let texts = parts.iter().map(|part| &texts[part.passage][part.bytes.clone()]).collect();
        Ok(Some(Near { places, texts }))
    }

    /// What takes the place of an answer, and why.
    pub fn fall_back(
        &self,
        written: &Result<GeneratedAnswer>,
        sources: Sources<'_>,
        pick: &impl Fn(&Options) -> Result<Answer>,
    ) -> Option<(Picked, String)> {
        let why = needs_fallback(written).filter(|_| self.fallback)?;
        self.pick(sources, pick).map(|picked| (picked, why))
    }

    /// What would take the place of an answer; `None` where nothing is to, or there is nothing.
    pub fn pick(
        &self,
        sources: Sources<'_>,
        pick: &impl Fn(&Options) -> Result<Answer>,
    ) -> Option<Picked> {
        // What kept sentences from being picked is not what was asked for.
        let answer = pick(&default_options()).ok().filter(|_| self.fallback)?;
        (answer.status == Status::Answered).then(|| Picked {
            citations: answer.citations.iter().map(|cited| sources.scored(cited)).collect(),
            text: answer.text,
        })
    }
}
