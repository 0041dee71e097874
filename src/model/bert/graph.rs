//! Writes the encoder as an ONNX graph, in `f32` or with 8-bit weights.
//!
//! Linear layers in 8 bits follow the shape that ONNX Runtime fuses into one kernel:
//! `Cast(MatMulInteger) * (activation scale * weight scales) + bias`. Attention itself stays in
//! `f32`: its operands are both computed, so quantising them costs more than it gains.
use super::config::{Config, HiddenActivation};
use super::quantize;
use super::weights::{Linear, Matrix, Weights};
use crate::Result;
use crate::model::manifest::{Kind, Precision, Signature};
use crate::model::onnx::graph::{Attr, Axis, Builder, Value};

/// The graph of an encoder: `token_embeddings`, `float [batch, sequence, hidden_size]`.
pub fn encoder(config: &Config, weights: &Weights, precision: Precision) -> Result<Vec<u8>> {
    let mut writer = Writer::new(config, precision);
    let hidden = writer.hidden_states(weights)?;
    let shape = [Axis::Named("batch"), Axis::Named("sequence"), Axis::Fixed(config.hidden_size)];
    Ok(writer.graph.finish(&hidden, &Signature::of(Kind::Embedder).output, &shape))
}

/// The graph of a cross-encoder: `scores`, `float [batch, labels]`, before any activation.
pub fn cross_encoder(config: &Config, weights: &Weights, precision: Precision) -> Result<Vec<u8>> {
    let mut writer = Writer::new(config, precision);
    let hidden = writer.hidden_states(weights)?;
    let scores = writer.classify(weights, &hidden)?;
    let shape = [Axis::Named("batch"), Axis::Fixed(config.labels())];
    Ok(writer.graph.finish(&scores, &Signature::of(Kind::Reranker).output, &shape))
}

/// What a linear layer reads: the value itself, or its 8-bit form made once for all its readers.
struct Operand {
    value: Value,
    quantized: Option<[Value; 3]>,
}

struct Writer<'a> {
    config: &'a Config,
    is_int8: bool,
    graph: Builder,
}

impl<'a> Writer<'a> {
    fn new(config: &'a Config, precision: Precision) -> Self {
        let is_int8 = precision == Precision::Int8;
        Self { config, is_int8, graph: Builder::new(config.architecture()) }
    }

    fn hidden_states(&mut self, weights: &Weights) -> Result<Value> {
        let names = Signature::of(Kind::Embedder);
        let shape = [Axis::Named("batch"), Axis::Named("sequence")];
        let ids = self.graph.input(&names.input_ids, &shape);
        let mask = self.graph.input(&names.attention_mask, &shape);
        let types = self.graph.input(names.token_type_ids.as_deref().unwrap_or_default(), &shape);
        let mut hidden = self.embeddings(weights, &ids, &types)?;
        let bias = self.attention_bias(&mask);
        for layer in 0..self.config.num_hidden_layers {
            hidden = self.layer(weights, layer, &hidden, &bias)?;
        }
        Ok(hidden)
    }

    fn embeddings(&mut self, weights: &Weights, ids: &Value, types: &Value) -> Result<Value> {
        let Config { hidden_size, vocab_size, max_position_embeddings, type_vocab_size, .. } =
            *self.config;
        let table = |name: &str, rows| {
            weights.matrix(&format!("embeddings.{name}_embeddings.weight"), rows, hidden_size)
        };
        let word = self.words(&table("word", vocab_size)?, ids);
        let positions = table("position", max_position_embeddings)?;
        let positions = self.matrix("embeddings.position", &positions);
        let kinds = table("token_type", type_vocab_size)?;
        let kinds = self.matrix("embeddings.token_type", &kinds);

        let length = self.graph.op("Shape", &[ids], &[Attr::Int("start", 1)]);
        let zero = self.graph.integers("zero", &[1], &[0]);
        let position = self.graph.op("Slice", &[&positions, &zero, &length, &zero], &[]);
        let kind = self.graph.op("Gather", &[&kinds, types], &[]);
        let sum = self.graph.op("Add", &[&word, &kind], &[]);
        let sum = self.graph.op("Add", &[&sum, &position], &[]);
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

    /// 0 where a token is, the lowest number where padding is, as `[batch, 1, 1, sequence]`.
    fn attention_bias(&mut self, mask: &Value) -> Value {
        let mask = self.graph.op("Cast", &[mask], &[TO_FLOAT]);
        let axes = self.graph.integers("mask.axes", &[2], &[1, 2]);
        let mask = self.graph.op("Unsqueeze", &[&mask, &axes], &[]);
        let one = self.graph.floats("mask.one", &[], &[1.0]);
        let lowest = self.graph.floats("mask.lowest", &[], &[f32::MIN]);
        let padding = self.graph.op("Sub", &[&one, &mask], &[]);
        self.graph.op("Mul", &[&padding, &lowest], &[])
    }

    fn layer(
        &mut self,
        weights: &Weights,
        layer: usize,
        hidden: &Value,
        bias: &Value,
    ) -> Result<Value> {
        let Config { hidden_size, intermediate_size, .. } = *self.config;
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");

        let context = self.attention(weights, layer, hidden, bias)?;
        let context = self.operand(context);
        let dense = name("attention.output.dense");
        let dense_weights = weights.linear(&dense, hidden_size, hidden_size)?;
        let attended = self.linear(&dense, &context, &dense_weights);
        let sum = self.graph.op("Add", &[&attended, hidden], &[]);
        let hidden = self.normalize(weights, &name("attention.output.LayerNorm"), &sum)?;

        let operand = self.operand(hidden);
        let up = name("intermediate.dense");
        let up_weights = weights.linear(&up, intermediate_size, hidden_size)?;
        let wide = self.linear(&up, &operand, &up_weights);
        let wide = self.activate(&wide)?;
        let wide = self.operand(wide);
        let down = name("output.dense");
        let down_weights = weights.linear(&down, hidden_size, intermediate_size)?;
        let narrow = self.linear(&down, &wide, &down_weights);
        let sum = self.graph.op("Add", &[&narrow, &operand.value], &[]);
        self.normalize(weights, &name("output.LayerNorm"), &sum)
    }

    /// Attention over all heads: `[batch, sequence, hidden_size]` to the same shape.
    fn attention(
        &mut self,
        weights: &Weights,
        layer: usize,
        hidden: &Value,
        bias: &Value,
    ) -> Result<Value> {
        let hidden_size = self.config.hidden_size;
        let name = format!("encoder.layer.{layer}.attention.self");
        let part = |part| weights.linear(&format!("{name}.{part}"), hidden_size, hidden_size);
        let all = stacked(&scaled(part("query")?, self.config), &part("key")?, &part("value")?);

        let operand = self.operand(hidden.clone());
        let all = self.linear(&name, &operand, &all);
        let mut parts = self.graph.ops("Split", &[&all], &[Attr::Int("axis", -1)], 3).into_iter();
        let mut heads = |writer: &mut Self, order: &[i64]| {
            let part = parts.next().expect("split in three");
            let shape = writer.heads_shape();
            let part = writer.graph.op("Reshape", &[&part, &shape], &[]);
            writer.graph.op("Transpose", &[&part], &[Attr::Ints("perm", order)])
        };
        let query = heads(self, &[0, 2, 1, 3]);
        let key = heads(self, &[0, 2, 3, 1]);
        let value = heads(self, &[0, 2, 1, 3]);

        let scores = self.graph.op("MatMul", &[&query, &key], &[]);
        let scores = self.graph.op("Add", &[&scores, bias], &[]);
        let shares = self.graph.op("Softmax", &[&scores], &[Attr::Int("axis", -1)]);
        let context = self.graph.op("MatMul", &[&shares, &value], &[]);
        let context = self.graph.op("Transpose", &[&context], &[Attr::Ints("perm", &[0, 2, 1, 3])]);
        let flat = self.graph.integers_once("flat", &[0, 0, hidden_size as i64]);
        Ok(self.graph.op("Reshape", &[&context, &flat], &[]))
    }

    fn heads_shape(&mut self) -> Value {
        let heads = self.config.num_attention_heads as i64;
        self.graph.integers_once("heads", &[0, 0, heads, self.config.head_size() as i64])
    }

    fn activate(&mut self, value: &Value) -> Result<Value> {
        Ok(match self.config.activation()? {
            HiddenActivation::Relu => self.graph.op("Relu", &[value], &[]),
            HiddenActivation::Gelu => self.gelu(value),
            HiddenActivation::GeluTanh => self.gelu_tanh(value),
        })
    }

    fn gelu(&mut self, value: &Value) -> Value {
        let root = self.graph.float_once("gelu.root", std::f32::consts::SQRT_2);
        let one = self.graph.float_once("gelu.one", 1.0);
        let half = self.graph.float_once("gelu.half", 0.5);
        let x = self.graph.op("Div", &[value, &root], &[]);
        let x = self.graph.op("Erf", &[&x], &[]);
        let x = self.graph.op("Add", &[&x, &one], &[]);
        let x = self.graph.op("Mul", &[value, &x], &[]);
        self.graph.op("Mul", &[&x, &half], &[])
    }

    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    fn gelu_tanh(&mut self, value: &Value) -> Value {
        let root = (2.0 / std::f64::consts::PI).sqrt() as f32;
        let root = self.graph.float_once("gelu.root", root);
        let cubic = self.graph.float_once("gelu.cubic", 0.044_715);
        let three = self.graph.float_once("gelu.three", 3.0);
        let one = self.graph.float_once("gelu.one", 1.0);
        let half = self.graph.float_once("gelu.half", 0.5);
        let x = self.graph.op("Pow", &[value, &three], &[]);
        let x = self.graph.op("Mul", &[&cubic, &x], &[]);
        let x = self.graph.op("Add", &[value, &x], &[]);
        let x = self.graph.op("Mul", &[&root, &x], &[]);
        let x = self.graph.op("Tanh", &[&x], &[]);
        let x = self.graph.op("Add", &[&one, &x], &[]);
        let y = self.graph.op("Mul", &[&half, value], &[]);
        self.graph.op("Mul", &[&y, &x], &[])
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

    fn classify(&mut self, weights: &Weights, hidden: &Value) -> Result<Value> {
        let size = self.config.hidden_size;
        let first = self.graph.integers("first", &[], &[0]);
        let first = self.graph.op("Gather", &[hidden, &first], &[Attr::Int("axis", 1)]);
        let dense = weights.linear("pooler.dense", size, size)?;
        let pooled = self.linear_f32("pooler.dense", &first, &dense);
        let pooled = self.graph.op("Tanh", &[&pooled], &[]);
        let classifier = weights.head("classifier", self.config.labels(), size)?;
        Ok(self.linear_f32("classifier", &pooled, &classifier))
    }

    fn operand(&mut self, value: Value) -> Operand {
        let quantized = self.is_int8.then(|| {
            let mut parts = self.graph.ops("DynamicQuantizeLinear", &[&value], &[], 3).into_iter();
            std::array::from_fn(|_| parts.next().expect("three outputs"))
        });
        Operand { value, quantized }
    }

    fn linear(&mut self, name: &str, operand: &Operand, linear: &Linear) -> Value {
        match &operand.quantized {
            Some(quantized) => self.linear_int8(name, quantized, linear),
            None => self.linear_f32(name, &operand.value, linear),
        }
    }

    fn linear_f32(&mut self, name: &str, value: &Value, linear: &Linear) -> Value {
        let weight = self.matrix(&format!("{name}.weight"), &linear.weight.transposed());
        let product = self.graph.op("MatMul", &[value, &weight], &[]);
        self.add_bias(name, &product, linear)
    }

    fn linear_int8(&mut self, name: &str, operand: &[Value; 3], linear: &Linear) -> Value {
        let [value, scale, zero_point] = operand;
        let quantized = quantize::by_row(&linear.weight);
        let Matrix { rows: outputs, columns: inputs, .. } = linear.weight;
        let weight = format!("{name}.weight");
        let weight = self.graph.bytes(&weight, &[inputs, outputs], &quantized.transposed_data());
        let scales = self.graph.floats(&format!("{name}.scales"), &[outputs], &quantized.scales);
        let product = self.graph.op("MatMulInteger", &[value, &weight, zero_point], &[]);
        let product = self.graph.op("Cast", &[&product], &[TO_FLOAT]);
        let scale = self.graph.op("Mul", &[scale, &scales], &[]);
        let product = self.graph.op("Mul", &[&product, &scale], &[]);
        self.add_bias(name, &product, linear)
    }

    fn add_bias(&mut self, name: &str, value: &Value, linear: &Linear) -> Value {
        let bias = self.graph.floats(&format!("{name}.bias"), &[linear.bias.len()], &linear.bias);
        self.graph.op("Add", &[value, &bias], &[])
    }

    fn matrix(&mut self, name: &str, matrix: &Matrix) -> Value {
        self.graph.floats(name, &[matrix.rows, matrix.columns], &matrix.data)
    }
}

const TO_FLOAT: Attr = Attr::Int("to", crate::model::onnx::proto::data_type::FLOAT as i64);

/// Queries divided by √(head size) here, so that the graph need not divide scores.
fn scaled(mut query: Linear, config: &Config) -> Linear {
    let factor = 1.0 / (config.head_size() as f32).sqrt();
    query.weight.data.iter_mut().chain(&mut query.bias).for_each(|v| *v *= factor);
    query
}

/// Query, key and value as one matrix product: the input is quantised and read once.
fn stacked(query: &Linear, key: &Linear, value: &Linear) -> Linear {
    let parts = [query, key, value];
    let data = parts.iter().flat_map(|p| p.weight.data.iter().copied()).collect();
    let rows = parts.iter().map(|p| p.weight.rows).sum();
    let bias = parts.iter().flat_map(|p| p.bias.iter().copied()).collect();
    Linear { weight: Matrix { rows, columns: query.weight.columns, data }, bias }
}
