//! Transactions of the queue's work, in a background worker or inside `CALL rag_work()`.
//!
//! Both run short transactions and hold no snapshot or lock in between. A background worker starts and commits its own; the
//! procedure commits the caller's through SPI, which then starts another, without a snapshot. An error ends its transaction
//! and is returned as a value.
#![allow(unsafe_code)] // transaction control has no safe interface

use crate::sys::background;
use crate::sys::failed::Failed;
use crate::sys::ffi;
use crate::sys::guc;
use crate::sys::guc::scope::set_local;
use crate::sys::interrupt::checkpoint;
use crate::sys::process::is_standby;
use crate::sys::rights::{KEY_TEXT_SETTINGS, PARSE_SETTINGS};
use crate::sys::spi::{read, required};
use pgrx::{PgMemoryContexts, PgTryBuilder, pg_sys};
use std::ffi::{CStr, CString};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Settings of every transaction, besides those for parsing statements and for the text of keys. A lock timeout is retried. A
/// deadlock with a user's DROP is detected here first, so that our transaction is aborted, not the user's. Notices about words
/// too long to be indexed have no reader. The queue's triggers fire.
const TRANSACTION_SETTINGS: [(&CStr, &CStr); 5] = [
    (c"lock_timeout", c"10s"),
    (c"deadlock_timeout", c"100ms"),
    (c"jit", c"off"),
    (c"client_min_messages", c"warning"),
    (c"session_replication_role", c"origin"),
];

/// Settings of the database or role that `rag_work()` overrides. Those that the session itself has set hold.
#[derive(Debug, Clone, Copy, Default)]
struct OverriddenDefaults {
    statement_timeout: bool,
    transaction_timeout: bool,
    read_only: bool,
}

impl OverriddenDefaults {
    fn load() -> Self {
        let sql = statement!("sys/work_disregarded");
        let names: Vec<String> = read(sql, &[], |row| required(&row, 1));
        let has = |name: &str| names.iter().any(|one| one == name);
        Self {
            statement_timeout: has("statement_timeout"),
            transaction_timeout: has("transaction_timeout"),
            read_only: has("default_transaction_read_only"),
        }
    }

    /// In a transaction that has just begun.
    unsafe fn override_defaults(self) {
        // SAFETY: in a transaction. The timeout was armed for the whole CALL.
        unsafe {
            if self.statement_timeout {
                ffi::disable_statement_timeout();
            }
            if self.transaction_timeout {
                set_local(c"transaction_timeout", c"0");
            }
            if self.read_only && !is_standby() {
                pg_sys::XactReadOnly = false;
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostKind {
    /// A background worker, outside of transactions between steps.
    Worker,
    /// A procedure called outside of a transaction block.
    Procedure,
}

/// The process that runs transactions.
pub struct Host {
    kind: HostKind,
    context: PgMemoryContexts,
    defaults: OverriddenDefaults,
}

impl Host {
    /// This background worker.
    pub fn worker() -> Self {
        let context = PgMemoryContexts::new("rag_pg work");
        Self { kind: HostKind::Worker, context, defaults: OverriddenDefaults::default() }
    }

    /// The procedure being called, connected to SPI as non-atomic. Commits the caller's transaction, so
    /// that its snapshot is not held.
    pub fn procedure() -> Result<Self, Failed> {
        let context = PgMemoryContexts::new("rag_pg work");
        let host =
            Self { kind: HostKind::Procedure, context, defaults: OverriddenDefaults::load() };
        host.end_procedure_transaction(true)?;
        Ok(host)
    }

    /// Whether this is a background worker.
    pub fn is_worker(&self) -> bool {
        self.kind == HostKind::Worker
    }

    /// Shows in `pg_stat_activity` and in the process title what a worker does; `None`: it waits.
    pub fn show(&self, activity: Option<&str>) {
        if !self.is_worker() {
            return; // The procedure's call is shown.
        }
        let state = if activity.is_some() {
            pg_sys::BackendState::STATE_RUNNING
        } else {
            pg_sys::BackendState::STATE_IDLE
        };
        let text = activity.and_then(|text| CString::new(text).ok());
        let text = text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        // In the title the kind of process stands before it.
        let title = activity.unwrap_or("idle");
        let title = title.strip_prefix("rag_pg: ").unwrap_or(title);
        let title = CString::new(title).unwrap_or_default();
        // SAFETY: PostgreSQL copies the texts.
        unsafe {
            pg_sys::pgstat_report_activity(state, text);
            #[cfg(feature = "pg15")]
            pg_sys::set_ps_display(title.as_ptr());
            // There the other one is inline in the header.
            #[cfg(not(feature = "pg15"))]
            pg_sys::set_ps_display_with_len(title.as_ptr(), title.count_bytes());
        }
    }

    /// A named step at which tests can stop a worker and kill it: see `rag_pg.debug_stop_at`.
    pub fn reached(&self, step: &str) {
        while self.is_worker() && guc::worker::stops_at(step) {
            self.show(Some(&format!("rag_pg: stopped at {step}")));
            background::wait(Duration::from_millis(50));
        }
    }

    /// Sleeps outside of transactions; an interrupt or, in a worker, its latch ends it early.
    pub fn sleep(&self, most: Duration) -> Result<(), Failed> {
        self.outside(|| {
            if self.is_worker() {
                background::wait(most);
                return Ok(());
            }
            std::thread::sleep(most);
            checkpoint()
        })
    }

    /// Frees memory that earlier steps allocated outside of transactions.
    pub fn reset_memory(&mut self) {
        // SAFETY: nothing that Rust keeps between steps lies in PostgreSQL's memory.
        unsafe { pg_sys::MemoryContextReset(self.context.value()) };
    }

    /// Runs `body` in one transaction, which commits when `body` succeeds.
    pub fn transaction<R>(&self, body: impl FnOnce() -> rag::Result<R>) -> Result<R, Failed> {
        match self.kind {
            HostKind::Worker => self.worker_transaction(body),
            HostKind::Procedure => self.procedure_transaction(body),
        }
    }

    /// Runs `body` outside of any transaction of ours: no snapshot, no lock. It may check for
    /// interrupts and must not touch the database.
    pub fn outside<R>(&self, body: impl FnOnce() -> rag::Result<R>) -> Result<R, Failed> {
        let context = self.context.value();
        // SAFETY: the context lives as long as self; the previous one is current again afterwards,
        // also when body unwinds, since catch returns.
        unsafe {
            let previous = pg_sys::MemoryContextSwitchTo(context);
            let result = catch(body);
            pg_sys::MemoryContextSwitchTo(previous);
            result
        }
    }

    /// Runs a utility statement as a client sends it, in a worker: it may commit as it goes.
    pub fn utility(&self, sql: &str) -> Result<(), Failed> {
        let result = self.outside(|| {
            let text = CString::new(sql).expect("statements hold no zero byte");
            // SAFETY: no transaction runs in a worker between steps. What is parsed outlives the commits
            // inside the statement: it lies in this host's memory.
            unsafe {
                pg_sys::SetCurrentStatementStartTimestamp();
                pg_sys::StartTransactionCommand();
                pg_sys::MemoryContextSwitchTo(self.context.value());
                run_in_portal(&text);
                pg_sys::CommitTransactionCommand();
            }
            Ok(())
        });
        if result.is_err() {
            // SAFETY: aborting is how a worker leaves whatever state an error left it in.
            unsafe { pg_sys::AbortCurrentTransaction() };
        }
        result
    }

    fn worker_transaction<R>(&self, body: impl FnOnce() -> rag::Result<R>) -> Result<R, Failed> {
        let result = catch(|| {
            // SAFETY: no transaction runs in a worker between steps.
            unsafe {
                pg_sys::SetCurrentStatementStartTimestamp();
                pg_sys::StartTransactionCommand();
                apply_transaction_settings();
                pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            }
            let value = body()?;
            // SAFETY: body left the snapshot pushed above on top, as SPI does.
            unsafe {
                pg_sys::PopActiveSnapshot();
                pg_sys::CommitTransactionCommand();
            }
            Ok(value)
        });
        // SAFETY: aborting is how a worker leaves whatever state an error left it in, but for what limits the time of its
        // statements.
        unsafe {
            if result.is_err() {
                ffi::disable_statement_timeout();
                pg_sys::AbortCurrentTransaction();
            }
            // Autovacuum of the queue depends on what workers report.
            pg_sys::pgstat_report_stat(false);
            pg_sys::MemoryContextSwitchTo(self.context.value());
        }
        result
    }

    fn procedure_transaction<R>(&self, body: impl FnOnce() -> rag::Result<R>) -> Result<R, Failed> {
        // The whole transaction cannot be aborted under a running procedure's resources.
        let result = subtransaction(|| {
            // SAFETY: in a subtransaction of the procedure's transaction.
            unsafe { apply_transaction_settings() };
            body()
        });
        self.end_procedure_transaction(result.is_ok())?;
        result
    }

    /// Commits or rolls back the procedure's transaction and leaves it in a new one, without snapshot.
    fn end_procedure_transaction(&self, commits: bool) -> Result<(), Failed> {
        self.outside(|| {
            // SAFETY: the procedure is connected to SPI as non-atomic; otherwise these raise an error.
            unsafe {
                if commits {
                    pg_sys::SPI_commit();
                } else {
                    pg_sys::SPI_rollback();
                }
                // Before the transaction's first snapshot. Under a stricter default every claim beside
                // another worker's would fail.
                pg_sys::XactIsoLevel = pg_sys::XACT_READ_COMMITTED.cast_signed();
                self.defaults.override_defaults();
            }
            Ok(())
        })
    }
}

/// Runs `body` in a subtransaction, which is undone when `body` fails.
pub fn subtransaction<R>(body: impl FnOnce() -> rag::Result<R>) -> Result<R, Failed> {
    // SAFETY: what PL/pgSQL's exception blocks do.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        let result = catch(body);
        if result.is_ok() {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        result
    }
}

/// Settings and isolation of a transaction that has just begun.
unsafe fn apply_transaction_settings() {
    // SAFETY: inside a transaction; settings changed locally go back when it ends.
    unsafe {
        if !pg_sys::FirstSnapshotSet {
            pg_sys::XactIsoLevel = pg_sys::XACT_READ_COMMITTED.cast_signed();
        }
        for (name, value) in
            PARSE_SETTINGS.into_iter().chain(KEY_TEXT_SETTINGS).chain(TRANSACTION_SETTINGS)
        {
            set_local(name, value);
        }
    }
}

/// Runs one utility statement in a portal of its own, as the server does with a client's: event triggers, which
/// may be anybody's, find a snapshot by it also after the statement committed.
///
/// # Safety
/// In a transaction, and in memory that outlives those the statement commits.
unsafe fn run_in_portal(text: &CStr) {
    // SAFETY: as promised. A utility statement needs no analysis; an ERROR drops the portal with its transaction.
    unsafe {
        let parsed = pg_sys::pg_parse_query(text.as_ptr());
        let raw = (*(*parsed).elements).ptr_value.cast::<pg_sys::RawStmt>();
        let mut statement =
            pgrx::PgBox::<pg_sys::PlannedStmt>::alloc_node(pg_sys::NodeTag::T_PlannedStmt);
        statement.commandType = pg_sys::CmdType::CMD_UTILITY;
        statement.canSetTag = true;
        statement.utilityStmt = (*raw).stmt;
        let tag = pg_sys::CreateCommandTag((*raw).stmt);
        let statements = pg_sys::lappend(std::ptr::null_mut(), statement.into_pg().cast());
        let portal = pg_sys::CreateNewPortal();
        (*portal).visible = false;
        let (unnamed, no_plan) = (std::ptr::null(), std::ptr::null_mut());
        pg_sys::PortalDefineQuery(portal, unnamed, text.as_ptr(), tag, statements, no_plan);
        pg_sys::PortalStart(portal, std::ptr::null_mut(), 0, std::ptr::null_mut());
        let nowhere = pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestNone);
        let nothing = std::ptr::null_mut();
        let all = std::ffi::c_long::MAX;
        #[cfg(not(feature = "pg18"))]
        pg_sys::PortalRun(portal, all, true, true, nowhere, nowhere, nothing);
        #[cfg(feature = "pg18")]
        pg_sys::PortalRun(portal, all, true, nowhere, nowhere, nothing);
        pg_sys::PortalDrop(portal, false);
    }
}

/// Runs `body`; an ERROR or a panic comes back as a value.
fn catch<R>(body: impl FnOnce() -> rag::Result<R>) -> Result<R, Failed> {
    let body = AssertUnwindSafe(body);
    PgTryBuilder::new(move || {
        let body = body;
        (body.0)().map_err(Failed::from)
    })
    .catch_others(|caught| Err(Failed::from(caught)))
    .catch_rust_panic(|caught| Err(Failed::from(caught)))
    .execute()
}
