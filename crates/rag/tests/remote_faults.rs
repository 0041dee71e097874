//! Every way a provider can fail: a documented outcome, in bounded time, and nothing left behind.
#[path = "provider/mod.rs"]
#[allow(dead_code)]
mod provider;
#[path = "support/remote.rs"]
#[allow(dead_code)]
mod support;

use provider::server::Server;
use rag::model::generator::{Conversation, Generator as _};
use rag::model::{Detail, Embedder as _, Purpose, Reranker as _};
use rag::remote::{Embedder, Generator, RemoteKind, Reranker, Spec, Url};
use rag::{Error, Result};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{client, client_within, embed, embedder, no_check, spec};

/// One call of a kind.
fn call(spec: Spec) -> Result<()> {
    let kind = spec.kind;
    let client = client(spec);
    match kind {
        RemoteKind::Embedder => embed(&client, &["a", "b"]).map(drop),
        RemoteKind::Reranker => Reranker(&client).rerank("a", &["a", "b"], &mut no_check).map(drop),
        RemoteKind::Generator => {
            Generator(&client).generate(&Conversation::default(), &mut no_check).map(drop)
        }
    }
}

/// The outcome of a call that meets this fault every time, and how many requests it made.
fn always(kind: RemoteKind, fault: &Value) -> (Option<Error>, usize) {
    let server = Server::start();
    server.always(fault.clone());
    let error = call(Spec { retries: 1, timeout: Duration::from_secs(3), ..spec(&server, kind) });
    (error.err(), server.requests().len())
}

const KINDS: [RemoteKind; 3] = [RemoteKind::Embedder, RemoteKind::Reranker, RemoteKind::Generator];

#[test]
fn every_fault_has_its_outcome() {
    let status = |status: u16| json!({"status": status, "headers": {"retry-after": "0"}});
    for (fault, sqlstate, requests) in [
        // Trying again may help.
        (status(429), "53400", 2),
        (status(500), "08000", 2),
        (status(503), "08000", 2),
        (json!("reset"), "08000", 2),
        (json!("reset_in_body"), "08000", 2),
        (json!("no_http"), "08000", 2),
        // It was answered, and paid for: not again.
        (json!("truncated"), "08P01", 1),
        (json!("oversized"), "08P01", 1),
        (json!("announced_oversized"), "08P01", 1),
        (json!("html"), "08P01", 1),
        (json!("empty"), "08P01", 1),
        (json!("other_json"), "08P01", 1),
        (json!("invalid_utf8"), "08P01", 1),
        // Someone must change something.
        (status(401), "28000", 1),
        (status(404), "42704", 1),
        (status(400), "38000", 1),
        (
            json!({"status": 307, "headers": {"location": "http://169.254.169.254/latest/meta-data/"}}),
            "F0000",
            1,
        ),
        (json!({"status": 302, "headers": {"location": "https://evil.example/"}}), "F0000", 1),
        // The deadline is over.
        (json!("hang"), "08000", 1),
    ] {
        for kind in KINDS {
            let started = Instant::now();
            let (error, sent) = always(kind, &fault);
            let error = error.unwrap_or_else(|| panic!("{kind:?} {fault} succeeded"));
            assert_eq!(error.sqlstate(), sqlstate, "{kind:?} {fault}: {error}");
            assert_eq!(sent, requests, "{kind:?} {fault}");
            assert!(error.hint().is_some(), "{kind:?} {fault}: {error}");
            assert!(started.elapsed() < Duration::from_secs(5), "{kind:?} {fault}");
        }
    }
}

#[test]
fn vectors_and_scores_that_cannot_be_are_refused() {
    for (kind, fault, sqlstate) in [
        (RemoteKind::Embedder, "wrong_count", "08P01"),
        (RemoteKind::Embedder, "one_more", "08P01"),
        (RemoteKind::Embedder, "repeated_index", "08P01"),
        (RemoteKind::Embedder, "nan", "08P01"),
        (RemoteKind::Embedder, "infinite", "08P01"),
        (RemoteKind::Embedder, "nulls", "08P01"),
        (RemoteKind::Embedder, "zeros", "08P01"),
        (RemoteKind::Embedder, "wrong_dimensions", "F0000"),
        (RemoteKind::Reranker, "repeated_index", "08P01"),
        (RemoteKind::Reranker, "beyond", "08P01"),
        (RemoteKind::Reranker, "nulls", "08P01"),
    ] {
        let (error, sent) = always(kind, &json!(fault));
        let error = error.unwrap_or_else(|| panic!("{kind:?} {fault} succeeded"));
        assert_eq!((error.sqlstate(), sent), (sqlstate, 1), "{kind:?} {fault}: {error}");
    }
}

#[test]
fn transient_failures_are_retried_with_the_same_idempotency_key() {
    for kind in KINDS {
        let server = Server::start();
        server.script(&[
            json!({"status": 503}),
            json!("reset"),
            json!({"status": 429, "headers": {"retry-after-ms": "20"}}),
        ]);
        call(spec(&server, kind)).unwrap();
        let requests = server.requests();
        assert_eq!(requests.len(), 4, "{kind:?}");
        let key = |i: usize| requests[i].headers["idempotency-key"].clone();
        assert!((1..4).all(|i| key(i) == key(0)), "a repeated request can be known again");
        call(spec(&server, kind)).unwrap();
        assert_ne!(server.requests()[4].headers["idempotency-key"], key(0));
    }
}

#[test]
fn retry_after_is_obeyed_by_all_and_bounded_by_the_deadline() {
    let server = Server::start();
    server.script(&[json!({"status": 429, "headers": {"retry-after": "1"}})]);
    let client = client(Spec { max_items: 1, ..embedder(&server) });
    embed(&client, &["a", "b", "c"]).unwrap();
    let at: Vec<f64> = server.requests().iter().map(|r| r.at.as_secs_f64()).collect();
    let pause = at.last().unwrap() - at[0];
    assert!((0.95..2.5).contains(&pause), "{pause}");

    // A pause that the deadline does not allow is not begun.
    server.script(&[json!({"status": 429, "headers": {"retry-after": "3600"}})]);
    let started = Instant::now();
    let error = embed(&client, &["a"]).unwrap_err();
    assert_eq!(error.sqlstate(), "53400");
    assert!(started.elapsed() < Duration::from_secs(1));
    // Nor does anyone else send before it is over.
    let sent = server.requests().len();
    let error = embed(&client, &["a"]).unwrap_err();
    assert_eq!((error.sqlstate(), server.requests().len()), ("53400", sent));
}

#[test]
fn a_limit_that_is_used_up_holds_the_next_request() {
    let server = Server::start();
    let headers =
        json!({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "600ms"});
    server.script(&[json!({"headers": headers})]);
    let client = client(embedder(&server));
    embed(&client, &["a"]).unwrap();
    embed(&client, &["a"]).unwrap();
    let at: Vec<f64> = server.requests().iter().map(|r| r.at.as_secs_f64()).collect();
    assert!(at[1] - at[0] >= 0.58, "{at:?}");
}

#[test]
fn one_deadline_bounds_all_retries_and_a_dripping_body() {
    for fault in
        [json!("drip"), json!("hang"), json!({"status": 503}), json!({"wait": 250, "status": 500})]
    {
        let server = Server::start();
        server.always(fault.clone());
        let timeout = Duration::from_millis(700);
        let started = Instant::now();
        let spec = Spec { timeout, retries: 20, ..embedder(&server) };
        let texts = vec!["some text"; 30];
        embed(&client(spec), &texts).unwrap_err();
        let took = started.elapsed();
        assert!(took < Duration::from_secs(1), "{fault} took {took:?}");
    }
}

#[test]
fn a_generator_that_drips_or_is_silent_is_given_up_after_its_timeout() {
    for fault in [json!("drip"), json!("hang")] {
        let server = Server::start();
        server.always(fault.clone());
        let started = Instant::now();
        let timeout = Duration::from_millis(700);
        let error = call(Spec { timeout, retries: 20, ..spec(&server, RemoteKind::Generator) });
        let took = started.elapsed();
        assert_eq!(error.unwrap_err().sqlstate(), "08000", "{fault}");
        assert!(took < Duration::from_secs(1), "{fault} took {took:?}");
    }
}

#[test]
fn a_cancel_acts_at_once_and_leaves_nothing() {
    let server = Server::start();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    for fault in
        [json!("hang"), json!("drip"), json!({"status": 503, "headers": {"retry-after": "9"}})]
    {
        server.always(fault.clone());
        let client = client(embedder(&server));
        let before = (threads(), server.connections().1);
        let mut slowest = Duration::ZERO;
        for _ in 0..10 {
            let started = Instant::now();
            let mut cancel = || {
                if started.elapsed() < Duration::from_millis(30) {
                    Ok(())
                } else {
                    Err(Error::cancelled())
                }
            };
            let texts = vec!["some text"; 30];
            let result =
                Embedder(&client).embed(&texts, Purpose::Query, Detail::Vector, &mut cancel);
            assert!(result.unwrap_err().is_cancelled());
            slowest = slowest.max(started.elapsed());
        }
        assert!(slowest < Duration::from_millis(230), "{fault}: {slowest:?}");
        drop(client); // and with it connections kept for a next call
        // The provider's own threads see their connections end a moment later.
        let end = Instant::now() + Duration::from_secs(3);
        while (threads() > before.0 || server.connections().1 > before.1) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(server.connections().1 <= before.1, "{fault}: connections are left");
    }
}

#[test]
fn a_peer_that_never_accepts_is_left_at_once() {
    // A listener whose queue is full does not answer the first packet.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _full: Vec<_> = (0..600)
        .map_while(|_| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok()
        })
        .collect();
    let server = Server::start();
    let url = Url::parse(&format!("http://{address}/v1")).unwrap();
    let client = client(Spec { url, ..embedder(&server) });
    let started = Instant::now();
    let mut cancel = || {
        if started.elapsed() < Duration::from_millis(30) { Ok(()) } else { Err(Error::cancelled()) }
    };
    let result = Embedder(&client).embed(&["x"], Purpose::Query, Detail::Vector, &mut cancel);
    assert!(result.unwrap_err().is_cancelled());
    assert!(started.elapsed() < Duration::from_millis(230), "{:?}", started.elapsed());
}

#[test]
fn addresses_are_checked_before_anything_is_sent() {
    let server = Server::start();
    let port = server.address.port();
    let refused = |url: String, allowed: &str| {
        let spec = Spec { url: Url::parse(&url).unwrap(), retries: 3, ..embedder(&server) };
        embed(&client_within(spec, allowed), &["x"]).unwrap_err()
    };
    for (url, allowed) in [
        (format!("http://127.0.0.1:{port}/v1"), ""),
        (format!("http://127.0.0.1:{port}/v1"), "localhost"),
        (format!("http://localhost:{port}/v1"), ""),
        (format!("https://localhost:{port}/v1"), ""),
        (format!("http://localhost:{port}/v1"), "localhost:1"),
        (format!("https://[::ffff:127.0.0.1]:{port}/v1"), ""),
        ("http://169.254.169.254/v1".to_owned(), ""),
        ("https://169.254.169.254/v1".to_owned(), "localhost"),
    ] {
        let error = refused(url.clone(), allowed);
        assert_eq!(error.sqlstate(), "42501", "{url}: {error}");
    }
    // Spellings of this machine's address that only a resolver understands.
    for host in ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0"] {
        let error = refused(format!("https://{host}:{port}/v1"), "");
        assert!(matches!(error.sqlstate(), "42501" | "08000"), "{host}: {error}");
    }
    assert!(server.requests().is_empty() && server.connections().0 == 0);
    let spec = Spec {
        url: Url::parse(&format!("http://localhost:{port}/v1")).unwrap(),
        ..embedder(&server)
    };
    embed(&client_within(spec, "localhost"), &["x"]).unwrap();
}

#[test]
fn a_host_that_is_not_known_is_an_error_of_the_network() {
    let server = Server::start();
    let url = Url::parse("https://no-such-host.invalid/v1").unwrap();
    let spec = Spec { url, retries: 0, timeout: Duration::from_secs(5), ..embedder(&server) };
    assert_eq!(embed(&client(spec), &["x"]).unwrap_err().sqlstate(), "08000");
}

#[test]
fn one_failed_batch_ends_the_call_without_further_requests() {
    let server = Server::start();
    server.script(&[Value::Null, Value::Null, json!({"status": 400})]);
    let client = client(Spec { max_items: 1, concurrency: 1, ..embedder(&server) });
    embed(&client, &["a", "b", "c", "d", "e"]).unwrap_err();
    assert_eq!(server.requests().len(), 3);
    let calls = client.take_calls();
    assert_eq!(calls.iter().filter(|call| call.is_success).count(), 2);
    assert_eq!(calls[2].status, Some(400));
    assert_eq!(calls[0].request_id.as_deref(), Some("req-1"));
}
