//! Many texts over several requests, some of them at once.
use super::call::RetryPolicy;
use super::cancel::Cancel;
use super::client::Client;
use super::failure::Failure;
use super::failure_kind::{FailureKind, Size};
use super::fault::{Blame, Fault, Refusal, Sender, find};
use super::limit::now;
use crate::model::Checkpoint;
use crate::model::watch::run_watched;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A request is made so small that, as fast as requests were so far, it takes this part of its timeout.
const PART_OF_TIMEOUT: f64 = 1.0 / 3.0;

/// Results of texts of which some failed.
pub(super) struct Parts<T> {
    /// One per text; `None` where it was rejected, or not sent any more.
    pub results: Vec<Option<T>>,
    /// Texts that fail while others succeed.
    pub rejected: Vec<(usize, Fault)>,
    /// The failure that ended the call.
    pub fault: Option<Fault>,
}

/// State that the threads of one call share.
struct State<T> {
    pending: VecDeque<Range<usize>>,
    parts: Parts<T>,
    last_success: Option<Instant>,
}

/// A call: what is sent, and how.
struct Job<'a, T, S, P> {
    client: &'a Client,
    counts: &'a [usize],
    /// Texts before the suspects.
    others: usize,
    /// Tokens that go with each request.
    overhead_tokens: usize,
    send: S,
    /// Asks for a harmless text; `None` where the first failure ends the call.
    probe: Option<P>,
    cancel: Cancel,
    /// Held while it is looked for what is refused.
    search: Mutex<()>,
    shared: Mutex<State<T>>,
}

/// Gives every text its result: `send` handles a range of them in one request.
///
/// Ranges keep the limits of the model, and what the provider turned out to take. A range that is too
/// much for it is halved; any other failure is an error. `overhead_tokens` tokens go with each request.
pub(super) fn fan_out<T: Send>(
    client: &Client,
    counts: &[usize],
    overhead_tokens: usize,
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, RetryPolicy, &Cancel) -> Result<Vec<T>, Failure> + Sync,
) -> Result<Vec<T>> {
    let probe = None::<fn(&Cancel) -> Result<(), Failure>>;
    let parts = run(client, counts, 0, overhead_tokens, checkpoint, send, probe)?;
    match parts.fault {
        Some(fault) => Err(fault.error),
        None => Ok(parts.results.into_iter().flatten().collect()),
    }
}

/// The same where a text that fails costs the others nothing: it is looked for, and what came before a failure
/// and beside it is kept. Whether anything succeeds, `probe` shows with a harmless text. After a failure that
/// concerns all no further request begins, while those under way are waited for: they are paid for. `Err` is a
/// cancel alone. The last `suspects` texts go one by one.
pub(super) fn fan_out_partly<T: Send>(
    client: &Client,
    counts: &[usize],
    suspects: usize,
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, RetryPolicy, &Cancel) -> Result<Vec<T>, Failure> + Sync,
    probe: impl Fn(&Cancel) -> Result<(), Failure> + Sync,
) -> Result<Parts<T>> {
    run(client, counts, suspects, 0, checkpoint, send, Some(probe))
}

fn run<T: Send>(
    client: &Client,
    counts: &[usize],
    suspects: usize,
    overhead_tokens: usize,
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, RetryPolicy, &Cancel) -> Result<Vec<T>, Failure> + Sync,
    probe: Option<impl Fn(&Cancel) -> Result<(), Failure> + Sync>,
) -> Result<Parts<T>> {
    let results = std::iter::repeat_with(|| None).take(counts.len()).collect();
    let parts = Parts { results, rejected: Vec::new(), fault: None };
    let shared = Mutex::new(State { pending: VecDeque::new(), parts, last_success: None });
    let cancel = Cancel::default();
    let others = counts.len() - suspects;
    let search = Mutex::default();
    let job = Job { client, counts, others, overhead_tokens, send, probe, cancel, search, shared };
    if !counts.is_empty() {
        let alone = (others..counts.len()).map(|text| text..text + 1);
        job.lock().pending = job.fitting(0..others).into_iter().chain(alone).collect();
        run_watched(|| job.work(), || job.cancel.set(), checkpoint)?;
    }
    Ok(job.shared.into_inner().unwrap_or_else(PoisonError::into_inner).parts)
}

impl<T, S, P> Job<'_, T, S, P>
where
    T: Send,
    S: Fn(Range<usize>, RetryPolicy, &Cancel) -> Result<Vec<T>, Failure> + Sync,
    P: Fn(&Cancel) -> Result<(), Failure> + Sync,
{
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn isolates_failures(&self) -> bool {
        self.probe.is_some()
    }

    /// Sends what waits, on as many threads as the model takes requests at once.
    fn work(&self) {
        // Should nothing succeed, one request shows it as well as many.
        if self.isolates_failures()
            && (self.client.pace().was_refused() || !self.client.pace().has_worked(now()))
        {
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
        let Some(range) = self.take_next() else { return false };
        let began = Instant::now();
        let retry = match (self.isolates_failures(), range.len()) {
            (true, 1) if range.start >= self.others => RetryPolicy::Network,
            (false, _) | (true, 1) => RetryPolicy::All,
            (true, _) => RetryPolicy::Network,
        };
        let mut search = Search { job: self, began, texts: range.len() };
        let Err(mut failure) = self.send(range.clone(), retry) else { return true };
        // It failed in an earlier attempt, too.
        failure.times += u32::from(range.start >= self.others);
        // Should all be refused, one search shows it as well as one on each thread.
        let is_refused = matches!(failure.kind, FailureKind::Refused | FailureKind::Unusable);
        let _alone = is_refused.then(|| self.search.lock().unwrap_or_else(PoisonError::into_inner));
        let is_large = matches!(failure.kind, FailureKind::TooLarge(_) | FailureKind::Exhausted(_));
        let ended = if self.isolates_failures() || is_large && range.len() > 1 {
            find(&mut search, range, failure)
        } else {
            Err(Fault { blame: Blame::Model, error: failure.error })
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
        let range = shared.pending.pop_front()?;
        if !self.isolates_failures() {
            return Some(range);
        }
        let mut pieces = self.fitting(range).into_iter();
        let first = pieces.next();
        pieces.rev().for_each(|piece| shared.pending.push_front(piece));
        first
    }

    fn send(&self, texts: Range<usize>, retry: RetryPolicy) -> Result<(), Failure> {
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
    fn ended(&self) -> Option<Failure> {
        let shared = self.lock();
        let fault = shared.parts.fault.as_ref()?;
        Some(Failure::new(FailureKind::Model, fault.error.clone()))
    }

    /// The texts in requests that keep the limits, and have the sizes that work as far as is known.
    fn fitting(&self, texts: Range<usize>) -> Vec<Range<usize>> {
        let (spec, pace) = (self.client.spec(), self.client.pace());
        let learnt = pace.learnt();
        let in_time = pace
            .speed()
            .filter(|_| self.isolates_failures())
            .map(|speed| (speed as f64 * spec.timeout.as_secs_f64() * PART_OF_TIMEOUT) as usize);
        let limits = [learnt.tokens.map(|most| most as usize), in_time];
        let tokens = limits.into_iter().flatten().fold(spec.max_request_tokens, usize::min);
        let items = learnt.texts.map_or(spec.max_items, |most| spec.max_items.min(most as usize));
        let tokens = tokens.saturating_sub(self.overhead_tokens).max(1);
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
    S: Fn(Range<usize>, RetryPolicy, &Cancel) -> Result<Vec<T>, Failure> + Sync,
    P: Fn(&Cancel) -> Result<(), Failure> + Sync,
{
    fn send(&mut self, texts: Range<usize>) -> Result<(), Failure> {
        let retry =
            if self.job.isolates_failures() { RetryPolicy::Pauses } else { RetryPolicy::All };
        self.job.send(texts, retry)
    }

    fn probe(&mut self) -> Result<(), Failure> {
        if let Some(ended) = self.job.ended() {
            return Err(ended);
        }
        match &self.job.probe {
            Some(probe) => probe(&self.job.cancel),
            None => Err(Failure::new(FailureKind::Refused, Error::cancelled())),
        }
    }

    fn has_others(&self) -> bool {
        self.job.lock().last_success.is_some_and(|at| at >= self.began)
    }

    fn pieces(&self, texts: Range<usize>) -> Vec<Range<usize>> {
        if self.job.isolates_failures() { self.job.fitting(texts) } else { vec![texts] }
    }

    fn learn(&mut self, size: Size, worked: Range<usize>) {
        let tokens =
            self.job.overhead_tokens + self.job.counts[worked.clone()].iter().sum::<usize>();
        self.job.client.pace().learn(size, worked.len() as u64, tokens as u64);
    }

    fn is_of_size(&mut self, kind: FailureKind) -> bool {
        let pace = self.job.client.pace();
        let may_be_accident = matches!(kind, FailureKind::Failed | FailureKind::Slow);
        let is_of_size = !may_be_accident || pace.note_unexplained(self.texts);
        if is_of_size && kind == FailureKind::Slow {
            pace.learn_serial();
        }
        is_of_size
    }

    fn was_refused(&self) -> bool {
        self.job.client.pace().was_refused()
    }

    fn note_refusal(&mut self) -> Refusal {
        self.job.client.pace().note_refusal(now())
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

/// Divides texts, by their token counts, into runs of at most `items` texts and `tokens` tokens. A text
/// that is larger by itself gets a run of its own.
fn runs(counts: &[usize], items: usize, tokens: usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut sum) = (0, 0);
    for (i, count) in counts.iter().enumerate() {
        if i > start && (i - start == items || sum + count > tokens) {
            runs.push(start..i);
            (start, sum) = (i, 0);
        }
        sum += count;
    }
    if start < counts.len() {
        runs.push(start..counts.len());
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::runs;
    use std::ops::Range;

    #[test]
    fn runs_keep_both_limits_and_leave_nothing_out() {
        assert!(runs(&[], 10, 10).is_empty());
        assert_eq!(runs(&[1; 5], 2, 100), [0..2, 2..4, 4..5]);
        assert_eq!(runs(&[4, 4, 4], 10, 8), [0..2, 2..3]);
        assert_eq!(runs(&[50, 1, 1, 50, 50], 10, 8), [0..1, 1..3, 3..4, 4..5]);
        let counts: Vec<usize> = (0..1000).map(|i| i * 37 % 91).collect();
        let found = runs(&counts, 7, 200);
        assert_eq!(found.iter().map(Range::len).sum::<usize>(), 1000);
        for run in found {
            assert!(run.len() <= 7 && (run.len() == 1 || counts[run].iter().sum::<usize>() <= 200));
        }
    }
}
