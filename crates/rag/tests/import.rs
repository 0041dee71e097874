//! What can be imported, what is refused and why, and how models are installed.
#[path = "support/tiny_model.rs"]
mod tiny_model;

use prost::Message;
use rag::model::import::source::ModelSource;
use rag::model::import::{Imported, Options, import};
use rag::model::manifest::{Activation, Manifest, ModelKind, Pooling, Precision};
use rag::model::onnx::proto;
use rag::{Error, Result};
use safetensors::Dtype;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use tempfile::TempDir;
use tiny_model::{HIDDEN, POSITIONS, TinyModel};

fn options(precision: Precision) -> Options {
    Options { name: "tiny".into(), precision, origin: "a test".into() }
}

fn import_files(files: &BTreeMap<String, Vec<u8>>) -> Result<Imported> {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    import(&ModelSource::open(directory.path())?, &options(Precision::Int8))
}

fn import_model(model: &TinyModel) -> Result<Imported> {
    import_files(&model.files())
}

fn manifest(model: &TinyModel) -> Manifest {
    import_model(model).unwrap().manifest
}

/// A refusal says what is wrong in these words and carries this SQLSTATE.
#[track_caller]
fn assert_refused(result: Result<Imported>, sqlstate: &str, words: &str) -> Error {
    let error = result.expect_err("this must be refused");
    assert_eq!(error.sqlstate(), sqlstate, "{error}");
    assert!(error.to_string().contains(words), "{words:?} is not in {error}");
    error
}

fn refused(change: impl FnOnce(&mut TinyModel), sqlstate: &str, words: &str) {
    let mut model = TinyModel::encoder(1);
    change(&mut model);
    assert_refused(import_model(&model), sqlstate, words);
}

#[test]
fn a_sentence_transformers_directory_is_understood() {
    let mut model = TinyModel::encoder(1);
    model.set(
        "config_sentence_transformers.json",
        "prompts",
        json!({"query": "query: ", "passage": "passage: "}),
    );
    let manifest = manifest(&model);
    assert_eq!(manifest.kind, ModelKind::Embedder);
    assert_eq!(manifest.architecture, "BertModel");
    assert_eq!((manifest.dimensions, manifest.max_tokens), (HIDDEN, 24));
    assert_eq!((manifest.pooling, manifest.normalize), (Pooling::Mean, true));
    assert_eq!(manifest.query_prefix, "query: ");
    assert_eq!(manifest.document_prefix, "passage: ");
    assert_eq!(manifest.precision, Precision::Int8);
    assert_eq!(manifest.fingerprint, manifest.computed_fingerprint());
}

#[test]
fn the_window_is_what_is_stated_but_no_more_than_there_are_positions() {
    let window = |stated: Option<u64>, tokenizer: f64| {
        let mut model = TinyModel::encoder(1);
        model.files.remove("sentence_bert_config.json");
        if let Some(stated) = stated {
            model.set("sentence_bert_config.json", "max_seq_length", json!(stated));
        }
        model.set("tokenizer_config.json", "model_max_length", json!(tokenizer));
        manifest(&model).max_tokens
    };
    assert_eq!(window(Some(30), 20.0), 30);
    assert_eq!(window(None, 20.0), 20);
    assert_eq!(window(None, 1e30), POSITIONS);
    assert_eq!(window(Some(512), 1e30), POSITIONS);
}

#[test]
fn a_directory_without_modules_is_pooled_by_the_mean() {
    let mut model = TinyModel::encoder(1);
    model.files.clear();
    let imported = import_model(&model).unwrap();
    assert_eq!(imported.manifest.pooling, Pooling::Mean);
    assert!(!imported.manifest.normalize);
    assert!(imported.notes[0].contains("mean"), "{:?}", imported.notes);
}

#[test]
fn cls_pooling_and_default_prompts_are_understood() {
    let mut model = TinyModel::encoder(1);
    model.set("1_Pooling/config.json", "pooling_mode_mean_tokens", json!(false));
    model.set("1_Pooling/config.json", "pooling_mode_cls_token", json!(true));
    model.set(
        "config_sentence_transformers.json",
        "prompts",
        json!({"query": "Q: ", "all": "A: "}),
    );
    model.set("config_sentence_transformers.json", "default_prompt_name", json!("all"));
    let manifest = manifest(&model);
    assert_eq!(manifest.pooling, Pooling::Cls);
    assert_eq!((&*manifest.query_prefix, &*manifest.document_prefix), ("Q: ", "A: "));
}

#[test]
fn a_transformer_may_lie_in_a_directory_of_its_own() {
    let model = TinyModel::encoder(1);
    let expected = manifest(&model).fingerprint;
    let is_outside = |name: &str| name == "modules.json" || name.starts_with("1_");
    let mut files: BTreeMap<_, _> = model
        .files()
        .into_iter()
        .map(|(name, bytes)| {
            if is_outside(&name) { (name, bytes) } else { (format!("0_Transformer/{name}"), bytes) }
        })
        .collect();
    let modules = String::from_utf8(files["modules.json"].clone()).unwrap();
    let modules = modules.replace("\"path\": \"\"", "\"path\": \"0_Transformer\"");
    files.insert("modules.json".into(), modules.into_bytes());
    assert_eq!(import_files(&files).unwrap().manifest.fingerprint, expected);
}

#[test]
fn cross_encoders_are_rerankers() {
    let mut model = TinyModel::cross_encoder(1);
    assert_eq!(manifest(&model).kind, ModelKind::Reranker);
    assert_eq!(manifest(&model).dimensions, 1);
    assert_eq!(manifest(&model).activation, Activation::Identity);
    let sigmoid = json!({"activation_fn": "torch.nn.modules.activation.Sigmoid"});
    model.set("config.json", "sentence_transformers", sigmoid);
    assert_eq!(manifest(&model).activation, Activation::Sigmoid);
    model.set("config.json", "id2label", json!({"0": "no", "1": "perhaps", "2": "yes"}));
    assert_refused(import_model(&model), "0A000", "3 labels");
}

#[test]
fn the_fingerprint_covers_what_changes_a_result_and_nothing_else() {
    let model = TinyModel::encoder(1);
    let original = manifest(&model);
    let mut renamed = original.clone();
    (renamed.name, renamed.origin) = ("another".into(), "elsewhere".into());
    assert_eq!(renamed.computed_fingerprint(), original.fingerprint);
    let changes: [fn(&mut Manifest); 8] = [
        |m| m.dimensions += 1,
        |m| m.max_tokens += 1,
        |m| m.pooling = Pooling::Cls,
        |m| m.normalize = false,
        |m| m.query_prefix = "q".into(),
        |m| m.document_prefix = "q".into(),
        |m| m.model_sha256 = m.model_sha256.chars().rev().collect(),
        |m| m.tokenizer_sha256 = m.tokenizer_sha256.chars().rev().collect(),
    ];
    for change in changes {
        let mut other = original.clone();
        change(&mut other);
        assert_ne!(other.computed_fingerprint(), original.fingerprint, "{other:?}");
        assert!(Manifest::from_json(&other.to_json()).is_err());
    }
    assert_eq!(Manifest::from_json(&original.to_json()).unwrap(), original);
}

#[test]
fn what_the_graph_writer_does_not_know_is_refused() {
    let config = |field: &'static str, value| {
        move |model: &mut TinyModel| {
            model.set("config.json", field, value);
        }
    };
    refused(config("model_type", json!("deberta-v2")), "0A000", "\"deberta-v2\"");
    refused(config("position_embedding_type", json!("relative_key")), "0A000", "\"relative_key\"");
    refused(config("hidden_act", json!("swish")), "0A000", "\"swish\"");
    refused(config("is_decoder", json!(true)), "0A000", "decoders");
    refused(config("num_attention_heads", json!(5)), "0A000", "not a multiple");
    refused(config("num_attention_heads", json!(0)), "0A000", "num_attention_heads is 0");
    refused(config("hidden_size", json!("wide")), "0A000", "config.json");
    refused(config("architectures", json!(["BertForQuestionAnswering"])), "0A000", "BertForQ");
}

#[test]
fn pooling_other_than_mean_and_cls_is_refused() {
    let pooling = "1_Pooling/config.json";
    refused(|m| _ = m.set(pooling, "pooling_mode_max_tokens", json!(true)), "0A000", "max_tokens");
    refused(|m| _ = m.set(pooling, "pooling_mode_mean_tokens", json!(false)), "0A000", "no mode");
    refused(|m| _ = m.set(pooling, "include_prompt", json!(false)), "0A000", "prefix");
    refused(|m| _ = m.set(pooling, "word_embedding_dimension", json!(8)), "F0000", "8 dimensions");
    refused(|m| drop(m.files.remove(pooling)), "F0000", pooling);
    let dense = |m: &mut TinyModel| {
        let modules = m.files.get_mut("modules.json").unwrap();
        modules[2]["type"] = json!("sentence_transformers.models.Dense");
    };
    refused(dense, "0A000", "models.Dense");
    let outside = |m: &mut TinyModel| {
        m.files.get_mut("modules.json").unwrap()[1]["path"] = json!("../../etc");
    };
    refused(outside, "0A000", "outside");
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let query = "encoder.layer.1.attention.self.query.weight";
    let up = "encoder.layer.0.intermediate.dense.weight";
    refused(|m| drop(m.tensors.remove(query)), "F0000", query);
    refused(|m| m.tensors.clear(), "F0000", "embeddings.word_embeddings.weight");
    refused(|m| m.tensors.get_mut(up).unwrap().0.reverse(), "F0000", "shape [32, 48]");
    refused(
        |m| _ = m.set("config.json", "intermediate_size", json!(64)),
        "F0000",
        "shape [48, 32]",
    );
    refused(|m| m.tensors.get_mut(query).unwrap().1[3] = f32::NAN, "F0000", "no numbers");
    refused(|m| m.dtype = Dtype::I64, "0A000", "I64");
}

#[test]
fn damaged_and_missing_files_are_refused() {
    let files = TinyModel::encoder(1).files();
    let without = |name: &str| {
        let mut files = files.clone();
        files.remove(name).expect("the model has it");
        import_files(&files)
    };
    let hint = assert_refused(without("tokenizer.json"), "0A000", "tokenizer.json");
    assert!(hint.hint().unwrap().contains("save_pretrained"));
    assert_refused(without("config.json"), "0A000", "config.json");
    assert_refused(without("model.safetensors"), "0A000", "model.safetensors");
    for name in ["model.safetensors", "tokenizer.json", "config.json", "modules.json"] {
        for keep in [0, 7, files[name].len() / 2, files[name].len() - 3] {
            let mut files = files.clone();
            files.get_mut(name).unwrap().truncate(keep);
            let error = import_files(&files).expect_err("truncated");
            assert!(error.to_string().contains(name), "{name} cut to {keep}: {error}");
        }
    }
    let mut pointer = files.clone();
    let text = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    pointer.insert("model.safetensors".into(), text.to_vec());
    let error = assert_refused(import_files(&pointer), "F0000", "git LFS");
    assert!(error.hint().unwrap().contains("git lfs pull"));
    let mut pickled = files.clone();
    let weights = pickled.remove("model.safetensors").unwrap();
    pickled.insert("pytorch_model.bin".into(), weights);
    let error = assert_refused(import_files(&pickled), "0A000", "model.safetensors");
    assert!(error.hint().unwrap().contains("pytorch_model.bin"));
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let more_words = |m: &mut TinyModel| {
        let words = m.config["vocab_size"].as_u64().unwrap() - 1;
        m.set("config.json", "vocab_size", json!(words));
        let (shape, values) = m.tensors.get_mut("embeddings.word_embeddings.weight").unwrap();
        shape[0] -= 1;
        values.truncate(shape[0] * HIDDEN);
    };
    refused(more_words, "F0000", "do not fit");
    let cased = |m: &mut TinyModel| {
        let json = String::from_utf8(m.tokenizer.take().unwrap()).unwrap();
        m.tokenizer = Some(json.replace("\"lowercase\":true", "\"lowercase\":false").into_bytes());
        m.set("sentence_bert_config.json", "do_lower_case", json!(true));
    };
    refused(cased, "0A000", "lower-cased");
}

#[test]
fn odd_names_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    TinyModel::encoder(1).write(directory.path());
    let source = ModelSource::open(directory.path()).unwrap();
    for name in
        ["", ".", "..", "../x", "a/b", "-x", ".x", "a b", "a@b", "ä", "a\n", &"x".repeat(101)]
    {
        let options = Options { name: name.into(), ..options(Precision::Int8) };
        assert_refused(import(&source, &options), "22023", "cannot name a model");
    }
}

fn zip_of(files: &[(String, Vec<u8>)]) -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tiny-1.0-py3-none-any.whl");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, bytes) in files {
        let options: zip::write::SimpleFileOptions = zip::write::SimpleFileOptions::default();
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    (directory, path)
}

#[test]
fn a_wheel_gives_what_its_directory_gives() {
    let model = TinyModel::encoder(1);
    let expected = manifest(&model).fingerprint;
    let below = |directory: &str| -> Vec<(String, Vec<u8>)> {
        model.files().into_iter().map(|(n, b)| (format!("{directory}{n}"), b)).collect()
    };
    for directory in ["", "package/model/"] {
        let (_keep, path) = zip_of(&below(directory));
        let imported =
            import(&ModelSource::open(&path).unwrap(), &options(Precision::Int8)).unwrap();
        assert_eq!(imported.manifest.fingerprint, expected);
    }
    let open = |files: &[(String, Vec<u8>)]| {
        let (_keep, path) = zip_of(files);
        ModelSource::open(&path).err().expect("refused")
    };
    let twice = [below("a/"), below("b/")].concat();
    assert!(open(&twice).to_string().contains("several models"));
    assert!(open(&[("README".into(), b"none".to_vec())]).to_string().contains("holds no model"));
    let (_keep, path) = zip_of(&below(""));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(ModelSource::open(&path).is_err());
}

/// A model that brings its own graph: one of ours, changed by `change`.
fn with_graph(change: impl FnOnce(&mut proto::Model)) -> BTreeMap<String, Vec<u8>> {
    let mut files = TinyModel::encoder(1).files();
    let bytes = import_files(&files).unwrap().model;
    let mut graph = proto::Model::decode(&*bytes).unwrap();
    change(&mut graph);
    files.remove("model.safetensors").unwrap();
    files.insert("model.onnx".into(), graph.encode_to_vec());
    files
}

fn rename_output(model: &mut proto::Model, name: &str) {
    let graph = model.graph.as_mut().unwrap();
    let old = std::mem::replace(&mut graph.output[0].name, name.into());
    for output in graph.node.iter_mut().flat_map(|n| &mut n.output).filter(|o| **o == old) {
        *output = name.into();
    }
}

#[test]
fn a_graph_that_is_there_is_taken_as_it_is() {
    let files = with_graph(|model| rename_output(model, "last_hidden_state"));
    let imported = import_files(&files).unwrap();
    assert_eq!(imported.model, files["model.onnx"]);
    assert_eq!(imported.manifest.precision, Precision::AsIs);
    assert_eq!(imported.manifest.dimensions, HIDDEN);
    assert_eq!(imported.manifest.signature.output, "last_hidden_state");
    assert_eq!(imported.manifest.signature.token_type_ids.as_deref(), Some("token_type_ids"));

    let mut exported = files.clone();
    let graph = exported.remove("model.onnx").unwrap();
    exported.insert("onnx/model.onnx".into(), graph);
    assert_eq!(import_files(&exported).unwrap().manifest, imported.manifest);
    // Beside weights that can be imported, an exported graph is only a convenience.
    exported.insert("model.safetensors".into(), TinyModel::encoder(1).safetensors());
    assert_eq!(import_files(&exported).unwrap().manifest.precision, Precision::Int8);
}

#[test]
fn graphs_that_cannot_be_fed_are_refused() {
    let refused = |change: fn(&mut proto::Model), words: &str| {
        assert_refused(import_files(&with_graph(change)), "0A000", words);
    };
    refused(|m| rename_output(m, "sentence_vector"), "\"sentence_vector\"");
    refused(|m| m.graph.as_mut().unwrap().input[1].name = "pixels".into(), "\"pixels\"");
    refused(|m| drop(m.graph.as_mut().unwrap().input.remove(1)), "attention_mask");
    refused(|m| m.graph.as_mut().unwrap().initializer[0].data_location = 1, "another file");
    let mut files = with_graph(|_| ());
    let graph = files.get_mut("model.onnx").unwrap();
    graph.truncate(graph.len() - 100);
    assert_refused(import_files(&files), "F0000", "model.onnx is damaged");
}
