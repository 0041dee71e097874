//! Dependencies between objects that no statement makes.
#![allow(unsafe_code)] // PostgreSQL's functions for them

use pgrx::pg_sys::{self, Oid};

/// Makes a relation go with a table when that is dropped, without CASCADE, as its indexes do.
pub fn add_to_table(relation: Oid, table: Oid) {
    let kind = pg_sys::DependencyType::DEPENDENCY_AUTO;
    record(relation, (pg_sys::RelationRelationId, table), kind);
}

/// Undoes [`add_to_table`].
pub fn remove_from_table(relation: Oid, table: Oid) {
    let kind = pg_sys::DependencyType::DEPENDENCY_AUTO;
    remove(relation, (pg_sys::RelationRelationId, table), kind);
}

/// Makes an index depend on the extension. `ALTER INDEX` would wait for all readers of the index, and make later ones wait.
pub fn add_to_extension(index: Oid) {
    record(index, extension(), pg_sys::DependencyType::DEPENDENCY_AUTO_EXTENSION);
}

/// Undoes [`add_to_extension`].
pub fn remove_from_extension(index: Oid) {
    remove(index, extension(), pg_sys::DependencyType::DEPENDENCY_AUTO_EXTENSION);
}

fn extension() -> (Oid, Oid) {
    // SAFETY: a look-up in a transaction; an extension exists while its functions run.
    let extension = unsafe { pg_sys::get_extension_oid(c"rag_pg".as_ptr(), false) };
    (pg_sys::ExtensionRelationId, extension)
}

fn record(relation: Oid, (class, object): (Oid, Oid), kind: pg_sys::DependencyType::Type) {
    let address =
        |class, object| pg_sys::ObjectAddress { classId: class, objectId: object, objectSubId: 0 };
    let relation = address(pg_sys::RelationRelationId, relation);
    let on = address(class, object);
    // SAFETY: in a transaction; the caller has looked both objects up.
    unsafe {
        pg_sys::recordDependencyOn(&raw const relation, &raw const on, kind);
        pg_sys::CommandCounterIncrement();
    }
}

fn remove(relation: Oid, (class, object): (Oid, Oid), kind: pg_sys::DependencyType::Type) {
    // SAFETY: in a transaction; nothing is removed where there is none.
    unsafe {
        let kind = (kind as u8).cast_signed();
        let table = pg_sys::RelationRelationId;
        pg_sys::deleteDependencyRecordsForSpecific(table, relation, kind, class, object);
        pg_sys::CommandCounterIncrement();
    }
}
