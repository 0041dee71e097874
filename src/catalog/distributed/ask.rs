//! Asks the servers of a distributed collection's parts, all at once.
use crate::catalog::distributed::Part;
use crate::sys::foreign::calls::{Call, Complaint, Failure, Parameter, run};
use crate::sys::guc::search::shard_timeout;
use crate::sys::spi::{read_as_caller, required};
use pgrx::datum::DatumWithOid;
use rag::search::shard::{PROTOCOL, Request, Step};
use rag::{Error, Result};
use serde::de::DeserializeOwned;
use std::sync::OnceLock;
use std::time::Duration;

/// A statement for the server of a part.
pub type Statement<'a> = (&'a Part, String, Vec<Parameter>);

/// What is called there. The schema's name is fixed, whatever schema the extension's own functions are in.
const SQL: &str = "SELECT rag.shard($1, $2)";

/// What to do where a server fails and others may answer.
const HINT: &str = "rag_search(..., partial => true) answers from the other servers.";

/// Answers a request about a part that is a table of this server.
pub type Answering = fn(&str, &[u8]) -> Result<String>;

static ANSWERING: OnceLock<Answering> = OnceLock::new();

/// Says how requests are answered here: by what stands above this module.
pub fn set_answering(answering: Answering) {
    ANSWERING.get_or_init(|| answering);
}

/// Asks `parts`, each for its step, and reads the answers. `collection` is the name of the whole.
pub fn ask<T: DeserializeOwned>(
    collection: &str,
    parts: &[(&Part, Step)],
    vectors: &[u8],
) -> Result<Vec<Result<T>>> {
    let asked = parts.iter().map(|(part, step)| (collection, *part, step.clone())).collect();
    ask_within(asked, vectors, shard_timeout())
}

/// The same of parts of several collections, with a deadline of its own.
pub fn ask_within<T: DeserializeOwned>(
    asked: Vec<(&str, &Part, Step)>,
    vectors: &[u8],
    timeout: Duration,
) -> Result<Vec<Result<T>>> {
    let statement = |(collection, part, step): (&str, &'_ Part, Step)| {
        let request = Request {
            protocol: PROTOCOL,
            source: part.remote.clone(),
            content: part.content.clone(),
            collection: collection.to_owned(),
            step,
        };
        serde_json::to_string(&request).expect("a request is JSON")
    };
    let statements: Vec<Statement<'_>> = asked
        .into_iter()
        .map(|one| {
            let part = one.1;
            let request = Parameter::Text(statement(one));
            (part, SQL.to_owned(), vec![request, Parameter::Bytes(vectors.to_vec())])
        })
        .collect();
    let answer = |parameters: &[Parameter]| match (parameters, ANSWERING.get()) {
        ([Parameter::Text(request), _], Some(answering)) => answering(request, vectors),
        _ => unreachable!("a request, after the library was loaded"),
    };
    let here = || here(&statements).map(|(.., parameters)| answer(parameters)).collect();
    let answers = run_each(&statements, timeout, here)?;
    let read = |((part, ..), text): (&Statement<'_>, Result<String>)| {
        serde_json::from_str(&text?).map_err(|_| other_version(part))
    };
    Ok(statements.iter().zip(answers).map(read).collect())
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

/// What fails here does so before anything is done elsewhere.
fn texts_of_each(statements: &[Statement<'_>], timeout: Duration) -> Result<Vec<String>> {
    let done = here(statements).map(|(_, sql, parameters)| Ok(run_here(sql, parameters))).collect();
    run_each(statements, timeout, || done)?.into_iter().collect()
}

/// Those of the statements whose parts are tables of this server.
fn here<'a>(statements: &'a [Statement<'a>]) -> impl Iterator<Item = &'a Statement<'a>> {
    statements.iter().filter(|(part, ..)| part.server.is_none())
}

fn run_here(sql: &str, parameters: &[Parameter]) -> String {
    let sql = format!("SELECT q.a::pg_catalog.text FROM ({sql}) AS q (a)");
    let argument = |parameter: &Parameter| match parameter {
        Parameter::Text(text) => text.clone().into(),
        Parameter::Bytes(bytes) => bytes.clone().into(),
    };
    let arguments: Vec<DatumWithOid<'_>> = parameters.iter().map(argument).collect();
    read_as_caller(&sql, &arguments, |row| required::<String>(&row, 1)).remove(0)
}

fn call<'a>((part, sql, parameters): &'a Statement<'a>) -> Option<Call<'a>> {
    Some(Call { server: part.server.as_ref()?, sql, parameters: parameters.clone() })
}

/// Runs statements on the servers of their parts; what is to be done here is done while they work.
fn run_each(
    statements: &[Statement<'_>],
    timeout: Duration,
    here: impl FnOnce() -> Vec<Result<String>>,
) -> Result<Vec<Result<String>>> {
    let calls: Vec<Call<'_>> = statements.iter().filter_map(call).collect();
    let (answers, done) = run(&calls, timeout, here)?;
    let (mut answers, mut done) = (answers.into_iter(), done.into_iter());
    let result = |(part, ..): &Statement<'_>| {
        if part.server.is_none() {
            return done.next().expect("each was done");
        }
        let answer = answers.next().expect("each was asked");
        answer.map_err(|failure| error_of(part, failure, timeout))
    };
    Ok(statements.iter().map(result).collect())
}

fn other_version(part: &Part) -> Error {
    let server = part.place();
    Error::not_ready(format!("rag_pg on {server} is of another version"))
        .with_hint("Bring both servers to the same version: ALTER EXTENSION rag_pg UPDATE;")
}

fn error_of(part: &Part, failure: Failure, timeout: Duration) -> Error {
    let server = part.place();
    match failure {
        Failure::Refused(error) => error,
        Failure::TimedOut => {
            let seconds = timeout.as_secs_f64();
            Error::remote(format!("{server} did not answer within {seconds} s"))
                .with_hint(format!("Raise rag_pg.shard_timeout. {HINT}"))
        }
        Failure::Remote(complaint) => match complaint.sqlstate.clone() {
            None => Error::remote(format!("could not ask {server}"))
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
    let message = format!("{}: {message}", part.place());
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
