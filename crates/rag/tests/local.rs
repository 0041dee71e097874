//! Models unlike the default one, from import to result: pooling, prefixes, windows, cross-encoders.
#[path = "support/tiny_model.rs"]
mod tiny_model;

use rag::model::import::source::ModelSource;
use rag::model::import::{Options, import};
use rag::model::install::install;
use rag::model::manifest::Precision;
use rag::model::session::{self, Batch};
use rag::model::store::Store;
use rag::model::tokenizer::Input;
use rag::model::{Detail, Embedder, Embedding, LocalModel, Purpose, Reranker};
use serde_json::json;
use tempfile::TempDir;
use tiny_model::{HIDDEN, TinyModel};

/// The model, imported and installed; its files live as long as the directory.
fn open(model: &TinyModel) -> (LocalModel, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (files, models) = (directory.path().join("files"), directory.path().join("models"));
    model.write(&files);
    let options =
        Options { name: "tiny".into(), precision: Precision::Fp32, origin: "a test".into() };
    let imported = import(&ModelSource::open(&files).unwrap(), &options).unwrap();
    install(&models, &imported).unwrap();
    let library = std::env::var_os("ORT_DYLIB_PATH")
        .unwrap_or_else(|| "/usr/local/lib/rag_pg/libonnxruntime.so".into());
    let located = Store::new(models).locate("tiny").unwrap();
    (LocalModel::open(located, session::SessionOptions::new(library)).unwrap(), directory)
}

fn embed(model: &LocalModel, text: &str, purpose: Purpose) -> Embedding {
    model.embed(&[text], purpose, Detail::Tokens, &mut || Ok(())).unwrap().swap_remove(0)
}

/// What the graph returns for each token of `input`, special ones included.
fn rows(model: &LocalModel, input: &Input) -> Vec<Vec<f32>> {
    let batch = Batch::new(&[input], model.tokenizer().pad_id());
    let output = model.session().unwrap().run(&batch, &mut || Ok(())).unwrap();
    output.data().chunks_exact(HIDDEN).map(<[f32]>::to_vec).collect()
}

fn mean(rows: &[Vec<f32>]) -> Vec<f32> {
    let column = |i: usize| rows.iter().map(|row| row[i]).sum::<f32>() / rows.len() as f32;
    (0..HIDDEN).map(column).collect()
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.into_iter().map(|x| x / norm).collect()
}

#[track_caller]
fn assert_close(ours: &[f32], expected: &[f32]) {
    assert_eq!(ours.len(), expected.len());
    for (a, b) in ours.iter().zip(expected) {
        assert!((a - b).abs() < 1e-4, "{ours:?}\nis not\n{expected:?}");
    }
}

const TEXT: &str = "the cat and the hat";

#[test]
fn pooling_and_normalising_follow_the_manifest() {
    let mut model = TinyModel::encoder(1);
    let (local, _files) = open(&model);
    let input = local.tokenizer().encode(TEXT, 24).unwrap();
    let rows_of_it = rows(&local, &input);
    assert_close(&embed(&local, TEXT, Purpose::Query).vector, &unit(mean(&rows_of_it)));

    model.set("1_Pooling/config.json", "pooling_mode_mean_tokens", json!(false));
    model.set("1_Pooling/config.json", "pooling_mode_cls_token", json!(true));
    let (local, _files) = open(&model);
    assert_close(&embed(&local, TEXT, Purpose::Query).vector, &unit(rows_of_it[0].clone()));

    let modules = model.files["modules.json"].as_array().unwrap()[..2].to_vec();
    model.files.insert("modules.json".into(), modules.into());
    let (local, _files) = open(&model);
    assert_close(&embed(&local, TEXT, Purpose::Query).vector, &rows_of_it[0]);
}

#[test]
fn prefixes_count_for_the_vector_but_are_no_tokens_of_the_text() {
    let mut model = TinyModel::encoder(2);
    let (bare, _files) = open(&model);
    let prompts = json!({"query": "ask: ", "passage": "find this: "});
    model.set("config_sentence_transformers.json", "prompts", prompts);
    let (prefixed, _files) = open(&model);
    for (purpose, prefix) in [(Purpose::Query, "ask: "), (Purpose::Document, "find this: ")] {
        let whole = format!("{prefix}{TEXT}");
        let embedding = embed(&prefixed, TEXT, purpose);
        assert_close(&embedding.vector, &embed(&bare, &whole, purpose).vector);
        let tokens = bare.tokenizer().count(TEXT).unwrap();
        assert_eq!(embedding.token_count, tokens);
        let rows = rows(&bare, &bare.tokenizer().encode(&whole, 24).unwrap());
        // The last row is the special token at the end.
        let own: Vec<f32> = rows[rows.len() - 1 - tokens..rows.len() - 1]
            .iter()
            .flat_map(|row| unit(row.clone()))
            .collect();
        assert_close(&embedding.tokens.unwrap().data, &own);
        let room = prefixed.room(purpose).unwrap();
        assert_eq!(room, 22 - bare.tokenizer().count(prefix).unwrap());
        assert!(!embed(&prefixed, &"the ".repeat(room), purpose).truncated);
        assert!(embed(&prefixed, &"the ".repeat(room + 1), purpose).truncated);
    }
}

#[test]
fn a_prefix_that_fills_the_window_is_refused() {
    let mut model = TinyModel::encoder(2);
    let prompts = json!({"query": "the ".repeat(30), "passage": ""});
    model.set("config_sentence_transformers.json", "prompts", prompts);
    let (local, _files) = open(&model);
    let error = local.embed(&[TEXT], Purpose::Query, Detail::Vector, &mut || Ok(())).unwrap_err();
    assert_eq!(error.sqlstate(), "F0000");
    assert_eq!(embed(&local, TEXT, Purpose::Document).vector.len(), HIDDEN);
}

fn scores(model: &LocalModel, query: &str, documents: &[&str]) -> Vec<f32> {
    model.rerank(query, documents, &mut || Ok(())).unwrap()
}

#[test]
fn a_cross_encoder_scores_each_pair_by_itself() {
    let (model, _files) = open(&TinyModel::cross_encoder(3));
    let documents = ["the cat", "", "a hat and the hat and a cat", "dog"];
    let together = scores(&model, "the hat", &documents);
    for (document, score) in documents.iter().zip(&together) {
        assert_close(&scores(&model, "the hat", &[document]), &[*score]);
    }
    assert!(together.iter().any(|score| (score - together[0]).abs() > 1e-3), "{together:?}");
    assert!(scores(&model, "the hat", &[]).is_empty());
}

#[test]
fn only_documents_are_cut_to_a_cross_encoders_window() {
    let (model, _files) = open(&TinyModel::cross_encoder(4));
    let window = model.manifest().max_tokens;
    let room = window - 3 - model.tokenizer().count("the hat").unwrap();
    let fits = "cat ".repeat(room);
    let longer = format!("{fits} and a hat");
    assert_close(&scores(&model, "the hat", &[&longer]), &scores(&model, "the hat", &[&fits]));
    let error = model.rerank(&"the ".repeat(window), &["cat"], &mut || Ok(())).unwrap_err();
    assert_eq!(error.sqlstate(), "54000");
    let error = model.rerank("  ", &["cat"], &mut || Ok(())).unwrap_err();
    assert_eq!(error.sqlstate(), "22023");
}

#[test]
fn a_reranker_does_not_embed() {
    let (model, _files) = open(&TinyModel::cross_encoder(5));
    let error = model.embed(&[TEXT], Purpose::Query, Detail::Vector, &mut || Ok(())).unwrap_err();
    assert_eq!(error.sqlstate(), "42804");
}
