mod forms;

use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

const REPLY: &str = r#"Sure: ```json
{"note": [{"text": "x", "quotes": []}], "claims": [
 {"text": "A \"b\" } ] é", "quotes": [{"passage": 1, "quote": "q{"}, {"passage": 2, "quote": "\\"}]},
 {"text": "C", "quotes": []}
], "more": {"claims": [{"text": "no", "quotes": []}]}}
``` "#;

fn texts(reply: &str, is_over: bool) -> Vec<String> {
    read(reply, is_over).claims.into_iter().map(|claim| claim.text).collect()
}

proptest! {
    #[test]
    fn claims_of_a_beginning_are_the_first_of_the_whole(cut in 0_usize..400, which in 0_usize..4) {
        let reply = [
            REPLY,
            r#"<think>{"claims":[{"text":"no","quotes":["x"]}]}</think> {"quotes":["b c"],"answer":"It is so. And so."} {"claims":[{"text":"d","quotes":["e"]}]}"#,
            r#"[{"text":"a","quotes":["b","c"]},{"text":"a","quotes":["b","c"]},{"claims":[{"text":"d"}]}]"#,
            r#"Okay, the user wants me to think about what they have written above and then to give an answer. {"claims":[{"text":"no","quotes":["x"]}]} so </think>{"quotes":["y"],"answer":"z"}"#,
        ][which];
        let whole = read(reply, true).claims;
        let part = read(&reply[..reply.floor_char_boundary(cut.min(reply.len()))], false).claims;
        prop_assert!(whole.starts_with(&part), "{part:?} of {whole:?}");
    }

    #[test]
    fn any_reply_is_read(reply in "[a\"{}\\[\\]:,<>/ ]{0,60}|\\PC{0,30}") {
        let (part, whole) = (read(&reply, false), read(&reply, true));
        prop_assert!(whole.claims.starts_with(&part.claims));
    }
}

#[test]
fn a_claim_is_found_with_its_last_byte() {
    let end = REPLY.find("\"}]},").unwrap() + 4;
    assert!(texts(&REPLY[..end - 1], false).is_empty());
    assert_eq!(texts(&REPLY[..end], false).len(), 1);
    assert_eq!(texts(REPLY, true), ["A \"b\" } ] é", "C"]);
}

#[test]
fn thoughts_are_never_claims() {
    let draft = r#"{"claims":[{"text":"draft","quotes":["x"]}]}"#;
    let long =
        "The user wants to know this and I have to think about it for a while before I answer it.";
    for thought in [
        format!("<think>{draft}"),
        format!("<THINK>\n{draft}</think>"),
        format!("<thinking>{draft}</thinking> <think>{draft}</think>"),
        format!("{long} {draft} {long} </think>"),
    ] {
        assert!(texts(&thought, true).is_empty(), "{thought}");
        for end in 0..=thought.len() {
            assert!(texts(&thought[..end], false).is_empty(), "{thought}");
        }
    }
}

#[test]
fn any_reply_takes_linear_time() {
    for piece in [
        "[",
        "{",
        "[1,",
        "{\"a\":",
        "<think></think>",
        "[\"",
        "{\"a\":[",
        "\"",
        "[1 ",
        "{\"claims\":[{\"text\":\"a\",",
    ] {
        let started = Instant::now();
        let _ = read(&piece.repeat(100_000 / piece.len()), true);
        assert!(started.elapsed() < Duration::from_secs(5), "{piece}: {:?}", started.elapsed());
    }
}
