//! Compares the collections on all servers with their sources, all at once.
use crate::catalog::collection::require_owner;
use crate::catalog::distributed::ask::query_each;
use crate::catalog::distributed::generations::there;
use crate::catalog::distributed::{Distributed, Part};
use crate::sys::foreign::calls::Parameter;
use rag::Result;
use serde::Deserialize;

/// A row of `rag_verify`.
#[derive(Debug, Deserialize)]
pub struct VerifiedRow {
    pub problem: String,
    pub found: i64,
    pub action: Option<String>,
}

impl Distributed {
    /// What `rag_verify` finds on each server, whose name stands before it. It takes as long as it takes.
    pub fn verify(&self, repair: bool) -> Result<Vec<VerifiedRow>> {
        require_owner(self.owner, &self.name, "verify it")?;
        let parts = self.parts()?;
        let mut statements: Vec<(&Part, String, Vec<Parameter>)> = Vec::new();
        for (part, description) in parts.iter().zip(self.descriptions(&parts)?) {
            let name = there(part, &description)?.to_owned();
            let sql = format!(
                "SELECT COALESCE(pg_catalog.jsonb_agg(v), '[]') FROM {}.rag_verify($1, $2::pg_catalog.bool) v",
                description.schema
            );
            let parameters = vec![Parameter::Text(name), Parameter::Text(repair.to_string())];
            statements.push((part, sql, parameters));
        }
        let mut all = Vec::new();
        let answers = query_each::<Vec<VerifiedRow>>(&statements)?;
        for ((part, ..), rows) in statements.iter().zip(answers) {
            let of_server = |row: VerifiedRow| VerifiedRow {
                problem: format!("server \"{}\": {}", part.server.name, row.problem),
                ..row
            };
            all.extend(rows.into_iter().map(of_server));
        }
        Ok(all)
    }
}
