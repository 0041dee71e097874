//! The command line of `rag-model`: what it prints, where, and its exit status.
#[path = "support/hub.rs"]
#[allow(dead_code)]
mod hub;
#[path = "support/tiny_model.rs"]
mod tiny_model;

use hub::{Reply, Server};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tiny_model::TinyModel;

fn rag_model(models: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rag-model"))
        .args(arguments)
        .env("RAG_PG_MODEL_PATH", models)
        .env_remove("HF_TOKEN")
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .output()
        .unwrap()
}

#[track_caller]
fn assert_ends(output: &Output, status: i32, stdout: &str, stderr: &str) {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}{err}");
    assert!(out.contains(stdout), "{stdout:?} is not in {out:?}");
    assert!(err.contains(stderr), "{stderr:?} is not in {err:?}");
}

#[test]
fn import_list_and_verify_work_together() {
    let (models, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let directory = source.path().join("tiny-model");
    TinyModel::encoder(4).write(&directory);
    let run = |arguments: &[&str]| rag_model(models.path(), arguments);
    let path = directory.to_str().unwrap();

    assert_ends(&run(&["list"]), 0, "", "no models");
    assert_ends(&run(&["import", path]), 0, "installed tiny-model@", "");
    assert_ends(&run(&["import", path]), 0, "installed already", "");
    assert_ends(&run(&["import", path, "--fp32", "--name=full"]), 0, "fp32", "");
    assert_ends(&run(&["list"]), 0, "tiny-model  embedder  32          24      int8", "");
    assert_ends(&run(&["verify"]), 0, "tiny-model@", "");
    let listed = run(&["list", "--json"]).stdout;
    let first = listed.split(|b| *b == b'\n').next().unwrap();
    let first: serde_json::Value = serde_json::from_slice(first).unwrap();
    assert_eq!((&first["name"], &first["is_current"]), (&"full".into(), &true.into()));
    assert_eq!(first["manifest"]["precision"], "fp32");

    let weights = Path::new(first["path"].as_str().unwrap()).join("model.onnx");
    fs::write(&weights, "gone").unwrap();
    assert_ends(&run(&["verify", "tiny-model"]), 0, "ok", "");
    assert_ends(&run(&["verify", "full"]), 1, "damaged", "sha256");
    assert_ends(&run(&["verify"]), 1, "tiny-model@", "hint: Import the model again.");
    assert_ends(&run(&["import", path, "--fp32", "--name", "full"]), 0, "was damaged", "");
    assert_ends(&run(&["verify"]), 0, "ok", "");
    fs::remove_dir_all(weights.parent().unwrap()).unwrap();
    assert_ends(&run(&["verify", "full"]), 1, "damaged", "manifest.json");
    assert_ends(&run(&["list"]), 0, "damaged", "");
}

#[test]
fn failures_explain_themselves() {
    let models = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| rag_model(models.path(), arguments);
    assert_ends(&run(&["import", "/no/such/model"]), 1, "", "hint: ");
    assert_ends(
        &run(&["import", models.path().to_str().unwrap(), "--name", "a b"]),
        1,
        "",
        "\"a b\"",
    );
    assert_ends(&run(&["verify", "absent"]), 1, "", "not installed");
    assert_ends(&run(&["verify", "../absent"]), 1, "", "cannot name a model");
    assert_ends(&run(&["pull", "not a model"]), 1, "", "owner/name");
    for wrong in [&["import"][..], &["frob"], &[], &["list", "--fp32"], &["list", "x"], &["pull"]] {
        assert_ends(&run(wrong), 2, "", "rag-model --help");
    }
    assert_ends(&run(&["--help"]), 0, "rag-model pull OWNER/NAME", "");
    assert_ends(&run(&["import", "-h"]), 0, "Exit status", "");
    assert_ends(&run(&["--version"]), 0, env!("CARGO_PKG_VERSION"), "");
}

#[test]
fn pull_fetches_and_installs() {
    let files = TinyModel::cross_encoder(5).files();
    let siblings: Vec<_> =
        files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
    let commit = "c".repeat(40);
    let info = serde_json::json!({"sha": commit, "siblings": siblings}).to_string();
    let server = Server::start(move |request| {
        if request.path.starts_with("/api/") {
            return Reply::new(200, info.clone());
        }
        let bytes = &files[request.path.rsplit('/').next().unwrap()];
        let hash = rag::model::manifest::sha256_hex(bytes);
        Reply::new(200, bytes.clone()).header("ETag", hash)
    });
    let models = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rag-model"))
        .args(["pull", "someone/reranker", "--models", models.path().to_str().unwrap()])
        .env("HF_ENDPOINT", &server.address)
        .output()
        .unwrap();
    assert_ends(&output, 0, "installed reranker@", "fetched model.safetensors");
    assert!(!server.requests().is_empty());
    let listed = rag_model(models.path(), &["list", "--json"]);
    let entry: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(entry["manifest"]["kind"], "reranker");
    let origin = entry["manifest"]["origin"].as_str().unwrap();
    assert!(origin.ends_with(&format!("/someone/reranker@{commit}")), "{origin}");
}
