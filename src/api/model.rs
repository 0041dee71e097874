//! `rag_models`, the function behind the view `rag.model`: what is installed. Beside it, in `remote`,
//! models that other servers run.
mod remote;
mod trial;

use crate::models::local as model;
use crate::sys::error::SqlError;
use crate::sys::guc;
use pgrx::prelude::*;
use rag::model::inventory::InstalledBuild;
use rag::model::manifest::{MODEL_FILE, ModelKind, Precision, TOKENIZER_FILE, check_name};
use rag::{Error, Result};
use std::path::Path;

/// Every build of every model in the models directory.
#[pg_extern(sql = r#"
CREATE FUNCTION @extschema@.rag_models() RETURNS TABLE (
    name text,
    kind text,
    fingerprint text,
    dimensions int,
    max_tokens int,
    "precision" text,
    size bigint,
    is_current boolean,
    is_default boolean,
    is_preloaded boolean,
    is_loaded boolean,
    error text
) STABLE STRICT PARALLEL RESTRICTED LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_models() IS 'builds of models in the models directory; behind the view rag.model';
"#)]
#[allow(clippy::type_complexity)] // The columns are the API.
fn rag_models() -> Result<
    TableIterator<
        'static,
        (
            name!(name, String),
            name!(kind, Option<&'static str>),
            name!(fingerprint, String),
            name!(dimensions, Option<i32>),
            name!(max_tokens, Option<i32>),
            name!(precision, Option<&'static str>),
            name!(size, i64),
            name!(is_current, bool),
            name!(is_default, bool),
            name!(is_preloaded, bool),
            name!(is_loaded, bool),
            name!(error, Option<String>),
        ),
    >,
    SqlError,
> {
    let default = guc::model::default_model();
    let rows = model::store().list()?.into_iter().map(move |entry| {
        let InstalledBuild { name, fingerprint, path, is_current, manifest, size } = entry;
        let is_default =
            is_current && name == default || default == format!("{name}@{fingerprint}");
        let open = model::state(&fingerprint);
        let error = manifest.as_ref().err().map(ToString::to_string).or_else(|| missing(&path));
        let manifest = manifest.ok();
        (
            name,
            manifest.as_ref().map(|m| kind(m.kind)),
            fingerprint,
            manifest.as_ref().map(|m| m.dimensions as i32),
            manifest.as_ref().map(|m| m.max_tokens as i32),
            manifest.as_ref().map(|m| precision(m.precision)),
            size as i64,
            is_current,
            is_default,
            open.is_preloaded,
            open.is_loaded,
            error,
        )
    });
    Ok(TableIterator::new(rows))
}

/// The defect of a build that lacks a file. Contents are checked when they are loaded.
fn missing(build: &Path) -> Option<String> {
    let mut files = [MODEL_FILE, TOKENIZER_FILE].iter().map(|file| build.join(file));
    let missing = files.find(|path| !path.is_file())?;
    Some(format!("could not read \"{}\"", missing.display()))
}

fn kind(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Embedder => "embedder",
        ModelKind::Reranker => "reranker",
    }
}

fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::Int8 => "int8",
        Precision::Fp32 => "fp32",
        Precision::AsIs => "as-is",
    }
}

/// A name that something of the catalog can have: what is the name of a model's directory.
pub(super) fn named<'n>(what: &str, name: Option<&'n str>) -> Result<&'n str> {
    let name = name.ok_or_else(|| {
        Error::invalid_argument(format!("a {what} needs a name")).with_hint("Give its name.")
    })?;
    check_name(name)?;
    Ok(name)
}
