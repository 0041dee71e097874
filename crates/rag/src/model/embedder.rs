//! Texts to vectors with a local model: window, batches, pooling.
use super::batch::BatchPlan;
use super::local::LocalModel;
use super::manifest::{ModelKind, Pooling};
use super::session::{Batch, Output};
use super::tokenizer::Input;
use super::{Checkpoint, Detail, Embedder, Embedding, Purpose, TokenVectors};
use crate::{Error, Result};
use std::borrow::Cow;
use std::ops::Range;

/// Most padded tokens of a batch. On one thread larger batches are no faster, and one takes about
/// 75 ms with the default model, which keeps cancelling quick.
pub const TOKEN_BUDGET: usize = 1024;

/// Bytes tokenised between two checkpoints: with the slowest tokenizers about 70 ms.
const BYTES_PER_CHECK: usize = 256 * 1024;

/// A text as the graph takes it.
struct Prepared {
    input: Input,
    /// Where the text's own tokens lie in it, without special tokens and prefix.
    own: Range<usize>,
    /// The text's own tokens before any were cut off.
    token_count: usize,
}

impl LocalModel {
    fn prefix(&self, purpose: Purpose) -> &str {
        match purpose {
            Purpose::Query => &self.manifest().query_prefix,
            Purpose::Document => &self.manifest().document_prefix,
        }
    }

    /// Most tokens of a text that count: the window without special tokens and prefix.
    pub fn room(&self, purpose: Purpose) -> Result<usize> {
        let prefix_tokens = self.tokenizer().count(self.prefix(purpose).trim_end())?;
        match self.window().checked_sub(prefix_tokens) {
            Some(room @ 1..) => Ok(room),
            _ => Err(Error::configuration(format!(
                "the prefix of model \"{}\" fills its window",
                self.manifest().name
            ))
            .with_hint("Import the model with a larger window, or a shorter prefix.")),
        }
    }

    fn prepare(
        &self,
        texts: &[&str],
        purpose: Purpose,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<Prepared>> {
        let prefix = self.prefix(purpose);
        let prefix_tokens = self.window() - self.room(purpose)?;
        let mut unchecked = 0;
        let mut prepared = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            unchecked += prefix.len() + text.len();
            if unchecked > BYTES_PER_CHECK {
                unchecked = 0;
                checkpoint()?;
            }
            let (text, uncounted) = self.beginning(text, checkpoint)?;
            let text = if prefix.is_empty() { text } else { Cow::Owned([prefix, &*text].concat()) };
            let input = self.tokenizer().encode(&text, self.manifest().max_tokens)?;
            let token_count = input.token_count + uncounted - prefix_tokens;
            if token_count == 0 {
                return Err(without_token(i, texts.len()));
            }
            let own = input.text.start + prefix_tokens..input.text.end;
            prepared.push(Prepared { input, own, token_count });
        }
        Ok(prepared)
    }

    /// The part of a long text that fills the window, and how many tokens follow it. Slices without
    /// tokens are left out: what is returned is short even where megabytes of space come first.
    pub(super) fn beginning<'t>(
        &self,
        text: &'t str,
        checkpoint: Checkpoint<'_>,
    ) -> Result<(Cow<'t, str>, usize)> {
        if text.len() <= BYTES_PER_CHECK {
            return Ok((Cow::Borrowed(text), 0));
        }
        let (mut kept, mut kept_tokens, mut uncounted) = (String::new(), 0, 0);
        for slice in slices(text) {
            checkpoint()?;
            let tokens = self.tokenizer().count(slice)?;
            if kept_tokens >= self.window() {
                uncounted += tokens;
            } else if tokens > 0 {
                kept.push_str(slice);
                kept_tokens += tokens;
            }
        }
        Ok((Cow::Owned(kept), uncounted))
    }

    /// Share of padding that [`Embedder::embed`] adds to the runs over `texts`, from 0 to 1.
    pub fn padding(&self, texts: &[&str], purpose: Purpose) -> Result<f64> {
        Ok(plan(&self.prepare(texts, purpose, &mut || Ok(()))?).padding())
    }

    fn pool(
        &self,
        output: &Output,
        row: usize,
        width: usize,
        text: &Prepared,
        detail: Detail,
    ) -> Result<Embedding> {
        let dimensions = self.manifest().dimensions;
        let cells = &output.data()[row * width * dimensions..][..text.input.ids.len() * dimensions];
        let mut vector = match self.manifest().pooling {
            Pooling::Mean => mean(cells, dimensions),
            Pooling::Cls => cells[..dimensions].to_vec(),
        };
        if !vector.iter().all(|x| x.is_finite()) {
            return Err(Error::model(format!(
                "model \"{}\" returned a vector that is not finite",
                self.manifest().name
            )));
        }
        if self.manifest().normalize {
            scale_to_unit(&mut vector);
        }
        let tokens = (detail == Detail::Tokens).then(|| {
            let mut data = cells[text.own.start * dimensions..text.own.end * dimensions].to_vec();
            data.chunks_exact_mut(dimensions).for_each(scale_to_unit);
            TokenVectors { dimensions, data }
        });
        let token_count = text.token_count;
        Ok(Embedding { vector, tokens, token_count, truncated: text.own.len() < token_count })
    }
}

impl Embedder for LocalModel {
    fn embed(
        &self,
        texts: &[&str],
        purpose: Purpose,
        detail: Detail,
        checkpoint: Checkpoint<'_>,
    ) -> Result<Vec<Embedding>> {
        self.require(ModelKind::Embedder)?;
        let prepared = self.prepare(texts, purpose, checkpoint)?;
        let mut embeddings: Vec<Option<Embedding>> = vec![None; prepared.len()];
        let pad_id = self.tokenizer().pad_id();
        for positions in plan(&prepared).batches() {
            let inputs: Vec<&Input> = positions.iter().map(|&i| &prepared[i].input).collect();
            let batch = Batch::new(&inputs, pad_id);
            let output = self.session()?.run(&batch, checkpoint)?;
            let expected = [positions.len(), batch.width(), self.manifest().dimensions];
            if output.shape() != expected {
                return Err(self.wrong_shape(&output.shape(), &expected));
            }
            for (row, &i) in positions.iter().enumerate() {
                embeddings[i] =
                    Some(self.pool(&output, row, batch.width(), &prepared[i], detail)?);
            }
        }
        self.release_memory();
        Ok(embeddings.into_iter().flatten().collect())
    }
}

impl LocalModel {
    /// The graph is not what the manifest says.
    pub(super) fn wrong_shape(&self, shape: &[usize], expected: &[usize]) -> Error {
        Error::configuration(format!(
            "the graph of model \"{}\" does not return what its manifest says",
            self.manifest().name
        ))
        .with_detail(format!("Expected a tensor of {expected:?}, got {shape:?}."))
        .with_hint("Import the model again with the \"rag-model\" of this version.")
    }
}

/// Consecutive slices of about [`BYTES_PER_CHECK`], cut at white space where there is any.
fn slices(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let end = text.floor_char_boundary(BYTES_PER_CHECK);
        let cut = if end == text.len() {
            end
        } else {
            text[..end].rfind(char::is_whitespace).filter(|&at| at > 0).unwrap_or(end)
        };
        let (slice, rest) = text.split_at(cut);
        text = rest;
        (!slice.is_empty()).then_some(slice)
    })
}

fn plan(texts: &[Prepared]) -> BatchPlan {
    let lengths: Vec<usize> = texts.iter().map(|text| text.input.ids.len()).collect();
    BatchPlan::new(&lengths, TOKEN_BUDGET)
}

fn mean(cells: &[f32], dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0; dimensions];
    for row in cells.chunks_exact(dimensions) {
        for (total, x) in sum.iter_mut().zip(row) {
            *total += x;
        }
    }
    let scale = dimensions as f32 / cells.len() as f32;
    for x in &mut sum {
        *x *= scale;
    }
    sum
}

/// A zero vector stays as it is.
fn scale_to_unit(vector: &mut [f32]) {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        for x in vector {
            *x /= norm;
        }
    }
}

fn without_token(position: usize, of: usize) -> Error {
    let message = if of == 1 {
        "the text to embed holds no token".to_owned()
    } else {
        format!("text {} of {of} to embed holds no token", position + 1)
    };
    Error::invalid_argument(message)
        .with_hint("Leave blank texts out, or pass NULL, which gives NULL.")
}
