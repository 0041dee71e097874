//! Remote models against a provider that speaks every format: what goes out, what comes back.
#[path = "provider/mod.rs"]
#[allow(dead_code)]
mod provider;
#[path = "support/remote.rs"]
#[allow(dead_code)]
mod support;

use provider::api::vector;
use provider::server::Server;
use rag::model::generator::{Conversation, Generator as _, Turn};
use rag::model::{Detail, Embedder as _, Purpose, Reranker as _};
use rag::remote::{Credential, Embedder, Generator, KeySource, RemoteKind, Reranker, Spec, Url};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use support::{client, embed, embedder, no_check, spec};

#[test]
fn every_provider_of_vectors_is_understood() {
    let texts = ["red apples", "green pears", "blue plums"];
    for (provider, path, field) in [
        ("openai", "/v1/embeddings", "input"),
        ("azure", "/v1/embeddings", "input"),
        ("cohere", "/v1/embed", "texts"),
        ("voyage", "/v1/embeddings", "input"),
        ("jina", "/v1/embeddings", "input"),
        ("tei", "/v1/embed", "inputs"),
        ("ollama", "/v1/api/embed", "input"),
    ] {
        let server = Server::start();
        let client = client(Spec { provider: provider.into(), ..embedder(&server) });
        let embeddings = Embedder(&client)
            .embed(&texts, Purpose::Document, Detail::Vector, &mut no_check)
            .expect(provider);
        let expected: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, 8)).collect();
        let found: Vec<Vec<f32>> = embeddings.into_iter().map(|e| e.vector).collect();
        assert_eq!(found, expected, "{provider}");
        let request = &server.requests()[0];
        assert_eq!(request.path, path, "{provider}");
        assert_eq!(request.body[field], json!(texts), "{provider}");
        assert_eq!(client.take_calls()[0].items, 3);
    }
}

#[test]
fn every_provider_of_scores_is_understood() {
    let documents = ["nothing here", "the red apples are ripe", "red"];
    for (provider, path) in [
        ("openai", "/v1/rerank"),
        ("cohere", "/v1/rerank"),
        ("voyage", "/v1/rerank"),
        ("jina", "/v1/rerank"),
        ("tei", "/v1/rerank"),
    ] {
        let server = Server::start();
        let client =
            client(Spec { provider: provider.into(), ..spec(&server, RemoteKind::Reranker) });
        let scores =
            Reranker(&client).rerank("ripe red apples", &documents, &mut no_check).expect(provider);
        assert_eq!(scores, [0.0, 0.3, 0.1], "{provider}");
        assert_eq!(server.requests()[0].path, path, "{provider}");
    }
}

#[test]
fn every_generator_is_understood() {
    for (provider, path) in [
        ("openai", "/v1/chat/completions"),
        ("azure", "/v1/chat/completions"),
        ("cohere", "/v1/chat"),
        ("anthropic", "/v1/messages"),
        ("ollama", "/v1/api/chat"),
    ] {
        let server = Server::start();
        server.script(&[json!({"say": "Hello."})]);
        let client =
            client(Spec { provider: provider.into(), ..spec(&server, RemoteKind::Generator) });
        let turn = Turn { is_model: false, text: "Say hello.".into() };
        let conversation = Conversation { system: "Be kind.".into(), turns: vec![turn] };
        let said = Generator(&client).generate(&conversation, &mut no_check).expect(provider);
        assert_eq!((&*said.text, said.is_cut), ("Hello.", false), "{provider}");
        assert_eq!((said.input_tokens, said.output_tokens), (Some(70), Some(7)), "{provider}");
        let request = &server.requests()[0];
        assert_eq!(request.path, path, "{provider}");
        let sent = request.body.to_string();
        assert!(sent.contains("Be kind.") && sent.contains("Say hello."), "{provider}");
        assert!(sent.contains("0.1"), "{provider} is asked at its temperature: {sent}");
        let roles: Vec<_> = request.body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["role"].clone())
            .collect();
        assert_eq!(roles.contains(&json!("system")), provider != "anthropic");

        server.script(&[json!("cut")]);
        assert!(Generator(&client).generate(&conversation, &mut no_check).unwrap().is_cut);
    }
}

#[test]
fn purposes_prefixes_and_parameters_go_out() {
    let server = Server::start();
    let ask = |provider: &str, purpose| {
        let spec = Spec {
            provider: provider.into(),
            query_prefix: "query: ".into(),
            parameters: json!({"dimensions": 4, "encoding_format": null})
                .as_object()
                .unwrap()
                .clone(),
            dimensions: Some(4),
            ..embedder(&server)
        };
        let client = client(spec);
        Embedder(&client).embed(&["x"], purpose, Detail::Vector, &mut no_check).unwrap();
        server.requests().pop().unwrap().body
    };
    let body = ask("openai", Purpose::Query);
    assert_eq!(body["input"], json!(["query: x"]));
    assert_eq!(body["dimensions"], json!(4));
    assert_eq!(body.get("encoding_format"), None, "NULL takes a parameter out");
    let body = ask("cohere", Purpose::Query);
    assert_eq!(body["input_type"], "search_query");
    let body = ask("voyage", Purpose::Document);
    assert_eq!((&body["input"], &body["input_type"]), (&json!(["x"]), &json!("document")));
}

#[test]
fn batches_keep_the_limits_and_texts_their_order() {
    let server = Server::start();
    let spec = Spec { max_items: 7, max_request_tokens: 40, concurrency: 3, ..embedder(&server) };
    let client = client(spec);
    let texts: Vec<String> =
        (0..60).map(|i| format!("word{i} and {}", "more ".repeat(i % 9))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embeddings = embed(&client, &texts).unwrap();
    let expected: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, 8)).collect();
    assert!(embeddings.into_iter().map(|e| e.vector).eq(expected));
    let sizes: Vec<usize> =
        server.requests().iter().map(|r| r.body["input"].as_array().unwrap().len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 60, "each text is sent once");
    assert!(sizes.iter().all(|size| *size <= 7));
    let (connections, _) = server.connections();
    assert!(connections <= 3, "{connections} connections for {} requests", sizes.len());
}

#[test]
fn too_many_tokens_are_halved_and_remembered() {
    let server = Server::start();
    let too_many = json!({"status": 400, "body": {"error": {"message": "maximum context length is 10 tokens"}}});
    server.script(&[too_many.clone(), too_many.clone()]);
    let client = client(Spec { concurrency: 1, ..embedder(&server) });
    let texts = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    assert_eq!(embed(&client, &texts).unwrap().len(), 8);
    let sizes = || -> Vec<usize> {
        server.requests().iter().map(|r| r.body["input"].as_array().unwrap().len()).collect()
    };
    assert_eq!(sizes(), [8, 4, 2, 2, 4]);
    embed(&client, &texts).unwrap();
    assert!(sizes()[5..].iter().all(|size| *size <= 2), "{:?}", sizes());

    server.script(&[too_many]);
    let error = embed(&client, &["a text"]).unwrap_err();
    assert_eq!(error.sqlstate(), "54000");
}

#[test]
fn the_key_goes_where_it_belongs_and_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, "sk-very-secret").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server::start();
    let credential = |prefix: String| Credential {
        name: "k".into(),
        url_prefix: Url::parse(&prefix).unwrap(),
        source: KeySource::File(path.clone()),
    };
    for (provider, kind, header, value) in [
        ("openai", RemoteKind::Embedder, "authorization", "Bearer sk-very-secret"),
        ("azure", RemoteKind::Embedder, "api-key", "sk-very-secret"),
        ("anthropic", RemoteKind::Generator, "x-api-key", "sk-very-secret"),
    ] {
        let mut spec = Spec { provider: provider.into(), ..spec(&server, kind) };
        spec.credential = Some(credential(server.url("/v1")));
        let client = client(spec);
        if kind == RemoteKind::Embedder {
            embed(&client, &["x"]).unwrap();
        } else {
            Generator(&client).generate(&Conversation::default(), &mut no_check).unwrap();
        }
        let request = server.requests().pop().unwrap();
        assert_eq!(request.headers[header], value);
        assert!(!request.body.to_string().contains("secret"));

        // A peer that repeats what it was sent does not get the key into an error.
        server.script(&[json!({"status": 400, "body": "echo"})]);
        let error = if kind == RemoteKind::Embedder {
            embed(&client, &["x"]).unwrap_err()
        } else {
            Generator(&client).generate(&Conversation::default(), &mut no_check).unwrap_err()
        };
        assert!(error.detail().unwrap().contains("***"), "{error:?}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    let before = server.requests().len();
    let mut elsewhere = embedder(&server);
    elsewhere.credential = Some(credential(server.url("/v2")));
    assert_eq!(elsewhere.check().unwrap_err().sqlstate(), "42501");
    let error = embed(&client(elsewhere), &["x"]).unwrap_err();
    assert_eq!(error.sqlstate(), "42501");
    assert_eq!(server.requests().len(), before, "nothing was sent");
}

#[test]
fn the_limit_of_requests_is_kept_and_used() {
    let server = Server::start();
    let mut spec = Spec { max_items: 1, concurrency: 4, ..embedder(&server) };
    spec.limits.requests = Some(1200);
    let client = client(spec);
    let texts = vec!["text"; 40];
    embed(&client, &texts).unwrap();
    let mut at: Vec<f64> = server.requests().iter().map(|r| r.at.as_secs_f64()).collect();
    at.sort_by(f64::total_cmp);
    let took = at.last().unwrap() - at[0];
    assert!(took >= 39.0 * 0.05 - 0.02, "40 requests at 20 a second took {took:.3} s");
    assert!(took <= 39.0 * 0.05 / 0.9, "at least nine tenths of the limit are used: {took:.3} s");
}

#[test]
fn models_are_checked_when_they_are_made() {
    let server = Server::start();
    assert!(embedder(&server).check().is_ok());
    let wrong: Vec<(Spec, &str)> = vec![
        (Spec { provider: "acme".into(), ..embedder(&server) }, "22023"),
        (Spec { provider: "anthropic".into(), ..embedder(&server) }, "0A000"),
        (Spec { dimensions: None, ..embedder(&server) }, "22023"),
        (Spec { dimensions: Some(0), ..embedder(&server) }, "22023"),
        (Spec { dimensions: Some(8), ..spec(&server, RemoteKind::Reranker) }, "22023"),
        (Spec { max_items: 101, ..embedder(&server) }, "22023"),
        (Spec { max_items: 0, ..embedder(&server) }, "22023"),
        (Spec { temperature: Some(f64::NAN), ..embedder(&server) }, "22023"),
        (Spec { temperature: Some(3.0), ..embedder(&server) }, "22023"),
        (Spec { timeout: std::time::Duration::ZERO, ..embedder(&server) }, "22023"),
        (Spec { retries: 1000, ..embedder(&server) }, "22023"),
        (Spec { max_output_tokens: 9000, ..spec(&server, RemoteKind::Generator) }, "22023"),
    ];
    for (spec, sqlstate) in wrong {
        let error = spec.check().expect_err(&format!("{spec:?}"));
        assert_eq!(error.sqlstate(), sqlstate, "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
    let (one, other) = (embedder(&server), Spec { query_prefix: "q".into(), ..embedder(&server) });
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_eq!(
        one.fingerprint(),
        Spec { retries: 9, name: "b".into(), ..one.clone() }.fingerprint()
    );
}
