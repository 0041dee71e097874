//! Statements kept in `sql/run/`: placeholders in braces stand for quoted identifiers.
//!
//! A statement is parsed, planned and run under `search_path = pg_catalog, pg_temp`, whatever role runs it. The exceptions
//! have `as_caller` in their names: they read tables whose policies are users' code, which expects the
//! caller's path, and so their statements qualify every name, operator and type.
use crate::sys::memory::with_room_for_errors;
use crate::sys::process::require_writable;
use crate::sys::rights::with_safe_search_path;
pub use crate::sys::rows::{column, required};
use crate::sys::rows::{keep, reading};
use pgrx::Spi;
use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiHeapTupleData, SpiTupleTable};

/// Fills `{placeholders}` of a statement from `sql/run/` with SQL that is already quoted.
pub fn fill(template: &str, names: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let close = open + rest[open..].find('}').expect("a statement closes its placeholders");
        let name = &rest[open + 1..close];
        out.push_str(&rest[..open]);
        match names.iter().find(|(n, _)| *n == name) {
            Some((_, sql)) => out.push_str(sql),
            None => panic!("statement has a placeholder \"{name}\" that nothing fills"),
        }
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    out
}

/// Runs a statement that may write and maps each row.
pub fn query<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    require_writable();
    with_safe_search_path(|| {
        with_room_for_errors(|| {
            Spi::connect_mut(|client| {
                let table = client.update(sql, None, args).expect("SPI runs a statement");
                rows(table, map)
            })
        })
    })
}

/// Runs a statement that only reads, also where nothing may be written, and maps each row.
pub fn read<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    with_safe_search_path(|| read_as_caller(sql, args, map))
}

/// As [`read`], for what may have been written since the active snapshot was taken, if `has_written`. On a standby nothing can have been.
pub fn read_written<T>(
    has_written: bool,
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    if has_written { query(sql, args, map) } else { read(sql, args, map) }
}

/// As [`read`], but under the caller's search path: the statement qualifies all that it names.
pub fn read_as_caller<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    with_room_for_errors(|| {
        Spi::connect(|client| {
            let table = client.select(sql, None, args).expect("SPI runs a statement");
            rows(table, map)
        })
    })
}

/// Runs a statement for what it does; returns how many rows it touched.
pub fn execute(sql: &str, args: &[DatumWithOid<'_>]) -> usize {
    require_writable();
    with_safe_search_path(|| {
        with_room_for_errors(|| {
            Spi::connect_mut(|client| {
                client.update(sql, None, args).expect("SPI runs a statement").len()
            })
        })
    })
}

fn rows<'c, T>(table: SpiTupleTable<'c>, mut map: impl FnMut(SpiHeapTupleData<'c>) -> T) -> Vec<T> {
    reading(|| {
        let mut rows = Vec::new();
        for row in table {
            keep(&mut rows, map(row));
        }
        rows
    })
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn fills_every_placeholder_once() {
        let sql = fill("SELECT {a} FROM {b} WHERE {a}", &[("a", "x"), ("b", "\"{y}\"")]);
        assert_eq!(sql, "SELECT x FROM \"{y}\" WHERE x");
    }
}
