//! The models this process has open: inherited from the postmaster, or loaded on first use.
use crate::models::remote;
use crate::sys::guc::model::{Truncation, truncation};
use crate::sys::rights::current_user;
use crate::sys::{exit, guc, process, statement};
use pgrx::pg_sys::Oid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};
use rag::model::manifest::ModelKind;
use rag::model::store::{Located, Store};
use rag::model::{Embedding, LocalModel, Purpose};
use rag::{Error, Result};
use remote::Remote;
use std::cell::{Cell, RefCell};

/// A model of this process. Models are never closed: see [`rag::model::session::Session`].
struct OpenModel {
    model: &'static LocalModel,
    is_preloaded: bool,
}

/// How much of a model is in this process's memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelState {
    /// It was inherited from the postmaster.
    pub is_preloaded: bool,
    /// Its graph is in memory.
    pub is_loaded: bool,
}

thread_local! {
    // Only the main thread asks for models; after a fork it is still the same thread.
    static OPEN: RefCell<Vec<OpenModel>> = const { RefCell::new(Vec::new()) };
    static THREADS: Cell<usize> = const { Cell::new(1) };
}

/// The embedder `name` (or `name@fingerprint`); `None` stands for `rag_pg.default_model`. A model
/// whose files were replaced since the last call is opened anew.
pub fn embedder(name: Option<&str>) -> Result<&'static LocalModel> {
    ready_embedder(tokenizer(name)?)
}

/// A local embedder or reranker, for its manifest and tokenizer. Its graph is loaded on the
/// first run only, so this needs no ONNX Runtime.
pub fn tokenizer(name: Option<&str>) -> Result<&'static LocalModel> {
    match files(name)? {
        Some(located) => open(located),
        None if is_remote(name) => {
            Err(Error::unsupported(format!("model \"{}\" runs on another server", wanted(name)))
                .with_detail("This needs a model of this machine, whose tokens can be counted.")
                .with_hint("Name a local model; the view rag.model lists them."))
        }
        None => Err(missing(name)),
    }
}

/// Whether a name is a remote model's, which has no local tokenizer.
fn is_remote(name: Option<&str>) -> bool {
    // The postmaster, which preloads models, has no catalog.
    process::is_in_transaction() && remote::find(&wanted(name)).is_ok_and(|found| found.is_some())
}

/// The build of an embedder that a generation was made with; `None` when it is not installed. It is found
/// in this process even when its files are gone.
pub fn embedder_by_fingerprint(
    name: &str,
    fingerprint: &str,
) -> Result<Option<&'static LocalModel>> {
    let model = match find_loaded(fingerprint) {
        Some(model) => Some(model),
        None => store().find(&format!("{name}@{fingerprint}"))?.map(open).transpose()?,
    };
    model.map(ready_embedder).transpose()
}

/// Whether this process has this build of a model, or files of this machine are it.
pub fn is_installed(name: &str, fingerprint: &str) -> bool {
    let has_files = || store().find(&format!("{name}@{fingerprint}"));
    find_loaded(fingerprint).is_some() || has_files().is_ok_and(|found| found.is_some())
}

/// An embedder, ready to run; an error when the model is none.
pub fn ready_embedder(model: &'static LocalModel) -> Result<&'static LocalModel> {
    model.require(ModelKind::Embedder)?;
    ready(model)
}

/// The model with its graph loaded.
pub fn ready(model: &'static LocalModel) -> Result<&'static LocalModel> {
    model.session()?;
    exit::install();
    Ok(model)
}

/// Marks `model` as inherited by processes that are forked later.
pub fn mark_preloaded(model: &'static LocalModel) {
    OPEN.with_borrow_mut(|open| {
        for o in open.iter_mut().filter(|o| std::ptr::eq(o.model, model)) {
            o.is_preloaded = true;
        }
    });
}

pub fn state(fingerprint: &str) -> ModelState {
    OPEN.with_borrow(|open| {
        let of_it = open.iter().filter(|o| o.model.fingerprint() == fingerprint);
        of_it.fold(ModelState::default(), |state, o| ModelState {
            is_preloaded: state.is_preloaded || o.is_preloaded,
            is_loaded: state.is_loaded || o.model.is_loaded(),
        })
    })
}

/// Sets the threads of models opened later. For workers, at their
/// start: with more than one, sessions inherited from the postmaster are not used.
pub fn set_threads(threads: usize) {
    THREADS.set(threads.max(1));
}

/// A model by its name.
pub enum Named {
    Local(&'static LocalModel),
    Remote(Box<Remote>),
}

/// The model `name`, or `rag_pg.default_model`, for use by the caller. A local model hides a remote one of
/// the same name.
pub fn named(name: Option<&str>) -> Result<Named> {
    named_for(name, current_user())
}

/// The same for use by `role`.
pub fn named_for(name: Option<&str>, role: Oid) -> Result<Named> {
    if let Some(located) = files(name)? {
        return Ok(Named::Local(open(located)?));
    }
    let client = remote::find_for(&wanted(name), role)?.ok_or_else(|| missing(name))?;
    Ok(Named::Remote(Box::new(client)))
}

/// An error when a local model has this name.
pub fn check_free(name: &str) -> Result<()> {
    match store().find(name)? {
        None => Ok(()),
        Some(_) => Err(Error::duplicate(format!("model \"{name}\" already exists"))
            .with_detail("It is installed on this machine.")
            .with_hint("Choose another name.")),
    }
}

/// The models directory.
pub fn store() -> Store {
    Store::new(guc::model::model_path())
}

/// Models and their tokenizers read UTF-8; a database of another encoding would feed them bytes
/// that mean something else.
#[allow(unsafe_code)]
pub fn require_utf8() -> Result<()> {
    // SAFETY: reads this backend's database encoding.
    let encoding = unsafe { pgrx::pg_sys::GetDatabaseEncoding() };
    if encoding == pgrx::pg_sys::pg_enc::PG_UTF8.cast_signed() {
        return Ok(());
    }
    Err(Error::unsupported("rag_pg works in databases with encoding UTF8 only").with_hint(
        "Create the database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0.",
    ))
}

/// The name given, or `rag_pg.default_model`.
fn wanted(name: Option<&str>) -> String {
    name.map_or_else(guc::model::default_model, str::to_owned)
}

/// The files of a local model; `None` when there is none.
fn files(name: Option<&str>) -> Result<Option<Located>> {
    store().find(&wanted(name)).map_err(|error| naming_setting(name, error))
}

fn missing(name: Option<&str>) -> Error {
    naming_setting(name, store().missing(&wanted(name)))
}

/// Adds to the hint that the name comes from a setting, when the caller gave none.
fn naming_setting(name: Option<&str>, error: Error) -> Error {
    match error.hint() {
        Some(hint) if name.is_none() => {
            let default = guc::model::default_model();
            let hint = format!("{hint} The setting rag_pg.default_model names \"{default}\".");
            error.with_hint(hint)
        }
        _ => error,
    }
}

/// A model of this process whose graph is loaded.
fn find_loaded(fingerprint: &str) -> Option<&'static LocalModel> {
    let threads = THREADS.get();
    find(|m| m.fingerprint() == fingerprint && m.is_loaded() && m.options().threads == threads)
}

fn find(fits: impl Fn(&LocalModel) -> bool) -> Option<&'static LocalModel> {
    OPEN.with_borrow(|open| open.iter().map(|o| o.model).find(|model| fits(model)))
}

/// The model, opened once. A loaded graph is kept when its files or settings change; before it is loaded, changed
/// settings open the model anew.
fn open(located: Located) -> Result<&'static LocalModel> {
    let options = guc::model::session_options(THREADS.get());
    let same = |m: &LocalModel| *m.located() == located && *m.options() == options;
    if let Some(model) = find_loaded(&located.fingerprint).or_else(|| find(same)) {
        return Ok(model);
    }
    let model: &'static LocalModel = Box::leak(Box::new(LocalModel::open(located, options)?));
    OPEN.with_borrow_mut(|open| open.push(OpenModel { model, is_preloaded: false }));
    Ok(model)
}

/// Does what `rag_pg.truncation` says when texts did not fit the window. A statement over many rows gives one NOTICE.
pub fn report_truncated(
    model: &LocalModel,
    purpose: Purpose,
    embeddings: &[Embedding],
) -> Result<()> {
    let mut cut = embeddings.iter().filter(|embedding| embedding.truncated);
    let (Some(first), more) = (cut.next(), cut.count()) else { return Ok(()) };
    let (name, room) = (&model.manifest().name, model.room(purpose)?);
    let what = match (embeddings.len(), more) {
        (1, _) => format!("a text of {} tokens is", first.token_count),
        (all, 0) => format!("1 of {all} texts is"),
        (all, more) => format!("{} of {all} texts are", more + 1),
    };
    let message = format!("{what} longer than the {room} tokens that model \"{name}\" takes");
    let hint = "rag_chunk cuts texts to fit.";
    match truncation() {
        Truncation::Error => return Err(Error::too_large(message).with_hint(hint)),
        Truncation::Notice if statement::is_news("truncated") => {
            let code = PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION;
            ErrorReport::new(code, format!("{message}; the rest was left out"), function_name!())
                .set_hint(hint)
                .report(PgLogLevel::NOTICE);
        }
        Truncation::Silent | Truncation::Notice => {}
    }
    Ok(())
}
