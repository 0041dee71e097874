//! Statements whose plans a backend keeps, for what runs many times a second.
//!
//! A kept plan is generic: made once for all parameters. PostgreSQL makes it anew by itself when a
//! table it reads, the role under row security or the search path changes. Statements run read-only, also
//! on a standby and in a parallel query's leader.
#![allow(unsafe_code)] // SPI as pgrx wraps it neither keeps generic plans nor stays read-only

pub mod scans;

use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{Spi, pg_sys};
use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::rc::Rc;

/// Most plans a backend keeps.
const KEPT: usize = 64;

thread_local! {
    /// The plans, least recently used first.
    static PLANS: RefCell<Vec<Rc<Plan>>> = const { RefCell::new(Vec::new()) };
}

struct Plan {
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
    run(sql, args, true, map)
}

/// As [`read`], but sees what this command itself wrote before.
pub fn read_latest<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    map: impl FnMut(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    // SAFETY: reads this backend's state. Without a transaction id nothing was written.
    let has_written =
        unsafe { pg_sys::GetCurrentTransactionIdIfAny() } != pg_sys::InvalidTransactionId;
    run(sql, args, !has_written, map)
}

fn run<T>(
    sql: &str,
    args: &[DatumWithOid<'_>],
    is_read_only: bool,
    mut map: impl FnMut(&SpiHeapTupleData<'_>) -> T,
) -> Vec<T> {
    Spi::connect(|_| {
        let plan = kept(sql, args);
        let mut values: Vec<pg_sys::Datum> = Vec::with_capacity(args.len());
        let mut nulls: Vec<std::ffi::c_char> = Vec::with_capacity(args.len());
        for arg in args {
            values.push(
                arg.datum().map_or(pg_sys::Datum::from(0), pgrx::datum::Datum::sans_lifetime),
            );
            nulls.push(if arg.datum().is_some() { b' ' } else { b'n' } as std::ffi::c_char);
        }
        // SAFETY: the plan is alive while `plan` is, and has one type per argument. The rows belong
        // to this connection, which ends after they were mapped.
        unsafe {
            let (values, nulls) = (values.as_mut_ptr(), nulls.as_ptr());
            let status = pg_sys::SPI_execute_plan(plan.pointer, values, nulls, is_read_only, 0);
            assert!(status == pg_sys::SPI_OK_SELECT as i32, "SPI runs a kept statement: {status}");
            let table = &*pg_sys::SPI_tuptable;
            let mut rows = Vec::with_capacity(table.numvals as usize);
            for position in 0..table.numvals as usize {
                let row = SpiHeapTupleData::new(table.tupdesc, *table.vals.add(position));
                rows.push(map(&row.expect("a row").expect("a row")));
            }
            rows
        }
    })
}

/// The plan of a statement for arguments of these types. Wants an SPI connection.
fn kept(sql: &str, args: &[DatumWithOid<'_>]) -> Rc<Plan> {
    let is_it = |plan: &Rc<Plan>| {
        plan.sql == sql && plan.types.iter().copied().eq(args.iter().map(DatumWithOid::oid))
    };
    let found = PLANS.with_borrow_mut(|plans| {
        let position = plans.iter().rposition(is_it)?;
        let plan = plans.remove(position);
        plans.push(Rc::clone(&plan));
        Some(plan)
    });
    found.unwrap_or_else(|| {
        let plan = Rc::new(prepare(sql, args.iter().map(DatumWithOid::oid).collect()));
        PLANS.with_borrow_mut(|plans| {
            make_room(plans);
            plans.push(Rc::clone(&plan));
        });
        plan
    })
}

fn prepare(sql: &str, mut types: Vec<pg_sys::Oid>) -> Plan {
    let text = CString::new(sql).expect("statements hold no zero byte");
    let options = pg_sys::CURSOR_OPT_GENERIC_PLAN;
    // SAFETY: an SPI connection is open. The statement and the types outlive the call, which copies them.
    let pointer = unsafe {
        let count = types.len() as i32;
        let plan =
            pg_sys::SPI_prepare_cursor(text.as_ptr(), count, types.as_mut_ptr(), options as i32);
        assert!(!plan.is_null(), "SPI prepares a statement: {}", status_name());
        pg_sys::SPI_keepplan(plan);
        plan
    };
    Plan { sql: sql.to_owned(), types, pointer }
}

fn status_name() -> String {
    // SAFETY: returns a constant string for any code.
    unsafe { CStr::from_ptr(pg_sys::SPI_result_code_string(pg_sys::SPI_result)) }
        .to_string_lossy()
        .into_owned()
}

/// Frees the plans used longest ago; not those that run now, further up the stack.
fn make_room(plans: &mut Vec<Rc<Plan>>) {
    while plans.len() >= KEPT {
        let Some(position) = plans.iter().position(|plan| Rc::strong_count(plan) == 1) else {
            return;
        };
        let plan = plans.remove(position);
        // SAFETY: kept by `prepare`, freed once, used by nobody.
        unsafe { pg_sys::SPI_freeplan(plan.pointer) };
    }
}
