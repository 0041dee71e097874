//! A search's filter as SQL with parameters, in terms of the source row `s` and the chunk `c`.
use crate::catalog::collection::Collection;
use crate::search::comparable::{Comparable, values};
use pgrx::datum::DatumWithOid;
use pgrx::spi::quote_identifier;
use pgrx::{IntoDatum, pg_sys};
use rag::search::filter::{Comparison, Filter as Tree, Test};
use rag::{Error, Result};
use serde_json::Value;

/// Parameters of the statement before those of the filter.
pub const OWN_PARAMETERS: usize = 4;

/// A filter compiled for one collection. The SQL depends on the filter's shape alone, so that filters
/// that differ in values share a plan.
pub struct Filter {
    sql: Option<String>,
    arguments: Vec<DatumWithOid<'static>>,
}

impl Filter {
    /// Compiles `tree`; every column must exist in the source. `documents` is the generation's table
    /// of documents, qualified and quoted.
    pub fn compile(tree: Option<&Tree>, collection: &Collection, documents: &str) -> Result<Self> {
        let mut compiler = Compiler { collection, documents, arguments: Vec::new() };
        let sql = tree.map(|tree| compiler.compile(tree)).transpose()?;
        Ok(Self { sql, arguments: compiler.arguments })
    }

    /// A condition, or `None` when everything passes.
    pub fn sql(&self) -> Option<&str> {
        self.sql.as_deref()
    }

    /// Values of its parameters, in order.
    pub fn arguments(&self) -> impl Iterator<Item = DatumWithOid<'static>> {
        self.arguments.iter().map(values::copied)
    }
}

struct Compiler<'a> {
    collection: &'a Collection,
    documents: &'a str,
    arguments: Vec<DatumWithOid<'static>>,
}

/// What a test is about.
enum Field {
    Value { sql: String, values: Comparable },
    Section,
}

impl Compiler<'_> {
    fn compile(&mut self, tree: &Tree) -> Result<String> {
        Ok(match tree {
            Tree::All(filters) => self.join(filters, " AND ", "true")?,
            Tree::Any(filters) => self.join(filters, " OR ", "false")?,
            // A test of nothing is not true, so its opposite holds.
            Tree::Not(filter) => format!("({}) IS NOT TRUE", self.compile(filter)?),
            Tree::Test { field, test } => match self.field(field)? {
                Field::Section => self.section(test)?,
                Field::Value { sql, values } => self.value(&sql, &values, test)?,
            },
        })
    }

    fn join(&mut self, filters: &[Tree], separator: &str, none: &str) -> Result<String> {
        let parts: Vec<String> = filters.iter().map(|f| self.compile(f)).collect::<Result<_>>()?;
        if parts.is_empty() {
            return Ok(none.to_owned());
        }
        Ok(format!("({})", parts.join(separator)))
    }

    /// A column of the source, else one of chunks.
    fn field(&self, name: &str) -> Result<Field> {
        if let Some(type_oid) = values::column_type(self.collection.source, name) {
            let sql = format!("s.{}", quote_identifier(name));
            return Ok(Field::Value { sql, values: Comparable::of(name, type_oid)? });
        }
        match name {
            "section" => Ok(Field::Section),
            "page" => {
                let sql = format!(
                    "(SELECT d.pages[pg_catalog.array_position(d.chunk_ids, c.chunk_id)] FROM {} d WHERE {})",
                    self.documents,
                    self.collection.stored_keys_equal("d", "c"),
                );
                Ok(Field::Value { sql, values: Comparable::of(name, pg_sys::INT4OID)? })
            }
            _ => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let source = &self.collection.source_sql;
        let columns = values::column_names(self.collection.source).join(", ");
        Error::undefined_column(format!("column \"{name}\" of table {source} does not exist"))
            .with_hint(format!(
                "A filter may name: {columns}; section and page of a chunk; and, or, not."
            ))
    }

    /// A section of a document: a heading path and everything below it.
    fn section(&mut self, test: &Test) -> Result<String> {
        let listed = match test {
            Test::Exists(true) => return Ok("c.section IS NOT NULL".to_owned()),
            Test::Exists(false) => return Ok("c.section IS NULL".to_owned()),
            Test::Compare(Comparison::Equal | Comparison::Different, value) => vec![value],
            Test::OneOf(values) => values.iter().collect(),
            Test::Compare(..) => {
                return Err(Error::invalid_argument("sections have no order to compare by")
                    .with_hint(
                        "Test \"section\" with a heading path, a list of them, ne or exists.",
                    ));
            }
        };
        let mut parts = Vec::new();
        for value in listed {
            if value.is_null() {
                parts.push("c.section IS NULL".to_owned());
                continue;
            }
            let path = self.argument(values::text_of(value), pg_sys::TEXTOID);
            parts.push(format!("c.section OPERATOR(pg_catalog.=) {path}"));
            parts.push(format!(
                "pg_catalog.starts_with(c.section, {path} OPERATOR(pg_catalog.||) ' > ')"
            ));
        }
        let any = if parts.is_empty() { "false".to_owned() } else { parts.join(" OR ") };
        let is_different = matches!(test, Test::Compare(Comparison::Different, _));
        Ok(if is_different { format!("({any}) IS NOT TRUE") } else { format!("({any})") })
    }

    fn value(&mut self, sql: &str, values: &Comparable, test: &Test) -> Result<String> {
        match test {
            Test::Exists(true) => Ok(format!("{sql} IS NOT NULL")),
            Test::Exists(false) => Ok(format!("{sql} IS NULL")),
            Test::Compare(Comparison::Different, value) => {
                let equal =
                    self.value(sql, values, &Test::Compare(Comparison::Equal, value.clone()))?;
                Ok(format!("({equal}) IS NOT TRUE"))
            }
            Test::Compare(comparison, value) => {
                let operator = values.operator(*comparison)?;
                let datum = values.read(value);
                let parameter = self.bind(datum);
                Ok(format!("{sql} {operator} {parameter}"))
            }
            Test::OneOf(list) => {
                let present: Vec<&Value> = list.iter().filter(|v| !v.is_null()).collect();
                let operator = values.operator(Comparison::Equal)?;
                let mut parts = if let Some(array) = values.read_list(&present) {
                    vec![format!("{sql} {operator} ANY ({})", self.bind(array))]
                } else {
                    let bound = present.iter().map(|value| self.bind(values.read(value)));
                    bound.map(|parameter| format!("{sql} {operator} {parameter}")).collect()
                };
                if present.len() < list.len() {
                    parts.push(format!("{sql} IS NULL"));
                }
                Ok(if parts.is_empty() {
                    "false".to_owned()
                } else {
                    format!("({})", parts.join(" OR "))
                })
            }
        }
    }

    fn argument(&mut self, value: impl IntoDatum, type_oid: pg_sys::Oid) -> String {
        let datum = values::typed(value, type_oid);
        self.bind(datum)
    }

    fn bind(&mut self, datum: DatumWithOid<'static>) -> String {
        self.arguments.push(datum);
        format!("${}", OWN_PARAMETERS + self.arguments.len())
    }
}
