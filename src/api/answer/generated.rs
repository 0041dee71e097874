//! Answers that a generator writes, as SQL shows them.
use crate::api::answer::Row;
use crate::sys::{interrupt, limit};
use pgrx::JsonB;
use rag::Result;
use rag::answer::generate::{GeneratedAnswer, VerifiedQuote, generate};
use rag::answer::json;
use rag::remote::{Client, Generator};
use serde_json::Value;

/// The row of an answer from `passages`, which are not all there is while `loading`; `show` makes JSON of a citation.
pub fn row(
    client: &Client,
    question: &str,
    passages: &[&str],
    instructions: Option<&str>,
    loading: Option<&str>,
    show: impl Fn(&VerifiedQuote) -> Value,
) -> Result<Row> {
    let generator = Generator(client);
    let checkpoint = &mut interrupt::checkpoint;
    limit::texts(instructions)?;
    let written = generate(&generator, question, passages, instructions, checkpoint)?;
    let GeneratedAnswer { status, text, citations, claims, usage } = written.or_not_ready(loading);
    let citations = citations.iter().map(show).collect();
    let (claims, usage) = (json::claims(&claims), json::usage(&client.spec().name, &usage));
    let status = status.as_str().to_owned();
    Ok((Some(text), JsonB(citations), status, None, Some(JsonB(claims)), Some(JsonB(usage))))
}
