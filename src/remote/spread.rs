//! Many texts over several requests, some of them at once.
use super::batch::runs;
use super::cancel::Cancel;
use super::client::Client;
use super::failure::{Class, Failure};
use crate::model::Checkpoint;
use crate::model::watch::run_watched;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the threads of one call share.
struct Shared<T> {
    waiting: VecDeque<Range<usize>>,
    results: Vec<Option<T>>,
    error: Option<Error>,
}

/// Gives every text its result: `send` handles a range of them in one request.
///
/// Ranges keep the limits of the model, and what the provider turned out to take. A range that is too
/// much for it is halved; one text that is too much is an error. `extra` tokens go with each request.
pub(super) fn spread<T: Send>(
    client: &Client,
    counts: &[usize],
    extra: usize,
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, &Cancel) -> Result<Vec<T>, Failure> + Sync,
) -> Result<Vec<T>> {
    let (results, error) = spread_partly(client, counts, extra, checkpoint, send)?;
    match error {
        Some(error) => Err(error),
        None => Ok(results.into_iter().flatten().collect()),
    }
}

/// The same, with what came before an error and beside it. After an error no further request begins,
/// while those under way are waited for: they are paid for. `Err` is a cancel alone.
pub(super) fn spread_partly<T: Send>(
    client: &Client,
    counts: &[usize],
    extra: usize,
    checkpoint: Checkpoint<'_>,
    send: impl Fn(Range<usize>, &Cancel) -> Result<Vec<T>, Failure> + Sync,
) -> Result<(Vec<Option<T>>, Option<Error>)> {
    if counts.is_empty() {
        return Ok((Vec::new(), None));
    }
    let spec = client.spec();
    let learned = client.pace().most_tokens().map_or(usize::MAX, |most| most as usize);
    let most = spec.max_request_tokens.min(learned).saturating_sub(extra).max(1);
    let waiting: VecDeque<_> = runs(counts, spec.max_items, most).into();
    let threads = spec.concurrency.min(waiting.len());
    let results = std::iter::repeat_with(|| None).take(counts.len()).collect();
    let shared = Mutex::new(Shared { waiting, results, error: None });
    let cancel = Cancel::default();
    let work = || {
        let tokens = |range: &Range<usize>| extra + counts[range.clone()].iter().sum::<usize>();
        let one = || work_off(client, &shared, &cancel, &tokens, &send);
        std::thread::scope(|scope| {
            // The thread we are on is the first; those it starts inherit its blocked signals.
            for _ in 1..threads {
                scope.spawn(one);
            }
            one();
        });
    };
    run_watched(work, || cancel.set(), checkpoint)?;
    let Shared { results, error, .. } = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((results, error))
}

fn work_off<T>(
    client: &Client,
    shared: &Mutex<Shared<T>>,
    cancel: &Cancel,
    tokens: &impl Fn(&Range<usize>) -> usize,
    send: &impl Fn(Range<usize>, &Cancel) -> Result<Vec<T>, Failure>,
) {
    loop {
        let range = {
            let mut shared = lock(shared);
            if shared.error.is_some() {
                return;
            }
            let Some(range) = shared.waiting.pop_front() else { return };
            range
        };
        let result = send(range.clone(), cancel);
        let mut shared = lock(shared);
        match result {
            Ok(results) => {
                for (place, result) in shared.results[range].iter_mut().zip(results) {
                    *place = Some(result);
                }
            }
            Err(failure) if failure.class == Class::TooLarge && range.len() > 1 => {
                client.pace().learn_too_many(tokens(&range) as u64);
                let middle = range.start + range.len() / 2;
                shared.waiting.push_front(middle..range.end);
                shared.waiting.push_front(range.start..middle);
            }
            Err(failure) => {
                shared.error.get_or_insert(failure.error);
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
