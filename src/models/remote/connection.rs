//! The connections of this process, kept open between calls.
use rag::file::{self, Links};
use rag::remote::{Connection, Egress, Settings};
use rag::{Error, Result};
use std::cell::RefCell;
use std::path::Path;

/// Most bytes of a file of authorities; all of Mozilla's are a quarter of a megabyte.
const LONGEST: u64 = 16 << 20;

struct Kept {
    egress: Egress,
    ca_file: String,
    connection: Connection,
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Connections by these settings. When a setting changes, those made by the one before are closed.
pub fn connection(egress: Egress, ca_file: String) -> Result<Connection> {
    let kept = KEPT.with_borrow(|kept| {
        let kept = kept.as_ref().filter(|k| k.egress == egress && k.ca_file == ca_file);
        kept.map(|kept| kept.connection.clone())
    });
    if let Some(connection) = kept {
        return Ok(connection);
    }
    let authorities = authorities(&ca_file)?;
    let connection = Connection::new(&Settings { egress: egress.clone(), authorities })?;
    KEPT.set(Some(Kept { egress, ca_file, connection: connection.clone() }));
    Ok(connection)
}

fn authorities(path: &str) -> Result<Vec<u8>> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    file::read(Path::new(path), Links::Anywhere, LONGEST).map_err(|error| {
        Error::configuration(format!("could not read \"{path}\""))
            .with_detail(error.to_string())
            .with_hint("The setting rag_pg.ca_file names it.")
    })
}
