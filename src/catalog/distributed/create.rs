//! Creates and drops distributed collections.
use crate::catalog::collection::require_owner;
use crate::catalog::distributed::ask::{Statement, ask, execute_each};
use crate::catalog::distributed::forward::{Argument, DONE, of_name};
use crate::catalog::distributed::{Distributed, Part, parts_of};
use crate::catalog::objects::drop::delete_collection;
use crate::catalog::objects::require_free_name;
use crate::sys::guc::search::shard_timeout;
use crate::sys::rights::as_extension_owner;
use crate::sys::rows::row;
use crate::sys::spi::{query, read, required};
use crate::sys::version::require_current;
use pgrx::pg_sys::Oid;
use pgrx::spi::quote_literal;
use rag::search::shard::{Described, Description, Step};
use rag::{Error, Result};

row! {
    struct SourceRow {
        owner: Oid,
        foreign_parts: i64,
    }
}

row! {
    struct OtherName {
        leaf_sql: String,
        name: String,
    }
}

/// What to create.
pub struct NewDistributed {
    pub name: String,
    pub source: Oid,
    pub content: String,
    /// Whether collections that are missing are created on their servers.
    pub creates_remote: bool,
    /// Options for those, by the names of `rag_create_collection`'s arguments.
    pub options: Vec<Argument>,
}

/// Whether a table's partitions, or some of them, lie on other servers.
pub fn is_distributed(source: Oid) -> bool {
    describe(source).is_some_and(|row| row.foreign_parts > 0)
}

fn describe(source: Oid) -> Option<SourceRow> {
    let sql = statement!("catalog/distributed_source");
    read(sql, &[source.into()], |row| SourceRow::read(&row)).pop()
}

impl NewDistributed {
    /// Checks every server and records the collection; returns its number.
    pub fn create(&self) -> Result<i32> {
        require_current()?;
        let source = describe(self.source).ok_or_else(|| {
            Error::wrong_object("the source is no partitioned table")
                .with_hint("A distributed collection is made of a partitioned table.")
        })?;
        require_owner(source.owner, &self.name, "create it")?;
        require_free_name(&self.name)?;
        let parts = parts_of(self.source, &self.content)?;
        let described = self.described(&parts)?;
        self.require_same_names(&described)?;
        let size = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let arguments = [
            self.name.as_str().into(),
            self.source.into(),
            self.content.as_str().into(),
            described.model.as_str().into(),
            described.fingerprint.as_str().into(),
            size(described.dimensions).into(),
            described.has_bits.into(),
            size(described.max_tokens).into(),
            size(described.overlap_tokens).into(),
            described.format.as_str().into(),
            described.text_search_config.as_str().into(),
            described.analysis.into(),
            described.keys.clone().into(),
            described.title.clone().into(),
            described.kind.as_str().into(),
        ];
        let sql = statement!("catalog/insert_distributed");
        Ok(as_extension_owner(|| query(sql, &arguments, |row| required::<i32>(&row, 1)))[0])
    }

    /// Keys, titles and filters go by the names that columns have on the servers.
    fn require_same_names(&self, described: &Described) -> Result<()> {
        let columns: Vec<&str> =
            described.keys.iter().chain(&described.title).map(String::as_str).collect();
        let sql = statement!("catalog/other_names");
        let arguments = [self.source.into(), columns.into()];
        let other = read(sql, &arguments, |row| OtherName::read(&row)).pop();
        let Some(OtherName { leaf_sql, name }) = other else { return Ok(()) };
        Err(Error::wrong_object(format!(
            "column \"{name}\" of the tables on the servers has another name in {leaf_sql}"
        ))
        .with_hint("Keys, titles and filters go by the names there. Give the column of the partitioned table the same name."))
    }

    /// What all parts have, after collections were created where they were missing.
    fn described(&self, parts: &[Part]) -> Result<Described> {
        let mut all: Vec<Option<Described>> = Vec::new();
        let mut missing = Vec::new();
        for (part, description) in parts.iter().zip(self.ask(parts)?) {
            all.push(match description.collection {
                None if self.creates_remote => {
                    missing.push(self.creation(part, &description.schema));
                    None
                }
                None => return Err(self.missing(part)),
                found => found,
            });
        }
        if !missing.is_empty() {
            execute_each(&missing, shard_timeout())?;
            all = self.ask(parts)?.into_iter().map(|answer| answer.collection).collect();
        }
        let mut described = parts.iter().zip(all);
        let (first_part, first) = described.next().ok_or_else(|| {
            Error::wrong_object("the source has no partitions").with_hint("Attach some first.")
        })?;
        let first = first.ok_or_else(|| self.missing(first_part))?;
        for (part, other) in described {
            let other = other.ok_or_else(|| self.missing(part))?;
            if let Some((what, one, another)) = first.difference(&other) {
                return Err(Error::wrong_object(format!(
                    "the collections on {} and {} differ in {what}",
                    first_part.place(),
                    part.place()
                ))
                .with_detail(format!("They have \"{one}\" and \"{another}\"."))
                .with_hint("Create one of them again with the options of the other."));
            }
        }
        Ok(first)
    }

    fn ask(&self, parts: &[Part]) -> Result<Vec<Description>> {
        let steps: Vec<(&Part, Step)> = parts.iter().map(|part| (part, Step::Describe)).collect();
        let answers = ask::<Description>(&self.name, &steps, &[])?;
        let mut descriptions = Vec::new();
        for (part, answer) in parts.iter().zip(answers) {
            let description = answer?;
            if description.version != env!("CARGO_PKG_VERSION") {
                return Err(Error::not_ready(format!(
                    "{} has version {} of rag_pg, and this one {}",
                    part.place(),
                    description.version,
                    env!("CARGO_PKG_VERSION")
                ))
                .with_hint(
                    "Bring both servers to the same version: ALTER EXTENSION rag_pg UPDATE;",
                ));
            }
            descriptions.push(description);
        }
        Ok(descriptions)
    }

    fn missing(&self, part: &Part) -> Error {
        Error::undefined(format!(
            "table {} on {} has no collection over column \"{}\"",
            part.remote, part.place(), part.content
        ))
        .with_hint(format!(
            "Create it there, or have it created: rag_create_collection({}, ..., create_remote => true).",
            quote_literal(&self.name)
        ))
    }

    /// What creates the collection on the server of a part, under the name of the whole.
    fn creation<'a>(&self, part: &'a Part, schema: &str) -> Statement<'a> {
        let table = [("source", part.remote.clone()), ("content", part.content.clone())];
        let arguments: Vec<Argument> = table.into_iter().chain(self.options.clone()).collect();
        // Here the name is that of the whole.
        let name = match part.server {
            Some(_) => self.name.clone(),
            None => format!("{}_{}", self.name, part.name),
        };
        of_name(part, &name, &format!("{schema}.rag_create_collection"), DONE, &arguments)
    }
}

/// Forgets a distributed collection; those on its servers stay. False where there is none.
pub fn drop(name: &str) -> Result<bool> {
    let Some(distributed) = Distributed::find(name)? else { return Ok(false) };
    require_owner(distributed.owner, name, "drop it")?;
    delete_collection(distributed.id);
    Ok(true)
}
