//! Answers under way: models write on threads, one for each request, while this process keeps the books.
//!
//! A request is marked as begun before its model is asked, in a transaction of its own, and never asked for again
//! after that: whatever ends, it is paid for once at the most. No snapshot is held while models write.
mod ended;

use crate::answer::request as requests;
use crate::answer::request::{Finish, Problem, Request};
use crate::models::call_log;
use crate::models::call_log::Record;
use crate::models::remote;
use crate::models::remote::Remote;
use crate::sys::background::now;
use crate::sys::failed::Failed;
use crate::sys::rights::{current_user, role_name};
use crate::sys::transaction::Host;
use crate::worker::work::{Turn, Work};
use ended::Ended;
use pgrx::datum::Uuid;
use pgrx::pg_sys::Oid;
use rag::answer::generate::{Written, generate};
use rag::model::watch;
use rag::remote::{Blocking, Cancel, Kind};
use rag::{Error, Result};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

/// Most answers under way in a process: what a thread takes is little, what connections take is more.
const MOST: usize = 64;
/// Most that have ended and wait for somebody who is about to cancel them; beyond, nothing is begun.
const MOST_HELD: usize = 1_024;
/// How often to look for cancels, and for requests that nobody called for, while answers are under way.
const LOOK: Duration = Duration::from_millis(100);
/// How often to look for requests whose process is gone.
const TIDY: Duration = Duration::from_secs(5);
/// How long a provider may put a request off before it fails.
const PATIENCE: Duration = Duration::from_hours(1);
/// How long to wait for what was canceled when the process ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Requests that this process has claimed.
pub struct Answers {
    /// Whose requests are claimed: those of roles that it has the rights of.
    role: Oid,
    running: Vec<Running>,
    /// Those that have ended and could not be written yet.
    ended: Vec<Ended>,
    /// The first so many of them have been tried already.
    held: usize,
    looked: Option<Instant>,
    tidied: Option<Instant>,
    ready_at: Option<i64>,
}

struct Running {
    request: Request,
    remote: Remote,
    outcome: Receiver<Result<Written>>,
    cancel: Cancel,
    since: Instant,
}

impl Answers {
    /// Requests of `role` and the roles that it has the rights of.
    pub fn of(role: Oid) -> Self {
        let (running, ended, held) = (Vec::new(), Vec::new(), 0);
        let (looked, tidied, ready_at) = (None, None, None);
        Self { role, running, ended, held, looked, tidied, ready_at }
    }

    /// Writes what has ended, and begins what can be begun. `is_called`: there may be something new.
    pub fn turn(&mut self, host: &Host, is_called: bool) -> Result<Turn, Failed> {
        if self.collect() {
            host.reached("answered");
        }
        // A process that is about to leave looks once more: it may have been called meanwhile.
        let is_due = self.is_done() || self.looked.is_none_or(|at| at.elapsed() >= LOOK);
        let has_written = (is_due || self.ended.len() > self.held) && self.write(host)?;
        let has_begun = (is_due || is_called || has_written) && self.look(host)?;
        Ok(if has_written || has_begun {
            Turn::Worked
        } else if self.is_done() {
            // What is ready and was not begun waits for the model, which another process asks.
            let soon = now() + i64::try_from(LOOK.as_micros()).unwrap_or_default();
            Turn::Idle { ready_at: self.ready_at.map(|at| at.max(soon)), is_claimed: false }
        } else {
            Turn::Underway
        })
    }

    fn is_done(&self) -> bool {
        self.running.is_empty() && self.ended.is_empty()
    }

    /// Cancels what is under way and says so, since this process will not be there for it.
    pub fn put_down(&mut self, host: &Host) {
        self.running.iter().for_each(|running| running.cancel.set());
        let until = Instant::now() + FAREWELL;
        while !self.running.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
            self.collect();
        }
        for running in std::mem::take(&mut self.running) {
            self.ended.push(running.end(Err(stopped())));
        }
        for ended in &mut self.ended {
            if ended.outcome.as_ref().is_err_and(|problem| problem.sqlstate == "57014") {
                ended.outcome = Err(stopped());
            }
        }
        if let Err(failed) = self.write(host) {
            failed.warn();
            // What could not be written was paid for all the same.
            self.ended.iter().for_each(|ended| call_log::leave(&ended.records));
        }
    }

    /// Takes over what threads have finished; whether there was something.
    fn collect(&mut self) -> bool {
        let (known, mut position) = (self.ended.len(), 0);
        while let Some(running) = self.running.get(position) {
            let outcome = match running.outcome.try_recv() {
                Err(TryRecvError::Empty) => {
                    position += 1;
                    continue;
                }
                Ok(outcome) => outcome.map_err(|error| Problem::from(&error)),
                Err(TryRecvError::Disconnected) => {
                    let error = Error::model("the thread that asked the model ended early");
                    Err(Problem::from(&error))
                }
            };
            let ended = self.running.swap_remove(position).end(outcome);
            self.ended.push(ended);
        }
        self.ended.len() > known
    }

    /// Writes what has ended; whether there was something that could be written. It is kept until it is.
    fn write(&mut self, host: &Host) -> Result<bool, Failed> {
        if self.ended.is_empty() {
            return Ok(false);
        }
        let all = || Ok(self.ended.iter().map(|one| one.write(true)).collect::<Vec<_>>());
        let mut failure = None;
        let written = match host.transaction(all) {
            Ok(written) => written.into_iter().map(Some).collect(),
            Err(failed) if failed.is_cancel() => return Err(failed),
            // The one that cannot be written is not to keep the others waiting.
            Err(_) => {
                let alone = |one: &Ended| one.write_alone(host).map_err(|f| failure = Some(f)).ok();
                self.ended.iter().map(alone).collect::<Vec<_>>()
            }
        };
        let (known, mut written) = (self.ended.len(), written.into_iter());
        self.ended.retain_mut(|ended| match written.next().flatten() {
            Some(finish) => {
                ended.records.clear();
                if finish != Finish::Held {
                    ended.count();
                }
                finish == Finish::Held
            }
            None => true,
        });
        self.held = self.ended.len();
        failure.map_or(Ok(self.held < known), Err)
    }

    /// Looks into the queue; whether something was begun.
    fn look(&mut self, host: &Host) -> Result<bool, Failed> {
        self.looked = Some(Instant::now());
        self.tidy(host)?;
        let room = if self.ended.len() < MOST_HELD { MOST - self.running.len() } else { 0 };
        let ids: Vec<Uuid> = self.running.iter().map(|running| running.request.id).collect();
        let held: Vec<Uuid> = self.ended.iter().map(|ended| ended.request.id).collect();
        let role = self.role;
        let (unwanted, claimed, ready_at) = host.transaction(|| {
            let unwanted =
                if ids.is_empty() { Vec::new() } else { requests::unwanted(ids.clone()) };
            let ready_at = requests::ready_at();
            if room == 0 || ready_at.is_none_or(|at| at > now()) {
                return Ok((unwanted, Vec::new(), ready_at));
            }
            let claimed = requests::claim(room, role, held.clone()).into_iter().map(|request| {
                let remote = open(&request);
                (request, remote)
            });
            Ok((unwanted, claimed.collect::<Vec<_>>(), requests::ready_at()))
        })?;
        self.ready_at = ready_at;
        for running in &self.running {
            if unwanted.contains(&running.request.id) {
                running.cancel.set();
            }
        }
        let has_begun = !claimed.is_empty();
        if has_begun {
            host.reached("answering");
            host.show(Some("rag_pg: models write answers"));
        }
        for (request, remote) in claimed {
            self.begin(request, remote);
        }
        Ok(has_begun)
    }

    /// Now and then: gives up what processes that are gone left under way, and deletes what ended long ago.
    fn tidy(&mut self, host: &Host) -> Result<(), Failed> {
        if self.tidied.is_some_and(|at| at.elapsed() < TIDY) {
            return Ok(());
        }
        let is_first = self.tidied.is_none();
        let tidy = |notifies: bool| {
            host.transaction(|| {
                let copied = if is_first { requests::release_copied() } else { Vec::new() };
                let ended = copied.into_iter().chain(requests::release_lost());
                ended.filter(|_| notifies).for_each(requests::notify);
                requests::prune();
                Ok(())
            })
        };
        match tidy(true) {
            Err(failed) if !failed.is_cancel() => tidy(false)?,
            tidied => tidied?,
        }
        self.tidied = Some(Instant::now());
        Ok(())
    }

    fn begin(&mut self, mut request: Request, remote: Result<Remote>) {
        let begun = remote.and_then(|remote| Ok((ask(&mut request, &remote)?, remote)));
        match begun {
            Ok(((outcome, cancel), remote)) => {
                let since = Instant::now();
                self.running.push(Running { request, remote, outcome, cancel, since });
            }
            Err(error) => self.ended.push(Ended {
                request,
                outcome: Err(Problem::from(&error)),
                is_put_off: false,
                records: Vec::new(),
                took: Duration::ZERO,
            }),
        }
    }
}

impl Running {
    fn end(self, outcome: Result<Written, Problem>) -> Ended {
        let records = self.remote.take_records();
        // Where the first of two calls was answered, it is not to be paid for again.
        let is_limited = |problem: &Problem| {
            problem.sqlstate == "53400"
                && self.request.age + self.since.elapsed() < PATIENCE
                && !records.iter().any(Record::was_answered)
        };
        let loading = self.request.loading.as_deref();
        let outcome = outcome.map(|written| written.or_not_ready(loading));
        Ended {
            is_put_off: outcome.as_ref().is_err_and(is_limited),
            records,
            took: self.since.elapsed(),
            request: self.request,
            outcome,
        }
    }
}

/// The model of a request, on behalf of who asked: he may have lost the right to use it.
fn open(request: &Request) -> Result<Remote> {
    let found = remote::find_for(&request.model, request.role)?;
    let mut remote = found.ok_or_else(|| {
        Error::undefined(format!("generator \"{}\" does not exist", request.model))
            .with_hint("It was dropped after the question was submitted.")
    })?;
    remote::require(&remote, Kind::Generator)?;
    if role_name(request.role).is_none() {
        return Err(Error::undefined("the role that submitted the question was dropped")
            .with_hint("Submit it again as a role that there is."));
    }
    remote.set_role(request.role);
    if let Some(collection) = request.collection {
        remote.set_collection(collection);
    }
    Ok(remote)
}

/// Has the model write on a thread of its own.
fn ask(request: &mut Request, remote: &Remote) -> Result<(Receiver<Result<Written>>, Cancel)> {
    let (client, cancel) = (remote.shared(), Cancel::default());
    let cancelled = cancel.clone();
    let (sender, outcome) = mpsc::channel();
    let question = std::mem::take(&mut request.question);
    let instructions = request.instructions.take();
    let passages = std::mem::take(&mut request.passages);
    watch::spawn(move || {
        let texts: Vec<&str> = passages.iter().map(String::as_str).collect();
        let generator = Blocking(&client, &cancelled);
        let go_on = &mut || cancelled.check();
        let written = generate(&generator, &question, &texts, instructions.as_deref(), go_on);
        // Nobody hears it where the process has put it down.
        drop(sender.send(written));
    })?;
    Ok((outcome, cancel))
}

fn stopped() -> Problem {
    Problem {
        sqlstate: "57P01".to_owned(),
        message: "the process that asked the model was told to stop before it answered".to_owned(),
        detail: None,
        hint: Some(
            "The model's provider may charge for it. Submit the question again if the answer is still wanted."
                .to_owned(),
        ),
    }
}

/// A background worker's work.
pub struct AnswerWork {
    host: Host,
    answers: Answers,
}

impl AnswerWork {
    /// All requests of the database.
    pub fn new(host: Host) -> Self {
        Self { host, answers: Answers::of(current_user()) }
    }
}

impl Work for AnswerWork {
    fn host(&self) -> &Host {
        &self.host
    }

    fn begin(&mut self) -> Result<(), Failed> {
        Ok(()) // The first look tidies up.
    }

    fn turn(&mut self, is_called: bool) -> Result<Turn, Failed> {
        self.host.reset_memory();
        self.answers.turn(&self.host, is_called)
    }

    fn put_down(&mut self) {
        self.answers.put_down(&self.host);
    }
}

/// Has all that waits for `role` and the roles it has the rights of written, and waits for it.
pub fn work_off(host: &Host, role: Oid) -> Result<(), Failed> {
    let mut answers = Answers::of(role);
    let worked = loop {
        let step = match answers.turn(host, true) {
            Ok(Turn::Worked) => Ok(()),
            Ok(Turn::Underway) => host.sleep(Duration::from_millis(20)),
            Ok(Turn::Idle { .. }) => break Ok(()),
            Err(failed) => Err(failed),
        };
        if step.is_err() {
            break step;
        }
    };
    if worked.is_err() {
        answers.put_down(host);
    }
    worked
}
