//! Whether the extension's objects in this database are those of this library.
//!
//! A package replaces the library, ALTER EXTENSION UPDATE follows in each database. Until then triggers record changes, and all that
//! knows collections is refused: statements of one version do not fit tables of another.
use crate::sys::plan;
use crate::sys::rows::required;
use rag::{Error, Result};
use std::cell::Cell;

const LIBRARY: &str = env!("CARGO_PKG_VERSION");

thread_local! {
    /// This backend has seen that they are. A library that is loaded stays.
    static IS_CURRENT: Cell<bool> = const { Cell::new(false) };
}

/// Whether they are.
pub fn is_current() -> bool {
    require_current().is_ok()
}

/// An error unless they are.
pub fn require_current() -> Result<()> {
    if IS_CURRENT.get() {
        return Ok(());
    }
    let found = plan::read_latest(statement!("sys/version"), &[], |row| required::<String>(row, 1));
    // DROP EXTENSION may be under way.
    let Some(installed) = found.first() else { return Ok(()) };
    if installed == LIBRARY {
        IS_CURRENT.set(true);
        return Ok(());
    }
    let number =
        |version: &str| version.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>();
    let is_older = number(installed).ok() < number(LIBRARY).ok();
    let to_do = if is_older {
        "Run ALTER EXTENSION rag_pg UPDATE in this database."
    } else {
        "Restart the server, so that it loads the library that came with this version."
    };
    Err(Error::not_ready(format!(
        "extension \"rag_pg\" is at version {installed} in this database, and its library at {LIBRARY}"
    ))
    .with_hint(to_do))
}
