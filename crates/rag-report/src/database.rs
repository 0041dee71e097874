//! Asks the database through `psql`, which knows every way to connect.
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// Where the search path is of no concern, nothing but PostgreSQL's own is on it.
const SAFE_PATH: &str = "SET search_path = pg_catalog, pg_temp;\n";

/// A file of `sql/`.
#[derive(Clone, Copy)]
pub struct Query {
    text: &'static str,
    /// Whether it calls functions that run users' policies, under the path that these expect.
    keeps_path: bool,
}

impl Query {
    pub const fn new(text: &'static str) -> Self {
        Self { text, keeps_path: false }
    }

    pub const fn under_callers_path(text: &'static str) -> Self {
        Self { text, keeps_path: true }
    }
}

pub struct Database {
    connection: Option<String>,
}

impl Database {
    pub fn new(connection: Option<&str>) -> Self {
        Self { connection: connection.map(str::to_owned) }
    }

    /// Runs a query with psql's variables and returns its one value. The error is what psql says.
    pub fn ask(&self, query: Query, variables: &[(&str, &str)]) -> Result<Value, String> {
        let mut psql = Command::new("psql");
        psql.args(["-XAtqw", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        for (name, value) in variables {
            psql.arg("-v").arg(format!("{name}={value}"));
        }
        if let Some(connection) = &self.connection {
            psql.arg("-d").arg(connection);
        }
        psql.env("PGOPTIONS", options())
            .env("PGCLIENTENCODING", "UTF8")
            .env("PGAPPNAME", "rag-report");
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = psql.spawn().map_err(|error| format!("psql cannot be run: {error}"))?;
        let path = if query.keeps_path { "" } else { SAFE_PATH };
        let mut stdin = child.stdin.take().expect("a pipe");
        // A psql that could not connect reads nothing; what it says comes below.
        let _ = stdin.write_all(format!("{path}{}", query.text).as_bytes());
        drop(stdin);
        let output = child.wait_with_output().map_err(|error| format!("psql: {error}"))?;
        if !output.status.success() {
            return Err(said(&String::from_utf8_lossy(&output.stderr)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        match text.trim() {
            "" => Ok(Value::Null),
            text => {
                serde_json::from_str(text).map_err(|error| format!("psql printed no JSON: {error}"))
            }
        }
    }
}

/// The session may read only, whatever it calls.
fn options() -> String {
    let given = std::env::var("PGOPTIONS").unwrap_or_default();
    format!("{given} -c default_transaction_read_only=on")
}

/// The error and its hint, without psql's file and line.
fn said(stderr: &str) -> String {
    let lines = stderr.lines().filter(|line| !line.contains("NOTICE: "));
    let lines = lines.map(|line| line.split_once("ERROR:  ").map_or(line, |(_, message)| message));
    lines.collect::<Vec<_>>().join("\n")
}
