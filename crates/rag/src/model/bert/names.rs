//! The tensors' names in each family.
use super::config::Family;

/// Names of a layer's parts; each follows [`Names::layer`].
pub struct Names {
    layers: &'static str,
    /// Makes queries.
    pub query: &'static str,
    /// Makes keys.
    pub key: &'static str,
    /// Makes values.
    pub value: &'static str,
    /// Takes the heads together.
    pub out: &'static str,
    /// Normalises after attention.
    pub out_norm: &'static str,
    /// Widens.
    pub up: &'static str,
    /// Narrows again.
    pub down: &'static str,
    /// Normalises after that.
    pub down_norm: &'static str,
}

const BERT: Names = Names {
    layers: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    out: "attention.output.dense",
    out_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    down_norm: "output.LayerNorm",
};

const DISTILBERT: Names = Names {
    layers: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    out: "attention.out_lin",
    out_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    down_norm: "output_layer_norm",
};

impl Names {
    /// The names of a family.
    pub fn of(family: Family) -> &'static Self {
        match family {
            Family::Bert | Family::Roberta => &BERT,
            Family::DistilBert => &DISTILBERT,
        }
    }

    /// The full name of a part of a layer.
    pub fn layer(&self, layer: usize, part: &str) -> String {
        format!("{}.{layer}.{part}", self.layers)
    }
}
