//! A question as both legs take it.
use crate::catalog::collection::{Collection, Generation};
use crate::catalog::model::embedder;
use crate::models::embedder::Embedder;
use crate::models::local::embedder_by_fingerprint;
use crate::models::question_cache as cache;
use crate::sys::text_search::Config;
use rag::model::{Detail, Embedding, Purpose};
use rag::search::calibration::OfScript;
use rag::search::question_cache;
use rag::search::{Query, Syntax};
use rag::text::script::Writing;
use rag::{Error, Result};
use std::collections::BTreeSet;

/// Longest text, in bytes, that is cached.
const MAX_CACHED: usize = 2_048;

/// A question, parsed.
pub struct Question {
    /// What to embed.
    pub text: String,
    /// What to search for.
    pub lexemes: Vec<String>,
    /// A `tsquery` in its text form: the phrases, and nothing that is excluded.
    pub required: Option<String>,
    /// A `tsquery` in its text form: nothing that is excluded.
    pub excluded: Option<String>,
    /// Whether `required` asks for phrases.
    pub has_phrases: bool,
    /// Lexemes that every chunk with the phrases holds.
    pub phrase_lexemes: BTreeSet<String>,
}

impl Question {
    /// Parses `text`; any text is fine.
    pub fn read(text: &str, syntax: Syntax, config: Config) -> Self {
        let query = Query::parse(text, syntax);
        let conditions = |words: &[String], prefix: &str| -> Vec<String> {
            let found = words.iter().filter_map(|words| config.phrase(words));
            found.map(|found| format!("{prefix}({found})")).collect()
        };
        let excluded = conditions(&query.excluded, "!");
        let mut all = conditions(&query.phrases, "");
        let has_phrases = !all.is_empty();
        // A dictionary may give alternatives, of which a chunk need not have all.
        let is_all =
            |words: &&String| config.phrase(words).is_some_and(|phrase| !phrase.contains(" | "));
        let phrases = query.phrases.iter().filter(is_all);
        let phrase_lexemes = phrases.flat_map(|words| config.phrase_lexemes(words)).collect();
        all.extend(excluded.iter().cloned());
        let joined = |parts: &[String]| (!parts.is_empty()).then(|| parts.join(" & "));
        Self {
            lexemes: config.lexemes(&query.text).into_iter().collect(),
            required: joined(&all),
            excluded: joined(&excluded),
            has_phrases,
            phrase_lexemes,
            text: query.text,
        }
    }

    /// The question in the space of a generation's vectors; `None` when the model sees nothing in it.
    pub fn embed(
        &self,
        collection: &Collection,
        generation: &Generation,
        detail: Detail,
    ) -> Result<Option<Embedding>> {
        let model = &embedder(collection, generation)?;
        if self.text.len() > MAX_CACHED {
            return match model.counter().count(&self.text)? {
                0 => Ok(None),
                _ => self.embed_anew(model, detail).map(Some),
            };
        }
        let Some(input) = self.read_by(model)? else { return Ok(None) };
        let key = question_cache::key(&model.fingerprint(), &input);
        let cached = cache::with(|cache| cache.get(&key, detail == Detail::Tokens));
        if let Some(embedding) = cached {
            model.report(Purpose::Query, std::slice::from_ref(&embedding))?;
            return Ok(Some(embedding));
        }
        let embedding = self.embed_anew(model, detail)?;
        cache::with(|cache| cache.put(&key, &embedding));
        Ok(Some(embedding))
    }

    /// What the model reads: the text's tokens or, of a remote model, its characters.
    fn read_by(&self, model: &Embedder) -> Result<Option<Vec<u32>>> {
        let input = match model {
            Embedder::Local(model) => model.tokenizer().tokens(&self.text)?.ids,
            Embedder::Remote(_) if model.counter().count(&self.text)? == 0 => return Ok(None),
            Embedder::Remote(_) => self.text.chars().map(u32::from).collect(),
        };
        Ok((!input.is_empty()).then_some(input))
    }

    /// What is known of questions in its script: what calibration found or, before, that the model has no words for it. Where no
    /// model embedded the question none is opened.
    pub fn known(&self, generation: &Generation, is_embedded: bool) -> Option<OfScript> {
        let calibrated = generation.calibration.of_script(Writing::of(&self.text));
        if calibrated.is_some() || !is_embedded {
            return calibrated.copied();
        }
        let Generation { model, fingerprint, .. } = generation;
        let model = embedder_by_fingerprint(model, fingerprint).ok()??;
        let has_words = model.tokenizer().has_words_for(&self.text).unwrap_or(true);
        (!has_words).then(OfScript::without_words)
    }

    fn embed_anew(&self, model: &Embedder, detail: Detail) -> Result<Embedding> {
        let mut embeddings = model.embed_reporting(&[&self.text], Purpose::Query, detail)?;
        embeddings.pop().ok_or_else(|| Error::model("the model returned no embedding"))
    }
}
