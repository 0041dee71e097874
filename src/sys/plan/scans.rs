//! The scans of a kept plan, read from the plan that runs, so that explain reports what happens.
#![allow(unsafe_code)] // reads PostgreSQL's plan trees
#![allow(clippy::cast_ptr_alignment)] // nodes are allocated aligned

use pgrx::datum::DatumWithOid;
use pgrx::{Spi, pg_sys};

/// One scan of a part of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// Through this index.
    Index(pg_sys::Oid),
    /// Of this table in full.
    Table(pg_sys::Oid),
}

/// The scans of the kept plan of a statement, first to run first. Scans inside of conditions (`EXISTS`) are not among them.
pub fn of(sql: &str, args: &[DatumWithOid<'_>]) -> Vec<Scan> {
    Spi::connect(|_| {
        let plan = crate::sys::plan::kept(sql, args, pg_sys::CURSOR_OPT_GENERIC_PLAN);
        // SAFETY: an SPI connection is open and `plan` keeps the plan alive. The cached plan is read
        // between getting and releasing it.
        unsafe {
            let cached = pg_sys::SPI_plan_get_cached_plan(plan.pointer);
            if cached.is_null() {
                return Vec::new();
            }
            let mut scans = Vec::new();
            for statement in nodes::<pg_sys::PlannedStmt>((*cached).stmt_list) {
                walk((**statement).planTree, &**statement, &mut scans);
            }
            pg_sys::ReleaseCachedPlan(cached, pg_sys::CurrentResourceOwner);
            scans
        }
    })
}

/// Rows that the planner expects below the `LIMIT` of the one statement in a list.
///
/// # Safety
/// The list is that of a portal with a planned statement.
pub unsafe fn expected_rows(statements: *mut pg_sys::List) -> f64 {
    // SAFETY: as promised; a node's tag says what it is.
    unsafe {
        let top = (*nodes::<pg_sys::PlannedStmt>(statements)[0].cast_const()).planTree;
        let is_limit = (*top).type_ == pg_sys::NodeTag::T_Limit;
        let below = if is_limit { (*top).lefttree } else { top };
        (*below).plan_rows
    }
}

/// # Safety
/// `plan` is a node of the statement's plan, or null.
unsafe fn walk(plan: *mut pg_sys::Plan, statement: &pg_sys::PlannedStmt, scans: &mut Vec<Scan>) {
    if plan.is_null() {
        return;
    }
    // SAFETY: a node's tag says what it is, and every node begins with a Plan.
    unsafe {
        match (*plan).type_ {
            pg_sys::NodeTag::T_IndexScan => {
                scans.push(Scan::Index((*plan.cast::<pg_sys::IndexScan>()).indexid));
            }
            pg_sys::NodeTag::T_IndexOnlyScan => {
                scans.push(Scan::Index((*plan.cast::<pg_sys::IndexOnlyScan>()).indexid));
            }
            pg_sys::NodeTag::T_BitmapIndexScan => {
                scans.push(Scan::Index((*plan.cast::<pg_sys::BitmapIndexScan>()).indexid));
            }
            pg_sys::NodeTag::T_SeqScan => {
                scans.extend(table(plan, statement).map(Scan::Table));
            }
            pg_sys::NodeTag::T_SubqueryScan => {
                walk((*plan.cast::<pg_sys::SubqueryScan>()).subplan, statement, scans);
            }
            pg_sys::NodeTag::T_Append => {
                each((*plan.cast::<pg_sys::Append>()).appendplans, statement, scans);
            }
            pg_sys::NodeTag::T_BitmapOr => {
                each((*plan.cast::<pg_sys::BitmapOr>()).bitmapplans, statement, scans);
            }
            pg_sys::NodeTag::T_BitmapAnd => {
                each((*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans, statement, scans);
            }
            _ => {}
        }
        walk((*plan).lefttree, statement, scans);
        walk((*plan).righttree, statement, scans);
    }
}

/// The table of a scan.
///
/// # Safety
/// As [`walk`]; the node is a scan's.
unsafe fn table(plan: *mut pg_sys::Plan, statement: &pg_sys::PlannedStmt) -> Option<pg_sys::Oid> {
    // SAFETY: as promised.
    unsafe {
        let number = (*plan.cast::<pg_sys::Scan>()).scanrelid as usize;
        let tables = nodes::<pg_sys::RangeTblEntry>(statement.rtable);
        let table = number.checked_sub(1).and_then(|position| tables.get(position));
        table.map(|table| (**table).relid)
    }
}

/// # Safety
/// As [`walk`], for a list of plans.
unsafe fn each(plans: *mut pg_sys::List, statement: &pg_sys::PlannedStmt, scans: &mut Vec<Scan>) {
    // SAFETY: as promised.
    unsafe {
        for plan in nodes::<pg_sys::Plan>(plans) {
            walk(*plan, statement, scans);
        }
    }
}

/// The pointers of a list.
///
/// # Safety
/// A list of pointers to `T`, or null; it outlives what is returned.
pub unsafe fn nodes<'a, T>(list: *mut pg_sys::List) -> &'a [*mut T] {
    if list.is_null() {
        return &[];
    }
    // SAFETY: as promised. A cell is a union of one machine word.
    unsafe {
        std::slice::from_raw_parts((*list).elements.cast::<*mut T>(), (*list).length as usize)
    }
}
