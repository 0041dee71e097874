//! Many texts over several requests, some of them at once.
use super::batch::runs;
use super::call::Patience;
use super::cancel::Cancel;
use super::client::Client;
use super::failure::Failure;
use super::fault::{Fault, Sender, Whose, find};
use super::limit::now;
use super::sign::{Sign, Size};
use crate::model::Checkpoint;
use crate::model::watch::run_watched;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A request is made so small that, as fast as requests were so far, it takes this part of its timeout.
const PART_OF_TIMEOUT: f64 = 1.0 / 3.0;

/// What became of texts of which some failed.
pub(super) struct Parts<T> {
    /// One per text; `None` where it was rejected, or not sent any more.
    pub results: Vec<Option<T>>,
    /// Texts that fail while others succeed.
    pub rejected: Vec<(usize, Fault)>,
    /// What ended the call.
    pub fault: Option<Fault>,
}

/// What the threads of one call share.
struct Shared<T> {
    waiting: VecDeque<Range<usize>>,
    parts: Parts<T>,
    last_success: Option<Instant>,
}

/// A call: what is sent, and how.
struct Job<'a, T, S, P> {
    client: &'a Client,
    counts: &'a [usize],
    /// Tokens that go with each request.
    extra: usize,
    send: S,
    /// Asks for a harmless text; `None` where the first failure ends the call.
    probe: Option<P>,
    cancel: Cancel,
    shared: Mutex<Shared<T>>,
}

/// Gives every text its result: `send` handles a range of them in one request.
///
/// Ranges keep the limits of the model, and what the provider turned out to take. A range that is too
/// much for it is halved; any other failure is an error. `extra` tokens go with each request.
pub(super) fn spread<T: Send>(
    client: &Client,
    counts: &[usize],
    extra: usize,
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, Patience, &Cancel) -> Result<Vec<T>, Failure> + Sync,
) -> Result<Vec<T>> {
    let probe = None::<fn(&Cancel) -> Result<(), Failure>>;
    let parts = run(client, counts, extra, checkpoint, send, probe)?;
    match parts.fault {
        Some(fault) => Err(fault.error),
        None => Ok(parts.results.into_iter().flatten().collect()),
    }
}

/// The same where a text that fails costs the others nothing: it is looked for, and what came before a failure
/// and beside it is kept. Whether anything succeeds, `probe` shows with a harmless text. After a failure that
/// concerns all no further request begins, while those under way are waited for: they are paid for. `Err` is a
/// cancel alone.
pub(super) fn spread_partly<T: Send>(
    client: &Client,
    counts: &[usize],
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, Patience, &Cancel) -> Result<Vec<T>, Failure> + Sync,
    probe: impl Fn(&Cancel) -> Result<(), Failure> + Sync,
) -> Result<Parts<T>> {
    run(client, counts, 0, checkpoint, send, Some(probe))
}

fn run<T: Send>(
    client: &Client,
    counts: &[usize],
    extra: usize,
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, Patience, &Cancel) -> Result<Vec<T>, Failure> + Sync,
    probe: Option<impl Fn(&Cancel) -> Result<(), Failure> + Sync>,
) -> Result<Parts<T>> {
    let results = std::iter::repeat_with(|| None).take(counts.len()).collect();
    let parts = Parts { results, rejected: Vec::new(), fault: None };
    let shared = Mutex::new(Shared { waiting: VecDeque::new(), parts, last_success: None });
    let cancel = Cancel::default();
    let job = Job { client, counts, extra, send, probe, cancel, shared };
    if !counts.is_empty() {
        job.lock().waiting = job.fitting(0..counts.len()).into();
        run_watched(|| job.work(), || job.cancel.set(), checkpoint)?;
    }
    Ok(job.shared.into_inner().unwrap_or_else(PoisonError::into_inner).parts)
}

impl<T, S, P> Job<'_, T, S, P>
where
    T: Send,
    S: Fn(Range<usize>, Patience, &Cancel) -> Result<Vec<T>, Failure> + Sync,
    P: Fn(&Cancel) -> Result<(), Failure> + Sync,
{
    fn lock(&self) -> MutexGuard<'_, Shared<T>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_patient(&self) -> bool {
        self.probe.is_some()
    }

    /// Sends what waits, on as many threads as the model takes requests at once.
    fn work(&self) {
        // Should nothing succeed, one request shows it as well as many.
        if self.is_patient() && !self.client.pace().has_worked(now()) {
            self.send_next();
        }
        let waiting = self.lock().waiting.len();
        let is_serial = self.client.pace().learnt().is_serial && self.is_patient();
        let threads = if is_serial { 1 } else { self.client.spec().concurrency.min(waiting) };
        let all = || while self.send_next() {};
        std::thread::scope(|scope| {
            // The thread we are on is the first; those it starts inherit its blocked signals.
            for _ in 1..threads {
                scope.spawn(all);
            }
            all();
        });
    }

    /// Sends the next request; false when there is none.
    fn send_next(&self) -> bool {
        let Some(range) = self.take_next() else { return false };
        let began = Instant::now();
        let patience = match (self.is_patient(), range.len()) {
            (false, _) | (true, 1) => Patience::All,
            (true, _) => Patience::Network,
        };
        let mut search = Search { job: self, began, texts: range.len() };
        let Err(failure) = self.send(range.clone(), patience) else { return true };
        let is_large = matches!(failure.sign, Sign::TooLarge(_) | Sign::Exhausted(_));
        let ended = if self.is_patient() || is_large && range.len() > 1 {
            find(&mut search, range, failure)
        } else {
            Err(Fault { whose: Whose::Model, error: failure.error })
        };
        if let Err(fault) = ended {
            self.lock().parts.fault.get_or_insert(fault);
        }
        true
    }

    /// Takes the next range that is not sent, in what has turned out to be a fitting size.
    fn take_next(&self) -> Option<Range<usize>> {
        let mut shared = self.lock();
        if shared.parts.fault.is_some() {
            return None;
        }
        let range = shared.waiting.pop_front()?;
        if !self.is_patient() {
            return Some(range);
        }
        let mut pieces = self.fitting(range).into_iter();
        let first = pieces.next();
        pieces.rev().for_each(|piece| shared.waiting.push_front(piece));
        first
    }

    fn send(&self, texts: Range<usize>, patience: Patience) -> Result<(), Failure> {
        if let Some(fault) = &self.lock().parts.fault {
            return Err(Failure::new(Sign::Model, fault.error.clone()));
        }
        let results = (self.send)(texts.clone(), patience, &self.cancel)?;
        let mut shared = self.lock();
        shared.last_success = Some(Instant::now());
        for (place, result) in shared.parts.results[texts].iter_mut().zip(results) {
            *place = Some(result);
        }
        Ok(())
    }

    /// The texts in requests that keep the limits, and have the sizes that work as far as is known.
    fn fitting(&self, texts: Range<usize>) -> Vec<Range<usize>> {
        let (spec, pace) = (self.client.spec(), self.client.pace());
        let learnt = pace.learnt();
        let in_time = pace
            .speed()
            .filter(|_| self.is_patient())
            .map(|speed| (speed as f64 * spec.timeout.as_secs_f64() * PART_OF_TIMEOUT) as usize);
        let limits = [learnt.tokens.map(|most| most as usize), in_time];
        let tokens = limits.into_iter().flatten().fold(spec.max_request_tokens, usize::min);
        let items = learnt.texts.map_or(spec.max_items, |most| spec.max_items.min(most as usize));
        let tokens = tokens.saturating_sub(self.extra).max(1);
        let found = runs(&self.counts[texts.clone()], items, tokens);
        found.into_iter().map(|run| texts.start + run.start..texts.start + run.end).collect()
    }
}

/// Looks for what is at fault on one of the threads.
struct Search<'j, 'a, T, S, P> {
    job: &'j Job<'a, T, S, P>,
    /// When the request that failed was sent, and how many texts it had.
    began: Instant,
    texts: usize,
}

impl<T, S, P> Sender for Search<'_, '_, T, S, P>
where
    T: Send,
    S: Fn(Range<usize>, Patience, &Cancel) -> Result<Vec<T>, Failure> + Sync,
    P: Fn(&Cancel) -> Result<(), Failure> + Sync,
{
    fn send(&mut self, texts: Range<usize>) -> Result<(), Failure> {
        let patience = if self.job.is_patient() { Patience::Pauses } else { Patience::All };
        self.job.send(texts, patience)
    }

    fn probe(&mut self) -> Result<(), Failure> {
        match &self.job.probe {
            Some(probe) => probe(&self.job.cancel),
            None => Err(Failure::new(Sign::Refused, Error::cancelled())),
        }
    }

    fn has_others(&self) -> bool {
        self.job.lock().last_success.is_some_and(|at| at >= self.began)
    }

    fn pieces(&self, texts: Range<usize>) -> Vec<Range<usize>> {
        if self.job.is_patient() { self.job.fitting(texts) } else { vec![texts] }
    }

    fn learn(&mut self, size: Size, worked: Range<usize>) {
        let tokens = self.job.extra + self.job.counts[worked.clone()].iter().sum::<usize>();
        self.job.client.pace().learn(size, worked.len() as u64, tokens as u64);
    }

    fn is_of_size(&mut self, sign: Sign) -> bool {
        let pace = self.job.client.pace();
        let may_be_accident = matches!(sign, Sign::Failed | Sign::Slow);
        let is_of_size = !may_be_accident || pace.note_unexplained(self.texts);
        if is_of_size && sign == Sign::Slow {
            pace.learn_serial();
        }
        is_of_size
    }

    fn is_accident(&mut self) -> bool {
        self.job.client.pace().is_accident(now())
    }

    fn reject(&mut self, text: usize, fault: Fault) {
        let mut shared = self.job.lock();
        if self.job.is_patient() {
            shared.parts.rejected.push((text, fault));
        } else {
            shared.parts.fault.get_or_insert(fault);
        }
    }
}
