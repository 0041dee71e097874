//! Drops a collection, or some of its generations.
use crate::catalog::collection::{no_collection, require_owner};
use crate::catalog::objects::triggers::{as_table_owner, triggers_of};
use crate::sys::names;
use crate::sys::names::relation_sql;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::rows::row;
use crate::sys::spi::{execute, fill, read, required};
use crate::sys::workers::builder_control;
use pgrx::pg_sys::Oid;
use rag::Result;

row! {
    /// A collection and its objects that still exist.
    struct DroppedCollection {
        name: String,
        id: i32,
        owner: Oid,
        view: Option<Oid>,
        tables: Vec<Oid>,
        with_triggers: Vec<Oid>,
        generations: Vec<i32>,
    }
}

/// Drops the collection of this name, also when its source is gone.
pub fn drop(name: &str, behavior: DropBehavior) -> Result<()> {
    let dropped = load(name)?;
    require_owner(dropped.owner, name, "drop it")?;
    // Catalog rows first: a worker that applies a batch holds its job rows before it touches the
    // tables, and the same order here cannot deadlock with it.
    delete_generations(&dropped.generations);
    builder_control::terminate(&dropped.generations);
    delete_collection(dropped.id);
    dropped.drop_triggers();
    as_source_owner(dropped.owner, || dropped.drop_objects(behavior));
    Ok(())
}

/// Deletes the rows of a collection, distributed or not, and of what was asked of it.
pub fn delete_collection(id: i32) {
    as_extension_owner(|| {
        for sql in statement!("catalog/delete_collection").split(";\n") {
            execute(sql, &[id.into()]);
        }
    });
}

fn load(name: &str) -> Result<DroppedCollection> {
    let sql = statement!("catalog/load_dropped");
    let found =
        as_extension_owner(|| read(sql, &[name.into()], |row| DroppedCollection::read(&row)));
    found.into_iter().next().ok_or_else(|| no_collection(name))
}

/// What happens to objects that depend on a collection's, such as users' views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropBehavior {
    /// They cause an error, as with `DROP TABLE`.
    Restrict,
    /// They are dropped too: the source is already gone.
    Cascade,
}

impl DropBehavior {
    fn sql(self) -> &'static str {
        match self {
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
        }
    }
}

impl DroppedCollection {
    fn drop_objects(&self, behavior: DropBehavior) {
        if let Some(view) = self.view.map(relation_sql) {
            let names = [("view", &*view), ("behavior", behavior.sql())];
            execute(&fill("DROP VIEW {view} {behavior}", &names), &[]);
        }
        drop_tables(&self.tables, behavior);
    }

    fn drop_triggers(&self) {
        for table in &self.with_triggers {
            as_table_owner(*table, self.owner, || drop_triggers(&self.name, *table));
        }
    }
}

/// Deletes generations and their jobs from the catalog.
pub fn delete_generations(generations: &[i32]) {
    delete_work(generations);
    run_each(statement!("catalog/delete_generations"), generations);
}

/// Deletes what is to be done for generations.
pub fn delete_work(generations: &[i32]) {
    run_each(statement!("catalog/delete_work"), generations);
}

fn run_each(statements: &'static str, generations: &[i32]) {
    as_extension_owner(|| {
        for sql in statements.split(";\n") {
            execute(sql, &[generations.to_vec().into()]);
        }
    });
}

/// Drops every trigger of the collection of this name.
pub fn drop_all_triggers(name: &str) -> Result<()> {
    load(name)?.drop_triggers();
    Ok(())
}

/// Drops every policy of a table, others' too. Runs as its owner.
pub fn drop_policies(table: Oid) {
    let sql = statement!("catalog/policies_of_table");
    let table_sql = names::relation_sql(table);
    for policy in read(sql, &[table.into()], |row| required::<String>(&row, 1)) {
        let names = [("policy", policy.as_str()), ("table", &table_sql)];
        execute(&fill("DROP POLICY {policy} ON {table}", &names), &[]);
    }
}

/// Drops tables of generations. Runs as their owner.
pub fn drop_tables(tables: &[Oid], behavior: DropBehavior) {
    // In PostgreSQL 15 a rule can turn an empty table into a view.
    for (kind, statement) in
        [(b'v', "DROP VIEW {tables} {behavior}"), (b'r', "DROP TABLE {tables} {behavior}")]
    {
        // In one statement: their policies depend on each other.
        let is_kind = |table: &&Oid| (names::kind(**table) == Some(b'v')) == (kind == b'v');
        let tables: Vec<_> =
            tables.iter().filter(is_kind).filter_map(|table| names::relation(*table)).collect();
        if !tables.is_empty() {
            let names = [("tables", &*tables.join(", ")), ("behavior", behavior.sql())];
            execute(&fill(statement, &names), &[]);
        }
    }
}

/// Drops a collection's triggers from one table. Runs as its owner.
pub fn drop_triggers(collection: &str, table: Oid) {
    let table_sql = relation_sql(table);
    for trigger in &triggers_of(collection, table) {
        let names = [("trigger", trigger.as_str()), ("table", &table_sql)];
        execute(&fill("DROP TRIGGER {trigger} ON {table}", &names), &[]);
    }
}
