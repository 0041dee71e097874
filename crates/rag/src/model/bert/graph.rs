//! Writes the encoder as an ONNX graph, in `f32` or with 8-bit weights.
//!
//! Inside, all tokens of a batch lie in one matrix `[batch * sequence, hidden_size]`; only attention
//! sees texts apart.
mod activation;
mod attention;
mod embeddings;
mod linear;

use super::config::{Config, Family};
use super::names::Names;
use super::quantize;
use super::weights::{Linear, Matrix, Weights};
use crate::Result;
use crate::model::manifest::{Kind, Precision, Signature};
use crate::model::onnx::graph::{Attr, Axis, Builder, Value};
use crate::model::onnx::proto::data_type;
use linear::Range;

/// The graph of an encoder: `token_embeddings`, `float [batch, sequence, hidden_size]`.
pub fn encoder(config: &Config, weights: &Weights, precision: Precision) -> Result<Vec<u8>> {
    let (mut writer, tokens) = Writer::new(config, precision)?;
    let hidden = writer.hidden_states(weights, &tokens)?;
    let shape = writer.token_shape(&tokens.ids, &[config.hidden_size]);
    let output = writer.graph.op("Reshape", &[&hidden, &shape], &[]);
    let shape = [Axis::Named("batch"), Axis::Named("sequence"), Axis::Fixed(config.hidden_size)];
    Ok(writer.graph.finish(&output, &Signature::of(Kind::Embedder).output, &shape))
}

/// The graph of a cross-encoder: `scores`, `float [batch, labels]`, before any activation.
pub fn cross_encoder(config: &Config, weights: &Weights, precision: Precision) -> Result<Vec<u8>> {
    let (mut writer, tokens) = Writer::new(config, precision)?;
    let hidden = writer.hidden_states(weights, &tokens)?;
    let scores = writer.classify(weights, &tokens, &hidden)?;
    let shape = [Axis::Named("batch"), Axis::Fixed(config.labels())];
    Ok(writer.graph.finish(&scores, &Signature::of(Kind::Reranker).output, &shape))
}

/// How a graph written here is fed.
pub fn signature(config: &Config, kind: Kind) -> Result<Signature> {
    let mut signature = Signature::of(kind);
    if !config.has_types()? {
        signature.token_type_ids = None;
    }
    Ok(signature)
}

const TO_FLOAT: Attr = Attr::Int("to", data_type::FLOAT as i64);

/// The graph's inputs, each `int64 [batch, sequence]`.
struct Tokens {
    ids: Value,
    mask: Value,
    /// Only where the family tells texts of a pair apart.
    types: Option<Value>,
}

/// Values that every layer shares.
struct Shared {
    /// Shape of the queries' heads, of the keys' and values' heads.
    query_heads: Value,
    heads: Value,
    /// 0 for a token and very low for padding, `float [batch, heads, 1, sequence]`.
    padding: Value,
    /// For 8-bit operands.
    int8: Option<linear::Shared>,
}

struct Writer<'a> {
    config: &'a Config,
    names: &'static Names,
    is_int8: bool,
    graph: Builder,
}

impl<'a> Writer<'a> {
    fn new(config: &'a Config, precision: Precision) -> Result<(Self, Tokens)> {
        let mut graph = Builder::new(config.architecture());
        let signature = signature(config, Kind::Embedder)?;
        let shape = [Axis::Named("batch"), Axis::Named("sequence")];
        let tokens = Tokens {
            ids: graph.input(&signature.input_ids, &shape),
            mask: graph.input(&signature.attention_mask, &shape),
            types: signature.token_type_ids.map(|name| graph.input(&name, &shape)),
        };
        let is_int8 = precision == Precision::Int8;
        Ok((Self { config, names: Names::of(config.family()?), is_int8, graph }, tokens))
    }

    fn hidden_states(&mut self, weights: &Weights, tokens: &Tokens) -> Result<Value> {
        let mut hidden = self.embeddings(weights, tokens)?;
        let shared = self.shared(tokens);
        for layer in 0..self.config.num_hidden_layers {
            hidden = self.layer(weights, layer, &hidden, &shared)?;
        }
        Ok(hidden)
    }

    fn layer(
        &mut self,
        weights: &Weights,
        layer: usize,
        hidden: &Value,
        shared: &Shared,
    ) -> Result<Value> {
        let Config { hidden_size, intermediate_size, .. } = *self.config;
        let names = self.names;
        let name = |part| names.layer(layer, part);
        let (out, up, down) = (name(names.out), name(names.up), name(names.down));

        let context = self.attention(weights, layer, hidden, shared)?;
        let out_weights = weights.linear(&out, hidden_size, hidden_size)?;
        let attended = self.linear(&out, (&context, Range::Any), &out_weights, shared);
        let sum = self.graph.op("Add", &[&attended, hidden], &[]);
        let hidden = self.normalize(weights, &name(names.out_norm), &sum)?;

        let up_weights = weights.linear(&up, intermediate_size, hidden_size)?;
        let wide = self.linear(&up, (&hidden, Range::Any), &up_weights, shared);
        let wide = self.activate(&wide)?;
        let down_weights = weights.linear(&down, hidden_size, intermediate_size)?;
        let narrow = self.linear(&down, (&wide, Range::Activated), &down_weights, shared);
        let sum = self.graph.op("Add", &[&narrow, &hidden], &[]);
        self.normalize(weights, &name(names.down_norm), &sum)
    }

    fn shared(&mut self, tokens: &Tokens) -> Shared {
        let mask = self.graph.op("Cast", &[&tokens.mask], &[TO_FLOAT]);
        let heads = self.config.num_attention_heads;
        let int8 = self.is_int8.then(|| self.shared_int8(tokens, &mask));
        Shared {
            query_heads: self.token_shape(&tokens.ids, &[heads, self.config.head_size() + 1]),
            heads: self.token_shape(&tokens.ids, &[heads, self.config.head_size()]),
            padding: self.padding(&mask),
            int8,
        }
    }

    fn normalize(&mut self, weights: &Weights, name: &str, value: &Value) -> Result<Value> {
        let size = self.config.hidden_size;
        // Checkpoints converted from TensorFlow call the two gamma and beta.
        let either = |new: &str, old: &str| {
            weights
                .vector(&format!("{name}.{new}"), size)
                .or_else(|e| weights.vector(&format!("{name}.{old}"), size).map_err(|_| e))
        };
        let scale =
            self.graph.floats(&format!("{name}.weight"), &[size], &either("weight", "gamma")?);
        let bias = self.graph.floats(&format!("{name}.bias"), &[size], &either("bias", "beta")?);
        let attributes =
            [Attr::Int("axis", -1), Attr::Float("epsilon", self.config.layer_norm_eps)];
        Ok(self.graph.op("LayerNormalization", &[value, &scale, &bias], &attributes))
    }

    fn classify(&mut self, weights: &Weights, tokens: &Tokens, hidden: &Value) -> Result<Value> {
        let size = self.config.hidden_size;
        let shape = self.token_shape(&tokens.ids, &[size]);
        let hidden = self.graph.op("Reshape", &[hidden, &shape], &[]);
        let first = self.graph.integers("first", &[], &[0]);
        let first = self.graph.op("Gather", &[&hidden, &first], &[Attr::Int("axis", 1)]);
        let labels = self.config.labels();
        let (dense, out) = match self.config.family()? {
            Family::Roberta => (
                weights.head("classifier.dense", size, size)?,
                weights.head("classifier.out_proj", labels, size)?,
            ),
            Family::Bert | Family::DistilBert => (
                weights.linear("pooler.dense", size, size)?,
                weights.head("classifier", labels, size)?,
            ),
        };
        let pooled = self.linear_f32("pooler.dense", &first, &dense);
        let pooled = self.graph.op("Tanh", &[&pooled], &[]);
        Ok(self.linear_f32("classifier", &pooled, &out))
    }

    /// `[batch, sequence, tail...]`, as a shape for `Reshape`.
    fn token_shape(&mut self, ids: &Value, tail: &[usize]) -> Value {
        let shape = self.graph.op("Shape", &[ids], &[]);
        let tail: Vec<_> = tail.iter().map(|&n| n as i64).collect();
        let name = format!("tail{tail:?}");
        let tail = self.graph.integers_once(&name, &tail);
        self.graph.op("Concat", &[&shape, &tail], &[Attr::Int("axis", 0)])
    }

    /// Any shape as `[tokens, hidden_size]`.
    fn flat(&mut self, value: &Value) -> Value {
        let shape = self.graph.integers_once("flat", &[-1, self.config.hidden_size as i64]);
        self.graph.op("Reshape", &[value, &shape], &[])
    }

    fn matrix(&mut self, name: &str, matrix: &Matrix) -> Value {
        self.graph.floats(name, &[matrix.rows, matrix.columns], &matrix.data)
    }
}
