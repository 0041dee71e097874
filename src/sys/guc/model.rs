//! Settings of models.
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};
use rag::model::session;
use std::ffi::{CStr, CString};
use std::path::PathBuf;

/// What happens to a text that is longer than the model's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum Truncation {
    /// Its end does not count, and a NOTICE says so.
    #[name = c"notice"]
    Notice,
    /// It is refused.
    #[name = c"error"]
    Error,
    /// Its end does not count.
    #[name = c"silent"]
    Silent,
}

const DEFAULT_MODEL: &CStr = c"all-MiniLM-L6-v2";

static MODEL_PATH: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"/var/lib/rag_pg/models"));
static ONNXRUNTIME_PATH: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(installed!("/lib/rag_pg/libonnxruntime.so")));
static DEFAULT: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(DEFAULT_MODEL));
static PRELOAD: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(DEFAULT_MODEL));
static TRUNCATION: GucSetting<Truncation> = GucSetting::<Truncation>::new(Truncation::Notice);

/// The directory that holds the models.
pub fn model_path() -> PathBuf {
    PathBuf::from(text(&MODEL_PATH))
}

/// How sessions are made, with `threads` threads.
pub fn session_options(threads: usize) -> session::SessionOptions {
    session::SessionOptions { threads, ..session::SessionOptions::new(text(&ONNXRUNTIME_PATH)) }
}

/// Name of the model that NULL stands for.
pub fn default_model() -> String {
    text(&DEFAULT)
}

/// Names of the models to load with the server.
pub fn preload_models() -> Vec<String> {
    let names = text(&PRELOAD);
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What happens to a text that is longer than the model's window.
pub fn truncation() -> Truncation {
    TRUNCATION.get()
}

fn text(setting: &GucSetting<Option<CString>>) -> String {
    setting.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Defines the settings. The server reads files at the two paths and runs what it finds, so only
/// superusers choose them; the rest only changes the caller's own results.
pub fn init() {
    GucRegistry::define_string_guc(
        c"rag_pg.model_path",
        c"Directory that holds the models.",
        c"\"rag-model\" writes there; the server's operating system user must be able to read it.",
        &MODEL_PATH,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"rag_pg.onnxruntime_path",
        c"Path of the ONNX Runtime library.",
        c"Counts when a process loads its first model; 1.20 or newer.",
        &ONNXRUNTIME_PATH,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"rag_pg.default_model",
        c"Embedding model used where none is named.",
        c"A name, or name@fingerprint for one build of it. Collections keep the model they were made with.",
        &DEFAULT,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"rag_pg.truncation",
        c"What happens to a text that is longer than the model's window.",
        c"\"notice\" embeds its beginning and says so, \"error\" refuses it, \"silent\" embeds its beginning.",
        &TRUNCATION,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"rag_pg.preload_models",
        c"Models loaded once at server start and shared by all sessions, separated by commas.",
        c"Counts when shared_preload_libraries contains rag_pg. Others are loaded by each session that uses them.",
        &PRELOAD,
        preload_context(),
        GucFlags::default(),
    );
}

/// PostgreSQL ends a backend that defines a postmaster setting after start-up, so without
/// preloading, where the setting has no effect, it is one of the file.
fn preload_context() -> GucContext {
    if crate::sys::process::is_preloading() { GucContext::Postmaster } else { GucContext::Sighup }
}
