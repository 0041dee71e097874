//! The forms that models give to claims.
use super::super::super::claims::{MAX_ITEMS, Reading};
use super::super::read;

fn texts(reply: &str) -> Vec<String> {
    read(reply, true).claims.into_iter().map(|claim| claim.text).collect()
}

fn quotes(reply: &str) -> Vec<(Option<usize>, String)> {
    let claims = read(reply, true).claims;
    claims
        .into_iter()
        .flat_map(|claim| claim.quotes)
        .map(|quote| (quote.passage, quote.text))
        .collect()
}

#[test]
fn the_form_is_read_wherever_it_stands() {
    let json = r#"{"claims":[{"text":"a","quotes":[{"passage":2,"quote":"b"},{"passage":"3","quote":"c"}]}]}"#;
    let fenced = format!("Here it is:\n```json\n{json}\n```\nDone.");
    for reply in [json, &fenced] {
        assert_eq!(texts(reply), ["a"]);
        let passages: Vec<_> = quotes(reply).into_iter().map(|(passage, _)| passage).collect();
        assert_eq!(passages, [Some(2), Some(3)]);
    }
    assert_eq!(read(r#"{"claims":[]}"#, true), Reading::default());
}

#[test]
fn every_form_that_models_write_is_a_claim() {
    for reply in [
        r#"{"quotes":["b c"],"response":"It is a."}"#,
        r#"{"quotes":["b c"],"answer":"It is a."}"#,
        r#"{"answer":"It is a.","quotes":["b c"]}"#,
        r#"{"answer":"It is a.","quotes":"b c"}"#,
        r#"{"claims":[{"text":"It is a.","quotes":["b c"]}]}"#,
        r#"{"claims":[{"text":"It is a.","quotes":[{"quote":"b c"}]}]}"#,
        r#"{"claims":[{"claim":"It is a.","evidence":[{"text":"b c"}]}]}"#,
        r#"{"claims":{"text":"It is a.","quotes":["b c"]}}"#,
        r#"[{"text":"It is a.","quotes":["b c"]}]"#,
        r#"{"text":"It is a.","quotes":["b c"]}"#,
        r#"{"claims":[{"text":"It is a.","quotes":["b c"],},],}"#,
        r#"{"claims":[{"text":"It is a.","quotes":["b c"]}]} {this}"#,
        r#"{maybe} {"claims":[{"text":"It is a.","quotes":["b c"]}]}"#,
        r#"{"note":1} {"claims":[{"text":"It is a.","quotes":["b c"]}]}"#,
        r#"{"claims":[{"text":"It is a.","quotes":["b c"]}]}{"claims":[{"text":"It is a.","quotes":["b c"]}]}"#,
        r#"{"name":"answer","arguments":{"quotes":["b c"],"answer":"It is a."}}"#,
        r#"{"claims":[{"text":"It is a.","quotes":["b c"]}"#,
        r#"{"claims":[{"text":"It is a.","quotes":["b c"]},{"text":"It is d.","quotes":["e"#,
        r#"{"quotes":["b c"],"answer":"It is a."#,
        r#"{"quotes":["b c"],"answer":"It is a. It is not"#,
        r#"As [1] says: {"quotes":["b c"],"answer":"It is a."}"#,
        r#"<think>The form is {"claims": [{"text":"no","quotes":["no no"]}]}. {maybe}</think>{"quotes":["b c"],"answer":"It is a."}"#,
        r#"[THINK]{"answer":"no","quotes":["x"]}[/THINK]{"quotes":["b c"],"answer":"It is a."}"#,
        "<|channel|>analysis<|message|>{\"answer\":\"no\",\"quotes\":[\"x\"]}<|end|><|channel|>final<|message|>{\"quotes\":[\"b c\"],\"answer\":\"It is a.\"}",
    ] {
        let found = texts(reply);
        let is_open = reply.ends_with("It is a.");
        assert!(found == ["It is a."] || is_open && found.is_empty(), "{reply}: {found:?}");
        assert!(is_open || quotes(reply).iter().all(|(_, text)| text == "b c"), "{reply}");
        assert_eq!(read(reply, true).defect.is_none(), !found.is_empty(), "{reply}");
    }
}

#[test]
fn one_bad_claim_does_not_spoil_the_others() {
    let reply = r#"{"claims":[{"text":7},{"text":"a","quotes":[{"passage":-1,"quote":"b"},{"passage":1.5,"quote":"b"},{"quote":"b"},5]},"c",{"quotes":["d"]}]}"#;
    assert_eq!(texts(reply), ["a", "c"]);
    assert!(quotes(reply).iter().all(|(passage, _)| passage.is_none()));
    assert_eq!(read(reply, true).defect, None);
}

#[test]
fn no_answer_is_no_defect() {
    for reply in
        [r#"{"quotes":[],"answer":""}"#, r#"{"quotes":[],"answer":null}"#, r#"{"claims":[]}"#]
    {
        assert_eq!(read(reply, true), Reading::default(), "{reply}");
    }
}

#[test]
fn zero_characters_are_replaced() {
    let reply = r#"{"claims":[{"text":"a\u0000b","quotes":[{"passage":1,"quote":"\u0000"}]}]}"#;
    assert_eq!((&*texts(reply)[0], &*quotes(reply)[0].1), ("a\u{fffd}b", "\u{fffd}"));
}

#[test]
fn replies_in_another_form_name_what_is_missing() {
    for (reply, word) in [
        ("", "no JSON"),
        ("I think that", "no JSON"),
        ("} {", "no JSON"),
        ("[1]", "no JSON"),
        (r#"{"claims":[{"text":"a""#, "no JSON"),
        (r#"{"answer":"a"}"#, "quotes"),
        (r#"{"claims":"a"}"#, "claims"),
        (r#"{"claims":[5]}"#, "text"),
        (r#"{"claims":[{"text":1}]}"#, "text"),
        (r#"{"claims":[{"text":"a"}]}"#, "quotes"),
        (r#"{"quotes":["b"]}"#, "response"),
    ] {
        let why = read(reply, true).defect.unwrap_or_default();
        assert!(why.contains(word), "{reply}: {why}");
    }
}

#[test]
fn a_reply_without_end_is_cut() {
    let claims: Vec<String> =
        (0..1000).map(|n| format!(r#"{{"text":"a{n}","quotes":["b"]}}"#)).collect();
    let many = format!(r#"{{"claims":[{}]}}"#, claims.join(","));
    assert_eq!(texts(&many).len(), MAX_ITEMS);
    assert!(read(&"[".repeat(100_000), true).defect.is_some());
    assert!(read(&format!("{{\"claims\":{}}}", "[".repeat(100_000)), true).defect.is_some());
}

#[test]
fn a_claim_that_is_repeated_counts_once() {
    let claim = r#"{"text":"a","quotes":["b"]}"#;
    let reply =
        format!(r#"{{"claims":[{{"text":"c","quotes":["d"]}},{},"#, vec![claim; 200].join(","));
    assert_eq!(texts(&reply), ["c", "a"]);
}
