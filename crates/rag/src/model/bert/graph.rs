//! Writes the encoder as an ONNX graph, in `f32` or with 8-bit weights.
//!
//! Inside, all tokens of a batch lie in one matrix `[batch * sequence, hidden_size]`; only attention
//! sees texts apart.

use super::config::{Config, Family, HiddenActivation};
use super::names::Names;
use super::quantize;
use super::weights::{Linear, Matrix, Weights};
use crate::Result;
use crate::model::manifest::{ModelKind, Precision, Signature};
use crate::model::onnx::graph::{Attr, Axis, GraphBuilder, Value};
use crate::model::onnx::proto::data_type;

/// The graph of an encoder: `token_embeddings`, `float [batch, sequence, hidden_size]`.
pub fn encoder(config: &Config, weights: &Weights, precision: Precision) -> Result<Vec<u8>> {
    let (mut writer, tokens) = GraphWriter::new(config, precision)?;
    let hidden = writer.hidden_states(weights, &tokens)?;
    let shape = writer.token_shape(&tokens.ids, &[config.hidden_size]);
    let output = writer.graph.node("Reshape", &[&hidden, &shape], &[]);
    let shape = [Axis::Named("batch"), Axis::Named("sequence"), Axis::Fixed(config.hidden_size)];
    Ok(writer.graph.finish(&output, &Signature::of(ModelKind::Embedder).output, &shape))
}

/// The graph of a cross-encoder: `scores`, `float [batch, labels]`, before any activation.
pub fn cross_encoder(config: &Config, weights: &Weights, precision: Precision) -> Result<Vec<u8>> {
    let (mut writer, tokens) = GraphWriter::new(config, precision)?;
    let hidden = writer.hidden_states(weights, &tokens)?;
    let scores = writer.classify(weights, &tokens, &hidden)?;
    let shape = [Axis::Named("batch"), Axis::Fixed(config.labels())];
    Ok(writer.graph.finish(&scores, &Signature::of(ModelKind::Reranker).output, &shape))
}

/// How a graph written here is fed.
pub fn signature(config: &Config, kind: ModelKind) -> Result<Signature> {
    let mut signature = Signature::of(kind);
    if !config.has_types()? {
        signature.token_type_ids = None;
    }
    Ok(signature)
}

const TO_FLOAT: Attr = Attr::Int("to", data_type::FLOAT as i64);

/// The graph's inputs, each `int64 [batch, sequence]`.
struct GraphInputs {
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
    int8: Option<Int8Shared>,
}

struct GraphWriter<'a> {
    config: &'a Config,
    names: &'static Names,
    is_int8: bool,
    graph: GraphBuilder,
}

impl<'a> GraphWriter<'a> {
    fn new(config: &'a Config, precision: Precision) -> Result<(Self, GraphInputs)> {
        let mut graph = GraphBuilder::new(config.architecture());
        let signature = signature(config, ModelKind::Embedder)?;
        let shape = [Axis::Named("batch"), Axis::Named("sequence")];
        let tokens = GraphInputs {
            ids: graph.input(&signature.input_ids, &shape),
            mask: graph.input(&signature.attention_mask, &shape),
            types: signature.token_type_ids.map(|name| graph.input(&name, &shape)),
        };
        let is_int8 = precision == Precision::Int8;
        Ok((Self { config, names: Names::of(config.family()?), is_int8, graph }, tokens))
    }

    fn hidden_states(&mut self, weights: &Weights, tokens: &GraphInputs) -> Result<Value> {
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
        let sum = self.graph.node("Add", &[&attended, hidden], &[]);
        let hidden = self.normalize(weights, &name(names.out_norm), &sum)?;

        let up_weights = weights.linear(&up, intermediate_size, hidden_size)?;
        let wide = self.linear(&up, (&hidden, Range::Any), &up_weights, shared);
        let wide = self.activate(&wide)?;
        let down_weights = weights.linear(&down, hidden_size, intermediate_size)?;
        let narrow = self.linear(&down, (&wide, Range::Activated), &down_weights, shared);
        let sum = self.graph.node("Add", &[&narrow, &hidden], &[]);
        self.normalize(weights, &name(names.down_norm), &sum)
    }

    fn shared(&mut self, tokens: &GraphInputs) -> Shared {
        let mask = self.graph.node("Cast", &[&tokens.mask], &[TO_FLOAT]);
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
        let scale = self.graph.float_constant(
            &format!("{name}.weight"),
            &[size],
            &either("weight", "gamma")?,
        );
        let bias =
            self.graph.float_constant(&format!("{name}.bias"), &[size], &either("bias", "beta")?);
        let attributes =
            [Attr::Int("axis", -1), Attr::Float("epsilon", self.config.layer_norm_eps)];
        Ok(self.graph.node("LayerNormalization", &[value, &scale, &bias], &attributes))
    }

    fn classify(
        &mut self,
        weights: &Weights,
        tokens: &GraphInputs,
        hidden: &Value,
    ) -> Result<Value> {
        let size = self.config.hidden_size;
        let shape = self.token_shape(&tokens.ids, &[size]);
        let hidden = self.graph.node("Reshape", &[hidden, &shape], &[]);
        let first = self.graph.int64_constant("first", &[], &[0]);
        let first = self.graph.node("Gather", &[&hidden, &first], &[Attr::Int("axis", 1)]);
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
        let pooled = self.graph.node("Tanh", &[&pooled], &[]);
        Ok(self.linear_f32("classifier", &pooled, &out))
    }

    /// `[batch, sequence, tail...]`, as a shape for `Reshape`.
    fn token_shape(&mut self, ids: &Value, tail: &[usize]) -> Value {
        let shape = self.graph.node("Shape", &[ids], &[]);
        let tail: Vec<_> = tail.iter().map(|&n| n as i64).collect();
        let name = format!("tail{tail:?}");
        let tail = self.graph.shared_int64(&name, &tail);
        self.graph.node("Concat", &[&shape, &tail], &[Attr::Int("axis", 0)])
    }

    /// Any shape as `[tokens, hidden_size]`.
    fn flat(&mut self, value: &Value) -> Value {
        let shape = self.graph.shared_int64("flat", &[-1, self.config.hidden_size as i64]);
        self.graph.node("Reshape", &[value, &shape], &[])
    }

    fn matrix(&mut self, name: &str, matrix: &Matrix) -> Value {
        self.graph.float_constant(name, &[matrix.rows, matrix.columns], &matrix.data)
    }
}

// The sum that enters the first layer: word, token type, position.

impl GraphWriter<'_> {
    /// `[tokens, hidden_size]`.
    fn embeddings(&mut self, weights: &Weights, tokens: &GraphInputs) -> Result<Value> {
        let Config { hidden_size, vocab_size, type_vocab_size, .. } = *self.config;
        let word = self.words(&table(weights, "word", vocab_size, hidden_size)?, &tokens.ids);
        let sum = match &tokens.types {
            None => word,
            Some(types) => {
                let rows = table(weights, "token_type", type_vocab_size, hidden_size)?;
                let rows = self.matrix("embeddings.token_type", &rows);
                let kind = self.graph.node("Gather", &[&rows, types], &[]);
                self.graph.node("Add", &[&word, &kind], &[])
            }
        };
        let positions = self.positions(weights)?;
        let positions = self.matrix("embeddings.position", &positions);
        let length = self.graph.node("Shape", &[&tokens.ids], &[Attr::Int("start", 1)]);
        let zero = self.graph.shared_int64("zero", &[0]);
        let position = self.graph.node("Slice", &[&positions, &zero, &length, &zero], &[]);
        let sum = self.graph.node("Add", &[&sum, &position], &[]);
        let sum = self.flat(&sum);
        self.normalize(weights, "embeddings.LayerNorm", &sum)
    }

    /// The position table from the first token's row on. Texts are padded at their end, so a token's
    /// row is its place. Where there is one token type only, its row is added here once.
    fn positions(&self, weights: &Weights) -> Result<Matrix> {
        let Config { hidden_size, max_position_embeddings, .. } = *self.config;
        let mut positions = table(weights, "position", max_position_embeddings, hidden_size)?;
        positions.data.drain(..self.config.first_position()? * hidden_size);
        positions.rows = self.config.positions()?;
        if !self.config.has_types()? && weights.has("embeddings.token_type_embeddings.weight") {
            let kind = table(weights, "token_type", self.config.type_vocab_size, hidden_size)?;
            for row in positions.data.chunks_exact_mut(hidden_size) {
                row.iter_mut().zip(&kind.data).for_each(|(value, add)| *value += add);
            }
        }
        Ok(positions)
    }

    /// The words' rows; half of a small model's weights are here, so they are 8 bits, too.
    fn words(&mut self, table: &Matrix, ids: &Value) -> Value {
        if !self.is_int8 {
            let table = self.matrix("embeddings.word", table);
            return self.graph.node("Gather", &[&table, ids], &[]);
        }
        let quantized = quantize::by_row(table);
        let dims = [table.rows, table.columns];
        let rows = self.graph.int8_constant("embeddings.word", &dims, &quantized.data);
        let scales = self.graph.float_constant(
            "embeddings.word.scales",
            &[table.rows, 1],
            &quantized.scales,
        );
        let row = self.graph.node("Gather", &[&rows, ids], &[]);
        let row = self.graph.node("Cast", &[&row], &[TO_FLOAT]);
        let scale = self.graph.node("Gather", &[&scales, ids], &[]);
        self.graph.node("Mul", &[&row, &scale], &[])
    }
}

fn table(weights: &Weights, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
    weights.matrix(&format!("embeddings.{name}_embeddings.weight"), rows, columns)
}

// Self-attention. It stays in `f32` between its linear layers: both operands of its products are
// computed, so quantising them costs more than it gains.
//
// Padding is masked inside the product of queries and keys: a query has one more component, always
// 1, and a key has there 0 for a token and a very low number for padding. Adding a mask to the
// scores would be one more pass over the largest intermediate result.

/// The score of padding: below that of any token, its exponential is 0.
const MASKED_SCORE: f32 = -1e9;

impl GraphWriter<'_> {
    /// Attention over all heads: `[tokens, hidden_size]` to the same shape.
    fn attention(
        &mut self,
        weights: &Weights,
        layer: usize,
        hidden: &Value,
        shared: &Shared,
    ) -> Result<Value> {
        let all = self.query_key_value(weights, layer)?;
        let name = format!("encoder.layer.{layer}.attention.self");
        // One product for the three: their input is quantised and read once.
        let all = self.linear(&name, (hidden, Range::Any), &all, shared);
        let size = self.config.hidden_size as i64;
        let query_size = size + self.config.num_attention_heads as i64;
        let sizes = self.graph.shared_int64("query_key_value", &[query_size, size, size]);
        let [query, key, value] =
            self.graph.node_with_outputs("Split", &[&all, &sizes], &[Attr::Int("axis", 1)]);

        let query = self.heads(&query, &shared.query_heads, [0, 2, 1, 3]);
        let key = self.heads(&key, &shared.heads, [0, 2, 3, 1]);
        let value = self.heads(&value, &shared.heads, [0, 2, 1, 3]);
        let key = self.graph.node("Concat", &[&key, &shared.padding], &[Attr::Int("axis", 2)]);
        let scores = self.graph.node("MatMul", &[&query, &key], &[]);
        let portions = self.graph.node("Softmax", &[&scores], &[Attr::Int("axis", -1)]);
        let context = self.graph.node("MatMul", &[&portions, &value], &[]);
        let order = [Attr::Ints("perm", &[0, 2, 1, 3])];
        let context = self.graph.node("Transpose", &[&context], &order);
        Ok(self.flat(&context))
    }

    /// The last row of the keys, `[batch, heads, 1, sequence]`.
    fn padding(&mut self, mask: &Value) -> Value {
        let axes = self.graph.shared_int64("padding.axes", &[1, 2]);
        let mask = self.graph.node("Unsqueeze", &[mask, &axes], &[]);
        let one = self.graph.shared_float("one", 1.0);
        let lowest = self.graph.shared_float("padding.lowest", MASKED_SCORE);
        let padding = self.graph.node("Sub", &[&one, &mask], &[]);
        let padding = self.graph.node("Mul", &[&padding, &lowest], &[]);
        let heads = [1, self.config.num_attention_heads as i64, 1, 1];
        let heads = self.graph.shared_int64("padding.heads", &heads);
        self.graph.node("Expand", &[&padding, &heads], &[])
    }

    fn heads(&mut self, value: &Value, shape: &Value, order: [i64; 4]) -> Value {
        let value = self.graph.node("Reshape", &[value, shape], &[]);
        self.graph.node("Transpose", &[&value], &[Attr::Ints("perm", &order)])
    }

    /// Query, key and value as one layer, query with its additional component in each head.
    fn query_key_value(&self, weights: &Weights, layer: usize) -> Result<Linear> {
        let size = self.config.hidden_size;
        let names = self.names;
        let part = |part| weights.linear(&names.layer(layer, part), size, size);
        let query = self.with_ones(&part(names.query)?);
        let parts = [query, part(names.key)?, part(names.value)?];
        let rows = parts.iter().map(|p| p.weight.rows).sum();
        let data = parts.iter().flat_map(|p| p.weight.data.iter().copied()).collect();
        let bias = parts.iter().flat_map(|p| p.bias.iter().copied()).collect();
        Ok(Linear { weight: Matrix { rows, columns: size, data }, bias })
    }

    /// Queries divided by √(head size), so that the graph need not divide scores, and a component
    /// that is always 1 at each head's end.
    fn with_ones(&self, query: &Linear) -> Linear {
        let head_size = self.config.head_size();
        let columns = query.weight.columns;
        let factor = 1.0 / (head_size as f32).sqrt();
        let (mut data, mut bias) = (Vec::new(), Vec::new());
        let heads = query.weight.data.chunks_exact(head_size * columns);
        for (rows, values) in heads.zip(query.bias.chunks_exact(head_size)) {
            data.extend(rows.iter().map(|v| v * factor));
            data.extend(std::iter::repeat_n(0.0, columns));
            bias.extend(values.iter().map(|v| v * factor));
            bias.push(1.0);
        }
        Linear { weight: Matrix { rows: bias.len(), columns, data }, bias }
    }
}

// Linear layers in `f32` and in 8 bits.
//
// In 8 bits every token has a scale of its own, so a text's vector does not depend on what else is
// in its batch; one scale for the whole batch costs as much time and triples the error (1 - cosine
// to `f32`, MiniLM on a technical manual: 0.0018 against 0.0054). Weights are unsigned around 128:
// processors without VNNI instructions would saturate on signed ones, and those with are as fast.

/// The 8-bit zero of operands and weights.
const UINT8_ZERO_POINT: u8 = 128;

/// Values that all 8-bit layers share.
struct Int8Shared {
    /// The zero point, once.
    zero: Value,
    /// The zero point, once per token.
    zeros: Value,
    /// 1.0, but unknown before a run, see [`GraphWriter::linear_int8`].
    one: Value,
}

/// Bounds of an operand's values.
#[derive(Clone, Copy)]
enum Range {
    /// Nothing.
    Any,
    /// None is below -0.17: the activation functions' outputs. Their largest magnitude is then that
    /// of the largest value, or below 0.17; not taking magnitudes first makes the model 3 % faster.
    Activated,
}

impl GraphWriter<'_> {
    fn shared_int8(&mut self, tokens: &GraphInputs, mask: &Value) -> Int8Shared {
        let count = self.graph.node("Size", &[&tokens.ids], &[]);
        let vector = self.graph.shared_int64("vector", &[-1]);
        let count = self.graph.node("Reshape", &[&count, &vector], &[]);
        let zero = self.graph.uint8_scalar("zero_point", UINT8_ZERO_POINT);
        let zeros = self.graph.node("Expand", &[&zero, &count], &[]);
        let one = self.graph.node("ReduceMax", &[mask], &[Attr::Int("keepdims", 0)]);
        Int8Shared { zero, zeros, one }
    }

    /// `value` is `[tokens, inputs]`.
    fn linear(
        &mut self,
        name: &str,
        (value, range): (&Value, Range),
        linear: &Linear,
        shared: &Shared,
    ) -> Value {
        match &shared.int8 {
            Some(shared) => self.linear_int8(name, (value, range), linear, shared),
            None => self.linear_f32(name, value, linear),
        }
    }

    fn linear_f32(&mut self, name: &str, value: &Value, linear: &Linear) -> Value {
        let weight = self.matrix(&format!("{name}.weight"), &linear.weight.transposed());
        let product = self.graph.node("MatMul", &[value, &weight], &[]);
        self.add_bias(name, &product, linear)
    }

    /// `Cast(MatMulInteger) * (scale * weight scales)` is what ONNX Runtime turns into one kernel.
    /// It does so only if the left scale is computed, and takes no vector there: hence a 1 that it
    /// cannot know before, and the tokens' scales in a product of their own.
    fn linear_int8(
        &mut self,
        name: &str,
        operand: (&Value, Range),
        linear: &Linear,
        shared: &Int8Shared,
    ) -> Value {
        let (value, token_scales) = self.quantized(operand, shared);
        let quantized = quantize::by_row(&linear.weight);
        let Matrix { rows: outputs, columns: inputs, .. } = linear.weight;
        let weight = quantized.transposed_data(UINT8_ZERO_POINT);
        let weight =
            self.graph.uint8_constant(&format!("{name}.weight"), &[inputs, outputs], &weight);
        let scales =
            self.graph.float_constant(&format!("{name}.scales"), &[outputs], &quantized.scales);
        let zero = &shared.zero;
        let product = self.graph.node("MatMulInteger", &[&value, &weight, zero, zero], &[]);
        let product = self.graph.node("Cast", &[&product], &[TO_FLOAT]);
        let scales = self.graph.node("Mul", &[&shared.one, &scales], &[]);
        let product = self.graph.node("Mul", &[&product, &scales], &[]);
        let product = self.graph.node("Mul", &[&product, &token_scales], &[]);
        self.add_bias(name, &product, linear)
    }

    /// Each row in 8 bits by its largest magnitude, and the rows' scales as `[tokens, 1]`.
    fn quantized(
        &mut self,
        (value, range): (&Value, Range),
        shared: &Int8Shared,
    ) -> (Value, Value) {
        let by_row = [Attr::Ints("axes", &[1]), Attr::Int("keepdims", 0)];
        let (largest, least) = match range {
            Range::Any => {
                let magnitude = self.graph.node("Abs", &[value], &[]);
                // A row of zeros must not be divided by zero.
                let least = self.graph.shared_float("scale.least", 1e-20);
                (self.graph.node("ReduceMax", &[&magnitude], &by_row), least)
            }
            Range::Activated => {
                let least = self.graph.shared_float("scale.activated", 0.17);
                (self.graph.node("ReduceMax", &[value], &by_row), least)
            }
        };
        let largest = self.graph.node("Max", &[&largest, &least], &[]);
        let step = self.graph.shared_float("scale.step", 1.0 / 127.0);
        let scales = self.graph.node("Mul", &[&largest, &step], &[]);
        let by_row = [Attr::Int("axis", 0)];
        let value = self.graph.node("QuantizeLinear", &[value, &scales, &shared.zeros], &by_row);
        let axis = self.graph.shared_int64("scale.axis", &[1]);
        (value, self.graph.node("Unsqueeze", &[&scales, &axis], &[]))
    }

    fn add_bias(&mut self, name: &str, value: &Value, linear: &Linear) -> Value {
        let bias =
            self.graph.float_constant(&format!("{name}.bias"), &[linear.bias.len()], &linear.bias);
        self.graph.node("Add", &[value, &bias], &[])
    }
}

// The activation function of the feed-forward blocks.

impl GraphWriter<'_> {
    fn activate(&mut self, value: &Value) -> Result<Value> {
        Ok(match self.config.activation()? {
            HiddenActivation::Relu => self.graph.node("Relu", &[value], &[]),
            // In 8 bits the approximation is off by at most 0.0005, far less than the step of the
            // quantisation that follows, and makes the whole model 4 % faster.
            HiddenActivation::Gelu if !self.is_int8 => self.gelu(value),
            HiddenActivation::Gelu | HiddenActivation::GeluTanh => self.gelu_tanh(value),
        })
    }

    /// `x/2 (1 + erf(x/√2))`.
    fn gelu(&mut self, value: &Value) -> Value {
        let root = self.graph.shared_float("gelu.root", std::f32::consts::SQRT_2);
        let one = self.graph.shared_float("one", 1.0);
        let half = self.graph.shared_float("gelu.half", 0.5);
        let x = self.graph.node("Div", &[value, &root], &[]);
        let x = self.graph.node("Erf", &[&x], &[]);
        let x = self.graph.node("Add", &[&x, &one], &[]);
        let x = self.graph.node("Mul", &[value, &x], &[]);
        self.graph.node("Mul", &[&x, &half], &[])
    }

    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    fn gelu_tanh(&mut self, value: &Value) -> Value {
        let root = (2.0 / std::f64::consts::PI).sqrt() as f32;
        let root = self.graph.shared_float("gelu.root", root);
        let cubic = self.graph.shared_float("gelu.cubic", 0.044_715);
        let three = self.graph.shared_float("gelu.three", 3.0);
        let one = self.graph.shared_float("one", 1.0);
        let half = self.graph.shared_float("gelu.half", 0.5);
        let x = self.graph.node("Pow", &[value, &three], &[]);
        let x = self.graph.node("Mul", &[&cubic, &x], &[]);
        let x = self.graph.node("Add", &[value, &x], &[]);
        let x = self.graph.node("Mul", &[&root, &x], &[]);
        let x = self.graph.node("Tanh", &[&x], &[]);
        let x = self.graph.node("Add", &[&one, &x], &[]);
        let y = self.graph.node("Mul", &[&half, value], &[]);
        self.graph.node("Mul", &[&y, &x], &[])
    }
}
