//! Settings files beside the weights: sentence-transformers' modules, window, prefixes.
use super::source::ModelSource;
use crate::model::manifest::{Activation, ModelKind, Pooling};
use crate::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Most tokens a window may have; position tables of published encoders stay below it.
const MAX_WINDOW: usize = 1 << 20;

/// The settings of a model that are not in its weights.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// Directory of the weights inside the source; empty, or with a slash at its end.
    directory: String,
    /// `config.json`.
    pub config: Option<Vec<u8>>,
    /// How token vectors become the text's vector.
    pub pooling: Pooling,
    /// Length of a token's vector as the pooling module states it.
    pooled_dimensions: Option<usize>,
    /// Whether vectors are scaled to unit length.
    pub normalize: bool,
    /// The window, where stated.
    window: Option<usize>,
    /// Whether texts are to be lower-cased before they are tokenised.
    pub is_lowercase: bool,
    /// Put before a query.
    pub query_prefix: String,
    /// Put before a document.
    pub document_prefix: String,
    /// Applied to a reranker's score.
    pub activation: Activation,
    /// Whether nothing says how to pool: then it is by the mean, as sentence-transformers does.
    pub is_plain: bool,
}

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    r#type: String,
}

#[derive(Default, Deserialize)]
struct SentenceBert {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

#[derive(Default, Deserialize)]
struct SentenceTransformers {
    #[serde(default)]
    prompts: Map<String, Value>,
    default_prompt_name: Option<String>,
    /// Class of a cross-encoder's activation.
    activation_fn: Option<String>,
}

impl ModelSettings {
    /// Reads every settings file that is there.
    pub fn read(source: &ModelSource) -> Result<Self> {
        let mut settings = Self::modules(source)?;
        settings.config = source.read(&settings.beside_weights("config.json"))?;
        let bert: SentenceBert =
            optional(source, &settings.beside_weights("sentence_bert_config.json"))?;
        settings.is_lowercase = bert.do_lower_case;
        let tokenizer: Map<String, Value> =
            optional(source, &settings.beside_weights("tokenizer_config.json"))?;
        // An unlimited tokenizer says so with 1e30.
        let tokenizer_window = tokenizer
            .get("model_max_length")
            .and_then(Value::as_f64)
            .filter(|&n| n >= 1.0 && n <= MAX_WINDOW as f64)
            .map(|n| n as usize);
        settings.window = bert.max_seq_length.or(tokenizer_window);
        let transformers: SentenceTransformers =
            optional(source, "config_sentence_transformers.json")?;
        settings.set_prefixes(&transformers)?;
        settings.activation = settings.score_activation(&transformers)?;
        Ok(settings)
    }

    /// `modules.json`: the transformer, its pooling, perhaps a normalisation, and nothing else.
    fn modules(source: &ModelSource) -> Result<Self> {
        let mut settings = Self {
            directory: String::new(),
            config: None,
            pooling: Pooling::Mean,
            pooled_dimensions: None,
            normalize: false,
            window: None,
            is_lowercase: false,
            query_prefix: String::new(),
            document_prefix: String::new(),
            activation: Activation::Identity,
            is_plain: false,
        };
        let Some(bytes) = source.read("modules.json")? else {
            settings.is_plain = true;
            return Ok(settings);
        };
        let modules: Vec<Module> = json("modules.json", &bytes)?;
        for (position, module) in modules.iter().enumerate() {
            let directory = inner_directory(&module.path)?;
            match (position, module.r#type.rsplit('.').next().unwrap_or_default()) {
                (0, "Transformer") => settings.directory = directory,
                (1, "Pooling") => settings.read_pooling(source, &directory)?,
                (2, "Normalize") => settings.normalize = true,
                _ => return Err(unknown_module(module)),
            }
        }
        Ok(settings)
    }

    fn read_pooling(&mut self, source: &ModelSource, directory: &str) -> Result<()> {
        let path = format!("{directory}config.json");
        let bytes = source.read(&path)?.ok_or_else(|| {
            Error::configuration(format!("the model has no {path}"))
                .with_hint("modules.json names a pooling module; fetch its directory, too.")
        })?;
        let config = PoolingConfig::from_json(&bytes)?;
        self.pooling = config.pooling;
        self.pooled_dimensions = config.dimensions;
        if !config.includes_prefix {
            return Err(Error::unsupported(
                "pooling that leaves out the tokens of a prefix cannot be imported",
            ));
        }
        Ok(())
    }

    fn set_prefixes(&mut self, config: &SentenceTransformers) -> Result<()> {
        let default = config.default_prompt_name.iter().map(String::as_str);
        let prefix = |names: &[&'static str]| -> Result<String> {
            let mut names = names.iter().copied().chain(default.clone());
            match names.find_map(|name| config.prompts.get(name)) {
                None => Ok(String::new()),
                Some(Value::String(prefix)) => Ok(prefix.clone()),
                Some(other) => Err(Error::unsupported(format!("a prefix is no text: {other}"))),
            }
        };
        self.query_prefix = prefix(&["query"])?;
        self.document_prefix = prefix(&["document", "passage", "corpus"])?;
        Ok(())
    }

    /// Cross-encoders save their activation in either of two places.
    fn score_activation(&self, config: &SentenceTransformers) -> Result<Activation> {
        let model: Map<String, Value> =
            self.config.as_deref().map_or(Ok(Map::new()), |bytes| json("config.json", bytes))?;
        let of_model = model
            .get("sentence_transformers")
            .and_then(|s| s.get("activation_fn"))
            .or_else(|| model.get("sbert_ce_default_activation_function"))
            .and_then(Value::as_str);
        match config.activation_fn.as_deref().or(of_model) {
            None => Ok(Activation::Identity),
            Some(name) if name.ends_with(".Identity") => Ok(Activation::Identity),
            Some(name) if name.ends_with(".Sigmoid") => Ok(Activation::Sigmoid),
            Some(name) => Err(Error::unsupported(format!(
                "scores with the activation \"{name}\" cannot be imported"
            ))
            .with_hint("Supported are Identity and Sigmoid.")),
        }
    }

    /// The path of a file that lies where the weights lie.
    pub fn beside_weights(&self, name: &str) -> String {
        format!("{}{name}", self.directory)
    }

    /// Whether a file lies where the weights lie.
    pub fn has(&self, source: &ModelSource, name: &str) -> bool {
        source.has(&self.beside_weights(name))
    }

    /// The window: what the settings say, but not more than the graph has `positions`.
    pub fn max_tokens(&self, positions: Option<usize>) -> Result<usize> {
        let window = match (self.window, positions) {
            (Some(window), Some(positions)) => window.min(positions),
            (Some(window), None) => window,
            (None, Some(positions)) => positions,
            (None, None) => {
                return Err(Error::unsupported("nothing says how many tokens the model takes")
                    .with_hint("Add max_seq_length to sentence_bert_config.json."));
            }
        };
        if (4..=MAX_WINDOW).contains(&window) {
            return Ok(window);
        }
        Err(Error::unsupported(format!("a window of {window} tokens cannot be used")))
    }

    /// Pooling must be made for the vectors the graph computes.
    pub fn check_dimensions(&self, kind: ModelKind, dimensions: usize) -> Result<()> {
        match self.pooled_dimensions {
            Some(stated) if kind == ModelKind::Embedder && stated != dimensions => {
                Err(Error::configuration(format!(
                    "pooling is for vectors of {stated} dimensions, the model makes {dimensions}"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// `1_Pooling/config.json` of sentence-transformers: how token vectors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolingConfig {
    /// Mean or first token.
    pub pooling: Pooling,
    /// Length of a token's vector, where stated.
    pub dimensions: Option<usize>,
    /// Whether the tokens of a prefix count in the mean.
    pub includes_prefix: bool,
}

impl PoolingConfig {
    /// Reads the file; anything but one of mean and CLS is refused.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let fields: Map<String, Value> = json("1_Pooling/config.json", bytes)?;
        Ok(Self {
            pooling: pooling(&fields)?,
            dimensions: fields
                .get("word_embedding_dimension")
                .and_then(Value::as_u64)
                .map(|n| n as usize),
            includes_prefix: fields.get("include_prompt").and_then(Value::as_bool).unwrap_or(true),
        })
    }
}

/// Published files have one boolean per mode; newer ones name the mode.
fn pooling(fields: &Map<String, Value>) -> Result<Pooling> {
    let mut modes: Vec<&str> = fields
        .iter()
        .filter(|(_, value)| value.as_bool() == Some(true))
        .filter_map(|(name, _)| name.strip_prefix("pooling_mode_"))
        .collect();
    modes.extend(fields.get("pooling_mode").and_then(Value::as_str));
    match modes[..] {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::Cls),
        _ => Err(Error::unsupported(format!("pooling by {} cannot be imported", listed(&modes)))
            .with_hint("Supported are the mean of all tokens and the CLS token.")),
    }
}

fn listed(modes: &[&str]) -> String {
    if modes.is_empty() {
        return "no mode at all".into();
    }
    modes.iter().map(|m| format!("\"{m}\"")).collect::<Vec<_>>().join(" and ")
}

fn unknown_module(module: &Module) -> Error {
    let error = Error::unsupported(format!("the module \"{}\" cannot be imported", module.r#type));
    error.with_hint("Supported are Transformer, then Pooling, then Normalize, in this order.")
}

/// A path of `modules.json` as a directory inside the source.
fn inner_directory(path: &str) -> Result<String> {
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Ok(String::new());
    }
    let fine = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
    if path.split('/').all(fine) {
        return Ok(format!("{path}/"));
    }
    Err(Error::unsupported(format!("modules.json names a path outside the model: \"{path}\"")))
}

fn optional<T: DeserializeOwned + Default>(source: &ModelSource, name: &str) -> Result<T> {
    source.read(name)?.map_or_else(|| Ok(T::default()), |bytes| json(name, &bytes))
}

/// Parses a settings file.
pub fn json<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| {
        Error::configuration(format!("could not read {name}")).with_detail(e.to_string())
    })
}
