//! Statements on several servers at once, with one deadline. A cancel, a timeout or the end of the session ends the waiting and closes
//! the connections that were at work, by which the other servers notice.
#![allow(unsafe_code)] // waits for sockets

use crate::sys::foreign::Server;
pub use crate::sys::foreign::libpq::{Complaint, Parameter};
use crate::sys::foreign::link::{Link, Refusal};
use crate::sys::interrupt;
use pgrx::pg_sys::Oid;
use rag::{Error, Result};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Longest time between two looks for interrupts. A signal ends the waiting at once, unless it arrives just before.
const MAX_WAIT: Duration = Duration::from_millis(20);

/// A statement with one value as its result.
pub struct Call<'a> {
    pub server: &'a Server,
    pub sql: &'a str,
    pub parameters: Vec<Parameter>,
}

/// Why a call has no result.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The server said so, or could not be reached.
    Remote(Complaint),
    /// It did not answer in time.
    TimedOut,
    /// The connection may not be used.
    Refused(Error),
}

/// Calls of one connection, one after the other.
struct Line {
    link: Option<Link>,
    mapping: Oid,
    waiting: VecDeque<usize>,
    current: Option<usize>,
}

/// Results in the order of calls.
pub type Results = Vec<Result<String, Failure>>;

/// Runs all calls and returns the results in their order. Once they are under way `meanwhile` runs, whose time is not theirs.
pub fn run<T>(
    calls: &[Call<'_>],
    timeout: Duration,
    meanwhile: impl FnOnce() -> T,
) -> Result<(Results, T)> {
    let mut deadline = Instant::now() + timeout;
    let mut results: Vec<Option<Result<String, Failure>>> = calls.iter().map(|_| None).collect();
    let mut lines: Vec<Line> = Vec::new();
    for (position, call) in calls.iter().enumerate() {
        let mapping = call.server.mapping;
        match lines.iter_mut().find(|line| line.mapping == mapping) {
            Some(line) => line.waiting.push_back(position),
            None => lines.push(Line {
                link: None,
                mapping,
                waiting: VecDeque::from([position]),
                current: None,
            }),
        }
    }
    // Dropped with their connections where an interrupt unwinds.
    for line in &mut lines {
        line.advance(calls, &mut results);
    }
    let began = Instant::now();
    let done = meanwhile();
    deadline += began.elapsed();
    loop {
        let mut is_done = true;
        for line in &mut lines {
            line.advance(calls, &mut results);
            is_done &= line.is_done();
        }
        if is_done {
            break;
        }
        let now = Instant::now();
        if now >= deadline {
            for line in &mut lines {
                line.fail(&Failure::TimedOut, &mut results);
            }
            break;
        }
        wait(&mut lines, deadline - now);
        interrupt::checkpoint()?;
    }
    for line in lines {
        if let Some(link) = line.link {
            let server = calls.iter().find(|call| call.server.mapping == line.mapping);
            link.keep(server.expect("a line has calls").server);
        }
    }
    let results = results.into_iter().map(|result| result.expect("each call came to an end"));
    Ok((results.collect(), done))
}

impl Line {
    fn is_done(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    fn advance(&mut self, calls: &[Call<'_>], results: &mut [Option<Result<String, Failure>>]) {
        while !self.is_done() {
            let next = self.current.or(self.waiting.front().copied()).expect("not done");
            let server = calls[next].server;
            if self.link.is_none() {
                match Link::to(server) {
                    Ok(link) => self.link = Some(link),
                    Err(error) => return self.fail(&Failure::Refused(error), results),
                }
            }
            let link = self.link.as_mut().expect("set above");
            if let Err(refusal) = link.advance(server) {
                // The other side may have ended an old connection, by a restart for one: a new one is tried, once.
                if link.was_kept() {
                    self.link = None;
                    self.waiting.extend(self.current.take());
                    self.waiting.make_contiguous().sort_unstable();
                    continue;
                }
                let failure = match refusal {
                    Refusal::Remote(complaint) => Failure::Remote(complaint),
                    Refusal::Ours(error) => Failure::Refused(error),
                };
                return self.fail(&failure, results);
            }
            if let Some(current) = self.current
                && let Some(answer) = link.take_answer()
            {
                self.current = None;
                results[current] =
                    Some(answer.map(Option::unwrap_or_default).map_err(Failure::Remote));
                continue;
            }
            if self.current.is_none() && link.is_resting() {
                self.current = self.waiting.pop_front();
                link.send(calls[next].sql, &calls[next].parameters);
                continue;
            }
            return;
        }
    }

    /// Ends all that is left with a failure, and the connection.
    fn fail(&mut self, failure: &Failure, results: &mut [Option<Result<String, Failure>>]) {
        self.link = None;
        for position in self.current.take().into_iter().chain(self.waiting.drain(..)) {
            results[position] = Some(Err(failure.clone()));
        }
    }
}

/// Waits until a socket is ready, a signal arrives or the time is over.
fn wait(lines: &mut [Line], most: Duration) {
    let mut awaited: Vec<&mut Link> =
        lines.iter_mut().filter_map(|line| line.link.as_mut()).collect();
    awaited.retain(|link| link.waits_for().is_some());
    let mut polls: Vec<libc::pollfd> = awaited
        .iter()
        .filter_map(|link| link.waits_for())
        .map(|(fd, events)| libc::pollfd { fd, events, revents: 0 })
        .collect();
    let milliseconds = most.min(MAX_WAIT).as_millis().max(1) as i32;
    // SAFETY: an array of as many elements.
    unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, milliseconds) };
    for (link, poll) in awaited.into_iter().zip(polls) {
        link.set_ready(poll.revents != 0);
    }
}
