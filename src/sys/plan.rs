//! Statements whose plans a backend keeps, for those that run many times a second.
//!
//! A kept plan is generic, made once for all parameters, but where [`read_as_caller_if`] asks what the planner
//! expects of the values at hand and these matter. PostgreSQL makes it anew by itself when a
//! table it reads, the role under row security or the search path changes. Statements run read-only, also
//! on a standby and in a parallel query's leader.
#![allow(unsafe_code)] // SPI as pgrx wraps it neither keeps generic plans nor stays read-only

pub mod scans;

use crate::sys::memory::with_room_for_errors;
use crate::sys::process::has_transaction_id;
use crate::sys::rights::with_safe_search_path;
use crate::sys::rows::{keep, reading};
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{Spi, pg_sys};
use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::rc::Rc;

/// Most plans a backend keeps.
const MAX_KEPT_PLANS: usize = 64;

thread_local! {
    /// The plans, least recently used first.
    static PLANS: RefCell<Vec<Rc<KeptPlan>>> = const { RefCell::new(Vec::new()) };
}

struct KeptPlan {
    sql: String,
    types: Vec<pg_sys::Oid>,
    /// Freed only by [`make_room`]: when a backend exits there is nothing left to free it from.
    pointer: pg_sys::SPIPlanPtr,
}

/// Runs a statement that only reads, in the caller's snapshot, and maps each row.
pub fn read<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    with_safe_search_path(|| run(sql, args, true, map))
}

/// As [`read`], but under the caller's search path, which users' policies expect: the statement qualifies all that it
/// names.
pub fn read_as_caller<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    run(sql, args, true, map)
}

/// As [`read`], but under a search path that was set for the statement, which qualifies all that it names: hooks of other extensions
/// may look functions up.
pub fn read_by_set_path<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    run(sql, args, true, map)
}

/// As [`read`], but sees what this command itself wrote before.
pub fn read_latest<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    with_safe_search_path(|| run(sql, args, !has_transaction_id(), map))
}

fn run<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    is_read_only: bool,
    mut map: impl FnMut(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    with_room_for_errors(|| {
        Spi::connect(|_| {
            let plan = kept(sql, args, pg_sys::CURSOR_OPT_GENERIC_PLAN);
            let (mut values, nulls) = values_of(args);
            // SAFETY: the plan is alive while `plan` is, and has one type per argument. The rows belong
            // to this connection, which ends after they were mapped.
            unsafe {
                let (values, nulls) = (values.as_mut_ptr(), nulls.as_ptr());
                let status = pg_sys::SPI_execute_plan(plan.pointer, values, nulls, is_read_only, 0);
                assert!(
                    status == pg_sys::SPI_OK_SELECT as i32,
                    "SPI runs a kept statement: {status}"
                );
                reading(|| mapped(&*pg_sys::SPI_tuptable, &mut map))
            }
        })
    })
}

/// As [`read_as_caller`], of a statement with a `LIMIT`, provided that the number of rows the planner expects without the limit
/// `is_worth` it. The plan is made for these very values, unless PostgreSQL has found the generic one as good five times.
pub fn read_as_caller_if<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    is_worth: impl FnOnce(f64) -> bool,
    mut map: impl FnMut(&SpiHeapTupleData<'_>) -> T,
) -> Option<Vec<T>> {
    with_room_for_errors(|| {
        Spi::connect(|_| {
            let plan = kept(sql, args, 0);
            let (mut values, nulls) = values_of(args);
            // SAFETY: as in `run`. The portal is open until it is closed; an ERROR closes it too.
            unsafe {
                let (values, nulls) = (values.as_mut_ptr(), nulls.as_ptr());
                let name = std::ptr::null();
                let portal = pg_sys::SPI_cursor_open(name, plan.pointer, values, nulls, true);
                let rows = is_worth(scans::expected_rows((*portal).stmts)).then(|| {
                    pg_sys::SPI_cursor_fetch(portal, true, std::ffi::c_long::MAX);
                    reading(|| mapped(&*pg_sys::SPI_tuptable, &mut map))
                });
                pg_sys::SPI_cursor_close(portal);
                rows
            }
        })
    })
}

/// Arguments as SPI takes them.
fn values_of(args: &[DatumWithOid<'_>]) -> (Vec<pg_sys::Datum>, Vec<std::ffi::c_char>) {
    let value = |arg: &DatumWithOid<'_>| {
        arg.datum().map_or(pg_sys::Datum::from(0), pgrx::datum::Datum::sans_lifetime)
    };
    let null = |arg: &DatumWithOid<'_>| if arg.datum().is_some() { b' ' } else { b'n' };
    (args.iter().map(value).collect(), args.iter().map(|arg| null(arg) as _).collect())
}

/// # Safety
/// The table is that of the SPI call before.
unsafe fn mapped<T>(
    table: &pg_sys::SPITupleTable,
    map: &mut impl FnMut(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    let mut rows = Vec::new();
    for position in 0..table.numvals as usize {
        // SAFETY: as promised.
        let row = unsafe { SpiHeapTupleData::new(table.tupdesc, *table.vals.add(position)) };
        keep(&mut rows, map(&row.expect("a row").expect("a row")));
    }
    rows
}

/// The plan of a statement for arguments of these types, always asked for with the same options. Wants an
/// SPI connection.
fn kept(sql: &str, args: &[DatumWithOid<'_>], options: u32) -> Rc<KeptPlan> {
    let is_it = |plan: &Rc<KeptPlan>| {
        plan.sql == sql && plan.types.iter().copied().eq(args.iter().map(DatumWithOid::oid))
    };
    let found = PLANS.with_borrow_mut(|plans| {
        let position = plans.iter().rposition(is_it)?;
        let plan = plans.remove(position);
        plans.push(Rc::clone(&plan));
        Some(plan)
    });
    found.unwrap_or_else(|| {
        let plan = Rc::new(prepare(sql, args.iter().map(DatumWithOid::oid).collect(), options));
        PLANS.with_borrow_mut(|plans| {
            make_room(plans);
            plans.push(Rc::clone(&plan));
        });
        plan
    })
}

fn prepare(sql: &str, mut types: Vec<pg_sys::Oid>, options: u32) -> KeptPlan {
    let text = CString::new(sql).expect("statements hold no zero byte");
    // SAFETY: an SPI connection is open. The statement and the types outlive the call, which copies them.
    let pointer = unsafe {
        let count = types.len() as i32;
        let plan =
            pg_sys::SPI_prepare_cursor(text.as_ptr(), count, types.as_mut_ptr(), options as i32);
        assert!(!plan.is_null(), "SPI prepares a statement: {}", status_name());
        pg_sys::SPI_keepplan(plan);
        plan
    };
    KeptPlan { sql: sql.to_owned(), types, pointer }
}

fn status_name() -> String {
    // SAFETY: returns a constant string for any code.
    unsafe { CStr::from_ptr(pg_sys::SPI_result_code_string(pg_sys::SPI_result)) }
        .to_string_lossy()
        .into_owned()
}

/// Frees the least recently used plans, except those that are running further up the stack.
fn make_room(plans: &mut Vec<Rc<KeptPlan>>) {
    while plans.len() >= MAX_KEPT_PLANS {
        let Some(position) = plans.iter().position(|plan| Rc::strong_count(plan) == 1) else {
            return;
        };
        let plan = plans.remove(position);
        // SAFETY: kept by `prepare`, freed once, and not in use.
        unsafe { pg_sys::SPI_freeplan(plan.pointer) };
    }
}
