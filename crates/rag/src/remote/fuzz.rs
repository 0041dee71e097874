//! The targets of [`crate::fuzz`] that need this module's private parts.
use super::call::read_stream;
use super::check;
use super::failure::CallFailure;
use super::provider::{self, Provider};
use super::retry::asked_pause;
use super::stream::StreamObserver;
use crate::model::generator::Generated;
use std::io::{self, Read};
use std::time::SystemTime;

/// Most bytes of a streamed response here.
const MAX_BYTES: u64 = 1 << 20;

fn providers() -> impl Iterator<Item = &'static dyn Provider> {
    provider::names().into_iter().filter_map(provider::by_name)
}

/// Gives so many bytes at a time.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.1).min(self.0.len());
        let (now, later) = self.0.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

/// A streamed response is the same however it is cut, and its text is what was passed on.
pub fn stream(mut data: &[u8]) {
    let step = usize::from(data.split_off_first().copied().unwrap_or_default()).max(1);
    for provider in providers() {
        let read = |step: usize| -> Option<Generated> {
            let mut text = String::new();
            let mut say = |more: &str| text.push_str(more);
            let mut observer = StreamObserver::new(provider, "m".to_owned(), &mut say);
            observer.begin();
            let body = read_stream(Slow(data, step), MAX_BYTES, "m", &mut observer, None).ok()?;
            assert!(body == data || observer.hangs_up() && data.starts_with(&body));
            let generated = observer.finish(&body).ok()?;
            assert_eq!(text, generated.text);
            Some(generated)
        };
        assert_eq!(read(step), read(usize::MAX), "of {}", provider.name());
    }
}

/// Responses and refusals of every provider.
pub fn replies(data: &[u8]) {
    for provider in providers() {
        if let Ok(vectors) = provider.vectors(data) {
            let count = vectors.vectors.len();
            if check::vectors(&vectors.vectors, count, None, "m").is_ok() {
                assert!(vectors.vectors.iter().flatten().all(|number| number.is_finite()));
            }
        }
        if let Ok(scores) = provider.scores(data) {
            for documents in [1, 3] {
                if let Ok(found) = check::scores(&scores, documents) {
                    assert_eq!(found.len(), documents);
                    assert!(found.iter().all(|score| score.is_finite()), "{found:?}");
                }
            }
        }
        let _ = provider.completion(data);
    }
    for status in [200, 400, 429, 500] {
        let failure = CallFailure::of_status("model \"m\"", status, data, None, None);
        assert!(failure.error.hint().is_some() && failure.error.detail().is_some());
    }
    let text = String::from_utf8_lossy(data);
    let header = |_: &str| Some(&*text);
    let _ = asked_pause(header, SystemTime::UNIX_EPOCH);
    let _ = asked_pause(
        |name| name.contains("reset").then_some(&*text).or(Some("0")),
        SystemTime::UNIX_EPOCH,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;
    use crate::answer::generate::{GeneratedAnswer, generate, needs_fallback};
    use crate::model::Checkpoint;
    use crate::model::generator::{Conversation, Generator};
    use proptest::test_runner::{Config, TestRunner};
    use serde_json::{Value, json};

    const PASSAGE: &str =
        "VACUUM reclaims storage of 12 dead rows. It runs beside readers. Anna wrote it in 1996.";
    /// The first two follow from the passage, the others do not.
    const CLAIMS: [(&str, &str); 4] = [
        ("VACUUM frees storage.", "VACUUM reclaims storage of 12 dead rows."),
        ("It was written by Anna in 1996.", "Anna wrote it in 1996."),
        ("VACUUM reclaims storage of 99 dead rows.", "VACUUM reclaims storage of 12 dead rows."),
        ("It does not run beside readers.", "It runs beside readers."),
    ];
    const MUTATIONS_OF_A_DIALECT: u32 = 1_000;

    /// Gives a reply as a provider's client would.
    struct Recorded(Result<Generated>);

    impl Generator for Recorded {
        fn context(&self) -> usize {
            100_000
        }
        fn max_output_tokens(&self) -> usize {
            1_000
        }
        fn count(&self, text: &str) -> usize {
            text.len()
        }
        fn generate(&self, _: &Conversation, _: Checkpoint<'_>) -> Result<Generated> {
            self.0.clone()
        }
    }

    fn read(provider: &'static dyn Provider, body: &[u8], is_streamed: bool) -> Result<Generated> {
        let malformed = |why: String| CallFailure::malformed("m", &why).error;
        if !is_streamed {
            return provider.completion(body).map_err(malformed);
        }
        let mut say = |_: &str| {};
        let mut observer = StreamObserver::new(provider, "m".to_owned(), &mut say);
        observer.begin();
        let read = read_stream(Slow(body, 64), MAX_BYTES, "m", &mut observer, None);
        read.and_then(|body| observer.finish(&body)).map_err(|failure| failure.error)
    }

    /// A reply in each provider's format, whole and streamed.
    fn dialects() -> Vec<(&'static str, bool, String)> {
        let claims: Vec<Value> =
            CLAIMS.iter().map(|(text, quote)| json!({"text": text, "quotes": [quote]})).collect();
        let text = json!({"claims": claims}).to_string();
        let usage = json!({"input_tokens": 1, "output_tokens": 2});
        let data = |events: &[Value]| -> String {
            let events: Vec<String> =
                events.iter().map(|event| format!("data: {event}\n\n")).collect();
            events.concat()
        };
        let openai = json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage});
        let openai_events = [
            json!({"choices": [{"delta": {"reasoning_content": "hm"}}]}),
            json!({"choices": [{"delta": {"content": text}}]}),
            json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage}),
        ];
        let anthropic = json!({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage});
        let anthropic_events = [
            json!({"type": "message_start", "message": {"usage": usage}}),
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}),
            json!({"type": "message_stop"}),
        ];
        let cohere = json!({"message": {"content": [{"type": "text", "text": text}]}, "finish_reason": "COMPLETE"});
        let cohere_events = [
            json!({"type": "message-start", "delta": {"message": {"content": []}}}),
            json!({"type": "content-delta", "delta": {"message": {"content": {"text": text}}}}),
            json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
        ];
        let ollama = json!({"message": {"content": text}, "done": true, "eval_count": 3});
        vec![
            ("openai", false, openai.to_string()),
            ("openai", true, data(&openai_events)),
            ("anthropic", false, anthropic.to_string()),
            ("anthropic", true, data(&anthropic_events)),
            ("cohere", false, cohere.to_string()),
            ("cohere", true, data(&cohere_events)),
            ("ollama", false, ollama.to_string()),
            ("ollama", true, format!("{ollama}\n")),
        ]
    }

    fn check(body: &str, written: &Result<GeneratedAnswer>) {
        let Ok(written) = written else {
            let error = written.as_ref().expect_err("an error");
            assert!(
                error.hint().is_some() && needs_fallback(written).is_some(),
                "{body}: {error:?}"
            );
            return;
        };
        for citation in &written.citations {
            assert!(PASSAGE.contains(&citation.quote), "{body}");
        }
        // What the passage does not say is not said, whatever became of it on the way.
        let numbers = |text: &str| -> Vec<String> {
            let words = text.split(|c: char| !c.is_ascii_digit());
            words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        for claim in written.claims.iter().filter(|claim| claim.verified_by.is_some()) {
            let said = claim.shown.as_ref().unwrap_or(&claim.text);
            let is_known = |number: &String| ["12", "1996"].contains(&&**number);
            assert!(numbers(said).iter().all(is_known), "{said} of {body}");
            assert!(!said.contains(" not ") && !claim.markers.is_empty(), "{said} of {body}");
        }
    }

    #[test]
    fn mutated_replies_of_every_dialect_have_a_documented_outcome() {
        let pieces = [
            "\"", "\\", "{", "}", "[", "]", ",", ":", "null", "<think>", "</think>", "\n", "9",
            "é", "data: ",
        ];
        for (name, is_streamed, body) in dialects() {
            let provider = provider::by_name(name).expect("a provider");
            let answer = |body: &str| {
                let model = Recorded(read(provider, body.as_bytes(), is_streamed));
                generate(&model, "What does VACUUM do?", &[PASSAGE], None, &mut || Ok(()))
            };
            let whole = answer(&body).expect("an answer");
            check(&body, &Ok(whole.clone()));
            let held = whole
                .claims
                .iter()
                .filter(|claim| claim.shown.is_none() && claim.verified_by.is_some());
            assert_eq!(held.count(), 2, "{name}");
            let edits = proptest::collection::vec((0..4_u8, 0..body.len(), 0..40_usize), 1..4);
            let config = Config {
                cases: MUTATIONS_OF_A_DIALECT,
                failure_persistence: None,
                ..Config::default()
            };
            let ran = TestRunner::new(config).run(&edits, |edits| {
                let mut mutated = body.clone();
                for (how, at, length) in edits {
                    let at = mutated.floor_char_boundary(at);
                    let end = mutated.floor_char_boundary(at + length);
                    match how {
                        0 => mutated.replace_range(at..end, ""),
                        1 => mutated.truncate(at),
                        2 => mutated.insert_str(at, pieces[length % pieces.len()]),
                        _ => {
                            let again = mutated[at..end].to_owned();
                            mutated.insert_str(at, &again);
                        }
                    }
                }
                check(&mutated, &answer(&mutated));
                Ok(())
            });
            assert!(ran.is_ok(), "{name}: {ran:?}");
        }
    }
}
