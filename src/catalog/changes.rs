//! Tells every backend that a collection or a generation changed: searches keep what they looked up of both until then.
#![allow(clippy::cast_ptr_alignment)] // PostgreSQL aligns what it allocates for any type
#![allow(unsafe_code)] // reads trigger data, which pgrx does not wrap

use crate::sys::error::raise;
use pgrx::prelude::*;
use rag::Error;

/// Tells PostgreSQL how to call [`rag_catalog_changed`].
#[unsafe(no_mangle)]
#[doc(hidden)]
pub extern "C" fn pg_finfo_rag_catalog_changed() -> &'static pg_sys::Pg_finfo_record {
    static RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &RECORD
}

/// Trigger function of `rag.collection` and `rag.generation`: invalidates the table's relcache entry, as an ALTER TABLE would, in this
/// backend at once and in others, also on standbys, when the transaction has committed.
#[pg_guard]
#[unsafe(no_mangle)]
#[doc(hidden)]
pub unsafe extern "C-unwind" fn rag_catalog_changed(
    fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: PostgreSQL passes a valid call; whether it comes from a trigger is checked first.
    let data = unsafe { (*fcinfo).context.cast::<pg_sys::TriggerData>() };
    // SAFETY: a context, where there is one, is a node with a tag.
    if data.is_null() || unsafe { (*data).type_ } != pg_sys::NodeTag::T_TriggerData {
        raise(
            Error::unsupported("function \"catalog_changed\" can only be called as a trigger")
                .with_hint("It is part of the extension, whose tables have the trigger."),
        );
    }
    // SAFETY: the tag says it is trigger data, whose relation is open.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid((*(*data).tg_relation).rd_id) };
    pg_sys::Datum::from(0)
}

extension_sql!(
    r"CREATE FUNCTION rag.catalog_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'rag_catalog_changed';
COMMENT ON FUNCTION rag.catalog_changed() IS 'trigger of the catalog: has searches look a collection up again';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON rag.collection FOR EACH ROW EXECUTE FUNCTION rag.catalog_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON rag.generation FOR EACH ROW EXECUTE FUNCTION rag.catalog_changed();
CREATE TRIGGER truncated AFTER TRUNCATE ON rag.collection FOR EACH STATEMENT EXECUTE FUNCTION rag.catalog_changed();
CREATE TRIGGER truncated AFTER TRUNCATE ON rag.generation FOR EACH STATEMENT EXECUTE FUNCTION rag.catalog_changed();
ALTER TABLE rag.collection ENABLE ALWAYS TRIGGER changed, ENABLE ALWAYS TRIGGER truncated;
ALTER TABLE rag.generation ENABLE ALWAYS TRIGGER changed, ENABLE ALWAYS TRIGGER truncated;",
    name = "catalog_changed",
    requires = ["catalog"]
);
