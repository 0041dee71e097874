//! Answers that a generator writes, as SQL shows them.
use super::Row;
use crate::Result;
use crate::answer::generate::{Checked, Found, Usage, Written, generate};
use crate::pg::interrupt;
use crate::remote::{Client, Generator};
use pgrx::JsonB;
use serde_json::{Value, json};

/// The row of an answer from `passages`; `show` makes JSON of a citation.
pub fn row(
    client: &Client,
    question: &str,
    passages: &[&str],
    instructions: Option<&str>,
    show: impl Fn(&Found) -> Value,
) -> Result<Row> {
    let generator = Generator(client);
    let checkpoint = &mut interrupt::checkpoint;
    let written = generate(&generator, question, passages, instructions, checkpoint)?;
    let Written { status, text, citations, claims, usage } = written;
    let citations = citations.iter().map(show).collect();
    let (claims, usage) = (self::claims(&claims), self::usage(client, &usage));
    let status = status.as_str().to_owned();
    Ok((Some(text), JsonB(citations), status, None, Some(JsonB(claims)), Some(JsonB(usage))))
}

/// All that the model said.
pub fn claims(claims: &[Checked]) -> Value {
    let claim = |claim: &Checked| json!({"text": claim.text, "markers": claim.markers, "dropped": claim.dropped});
    claims.iter().map(claim).collect()
}

/// What it took.
pub fn usage(client: &Client, usage: &Usage) -> Value {
    json!({
        "model": client.spec().name,
        "requests": usage.requests,
        "passages": usage.passages,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    })
}
