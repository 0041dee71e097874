//! `CALL rag_work()` and `rag_retry()`.
#![allow(unsafe_code)] // a procedure that commits talks to SPI itself

use crate::catalog::collection::Collection;
use crate::catalog::distributed::Distributed;
use crate::catalog::distributed::forward::VALUE;
use crate::models::local as model;
use crate::sys::error::SqlError;
use crate::sys::failed::Failed;
use crate::sys::interrupt;
use crate::sys::privileges::current_user;
use crate::sys::rights::as_extension_owner;
use crate::sys::rows::row;
use crate::sys::spi::{execute, query, required};
use crate::sys::transaction::Host;
use crate::sys::version::require_current;
use crate::sys::workers::wake;
use crate::worker::answers;
use crate::worker::drain::Drain;
use crate::worker::work::TurnEnd;
use pgrx::pg_sys::{self, panic::ErrorReport};
use pgrx::prelude::*;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};
use rag::{Error, Result};
use std::time::Duration;

/// How often to check whether the jobs that other processes have claimed are done.
const CLAIMED_POLL_INTERVAL: Duration = Duration::from_millis(50);

#[pg_extern(sql = r"
CREATE PROCEDURE @extschema@.rag_work(collection text = NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON PROCEDURE @extschema@.rag_work IS 'brings chunks up to date in this session, committing as it goes';
", requires = ["catalog"])]
#[allow(clippy::needless_pass_by_value)] // its memory may not outlive the first commit
fn rag_work(collection: Option<String>, fcinfo: pg_sys::FunctionCallInfo) -> Result<(), SqlError> {
    model::require_utf8()?;
    require_non_atomic(fcinfo)?;
    require_current()?;
    let collections = match Distributed::of(collection.as_deref())? {
        Some(distributed) => distributed.work()?,
        None => administered(collection.as_deref())?,
    };
    let asker = collection.is_none().then(current_user);
    // SAFETY: connected once and finished below; an error unwinds to PostgreSQL, which disconnects.
    unsafe {
        let options = pg_sys::SPI_OPT_NONATOMIC.cast_signed();
        let connected = pg_sys::SPI_connect_ext(options);
        assert_eq!(connected, pg_sys::SPI_OK_CONNECT.cast_signed(), "SPI connects");
    }
    let drained = drain(&collections, asker);
    // SAFETY: connected above.
    unsafe { pg_sys::SPI_finish() };
    drained.unwrap_or_else(|failed| failed.rethrow());
    Ok(())
}

/// Drains the queue of `collections`, and writes the queued answers of the role `asker`.
fn drain(collections: &[i32], asker: Option<pg_sys::Oid>) -> Result<(), Failed> {
    let mut drain = Drain::new(Host::procedure()?, Some(collections.to_vec()));
    if let Some(asker) = asker {
        answers::drain(drain.host(), asker)?;
    }
    drain.release_lost()?;
    loop {
        match drain.turn()? {
            TurnEnd::Worked | TurnEnd::Underway => {}
            // A worker has claimed the rest. When this returns, everything that was there is searchable.
            TurnEnd::Idle { is_claimed: true, .. } => {
                drain.host().outside(|| {
                    std::thread::sleep(CLAIMED_POLL_INTERVAL);
                    interrupt::checkpoint()
                })?;
            }
            TurnEnd::Idle { .. } => break,
        }
    }
    for warning in drain.host().transaction(|| Ok(warnings_of_the_rest(collections)))? {
        warning.report(PgLogLevel::WARNING);
    }
    drain.take_outage().map_or(Ok(()), Err)
}

row! {
    /// A row of `sql/run/api/work_left.sql`.
    struct CollectionLeft {
        name: String,
        /// Why it is paused, if it is.
        paused: Option<String>,
        /// Dead jobs.
        dead: i64,
        /// Jobs that failed and will be tried again.
        later: i64,
        /// Whether it was made in this database, rather than restored or cloned.
        is_at_home: bool,
    }
}

/// Warnings of what could not be indexed.
fn warnings_of_the_rest(collections: &[i32]) -> Vec<ErrorReport> {
    let sql = statement!("api/work_left");
    let args = [collections.to_vec().into()];
    let rows = as_extension_owner(|| query(sql, &args, |row| CollectionLeft::read(&row)));
    let mut warnings = Vec::new();
    for CollectionLeft { name, paused, dead, later, is_at_home } in rows {
        let mut warn = |message: String, hint: String| {
            let code = PgSqlErrorCode::ERRCODE_WARNING;
            warnings.push(ErrorReport::new(code, message, function_name!()).set_hint(hint));
        };
        if !is_at_home {
            warn(
                format!("collection \"{name}\" is paused: it was restored or cloned"),
                format!("SELECT * FROM rag_verify('{name}') lets it go on."),
            );
        } else if let Some(reason) = paused {
            warn(
                format!("collection \"{name}\" is paused: {reason}"),
                format!("When that is settled, rag_retry('{name}') lets it go on."),
            );
        }
        if dead > 0 {
            warn(
                format!("{dead} documents of collection \"{name}\" could not be indexed"),
                "The view rag.dead_job says why.".to_owned(),
            );
        }
        if later > 0 {
            warn(
                format!(
                    "{later} documents of collection \"{name}\" failed and wait for another try"
                ),
                format!("rag_retry('{name}') makes them ready at once."),
            );
        }
    }
    warnings
}

/// A procedure called by a function or inside a transaction block cannot commit.
fn require_non_atomic(fcinfo: pg_sys::FunctionCallInfo) -> Result<()> {
    // SAFETY: PostgreSQL passes a valid call; CALL gives it a context that says whether it may commit.
    let is_atomic = unsafe {
        let context = (*fcinfo).context.cast::<pg_sys::CallContext>();
        context.is_null() || (*context).type_ != pg_sys::NodeTag::T_CallContext || (*context).atomic
    };
    if !is_atomic {
        return Ok(());
    }
    Err(Error::invalid_termination("procedure \"rag_work\" cannot run inside a transaction block")
        .with_hint("Call it by itself, outside of BEGIN and of functions: it commits as it goes."))
}

/// Collections that the caller may work on: the named one, or all of the caller's own.
fn administered(name: Option<&str>) -> Result<Vec<i32>> {
    if let Some(name) = name {
        return Ok(vec![Collection::owned(Some(name), "work on it")?.id]);
    }
    let sql = statement!("api/work_administered");
    Ok(query(sql, &[], |row| required(&row, 1)))
}

/// Lets a paused collection go on and gives its dead jobs another chance. Returns how many.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_retry(collection text) RETURNS bigint
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_retry IS 'lets a paused collection go on and tries its dead jobs again; returns their number';
", requires = ["catalog"])]
fn rag_retry(collection: &str) -> Result<i64, SqlError> {
    if let Some(distributed) = Distributed::find(collection)? {
        return Ok(distributed.change::<i64>("retry it", "rag_retry", VALUE, &[])?.iter().sum());
    }
    let collection = Collection::owned(Some(collection), "retry it")?;
    let revived = as_extension_owner(|| {
        let resume = statement!("api/retry_resume");
        execute(resume, &[collection.id.into(), None::<i32>.into()]);
        execute(statement!("api/retry_jobs"), &[collection.id.into()])
    });
    wake::changes_written();
    Ok(revived as i64)
}
