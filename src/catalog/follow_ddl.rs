//! `rag_follow_ddl()`: keeps collections in step with changes to their sources' definition.
//!
//! Renamed columns, a new owner, attached and detached partitions are taken over; a dropped source
//! takes its collection along; a collection that can no longer be kept up is paused and says why.
#![allow(clippy::cast_ptr_alignment)] // PostgreSQL aligns what it allocates for any type
#![allow(unsafe_code)] // reads the event trigger's data, which pgrx does not wrap

use crate::catalog::collection::Collection;
use crate::catalog::generation::compare_everything;
use crate::catalog::objects::drop;
use crate::catalog::objects::triggers;
use crate::catalog::objects::triggers::{create_table_triggers, enable_triggers};
use crate::catalog::objects::{Source, follow_owner};
use crate::sys::error::raise;
use crate::sys::names::relation_sql;
use crate::sys::plan::scans::nodes;
use crate::sys::privileges::relation_owner;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::rows::row;
use crate::sys::spi::{column, execute, fill, query, read, required};
use crate::sys::workers::builder_control;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;
use rag::{Error, Result};
use std::ffi::CStr;

/// The calling convention of [`rag_follow_ddl`].
#[unsafe(no_mangle)]
#[doc(hidden)]
pub extern "C" fn pg_finfo_rag_follow_ddl() -> &'static pg_sys::Pg_finfo_record {
    static RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &RECORD
}

/// The event trigger function.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_follow_ddl(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL passes a valid call; whether it comes from an event trigger is checked first.
    let data = unsafe { (*fcinfo).context.cast::<pg_sys::EventTriggerData>() };
    // SAFETY: a context, where there is one, is a node with a tag.
    if data.is_null() || unsafe { (*data).type_ } != pg_sys::NodeTag::T_EventTriggerData {
        raise(
            Error::unsupported(
                "function \"rag_follow_ddl\" can only be called as an event trigger",
            )
            .with_hint("The extension creates the event triggers that call it."),
        );
    }
    // Its scripts alter no source, and between two of their statements those of this library may not fit the tables.
    if is_in_own_script() {
        return pg_sys::Datum::from(0);
    }
    // SAFETY: the tag says it is an event's data, whose name is a C string.
    let event = unsafe { CStr::from_ptr((*data).event) };
    let outcome = match event.to_bytes() {
        b"sql_drop" => after_drop(),
        // SAFETY: the tag says it is an event's data, valid during the call.
        b"ddl_command_start" => before_command(unsafe { &*data }),
        // SAFETY: the tag says it is an event's data, valid during the call.
        _ => after_command(unsafe { &*data }),
    };
    if let Err(error) = outcome {
        raise(error);
    }
    pg_sys::Datum::from(0)
}

extension_sql!(
    r"CREATE FUNCTION @extschema@.rag_follow_ddl() RETURNS event_trigger LANGUAGE c AS 'MODULE_PATHNAME', 'rag_follow_ddl';
COMMENT ON FUNCTION @extschema@.rag_follow_ddl() IS 'event trigger: keeps collections in step with changes to their sources'' definition';
CREATE EVENT TRIGGER rag_pg_follow_command ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE', 'CREATE TRIGGER', 'ALTER TYPE')
    EXECUTE FUNCTION @extschema@.rag_follow_ddl();
CREATE EVENT TRIGGER rag_pg_follow_drop ON sql_drop EXECUTE FUNCTION @extschema@.rag_follow_ddl();
CREATE EVENT TRIGGER rag_pg_before_command ON ddl_command_start WHEN TAG IN ('DROP TABLE', 'ALTER TABLE') EXECUTE FUNCTION @extschema@.rag_follow_ddl();
COMMENT ON EVENT TRIGGER rag_pg_follow_command IS 'follows changes of a source''s definition';
COMMENT ON EVENT TRIGGER rag_pg_follow_drop IS 'drops a collection with its source, or pauses it without a column';
COMMENT ON EVENT TRIGGER rag_pg_before_command IS 'ends index builds that DROP TABLE of a source would wait for; says what helps where a column''s type cannot be changed';",
    name = "rag_follow_ddl",
    requires = ["catalog", "query_log", home]
);

/// Whether CREATE EXTENSION or ALTER EXTENSION UPDATE of this extension is running its script.
fn is_in_own_script() -> bool {
    // SAFETY: reads this process's state, and looks an extension up in a transaction.
    unsafe {
        pg_sys::creating_extension
            && pg_sys::CurrentExtensionObject == pg_sys::get_extension_oid(c"rag_pg".as_ptr(), true)
    }
}

/// After ALTER TABLE, CREATE TABLE, CREATE TRIGGER or ALTER TYPE.
fn after_command(data: &pg_sys::EventTriggerData) -> Result<()> {
    if renames_label(data) {
        let sql = statement!("catalog/follow_label");
        for collection in as_extension_owner(|| query(sql, &[], |row| required::<i32>(&row, 1))) {
            compare_everything(collection);
        }
    }
    let template = statement!("catalog/followed_collections");
    let sql = fill(template, &[("ingest", triggers::INGEST)]);
    let ids: Vec<i32> = as_extension_owner(|| query(&sql, &[], |row| required(&row, 1)));
    for id in ids {
        follow(id)?;
    }
    Ok(())
}

/// Whether a command renames a label of an enum: keys that wait as text may name another row then, or none.
fn renames_label(data: &pg_sys::EventTriggerData) -> bool {
    let statement = data.parsetree.cast::<pg_sys::AlterEnumStmt>();
    // SAFETY: the statement's tag is looked at first.
    unsafe {
        !statement.is_null()
            && (*statement).type_ == pg_sys::NodeTag::T_AlterEnumStmt
            && !(*statement).oldVal.is_null()
    }
}

fn follow(id: i32) -> Result<()> {
    let check = statement!("catalog/follow_check");
    let broken: Vec<Option<String>> =
        as_extension_owner(|| query(check, &[id.into()], |row| column(&row, 1)));
    if let Some(reason) = broken.into_iter().next().flatten() {
        pause(id, &reason);
        return Ok(());
    }
    let columns = statement!("catalog/follow_columns");
    as_extension_owner(|| execute(columns, &[id.into()]));
    follow_owner(id);
    let Some(collection) = Collection::by_id(id)? else { return Ok(()) };
    let source = Source::of(&collection);
    follow_triggers(&collection, &source);
    follow_partitions(&collection, &source);
    Ok(())
}

/// A BEFORE trigger of the user's can change the text when another column is set: from then on the collection's trigger
/// fires on an update of any column.
fn follow_triggers(collection: &Collection, source: &Source) {
    follow_attachment(collection, source);
    let template = statement!("catalog/follow_update_trigger");
    let name = triggers::trigger_name(collection, "update");
    let args = [collection.name.as_str().into(), collection.source.into(), name.into()];
    let is_there = || !read(&triggers::with_own_triggers(template), &args, |_| ()).is_empty();
    if source.has_before_update && is_there() {
        as_source_owner(collection.owner, || {
            triggers::replace_update_trigger(collection, source);
        });
    }
}

/// What a statement on the partitioned table does is seen by row triggers of the partition alone.
fn follow_attachment(collection: &Collection, source: &Source) {
    if !source.is_leaf {
        return;
    }
    let name = triggers::trigger_name(collection, "delete");
    let args = [collection.name.as_str().into(), collection.source.into(), name.into()];
    let template = statement!("catalog/follow_leaf_triggers");
    if read(&triggers::with_own_triggers(template), &args, |_| ()).is_empty() {
        return;
    }
    as_source_owner(collection.owner, || {
        drop::drop_triggers(&collection.name, source.table);
        create_table_triggers(collection, source, &source.sql);
    });
    if collection.is_replicated {
        triggers::set_replication_triggers(collection, source);
    }
}

fn follow_partitions(collection: &Collection, source: &Source) {
    if !source.is_partitioned {
        return;
    }
    let template = statement!("catalog/follow_partitions");
    let args = [
        collection.name.as_str().into(),
        collection.source.into(),
        collection.id.into(),
        triggers::trigger_name(collection, "insert").into(),
    ];
    let differing = as_extension_owner(|| {
        query(&triggers::with_own_triggers(template), &args, |row| {
            (required::<Oid>(&row, 1), required::<bool>(&row, 2), required::<bool>(&row, 3))
        })
    });
    if differing.is_empty() {
        return;
    }
    for (table, is_of_source, has_triggers) in &differing {
        // A detached table may have another owner by now; a dropped one has none.
        let Some(owner) = relation_owner(*table) else { continue };
        as_source_owner(owner, || match (is_of_source, has_triggers) {
            (false, _) => drop::drop_triggers(&collection.name, *table),
            (true, false) => create_table_triggers(collection, source, &relation_sql(*table)),
            (true, true) => {}
        });
    }
    if collection.is_replicated {
        // What a partition inherits is enabled already.
        let added = differing.iter().filter(|(_, is_of_source, has)| *is_of_source && !has);
        let added: Vec<Oid> = added.map(|(table, ..)| *table).collect();
        enable_triggers(collection, &added);
    }
    triggers::record_partitions(collection, source);
    if differing.iter().any(|(_, is_of_source, has)| !is_of_source || !has) {
        compare_everything(collection.id);
    }
}

fn before_command(data: &pg_sys::EventTriggerData) -> Result<()> {
    before_drop(data);
    retyped_columns(data).map_or(Ok(()), |(table, columns)| refuse_new_types(table, columns))
}

/// Before ALTER COLUMN ... TYPE of a column that a collection is made of: PostgreSQL would refuse it too, without saying what helps.
fn refuse_new_types(table: Oid, columns: Vec<String>) -> Result<()> {
    let sql = statement!("catalog/retyped_collections");
    let hit = read(sql, &[table.into(), columns.into()], |row| {
        (required::<String>(&row, 1), required::<String>(&row, 2))
    });
    let Some((name, column)) = hit.into_iter().next() else { return Ok(()) };
    Err(Error::unsupported(format!(
        "cannot alter the type of column \"{column}\" while collection \"{name}\" is attached"
    ))
    .with_hint(format!(
        "In one transaction: SELECT rag_detach_collection({0}); ALTER TABLE ...; SELECT rag_attach_collection({0}). Nothing that is unchanged is embedded again.",
        quote_literal(&name)
    )))
}

/// The table of an ALTER TABLE and its columns that get another type.
fn retyped_columns(data: &pg_sys::EventTriggerData) -> Option<(Oid, Vec<String>)> {
    let statement = data.parsetree.cast::<pg_sys::AlterTableStmt>();
    // SAFETY: the statement's tag is looked at first; its commands are nodes of one type, whose names are C strings where they are of this
    // kind. Looking a name up takes no lock; one that is not there is the statement's own error.
    unsafe {
        if statement.is_null() || (*statement).type_ != pg_sys::NodeTag::T_AlterTableStmt {
            return None;
        }
        let commands = nodes::<pg_sys::AlterTableCmd>((*statement).cmds).iter();
        let retyped = commands
            .filter(|command| (***command).subtype == pg_sys::AlterTableType::AT_AlterColumnType);
        let name = |command: &*mut pg_sys::AlterTableCmd| {
            CStr::from_ptr((**command).name).to_string_lossy().into_owned()
        };
        let columns: Vec<String> = retyped.map(name).collect();
        if columns.is_empty() {
            return None;
        }
        let (no_lock, no_argument) = (pg_sys::NoLock as i32, std::ptr::null_mut());
        let flags = pg_sys::RVROption::RVR_MISSING_OK;
        let relation = (*statement).relation;
        let table = pg_sys::RangeVarGetRelidExtended(relation, no_lock, flags, None, no_argument);
        (table != pg_sys::InvalidOid).then_some((table, columns))
    }
}

/// Before DROP TABLE: cancels index builds over chunks of the table, for which DROP TABLE would wait, possibly for hours. If
/// nothing is dropped, the build starts again.
fn before_drop(data: &pg_sys::EventTriggerData) {
    let sql = statement!("catalog/drop_generations");
    for table in named_tables(data) {
        // As the caller: cancels builds for the caller's own tables only.
        let generations = read(sql, &[table.into()], |row| required::<i32>(&row, 1));
        builder_control::terminate(&generations);
    }
}

/// The existing tables that a DROP TABLE names.
fn named_tables(data: &pg_sys::EventTriggerData) -> Vec<Oid> {
    let statement = data.parsetree.cast::<pg_sys::DropStmt>();
    let mut tables = Vec::new();
    // SAFETY: the statement's tag is looked at first; a DROP TABLE has a list of names, each a list of strings. Looking
    // a name up takes no lock, and raises the error that the statement would raise.
    unsafe {
        if statement.is_null()
            || (*statement).type_ != pg_sys::NodeTag::T_DropStmt
            || (*statement).removeType != pg_sys::ObjectType::OBJECT_TABLE
        {
            return tables;
        }
        for name in nodes::<pg_sys::List>((*statement).objects) {
            let range = pg_sys::makeRangeVarFromNameList(*name);
            let (no_lock, no_argument) = (pg_sys::NoLock as i32, std::ptr::null_mut());
            let flags = pg_sys::RVROption::RVR_MISSING_OK;
            let table = pg_sys::RangeVarGetRelidExtended(range, no_lock, flags, None, no_argument);
            if table != pg_sys::InvalidOid {
                tables.push(table);
            }
        }
    }
    tables
}

row! {
    /// A collection, and what a DROP took from it.
    struct DroppedRow { name: String, id: i32, is_source: bool, is_column: bool, is_partition: bool }
}

/// After any DROP.
fn after_drop() -> Result<()> {
    let sql = statement!("catalog/dropped_collections");
    let hit = as_extension_owner(|| query(sql, &[], |row| DroppedRow::read(&row)));
    for DroppedRow { name, id, is_source, is_column, is_partition } in hit {
        if is_source {
            // A role that may drop the source may drop its collection.
            as_extension_owner(|| drop::drop(&name, drop::DropBehavior::Cascade))?;
            pgrx::notice!("collection \"{name}\" was dropped with its source");
        } else if is_column {
            pause(id, "a column of the collection was dropped");
        } else if is_partition {
            let gone = "DELETE FROM rag.source_partition s WHERE s.collection_id = $1 AND NOT EXISTS \
                        (SELECT FROM pg_catalog.pg_class r WHERE r.oid = s.partition::oid)";
            as_extension_owner(|| execute(gone, &[id.into()]));
            compare_everything(id);
        }
    }
    Ok(())
}

fn pause(id: i32, reason: &str) {
    let sql = "UPDATE rag.collection SET paused = $2 WHERE collection_id = $1";
    as_extension_owner(|| execute(sql, &[id.into(), reason.into()]));
}
