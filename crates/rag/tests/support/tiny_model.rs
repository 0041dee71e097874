//! Tiny models as a hub would hold them: random weights, a small vocabulary, every settings file.
#![allow(dead_code, reason = "each test uses a part")]
use half::{bf16, f16};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[path = "tokenizers.rs"]
mod tokenizers;

/// A tensor: its shape and its elements.
pub type Tensor = (Vec<usize>, Vec<f32>);

/// A model to write. Change fields, then call [`TinyModel::write`].
#[derive(Clone)]
pub struct TinyModel {
    /// `config.json`.
    pub config: Value,
    /// Put before the names of the encoder's tensors.
    pub prefix: &'static str,
    /// The tensors, without the prefix.
    pub tensors: BTreeMap<String, Tensor>,
    /// Element type in the file.
    pub dtype: Dtype,
    /// Other files by name; none of them is written for a missing key.
    pub files: BTreeMap<String, Value>,
    /// `tokenizer.json`.
    pub tokenizer: Option<Vec<u8>>,
}

pub const HIDDEN: usize = 32;
pub const HEADS: usize = 4;
pub const LAYERS: usize = 2;
pub const INTERMEDIATE: usize = 48;
pub const POSITIONS: usize = 40;

impl TinyModel {
    /// A sentence-transformers model: mean pooling, normalised, a window of 24 tokens.
    pub fn encoder(seed: u64) -> Self {
        let tokenizer = tokenizers::bert(tokenizers::UNCASED, "");
        let parsed: Value = serde_json::from_slice(&tokenizer).unwrap();
        let words = parsed["model"]["vocab"].as_object().unwrap().len();
        let config = json!({
            "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu",
            "vocab_size": words, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS, "intermediate_size": INTERMEDIATE,
            "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
            "layer_norm_eps": 1e-12, "position_embedding_type": "absolute",
        });
        let module = |name: &str, path: &str| json!({"path": path, "type": format!("sentence_transformers.models.{name}")});
        let modules = json!([
            module("Transformer", ""),
            module("Pooling", "1_Pooling"),
            module("Normalize", "2_Normalize")
        ]);
        let pooling = json!({"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": true,
            "pooling_mode_cls_token": false, "pooling_mode_max_tokens": false});
        let files = [
            ("modules.json", modules),
            ("1_Pooling/config.json", pooling),
            ("sentence_bert_config.json", json!({"max_seq_length": 24, "do_lower_case": false})),
            ("tokenizer_config.json", json!({"model_max_length": 1e30})),
        ];
        Self {
            config,
            prefix: "",
            tensors: encoder_tensors(seed, words),
            dtype: Dtype::F32,
            files: files.into_iter().map(|(name, file)| (name.to_owned(), file)).collect(),
            tokenizer: Some(tokenizer),
        }
    }

    /// A cross-encoder with one label.
    pub fn cross_encoder(seed: u64) -> Self {
        let mut model = Self::encoder(seed);
        model.config["architectures"] = json!(["BertForSequenceClassification"]);
        model.config["id2label"] = json!({"0": "LABEL_0"});
        model.prefix = "bert.";
        model.files.clear();
        let mut random = Random(seed ^ 0x5eed);
        model.tensors.insert("pooler.dense.weight".into(), random.tensor(&[HIDDEN, HIDDEN], 0.2));
        model.tensors.insert("pooler.dense.bias".into(), random.tensor(&[HIDDEN], 0.1));
        model.tensors.insert("classifier.weight".into(), random.tensor(&[1, HIDDEN], 0.3));
        model.tensors.insert("classifier.bias".into(), random.tensor(&[1], 0.1));
        model
    }

    /// The same computation as RoBERTa has it: positions from 2, one token type that is zero.
    pub fn roberta(mut self, model_type: &str, architecture: &str) -> Self {
        let fields = [
            ("model_type", json!(model_type)),
            ("architectures", json!([architecture])),
            ("max_position_embeddings", json!(POSITIONS + 2)),
            ("type_vocab_size", json!(1)),
            ("pad_token_id", json!(1)),
        ];
        for (field, value) in fields {
            self.set("config.json", field, value);
        }
        let (shape, values) =
            self.tensors.get_mut("embeddings.position_embeddings.weight").unwrap();
        shape[0] += 2;
        // Rows that no token uses: a graph that read them would compute something else.
        values.splice(0..0, vec![9.0; 2 * HIDDEN]);
        let (shape, values) =
            self.tensors.get_mut("embeddings.token_type_embeddings.weight").unwrap();
        shape[0] = 1;
        values.truncate(HIDDEN);
        for (old, new) in
            [("pooler.dense", "classifier.dense"), ("classifier", "classifier.out_proj")]
        {
            for part in ["weight", "bias"] {
                let tensor = self.tensors.remove(&format!("{old}.{part}"));
                self.tensors.extend(tensor.map(|t| (format!("{new}.{part}"), t)));
            }
        }
        self.prefix = "roberta.";
        self
    }

    /// The same computation as DistilBERT has it: other names, no token types.
    pub fn distilbert(mut self) -> Self {
        let (_, kinds) = self.tensors.remove("embeddings.token_type_embeddings.weight").unwrap();
        assert!(kinds[..HIDDEN].iter().all(|v| *v == 0.0), "DistilBERT has no token types");
        self.config = json!({
            "architectures": ["DistilBertModel"], "model_type": "distilbert", "activation": "gelu",
            "vocab_size": self.config["vocab_size"], "dim": HIDDEN, "n_layers": LAYERS,
            "n_heads": HEADS, "hidden_dim": INTERMEDIATE, "max_position_embeddings": POSITIONS,
        });
        let renamed = |name: &str| {
            let renames = [
                ("encoder.layer", "transformer.layer"),
                ("attention.self.query", "attention.q_lin"),
                ("attention.self.key", "attention.k_lin"),
                ("attention.self.value", "attention.v_lin"),
                ("attention.output.dense", "attention.out_lin"),
                ("attention.output.LayerNorm", "sa_layer_norm"),
                ("intermediate.dense", "ffn.lin1"),
                ("output.dense", "ffn.lin2"),
                ("output.LayerNorm", "output_layer_norm"),
            ];
            renames.iter().fold(name.to_owned(), |name, (old, new)| name.replace(old, new))
        };
        self.tensors = self.tensors.into_iter().map(|(name, t)| (renamed(&name), t)).collect();
        self.prefix = "distilbert.";
        self
    }

    /// `model.safetensors`.
    pub fn safetensors(&self) -> Vec<u8> {
        let data: BTreeMap<String, (Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, (shape, values))| {
                let prefix = if name.starts_with("classifier") { "" } else { self.prefix };
                (format!("{prefix}{name}"), (shape.clone(), self.bytes(values)))
            })
            .collect();
        let views = data.iter().map(|(name, (shape, bytes))| {
            (name, TensorView::new(self.dtype, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn bytes(&self, values: &[f32]) -> Vec<u8> {
        match self.dtype {
            Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Dtype::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            Dtype::BF16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            Dtype::I64 => values.iter().flat_map(|v| (*v as i64).to_le_bytes()).collect(),
            other => panic!("no tiny model has {other:?}"),
        }
    }

    /// The tensors as they read back from the file.
    pub fn rounded(&self) -> BTreeMap<String, Tensor> {
        let round = |v: &f32| match self.dtype {
            Dtype::F16 => f16::from_f32(*v).to_f32(),
            Dtype::BF16 => bf16::from_f32(*v).to_f32(),
            _ => *v,
        };
        let round = |(shape, values): &Tensor| (shape.clone(), values.iter().map(round).collect());
        self.tensors.iter().map(|(name, tensor)| (name.clone(), round(tensor))).collect()
    }

    /// Every file of the model, by name.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files: BTreeMap<String, Vec<u8>> = self
            .files
            .iter()
            .map(|(name, file)| (name.clone(), serde_json::to_vec_pretty(file).unwrap()))
            .collect();
        files.insert("config.json".into(), serde_json::to_vec_pretty(&self.config).unwrap());
        files.insert("model.safetensors".into(), self.safetensors());
        files.extend(self.tokenizer.iter().map(|t| ("tokenizer.json".to_owned(), t.clone())));
        files
    }

    /// Writes the model's directory.
    pub fn write(&self, directory: &Path) {
        for (name, bytes) in self.files() {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// The fields that JSON objects of the model's settings consist of.
    pub fn set(&mut self, file: &str, field: &str, value: Value) -> &mut Self {
        let file = match file {
            "config.json" => &mut self.config,
            other => self.files.entry(other.to_owned()).or_insert_with(|| json!({})),
        };
        file[field] = value;
        self
    }
}

fn encoder_tensors(seed: u64, words: usize) -> BTreeMap<String, Tensor> {
    let mut random = Random(seed);
    let mut tensors = BTreeMap::new();
    let mut add = |name: String, shape: &[usize], spread: f32, centre: f32| {
        let (shape, values) = random.tensor(shape, spread);
        let values = values.into_iter().map(|v| v + centre).collect();
        tensors.insert(name, (shape, values));
    };
    for (table, rows) in [("word", words), ("position", POSITIONS), ("token_type", 2)] {
        add(format!("embeddings.{table}_embeddings.weight"), &[rows, HIDDEN], 0.5, 0.0);
    }
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..LAYERS {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let square = (HIDDEN, HIDDEN);
        for (part, (outputs, inputs)) in [
            ("attention.self.query", square),
            ("attention.self.key", square),
            ("attention.self.value", square),
            ("attention.output.dense", square),
            ("intermediate.dense", (INTERMEDIATE, HIDDEN)),
            ("output.dense", (HIDDEN, INTERMEDIATE)),
        ] {
            add(name(&format!("{part}.weight")), &[outputs, inputs], 0.25, 0.0);
            add(name(&format!("{part}.bias")), &[outputs], 0.1, 0.0);
        }
        norms.push(name("attention.output.LayerNorm"));
        norms.push(name("output.LayerNorm"));
    }
    for norm in norms {
        add(format!("{norm}.weight"), &[HIDDEN], 0.2, 1.0);
        add(format!("{norm}.bias"), &[HIDDEN], 0.1, 0.0);
    }
    tensors
}

/// Numbers that look random and are the same everywhere (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// About normal, with the standard deviation `spread`: a sum of four uniform numbers.
    pub fn tensor(&mut self, shape: &[usize], spread: f32) -> Tensor {
        let mut one = || {
            let uniform = |bits: u64| (bits >> 40) as f32 / (1_u64 << 24) as f32 - 0.5;
            (0..4).map(|_| uniform(self.next())).sum::<f32>() * spread * 3.0_f32.sqrt()
        };
        let values = (0..shape.iter().product()).map(|_| one()).collect();
        (shape.to_vec(), values)
    }
}
