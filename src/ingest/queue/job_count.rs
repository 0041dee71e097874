//! Counters of jobs, which `rag.status` reads instead of counting.
//!
//! Triggers of `rag.job` append differences to `rag.job_count` in the same transaction. If they updated one row instead,
//! workers would wait for each other's commits.
#![allow(unsafe_code)] // a transition table, which pgrx does not hand to SPI

use crate::sys::rights::as_extension_owner;
use crate::sys::spi::execute;
use pgrx::datum::TryFromDatumError;
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;
use std::cell::RefCell;

extension_sql!(
    r"CREATE FUNCTION rag.count_jobs() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'count_jobs_wrapper';
REVOKE ALL ON FUNCTION rag.count_jobs() FROM PUBLIC;
COMMENT ON FUNCTION rag.count_jobs() IS 'trigger of rag.job: keeps rag.job_count';
CREATE TRIGGER count_new AFTER INSERT ON rag.job REFERENCING NEW TABLE AS jobs
    FOR EACH STATEMENT EXECUTE FUNCTION rag.count_jobs();
CREATE TRIGGER count_done AFTER DELETE ON rag.job REFERENCING OLD TABLE AS jobs
    FOR EACH STATEMENT EXECUTE FUNCTION rag.count_jobs();
CREATE TRIGGER count_none AFTER TRUNCATE ON rag.job FOR EACH STATEMENT EXECUTE FUNCTION rag.count_jobs();
-- By row: claims, renewals and releases set none of these columns and cost nothing.
CREATE TRIGGER count_changed AFTER UPDATE OF is_new, is_dead ON rag.job FOR EACH ROW
    WHEN (OLD.is_new <> NEW.is_new OR OLD.is_dead <> NEW.is_dead)
    EXECUTE FUNCTION rag.count_jobs();",
    name = "job_count",
    requires = ["catalog"]
);

type JobTuple<'a> = PgHeapTuple<'a, AllocatedByPostgres>;

thread_local! {
    /// Prepared once: `rag_retry()` may fire the trigger for millions of dead jobs.
    static ADD: RefCell<Option<OwnedPreparedStatement>> = const { RefCell::new(None) };
}

/// The trigger function of `rag.job`.
#[pg_trigger(sql = false)]
fn count_jobs<'a>(trigger: &'a PgTrigger<'a>) -> Result<Option<JobTuple<'a>>, TryFromDatumError> {
    let event = trigger.event();
    as_extension_owner(|| {
        if event.fired_by_insert() {
            count_statement(trigger, 1);
        } else if event.fired_by_delete() {
            count_statement(trigger, -1);
        } else if event.fired_by_truncate() {
            execute("TRUNCATE rag.job_count", &[]);
        } else if let (Some(old), Some(new)) = (trigger.old(), trigger.new()) {
            count_row(&old, &new)?;
        }
        Ok(None)
    })
}

/// The jobs that a statement inserted (`sign` 1) or deleted (-1).
fn count_statement(trigger: &PgTrigger<'_>, sign: i64) {
    Spi::connect_mut(|client| {
        let data = std::ptr::from_ref(trigger.trigger_data()).cast_mut();
        // SAFETY: in an SPI connection, during the trigger's call; SPI reads the transition table and leaves
        // the rest as it is.
        unsafe { pg_sys::SPI_register_trigger_data(data) };
        let sql = statement!("ingest/job_count");
        client.update(sql, None, &[sign.into()]).expect("SPI runs an INSERT");
    });
}

/// A job as it was and as it is.
fn count_row(old: &JobTuple<'_>, new: &JobTuple<'_>) -> Result<(), TryFromDatumError> {
    let is = |job: &JobTuple<'_>, name| job.get_by_name(name).map(|value| value == Some(true));
    let more = |name| Ok(i64::from(is(new, name)?) - i64::from(is(old, name)?));
    let generation: Option<i32> = new.get_by_name("generation_id")?;
    let (dead, new): (i64, i64) = (more("is_dead")?, more("is_new")?);
    Spi::connect_mut(|client| {
        ADD.with_borrow_mut(|kept| {
            let add = kept.get_or_insert_with(|| {
                let number = PgOid::BuiltIn(PgBuiltInOids::INT8OID);
                let types = [PgOid::BuiltIn(PgBuiltInOids::INT4OID), number, number, number];
                let sql = statement!("ingest/job_count_add");
                client.prepare_mut(sql, &types).expect("SPI prepares an INSERT").keep()
            });
            let args = [generation.into(), (-dead).into(), dead.into(), new.into()];
            client.update(&*add, None, &args).expect("SPI runs an INSERT");
        });
    });
    Ok(())
}

/// Sums many rows of `rag.job_count` up into one for each generation. Concurrent calls lock different rows.
pub fn fold() {
    as_extension_owner(|| execute(statement!("ingest/fold_counts"), &[]));
}
