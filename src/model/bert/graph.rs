//! Writes the encoder as an ONNX graph, in `f32` or with 8-bit weights.
//!
//! Inside, all tokens of a batch lie in one matrix `[batch * sequence, hidden_size]`; only attention
//! sees texts apart.
mod activation;
mod attention;
mod linear;

use super::config::Config;
use super::quantize;
use super::weights::{Linear, Matrix, Weights};
use crate::Result;
use crate::model::manifest::{Kind, Precision, Signature};
use crate::model::onnx::graph::{Attr, Axis, Builder, Value};
use crate::model::onnx::proto::data_type;
use linear::Range;

/// The graph of an encoder: `token_embeddings`, `float [batch, sequence, hidden_size]`.
pub fn encoder(config: &Config, weights: &Weights, precision: Precision) -> Result<Vec<u8>> {
    let (mut writer, tokens) = Writer::new(config, precision);
    let hidden = writer.hidden_states(weights, &tokens)?;
    let shape = writer.token_shape(&tokens.ids, &[config.hidden_size]);
    let output = writer.graph.op("Reshape", &[&hidden, &shape], &[]);
    let shape = [Axis::Named("batch"), Axis::Named("sequence"), Axis::Fixed(config.hidden_size)];
    Ok(writer.graph.finish(&output, &Signature::of(Kind::Embedder).output, &shape))
}

/// The graph of a cross-encoder: `scores`, `float [batch, labels]`, before any activation.
pub fn cross_encoder(config: &Config, weights: &Weights, precision: Precision) -> Result<Vec<u8>> {
    let (mut writer, tokens) = Writer::new(config, precision);
    let hidden = writer.hidden_states(weights, &tokens)?;
    let scores = writer.classify(weights, &tokens, &hidden)?;
    let shape = [Axis::Named("batch"), Axis::Fixed(config.labels())];
    Ok(writer.graph.finish(&scores, &Signature::of(Kind::Reranker).output, &shape))
}

const TO_FLOAT: Attr = Attr::Int("to", data_type::FLOAT as i64);

/// The graph's inputs, each `int64 [batch, sequence]`.
struct Tokens {
    ids: Value,
    mask: Value,
    types: Value,
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
    is_int8: bool,
    graph: Builder,
}

impl<'a> Writer<'a> {
    fn new(config: &'a Config, precision: Precision) -> (Self, Tokens) {
        let mut graph = Builder::new(config.architecture());
        let names = Signature::of(Kind::Embedder);
        let shape = [Axis::Named("batch"), Axis::Named("sequence")];
        let tokens = Tokens {
            ids: graph.input(&names.input_ids, &shape),
            mask: graph.input(&names.attention_mask, &shape),
            types: graph.input(names.token_type_ids.as_deref().unwrap_or_default(), &shape),
        };
        (Self { config, is_int8: precision == Precision::Int8, graph }, tokens)
    }

    fn hidden_states(&mut self, weights: &Weights, tokens: &Tokens) -> Result<Value> {
        let mut hidden = self.embeddings(weights, tokens)?;
        let shared = self.shared(tokens);
        for layer in 0..self.config.num_hidden_layers {
            hidden = self.layer(weights, layer, &hidden, &shared)?;
        }
        Ok(hidden)
    }

    fn embeddings(&mut self, weights: &Weights, tokens: &Tokens) -> Result<Value> {
        let Config { hidden_size, vocab_size, max_position_embeddings, type_vocab_size, .. } =
            *self.config;
        let table = |name: &str, rows| {
            weights.matrix(&format!("embeddings.{name}_embeddings.weight"), rows, hidden_size)
        };
        let word = self.words(&table("word", vocab_size)?, &tokens.ids);
        let kinds = self.matrix("embeddings.token_type", &table("token_type", type_vocab_size)?);
        let kind = self.graph.op("Gather", &[&kinds, &tokens.types], &[]);
        let sum = self.graph.op("Add", &[&word, &kind], &[]);

        let positions = table("position", max_position_embeddings)?;
        let positions = self.matrix("embeddings.position", &positions);
        let length = self.graph.op("Shape", &[&tokens.ids], &[Attr::Int("start", 1)]);
        let zero = self.graph.integers_once("zero", &[0]);
        let position = self.graph.op("Slice", &[&positions, &zero, &length, &zero], &[]);
        let sum = self.graph.op("Add", &[&sum, &position], &[]);
        let sum = self.flat(&sum);
        self.normalize(weights, "embeddings.LayerNorm", &sum)
    }

    /// The words' rows; half of a small model's weights are here, so they are 8 bits, too.
    fn words(&mut self, table: &Matrix, ids: &Value) -> Value {
        if !self.is_int8 {
            let table = self.matrix("embeddings.word", table);
            return self.graph.op("Gather", &[&table, ids], &[]);
        }
        let quantized = quantize::by_row(table);
        let dims = [table.rows, table.columns];
        let rows = self.graph.bytes("embeddings.word", &dims, &quantized.data);
        let scales =
            self.graph.floats("embeddings.word.scales", &[table.rows, 1], &quantized.scales);
        let row = self.graph.op("Gather", &[&rows, ids], &[]);
        let row = self.graph.op("Cast", &[&row], &[TO_FLOAT]);
        let scale = self.graph.op("Gather", &[&scales, ids], &[]);
        self.graph.op("Mul", &[&row, &scale], &[])
    }

    fn layer(
        &mut self,
        weights: &Weights,
        layer: usize,
        hidden: &Value,
        shared: &Shared,
    ) -> Result<Value> {
        let Config { hidden_size, intermediate_size, .. } = *self.config;
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let (out, up, down) =
            (name("attention.output.dense"), name("intermediate.dense"), name("output.dense"));

        let context = self.attention(weights, layer, hidden, shared)?;
        let out_weights = weights.linear(&out, hidden_size, hidden_size)?;
        let attended = self.linear(&out, (&context, Range::Any), &out_weights, shared);
        let sum = self.graph.op("Add", &[&attended, hidden], &[]);
        let hidden = self.normalize(weights, &name("attention.output.LayerNorm"), &sum)?;

        let up_weights = weights.linear(&up, intermediate_size, hidden_size)?;
        let wide = self.linear(&up, (&hidden, Range::Any), &up_weights, shared);
        let wide = self.activate(&wide)?;
        let down_weights = weights.linear(&down, hidden_size, intermediate_size)?;
        let narrow = self.linear(&down, (&wide, Range::Activated), &down_weights, shared);
        let sum = self.graph.op("Add", &[&narrow, &hidden], &[]);
        self.normalize(weights, &name("output.LayerNorm"), &sum)
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
        let dense = weights.linear("pooler.dense", size, size)?;
        let pooled = self.linear_f32("pooler.dense", &first, &dense);
        let pooled = self.graph.op("Tanh", &[&pooled], &[]);
        let classifier = weights.head("classifier", self.config.labels(), size)?;
        Ok(self.linear_f32("classifier", &pooled, &classifier))
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
