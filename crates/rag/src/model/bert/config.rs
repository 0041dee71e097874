//! `config.json` of the BERT family, and what of it can be run.
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The fields of `config.json` that shape the graph.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The class that the weights were saved from, for example `["BertModel"]`.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// The family, `bert`.
    #[serde(default)]
    pub model_type: String,
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// Length of a token's vector.
    #[serde(alias = "dim")]
    pub hidden_size: usize,
    /// Encoder layers.
    #[serde(alias = "n_layers")]
    pub num_hidden_layers: usize,
    /// Heads of the attention.
    #[serde(alias = "n_heads")]
    pub num_attention_heads: usize,
    /// Width of the feed-forward part.
    #[serde(alias = "hidden_dim")]
    pub intermediate_size: usize,
    /// Its activation function.
    #[serde(default = "gelu", alias = "activation")]
    pub hidden_act: String,
    /// Added to the variance in layer normalisation.
    #[serde(default = "bert_epsilon")]
    pub layer_norm_eps: f32,
    /// Rows of the position embeddings.
    pub max_position_embeddings: usize,
    /// Rows of the token type embeddings.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// The padding's word; RoBERTa starts counting positions after it.
    #[serde(default)]
    pub pad_token_id: Option<usize>,
    /// How positions enter.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
    /// Whether the model only looks back.
    #[serde(default)]
    pub is_decoder: bool,
    /// Labels of a classifier.
    #[serde(default)]
    pub id2label: Option<BTreeMap<String, String>>,
    /// Their number, where the file says only that.
    #[serde(default)]
    pub num_labels: Option<usize>,
}

fn gelu() -> String {
    "gelu".into()
}
fn absolute() -> String {
    "absolute".into()
}
fn bert_epsilon() -> f32 {
    1e-12
}
fn two() -> usize {
    2
}

/// Encoders that compute the same and differ in names and in where positions begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// BERT.
    Bert,
    /// RoBERTa, XLM-RoBERTa and CamemBERT: positions are counted from after the padding's.
    Roberta,
    /// DistilBERT: no token types.
    DistilBert,
}

/// Model types and the architectures each can be imported from: encoders saved with a head for
/// training are read without it; other heads change what a token's vector is for.
const KNOWN: [(&str, Family, &[&str]); 5] = [
    (
        "bert",
        Family::Bert,
        &["BertModel", "BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification"],
    ),
    ("roberta", Family::Roberta, &["RobertaModel", "RobertaForMaskedLM", ROBERTA_CLASSIFIER]),
    ("xlm-roberta", Family::Roberta, &["XLMRobertaModel", "XLMRobertaForMaskedLM", XLM_CLASSIFIER]),
    ("camembert", Family::Roberta, &["CamembertModel", "CamembertForMaskedLM"]),
    ("distilbert", Family::DistilBert, &["DistilBertModel", "DistilBertForMaskedLM"]),
];
const ROBERTA_CLASSIFIER: &str = "RobertaForSequenceClassification";
const XLM_CLASSIFIER: &str = "XLMRobertaForSequenceClassification";

/// The activation function between the two halves of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenActivation {
    /// `x/2 (1 + erf(x/√2))`.
    Gelu,
    /// Its approximation by `tanh`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

impl Config {
    /// Reads `config.json` and refuses what the graph writer does not know.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let config: Self = serde_json::from_slice(bytes).map_err(|e| {
            Error::unsupported("config.json does not describe a BERT model")
                .with_detail(e.to_string())
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        self.family()?;
        if self.is_decoder {
            return Err(Error::unsupported("decoders cannot be imported"));
        }
        if self.position_embedding_type != "absolute" {
            return Err(Error::unsupported(format!(
                "position embeddings of type \"{}\" cannot be imported",
                self.position_embedding_type
            ))
            .with_hint("Supported are absolute positions."));
        }
        self.activation()?;
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        // The bound keeps products of two sizes far from overflow; published models stay below it.
        if let Some((name, size)) = sizes.iter().find(|(_, n)| !(1..=10_000_000).contains(n)) {
            return Err(Error::unsupported(format!("config.json says {name} is {size}")));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::unsupported(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                self.hidden_size, self.num_attention_heads
            )));
        }
        Ok(())
    }

    /// The family, if the type and the architecture are known.
    pub fn family(&self) -> Result<Family> {
        let known = KNOWN.iter().find(|(model_type, ..)| *model_type == self.model_type);
        let Some((_, family, architectures)) = known else {
            let types: Vec<_> = KNOWN.iter().map(|(model_type, ..)| *model_type).collect();
            let error = format!("models of type \"{}\" cannot be imported", self.model_type);
            return Err(Error::unsupported(error).with_hint(format!(
                "Supported are {}; any model exported as model.onnx is taken as it is.",
                types.join(", ")
            )));
        };
        // A file without architectures was saved from the plain encoder.
        let name = self.architectures.first().map_or(architectures[0], String::as_str);
        if architectures.contains(&name) {
            return Ok(*family);
        }
        let error = format!("the architecture \"{name}\" cannot be imported");
        Err(Error::unsupported(error)
            .with_hint(format!("Supported are {}.", architectures.join(", "))))
    }

    /// Rows of the position table before the first token's.
    pub fn first_position(&self) -> Result<usize> {
        Ok(match self.family()? {
            Family::Roberta => self.pad_token_id.unwrap_or(1) + 1,
            Family::Bert | Family::DistilBert => 0,
        })
    }

    /// Most tokens the position table has rows for.
    pub fn positions(&self) -> Result<usize> {
        let positions = self.max_position_embeddings.checked_sub(self.first_position()?);
        positions.filter(|&n| n > 0).ok_or_else(|| {
            Error::unsupported(format!(
                "config.json says max_position_embeddings is {}",
                self.max_position_embeddings
            ))
        })
    }

    /// Whether the graph tells a pair's second text from the first.
    pub fn has_types(&self) -> Result<bool> {
        Ok(self.family()? != Family::DistilBert && self.type_vocab_size > 1)
    }

    /// The activation function.
    pub fn activation(&self) -> Result<HiddenActivation> {
        match self.hidden_act.as_str() {
            "gelu" => Ok(HiddenActivation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(HiddenActivation::GeluTanh),
            "relu" => Ok(HiddenActivation::Relu),
            other => Err(Error::unsupported(format!(
                "the activation function \"{other}\" cannot be imported"
            ))
            .with_hint("Supported are gelu, gelu_new and relu.")),
        }
    }

    /// Length of one head's vectors.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// The architecture's name; what the weights were saved from.
    pub fn architecture(&self) -> &str {
        self.architectures.first().map_or("unknown", String::as_str)
    }

    /// Whether the model scores pairs instead of embedding texts.
    pub fn is_classifier(&self) -> bool {
        self.architecture().ends_with("ForSequenceClassification")
    }

    /// Number of labels of a classifier.
    pub fn labels(&self) -> usize {
        self.id2label.as_ref().map(BTreeMap::len).or(self.num_labels).unwrap_or(2)
    }
}
