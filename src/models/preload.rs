//! Models loaded once by the postmaster and inherited by every process it forks.
//!
//! A model is first tried in a child process: one that fails, crashes, hangs or starts a thread
//! there costs a WARNING, never the server, and sessions load it themselves when they need it.
#![allow(unsafe_code)] // Flags of the postmaster, and a forked child.
use crate::models::local as model;
use crate::sys::{exit, guc, process};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};
use rag::model::manifest::ModelKind;
use rag::model::{Detail, Embedder, LocalModel, Purpose, Reranker};
use rag::{Error, Result};

mod pages;
mod trial;

/// Loads `rag_pg.preload_models`, when called while a server that will serve clients starts.
pub fn init() {
    disable_telemetry();
    if !process::is_preloading() || !process::serves_clients() {
        return;
    }
    let mut has_loaded = false;
    for name in guc::model::preload_models() {
        match preload(&name) {
            Ok(()) => has_loaded = true,
            Err(error) => warn_not_preloaded(&name, &error),
        }
    }
    if has_loaded {
        pages::consolidate();
    }
}

/// ONNX Runtime 1.30 and newer start a thread for telemetry unless the environment says not to; a
/// postmaster with threads hangs in start-up.
fn disable_telemetry() {
    // SAFETY: a process that loads this library has no other thread yet.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}

fn preload(name: &str) -> Result<()> {
    trial::run(|| load_and_run(name).map(|_| ()))?;
    let committed = committed_bytes();
    let loaded = load_and_run(name)?;
    exit::install();
    model::mark_preloaded(loaded);
    warn_of_commit_charge(name, committed_bytes().saturating_sub(committed));
    let fingerprint = loaded.fingerprint();
    pgrx::log!("rag_pg: preloaded model \"{name}\" ({fingerprint})");
    Ok(())
}

/// Loads the model and runs it once, which also initialises what every process would otherwise
/// initialise. An error if a thread was started.
fn load_and_run(name: &str) -> Result<&'static LocalModel> {
    let before = threads();
    let model = model::tokenizer(Some(name))?;
    match model.manifest().kind {
        ModelKind::Embedder => {
            model.embed(&["a"], Purpose::Query, Detail::Vector, &mut || Ok(()))?;
        }
        ModelKind::Reranker => {
            model.rerank("a", &["a"], &mut || Ok(()))?;
        }
    }
    let started = threads().saturating_sub(before);
    if started > 0 {
        return Err(Error::configuration("loading the model started threads").with_detail(
            format!("There are {started} more, and the postmaster must not have any."),
        ));
    }
    Ok(model)
}

/// Threads of this process; 1 where `/proc` is missing.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Private memory of this process that the kernel promises to back, in bytes.
fn committed_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.as_deref().and_then(|line| line.split_whitespace().nth(5)?.parse().ok());
    pages.unwrap_or(0_u64) * 4096
}

/// Under strict overcommit every forked process is charged for what it inherits.
fn warn_of_commit_charge(name: &str, bytes: u64) {
    let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    if mode.trim() == "2" {
        let megabytes = bytes / (1024 * 1024);
        let message = format!(
            "preloaded model \"{name}\" adds {megabytes} MB to the memory charged to every connection"
        );
        warn(
            &message,
            None,
            "vm.overcommit_memory is 2; raise vm.overcommit_ratio, or preload fewer models.",
        );
    }
}

fn warn_not_preloaded(name: &str, error: &Error) {
    let message = format!("model \"{name}\" was not preloaded: {}", error.message());
    let fallback = "Sessions that use the model load it themselves.";
    let hint = error.hint().map_or_else(|| fallback.to_owned(), |h| format!("{h} {fallback}"));
    warn(&message, error.detail(), &hint);
}

fn warn(message: &str, detail: Option<&str>, hint: &str) {
    let code = PgSqlErrorCode::ERRCODE_WARNING;
    let mut report = ErrorReport::new(code, message.to_owned(), function_name!()).set_hint(hint);
    if let Some(detail) = detail {
        report = report.set_detail(detail);
    }
    report.report(PgLogLevel::WARNING);
}
