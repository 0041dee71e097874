//! ONNX Runtime, loaded from a path once per process.
use crate::file::{self, Links};
use crate::{Error, Result};
use once_cell::sync::OnceCell;
use ort::LoadDynamicError;
use ort::environment::Environment;
use std::path::Path;

/// Minor version of the API that is used: older runtimes do not have it. Debian 13's own 1.21 does.
const OLDEST_VERSION: u32 = ort::MINOR_VERSION;

/// A static is never dropped, which is the point: ONNX Runtime's destructors must not run over the
/// copy-on-write heap of a forked process.
static ENVIRONMENT: OnceCell<Environment> = OnceCell::new();

/// The process's environment; `library` counts on the first call only. It has no thread pool of its
/// own and no telemetry (which also wants `ORT_DISABLE_TELEMETRY=1` in the process's environment).
pub fn environment(library: &Path) -> Result<&'static Environment> {
    ENVIRONMENT.get_or_try_init(|| start(library))
}

fn start(library: &Path) -> Result<Environment> {
    if !library.is_absolute() {
        return Err(Error::configuration(format!(
            "the path of ONNX Runtime, \"{}\", is not absolute",
            library.display()
        ))
        .with_hint(RUNTIME_HINT));
    }
    // The loader would wait for the other side of a pipe.
    if library.exists() {
        file::open(library, Links::Anywhere, u64::MAX).map_err(|e| no_library(library, &e))?;
    }
    let builder = ort::init_from(library).map_err(|e| unusable(library, &e))?;
    builder.with_name("rag_pg").with_telemetry(false).build().map_err(|e| {
        Error::configuration("could not start ONNX Runtime").with_detail(e.to_string())
    })
}

/// Whether this process has loaded ONNX Runtime.
pub fn is_loaded() -> bool {
    ENVIRONMENT.get().is_some()
}

const RUNTIME_HINT: &str =
    "\"make setup\" installs it; the setting rag_pg.onnxruntime_path names libonnxruntime.so.";

fn no_library(library: &Path, error: &std::io::Error) -> Error {
    Error::configuration(format!("could not load ONNX Runtime from \"{}\"", library.display()))
        .with_detail(error.to_string())
        .with_hint(RUNTIME_HINT)
}

fn unusable(library: &Path, error: &LoadDynamicError) -> Error {
    let path = library.display();
    let error = match error {
        LoadDynamicError::BadVersion { version_str, .. } => {
            Error::configuration(format!("ONNX Runtime {version_str} at \"{path}\" is too old"))
                .with_detail(format!("At least version 1.{OLDEST_VERSION} is needed."))
        }
        LoadDynamicError::Dlopen { .. } if !library.exists() => {
            Error::configuration(format!("ONNX Runtime is not installed at \"{path}\""))
        }
        LoadDynamicError::Dlopen { error, .. } => {
            return no_library(library, &std::io::Error::other(error.to_string()));
        }
        LoadDynamicError::MissingApi { .. } | LoadDynamicError::InvalidVersionString => {
            Error::configuration(format!("\"{path}\" is not ONNX Runtime"))
        }
    };
    error.with_hint(RUNTIME_HINT)
}
