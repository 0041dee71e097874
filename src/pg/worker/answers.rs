//! Answers under way: models write on threads, one for each request, while this process keeps the books.
//!
//! A request is marked as begun before its model is asked, in a transaction of its own, and never asked for again
//! after that: whatever ends, it is paid for once at the most. No snapshot is held while models write.
use super::drain::Turn;
use super::failed::Failed;
use super::host::Host;
use super::lease::random;
use super::process::{Work, now};
use crate::answer::generate::{Written, generate};
use crate::model::watch;
use crate::pg::answer_request::{self as requests, Finish, Problem, Request};
use crate::pg::call_log::{self, Record};
use crate::pg::query_log::{self, Answered};
use crate::pg::remote::{self, Remote};
use crate::pg::rights::current_user;
use crate::queue::backoff;
use crate::queue::failure::Failure;
use crate::remote::{Blocking, Cancel, Kind};
use crate::{Error, Result};
use pgrx::datum::Uuid;
use pgrx::pg_sys::Oid;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

/// Most answers under way in a process: what a thread takes is little, what connections take is more.
const MOST: usize = 64;
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
    looked: Option<Instant>,
    tidied: Option<Instant>,
    ready_at: Option<i64>,
    /// Whether who listens is told; not when that itself has failed.
    notifies: bool,
}

struct Running {
    request: Request,
    remote: Remote,
    outcome: Receiver<Result<Written>>,
    cancel: Cancel,
    since: Instant,
}

struct Ended {
    request: Request,
    outcome: Result<Written, Problem>,
    /// What the provider said last, where it wants to be asked later.
    is_put_off: bool,
    records: Vec<Record>,
    took: Duration,
}

impl Answers {
    /// Requests of `role` and the roles that it has the rights of.
    pub fn of(role: Oid) -> Self {
        let (running, ended) = (Vec::new(), Vec::new());
        let (looked, tidied, ready_at) = (None, None, None);
        Self { role, running, ended, looked, tidied, ready_at, notifies: true }
    }

    /// Writes what has ended, and begins what can be begun. `is_called`: there may be something new.
    pub fn turn(&mut self, host: &Host, is_called: bool) -> Result<Turn, Failed> {
        let has_ended = self.collect();
        if has_ended {
            host.reached("answered");
        }
        let has_written = self.write(host)?;
        let is_due = self.looked.is_none_or(|at| at.elapsed() >= LOOK);
        let has_begun = (is_called || is_due || has_ended) && self.look(host)?;
        Ok(if has_written || has_begun {
            Turn::Worked
        } else if self.running.is_empty() && self.ended.is_empty() {
            // What is ready and was not begun waits for the model, which another process asks.
            let soon = now() + i64::try_from(LOOK.as_micros()).unwrap_or_default();
            Turn::Idle { ready_at: self.ready_at.map(|at| at.max(soon)), is_claimed: false }
        } else {
            Turn::Underway
        })
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
        let write = |ended: &[Ended], notifies: bool| {
            host.transaction(|| Ok(ended.iter().map(|one| one.write(notifies)).collect::<Vec<_>>()))
        };
        let mut written = write(&self.ended, self.notifies);
        if self.notifies && written.as_ref().is_err_and(|failed| !failed.is_cancel()) {
            // Such as where nobody has read what was told for too long. The answers are worth more.
            written = write(&self.ended, false);
        }
        let mut is_held = written?.into_iter().map(|finish| finish == Finish::Held);
        let known = self.ended.len();
        self.ended.retain_mut(|ended| {
            ended.records.clear();
            is_held.next().unwrap_or_default()
        });
        Ok(self.ended.len() < known)
    }

    /// Looks into the queue; whether something was begun.
    fn look(&mut self, host: &Host) -> Result<bool, Failed> {
        self.looked = Some(Instant::now());
        let room = MOST.saturating_sub(self.running.len() + self.ended.len());
        let ids: Vec<Uuid> = self.running.iter().map(|running| running.request.id).collect();
        let role = self.role;
        let is_untidy = self.tidied.is_none_or(|at| at.elapsed() >= TIDY);
        let (unwanted, claimed, ready_at) = host.transaction(|| {
            if is_untidy {
                requests::release_lost();
            }
            let unwanted =
                if ids.is_empty() { Vec::new() } else { requests::unwanted(ids.clone()) };
            let claimed = requests::claim(room, role).into_iter().map(|request| {
                let remote = open(&request);
                (request, remote)
            });
            Ok((unwanted, claimed.collect::<Vec<_>>(), requests::ready_at()))
        })?;
        if is_untidy {
            self.tidied = Some(Instant::now());
        }
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
        let is_limited = |problem: &Problem| {
            Failure::of_call(&problem.sqlstate) == Failure::RateLimited
                && self.request.age + self.since.elapsed() < PATIENCE
        };
        Ended {
            is_put_off: outcome.as_ref().is_err_and(is_limited),
            records: self.remote.take_records(),
            took: self.since.elapsed(),
            request: self.request,
            outcome,
        }
    }
}

impl Ended {
    /// Writes it and what was paid for it, in one transaction.
    fn write(&self, notifies: bool) -> Finish {
        call_log::write(&self.records);
        if let (true, Err(why)) = (self.is_put_off, &self.outcome) {
            let delay = backoff::delay(self.request.attempts + 1, random());
            requests::put_off(&self.request, delay, why);
            return Finish::Written;
        }
        let finish = requests::finish(&self.request, &self.outcome);
        if finish != Finish::Written {
            return finish;
        }
        if notifies {
            requests::notify(self.request.id);
        }
        if let (Some(query_id), Ok(written)) = (self.request.query_id, &self.outcome) {
            let (text, status) = (&*written.text, written.status.as_str());
            let answered = Answered { text, status, confidence: None, took: self.took };
            query_log::answered(query_id, answered);
        }
        finish
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
