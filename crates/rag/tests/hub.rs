//! Fetching from a hub: the layout it speaks, and every way it can fail.
#[path = "support/hub.rs"]
mod hub;
#[path = "support/tiny_model.rs"]
mod tiny_model;

use hub::{Reply, Request, Server};
use rag::model::hub::{HubSettings, Snapshot};
use rag::model::import::source::ModelSource;
use rag::model::import::{Options, import};
use rag::model::manifest::{Precision, hex, sha256_hex};
use rag::{Error, Result};
use serde_json::json;
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tiny_model::TinyModel;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const MODEL: &str = "someone/tiny";

fn git_hash(bytes: &[u8]) -> String {
    let header = format!("blob {}\0", bytes.len());
    hex(&Sha1::new().chain_update(header).chain_update(bytes).finalize())
}

/// What a hub says about the model.
fn info(files: &BTreeMap<String, Vec<u8>>) -> Reply {
    let siblings: Vec<_> = files.keys().map(|name| json!({"rfilename": name})).collect();
    Reply::new(200, json!({"sha": COMMIT, "siblings": siblings}).to_string())
}

/// How a hub answers for a file that is not stored elsewhere.
fn small(bytes: &[u8]) -> Reply {
    Reply::new(200, bytes).header("ETag", format!("\"{}\"", git_hash(bytes)))
}

/// A hub with these files, except where `other` answers.
fn serve(
    files: BTreeMap<String, Vec<u8>>,
    other: impl Fn(&Request, &str) -> Option<Reply> + Send + 'static,
) -> Server {
    Server::start(move |request| {
        if request.path == format!("/api/models/{MODEL}/revision/main") {
            return other(request, "").unwrap_or_else(|| info(&files));
        }
        let prefix = format!("/{MODEL}/resolve/{COMMIT}/");
        let Some(name) = request.path.strip_prefix(&prefix) else {
            return other(request, &request.path)
                .unwrap_or_else(|| Reply::new(404, "no such path"));
        };
        let file = || files.get(name).map_or_else(|| Reply::new(404, "no such file"), |b| small(b));
        other(request, name).unwrap_or_else(file)
    })
}

fn settings(server: &Server) -> HubSettings {
    let mut settings = HubSettings::new(&server.address, Some("hf_secret"));
    settings.pause = Duration::from_millis(1);
    settings.timeout = Duration::from_secs(5);
    settings
}

fn open(settings: HubSettings) -> Result<Snapshot> {
    Snapshot::open(settings, MODEL, "main", Box::new(|_, _, _| ()))
}

fn one_file(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    [("weights.bin".to_owned(), bytes.to_vec())].into()
}

/// Reads `weights.bin` from a hub where `other` answers.
fn read(
    bytes: &[u8],
    other: impl Fn(&Request) -> Option<Reply> + Send + 'static,
) -> Result<Vec<u8>> {
    let server = serve(
        one_file(bytes),
        move |request, name| {
            if name == "weights.bin" { other(request) } else { None }
        },
    );
    open(settings(&server))?.read("weights.bin").map(Option::unwrap)
}

#[track_caller]
fn assert_fails(result: Result<Vec<u8>>, words: &str) -> Error {
    let error = result.expect_err("this must fail");
    assert!(error.to_string().contains(words), "{words:?} is not in {error}");
    assert!(!error.to_string().contains("hf_secret"));
    error
}

#[test]
fn a_pulled_model_is_the_imported_one() {
    let model = TinyModel::encoder(3);
    let directory = tempfile::tempdir().unwrap();
    model.write(directory.path());
    let options =
        Options { name: "tiny".into(), precision: Precision::Int8, origin: String::new() };
    let expected = import(&ModelSource::open(directory.path()).unwrap(), &options).unwrap();

    let server = serve(model.files(), |_, _| None);
    let snapshot = open(settings(&server)).unwrap();
    assert_eq!(snapshot.commit(), COMMIT);
    let pulled = import(&ModelSource::Hub(snapshot), &options).unwrap();
    assert!(pulled == expected);
    let requests = server.requests();
    assert!(requests.iter().all(|r| r.headers["authorization"] == "Bearer hf_secret"));
    assert!(requests.iter().all(|r| r.headers["user-agent"].starts_with("rag-model/")));
    let weights = requests.iter().filter(|r| r.path.ends_with("model.safetensors")).count();
    assert_eq!(weights, 1);
}

#[test]
fn large_files_come_from_elsewhere_and_the_token_does_not_go_there() {
    let bytes = vec![7; 300_000];
    let elsewhere = {
        let bytes = bytes.clone();
        // The other host tags its copies its own way.
        Server::start(move |_| Reply::new(200, bytes.clone()).header("ETag", "\"5f-1\""))
    };
    let location = format!("{}/blob?signature=1", elsewhere.address);
    let digest = sha256_hex(&bytes);
    let found = read(&bytes, move |_| {
        let reply = Reply::new(302, "").header("Location", location.clone());
        Some(reply.header("X-Linked-Etag", format!("\"{digest}\"")).header("ETag", "\"other\""))
    });
    assert_eq!(found.unwrap(), bytes);
    let requests = elsewhere.requests();
    assert_eq!(requests.len(), 1);
    assert!(!requests[0].headers.contains_key("authorization"), "{requests:?}");
}

#[test]
fn redirects_within_the_hub_are_followed_and_loops_are_not() {
    let server = serve(one_file(b"hello\n"), |_, name| match name {
        "weights.bin" => Some(Reply::new(307, "").header("Location", "/cache/weights.bin")),
        "/cache/weights.bin" => Some(small(b"hello\n")),
        _ => None,
    });
    let read = open(settings(&server)).unwrap().read("weights.bin").unwrap().unwrap();
    assert_eq!(read, b"hello\n");
    assert_eq!(server.requests().last().unwrap().headers["authorization"], "Bearer hf_secret");

    let around =
        |request: &Request| Some(Reply::new(302, "").header("Location", request.path.clone()));
    assert_fails(self::read(b"x", around), "too many redirects");
    let nowhere = |_: &Request| Some(Reply::new(302, "").header("Location", "file:///etc/passwd"));
    assert_fails(self::read(b"x", nowhere), "where it must not");
}

#[test]
fn a_file_that_arrives_changed_is_refused() {
    let wrong = |_: &Request| Some(small(b"good").header("X-Linked-Etag", "a".repeat(64)));
    assert_fails(read(b"good", wrong), "arrived damaged");
    let wrong = |_: &Request| Some(Reply::new(200, "evil").header("ETag", git_hash(b"good")));
    assert_fails(read(b"good", wrong), "arrived damaged");
    let untagged = |_: &Request| Some(Reply::new(200, "good"));
    assert_fails(read(b"good", untagged), "no checksum");
}

#[test]
fn a_broken_transfer_is_resumed_where_it_broke() {
    let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    let all = bytes.clone();
    let server = serve(one_file(&bytes), move |request, name| {
        let from = request.headers.get("range").map_or(0, |range| {
            range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()
        });
        let status = if from == 0 { 200 } else { 206 };
        let reply = Reply::new(status, &all[from..]).header("ETag", git_hash(&all));
        (name == "weights.bin").then(|| if request.earlier < 5 { reply.cut(30_000) } else { reply })
    });
    let found = open(settings(&server)).unwrap().read("weights.bin").unwrap().unwrap();
    assert_eq!(found, bytes);
    let ranges: Vec<_> =
        server.requests().iter().filter_map(|r| r.headers.get("range").cloned()).collect();
    assert_eq!(ranges.len(), 5, "{ranges:?}");
    assert_eq!(ranges[0], "bytes=30000-");
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let bytes = vec![9; 100_000];
    let all = bytes.clone();
    let found = read(&bytes, move |request| {
        Some(if request.earlier == 0 { small(&all).cut(10) } else { small(&all) })
    });
    assert_eq!(found.unwrap(), bytes);
}

#[test]
fn a_transfer_that_never_completes_ends() {
    let error = assert_fails(read(&[1; 1000], |_| Some(small(&[1; 1000]).cut(0))), "completely");
    assert_eq!(error.sqlstate(), "08000");
    assert_fails(read(b"x", |_| Some(Reply::new(503, "busy"))), "status 503");
    let busy_once = |request: &Request| (request.earlier == 0).then(|| Reply::new(429, "slow"));
    assert_eq!(read(b"x", busy_once).unwrap(), b"x");
}

#[test]
fn refusals_are_final_and_say_what_to_do() {
    for (status, words) in [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (404, "revision")] {
        let server =
            serve(one_file(b"x"), move |_, name| name.is_empty().then(|| Reply::new(status, "no")));
        let error = open(settings(&server)).err().expect("refused");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert!(error.hint().unwrap().contains(words), "{:?}", error.hint());
        assert_eq!(server.requests().len(), 1, "a refusal is not asked again");
    }
}

#[test]
fn a_file_beyond_the_size_or_time_limit_is_an_error() {
    let server = serve(one_file(&[1; 5000]), |_, _| None);
    let mut small_limit = settings(&server);
    small_limit.max_bytes = 4000;
    let snapshot = open(small_limit).unwrap();
    assert_eq!(snapshot.read("weights.bin").unwrap_err().sqlstate(), "54000");

    let server = serve(one_file(b"x"), |_, name| {
        (name == "weights.bin").then(|| Reply::new(200, "").hanging())
    });
    let mut impatient = settings(&server);
    (impatient.timeout, impatient.retries) = (Duration::from_millis(100), 1);
    let started = Instant::now();
    assert_fails(open(impatient).unwrap().read("weights.bin").map(Option::unwrap), "could not get");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn answers_that_are_no_hubs_are_refused() {
    for body in
        ["<html>", "{}", r#"{"sha":"main"}"#, r#"{"sha":"../../0123456789abcdef0123456789abcdef"}"#]
    {
        let server =
            serve(one_file(b"x"), move |_, name| name.is_empty().then(|| Reply::new(200, body)));
        assert_eq!(open(settings(&server)).err().expect("refused").sqlstate(), "08000");
    }
    for endpoint in ["", "hub.example", "ftp://hub.example", "http://", "https://a:b@hub.example"] {
        let error = open(HubSettings::new(endpoint, None)).err().expect("refused");
        assert_eq!(error.sqlstate(), "22023", "{endpoint}");
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let server = serve(one_file(b"x"), |_, _| None);
    for name in ["", "/", "a/", "/a", "a/b/c", "../a", "a/..", "a b", "a?b", "a%2fb", "a/b@c"] {
        let opened = Snapshot::open(settings(&server), name, "main", Box::new(|_, _, _| ()));
        assert_eq!(opened.err().expect(name).sqlstate(), "22023", "{name}");
    }
    let opened = Snapshot::open(settings(&server), MODEL, "refs/pr/1", Box::new(|_, _, _| ()));
    assert!(opened.is_err());
    let path = &server.requests()[0].path;
    assert_eq!(path, &format!("/api/models/{MODEL}/revision/refs%2Fpr%2F1"));
}
