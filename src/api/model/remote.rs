//! `rag_create_model`, `rag_drop_model`, `rag_grant_model`, `rag_revoke_model`: models that other servers
//! run.
use crate::api::int4;
use crate::api::model::named;
use crate::models::local as model;
use crate::models::remote::{credential, pace};
use crate::sys::datum::json::JsonText;
use crate::sys::error::SqlError;
use crate::sys::names::role_name;
use crate::sys::rights::as_extension_owner;
use crate::sys::rows::row;
use crate::sys::spi::{execute, read, required};
use pgrx::datum::Interval;
use pgrx::pg_sys;
use pgrx::prelude::*;
use rag::remote::{Limits, Price, RemoteKind, Spec, Url};
use rag::{Error, Result};
use serde_json::{Map, Value};
use std::time::Duration;

const DEFAULT_RETRIES: i64 = 4;
const DEFAULT_REQUEST_TOKENS: i64 = 100_000;
const DEFAULT_OUTPUT_TOKENS: i64 = 1024;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_create_model(
    name text,
    kind text,
    provider text,
    url text = NULL,
    credential text = NULL,
    dimensions bigint = NULL,
    model text = NULL,
    max_tokens bigint = NULL,
    max_output_tokens bigint = NULL,
    query_prefix text = NULL,
    document_prefix text = NULL,
    max_items bigint = NULL,
    max_request_tokens bigint = NULL,
    concurrency bigint = NULL,
    requests_per_minute bigint = NULL,
    tokens_per_minute bigint = NULL,
    temperature float8 = NULL,
    timeout interval = NULL,
    retries bigint = NULL,
    parameters jsonb = NULL,
    input_price float8 = NULL,
    output_price float8 = NULL,
    request_price float8 = NULL,
    query_parameters jsonb = NULL,
    document_parameters jsonb = NULL
) RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_create_model IS 'makes a model that another server runs known by a name; calls nobody';
REVOKE ALL ON FUNCTION @extschema@.rag_create_model FROM PUBLIC;
", requires = ["remote"])]
#[allow(clippy::too_many_arguments)] // named arguments of SQL
fn rag_create_model(
    name: Option<&str>,
    kind: Option<&str>,
    provider: Option<&str>,
    url: Option<&str>,
    credential: Option<&str>,
    dimensions: Option<i64>,
    model: Option<&str>,
    max_tokens: Option<i64>,
    max_output_tokens: Option<i64>,
    query_prefix: Option<&str>,
    document_prefix: Option<&str>,
    max_items: Option<i64>,
    max_request_tokens: Option<i64>,
    concurrency: Option<i64>,
    requests_per_minute: Option<i64>,
    tokens_per_minute: Option<i64>,
    temperature: Option<f64>,
    timeout: Option<Interval>,
    retries: Option<i64>,
    parameters: Option<JsonText>,
    input_price: Option<f64>,
    output_price: Option<f64>,
    request_price: Option<f64>,
    query_parameters: Option<JsonText>,
    document_parameters: Option<JsonText>,
) -> Result<(), SqlError> {
    let name = named("model", name)?;
    model::check_free(name)?;
    let kind = parse_kind(kind)?;
    let provider = provider.unwrap_or_default();
    let default_max_items = Spec::default_max_items(provider)? as i64;
    let default_max_tokens = if kind == RemoteKind::Embedder { 512 } else { 8192 };
    let default_concurrency = if kind == RemoteKind::Generator { 16 } else { 4 };
    let default_timeout = if kind == RemoteKind::Generator { 120 } else { 30 };
    let spec = Spec {
        name: name.to_owned(),
        kind,
        provider: provider.to_owned(),
        url: url.map_or_else(|| Spec::default_url(provider), Url::parse)?,
        model: model.unwrap_or(name).to_owned(),
        credential: credential.map(load_credential).transpose()?,
        dimensions: dimensions.map(count),
        max_tokens: count(max_tokens.unwrap_or(default_max_tokens)),
        max_output_tokens: count(max_output_tokens.unwrap_or(DEFAULT_OUTPUT_TOKENS)) as u32,
        query_prefix: query_prefix.unwrap_or_default().to_owned(),
        document_prefix: document_prefix.unwrap_or_default().to_owned(),
        max_items: count(max_items.unwrap_or(default_max_items)),
        max_request_tokens: count(max_request_tokens.unwrap_or(DEFAULT_REQUEST_TOKENS)),
        concurrency: count(concurrency.unwrap_or(default_concurrency)),
        limits: Limits {
            requests: requests_per_minute.map(|n| count(n) as u32),
            tokens: tokens_per_minute.map(|n| count(n) as u32),
        },
        temperature,
        timeout: timeout.map_or(Duration::from_secs(default_timeout), milliseconds),
        retries: count(retries.unwrap_or(DEFAULT_RETRIES)) as u32,
        parameters: parse_parameters("parameters", parameters)?,
        query_parameters: parse_parameters("query_parameters", query_parameters)?,
        document_parameters: parse_parameters("document_parameters", document_parameters)?,
        price: Price { input: input_price, output: output_price, request: request_price },
    };
    spec.check()?;
    insert(&spec)?;
    // What was learnt of a model of this description before may hold no more.
    pace::of(&spec).forget();
    Ok(())
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_drop_model(name text) RETURNS void
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_drop_model IS 'forgets a remote model that no collection uses';
REVOKE ALL ON FUNCTION @extschema@.rag_drop_model FROM PUBLIC;
", requires = ["remote"])]
fn rag_drop_model(name: &str) -> Result<(), SqlError> {
    let used_by = statement!("api/remote_used_by");
    let collection =
        as_extension_owner(|| read(used_by, &[name.into()], |row| required::<String>(&row, 1)));
    if let Some(collection) = collection.first() {
        return Err(Error::not_ready(format!("model \"{name}\" is in use"))
            .with_detail(format!("Collection \"{collection}\" was made with it."))
            .with_hint("Drop the collection, or make it anew with another model first.")
            .into());
    }
    let delete = statement!("api/remote_delete_model");
    if as_extension_owner(|| execute(delete, &[name.into()])) == 0 {
        return Err(no_remote_model(name).into());
    }
    let uses = statement!("api/remote_delete_uses");
    as_extension_owner(|| execute(uses, &[name.into()]));
    let learnt = statement!("api/remote_delete_learnt");
    as_extension_owner(|| execute(learnt, &[name.into()]));
    Ok(())
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_grant_model(model text, role regrole) RETURNS void
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_grant_model IS 'lets a role use a remote model; the role - is everyone';
REVOKE ALL ON FUNCTION @extschema@.rag_grant_model FROM PUBLIC;
", requires = ["remote"])]
fn rag_grant_model(model: &str, role: pg_sys::Oid) -> Result<(), SqlError> {
    Ok(change_use(model, role, statement!("api/remote_grant"))?)
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_revoke_model(model text, role regrole) RETURNS void
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_revoke_model IS 'takes back what rag_grant_model gave';
REVOKE ALL ON FUNCTION @extschema@.rag_revoke_model FROM PUBLIC;
", requires = ["remote"])]
fn rag_revoke_model(model: &str, role: pg_sys::Oid) -> Result<(), SqlError> {
    Ok(change_use(model, role, statement!("api/remote_revoke"))?)
}

fn change_use(model: &str, role: pg_sys::Oid, sql: &str) -> Result<()> {
    if role != pg_sys::InvalidOid && role_name(role).is_none() {
        return Err(Error::undefined("the role does not exist")
            .with_hint("Name a role of this server, or - for everyone."));
    }
    let exists = statement!("api/remote_exists");
    if as_extension_owner(|| execute(exists, &[model.into()])) == 0 {
        return Err(no_remote_model(model));
    }
    // The number of everyone, 0, would be taken for NULL as an oid.
    let role = i64::from(role.to_u32());
    as_extension_owner(|| execute(sql, &[model.into(), role.into()]));
    Ok(())
}

pub(super) fn no_remote_model(name: &str) -> Error {
    Error::undefined(format!("remote model \"{name}\" does not exist")).with_hint(
        "The view rag.model lists the models; those whose provider is \"local\" are files.",
    )
}

fn parse_kind(kind: Option<&str>) -> Result<RemoteKind> {
    let kind = kind.unwrap_or_default();
    RemoteKind::parse(kind).ok_or_else(|| {
        Error::invalid_argument(format!("unknown kind of model \"{kind}\""))
            .with_hint("It is \"embedder\", \"reranker\" or \"generator\".")
    })
}

/// A count as it was given; what is negative is refused as what is too much.
fn count(number: i64) -> usize {
    usize::try_from(int4(number)).unwrap_or(usize::MAX)
}

/// Whole milliseconds, none when it is negative; a month has thirty days.
#[allow(clippy::needless_pass_by_value)] // as it comes
fn milliseconds(interval: Interval) -> Duration {
    let days = i64::from(interval.months()) * 30 + i64::from(interval.days());
    let total = days.saturating_mul(86_400_000_000).saturating_add(interval.micros());
    Duration::from_millis(u64::try_from(total / 1000).unwrap_or(0))
}

fn parse_parameters(what: &str, parameters: Option<JsonText>) -> Result<Map<String, Value>> {
    match parameters.map(|text| text.parse()).transpose()? {
        None => Ok(Map::new()),
        Some(Value::Object(parameters)) => Ok(parameters),
        Some(_) => Err(Error::invalid_argument(format!("{what} must be a JSON object"))
            .with_hint("They are put into the body of every request.")),
    }
}

fn load_credential(name: &str) -> Result<rag::remote::Credential> {
    let sql = statement!("api/remote_load_credential");
    let rows = as_extension_owner(|| read(sql, &[name.into()], |row| CredentialRow::read(&row)));
    let row = rows.into_iter().next().ok_or_else(|| {
        Error::undefined(format!("credential \"{name}\" does not exist")).with_hint(
            "Create it first: SELECT rag_create_credential(name, url_prefix, file => path).",
        )
    })?;
    credential(row.name, &row.url_prefix, row.file, row.env)
}

row! {
    struct CredentialRow { name: String, url_prefix: String, file: Option<String>, env: Option<String> }
}

fn insert(spec: &Spec) -> Result<()> {
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let args = [
        spec.name.as_str().into(),
        spec.kind.as_str().into(),
        spec.provider.as_str().into(),
        spec.url.to_string().into(),
        spec.model.as_str().into(),
        spec.credential.as_ref().map(|credential| credential.name.clone()).into(),
        spec.dimensions.map(number).into(),
        number(spec.max_tokens).into(),
        number(spec.max_output_tokens as usize).into(),
        spec.query_prefix.as_str().into(),
        spec.document_prefix.as_str().into(),
        number(spec.max_items).into(),
        number(spec.max_request_tokens).into(),
        number(spec.concurrency).into(),
        spec.limits.requests.map(|n| number(n as usize)).into(),
        spec.limits.tokens.map(|n| number(n as usize)).into(),
        spec.temperature.into(),
        (spec.timeout.as_millis() as i64).into(),
        number(spec.retries as usize).into(),
        Value::Object(spec.parameters.clone()).to_string().into(),
        spec.fingerprint().into(),
        spec.price.input.into(),
        spec.price.output.into(),
        spec.price.request.into(),
        Value::Object(spec.query_parameters.clone()).to_string().into(),
        Value::Object(spec.document_parameters.clone()).to_string().into(),
    ];
    let sql = statement!("api/remote_insert_model");
    if as_extension_owner(|| execute(sql, &args)) == 0 {
        return Err(Error::duplicate(format!("model \"{}\" already exists", spec.name))
            .with_hint("Choose another name, or drop it first."));
    }
    Ok(())
}
