//! Graphs compute what BERT computes: compared with a plain implementation on tiny random models.
#[path = "support/bert_reference.rs"]
mod bert_reference;
#[path = "support/tiny_model.rs"]
mod tiny_model;

use bert_reference::Reference;
use rag::model::import::source::ModelSource;
use rag::model::import::{Imported, Options, import};
use rag::model::manifest::Precision;
use rag::model::session::{Batch, Output, Session, SessionOptions};
use rag::model::tokenizer::Input;
use safetensors::Dtype;
use serde_json::json;
use tiny_model::{HIDDEN, Random, TinyModel};

fn imported(model: &TinyModel, precision: Precision) -> Imported {
    let directory = tempfile::tempdir().unwrap();
    model.write(directory.path());
    let source = ModelSource::open(directory.path()).unwrap();
    let options = Options { name: "tiny".into(), precision, origin: String::new() };
    import(&source, &options).unwrap()
}

fn session(imported: &Imported) -> Session {
    let library = std::env::var_os("RAG_PG_ONNXRUNTIME_PATH")
        .unwrap_or_else(|| "/usr/local/lib/rag_pg/libonnxruntime.so".into());
    let options = SessionOptions::new(library);
    Session::open(&imported.model, &imported.manifest.signature, &options).unwrap()
}

fn run(session: &Session, inputs: &[&Input]) -> Output {
    session.run(&Batch::new(inputs, 0), &mut || Ok(())).unwrap()
}

/// Inputs of several lengths, the second half of each a second text.
fn inputs(model: &TinyModel, seed: u64) -> Vec<Input> {
    let words = model.config["vocab_size"].as_u64().unwrap();
    let mut random = Random(seed);
    let mut input = |length: usize| Input {
        ids: (0..length).map(|_| (random.next() % words) as u32).collect(),
        type_ids: (0..length).map(|i| u32::from(i >= length / 2)).collect(),
        text: 0..length,
        token_count: length,
    };
    [7, 24, 1, 13].map(&mut input).into()
}

/// Rows of the token vectors of one input of a batch.
fn rows(output: &Output, row: usize, length: usize) -> Vec<f32> {
    assert_eq!(output.shape()[2], HIDDEN);
    let start = row * output.shape()[1] * HIDDEN;
    output.data()[start..start + length * HIDDEN].to_vec()
}

fn assert_encodes(model: &TinyModel) {
    assert_encodes_as(model, &Reference::new(model), &inputs(model, 5));
}

fn assert_encodes_as(model: &TinyModel, reference: &Reference, inputs: &[Input]) {
    let session = session(&imported(model, Precision::Fp32));
    let output = run(&session, &inputs.iter().collect::<Vec<_>>());
    for (row, input) in inputs.iter().enumerate() {
        let expected = reference.tokens(&input.ids, &input.type_ids).into_iter().flatten();
        for (found, expected) in rows(&output, row, input.ids.len()).iter().zip(expected) {
            let difference = (f64::from(*found) - expected).abs();
            assert!(difference < 1e-4, "input {row}: {found} where BERT computes {expected}");
        }
    }
}

#[test]
fn encoders_compute_what_bert_computes() {
    for seed in 0..3 {
        assert_encodes(&TinyModel::encoder(seed));
    }
}

#[test]
fn every_activation_function_is_computed() {
    for activation in ["gelu", "gelu_new", "relu"] {
        let mut model = TinyModel::encoder(11);
        model.set("config.json", "hidden_act", json!(activation));
        assert_encodes(&model);
    }
}

/// A model whose first token type is zero, and inputs of that type: what families without types
/// can compute, too.
fn without_types(mut model: TinyModel) -> (TinyModel, Vec<Input>) {
    let (_, kinds) = model.tensors.get_mut("embeddings.token_type_embeddings.weight").unwrap();
    kinds[..HIDDEN].fill(0.0);
    let mut inputs = inputs(&model, 5);
    for input in &mut inputs {
        input.type_ids.fill(0);
    }
    (model, inputs)
}

#[test]
fn kin_of_bert_compute_the_same_under_other_names() {
    let (model, inputs) = without_types(TinyModel::encoder(15));
    let reference = Reference::new(&model);
    for (model_type, architecture) in [
        ("roberta", "RobertaModel"),
        ("xlm-roberta", "XLMRobertaModel"),
        ("xlm-roberta", "XLMRobertaForMaskedLM"),
        ("camembert", "CamembertModel"),
    ] {
        let kin = model.clone().roberta(model_type, architecture);
        assert_encodes_as(&kin, &reference, &inputs);
    }
    assert_encodes_as(&model.clone().distilbert(), &reference, &inputs);
}

#[test]
fn a_single_token_type_counts() {
    let model = TinyModel::encoder(16);
    let mut inputs = inputs(&model, 5);
    for input in &mut inputs {
        input.type_ids.fill(0);
    }
    let kin = model.clone().roberta("roberta", "RobertaModel");
    assert_encodes_as(&kin, &Reference::new(&model), &inputs);
}

#[test]
fn cross_encoders_of_roberta_score_the_same() {
    let (model, inputs) = without_types(TinyModel::cross_encoder(22));
    let reference = Reference::new(&model);
    let kin = model.roberta("xlm-roberta", "XLMRobertaForSequenceClassification");
    let session = session(&imported(&kin, Precision::Fp32));
    let output = run(&session, &inputs.iter().collect::<Vec<_>>());
    for (found, input) in output.data().iter().zip(&inputs) {
        let expected = reference.score(&input.ids, &input.type_ids);
        assert!((f64::from(*found) - expected).abs() < 1e-4, "{found}, not {expected}");
    }
}

#[test]
fn weights_are_found_under_every_usual_prefix() {
    for prefix in ["", "bert.", "0.auto_model.", "model.bert."] {
        let mut model = TinyModel::encoder(12);
        model.prefix = prefix;
        assert_encodes(&model);
    }
}

#[test]
fn old_names_of_layer_normalisation_are_understood() {
    let mut model = TinyModel::encoder(13);
    let expected = imported(&model, Precision::Fp32).model;
    let rename = |name: &str| {
        let name = name.replace("LayerNorm.weight", "LayerNorm.gamma");
        name.replace("LayerNorm.bias", "LayerNorm.beta")
    };
    model.tensors = model.tensors.into_iter().map(|(name, t)| (rename(&name), t)).collect();
    assert!(model.tensors.contains_key("embeddings.LayerNorm.gamma"));
    assert!(imported(&model, Precision::Fp32).model == expected);
}

#[test]
fn half_precision_weights_are_read() {
    for dtype in [Dtype::F16, Dtype::BF16] {
        let mut model = TinyModel::encoder(14);
        model.dtype = dtype;
        assert_encodes(&model);
    }
}

#[test]
fn cross_encoders_compute_what_bert_computes() {
    for activation in ["gelu", "relu"] {
        let mut model = TinyModel::cross_encoder(21);
        model.set("config.json", "hidden_act", json!(activation));
        let session = session(&imported(&model, Precision::Fp32));
        let reference = Reference::new(&model);
        let inputs = inputs(&model, 6);
        let output = run(&session, &inputs.iter().collect::<Vec<_>>());
        assert_eq!(output.shape(), [inputs.len(), 1]);
        for (found, input) in output.data().iter().zip(&inputs) {
            let expected = reference.score(&input.ids, &input.type_ids);
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found}, not {expected}");
        }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn eight_bits_stay_close_to_thirty_two() {
    for activation in ["gelu", "gelu_new", "relu"] {
        let mut model = TinyModel::encoder(31);
        model.set("config.json", "hidden_act", json!(activation));
        let full = session(&imported(&model, Precision::Fp32));
        let small = session(&imported(&model, Precision::Int8));
        for input in inputs(&model, 7) {
            let (full, small) = (run(&full, &[&input]), run(&small, &[&input]));
            let cosine = cosine(full.data(), small.data());
            assert!(cosine > 0.999, "{activation}: cosine {cosine}");
        }
    }
}

#[test]
fn eight_bit_scores_stay_close_to_thirty_two() {
    let model = TinyModel::cross_encoder(32);
    let full = session(&imported(&model, Precision::Fp32));
    let small = session(&imported(&model, Precision::Int8));
    for input in inputs(&model, 8) {
        let (full, small) = (run(&full, &[&input]).data()[0], run(&small, &[&input]).data()[0]);
        assert!((full - small).abs() < 0.1, "{full} became {small}");
    }
}

#[test]
fn an_input_means_the_same_alone_and_in_any_batch() {
    for precision in [Precision::Fp32, Precision::Int8] {
        let model = TinyModel::encoder(33);
        let session = session(&imported(&model, precision));
        let inputs = inputs(&model, 9);
        let together = run(&session, &inputs.iter().collect::<Vec<_>>());
        for (row, input) in inputs.iter().enumerate() {
            let alone = run(&session, &[input]);
            let alone = alone.data();
            let batched = rows(&together, row, input.ids.len());
            let apart = alone.iter().zip(&batched).map(|(a, b)| (a - b).abs());
            let apart = apart.fold(0.0, f32::max);
            // Rounding of sums may move a value over the edge of an 8-bit step.
            let tolerance = if precision == Precision::Int8 { 0.05 } else { 1e-5 };
            assert!(apart <= tolerance, "{precision:?}, input {row}: {apart} apart");
            assert!(cosine(alone, &batched) > 0.9999);
        }
    }
}

#[test]
fn importing_a_model_twice_gives_the_same_graph() {
    let model = TinyModel::encoder(34);
    for precision in [Precision::Fp32, Precision::Int8] {
        assert!(imported(&model, precision) == imported(&model, precision));
    }
}
