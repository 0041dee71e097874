//! Answer requests: each is answered by a model on a thread of its own, while this process reads and writes the tables.
//!
//! A request is marked as begun in a transaction of its own before its model is called, and never sent again after that: it
//! is paid for at most once. No snapshot is held during calls.
mod ended;

use crate::answer::request as requests;
use crate::answer::request::{AnswerRequest, Finish, Problem};
use crate::models::call_log;
use crate::models::call_log::Record;
use crate::models::remote;
use crate::models::remote::Remote;
use crate::sys::failed::Failed;
use crate::sys::names::role_name;
use crate::sys::process::now;
use crate::sys::rights::current_user;
use crate::sys::transaction::Host;
use crate::worker::work::{TurnEnd, Work};
use ended::Ended;
use pgrx::JsonB;
use pgrx::datum::Uuid;
use pgrx::pg_sys::Oid;
use rag::answer::Status;
use rag::answer::generate::{GeneratedAnswer, Usage, generate_counted, needs_fallback};
use rag::model::watch;
use rag::remote::{Blocking, Cancel, RemoteKind};
use rag::{Error, Result};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

/// Most answers under way in a process. The limit is for connections, which cost more than threads.
const MAX_RUNNING: usize = 64;
/// Most ended answers whose rows are locked, by a cancellation for example; beyond, no request is begun.
const MAX_UNWRITTEN: usize = 1_024;
/// How often to look for cancellations and new requests while answers are under way.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How often to look for requests whose worker is gone.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(5);
/// How long a provider may rate-limit a request before it fails.
const MAX_RATE_LIMITED: Duration = Duration::from_hours(1);
/// How long to wait for cancelled calls when the process ends.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Requests that this process has claimed.
pub struct Answers {
    /// Requests of roles whose rights this role has are claimed.
    role: Oid,
    running: Vec<Running>,
    /// Ended, and not written yet.
    ended: Vec<Ended>,
    /// How many of `ended`, from the first, could not be written because their rows are locked.
    held: usize,
    looked_at: Option<Instant>,
    tidied_at: Option<Instant>,
    ready_at: Option<i64>,
}

/// What came of a call, and what it took.
struct Outcome {
    written: Result<GeneratedAnswer>,
    usage: Usage,
    /// Given back, since citations show what stands around their quotes.
    passages: Vec<String>,
}

struct Running {
    request: AnswerRequest,
    remote: Remote,
    outcome: Receiver<Outcome>,
    cancel: Cancel,
    since: Instant,
}

impl Answers {
    /// For requests of `role` and of roles whose privileges it has.
    pub fn of(role: Oid) -> Self {
        let (running, ended, held) = (Vec::new(), Vec::new(), 0);
        let (looked_at, tidied_at, ready_at) = (None, None, None);
        Self { role, running, ended, held, looked_at, tidied_at, ready_at }
    }

    /// Writes ended answers and begins requests. `is_wake_requested`: there may be new ones.
    pub fn turn(&mut self, host: &Host, is_wake_requested: bool) -> Result<TurnEnd, Failed> {
        if self.collect() {
            host.reached("answered");
        }
        // A process that is about to exit looks once more: it may have been woken meanwhile.
        let is_due =
            self.is_done() || self.looked_at.is_none_or(|at| at.elapsed() >= POLL_INTERVAL);
        let has_written = (is_due || self.ended.len() > self.held) && self.write(host)?;
        let has_begun = (is_due || is_wake_requested || has_written) && self.look(host)?;
        Ok(if has_written || has_begun {
            TurnEnd::Worked
        } else if self.is_done() {
            // Requests that are ready and were not begun wait for a call of another process.
            let soon = now() + i64::try_from(POLL_INTERVAL.as_micros()).unwrap_or_default();
            TurnEnd::Idle { ready_at: self.ready_at.map(|at| at.max(soon)), is_claimed: false }
        } else {
            TurnEnd::Underway
        })
    }

    fn is_done(&self) -> bool {
        self.running.is_empty() && self.ended.is_empty()
    }

    /// Cancels calls under way and records that, since this process ends.
    pub fn shut_down(&mut self, host: &Host) {
        self.running.iter().for_each(|running| running.cancel.set());
        let until = Instant::now() + SHUTDOWN;
        while !self.running.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
            self.collect();
        }
        for running in std::mem::take(&mut self.running) {
            self.ended.push(running.end_with(Err(stopped()), None));
        }
        for ended in &mut self.ended {
            if ended.outcome.as_ref().is_err_and(|problem| problem.sqlstate == "57014") {
                ended.outcome = Err(stopped());
            }
        }
        if let Err(failed) = self.write(host) {
            failed.warn();
            // The provider charges for the calls all the same.
            self.ended.iter().for_each(|ended| call_log::leave(&ended.records));
        }
    }

    /// Collects results of threads; whether there were any.
    fn collect(&mut self) -> bool {
        let (known, mut position) = (self.ended.len(), 0);
        while let Some(running) = self.running.get(position) {
            let outcome = match running.outcome.try_recv() {
                Err(TryRecvError::Empty) => {
                    position += 1;
                    continue;
                }
                Ok(outcome) => outcome,
                Err(TryRecvError::Disconnected) => {
                    let error = Error::model("the thread that asked the model ended early");
                    Outcome { written: Err(error), usage: Usage::default(), passages: Vec::new() }
                }
            };
            let ended = self.running.swap_remove(position).end(outcome);
            self.ended.push(ended);
        }
        self.ended.len() > known
    }

    /// Writes ended answers; whether any could be written. The others are kept.
    fn write(&mut self, host: &Host) -> Result<bool, Failed> {
        if self.ended.is_empty() {
            return Ok(false);
        }
        let all = || Ok(self.ended.iter().map(|one| one.write(true)).collect::<Vec<_>>());
        let mut failure = None;
        let written = match host.transaction(all) {
            Ok(written) => written.into_iter().map(Some).collect(),
            Err(failed) if failed.is_cancel() => return Err(failed),
            // One of them fails: the others are written without it.
            Err(_) => {
                let alone = |one: &Ended| one.write_alone(host).map_err(|f| failure = Some(f)).ok();
                self.ended.iter().map(alone).collect::<Vec<_>>()
            }
        };
        let (known, mut written) = (self.ended.len(), written.into_iter());
        self.ended.retain_mut(|ended| match written.next().flatten() {
            Some(finish) => {
                ended.records.clear();
                if finish != Finish::RowLocked {
                    ended.count();
                }
                finish == Finish::RowLocked
            }
            None => true,
        });
        self.held = self.ended.len();
        failure.map_or(Ok(self.held < known), Err)
    }

    /// Reads the queue; whether a request was begun.
    fn look(&mut self, host: &Host) -> Result<bool, Failed> {
        self.looked_at = Some(Instant::now());
        self.tidy(host)?;
        let room =
            if self.ended.len() < MAX_UNWRITTEN { MAX_RUNNING - self.running.len() } else { 0 };
        let ids: Vec<Uuid> = self.running.iter().map(|running| running.request.id).collect();
        let held: Vec<Uuid> = self.ended.iter().map(|ended| ended.request.id).collect();
        let role = self.role;
        let (canceled, claimed, ready_at) = host.transaction(|| {
            let canceled =
                if ids.is_empty() { Vec::new() } else { requests::canceled(ids.clone()) };
            let ready_at = requests::ready_at();
            if room == 0 || ready_at.is_none_or(|at| at > now()) {
                return Ok((canceled, Vec::new(), ready_at));
            }
            let claimed = requests::claim(room, role, held.clone()).into_iter().map(|request| {
                let remote = open(&request);
                (request, remote)
            });
            Ok((canceled, claimed.collect::<Vec<_>>(), requests::ready_at()))
        })?;
        self.ready_at = ready_at;
        for running in &self.running {
            if canceled.contains(&running.request.id) {
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

    /// Every [`CLEANUP_INTERVAL`], fails requests whose worker is gone and deletes those that ended long ago.
    fn tidy(&mut self, host: &Host) -> Result<(), Failed> {
        if self.tidied_at.is_some_and(|at| at.elapsed() < CLEANUP_INTERVAL) {
            return Ok(());
        }
        let is_first = self.tidied_at.is_none();
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
        self.tidied_at = Some(Instant::now());
        Ok(())
    }

    fn begin(&mut self, mut request: AnswerRequest, remote: Result<Remote>) {
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
    fn end(mut self, Outcome { written, usage, passages }: Outcome) -> Ended {
        self.request.passages = passages;
        let why = needs_fallback(&written);
        let claims = written.as_ref().map(|written| written.claims.clone()).unwrap_or_default();
        let text = self.request.fallback.as_ref().and_then(|JsonB(answer)| answer["text"].as_str());
        let fallback = why.zip(text).map(|(why, text)| GeneratedAnswer {
            status: Status::Answered,
            text: text.to_owned(),
            citations: Vec::new(),
            claims,
            usage: Usage { fallback: Some(why), ..usage },
        });
        self.end_with(written.map_err(|error| Problem::from(&error)), fallback)
    }

    /// `fallback` takes the place of the outcome, unless the provider only asks to wait.
    fn end_with(
        self,
        outcome: Result<GeneratedAnswer, Problem>,
        fallback: Option<GeneratedAnswer>,
    ) -> Ended {
        let records = self.remote.take_records();
        // If the first of two calls was answered, a retry would pay for it again.
        let is_limited = |problem: &Problem| {
            problem.sqlstate == "53400"
                && self.request.age + self.since.elapsed() < MAX_RATE_LIMITED
                && !records.iter().any(Record::was_answered)
        };
        let loading = self.request.loading.as_deref();
        let is_put_off = outcome.as_ref().is_err_and(is_limited);
        let outcome = fallback.filter(|_| !is_put_off).map_or(outcome, Ok);
        let outcome = outcome.map(|written| written.or_not_ready(loading));
        Ended { is_put_off, records, took: self.since.elapsed(), request: self.request, outcome }
    }
}

/// The model of a request, on behalf of its role, which may have lost the right to use it.
fn open(request: &AnswerRequest) -> Result<Remote> {
    let found = remote::find_for(&request.model, request.role)?;
    let mut remote = found.ok_or_else(|| {
        Error::undefined(format!("generator \"{}\" does not exist", request.model))
            .with_hint("It was dropped after the question was submitted.")
    })?;
    remote::require(&remote, RemoteKind::Generator)?;
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

/// Calls the model on a thread of its own.
fn ask(request: &mut AnswerRequest, remote: &Remote) -> Result<(Receiver<Outcome>, Cancel)> {
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
        let (mut usage, instructions) = (Usage::default(), instructions.as_deref());
        let written =
            generate_counted(&generator, &question, &texts, instructions, &mut usage, go_on);
        // Fails if this process has given the request up.
        drop(sender.send(Outcome { written, usage, passages }));
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

/// The queue of answer requests, for a background worker.
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
        Ok(()) // The first turn tidies up.
    }

    fn turn(&mut self, is_wake_requested: bool) -> Result<TurnEnd, Failed> {
        self.host.reset_memory();
        self.answers.turn(&self.host, is_wake_requested)
    }

    fn holds_results(&mut self) -> bool {
        false
    }

    fn shut_down(&mut self) {
        self.answers.shut_down(&self.host);
    }
}

/// Drains the requests of `role` and of the roles whose rights it has.
pub fn drain(host: &Host, role: Oid) -> Result<(), Failed> {
    let mut answers = Answers::of(role);
    let worked = loop {
        let step = match answers.turn(host, true) {
            Ok(TurnEnd::Worked) => Ok(()),
            Ok(TurnEnd::Underway) => host.sleep(Duration::from_millis(20)),
            Ok(TurnEnd::Idle { .. }) => break Ok(()),
            Err(failed) => Err(failed),
        };
        if step.is_err() {
            break step;
        }
    };
    if worked.is_err() {
        answers.shut_down(host);
    }
    worked
}
