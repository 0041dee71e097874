//! What a failed call is blamed on, and replies that are read although they are not as they should be: against a
//! provider that behaves as public reports of real ones say.
#[path = "provider/mod.rs"]
#[allow(dead_code)]
mod provider;
#[path = "support/remote.rs"]
#[allow(dead_code)]
mod support;

use provider::server::Server;
use rag::Error;
use rag::model::generator::{Conversation, Generator as _};
use rag::model::{Detail, Embedder as _, Purpose, Reranker as _};
use rag::remote::{Blame, Client, Embedder, Generator, Partial, RemoteKind, Reranker, Spec};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{client, embed, embedder, no_check, spec};

/// So many texts, one of them poisonous.
fn texts(number: usize, poison: Option<usize>) -> Vec<String> {
    let text = |i| {
        if poison == Some(i) { "A poison text.".to_owned() } else { format!("text number {i}") }
    };
    (0..number).map(text).collect()
}

fn partly(client: &Client, texts: &[String]) -> Partial {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Embedder(client).embed_partly(&texts, 0, Purpose::Document, &mut no_check).unwrap()
}

/// What came of 300 texts of which number 150 is poisonous, and the requests it took.
fn of_300(fault: Value) -> (Partial, usize) {
    let server = Server::start();
    server.always(fault);
    let spec = Spec { max_items: 100, retries: 4, ..embedder(&server) };
    let partial = partly(&client(spec), &texts(300, Some(149)));
    (partial, server.requests().len())
}

#[test]
fn one_text_that_always_fails_is_found_in_few_requests() {
    let nan = json!({"error": "failed to encode response: json: unsupported value: NaN"});
    let flagged = json!({"error": {"message": "Your chosen model requires moderation and your input was flagged", "code": 403}});
    for (fault, attempts, words) in [
        (json!({"refuse": "poison", "status": 500, "body": nan}), 6, "unsupported value: NaN"),
        (json!({"refuse": "poison", "status": 403, "body": flagged}), 4, "your input was flagged"),
        (json!({"refuse": "poison", "status": 400}), 4, "scripted"),
        (
            json!({"refuse": "poison", "status": 422, "body": {"detail": [{"msg": "bad text"}]}}),
            4,
            "bad text",
        ),
        (
            json!({"refuse": "poison", "status": 451, "body": "for legal reasons"}),
            4,
            "for legal reasons",
        ),
        (json!({"refuse": "poison", "status": 200, "body": flagged}), 4, "your input was flagged"),
        (json!({"refuse": "poison", "fault": "nan"}), 6, "no JSON"),
        (json!({"refuse": "poison", "fault": "zeros"}), 6, "zeros"),
        (json!({"refuse": "poison", "fault": "html"}), 6, "welcome"),
    ] {
        let (partial, requests) = of_300(fault.clone());
        assert!(partial.fault.is_none(), "{fault}: {:?}", partial.fault);
        assert_eq!(partial.rejected.len(), 1, "{fault}");
        let (text, rejected) = &partial.rejected[0];
        assert_eq!((*text, rejected.blame), (149, Blame::Doubtful { attempts }), "{fault}");
        let detail = rejected.error.detail().unwrap_or_default();
        assert!(detail.contains(words), "{fault}: {detail}");
        assert_eq!(partial.embeddings.iter().flatten().count(), 299, "{fault}");
        println!("{fault}: {requests} requests for 300 texts, 3 without it");
        assert!(requests <= 3 + 13, "{fault}: {requests}");
    }
}

#[test]
fn a_text_that_breaks_the_connection_or_takes_too_long_is_put_off_alone() {
    for fault in ["reset", "hang"] {
        let server = Server::start();
        server.always(json!({"refuse": "poison", "fault": fault}));
        let timeout = Duration::from_millis(300);
        let spec = Spec { max_items: 16, retries: 1, timeout, ..embedder(&server) };
        let partial = partly(&client(spec), &texts(40, Some(21)));
        assert!(partial.fault.is_none(), "{fault}: {:?}", partial.fault);
        let rejected: Vec<_> = partial.rejected.iter().map(|(text, f)| (*text, f.blame)).collect();
        let attempts = if fault == "hang" { 6 } else { 16 };
        assert_eq!(rejected, [(21, Blame::Doubtful { attempts })], "{fault}");
        assert_eq!(partial.embeddings.iter().flatten().count(), 39, "{fault}");
        assert!(server.requests().len() <= 3 + 2 + 8, "{fault}: {}", server.requests().len());
    }
}

#[test]
fn texts_that_failed_before_are_asked_alone_after_the_others() {
    let server = Server::start();
    server.always(json!({"refuse": "poison", "status": 500}));
    let client = client(Spec { max_items: 100, retries: 4, ..embedder(&server) });
    let texts = texts(40, Some(39));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let made = Embedder(&client).embed_partly(&texts, 2, Purpose::Document, &mut no_check).unwrap();
    let sizes = |r: &provider::server::Request| r.body["input"].as_array().unwrap().len();
    let requests: Vec<usize> = server.requests().iter().map(sizes).collect();
    assert_eq!(requests[..1], [38], "{requests:?}");
    assert!(requests[1..].iter().all(|texts| *texts == 1) && requests.len() <= 4, "{requests:?}");
    assert_eq!(made.embeddings.iter().flatten().count(), 39);
    let rejected: Vec<_> = made.rejected.iter().map(|(text, f)| (*text, f.blame)).collect();
    assert_eq!(rejected, [(39, Blame::Doubtful { attempts: 6 })]);
}

#[test]
fn a_cancelled_call_keeps_what_its_requests_brought() {
    let server = Server::start();
    server.always(json!({"refuse": "poison", "fault": "hang"}));
    let client = client(Spec { max_items: 10, concurrency: 2, ..embedder(&server) });
    let texts = texts(30, Some(25));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut all_sent = None;
    let mut checkpoint = || {
        if server.requests().len() == 3 {
            all_sent.get_or_insert_with(Instant::now);
        }
        let is_over = all_sent.is_some_and(|at| at.elapsed() > Duration::from_millis(500));
        if is_over { Err(Error::cancelled()) } else { Ok(()) }
    };
    let made =
        Embedder(&client).embed_partly(&texts, 0, Purpose::Document, &mut checkpoint).unwrap();
    let has_result: Vec<bool> = made.embeddings.iter().map(Option::is_some).collect();
    assert_eq!(has_result, [[true; 20].as_slice(), &[false; 10]].concat());
    assert!(made.cancelled.is_some_and(|error| error.sqlstate() == Error::cancelled().sqlstate()));
    assert!(made.rejected.is_empty() && made.fault.is_none(), "nobody is at fault");
}

#[test]
fn where_nothing_succeeds_few_requests_are_spent_and_no_text_is_blamed() {
    let google = json!([{"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT"}}]);
    for (fault, whose, words) in [
        (json!({"status": 400, "body": google}), Blame::Model, "API key not valid"),
        (json!({"status": 200, "body": google}), Blame::Model, "API key not valid"),
        (json!({"status": 401, "body": {"error": "no key"}}), Blame::Model, "no key"),
        (
            json!({"status": 404, "body": {"error": "model not found"}}),
            Blame::Model,
            "model not found",
        ),
        (
            json!({"status": 403, "body": {"message": "Forbidden by policy"}}),
            Blame::Model,
            "Forbidden by policy",
        ),
        (
            json!({"unless": {"input_type": ["query", "passage"]}, "status": 400, "body": {"detail": "input_type is required"}}),
            Blame::Model,
            "input_type is required",
        ),
        (json!("html"), Blame::Model, "welcome"),
        (json!("other_json"), Blame::Model, "another form"),
        (json!({"status": 200, "body": {"error": "no such model"}}), Blame::Model, "no such model"),
        (json!({"status": 500}), Blame::Outage, "scripted"),
        (json!({"status": 413}), Blame::Model, "scripted"),
        (json!({"status": 500, "body": "CUDA out of memory"}), Blame::Outage, "out of memory"),
        (json!({"status": 502, "body": "Bad Gateway"}), Blame::Outage, "Bad Gateway"),
    ] {
        let server = Server::start();
        server.always(fault.clone());
        let spec = Spec { max_items: 100, concurrency: 32, retries: 1, ..embedder(&server) };
        let partial = partly(&client(spec), &texts(300, None));
        let found = partial.fault.expect("a fault");
        assert_eq!(found.blame, whose, "{fault}: {}", found.error);
        let detail = found.error.detail().unwrap_or_default();
        assert!(detail.contains(words), "{fault}: {detail}");
        assert!(partial.rejected.is_empty(), "{fault}");
        let requests = server.requests().len();
        println!("{fault}: {requests} requests");
        assert!(requests <= 10, "{fault}: {requests}");
    }
}

#[test]
fn where_nothing_succeeds_any_more_few_requests_are_spent() {
    for (fault, words) in [
        (json!({"status": 400, "body": {"error": "API key not valid"}}), "API key not valid"),
        (json!({"status": 403, "body": {"message": "Forbidden by policy"}}), "Forbidden by policy"),
        (json!({"status": 401, "body": {"error": "no key"}}), "no key"),
        (json!("html"), "welcome"),
        (json!({"status": 200, "body": {"error": "no such model"}}), "no such model"),
    ] {
        let server = Server::start();
        let client =
            client(Spec { max_items: 50, concurrency: 4, retries: 1, ..embedder(&server) });
        assert!(partly(&client, &texts(300, None)).fault.is_none());
        server.always(fault.clone());
        let (mut calls, before) = (0, server.requests().len());
        let found = loop {
            let partial = partly(&client, &texts(300, None));
            assert!(partial.rejected.is_empty(), "{fault}");
            calls += 1;
            let found = partial.fault.expect("a fault");
            if found.blame == Blame::Model {
                break found;
            }
            assert!(found.blame == Blame::Outage && calls < 5, "{fault}: {}", found.error);
        };
        let detail = found.error.detail().unwrap_or_default();
        assert!(detail.contains(words), "{fault}: {detail}");
        let requests = server.requests().len() - before;
        println!("{fault}: {requests} requests in {calls} calls");
        assert!(requests <= 10, "{fault}: {requests}");
    }
}

#[test]
fn a_model_that_works_is_not_blamed_for_accidents() {
    let server = Server::start();
    let client = client(Spec { retries: 0, ..embedder(&server) });
    assert!(partly(&client, &texts(3, None)).fault.is_none());
    let flagged = json!({"status": 403, "body": {"error": {"message": "your input was flagged"}}});
    // The text and the probe; two probes, a third that succeeds, and the text; the text and the probe once more, and three probes.
    for (script, expected) in [
        (vec![flagged.clone(), json!("nan")], Some(Blame::Outage)),
        (vec![flagged.clone(), json!("nan"), Value::Null, flagged.clone()], None),
        (vec![flagged.clone(), json!("nan")], Some(Blame::Outage)),
        (vec![json!("nan"), json!("nan"), json!("nan")], Some(Blame::Model)),
    ] {
        server.script(&script);
        let partial = partly(&client, &texts(1, Some(0)));
        assert_eq!(partial.fault.map(|fault| fault.blame), expected);
    }
}

#[test]
fn a_provider_that_asks_to_wait_in_a_success_is_obeyed() {
    let slow = json!({"error": {"message": "Rate limit exceeded: free tier", "code": 429}});
    for body in [
        slow.clone(),
        json!([slow]),
        json!({"code": "429", "message": "slow down"}),
        json!({"error": "Too Many Requests"}),
    ] {
        let server = Server::start();
        server.script(&[json!({"status": 200, "body": body}), Value::Null]);
        embed(&client(embedder(&server)), &["a"]).unwrap();
        assert_eq!(server.requests().len(), 2, "{body}");
        server.always(json!({"status": 200, "body": body}));
        let error = embed(&client(Spec { retries: 0, ..embedder(&server) }), &["a"]).unwrap_err();
        assert_eq!(error.sqlstate(), "53400", "{body}");
    }
    // As the first event of a stream.
    let server = Server::start();
    server.script(&[json!({"first": slow, "is_last": true}), json!({"say": "Hello."})]);
    let client = client(spec(&server, RemoteKind::Generator));
    let mut streamed = String::new();
    let said = Generator(&client).stream(
        &Conversation::default(),
        &rag::remote::Cancel::default(),
        &mut |bit| streamed.push_str(bit),
    );
    assert_eq!((said.unwrap().text, streamed), ("Hello.".to_owned(), "Hello.".to_owned()));
    // What else gateways send among the events is passed over.
    server.script(&[json!({"first": {"type": "ping", "cost": 1}, "say": "Hello."})]);
    let said = Generator(&client).stream(
        &Conversation::default(),
        &rag::remote::Cancel::default(),
        &mut |_| {},
    );
    assert_eq!(said.unwrap().text, "Hello.");
}

#[test]
fn a_request_that_is_too_large_is_made_smaller_in_every_dialect() {
    let tpm = json!({"error": {"message": "Request too large for m on tokens per min (TPM): Limit 40000, Requested 60000"}});
    for fault in [
        json!({"over_texts": 16, "status": 500, "body": "CUDA out of memory"}),
        json!({"over_texts": 16, "status": 413, "body": {"error": "batch size 100 > maximum allowed batch size 16"}}),
        json!({"over_texts": 16, "status": 422, "body": {"error": "batch size 100 > maximum allowed batch size 16"}}),
        json!({"over_texts": 16, "status": 400, "body": {"error": "in unknown words"}}),
        json!({"over_tokens": 200, "status": 429, "body": tpm}),
        json!({"over_bytes": 1000, "status": 413, "body": "<html>Request Entity Too Large</html>"}),
        json!({"over_bytes": 1000, "status": 500, "body": {"error": {"message": "input is too large to process. increase the physical batch size"}}}),
    ] {
        let server = Server::start();
        server.always(fault.clone());
        let client = client(Spec { max_items: 100, ..embedder(&server) });
        let partial = partly(&client, &texts(300, None));
        assert!(
            partial.fault.is_none() && partial.rejected.is_empty(),
            "{fault}: {:?} {:?}",
            partial.fault,
            partial.rejected
        );
        assert_eq!(partial.embeddings.iter().flatten().count(), 300, "{fault}");
        // What is remembered holds for the next call.
        let before = server.requests().len();
        let learnt = client.learnt();
        assert!(learnt.texts.is_some() || learnt.tokens.is_some(), "{fault}");
        println!("{fault}: {before} requests, learnt {learnt:?}");
        server.always(fault.clone());
        partly(&client, &texts(100, None));
        assert_eq!(client.learnt(), learnt, "{fault}");
    }
}

#[test]
fn a_size_that_an_accident_taught_grows_again() {
    let server = Server::start();
    let client = client(Spec { max_items: 8, ..embedder(&server) });
    // 1,600 texts, in calls of 100.
    let requests = || {
        let before = server.requests().len();
        for _ in 0..16 {
            assert!(partly(&client, &texts(100, None)).fault.is_none());
        }
        server.requests().len() - before
    };
    server.always(json!({"over_texts": 1, "status": 500, "body": "CUDA out of memory"}));
    partly(&client, &texts(8, None));
    assert_eq!(client.learnt().texts, Some(1));
    server.always(Value::Null);
    let taken = requests();
    assert!((200..600).contains(&taken), "{taken}");
    // Where the limit is a real one, trying costs little.
    server.always(json!({"over_texts": 4, "status": 500, "body": "CUDA out of memory"}));
    partly(&client, &texts(8, None));
    let taken = requests();
    assert!(taken < 420, "{taken}");
}

#[test]
fn one_text_that_is_too_large_teaches_no_size() {
    let server = Server::start();
    let fault = json!({"over_bytes": 2000, "status": 500, "body": {"error": {"message": "input is too large to process. increase the physical batch size"}}});
    server.always(fault);
    let client = client(embedder(&server));
    let mut texts = texts(20, None);
    texts[11] = "long ".repeat(500);
    let partial = partly(&client, &texts);
    assert_eq!(
        partial.rejected.iter().map(|(text, f)| (*text, f.blame)).collect::<Vec<_>>(),
        [(11, Blame::Doubtful { attempts: 6 })]
    );
    assert_eq!(partial.embeddings.iter().flatten().count(), 19);
    assert_eq!(client.learnt(), rag::remote::Learnt::default());
}

#[test]
fn a_slow_server_gets_requests_that_it_can_answer_in_time() {
    let server = Server::start();
    server.always(json!({"a_text": 20}));
    let timeout = Duration::from_secs(1);
    let client = client(Spec { max_items: 100, timeout, ..embedder(&server) });
    let partial = partly(&client, &texts(150, None));
    assert!(
        partial.fault.is_none() && partial.rejected.is_empty(),
        "{:?} {:?}",
        partial.fault,
        partial.rejected
    );
    assert_eq!(partial.embeddings.iter().flatten().count(), 150);
    let before = server.requests().len();
    partly(&client, &texts(60, None));
    let sizes = |r: &provider::server::Request| r.body["input"].as_array().unwrap().len();
    assert!(server.requests()[before..].iter().all(|r| sizes(r) <= 50));
}

#[test]
fn replies_are_read_leniently() {
    let documents = ["nothing here", "the red apples are ripe", "red"];
    for fault in ["no_zero_index", "no_index", "usage_strings", "bom", "gzip"] {
        let server = Server::start();
        server.always(json!(fault));
        let client = client(embedder(&server));
        let texts = ["red apples", "green pears", "blue plums"];
        let found = embed(&client, &texts).unwrap_or_else(|e| panic!("{fault}: {e:?}"));
        let expected = texts.map(|text| provider::api::vector(text, 8));
        assert!(found.into_iter().map(|e| e.vector).eq(expected), "{fault}");
        assert_eq!(client.take_calls()[0].counted.input, Some(7), "{fault}");
        let client = support::client(spec(&server, RemoteKind::Reranker));
        let scores = Reranker(&client).rerank("ripe red apples", &documents, &mut no_check);
        match fault {
            // They come in the order of their scores: whose they are is not to be guessed.
            "no_index" => {
                let error = scores.unwrap_err();
                assert!(error.detail().unwrap().contains("which documents"), "{error:?}");
            }
            _ => assert_eq!(scores.unwrap(), [0.0, 0.3, 0.1], "{fault}"),
        }
    }
    let server = Server::start();
    server.always(json!("best_two"));
    let client = support::client(spec(&server, RemoteKind::Reranker));
    let scores = Reranker(&client).rerank("ripe red apples", &documents, &mut no_check).unwrap();
    assert_eq!(scores, [-0.9, 0.3, 0.1], "those that are missing rank last");
}

#[test]
fn parameters_can_depend_on_the_purpose() {
    let server = Server::start();
    server.always(json!({"unless": {"input_type": ["query", "passage"]}, "status": 400}));
    let one = |value: Value| value.as_object().unwrap().clone();
    let spec = Spec {
        query_parameters: one(json!({"input_type": "query"})),
        document_parameters: one(json!({"input_type": "passage"})),
        ..embedder(&server)
    };
    assert_ne!(spec.fingerprint(), embedder(&server).fingerprint());
    let client = client(spec);
    for (purpose, value) in [(Purpose::Query, "query"), (Purpose::Document, "passage")] {
        Embedder(&client).embed(&["x"], purpose, Detail::Vector, &mut no_check).unwrap();
        assert_eq!(server.requests().pop().unwrap().body["input_type"], value);
    }
    let other = Spec {
        query_parameters: one(json!({"a": 1})),
        ..support::spec(&server, RemoteKind::Reranker)
    };
    assert_eq!(other.check().unwrap_err().sqlstate(), "22023");
}

#[test]
fn parameters_that_a_provider_does_not_take_are_left_out_once_for_all() {
    let deprecated = json!({"error": {"type": "invalid_request_error", "message": "`temperature` is deprecated for this model."}});
    let renamed = json!({"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."}});
    let pydantic = json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "response_format"], "msg": "Extra inputs are not permitted"}]});
    let faults = json!([
        {"has": "max_tokens", "status": 400, "body": renamed},
        {"has": "temperature", "status": 400, "body": deprecated},
        {"has": "response_format", "status": 422, "body": pydantic},
        {"say": "Hello."},
    ]);
    let server = Server::start();
    server.always(faults.clone());
    let client = client(spec(&server, RemoteKind::Generator));
    let ask = || Generator(&client).generate(&Conversation::default(), &mut no_check);
    assert_eq!(ask().unwrap().text, "Hello.");
    assert_eq!(server.requests().len(), 4);
    assert_eq!(ask().unwrap().text, "Hello.");
    let requests = server.requests();
    assert_eq!(requests.len(), 5, "it is remembered");
    assert_eq!(requests[4].body["max_completion_tokens"], 1024);
    assert_eq!(
        client.learnt().adapted.names(),
        ["no temperature", "no response_format", "max_completion_tokens for max_tokens"]
    );
    // What the model's own parameters ask for is not left out: the refusal is theirs to read.
    let parameters = json!({"temperature": 0.5}).as_object().unwrap().clone();
    let own = support::client(Spec { parameters, ..spec(&server, RemoteKind::Generator) });
    let error = Generator(&own).generate(&Conversation::default(), &mut no_check).unwrap_err();
    assert!(error.detail().unwrap().contains("`temperature` is deprecated"), "{error:?}");
    // Nor is a request sent that was not asked for.
    server.always(Value::Null);
    let none = support::client(Spec { temperature: None, ..spec(&server, RemoteKind::Generator) });
    Generator(&none).generate(&Conversation::default(), &mut no_check).unwrap();
    assert_eq!(server.requests().pop().unwrap().body.get("temperature"), None);
}

#[test]
fn ollama_is_asked_for_one_window() {
    let server = Server::start();
    let client = client(Spec { provider: "ollama".into(), ..spec(&server, RemoteKind::Generator) });
    for system in ["short".to_owned(), "long ".repeat(900)] {
        let conversation = Conversation { system, ..Conversation::default() };
        Generator(&client).generate(&conversation, &mut no_check).unwrap();
        assert_eq!(server.requests().pop().unwrap().body["options"]["num_ctx"], 8192);
    }
}
