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

const FORM: &str = r#"{"answer":"Berlin is in Germany.","quotes":["Berlin is in Germany."]}"#;

/// What a generator of a provider makes of a response, whole (`stream` is false) or streamed, and how often it was asked.
fn said(
    provider: &str,
    body: &str,
    is_streamed: bool,
) -> (rag::Result<rag::model::generator::Generated>, String, usize) {
    let server = Server::start();
    server.script(&[json!({"status": 200, "body": body})]);
    let mut shown = String::new();
    let client = client(Spec {
        provider: provider.into(),
        retries: 1,
        ..spec(&server, RemoteKind::Generator)
    });
    let generator = Generator(&client);
    let said = if is_streamed {
        generator.stream(&hello(), &Cancel::default(), &mut |bit| shown.push_str(bit))
    } else {
        rag::model::generator::Generator::generate(&generator, &hello(), &mut support::no_check)
    };
    (said, shown, server.requests().len())
}

#[test]
fn thoughts_of_every_dialect_are_left_out() {
    let text = serde_json::to_string(FORM).unwrap();
    let whole = [
        (
            "openai",
            format!(
                r#"{{"choices":[{{"message":{{"content":[{{"type":"thinking","thinking":[{{"type":"text","text":"hm"}}]}},{{"type":"text","text":{text}}}]}},"finish_reason":"stop"}}]}}"#
            ),
        ),
        (
            "openai",
            format!(
                r#"{{"choices":[{{"message":{{"content":{text},"reasoning_content":"hm","reasoning":"hm"}},"finish_reason":"stop"}}]}}"#
            ),
        ),
        (
            "anthropic",
            format!(
                r#"{{"content":[{{"type":"thinking","thinking":"hm","signature":"x"}},{{"type":"text","text":{text}}}],"stop_reason":"end_turn"}}"#
            ),
        ),
        (
            "anthropic",
            format!(
                r#"{{"content":[{{"type":"tool_use","id":"1","name":"answer","input":{FORM}}}],"stop_reason":"tool_use"}}"#
            ),
        ),
        (
            "cohere",
            format!(
                r#"{{"message":{{"content":[{{"type":"thinking","thinking":"hm"}},{{"type":"text","text":{text}}}]}},"finish_reason":"COMPLETE"}}"#
            ),
        ),
        (
            "ollama",
            format!(
                r#"{{"message":{{"role":"assistant","content":{text},"thinking":"hm"}},"done":true}}"#
            ),
        ),
    ];
    let streamed = [
        (
            "openai",
            format!(
                "data: {{\"choices\":[{{\"delta\":{{\"reasoning_content\":\"hm\"}}}}]}}\n\ndata: {{\"choices\":[{{\"delta\":{{\"content\":[{{\"type\":\"thinking\",\"thinking\":[{{\"type\":\"text\",\"text\":\"hm\"}}]}}]}}}}]}}\n\ndata: {{\"choices\":[{{\"delta\":{{\"content\":[{{\"type\":\"text\",\"text\":{text}}}]}}}}]}}\n\ndata: {{\"usage\":{{\"prompt_tokens\":1}}}}\n\n"
            ),
        ),
        (
            "openai",
            format!(
                "data: {{\"choices\":[{{\"delta\":{{\"content\":{text}}},\"finish_reason\":\"stop\"}}]}}\n\ndata: {{\"choices\":null,\"usage\":{{}}}}\n\ndata: [DONE]\n\n"
            ),
        ),
        (
            "anthropic",
            format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"delta\":{{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}}}\n\nevent: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":{text}}}}}\n\ndata: {{\"type\":\"message_stop\"}}\n\n"
            ),
        ),
        (
            "cohere",
            format!(
                "data: {{\"type\":\"message-start\",\"delta\":{{\"message\":{{\"role\":\"assistant\",\"content\":[],\"tool_plan\":\"\",\"citations\":[]}}}}}}\n\ndata: {{\"type\":\"content-delta\",\"delta\":{{\"message\":{{\"content\":{{\"thinking\":\"hm\"}}}}}}}}\n\ndata: {{\"type\":\"content-delta\",\"delta\":{{\"message\":{{\"content\":{{\"text\":{text}}}}}}}}}\n\ndata: {{\"type\":\"message-end\",\"delta\":{{\"finish_reason\":\"COMPLETE\"}}}}\n\n"
            ),
        ),
        (
            "ollama",
            format!(
                "{{\"message\":{{\"content\":\"\",\"thinking\":\"hm\"}},\"done\":false}}\n{{\"message\":{{\"content\":{text}}},\"done\":false}}\n{{\"message\":{{\"content\":\"\"}},\"done\":true}}\n"
            ),
        ),
    ];
    for (cases, is_streamed) in [(&whole[..], false), (&streamed[..], true)] {
        for (provider, body) in cases {
            let (said, shown, requests) = said(provider, body, is_streamed);
            let said = said.unwrap_or_else(|error| panic!("{provider} {body}: {error:?}"));
            assert_eq!((&*said.text, requests), (FORM, 1), "{provider} {body}");
            assert!(!is_streamed || shown == FORM, "{provider} {body}");
        }
    }
}

#[test]
fn refusals_and_filters_are_told_and_not_asked_again() {
    for (provider, body, word) in [
        (
            "openai",
            r#"{"choices":[{"message":{"content":null},"finish_reason":"content_filter"}]}"#,
            "filter",
        ),
        (
            "openai",
            r#"{"choices":[{"message":{"content":null,"refusal":"I'm sorry."},"finish_reason":"stop"}]}"#,
            "I'm sorry",
        ),
        ("anthropic", r#"{"content":[],"stop_reason":"refusal"}"#, "declines"),
        ("cohere", r#"{"message":{"content":[]},"finish_reason":"ERROR_TOXIC"}"#, "filter"),
    ] {
        let server = Server::start();
        server.script(&[json!({"status": 200, "body": body})]);
        let client =
            client(Spec { provider: provider.into(), ..spec(&server, RemoteKind::Generator) });
        let passages = ["Berlin is in Germany."];
        let written = rag::answer::generate::generate(
            &Generator(&client),
            "Where?",
            &passages,
            None,
            &mut support::no_check,
        );
        assert!(rag::answer::generate::needs_fallback(&written).is_some());
        let error = written.unwrap_err();
        assert_eq!(error.sqlstate(), "38000", "{body}");
        assert!(error.detail().unwrap().contains(word), "{error:?}");
        assert_eq!(server.requests().len(), 1, "{body}");
    }
}

#[test]
fn errors_within_streams_keep_their_words() {
    for (provider, body, word, sqlstate, times) in [
        (
            "openai",
            "data: {\"error\":\"CUDA out of memory\"}\n\n",
            "CUDA out of memory",
            "08000",
            1,
        ),
        (
            "openai",
            "event: error\ndata: {\"message\":\"Overloaded\"}\n\n",
            "Overloaded",
            "08000",
            2,
        ),
        (
            "anthropic",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
            "Overloaded",
            "08000",
            2,
        ),
        (
            "ollama",
            "{\"error\":\"model requires more system memory (5.6 GiB) than is available\"}\n",
            "more system memory",
            "08000",
            1,
        ),
        (
            "openai",
            "data: {\"object\":\"error\",\"message\":\"bad key\",\"code\":401}\n\n",
            "bad key",
            "28000",
            1,
        ),
    ] {
        let server = Server::start();
        server.always(json!({"status": 200, "body": body}));
        let client = client(Spec {
            provider: provider.into(),
            retries: 1,
            ..spec(&server, RemoteKind::Generator)
        });
        let error =
            Generator(&client).stream(&hello(), &Cancel::default(), &mut |_| {}).unwrap_err();
        assert!(error.detail().unwrap().contains(word), "{body}: {error:?}");
        assert_eq!((error.sqlstate(), server.requests().len()), (sqlstate, times), "{body}");
    }
}

#[test]
fn a_stream_that_repeats_itself_is_hung_up_on() {
    let claim =
        json!({"text": "Berlin is in Germany.", "quotes": ["Berlin is in Germany."]}).to_string();
    let server = Server::start();
    server
        .always(json!({"say": format!("{{\"claims\":[{}", [&*claim; 500].join(",")), "pause": 1}));
    let client = client(spec(&server, RemoteKind::Generator));
    let mut shown = 0;
    let said = Generator(&client)
        .stream(&hello(), &Cancel::default(), &mut |bit| shown += bit.len())
        .unwrap();
    assert!(said.is_cut && shown < 2_000, "{shown}");
}

#[test]
fn a_stream_may_take_longer_than_its_timeout_but_not_be_silent_for_it() {
    let text = json!({"quotes": [], "answer": "A long story, told in small pieces. ".repeat(3)})
        .to_string();
    for (pause, is_told) in [(60, true), (900, false)] {
        let server = Server::start();
        server.script(&[json!({"say": text, "pause": pause})]);
        let timeout = Duration::from_millis(600);
        let client = client(Spec { timeout, retries: 0, ..spec(&server, RemoteKind::Generator) });
        let started = Instant::now();
        let said = Generator(&client).stream(&hello(), &Cancel::default(), &mut |_| {});
        assert_eq!(said.is_ok(), is_told, "{said:?}");
        assert!(!is_told || started.elapsed() > timeout);
    }
}
