//! What dropping a collection takes away.
use super::create::relation_sql;
use super::{VIEW_SUFFIX, no_collection, require_owner};
use crate::Result;
use crate::pg::rights::{as_extension_owner, as_source_owner};
use crate::pg::spi::{column, execute, fill, read, required};
use pgrx::pg_sys::Oid;
use pgrx::spi::quote_identifier;

/// What is left of a collection, source or not.
struct Remains {
    id: i32,
    owner: Oid,
    schema_sql: Option<String>,
    tables: Vec<Oid>,
    with_triggers: Vec<Oid>,
}

/// Drops the collection of this name, also when its source is gone.
pub fn drop(name: &str) -> Result<()> {
    let sql = include_str!("../../../sql/run/load_dropped.sql");
    let found = read(sql, &[name.into()], |row| Remains {
        id: required(&row, 1),
        owner: required(&row, 2),
        schema_sql: column(&row, 3),
        tables: required(&row, 4),
        with_triggers: required(&row, 5),
    });
    let remains = found.into_iter().next().ok_or_else(|| no_collection(name))?;
    require_owner(remains.owner, name, "drop it")?;
    // Catalog rows first: a worker that applies a batch holds its job rows before it touches the
    // tables, and the same order here cannot deadlock with it.
    as_extension_owner(|| {
        for sql in include_str!("../../../sql/run/delete_collection.sql").split(";\n") {
            execute(sql, &[remains.id.into()]);
        }
    });
    as_source_owner(remains.owner, || remains.drop_objects(name));
    Ok(())
}

impl Remains {
    fn drop_objects(&self, name: &str) {
        if let Some(schema) = &self.schema_sql {
            let view = format!("{schema}.{}", quote_identifier(format!("{name}{VIEW_SUFFIX}")));
            execute(&fill("DROP VIEW IF EXISTS {view}", &[("view", &view)]), &[]);
        }
        for table in self.with_triggers.iter().map(|table| relation_sql(*table)) {
            self.drop_triggers(&table);
        }
        // All at once: the policies of one name another.
        let tables: Vec<_> = self.tables.iter().map(|table| relation_sql(*table)).collect();
        if !tables.is_empty() {
            execute(&fill("DROP TABLE {tables}", &[("tables", &tables.join(", "))]), &[]);
        }
    }

    fn drop_triggers(&self, table: &str) {
        for event in ["insert", "update", "delete", "truncate"] {
            let trigger = quote_identifier(format!("rag_pg_{}_{event}", self.id));
            let names = [("trigger", trigger.as_str()), ("table", table)];
            execute(&fill("DROP TRIGGER IF EXISTS {trigger} ON {table}", &names), &[]);
        }
    }
}
