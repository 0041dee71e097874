//! The triggers that record changes of a source in `rag.change`.
use crate::catalog::collection::{Collection, ContentKind, KeyColumn};
use crate::catalog::objects::Source;
use crate::catalog::objects::drop::drop_triggers;
use crate::sys::names::{extension_schema, relation_sql};
use crate::sys::privileges::relation_owner;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::spi::{execute, fill, read, required};
use pgrx::pg_sys::Oid;
use pgrx::spi::{quote_identifier, quote_literal};

/// The extension's `rag_ingest()`, as a subquery.
pub const INGEST: &str = statement!("catalog/ingest_function");

/// Fills `{own_triggers}` of a statement whose first parameter is the collection's name. A trigger belongs to the
/// collection by its function and its argument, not by its name: any user can create one of that name.
pub fn with_own_triggers(template: &str) -> String {
    let own = statement!("catalog/own_triggers");
    let own = fill(own, &[("name", "$1"), ("ingest", INGEST)]);
    fill(template, &[("own_triggers", &own)])
}

/// Creates the triggers on the source and, where it has any, on its partitions.
pub fn create_triggers(collection: &Collection, source: &Source) {
    for table in tables(source) {
        let table_sql = relation_sql(table);
        as_table_owner(table, collection.owner, || {
            create_table_triggers(collection, source, &table_sql);
        });
    }
}

/// Runs `body` as the owner of a table among the source and its partitions: a partition may have another one than the source.
pub fn as_table_owner<R>(table: Oid, source_owner: Oid, body: impl FnOnce() -> R) -> R {
    as_source_owner(relation_owner(table).unwrap_or(source_owner), body)
}

/// Stores in the catalog which partitions have the collection's triggers.
pub fn record_partitions(collection: &Collection, source: &Source) {
    as_extension_owner(|| {
        for sql in statement!("catalog/record_partitions").split(";\n") {
            execute(sql, &[collection.id.into(), source.table.into()]);
        }
    });
}

/// Quoted names of the collection's triggers on a table, without those that a partition inherits.
pub fn triggers_of(collection: &str, table: Oid) -> Vec<String> {
    let sql = with_own_triggers(statement!("catalog/triggers_of_table"));
    read(&sql, &[collection.into(), table.into()], |row| required::<String>(&row, 1))
}

/// The source, before its partitions where it has any.
fn tables(source: &Source) -> Vec<Oid> {
    let partitions =
        "SELECT relid::oid FROM pg_catalog.pg_partition_tree($1::oid::regclass) ORDER BY level";
    if source.is_partitioned {
        read(partitions, &[source.table.into()], |row| required::<Oid>(&row, 1))
    } else {
        vec![source.table]
    }
}

/// Makes the triggers fire for changes that logical replication applies, or not, as the collection says.
/// All other triggers exist by now, so that an event trigger fired meanwhile creates none.
pub fn set_replication_triggers(collection: &Collection, source: &Source) {
    as_source_owner(collection.owner, || {
        let replica = [REPLICA, REPLICA_UPDATE].map(|event| trigger_name(collection, event));
        for trigger in triggers_of(&collection.name, source.table) {
            if replica.contains(&trigger) {
                let names = [("trigger", trigger.as_str()), ("table", &source.sql)];
                execute(&fill("DROP TRIGGER {trigger} ON {table}", &names), &[]);
            }
        }
        if collection.is_replicated {
            let template = statement!("catalog/create_replica_triggers");
            create_triggers_from(template, collection, source, &source.sql);
        }
    });
    enable_triggers(collection, &tables(source));
}

/// Enables the triggers of tables, for origin or for replica too, as the collection says.
pub fn enable_triggers(collection: &Collection, tables: &[Oid]) {
    let template = if collection.is_replicated {
        statement!("catalog/enable_replica_triggers")
    } else {
        statement!("catalog/enable_origin_triggers")
    };
    for table in tables {
        let names = [
            ("table", relation_sql(*table)),
            (REPLICA, trigger_name(collection, REPLICA)),
            (REPLICA_UPDATE, trigger_name(collection, REPLICA_UPDATE)),
            ("truncate", trigger_name(collection, "truncate")),
        ];
        let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
        as_table_owner(*table, collection.owner, || execute(&fill(template, &names), &[]));
    }
}

/// Name of the collection's trigger for an event.
pub fn trigger_name(collection: &Collection, event: &str) -> String {
    format!("rag_pg_{}_{event}", collection.id)
}

/// Inserts and deletes that logical replication applies, and updates.
const REPLICA: &str = "replica";
const REPLICA_UPDATE: &str = "replica_update";

/// Creates the triggers of one table. Runs as its owner.
pub fn create_table_triggers(collection: &Collection, source: &Source, table: &str) {
    if source.is_partitioned {
        let template = statement!("catalog/create_partition_triggers");
        create_triggers_from(template, collection, source, table);
    } else {
        let template = statement!("catalog/create_triggers");
        create_triggers_from(template, collection, source, table);
        create_update_trigger(collection, source, table, "");
    }
}

/// Replaces the trigger for updates of a source that is a plain table. Runs as its owner.
pub fn replace_update_trigger(collection: &Collection, source: &Source) {
    create_update_trigger(collection, source, &source.sql, "OR REPLACE");
}

fn create_update_trigger(
    collection: &Collection,
    source: &Source,
    table: &str,
    or_replace: &'static str,
) {
    let template = statement!("catalog/create_update_trigger");
    create_triggers_from(&template.replace("{or_replace}", or_replace), collection, source, table);
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
    let texts = [Some(&collection.content).filter(|_| !collection.is_of_files())];
    let texts = texts.into_iter().chain(collection.texts_beside()).flatten();
    for name in texts.map(quote_identifier) {
        // Byte for byte: a collation may call different texts equal.
        changed.push(format!(
            "OLD.{name}::text COLLATE pg_catalog.\"C\" IS DISTINCT FROM NEW.{name}::text COLLATE pg_catalog.\"C\""
        ));
        columns.push(name);
    }
    if collection.is_of_files() {
        let name = quote_identifier(&collection.content);
        changed.push(format!("OLD.{name} IS DISTINCT FROM NEW.{name}"));
        columns.push(name);
    }
    // The name of a file may be its key, and its title.
    let mut known = std::collections::HashSet::new();
    columns.retain(|name| known.insert(name.clone()));
    // A BEFORE trigger of the user's can change the text when another column is set.
    let of =
        if source.has_before_update { String::new() } else { format!("OF {}", columns.join(", ")) };
    let trigger = |event| trigger_name(collection, event);
    let names = [
        ("insert", trigger("insert")),
        ("update", trigger("update")),
        ("delete", trigger("delete")),
        ("truncate", trigger("truncate")),
        (REPLICA, trigger(REPLICA)),
        (REPLICA_UPDATE, trigger(REPLICA_UPDATE)),
        ("table", table.to_owned()),
        ("of", of),
        ("changed", changed.join(" OR ")),
        (
            "new_rows",
            if source.is_leaf || collection.kind == ContentKind::File {
                "FOR EACH ROW"
            } else {
                "REFERENCING NEW TABLE AS rag_pg_new FOR EACH STATEMENT"
            }
            .to_owned(),
        ),
        (
            "old_rows",
            if source.is_leaf {
                "FOR EACH ROW"
            } else {
                "REFERENCING OLD TABLE AS rag_pg_old FOR EACH STATEMENT"
            }
            .to_owned(),
        ),
        ("ingest", format!("{}.rag_ingest", extension_schema("rag_pg"))),
        ("collection", quote_literal(&collection.name)),
    ];
    let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    execute(&fill(template, &names), &[]);
}

/// Drops triggers that a schema-only dump restored without their collection.
pub fn drop_leftover_triggers(collection: &Collection) {
    let sql = with_own_triggers(statement!("catalog/leftover_triggers"));
    let args = [collection.name.as_str().into(), collection.source.into()];
    for table in read(&sql, &args, |row| required::<Oid>(&row, 1)) {
        as_table_owner(table, collection.owner, || drop_triggers(&collection.name, table));
    }
}
