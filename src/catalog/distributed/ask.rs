//! Asks the servers of a distributed collection's parts, all at once.
use crate::catalog::distributed::Part;
use crate::sys::foreign::calls::{Call, Complaint, Failure, Parameter, run};
use crate::sys::guc::search::shard_timeout;
use rag::search::shard::{PROTOCOL, Request, Step};
use rag::{Error, Result};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A statement for the server of a part.
pub type Statement<'a> = (&'a Part, String, Vec<Parameter>);

/// What is called there. The schema's name is fixed, whatever schema the extension's own functions are in.
const SQL: &str = "SELECT rag.shard($1, $2)";

/// What to do where a server fails and others may answer.
const HINT: &str = "rag_search(..., partial => true) answers from the other servers.";

/// Asks `parts`, each for its step, and reads the answers. `collection` is the name of the whole.
pub fn ask<T: DeserializeOwned>(
    collection: &str,
    parts: &[(&Part, Step)],
    vectors: &[u8],
) -> Result<Vec<Result<T>>> {
    ask_within(collection, parts, vectors, shard_timeout())
}

/// The same with a deadline of its own.
pub fn ask_within<T: DeserializeOwned>(
    collection: &str,
    parts: &[(&Part, Step)],
    vectors: &[u8],
    timeout: Duration,
) -> Result<Vec<Result<T>>> {
    let calls: Vec<Call<'_>> = parts
        .iter()
        .map(|(part, step)| {
            let request = Request {
                protocol: PROTOCOL,
                source: part.remote.clone(),
                content: part.content.clone(),
                collection: collection.to_owned(),
                step: step.clone(),
            };
            let text = serde_json::to_string(&request).expect("a request is JSON");
            let parameters = vec![Parameter::Text(text), Parameter::Bytes(vectors.to_vec())];
            Call { server: &part.server, sql: SQL, parameters }
        })
        .collect();
    let results = run(&calls, timeout)?;
    let read = |((part, _), result): (&(&Part, Step), Result<String, Failure>)| {
        let text = result.map_err(|failure| error_of(part, failure, timeout))?;
        serde_json::from_str(&text).map_err(|_| other_version(part))
    };
    Ok(parts.iter().zip(results).map(read).collect())
}

/// How long statements may take that read or write whole collections: as long as the caller waits.
pub const UNBOUNDED: Duration = Duration::from_hours(720);

/// Runs statements that return JSON on the servers of parts, all at once; the first failure is the error, after all have come to an end.
pub fn query_each<T: DeserializeOwned>(
    statements: &[Statement<'_>],
    timeout: Duration,
) -> Result<Vec<T>> {
    let answers = texts_of_each(statements, timeout)?;
    let read = |((part, ..), text): (&Statement<'_>, String)| {
        serde_json::from_str(&text).map_err(|_| other_version(part))
    };
    statements.iter().zip(answers).map(read).collect()
}

/// The same of statements whose results tell nothing.
pub fn execute_each(statements: &[Statement<'_>], timeout: Duration) -> Result<()> {
    texts_of_each(statements, timeout).map(|_| ())
}

fn texts_of_each(statements: &[Statement<'_>], timeout: Duration) -> Result<Vec<String>> {
    let results = run(&calls_of(statements), timeout)?;
    let read = |((part, ..), result): (&Statement<'_>, Result<String, Failure>)| {
        result.map_err(|failure| error_of(part, failure, timeout))
    };
    statements.iter().zip(results).map(read).collect()
}

fn calls_of<'a>(statements: &'a [Statement<'a>]) -> Vec<Call<'a>> {
    let call = |(part, sql, parameters): &'a Statement<'a>| Call {
        server: &part.server,
        sql,
        parameters: parameters.clone(),
    };
    statements.iter().map(call).collect()
}

fn other_version(part: &Part) -> Error {
    let server = &part.server.name;
    Error::not_ready(format!("rag_pg on server \"{server}\" is of another version"))
        .with_hint("Bring both servers to the same version: ALTER EXTENSION rag_pg UPDATE;")
}

fn error_of(part: &Part, failure: Failure, timeout: Duration) -> Error {
    let server = &part.server.name;
    match failure {
        Failure::Refused(error) => error,
        Failure::TimedOut => {
            let seconds = timeout.as_secs_f64();
            Error::remote(format!("server \"{server}\" did not answer within {seconds} s"))
                .with_hint(format!("Raise rag_pg.shard_timeout. {HINT}"))
        }
        Failure::Remote(complaint) => match complaint.sqlstate.clone() {
            None => Error::remote(format!("could not ask server \"{server}\""))
                .with_detail(complaint.message)
                .with_hint(HINT),
            Some(code) => said(part, &code, complaint),
        },
    }
}

/// What a server says, with its name before it.
fn said(part: &Part, code: &str, complaint: Complaint) -> Error {
    let Complaint { message, detail, hint, .. } = complaint;
    // No such schema, or no such function in it.
    if matches!(code, "3F000" | "42883") {
        return other_version(part).with_detail(message);
    }
    let message = format!("server \"{}\": {message}", part.server.name);
    let error = match code {
        "22023" => Error::invalid_argument(message),
        "42703" => Error::undefined_column(message),
        "42804" => Error::wrong_type(message),
        "42501" => Error::forbidden(message),
        "42704" => Error::undefined(message),
        "42809" => Error::wrong_object(message),
        "42710" => Error::duplicate(message),
        "42P16" => Error::invalid_table(message),
        "55000" => Error::not_ready(message),
        "0A000" => Error::unsupported(message),
        "40001" => Error::conflict(message),
        "28000" | "28P01" => Error::unauthorized(message),
        _ => Error::remote(message),
    };
    let error = match detail {
        Some(detail) => error.with_detail(detail),
        None if error.sqlstate() == "08000" => error.with_detail(format!("SQLSTATE {code}.")),
        None => error,
    };
    error.with_hint(hint.unwrap_or_else(|| HINT.to_owned()))
}

/// Whether an error is about what the caller asked for, so that no other server would answer it either.
pub fn is_callers_fault(error: &Error) -> bool {
    matches!(error.sqlstate(), "22023" | "42703" | "42804")
}
