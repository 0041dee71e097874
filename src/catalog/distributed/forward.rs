//! Calls functions of the extension on all servers of a distributed collection at once, each for the collection there.
//!
//! What a server has done stays done, whatever becomes of the others and of the transaction here. Each of the functions can be called again.
use crate::catalog::collection::{Collection, require_owner};
use crate::catalog::distributed::ask::{Statement, UNBOUNDED, execute_each, query_each};
use crate::catalog::distributed::generations::is;
use crate::catalog::distributed::{Distributed, Part};
use crate::sys::foreign::calls::Parameter;
use crate::sys::guc::search::shard_timeout;
use crate::sys::names::role_name;
use pgrx::pg_sys::Oid;
use pgrx::spi::quote_identifier;
use rag::search::shard::Description;
use rag::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt::Write as _;
use std::time::Duration;

/// An argument by its name in SQL, with its value as text.
pub type Argument = (&'static str, String);

/// What a statement makes of the rows `v` of a function: all of them, the one value, or nothing but how many there are.
pub const ROWS: &str = "COALESCE(pg_catalog.jsonb_agg(v), '[]')";
pub const VALUE: &str = "v";
pub const DONE: &str = "pg_catalog.count(*)";

/// A row of `rag_verify`.
#[derive(Debug, Deserialize)]
pub struct VerifiedRow {
    pub problem: String,
    pub found: i64,
    pub action: Option<String>,
}

impl Distributed {
    /// What `rag_verify` finds on each server, whose name stands before it.
    pub fn verify(&self, repair: bool) -> Result<Vec<VerifiedRow>> {
        require_owner(self.owner, &self.name, "verify it")?;
        let arguments = [("repair", repair.to_string())];
        let of_server = |(part, row): (Part, VerifiedRow)| VerifiedRow {
            problem: format!("{}: {}", part.place(), row.problem),
            ..row
        };
        Ok(self.rows("rag_verify", &arguments)?.into_iter().map(of_server).collect())
    }

    /// Drops what searches do not run on, on each server; returns how many generations. Not while servers are switched: then the build of the
    /// whole is one of those.
    pub fn prune(&self) -> Result<i32> {
        require_owner(self.owner, &self.name, "prune it")?;
        self.lock();
        let parts = self.parts()?;
        let descriptions = self.descriptions(&parts)?;
        let current = self.described();
        for (part, description) in parts.iter().zip(&descriptions) {
            if !is(description.collection.as_ref(), &current) {
                return Err(Error::not_ready(format!(
                    "{} is in another build than the whole",
                    part.place()
                ))
                .with_hint("Switching again does what is left of a switch: rag_switch() or rag_rollback()."));
            }
        }
        let each = |(part, one)| of_collection(part, one, "rag_prune", VALUE, &[]);
        let statements: Vec<_> =
            parts.iter().zip(&descriptions).map(each).collect::<Result<_>>()?;
        Ok(query_each::<i32>(&statements, UNBOUNDED)?.into_iter().sum())
    }

    /// Lets a role search on each server, or no more: the role there that its user mapping names.
    pub fn change_rights(&self, function: &str, to_do: &str, role: Oid) -> Result<()> {
        require_owner(self.owner, &self.name, to_do)?;
        let parts = self.parts()?;
        let mut statements = Vec::new();
        for (part, description) in parts.iter().zip(self.descriptions(&parts)?) {
            let there = match &part.server {
                Some(server) => server.role_there(role)?,
                None => quote_identifier(role_name(role).unwrap_or_default()),
            };
            let arguments = [("role", there)];
            statements.push(of_collection(part, &description, function, DONE, &arguments)?);
        }
        execute_each(&statements, shard_timeout()).map_err(|error| {
            // Whom a mapping names is for its role to know.
            if !error.is_undefined() {
                return error;
            }
            Error::undefined("a server has not the role that the user mapping names")
                .with_hint("Create it there, or alter the user mapping.")
        })
    }

    /// Calls a function that changes something, for the owner.
    pub fn change<T: DeserializeOwned>(
        &self,
        to_do: &str,
        function: &str,
        shown: &str,
        arguments: &[Argument],
    ) -> Result<Vec<T>> {
        require_owner(self.owner, &self.name, to_do)?;
        let all = self.call(function, shown, arguments, shard_timeout())?;
        Ok(all.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Rows of a function that takes as long as it takes, each with its part.
    pub fn rows<T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: &[Argument],
    ) -> Result<Vec<(Part, T)>> {
        let all = self.call::<Vec<T>>(function, ROWS, arguments, UNBOUNDED)?;
        let of_server =
            |(part, rows): (Part, Vec<T>)| rows.into_iter().map(move |row| (part.clone(), row));
        Ok(all.into_iter().flat_map(of_server).collect())
    }

    /// What `rag_estimate` says on each server.
    pub fn estimates<T: DeserializeOwned>(&self, arguments: &[Argument]) -> Result<Vec<T>> {
        require_owner(self.owner, &self.name, "estimate it")?;
        let shown = "pg_catalog.to_jsonb(v) OPERATOR(pg_catalog.||) \
                     pg_catalog.jsonb_build_object('duration', EXTRACT(epoch FROM v.duration))";
        let all = self.call("rag_estimate", shown, arguments, UNBOUNDED)?;
        Ok(all.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Calls a function on each server, and returns what it gives for each part.
    fn call<T: DeserializeOwned>(
        &self,
        function: &str,
        shown: &str,
        arguments: &[Argument],
        timeout: Duration,
    ) -> Result<Vec<(Part, T)>> {
        let parts = self.parts()?;
        let descriptions = self.descriptions(&parts)?;
        let each = |(part, one)| of_collection(part, one, function, shown, arguments);
        let statements: Vec<_> =
            parts.iter().zip(&descriptions).map(each).collect::<Result<_>>()?;
        let answers = query_each(&statements, timeout)?;
        Ok(parts.into_iter().zip(answers).collect())
    }

    /// `CALL rag_work` on each other server; returns the collections of this one.
    pub fn work(&self) -> Result<Vec<i32>> {
        require_owner(self.owner, &self.name, "work on it")?;
        let parts = self.parts()?;
        let (mut statements, mut here) = (Vec::new(), Vec::new());
        for (part, description) in parts.iter().zip(self.descriptions(&parts)?) {
            let name = there(part, &description)?;
            if part.server.is_none() {
                here.push(Collection::owned(Some(name), "work on it")?.id);
                continue;
            }
            let sql = format!("CALL {}.rag_work($1)", description.schema);
            statements.push((part, sql, vec![Parameter::Text(name.to_owned())]));
        }
        execute_each(&statements, UNBOUNDED)?;
        Ok(here)
    }
}

/// Calls a function for the collection on the server of a part.
pub fn of_collection<'a>(
    part: &'a Part,
    description: &Description,
    function: &str,
    shown: &str,
    arguments: &[Argument],
) -> Result<Statement<'a>> {
    let name = there(part, description)?;
    Ok(of_name(part, name, &format!("{}.{function}", description.schema), shown, arguments))
}

/// Calls a function with a name and these arguments.
pub fn of_name<'a>(
    part: &'a Part,
    name: &str,
    function: &str,
    shown: &str,
    arguments: &[Argument],
) -> Statement<'a> {
    let mut parameters = vec![Parameter::Text(name.to_owned())];
    let mut sql = format!("SELECT {shown} FROM {function}($1");
    for (argument, value) in arguments {
        parameters.push(Parameter::Text(value.clone()));
        let cast = type_of(argument);
        let _ = write!(sql, ", {argument} => ${}::pg_catalog.{cast}", parameters.len());
    }
    sql.push_str(") v");
    (part, sql, parameters)
}

/// Types of arguments of the functions that are called.
fn type_of(argument: &str) -> &'static str {
    match argument {
        "max_tokens" | "overlap_tokens" | "queries" | "k" | "depth" | "questions" => "int8",
        "source" => "regclass",
        "role" => "regrole",
        "text_search_config" => "regconfig",
        "document_key" => "jsonb",
        "content" | "title" | "file_name" | "media_type" | "chunk_schema" => "name",
        "token_bits" | "replicated" | "keep_text" | "ocr" | "large_objects" | "force"
        | "repair" | "rebuild" => "bool",
        _ => "text",
    }
}

/// Name of the collection on the server of a part.
pub fn there<'a>(part: &Part, description: &'a Description) -> Result<&'a str> {
    description.collection.as_ref().map(|one| one.name.as_str()).ok_or_else(|| {
        Error::undefined(format!("table {} on {} has no collection", part.remote, part.place()))
            .with_hint("SELECT rag_create_collection(...) on that server.")
    })
}
