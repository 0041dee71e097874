//! How many chunks the full-text index lists under a lexeme, asked of the index itself: a count in SQL would
//! fetch each of them from the table, which takes longer than the search it is for.
#![allow(unsafe_code)] // scans an index as the executor does

use super::text_search::tsquery_datum;
use crate::search::any_of;
use pgrx::{PgRelation, pg_sys};
use std::ffi::CStr;

/// The strategy number of "matches" in operator classes of `tsvector`.
const MATCHES: pg_sys::StrategyNumber = 1;
/// Memory for the places of entries, beyond which only their pages are kept: nobody asks for either.
const BITMAP_BYTES: usize = 256 * 1_024;

/// Entries for each of `lexemes` in a full-text index on the column, those of rows lately deleted too; `None` without
/// such an index. Only for callers to whom no row security applies: others' rows count.
pub fn entries(table: pg_sys::Oid, column: &CStr, lexemes: &[&str]) -> Option<Vec<f64>> {
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: a table that exists, or an ERROR; while it is locked nobody drops an index of it.
    let table = unsafe { PgRelation::with_lock(table, lock) };
    // SAFETY: a syscache look-up.
    let column = unsafe { pg_sys::get_attnum(table.oid(), column.as_ptr()) };
    // SAFETY: the list is this memory context's, or NULL for an empty one.
    let indexes = unsafe {
        let list = pg_sys::RelationGetIndexList(table.as_ptr());
        list.as_ref()
            .map_or(&[][..], |list| std::slice::from_raw_parts(list.elements, list.length as usize))
    };
    let index = indexes.iter().find_map(|cell| {
        // SAFETY: a list of OIDs, of indexes that stay.
        let index = unsafe { PgRelation::with_lock(cell.oid_value, lock) };
        is_full_text_index(&index, column).then_some(index)
    })?;
    Some(lexemes.iter().map(|lexeme| count(&index, lexeme)).collect())
}

fn is_full_text_index(index: &PgRelation, column: pg_sys::AttrNumber) -> bool {
    // SAFETY: both are there as long as an index is open, and none is without columns. The list is this memory context's.
    unsafe {
        let definition = &*index.rd_index;
        let first = definition.indkey.values.as_slice(1)[0];
        let is_of_all = pg_sys::RelationGetIndexPredicate(index.as_ptr()).is_null();
        let is_gin = (*index.rd_rel).relam == pg_sys::GIN_AM_OID;
        is_gin && first == column && definition.indisvalid && is_of_all
    }
}

fn count(index: &PgRelation, lexeme: &str) -> f64 {
    let Some(query) = any_of([lexeme]) else { return 0.0 };
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: an open index whose first column takes this operator; a bitmap takes what the scan finds until it is freed.
    // What an ERROR leaves, its memory context and resource owner free.
    unsafe {
        let operator = pg_sys::F_TS_MATCH_VQ.into();
        pg_sys::ScanKeyInit(&raw mut key, 1, MATCHES, operator, tsquery_datum(&query));
        let snapshot = pg_sys::GetActiveSnapshot();
        #[cfg(not(feature = "pg18"))]
        let scan = pg_sys::index_beginscan_bitmap(index.as_ptr(), snapshot, 1);
        #[cfg(feature = "pg18")]
        let scan =
            pg_sys::index_beginscan_bitmap(index.as_ptr(), snapshot, std::ptr::null_mut(), 1);
        pg_sys::index_rescan(scan, &raw mut key, 1, std::ptr::null_mut(), 0);
        let bitmap = pg_sys::tbm_create(BITMAP_BYTES as _, std::ptr::null_mut());
        let count = pg_sys::index_getbitmap(scan, bitmap);
        pg_sys::tbm_free(bitmap);
        pg_sys::index_endscan(scan);
        count as f64
    }
}
