//! What dropping a collection takes away.
use super::Collection;
use super::create::relation_sql;
use crate::pg::rights::{as_extension_owner, as_source_owner};
use crate::pg::spi::{execute, fill, read, required};
use pgrx::pg_sys::Oid;
use pgrx::spi::quote_identifier;

/// Removes the collection's catalog rows first: a worker that applies a batch holds its job rows
/// before it touches the tables, and the same order here cannot deadlock with it.
pub fn drop(collection: &Collection) {
    let tables: Vec<Oid> = collection
        .generations()
        .iter()
        .flat_map(|g| [Some(g.documents), Some(g.chunks), g.bits])
        .flatten()
        .collect();
    let partitions = "SELECT t.oid FROM pg_catalog.pg_class t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid \
                      WHERE g.tgname = $1::name";
    let insert = format!("rag_pg_{}_insert", collection.id);
    let sources = read(partitions, &[insert.into()], |row| required::<Oid>(&row, 1));
    as_extension_owner(|| {
        for sql in include_str!("../../../sql/run/delete_collection.sql").split(";\n") {
            execute(sql, &[collection.id.into()]);
        }
    });
    as_source_owner(collection.owner, || {
        execute(&fill("DROP VIEW IF EXISTS {view}", &[("view", &collection.view_sql())]), &[]);
        for table in sources {
            drop_triggers(collection, &relation_sql(table));
        }
        for table in tables.into_iter().map(relation_sql).filter(|table| !table.is_empty()) {
            execute(&fill("DROP TABLE {table}", &[("table", &table)]), &[]);
        }
    });
}

fn drop_triggers(collection: &Collection, table: &str) {
    for event in ["insert", "update", "delete", "truncate"] {
        let trigger = quote_identifier(format!("rag_pg_{}_{event}", collection.id));
        let names = [("trigger", trigger.as_str()), ("table", table)];
        execute(&fill("DROP TRIGGER IF EXISTS {trigger} ON {table}", &names), &[]);
    }
}
