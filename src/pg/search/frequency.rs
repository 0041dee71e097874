//! How large tables are and how common lexemes, from what ANALYZE left.
#![allow(unsafe_code)] // reads system caches

use crate::search::sample::Extent;
use pgrx::{FromDatum, pg_sys};
use std::ffi::CStr;
use std::num::NonZeroU32;

/// Number of rows by the last ANALYZE or VACUUM, if there was one.
pub fn rows(table: pg_sys::Oid) -> Option<f64> {
    extent(table).map(|extent| extent.rows)
}

/// Rows and pages by the last ANALYZE or VACUUM, if there was one and it found any.
#[allow(clippy::cast_ptr_alignment)] // tuples are aligned
pub fn extent(table: pg_sys::Oid) -> Option<Extent> {
    // SAFETY: a syscache look-up inside a transaction; the tuple is released before returning.
    let (rows, pages) = unsafe {
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, table.into());
        if tuple.is_null() {
            return None;
        }
        let class = *pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        pg_sys::ReleaseSysCache(tuple);
        (f64::from(class.reltuples), u32::try_from(class.relpages).unwrap_or(0))
    };
    (rows >= 1.0).then_some(Extent { rows, pages: NonZeroU32::new(pages)? })
}

/// Share of a table's rows whose `tsvector` column holds each of `lexemes`, where statistics know, and the lowest share
/// that they list: other lexemes are rarer. Only for callers to whom no row security applies: statistics count rows
/// that others may not see.
pub fn shares(
    table: pg_sys::Oid,
    column: &CStr,
    lexemes: &[&str],
) -> (Vec<Option<f32>>, Option<f32>) {
    let mut shares = vec![None; lexemes.len()];
    let mut lowest = None;
    // SAFETY: a syscache look-up inside a transaction, whose tuple and slot are released; a slot of
    // this kind holds text values and as many numbers, then the lowest and the highest.
    unsafe {
        let column = pg_sys::get_attnum(table, column.as_ptr());
        let cache = pg_sys::SysCacheIdentifier::STATRELATTINH as i32;
        let tuple = pg_sys::SearchSysCache3(cache, table.into(), column.into(), false.into());
        if tuple.is_null() {
            return (shares, lowest);
        }
        let mut slot = pg_sys::AttStatsSlot::default();
        let kind = pg_sys::STATISTIC_KIND_MCELEM as i32;
        let parts = pg_sys::ATTSTATSSLOT_VALUES | pg_sys::ATTSTATSSLOT_NUMBERS;
        if pg_sys::get_attstatsslot(&raw mut slot, tuple, kind, pg_sys::InvalidOid, parts as i32) {
            let values = std::slice::from_raw_parts(slot.values, slot.nvalues as usize);
            let numbers = std::slice::from_raw_parts(slot.numbers, slot.nnumbers as usize);
            for (share, lexeme) in shares.iter_mut().zip(lexemes) {
                *share = find(values, lexeme).and_then(|at| numbers.get(at).copied());
            }
            lowest = numbers.get(values.len()).copied();
            pg_sys::free_attstatsslot(&raw mut slot);
        }
        pg_sys::ReleaseSysCache(tuple);
    }
    (shares, lowest)
}

/// Position of a lexeme among text values ordered by length, then bytes, as ANALYZE leaves them.
///
/// # Safety
/// `values` are texts.
unsafe fn find(values: &[pg_sys::Datum], lexeme: &str) -> Option<usize> {
    let order = |value: &pg_sys::Datum| {
        // SAFETY: as promised.
        let value = unsafe { <&str>::from_datum(*value, false) }.unwrap_or_default();
        value.len().cmp(&lexeme.len()).then_with(|| value.as_bytes().cmp(lexeme.as_bytes()))
    };
    values.binary_search_by(order).ok()
}
