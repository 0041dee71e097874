//! The triggers by which a source tells of its changes.
use super::create::{Source, extension_schema, relation_sql};
use super::{Collection, KeyColumn};
use crate::pg::spi::{execute, fill, read, required};
use pgrx::pg_sys::Oid;
use pgrx::spi::{quote_identifier, quote_literal};

/// Creates the triggers on the source and, where it has any, on its partitions. Runs as the owner.
pub fn create_triggers(collection: &Collection, source: &Source) {
    if !source.is_partitioned {
        create_table_triggers(collection, source, &source.sql);
        return;
    }
    let partitions = "SELECT relid::oid FROM pg_catalog.pg_partition_tree($1::oid::regclass)";
    for table in read(partitions, &[source.table.into()], |row| required::<Oid>(&row, 1)) {
        create_table_triggers(collection, source, &relation_sql(table));
    }
}

/// Creates the triggers of one table. Runs as its owner.
pub fn create_table_triggers(collection: &Collection, source: &Source, table: &str) {
    if source.is_partitioned {
        let template = include_str!("../../../sql/run/create_partition_triggers.sql");
        create_triggers_from(template, collection, source, table);
    } else {
        let template = include_str!("../../../sql/run/create_triggers.sql");
        create_triggers_from(template, collection, source, table);
        create_update_trigger(collection, source, table);
    }
}

/// Creates or replaces the trigger for updates of a source that is a plain table. Runs as its owner.
pub fn create_update_trigger(collection: &Collection, source: &Source, table: &str) {
    let template = include_str!("../../../sql/run/create_update_trigger.sql");
    create_triggers_from(template, collection, source, table);
}

fn create_triggers_from(template: &str, collection: &Collection, source: &Source, table: &str) {
    let mut columns: Vec<String> = collection.keys.iter().map(KeyColumn::name_sql).collect();
    let mut changed: Vec<String> = collection
        .keys
        .iter()
        .map(|key| {
            let name = key.name_sql();
            format!("NOT (OLD.{name} {} NEW.{name})", key.equality())
        })
        .collect();
    for text in std::iter::once(&collection.content).chain(&collection.title) {
        let name = quote_identifier(text);
        // Byte for byte: a collation may call different texts equal.
        changed.push(format!(
            "OLD.{name}::text COLLATE pg_catalog.\"C\" IS DISTINCT FROM NEW.{name}::text COLLATE pg_catalog.\"C\""
        ));
        columns.push(name);
    }
    // A trigger that changes rows on their way in can change the text when another column is set.
    let of =
        if source.has_before_update { String::new() } else { format!("OF {}", columns.join(", ")) };
    let trigger = |event: &str| format!("rag_pg_{}_{event}", collection.id);
    let names = [
        ("insert", trigger("insert")),
        ("update", trigger("update")),
        ("delete", trigger("delete")),
        ("truncate", trigger("truncate")),
        ("table", table.to_owned()),
        ("of", of),
        ("changed", changed.join(" OR ")),
        ("ingest", format!("{}.rag_ingest", extension_schema("rag_pg"))),
        ("collection", quote_literal(&collection.name)),
    ];
    let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    execute(&fill(template, &names), &[]);
}

/// Drops triggers that a dump of the schema alone brought back: they are of a collection of this name which
/// the catalog does not know. Runs as the owner.
pub fn drop_leftovers(collection: &Collection) {
    let sql = include_str!("../../../sql/run/leftover_triggers.sql");
    let args = [collection.source.into(), collection.name.as_str().into()];
    let left = read(sql, &args, |row| (required::<String>(&row, 1), required::<Oid>(&row, 2)));
    for (trigger, table) in left {
        let names = [("trigger", trigger.as_str()), ("table", &relation_sql(table))];
        execute(&fill("DROP TRIGGER {trigger} ON {table}", &names), &[]);
    }
}
