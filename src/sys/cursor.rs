//! Cursors, for statements with more rows than memory should hold, and snapshots that several of them share.
#![allow(unsafe_code)] // SPI as pgrx wraps it takes a newer snapshot once the transaction has written

use crate::sys::interrupt::checkpoint;
use crate::sys::memory::with_room_for_errors;
use crate::sys::rights::with_safe_search_path;
use crate::sys::rows::{keep, reading};
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{PgMemoryContexts, Spi, pg_sys};
use rag::Result;
use std::ffi::CString;

/// Rows fetched at once.
const ROWS_PER_FETCH: i64 = 1_000;

/// A snapshot that read-only statements see until it is dropped: what was committed when it was taken,
/// and what this transaction did. Under REPEATABLE READ and stricter it is the transaction's own.
pub struct Snapshot(());

impl Snapshot {
    /// Takes it now.
    pub fn take() -> Self {
        // SAFETY: in a transaction; popped by drop, or by the abort that follows an ERROR.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) };
        Self(())
    }

    /// Takes one that sees what is committed by now, whatever the transaction's isolation.
    pub fn latest() -> Self {
        // SAFETY: as above.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
        Self(())
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // After an ERROR the abort of the (sub)transaction pops it.
        if !std::thread::panicking() {
            // SAFETY: snapshots nest as scopes do, so that this one is on top.
            unsafe { pg_sys::PopActiveSnapshot() };
        }
    }
}

/// Runs a read-only statement in the active snapshot, and passes on its rows in batches.
pub fn batches<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    mut map: impl FnMut(&SpiHeapTupleData<'_>) -> T,
    mut each: impl FnMut(Vec<T>) -> Result<()>,
) -> Result<()> {
    with_room_for_errors(|| {
        Spi::connect(|_| {
            // Names are resolved and the plan is made here; the rows come under whatever settings are in force.
            let portal = with_safe_search_path(|| open(sql, args));
            // What is allocated for some rows goes before the next ones come. A call of SPI leaves its own memory
            // current, which lasts as long as the connection.
            let mut scratch = PgMemoryContexts::new("rag_pg rows");
            loop {
                let rows = fetch(portal, &mut scratch, &mut map);
                if rows.is_empty() {
                    break;
                }
                checkpoint()?;
                // SAFETY: rows are values of Rust's, and nothing else outlives a turn.
                unsafe {
                    scratch.switch_to(|_| each(rows))?;
                    scratch.reset();
                }
            }
            // SAFETY: opened above. Where an error goes past this, the end of the transaction closes it.
            unsafe { pg_sys::SPI_cursor_close(portal) };
            Ok(())
        })
    })
}

fn open(sql: &str, args: &[DatumWithOid<'_>]) -> pg_sys::Portal {
    let text = CString::new(sql).expect("statements hold no zero byte");
    let mut types: Vec<pg_sys::Oid> = args.iter().map(DatumWithOid::oid).collect();
    let datum = |arg: &DatumWithOid<'_>| {
        arg.datum().map_or(pg_sys::Datum::from(0), pgrx::datum::Datum::sans_lifetime)
    };
    let null = |arg: &DatumWithOid<'_>| if arg.datum().is_some() { b' ' } else { b'n' };
    let mut values: Vec<pg_sys::Datum> = args.iter().map(datum).collect();
    let nulls: Vec<_> = args.iter().map(|arg| null(arg) as std::ffi::c_char).collect();
    // SAFETY: an SPI connection is open; everything passed outlives the calls, which copy it.
    unsafe {
        let count = types.len() as i32;
        let plan = pg_sys::SPI_prepare_cursor(text.as_ptr(), count, types.as_mut_ptr(), 0);
        assert!(!plan.is_null(), "SPI prepares a statement");
        let name = std::ptr::null();
        pg_sys::SPI_cursor_open(name, plan, values.as_mut_ptr(), nulls.as_ptr(), true)
    }
}

fn fetch<T>(
    portal: pg_sys::Portal,
    scratch: &mut PgMemoryContexts,
    map: &mut impl FnMut(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    // SAFETY: the portal is open. Its rows belong to this connection and are freed once mapped.
    unsafe {
        pg_sys::SPI_cursor_fetch(portal, true, ROWS_PER_FETCH);
        let table = pg_sys::SPI_tuptable;
        let mut rows = Vec::with_capacity((*table).numvals as usize);
        let read = || {
            for position in 0..(*table).numvals as usize {
                let row = SpiHeapTupleData::new((*table).tupdesc, *(*table).vals.add(position));
                keep(&mut rows, map(&row.expect("a row").expect("a row")));
            }
        };
        scratch.switch_to(|_| reading(read));
        pg_sys::SPI_freetuptable(table);
        rows
    }
}
