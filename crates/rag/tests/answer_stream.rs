//! Answers that are shown while a model writes them: every provider's way of streaming, and what cuts it short.
#[path = "provider/mod.rs"]
#[allow(dead_code)]
mod provider;
#[path = "support/remote.rs"]
#[allow(dead_code)]
mod support;

use provider::server::Server;
use rag::answer::Status;
use rag::answer::stream::{AnswerPiece, Next, Stream};
use rag::model::generator::{Conversation, Turn};
use rag::remote::{Cancel, Generator, RemoteKind, Spec};
use serde_json::json;
use std::time::{Duration, Instant};
use support::{client, spec};

fn hello() -> Conversation {
    let turn = Turn { is_model: false, text: "Say hello.".into() };
    Conversation { system: "Be kind.".into(), turns: vec![turn] }
}

#[test]
fn every_provider_streams_its_text() {
    let text = "Hello, \"world\": {1}\nand äöü.";
    for provider in ["openai", "azure", "cohere", "anthropic", "ollama"] {
        let server = Server::start();
        server.script(&[json!({"say": text})]);
        let client =
            client(Spec { provider: provider.into(), ..spec(&server, RemoteKind::Generator) });
        let mut bits = Vec::new();
        let mut say = |bit: &str| bits.push(bit.to_owned());
        let said =
            Generator(&client).stream(&hello(), &Cancel::default(), &mut say).expect(provider);
        assert_eq!((&*said.text, said.is_cut), (text, false), "{provider}");
        assert_eq!((said.input_tokens, said.output_tokens), (Some(70), Some(7)), "{provider}");
        assert!(bits.len() > 3 && bits.concat() == text, "{provider}: {bits:?}");
        assert_eq!(server.requests()[0].body["stream"], json!(true), "{provider}");
        let call = &client.take_calls()[0];
        assert_eq!((call.counted.input, call.is_success), (Some(70), true), "{provider}");

        server.script(&[json!("cut")]);
        let said = Generator(&client).stream(&hello(), &Cancel::default(), &mut |_| {}).unwrap();
        assert!(said.is_cut, "{provider}");
    }
}

#[test]
fn a_server_that_does_not_stream_is_understood() {
    let server = Server::start();
    server.script(&[json!({"say": "Hello."})]);
    let parameters = json!({"stream": null}).as_object().unwrap().clone();
    let client = client(Spec { parameters, ..spec(&server, RemoteKind::Generator) });
    let mut streamed = String::new();
    let said =
        Generator(&client).stream(&hello(), &Cancel::default(), &mut |bit| streamed.push_str(bit));
    assert_eq!((said.unwrap().text, streamed), ("Hello.".to_owned(), "Hello.".to_owned()));
}

#[test]
fn a_stream_is_not_retried_after_its_first_text() {
    for (fault, sqlstate) in
        [("reset_in_body", "08000"), ("truncated", "08P01"), ("garbage", "08P01")]
    {
        let server = Server::start();
        server.always(json!(fault));
        let client = client(spec(&server, RemoteKind::Generator));
        let mut streamed = 0;
        let question = Conversation {
            turns: vec![Turn {
                is_model: false,
                text: "[passage 1 k]\nRed apples are ripe apples.\n[end 1 k]\nQuestion: red apples"
                    .into(),
            }],
            ..hello()
        };
        let said = Generator(&client).stream(&question, &Cancel::default(), &mut |_| streamed += 1);
        assert_eq!(said.unwrap_err().sqlstate(), sqlstate, "{fault}");
        assert!(streamed > 0, "{fault}: some text was streamed");
        assert_eq!(server.requests().len(), 1, "{fault}");
    }
    // Before the first bit trying again is fine.
    let server = Server::start();
    server.script(&[json!({"status": 500}), json!("reset"), json!({"say": "Hello."})]);
    let client = client(spec(&server, RemoteKind::Generator));
    let said = Generator(&client).stream(&hello(), &Cancel::default(), &mut |_| {});
    assert_eq!(said.unwrap().text, "Hello.");
}

#[test]
fn a_cancel_ends_a_stream_at_once() {
    let server = Server::start();
    server.always(json!({"say": "A long story. ".repeat(99), "pause": 20}));
    let client = client(spec(&server, RemoteKind::Generator));
    let cancel = Cancel::default();
    let started = Instant::now();
    let said = Generator(&client).stream(&hello(), &cancel, &mut |_| {
        if started.elapsed() > Duration::from_millis(200) {
            cancel.set();
        }
    });
    assert_eq!(said.unwrap_err().sqlstate(), "57014");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    while server.connections().1 > 0 {
        assert!(started.elapsed() < Duration::from_secs(5), "the connection is closed");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// All pieces of an answer whose model speaks in these bits, and its end.
fn answer(reply: &str, bits: usize) -> (Vec<AnswerPiece>, Next) {
    let server = Server::start();
    let client = client(spec(&server, RemoteKind::Generator));
    let passages =
        vec!["Paris is the capital of France.".to_owned(), "Berlin is in Germany.".to_owned()];
    let (mut stream, asked) = Stream::begin(&Generator(&client), "Where?", passages, None).unwrap();
    assert!(asked.is_some());
    let letters: Vec<char> = reply.chars().collect();
    let mut pieces = Vec::new();
    for bit in letters.chunks(bits) {
        pieces.extend(stream.push(&bit.iter().collect::<String>()));
    }
    let text = reply.to_owned();
    let generated = rag::model::generator::Generated { text, ..Default::default() };
    (pieces, stream.end_turn(generated).unwrap())
}

#[test]
fn claims_are_shown_when_they_are_proved() {
    let reply = json!({"claims": [
        {"text": "In Berlin [3].", "quotes": [{"passage": 2, "quote": "Berlin is in Germany."}]},
        {"text": "On the Moon.", "quotes": [{"passage": 1, "quote": "Paris is on the Moon."}]},
        {"text": "In Paris.", "quotes": [{"passage": 1, "quote": "paris is the capital"}]},
    ]})
    .to_string();
    for bits in [1, 5, 1000] {
        let (pieces, next) = answer(&reply, bits);
        let texts = pieces.iter().filter_map(|piece| match piece {
            AnswerPiece::Text(text) => Some(text.as_str()),
            AnswerPiece::Citation(_) => None,
        });
        assert_eq!(texts.collect::<Vec<_>>(), ["In Berlin. [1]", "In Paris. [2]"]);
        assert_eq!(pieces.len(), 4, "each with its citation before it");
        let Next::Done(rest, written) = next else { panic!("{next:?}") };
        assert!(rest.is_empty());
        assert_eq!(written.text, "In Berlin. [1] In Paris. [2]");
        assert_eq!(
            (written.status, written.citations.len(), written.claims.len()),
            (Status::Answered, 2, 3)
        );
    }
}

#[test]
fn a_malformed_reply_is_repaired_unless_text_was_shown() {
    let (pieces, next) = answer("I'd rather not.", 3);
    let Next::Ask(again) = next else { panic!("{next:?}") };
    assert!(pieces.is_empty() && again.turns.len() == 3);
    let (pieces, next) = answer(r#"{"claims": []}"#, 3);
    let Next::Done(_, written) = next else { panic!("{next:?}") };
    assert!(pieces.is_empty() && written.status == Status::NoAnswer);
}
