//! Turns published models into what the extension loads.
//!
//! A source is a directory as Hugging Face lays it out, a wheel or zip holding one, or a hub. BERT
//! weights become an ONNX graph written here; a source that brings `model.onnx` keeps it.
mod graph;
pub mod settings;
pub mod source;
pub mod tokenizer;

use crate::model::manifest::{
    Activation, FORMAT, Manifest, ModelKind, Pooling, Precision, TOKENIZER_FILE, check_name,
    sha256_hex,
};
use crate::{Error, Result};
use graph::{ImportedGraph, no_weights};
use settings::ModelSettings;
use source::{EXPORTED_FILE, ModelSource, ONNX_FILE, WEIGHTS_FILE};
use std::fmt;

/// Options of an import.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name the model gets.
    pub name: String,
    /// Number format of graphs written here; a graph that is taken as it is keeps its own.
    pub precision: Precision,
    /// Where the source came from: shown, never read.
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
    /// Assumptions made where the source is silent.
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

/// Reads a source, writes or takes its graph, and describes the result.
pub fn import(source: &ModelSource, options: &Options) -> Result<Imported> {
    check_name(&options.name)?;
    let settings = ModelSettings::read(source)?;
    if [WEIGHTS_FILE, ONNX_FILE, EXPORTED_FILE].iter().all(|file| !settings.has(source, file)) {
        return Err(no_weights(source, &settings));
    }
    let tokenizer = source.read(&settings.beside_weights(TOKENIZER_FILE))?.ok_or_else(|| {
        Error::unsupported("the model has no tokenizer.json").with_hint(
            "Save the tokenizer in its fast form: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR).",
        )
    })?;
    let graph = ImportedGraph::of(source, &settings, options.precision)?;
    settings.check_dimensions(graph.kind, graph.dimensions)?;
    let max_tokens = settings.max_tokens(graph.positions)?;
    let expected = tokenizer::Expected {
        vocabulary: graph.vocabulary,
        types: graph.types,
        max_tokens,
        is_pair: graph.kind == ModelKind::Reranker,
        is_lowercase: settings.is_lowercase,
    };
    tokenizer::check(&tokenizer, &expected)?;

    let is_plain = graph.kind == ModelKind::Embedder && settings.is_plain;
    let note = "no modules.json: vectors are the mean of the tokens' vectors, not normalised";
    Ok(Imported {
        manifest: manifest(&settings, options, &graph, max_tokens, &tokenizer),
        model: graph.bytes,
        tokenizer,
        notes: is_plain.then(|| note.to_owned()).into_iter().collect(),
    })
}

fn manifest(
    settings: &ModelSettings,
    options: &Options,
    graph: &ImportedGraph,
    max_tokens: usize,
    tokenizer: &[u8],
) -> Manifest {
    let is_embedder = graph.kind == ModelKind::Embedder;
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
