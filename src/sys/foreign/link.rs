//! A connection to a server as it goes from one state to the next without waiting, and those that a session keeps.
#![allow(unsafe_code)] // watches PostgreSQL's caches

use crate::sys::foreign::Server;
use crate::sys::foreign::libpq::{Answer, Complaint, Connection, Next, Parameter, Polling};
use pgrx::pg_guard;
use pgrx::pg_sys::SysCacheIdentifier::{FOREIGNSERVEROID, USERMAPPINGOID};
use pgrx::pg_sys::{self, Oid};
use rag::{Error, Result};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int};

/// Settings under which `postgres_fdw` has values written the same on both sides. The last has the other server end a statement whose
/// caller is gone.
const SETTINGS: &CStr = c"SET search_path = pg_catalog; SET timezone = 'GMT'; SET datestyle = ISO; SET intervalstyle = postgres; \
                          SET extra_float_digits = 3; SET client_connection_check_interval = '500ms'";

thread_local! {
    /// Connections that rest, by their user mapping.
    static KEPT: RefCell<HashMap<Oid, Link>> = RefCell::default();
    /// Counts changes of servers and mappings.
    static CHANGES: Cell<u64> = const { Cell::new(0) };
    static IS_WATCHING: Cell<bool> = const { Cell::new(false) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting(Polling),
    /// The settings were sent.
    Preparing,
    Resting,
    /// A statement was sent.
    Working,
    Failed,
}

/// A connection.
pub struct Link {
    connection: Connection,
    state: State,
    must_have_used_password: bool,
    /// A change after which it is not used again.
    since: u64,
    was_kept: bool,
    /// Whether its socket was ready when it was last waited for.
    is_ready: bool,
    /// The first result of the statement, or what it failed with.
    answer: Option<Answer>,
}

/// Why there is no connection.
pub enum Refusal {
    Remote(Complaint),
    Ours(Error),
}

impl Link {
    /// The session's connection, or one that is begun.
    pub fn to(server: &Server) -> Result<Self> {
        watch();
        server.require_credential()?;
        let kept = KEPT.with_borrow_mut(|all| all.remove(&server.mapping));
        // A mapping of all roles may be used by a superuser first.
        let may_use = |link: &Link| {
            link.since == CHANGES.get()
                && (!server.requires_password() || link.connection.used_password())
        };
        if let Some(mut link) = kept.filter(may_use) {
            link.was_kept = true;
            return Ok(link);
        }
        let mut options = server.options.clone();
        options.push(("fallback_application_name".to_owned(), "rag_pg".to_owned()));
        options.push(("client_encoding".to_owned(), "UTF8".to_owned()));
        Ok(Self {
            connection: Connection::start(&options)?,
            state: State::Connecting(Polling::Writing),
            must_have_used_password: server.requires_password(),
            since: CHANGES.get(),
            was_kept: false,
            is_ready: false,
            answer: None,
        })
    }

    /// Keeps the connection for the session's next statement.
    pub fn keep(self, server: &Server) {
        if self.state == State::Resting && self.since == CHANGES.get() {
            KEPT.with_borrow_mut(|all| all.insert(server.mapping, self));
        }
    }

    /// Whether it was made by an earlier statement, so that the other side may have closed it since.
    pub fn was_kept(&self) -> bool {
        self.was_kept
    }

    /// Whether a statement can be sent.
    pub fn is_resting(&self) -> bool {
        self.state == State::Resting
    }

    /// Sends a statement.
    pub fn send(&mut self, sql: &str, parameters: &[Parameter]) {
        let sql = CString::new(sql).expect("statements hold no zero byte");
        self.answer = None;
        let is_sent = self.connection.send_with(&sql, parameters);
        self.state = if is_sent { State::Working } else { State::Failed };
    }

    /// What the statement came to, once it has.
    pub fn take_answer(&mut self) -> Option<Answer> {
        (self.state == State::Resting).then(|| self.answer.take()).flatten()
    }

    /// Whether its socket was ready.
    pub fn set_ready(&mut self, is_ready: bool) {
        self.is_ready = is_ready;
    }

    /// Its socket and what to wait for.
    pub fn waits_for(&self) -> Option<(c_int, libc::c_short)> {
        let events = match self.state {
            State::Connecting(Polling::Writing) => libc::POLLOUT,
            State::Connecting(_) => libc::POLLIN,
            State::Preparing | State::Working => match self.connection.flush() {
                Some(true) => libc::POLLIN | libc::POLLOUT,
                _ => libc::POLLIN,
            },
            State::Resting | State::Failed => return None,
        };
        let socket = self.connection.socket();
        (socket >= 0).then_some((socket, events))
    }

    /// Goes on as far as it goes without waiting, after its socket was ready. An error where the connection is of no use any more.
    pub fn advance(&mut self, server: &Server) -> Result<(), Refusal> {
        let failed = |link: &Self| Refusal::Remote(link.connection.complaint());
        match self.state {
            State::Failed => Err(failed(self)),
            State::Resting => Ok(()),
            State::Connecting(_) if self.connection.is_bad() => Err(failed(self)),
            // libpq takes a socket that was never ready for one that is connected.
            State::Connecting(_) if !self.is_ready => Ok(()),
            State::Connecting(_) => match self.connection.poll() {
                Polling::Failed => Err(failed(self)),
                Polling::Connected => {
                    if self.must_have_used_password && !self.connection.used_password() {
                        return Err(Refusal::Ours(server.refused_without_password()));
                    }
                    self.connection.set_nonblocking();
                    if !self.connection.send(SETTINGS) {
                        return Err(failed(self));
                    }
                    self.state = State::Preparing;
                    Ok(())
                }
                waiting => {
                    self.state = State::Connecting(waiting);
                    Ok(())
                }
            },
            State::Preparing | State::Working => {
                if self.connection.flush().is_none() || !self.connection.consume() {
                    return Err(failed(self));
                }
                self.read(failed)
            }
        }
    }

    fn read(&mut self, failed: impl Fn(&Self) -> Refusal) -> Result<(), Refusal> {
        loop {
            match (self.connection.next_result(), self.state) {
                (Next::Later, _) => return Ok(()),
                (Next::NoMore, _) if self.connection.is_bad() => {
                    let said = self.answer.take().and_then(Result::err);
                    return Err(said.map_or_else(|| failed(self), Refusal::Remote));
                }
                (Next::NoMore, _) => {
                    self.state = State::Resting;
                    return Ok(());
                }
                (Next::Result(Err(complaint)), State::Preparing) => {
                    return Err(Refusal::Remote(complaint));
                }
                (Next::Result(Ok(_)), State::Preparing) => {}
                (Next::Result(answer), _) => {
                    self.answer.get_or_insert(answer);
                }
            }
        }
    }
}

/// How often servers and mappings have changed, as far as this session has seen.
pub fn changes() -> u64 {
    watch();
    CHANGES.get()
}

fn watch() {
    if IS_WATCHING.replace(true) {
        return;
    }
    for cache in [FOREIGNSERVEROID, USERMAPPINGOID] {
        let none = pg_sys::Datum::from(0);
        // SAFETY: the callback stays in memory with the library, which is never unloaded.
        unsafe { pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(changed), none) };
    }
}

/// A server or a mapping: connections by what they were are not used again.
#[pg_guard]
unsafe extern "C-unwind" fn changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    CHANGES.set(CHANGES.get().wrapping_add(1));
}
