//! Many texts over several requests, some of them at once.
use super::call::RetryPolicy;
use super::cancel::Cancel;
use super::client::Client;
use super::failure::CallFailure;
use super::failure_kind::{FailureKind, Size};
use super::fault::{Blame, Fault, Sender, confirm_refusal, find_fault};
use super::pace::now;
use crate::model::Checkpoint;
use crate::model::watch::run_watched;
use crate::queue::batch::runs_within;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A request is sized, by the throughput measured so far, to take this share of its timeout.
const TIMEOUT_SHARE: f64 = 1.0 / 3.0;

/// Results of texts of which some failed.
pub(super) struct PartialResults<T> {
    /// One per text; `None` where it was rejected, or not sent any more.
    pub results: Vec<Option<T>>,
    /// Texts that fail while others succeed.
    pub rejected: Vec<(usize, Fault)>,
    /// The failure that ended the call.
    pub fault: Option<Fault>,
    /// What the checkpoint ended the call with. Nothing is rejected or at fault then.
    pub cancelled: Option<Error>,
}

/// The progress of a call, shared by its threads.
struct CallProgress<T> {
    pending: VecDeque<Range<usize>>,
    parts: PartialResults<T>,
    last_success: Option<Instant>,
}

/// A call: what is sent, and how.
struct FanOut<'a, T, S, P> {
    client: &'a Client,
    counts: &'a [usize],
    /// Number of texts before the suspects.
    unsuspected: usize,
    /// Tokens that go with each request.
    overhead_tokens: usize,
    send: S,
    /// Sends a harmless text; `None` where the first failure ends the call.
    probe: Option<P>,
    cancel: Cancel,
    /// Held while it is looked for what is refused.
    search: Mutex<()>,
    shared: Mutex<CallProgress<T>>,
}

/// Gives every text its result: `send` sends a range of them in one request.
///
/// Ranges keep the limits of the model and those learnt from its responses. A range that is too large is halved; any other
/// failure is an error. `overhead_tokens` tokens go with each request.
pub(super) fn fan_out<T: Send>(
    client: &Client,
    counts: &[usize],
    overhead_tokens: usize,
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, RetryPolicy, &Cancel) -> Result<Vec<T>, CallFailure> + Sync,
) -> Result<Vec<T>> {
    let probe = None::<fn(&Cancel) -> Result<(), CallFailure>>;
    let parts = run(client, counts, 0, overhead_tokens, checkpoint, send, probe);
    match parts.cancelled.or(parts.fault.map(|fault| fault.error)) {
        Some(error) => Err(error),
        None => Ok(parts.results.into_iter().flatten().collect()),
    }
}

/// As [`fan_out`], but finds the texts that fail and keeps the results of all others. `probe` sends a harmless text, which
/// shows whether any request succeeds. After a failure that concerns all texts no further request begins; those under way are
/// waited for, since they are paid for. The last `suspects` texts are sent one by one.
pub(super) fn fan_out_partly<T: Send>(
    client: &Client,
    counts: &[usize],
    suspects: usize,
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, RetryPolicy, &Cancel) -> Result<Vec<T>, CallFailure> + Sync,
    probe: impl Fn(&Cancel) -> Result<(), CallFailure> + Sync,
) -> PartialResults<T> {
    run(client, counts, suspects, 0, checkpoint, send, Some(probe))
}

fn run<T: Send>(
    client: &Client,
    counts: &[usize],
    suspects: usize,
    overhead_tokens: usize,
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, RetryPolicy, &Cancel) -> Result<Vec<T>, CallFailure> + Sync,
    probe: Option<impl Fn(&Cancel) -> Result<(), CallFailure> + Sync>,
) -> PartialResults<T> {
    let results = std::iter::repeat_with(|| None).take(counts.len()).collect();
    let parts = PartialResults { results, rejected: Vec::new(), fault: None, cancelled: None };
    let shared = Mutex::new(CallProgress { pending: VecDeque::new(), parts, last_success: None });
    let cancel = Cancel::default();
    let unsuspected = counts.len() - suspects;
    let search = Mutex::default();
    let job = FanOut {
        client,
        counts,
        unsuspected,
        overhead_tokens,
        send,
        probe,
        cancel,
        search,
        shared,
    };
    let mut cancelled = None;
    if !counts.is_empty() {
        let alone = (unsuspected..counts.len()).map(|text| text..text + 1);
        job.lock().pending = job.requests(0..unsuspected).into_iter().chain(alone).collect();
        cancelled = run_watched(|| job.send_all(), || job.cancel.set(), checkpoint).err();
    }
    let parts = job.shared.into_inner().unwrap_or_else(PoisonError::into_inner).parts;
    if cancelled.is_some() {
        // What failed because of that is nobody's fault.
        return PartialResults { rejected: Vec::new(), fault: None, cancelled, ..parts };
    }
    parts
}

impl<T, S, P> FanOut<'_, T, S, P>
where
    T: Send,
    S: Fn(Range<usize>, RetryPolicy, &Cancel) -> Result<Vec<T>, CallFailure> + Sync,
    P: Fn(&Cancel) -> Result<(), CallFailure> + Sync,
{
    fn lock(&self) -> MutexGuard<'_, CallProgress<T>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn isolates_failures(&self) -> bool {
        self.probe.is_some()
    }

    /// Sends the pending ranges, on as many threads as the model takes requests at once.
    fn send_all(&self) {
        let pace = self.client.pace();
        if let (Some(probe), true) = (&self.probe, pace.was_refused()) {
            if let Err(fault) = confirm_refusal(|| probe(&self.cancel)) {
                self.lock().parts.fault = Some(fault);
                return;
            }
        } else if self.isolates_failures() && !pace.has_succeeded_lately(now()) {
            // If no request succeeds, one shows that as well as many.
            self.send_next();
        }
        let pending = self.lock().pending.len();
        let is_serial = self.client.pace().learnt().is_serial && self.isolates_failures();
        let threads = if is_serial { 1 } else { self.client.spec().concurrency.min(pending) };
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
        let Some(range) = self.next_range() else { return false };
        let began = Instant::now();
        let retry = match (self.isolates_failures(), range.len()) {
            (true, 1) if range.start >= self.unsuspected => RetryPolicy::Network,
            (false, _) | (true, 1) => RetryPolicy::All,
            (true, _) => RetryPolicy::Network,
        };
        let mut search = RangeSender { job: self, began, texts: range.len() };
        let Err(mut failure) = self.send(range.clone(), retry) else { return true };
        // It failed in an earlier attempt, too.
        failure.times += u32::from(range.start >= self.unsuspected);
        // If all are refused, one search shows that as well as one on each thread.
        let is_refused = matches!(failure.kind, FailureKind::Refused | FailureKind::Unusable);
        let _alone = is_refused.then(|| self.search.lock().unwrap_or_else(PoisonError::into_inner));
        let is_large = matches!(failure.kind, FailureKind::TooLarge(_) | FailureKind::Exhausted(_));
        let ended = if self.isolates_failures() || is_large && range.len() > 1 {
            find_fault(&mut search, range, failure)
        } else {
            Err(Fault { blame: Blame::Model, error: failure.error })
        };
        if let Err(fault) = ended {
            self.lock().parts.fault.get_or_insert(fault);
        }
        true
    }

    /// Takes the next range to send, in a size that works as far as is known.
    fn next_range(&self) -> Option<Range<usize>> {
        let mut shared = self.lock();
        if shared.parts.fault.is_some() {
            return None;
        }
        let range = shared.pending.pop_front()?;
        if !self.isolates_failures() {
            return Some(range);
        }
        let mut pieces = self.requests(range).into_iter();
        let first = pieces.next();
        pieces.rev().for_each(|piece| shared.pending.push_front(piece));
        first
    }

    fn send(&self, texts: Range<usize>, retry: RetryPolicy) -> Result<(), CallFailure> {
        if let Some(ended) = self.ended() {
            return Err(ended);
        }
        let results = (self.send)(texts.clone(), retry, &self.cancel)?;
        let mut shared = self.lock();
        shared.last_success = Some(Instant::now());
        for (place, result) in shared.parts.results[texts].iter_mut().zip(results) {
            *place = Some(result);
        }
        Ok(())
    }

    /// The failure that has ended the call, if one has.
    fn ended(&self) -> Option<CallFailure> {
        let shared = self.lock();
        let fault = shared.parts.fault.as_ref()?;
        Some(CallFailure::new(FailureKind::Model, fault.error.clone()))
    }

    /// Divides texts into requests that keep the limits and have sizes that work as far as is known.
    fn requests(&self, texts: Range<usize>) -> Vec<Range<usize>> {
        let (spec, pace) = (self.client.spec(), self.client.pace());
        let learnt = pace.learnt();
        let in_time = pace
            .speed()
            .filter(|_| self.isolates_failures())
            .map(|speed| (speed as f64 * spec.timeout.as_secs_f64() * TIMEOUT_SHARE) as usize);
        let limits = [learnt.tokens.map(|most| most as usize), in_time];
        let tokens = limits.into_iter().flatten().fold(spec.max_request_tokens, usize::min);
        let items = learnt.texts.map_or(spec.max_items, |most| spec.max_items.min(most as usize));
        let tokens = tokens.saturating_sub(self.overhead_tokens).max(1);
        let found = runs_within(&self.counts[texts.clone()], items, tokens);
        found.into_iter().map(|run| texts.start + run.start..texts.start + run.end).collect()
    }
}

/// Sends ranges for [`find_fault`], on one of the threads.
struct RangeSender<'j, 'a, T, S, P> {
    job: &'j FanOut<'a, T, S, P>,
    /// When the request that failed was sent, and how many texts it had.
    began: Instant,
    texts: usize,
}

impl<T, S, P> Sender for RangeSender<'_, '_, T, S, P>
where
    T: Send,
    S: Fn(Range<usize>, RetryPolicy, &Cancel) -> Result<Vec<T>, CallFailure> + Sync,
    P: Fn(&Cancel) -> Result<(), CallFailure> + Sync,
{
    fn send(&mut self, texts: Range<usize>) -> Result<(), CallFailure> {
        let retry =
            if self.job.isolates_failures() { RetryPolicy::Pauses } else { RetryPolicy::All };
        self.job.send(texts, retry)
    }

    fn probe(&mut self) -> Result<(), CallFailure> {
        if let Some(ended) = self.job.ended() {
            return Err(ended);
        }
        match &self.job.probe {
            Some(probe) => probe(&self.job.cancel),
            None => Err(CallFailure::new(FailureKind::Refused, Error::cancelled())),
        }
    }

    fn has_others(&self) -> bool {
        self.job.lock().last_success.is_some_and(|at| at >= self.began)
    }

    fn pieces(&self, texts: Range<usize>) -> Vec<Range<usize>> {
        if self.job.isolates_failures() { self.job.requests(texts) } else { vec![texts] }
    }

    fn learn(&mut self, size: Size, worked: Range<usize>) {
        let tokens =
            self.job.overhead_tokens + self.job.counts[worked.clone()].iter().sum::<usize>();
        self.job.client.pace().learn_size(size, worked.len() as u64, tokens as u64);
    }

    fn blames_size(&mut self, kind: FailureKind) -> bool {
        let pace = self.job.client.pace();
        let may_be_accident = matches!(kind, FailureKind::Failed | FailureKind::Slow);
        let blames_size = !may_be_accident || pace.note_unexplained(self.texts);
        if blames_size && kind == FailureKind::Slow {
            pace.learn_serial();
        }
        blames_size
    }

    fn note_refusal(&mut self) -> bool {
        let pace = self.job.client.pace();
        pace.note_refusal();
        pace.has_succeeded_lately(now())
    }

    fn reject(&mut self, text: usize, fault: Fault) {
        let mut shared = self.job.lock();
        if self.job.isolates_failures() {
            shared.parts.rejected.push((text, fault));
        } else {
            shared.parts.fault.get_or_insert(fault);
        }
    }
}
