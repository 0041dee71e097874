//! Remote models of the catalog, as something that can be called.
pub mod pace;

use crate::models::call_log;
use crate::models::call_log::Record;
use crate::sys::names::role_name;
use crate::sys::rights::{as_extension_owner, current_user};
use crate::sys::rows::row;
use crate::sys::spi::{execute, required};
use crate::sys::{guc, plan};
use pgrx::pg_sys::Oid;
use rag::file::{self, Links};
use rag::remote::{
    Adapted, Client, Connection, ConnectionSettings, Credential, Egress, KeySource, Learnt, Limits,
    Price, RemoteKind, Spec, Url,
};
use rag::{Error, Result};
use std::cell::RefCell;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Reserves shared memory while the library is preloaded.
pub fn init() {
    pace::init();
}

/// A remote model, ready to be called. Drop records its calls in the call log.
pub struct Remote {
    client: Arc<Client>,
    role: Oid,
    collection: Option<i32>,
}

impl Remote {
    /// Attributes its calls to a collection.
    pub fn set_collection(&mut self, collection: i32) {
        self.collection = Some(collection);
    }

    /// Attributes its calls to a role other than the caller.
    pub fn set_role(&mut self, role: Oid) {
        self.role = role;
    }

    /// The client, for use by another thread.
    pub fn shared(&self) -> Arc<Client> {
        Arc::clone(&self.client)
    }

    /// Records of the calls since the last call of this function.
    pub fn take_records(&self) -> Vec<Record> {
        let calls = self.client.take_calls();
        let record = |call| Record::new(call, self.client.spec(), self.role, self.collection);
        calls.iter().map(record).collect()
    }

    /// Stores the limits learnt from the provider's replies, so that they outlive a restart. Needs a transaction that may write.
    pub fn keep_learnt(&self) {
        let Some(learnt) = self.client.take_learnt() else { return };
        let number = |n: Option<u64>| n.map(|n| i32::try_from(n).unwrap_or(i32::MAX));
        let sql = statement!("models/learn");
        let args = [
            self.client.spec().name.as_str().into(),
            number(learnt.texts).into(),
            number(learnt.tokens).into(),
            learnt.is_serial.into(),
            learnt.adapted.names().into(),
        ];
        as_extension_owner(|| execute(sql, &args));
    }
}

impl Deref for Remote {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        call_log::note(&self.take_records());
    }
}

/// The remote model `name`, or `None`. An error when the caller may not use it.
pub fn find(name: &str) -> Result<Option<Remote>> {
    find_for(name, current_user())
}

/// The remote model `name`, or `None`. An error when `role` may not use it.
pub fn find_for(name: &str, role: Oid) -> Result<Option<Remote>> {
    let args = [name.into(), role.into()];
    let sql = statement!("models/load");
    let mut rows = as_extension_owner(|| plan::read_latest(sql, &args, ModelRow::read));
    let Some(row) = rows.pop() else { return Ok(None) };
    let spec = row.spec(name)?;
    if !row.may_use {
        return Err(may_not_use(name, role));
    }
    pace::of(&spec).restore(row.learnt());
    open(spec).map(Some)
}

fn may_not_use(name: &str, role: Oid) -> Error {
    let error =
        Error::forbidden(format!("permission denied for model \"{name}\"")).with_hint(format!(
            "An administrator can let a role use it: SELECT rag_grant_model({}, 'role').",
            pgrx::spi::quote_literal(name)
        ));
    match role_name(role).filter(|_| role != current_user()) {
        Some(owner) => error.with_detail(format!(
            "It is called on behalf of role \"{owner}\", who may not use it."
        )),
        None => error,
    }
}

/// Fingerprint of the remote model `name`; `None` when there is none.
pub fn fingerprint(name: &str) -> Option<String> {
    let sql = statement!("models/fingerprint");
    plan::read_latest(sql, &[name.into()], |row| required(row, 1)).pop()
}

/// A client of a model.
fn open(spec: Spec) -> Result<Remote> {
    let connection = connection(guc::remote::egress()?, guc::remote::ca_file())?;
    let pace = pace::of(&spec);
    let client = Client::new(spec, connection, pace)?;
    Ok(Remote { client: Arc::new(client), role: current_user(), collection: None })
}

/// Most bytes of a file of authorities; all of Mozilla's are a quarter of a megabyte.
const CA_FILE_BYTES: u64 = 16 << 20;

struct OpenConnection {
    egress: Egress,
    ca_file: String,
    connection: Connection,
}

thread_local! {
    static CONNECTION: RefCell<Option<OpenConnection>> = const { RefCell::new(None) };
}

/// Connections by these settings. When a setting changes, those made by the one before are closed.
fn connection(egress: Egress, ca_file: String) -> Result<Connection> {
    let kept = CONNECTION.with_borrow(|kept| {
        let kept = kept.as_ref().filter(|k| k.egress == egress && k.ca_file == ca_file);
        kept.map(|kept| kept.connection.clone())
    });
    if let Some(connection) = kept {
        return Ok(connection);
    }
    let authorities = authorities(&ca_file)?;
    let connection = Connection::new(&ConnectionSettings { egress: egress.clone(), authorities })?;
    CONNECTION.set(Some(OpenConnection { egress, ca_file, connection: connection.clone() }));
    Ok(connection)
}

fn authorities(path: &str) -> Result<Vec<u8>> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    file::read(Path::new(path), Links::Anywhere, CA_FILE_BYTES).map_err(|error| {
        Error::configuration(format!("could not read \"{path}\""))
            .with_detail(error.to_string())
            .with_hint("The setting rag_pg.ca_file names it.")
    })
}

/// An error unless a model is of a kind.
pub fn require(client: &Client, kind: RemoteKind) -> Result<()> {
    let spec = client.spec();
    if spec.kind == kind {
        return Ok(());
    }
    let article = |kind: RemoteKind| if kind == RemoteKind::Embedder { "an" } else { "a" };
    let (is, wanted) = (spec.kind, kind);
    Err(Error::wrong_type(format!(
        "model \"{}\" is {} {}, not {} {}",
        spec.name,
        article(is),
        is.as_str(),
        article(wanted),
        wanted.as_str()
    ))
    .with_hint("The view rag.model lists the models and their kinds."))
}

row! {
    /// A remote model, its credential if that exists, and what was learnt of it.
    struct ModelRow {
        kind: String,
        provider: String,
        url: String,
        model: String,
        dimensions: Option<i32>,
        max_tokens: i32,
        max_output_tokens: i32,
        query_prefix: String,
        document_prefix: String,
        max_items: i32,
        max_request_tokens: i32,
        concurrency: i32,
        requests_per_minute: Option<i32>,
        tokens_per_minute: Option<i32>,
        temperature: Option<f64>,
        timeout_ms: i64,
        retries: i32,
        parameters: String,
        query_parameters: String,
        document_parameters: String,
        input_price: Option<f64>,
        output_price: Option<f64>,
        request_price: Option<f64>,
        credential: Option<String>,
        credential_url_prefix: Option<String>,
        credential_file: Option<String>,
        credential_env: Option<String>,
        may_use: bool,
        learnt_texts: Option<i32>,
        learnt_tokens: Option<i32>,
        learnt_is_serial: bool,
        learnt_adapted: Vec<String>,
    }
}

impl ModelRow {
    fn spec(&self, name: &str) -> Result<Spec> {
        let damaged =
            || Error::configuration(format!("model \"{name}\" is damaged in the catalog"));
        let parameters = |text: &str| serde_json::from_str(text).map_err(|_| damaged());
        let size = |n: i32| n.unsigned_abs() as usize;
        Ok(Spec {
            name: name.to_owned(),
            kind: RemoteKind::parse(&self.kind).ok_or_else(damaged)?,
            provider: self.provider.clone(),
            url: Url::parse(&self.url)?,
            model: self.model.clone(),
            credential: self.credential(name)?,
            dimensions: self.dimensions.map(size),
            max_tokens: size(self.max_tokens),
            max_output_tokens: self.max_output_tokens.unsigned_abs(),
            query_prefix: self.query_prefix.clone(),
            document_prefix: self.document_prefix.clone(),
            max_items: size(self.max_items),
            max_request_tokens: size(self.max_request_tokens),
            concurrency: size(self.concurrency),
            limits: Limits {
                requests: self.requests_per_minute.map(i32::unsigned_abs),
                tokens: self.tokens_per_minute.map(i32::unsigned_abs),
            },
            temperature: self.temperature,
            timeout: Duration::from_millis(self.timeout_ms.unsigned_abs()),
            retries: self.retries.unsigned_abs(),
            parameters: parameters(&self.parameters)?,
            query_parameters: parameters(&self.query_parameters)?,
            document_parameters: parameters(&self.document_parameters)?,
            price: Price {
                input: self.input_price,
                output: self.output_price,
                request: self.request_price,
            },
        })
    }

    /// Dumps bring models along, but not credentials.
    fn credential(&self, model: &str) -> Result<Option<Credential>> {
        let Some(name) = &self.credential else { return Ok(None) };
        let Some(url_prefix) = &self.credential_url_prefix else {
            return Err(Error::configuration(format!(
                "credential \"{name}\" of model \"{model}\" does not exist"
            ))
            .with_hint("An administrator can make it again with rag_create_credential()."));
        };
        let (file, env) = (self.credential_file.clone(), self.credential_env.clone());
        credential(name.clone(), url_prefix, file, env).map(Some)
    }

    fn learnt(&self) -> Learnt {
        let most = |n: Option<i32>| n.map(|n| u64::from(n.unsigned_abs()));
        Learnt {
            texts: most(self.learnt_texts),
            tokens: most(self.learnt_tokens),
            is_serial: self.learnt_is_serial,
            adapted: Adapted::by_names(&self.learnt_adapted),
        }
    }
}

/// A credential from its columns in the catalog, which has either a file or an environment variable.
pub fn credential(
    name: String,
    url_prefix: &str,
    file: Option<String>,
    env: Option<String>,
) -> Result<Credential> {
    let source = match file {
        Some(file) => KeySource::File(PathBuf::from(file)),
        None => KeySource::Environment(env.unwrap_or_default()),
    };
    Ok(Credential { name, url_prefix: Url::parse(url_prefix)?, source })
}
