//! BERT as its paper describes it, in the plainest way and double precision: what graphs are
//! compared with.
use super::tiny_model::{HEADS, HIDDEN, LAYERS, Tensor, TinyModel};
use std::collections::BTreeMap;

type Rows = Vec<Vec<f64>>;

/// A model's tensors and activation function.
pub struct Reference {
    tensors: BTreeMap<String, Tensor>,
    activation: fn(f64) -> f64,
}

impl Reference {
    /// The weights as they are in the model's file.
    pub fn new(model: &TinyModel) -> Self {
        let activation = match model.config["hidden_act"].as_str().unwrap() {
            "gelu" => |x: f64| 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())),
            "gelu_new" => |x: f64| {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            },
            "relu" => |x: f64| x.max(0.0),
            other => panic!("no activation {other}"),
        };
        Self { tensors: model.rounded(), activation }
    }

    /// One vector per token.
    pub fn tokens(&self, ids: &[u32], types: &[u32]) -> Rows {
        let row = |table: &str, n: usize| {
            let (_, values) = &self.tensors[&format!("embeddings.{table}_embeddings.weight")];
            values[n * HIDDEN..(n + 1) * HIDDEN].iter().map(|v| f64::from(*v)).collect::<Vec<_>>()
        };
        let sum = |position: usize| {
            let word = row("word", ids[position] as usize);
            let kind = row("token_type", types[position] as usize);
            let place = row("position", position);
            word.iter().zip(kind).zip(place).map(|((w, k), p)| w + k + p).collect()
        };
        let mut hidden: Rows = (0..ids.len()).map(sum).collect();
        self.normalize("embeddings.LayerNorm", &mut hidden);
        for layer in 0..LAYERS {
            hidden = self.layer(&format!("encoder.layer.{layer}"), &hidden);
        }
        hidden
    }

    /// The score of a pair.
    pub fn score(&self, ids: &[u32], types: &[u32]) -> f64 {
        let first = vec![self.tokens(ids, types).remove(0)];
        let mut pooled = self.linear("pooler.dense", &first);
        pooled[0].iter_mut().for_each(|v| *v = v.tanh());
        self.linear("classifier", &pooled)[0][0]
    }

    fn layer(&self, name: &str, hidden: &Rows) -> Rows {
        let context = self.attention(name, hidden);
        let mut attended = self.linear(&format!("{name}.attention.output.dense"), &context);
        add(&mut attended, hidden);
        self.normalize(&format!("{name}.attention.output.LayerNorm"), &mut attended);
        let mut wide = self.linear(&format!("{name}.intermediate.dense"), &attended);
        wide.iter_mut().flatten().for_each(|v| *v = (self.activation)(*v));
        let mut narrow = self.linear(&format!("{name}.output.dense"), &wide);
        add(&mut narrow, &attended);
        self.normalize(&format!("{name}.output.LayerNorm"), &mut narrow);
        narrow
    }

    fn attention(&self, name: &str, hidden: &Rows) -> Rows {
        let part = |part: &str| self.linear(&format!("{name}.attention.self.{part}"), hidden);
        let (query, key, value) = (part("query"), part("key"), part("value"));
        let size = HIDDEN / HEADS;
        let mut context = vec![vec![0.0; HIDDEN]; hidden.len()];
        for head in (0..HEADS).map(|h| h * size..(h + 1) * size) {
            for (q, out) in query.iter().zip(&mut context) {
                let dot = |k: &Vec<f64>| {
                    let products = q[head.clone()].iter().zip(&k[head.clone()]);
                    products.map(|(a, b)| a * b).sum::<f64>() / (size as f64).sqrt()
                };
                let weights: Vec<f64> = key.iter().map(|k| dot(k).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (weight, v) in weights.iter().zip(&value) {
                    for i in head.clone() {
                        out[i] += weight / total * v[i];
                    }
                }
            }
        }
        context
    }

    fn linear(&self, name: &str, rows: &Rows) -> Rows {
        let (shape, weight) = &self.tensors[&format!("{name}.weight")];
        let (_, bias) = &self.tensors[&format!("{name}.bias")];
        let output = |row: &[f64], o: usize| {
            let weights = &weight[o * shape[1]..(o + 1) * shape[1]];
            let products = row.iter().zip(weights).map(|(x, w)| x * f64::from(*w));
            f64::from(bias[o]) + products.sum::<f64>()
        };
        rows.iter().map(|row| (0..shape[0]).map(|o| output(row, o)).collect()).collect()
    }

    fn normalize(&self, name: &str, rows: &mut Rows) {
        let (_, scale) = &self.tensors[&format!("{name}.weight")];
        let (_, bias) = &self.tensors[&format!("{name}.bias")];
        for row in rows {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64;
            for (v, (s, b)) in row.iter_mut().zip(scale.iter().zip(bias)) {
                *v = (*v - mean) / (variance + 1e-12).sqrt() * f64::from(*s) + f64::from(*b);
            }
        }
    }
}

fn add(rows: &mut Rows, others: &Rows) {
    rows.iter_mut().flatten().zip(others.iter().flatten()).for_each(|(a, b)| *a += b);
}

/// The error function by its Maclaurin series; exact enough where activations are (|x| < 5).
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}
