//! Linear layers in `f32` and in 8 bits.
//!
//! In 8 bits every token has a scale of its own, so a text's vector does not depend on what else is
//! in its batch; one scale for the whole batch costs as much time and triples the error (1 - cosine
//! to `f32`, MiniLM on a technical manual: 0.0018 against 0.0054). Weights are unsigned around 128:
//! processors without VNNI instructions would saturate on signed ones, and those with are as fast.
use super::{Attr, Linear, Matrix, TO_FLOAT, Tokens, Value, Writer, quantize};

/// The 8-bit zero of operands and weights.
const ZERO: u8 = 128;

/// What all 8-bit layers share.
pub(super) struct Shared {
    /// The zero point, once.
    zero: Value,
    /// The zero point, once per token.
    zeros: Value,
    /// 1.0, but unknown before a run, see [`Writer::linear_int8`].
    one: Value,
}

/// What is known of an operand's values.
#[derive(Clone, Copy)]
pub(super) enum Range {
    /// Nothing.
    Any,
    /// None is below -0.17: the activation functions' outputs. Their largest magnitude is then that
    /// of the largest value, or below 0.17; not taking magnitudes first makes the model 3 % faster.
    Activated,
}

impl Writer<'_> {
    pub(super) fn shared_int8(&mut self, tokens: &Tokens, mask: &Value) -> Shared {
        let count = self.graph.op("Size", &[&tokens.ids], &[]);
        let vector = self.graph.integers_once("vector", &[-1]);
        let count = self.graph.op("Reshape", &[&count, &vector], &[]);
        let zero = self.graph.byte("zero_point", ZERO);
        let zeros = self.graph.op("Expand", &[&zero, &count], &[]);
        let one = self.graph.op("ReduceMax", &[mask], &[Attr::Int("keepdims", 0)]);
        Shared { zero, zeros, one }
    }

    /// `value` is `[tokens, inputs]`.
    pub(super) fn linear(
        &mut self,
        name: &str,
        (value, range): (&Value, Range),
        linear: &Linear,
        shared: &super::Shared,
    ) -> Value {
        match &shared.int8 {
            Some(shared) => self.linear_int8(name, (value, range), linear, shared),
            None => self.linear_f32(name, value, linear),
        }
    }

    pub(super) fn linear_f32(&mut self, name: &str, value: &Value, linear: &Linear) -> Value {
        let weight = self.matrix(&format!("{name}.weight"), &linear.weight.transposed());
        let product = self.graph.op("MatMul", &[value, &weight], &[]);
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
        shared: &Shared,
    ) -> Value {
        let (value, token_scales) = self.quantized(operand, shared);
        let quantized = quantize::by_row(&linear.weight);
        let Matrix { rows: outputs, columns: inputs, .. } = linear.weight;
        let weight = quantized.transposed_data(ZERO);
        let weight =
            self.graph.unsigned_bytes(&format!("{name}.weight"), &[inputs, outputs], &weight);
        let scales = self.graph.floats(&format!("{name}.scales"), &[outputs], &quantized.scales);
        let zero = &shared.zero;
        let product = self.graph.op("MatMulInteger", &[&value, &weight, zero, zero], &[]);
        let product = self.graph.op("Cast", &[&product], &[TO_FLOAT]);
        let scales = self.graph.op("Mul", &[&shared.one, &scales], &[]);
        let product = self.graph.op("Mul", &[&product, &scales], &[]);
        let product = self.graph.op("Mul", &[&product, &token_scales], &[]);
        self.add_bias(name, &product, linear)
    }

    /// Each row in 8 bits by its largest magnitude, and the rows' scales as `[tokens, 1]`.
    fn quantized(&mut self, (value, range): (&Value, Range), shared: &Shared) -> (Value, Value) {
        let by_row = [Attr::Ints("axes", &[1]), Attr::Int("keepdims", 0)];
        let (largest, least) = match range {
            Range::Any => {
                let magnitude = self.graph.op("Abs", &[value], &[]);
                // A row of zeros must not be divided by zero.
                let least = self.graph.float_once("scale.least", 1e-20);
                (self.graph.op("ReduceMax", &[&magnitude], &by_row), least)
            }
            Range::Activated => {
                let least = self.graph.float_once("scale.activated", 0.17);
                (self.graph.op("ReduceMax", &[value], &by_row), least)
            }
        };
        let largest = self.graph.op("Max", &[&largest, &least], &[]);
        let step = self.graph.float_once("scale.step", 1.0 / 127.0);
        let scales = self.graph.op("Mul", &[&largest, &step], &[]);
        let by_row = [Attr::Int("axis", 0)];
        let value = self.graph.op("QuantizeLinear", &[value, &scales, &shared.zeros], &by_row);
        let axis = self.graph.integers_once("scale.axis", &[1]);
        (value, self.graph.op("Unsqueeze", &[&scales, &axis], &[]))
    }

    fn add_bias(&mut self, name: &str, value: &Value, linear: &Linear) -> Value {
        let bias = self.graph.floats(&format!("{name}.bias"), &[linear.bias.len()], &linear.bias);
        self.graph.op("Add", &[value, &bias], &[])
    }
}
