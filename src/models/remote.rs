//! Remote models of the catalog, as something that can be called.
mod connection;
pub mod pace;

use crate::models::call_log;
use crate::models::call_log::Record;
use crate::sys::rights::{as_extension_owner, current_user, role_name};
use crate::sys::spi::{column, execute, required};
use crate::sys::{guc, plan};
use pgrx::pg_sys::Oid;
use pgrx::spi::SpiHeapTupleData;
use rag::remote::{
    Adapted, Address, Client, Credential, Kind, Learnt, Limits, Price, Source, Spec,
};
use rag::{Error, Result};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Prepares what processes share; called while the library is loaded.
pub fn init() {
    pace::init();
}

/// A remote model, ready to be called. What was called is in the ledger once this is dropped.
pub struct Remote {
    client: Arc<Client>,
    role: Oid,
    collection: Option<i32>,
}

impl Remote {
    /// Notes which collection it is called for.
    pub fn set_collection(&mut self, collection: i32) {
        self.collection = Some(collection);
    }

    /// Notes on whose behalf it is called, where that is not the caller.
    pub fn set_role(&mut self, role: Oid) {
        self.role = role;
    }

    /// The same for a thread of its own.
    pub fn shared(&self) -> Arc<Client> {
        Arc::clone(&self.client)
    }

    /// What was called since this was last asked.
    pub fn take_records(&self) -> Vec<Record> {
        let calls = self.client.take_calls();
        let record = |call| Record::new(call, self.client.spec(), self.role, self.collection);
        calls.iter().map(record).collect()
    }

    /// Writes down what was learnt of the model, in a transaction that may write. Memory is lost with a restart.
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
    let mut rows = as_extension_owner(|| plan::read_latest(sql, &args, |row| read(name, row)));
    let Some((spec, may_use, learnt)) = rows.pop().transpose()? else { return Ok(None) };
    if !may_use {
        return Err(may_not_use(name, role));
    }
    pace::of(&spec).recall(learnt);
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

/// What the vectors of the remote model `name` depend on, as it is now; `None` when there is none.
pub fn fingerprint(name: &str) -> Option<String> {
    let sql = statement!("models/fingerprint");
    plan::read_latest(sql, &[name.into()], |row| required(row, 1)).pop()
}

/// A client of a model.
fn open(spec: Spec) -> Result<Remote> {
    let connection = connection::connection(guc::remote::egress()?, guc::remote::ca_file())?;
    let pace = pace::of(&spec);
    let client = Client::new(spec, connection, pace)?;
    Ok(Remote { client: Arc::new(client), role: current_user(), collection: None })
}

/// An error unless a model is of a kind.
pub fn require(client: &Client, kind: Kind) -> Result<()> {
    let spec = client.spec();
    if spec.kind == kind {
        return Ok(());
    }
    let article = |kind: Kind| if kind == Kind::Embedder { "an" } else { "a" };
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

/// A row of `remote_load.sql`: the model, whether the caller may use it, and what was learnt of it.
fn read(name: &str, row: &SpiHeapTupleData<'_>) -> Result<(Spec, bool, Learnt)> {
    let text = |position| required::<String>(row, position);
    let number = |position| required::<i32>(row, position).unsigned_abs();
    let damaged = || Error::configuration(format!("model \"{name}\" is damaged in the catalog"));
    let parameters = |position| serde_json::from_str(&text(position)).map_err(|_| damaged());
    let spec = Spec {
        name: name.to_owned(),
        kind: Kind::parse(&text(1)).ok_or_else(damaged)?,
        provider: text(2),
        url: Address::parse(&text(3))?,
        model: text(4),
        credential: model_credential(name, row)?,
        dimensions: column::<i32>(row, 5).map(|n| n.unsigned_abs() as usize),
        max_tokens: number(6) as usize,
        max_output_tokens: number(7),
        query_prefix: text(8),
        document_prefix: text(9),
        max_items: number(10) as usize,
        max_request_tokens: number(11) as usize,
        concurrency: number(12) as usize,
        limits: Limits {
            requests: column::<i32>(row, 13).map(i32::unsigned_abs),
            tokens: column::<i32>(row, 14).map(i32::unsigned_abs),
        },
        temperature: column(row, 15),
        timeout: Duration::from_millis(required::<i64>(row, 16).unsigned_abs()),
        retries: number(17),
        parameters: parameters(18)?,
        query_parameters: parameters(28)?,
        document_parameters: parameters(29)?,
        price: Price { input: column(row, 25), output: column(row, 26), request: column(row, 27) },
    };
    let most = |position| column::<i32>(row, position).map(|n| u64::from(n.unsigned_abs()));
    let learnt = Learnt {
        texts: most(30),
        tokens: most(31),
        is_serial: required(row, 32),
        adapted: Adapted::by_names(&required::<Vec<String>>(row, 33)),
    };
    Ok((spec, required(row, 23), learnt))
}

/// The credential that a model names: dumps bring models along, but not credentials.
fn model_credential(model: &str, row: &SpiHeapTupleData<'_>) -> Result<Option<Credential>> {
    match (credential(row, 19)?, column::<String>(row, 24)) {
        (None, Some(name)) => Err(Error::configuration(format!(
            "credential \"{name}\" of model \"{model}\" does not exist"
        ))
        .with_hint("An administrator can make it again with rag_create_credential().")),
        (credential, _) => Ok(credential),
    }
}

/// Name, prefix, file and variable from four columns; `None` where the name is NULL.
pub fn credential(row: &SpiHeapTupleData<'_>, first: usize) -> Result<Option<Credential>> {
    let Some(name) = column::<String>(row, first) else { return Ok(None) };
    let url_prefix = Address::parse(&required::<String>(row, first + 1))?;
    let source = match column::<String>(row, first + 2) {
        Some(file) => Source::File(PathBuf::from(file)),
        None => Source::Environment(required(row, first + 3)),
    };
    Ok(Some(Credential { name, url_prefix, source }))
}
