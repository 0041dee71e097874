//! Self-attention. It stays in `f32` between its linear layers: both operands of its products are
//! computed, so quantising them costs more than it gains.
//!
//! Padding is masked inside the product of queries and keys: a query has one more component, always
//! 1, and a key has there 0 for a token and a very low number for padding. Adding a mask to the
//! scores would be one more pass over the largest intermediate result.
use super::{Attr, Linear, Matrix, Range, Shared, Value, Weights, Writer};
use crate::Result;

/// No score of a token comes near; its exponential is 0.
const LOWEST: f32 = -1e9;

impl Writer<'_> {
    /// Attention over all heads: `[tokens, hidden_size]` to the same shape.
    pub(super) fn attention(
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
        let sizes = self.graph.integers_once("query_key_value", &[query_size, size, size]);
        let [query, key, value] = self.graph.ops("Split", &[&all, &sizes], &[Attr::Int("axis", 1)]);

        let query = self.heads(&query, &shared.query_heads, [0, 2, 1, 3]);
        let key = self.heads(&key, &shared.heads, [0, 2, 3, 1]);
        let value = self.heads(&value, &shared.heads, [0, 2, 1, 3]);
        let key = self.graph.op("Concat", &[&key, &shared.padding], &[Attr::Int("axis", 2)]);
        let scores = self.graph.op("MatMul", &[&query, &key], &[]);
        let portions = self.graph.op("Softmax", &[&scores], &[Attr::Int("axis", -1)]);
        let context = self.graph.op("MatMul", &[&portions, &value], &[]);
        let order = [Attr::Ints("perm", &[0, 2, 1, 3])];
        let context = self.graph.op("Transpose", &[&context], &order);
        Ok(self.flat(&context))
    }

    /// The last row of the keys, `[batch, heads, 1, sequence]`.
    pub(super) fn padding(&mut self, mask: &Value) -> Value {
        let axes = self.graph.integers_once("padding.axes", &[1, 2]);
        let mask = self.graph.op("Unsqueeze", &[mask, &axes], &[]);
        let one = self.graph.float_once("one", 1.0);
        let lowest = self.graph.float_once("padding.lowest", LOWEST);
        let padding = self.graph.op("Sub", &[&one, &mask], &[]);
        let padding = self.graph.op("Mul", &[&padding, &lowest], &[]);
        let heads = [1, self.config.num_attention_heads as i64, 1, 1];
        let heads = self.graph.integers_once("padding.heads", &heads);
        self.graph.op("Expand", &[&padding, &heads], &[])
    }

    fn heads(&mut self, value: &Value, shape: &Value, order: [i64; 4]) -> Value {
        let value = self.graph.op("Reshape", &[value, shape], &[]);
        self.graph.op("Transpose", &[&value], &[Attr::Ints("perm", &order)])
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
