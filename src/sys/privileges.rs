//! What roles own, and what the caller may read.
#![allow(clippy::cast_ptr_alignment)] // PostgreSQL aligns what it allocates for any type
#![allow(unsafe_code)] // PostgreSQL's caches and access checks

use pgrx::pg_sys;
use std::ffi::CString;

/// The role whose rights are in force.
pub fn current_user() -> pg_sys::Oid {
    // SAFETY: reads this backend's state.
    unsafe { pg_sys::GetUserId() }
}

/// Owner of a relation, or `None` when it is gone.
pub fn relation_owner(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: a syscache look-up inside a transaction; the tuple is released before returning.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, relation.into());
        if tuple.is_null() {
            return None;
        }
        let class = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        let owner = (*class).relowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner)
    }
}

/// Whether the caller may read all of a table.
pub fn may_select(table: pg_sys::Oid) -> bool {
    // SAFETY: reads catalogs inside a transaction.
    unsafe {
        let wanted = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
        pg_sys::pg_class_aclcheck(table, current_user(), wanted) == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// Whether the caller may read these columns of a table.
pub fn may_select_columns(table: pg_sys::Oid, columns: &[&str]) -> bool {
    let may_select_column = |column: &&str| {
        let name = CString::new(*column).expect("names hold no zero byte");
        // SAFETY: reads catalogs inside a transaction; 0 stands for a column that is gone.
        unsafe {
            let number = pg_sys::get_attnum(table, name.as_ptr());
            let wanted = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
            number != 0
                && pg_sys::pg_attribute_aclcheck(table, number, current_user(), wanted)
                    == pg_sys::AclResult::ACLCHECK_OK
        }
    };
    may_select(table) || columns.iter().all(may_select_column)
}

/// Whether policies decide which rows of a table the caller sees. With `row_security` off, the statement
/// itself raises the error.
pub fn row_security_applies(table: pg_sys::Oid) -> bool {
    // SAFETY: reads catalogs inside a transaction; the invalid user stands for the caller.
    let result = unsafe { pg_sys::check_enable_rls(table, pg_sys::InvalidOid, true) };
    result == pg_sys::CheckEnableRlsResult::RLS_ENABLED.cast_signed()
}

/// Whether the caller is a member of `pg_monitor`, or a superuser.
pub fn is_monitor() -> bool {
    // SAFETY: reads catalogs inside a transaction.
    unsafe { pg_sys::has_privs_of_role(current_user(), pg_sys::ROLE_PG_MONITOR.into()) }
}
