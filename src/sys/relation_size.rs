//! How large tables are.
#![allow(unsafe_code)] // asks the planner

use pgrx::{PgRelation, pg_sys};
use rag::search::sample::Extent;
use std::num::NonZeroU32;

/// Number of rows, as the planner estimates it.
pub fn rows(table: pg_sys::Oid) -> f64 {
    extent(table).rows
}

/// Pages, and rows as the planner estimates them; at least one of each.
pub fn extent(table: pg_sys::Oid) -> Extent {
    let (mut pages, mut rows, mut all_visible) = (0, 0.0, 0.0);
    // SAFETY: a table that exists, or an ERROR; it is open while the planner's function looks at it.
    unsafe {
        let table = PgRelation::with_lock(table, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        pg_sys::estimate_rel_size(
            table.as_ptr(),
            std::ptr::null_mut(),
            &raw mut pages,
            &raw mut rows,
            &raw mut all_visible,
        );
    }
    Extent { rows: rows.max(1.0), pages: NonZeroU32::new(pages).unwrap_or(NonZeroU32::MIN) }
}
