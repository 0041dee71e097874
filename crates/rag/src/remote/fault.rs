//! What a failed call is to be blamed on: a text, the size of the request, the model, or an outage.
//!
//! A failure shows little by itself: a wrong key, a text that is not liked and a text that is too long can all
//! be a 400. What tells them apart is what else succeeds. So [`decide`] says what to do by the failure's sign and
//! what is known of others, and [`find_fault`] asks for smaller requests, or for a harmless text (a probe), until it is
//! clear. The table is in the reference, on the page of calls.
use super::failure::CallFailure;
use super::failure_kind::{FailureKind, Size};
use crate::Error;
use crate::queue::failure::MAX_ATTEMPTS;
use std::ops::Range;

/// What a failed call is blamed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The text: it fails while others succeed.
    Text,
    /// Perhaps the text: it failed in a request of its own while others succeeded, which can be an accident. It
    /// is the text if that happens in so many attempts in a row.
    Doubtful {
        /// Attempts in a row, at other times, this one included.
        attempts: u32,
    },
    /// The model, as it is described here: nothing succeeds until someone changes something.
    Model,
    /// An outage: it passes by itself.
    Outage,
    /// The rate limit: the provider asks to wait.
    RateLimited,
}

/// A failed call.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What the failure is blamed on.
    pub blame: Blame,
    /// The error for the user.
    pub error: Error,
}

/// What is known beside a failure's kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    /// Texts of the request.
    pub texts: usize,
    /// Whether other texts succeed; `None` when that is not known.
    pub others: Option<bool>,
    /// How often these texts failed, alone or with others.
    pub failures: u32,
}

/// The next step after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Find the text by halving: if one half succeeds, it is in the other.
    Halve,
    /// Send the texts in smaller requests.
    Divide(Size),
    /// Ask for a harmless text.
    Probe,
    /// Send the text once more.
    Repeat,
    /// Give up.
    End(Blame),
}

/// Probes that must be refused in a row, besides what was refused before, for the model to be at fault: any response can be wrong
/// by accident, and a paused model waits for a person.
const CONFIRMING_PROBES: u32 = 2;

/// Sizes that are tried before it is doubted that a request of any succeeds.
const MAX_SIZE_TRIES: u32 = 4;

/// Attempts in a row that show that a text is at fault, by how often what they fail with has other reasons: a
/// provider refuses; it fails, answers nonsense or does not answer in time; the network fails.
const REFUSED_ATTEMPTS: u32 = 4;
const FAILED_ATTEMPTS: u32 = 6;
const OUTAGE_ATTEMPTS: u32 = MAX_ATTEMPTS;

/// The table.
#[allow(clippy::match_same_arms)] // In the order of what is known.
pub(super) fn decide(kind: FailureKind, evidence: Evidence) -> Step {
    use Step::{Divide, End, Halve, Probe, Repeat};
    let Evidence { texts, others, failures } = evidence;
    let is_one = texts == 1;
    let doubtful = |attempts| End(Blame::Doubtful { attempts });
    match (kind, others) {
        (FailureKind::RateLimited | FailureKind::Model, _) | (_, Some(false)) => {
            End(blame_of_all(kind))
        }
        (_, None) if is_one => Probe,
        // Halves are as good as a probe, and no more than the search takes anyway.
        (FailureKind::Refused | FailureKind::Unusable | FailureKind::Failed, _) if !is_one => Halve,
        // No size works: does any text?
        (FailureKind::TooLarge(_) | FailureKind::Exhausted(_), None)
            if failures > MAX_SIZE_TRIES =>
        {
            Probe
        }
        (FailureKind::TooLarge(size) | FailureKind::Exhausted(size), _) if !is_one => Divide(size),
        // Each request may take as long as this one: first see whether any succeeds.
        (FailureKind::Outage | FailureKind::Slow, None) => Probe,
        (FailureKind::Outage, Some(true)) if !is_one => Halve,
        (FailureKind::Slow, Some(true)) if !is_one => Divide(Size::Texts),
        // A single response can be wrong by accident.
        (FailureKind::Refused | FailureKind::Unusable, Some(true)) if failures <= 1 => Repeat,
        // It says why, and smaller requests succeed.
        (FailureKind::TooLarge(_), Some(true)) => End(Blame::Text),
        (FailureKind::Refused, Some(true)) => doubtful(REFUSED_ATTEMPTS),
        (FailureKind::Outage, _) => doubtful(OUTAGE_ATTEMPTS),
        _ => doubtful(FAILED_ATTEMPTS),
    }
}

/// Sends what [`find_fault`] asks for.
pub(super) trait Sender {
    /// Sends some of the texts in one request, and keeps the results.
    fn send(&mut self, texts: Range<usize>) -> Result<(), CallFailure>;
    /// Sends a harmless text.
    fn probe(&mut self) -> Result<(), CallFailure>;
    /// Whether another request succeeded since this search began.
    fn has_others(&self) -> bool;
    /// The texts in requests of the sizes that are known to work.
    fn pieces(&self, texts: Range<usize>) -> Vec<Range<usize>>;
    /// Notes that a request of these texts worked where a larger one did not.
    fn learn(&mut self, size: Size, worked: Range<usize>);
    /// Whether a failure that no text was found for shows, with what came before, that the size was at fault. What
    /// can happen by accident shows it the second time.
    fn blames_size(&mut self, kind: FailureKind) -> bool;
    /// Notes that a text and the probe were both refused, and says whether requests succeeded not long before.
    fn note_refusal(&mut self) -> bool;
    /// Notes that this text gets no result.
    fn reject(&mut self, text: usize, fault: Fault);
}

/// The outcome for the texts of a request that failed.
#[derive(Debug, Default)]
struct FaultOutcome {
    /// Whether one was rejected.
    is_rejected: bool,
    /// The largest request that worked.
    worked: Option<Range<usize>>,
}

impl FaultOutcome {
    fn worked(texts: Range<usize>) -> Self {
        Self { is_rejected: false, worked: Some(texts) }
    }

    fn and(self, other: Self) -> Self {
        let both = [self.worked, other.worked].into_iter().flatten();
        Self {
            is_rejected: self.is_rejected | other.is_rejected,
            worked: both.max_by_key(Range::len),
        }
    }
}

/// After a request of these texts failed: gives each of them its result, or rejects it. An error is one that
/// concerns all texts, also those that were not sent.
pub(super) fn find_fault(
    sender: &mut impl Sender,
    texts: Range<usize>,
    failure: CallFailure,
) -> Result<(), Fault> {
    let kind = failure.kind;
    let mut search = FaultSearch { sender, others: None };
    let found = search.handle(texts, failure, 1)?;
    if matches!(kind, FailureKind::Refused | FailureKind::Unusable | FailureKind::Failed) {
        search.learn(kind, Size::Texts, &found);
    }
    Ok(())
}

/// What the last of some probes met, if none of them succeeds. One that shows something else than a refusal is the last.
fn refused(probes: u32, mut probe: impl FnMut() -> Result<(), CallFailure>) -> Option<CallFailure> {
    let mut last = None;
    for _ in 0..probes {
        let failed = probe().err()?;
        let is_certain = failed.kind.is_general() || blame_of_all(failed.kind) != Blame::Model;
        last = Some(failed);
        if is_certain {
            break;
        }
    }
    last
}

/// At the beginning of a call after one in which a text and the probe were both refused: whether the model is at fault. Probes alone
/// tell, as the text may be refused whatever the model does.
pub(super) fn confirm_refusal(probe: impl FnMut() -> Result<(), CallFailure>) -> Result<(), Fault> {
    refused(1 + CONFIRMING_PROBES, probe).map_or(Ok(()), |failure| Err(fault_of_all(failure)))
}

/// What a provider says of a text may be about that text alone, so what it says of the probe stands beside it.
fn with_words_of(error: &Error, probe: &Error) -> Error {
    let words = |error: &Error| error.detail().unwrap_or(error.message()).to_owned();
    let (of_text, of_probe) = (words(error), words(probe));
    let error = error.clone();
    if of_text == of_probe {
        return error;
    }
    error.with_detail(format!("{of_text}; of the text \"test\": {of_probe}"))
}

struct FaultSearch<'s, S> {
    sender: &'s mut S,
    /// Whether other texts succeed, as far as this search has seen.
    others: Option<bool>,
}

impl<S: Sender> FaultSearch<'_, S> {
    /// Deals with a request that failed for the `failures`th time.
    fn handle(
        &mut self,
        texts: Range<usize>,
        failure: CallFailure,
        failures: u32,
    ) -> Result<FaultOutcome, Fault> {
        if self.others.is_none() && self.sender.has_others() {
            self.others = Some(true);
        }
        let failures = failures.max(failure.times);
        let evidence = Evidence { texts: texts.len(), others: self.others, failures };
        match decide(failure.kind, evidence) {
            Step::Halve => self.halve(texts, failures),
            Step::Divide(size) => {
                let found = self.divide(texts, failures)?;
                self.learn(failure.kind, size, &found);
                Ok(found)
            }
            Step::Probe => {
                self.probe(&failure)?;
                self.handle(texts, failure, failures)
            }
            Step::Repeat => self.send_or_handle(texts, failures + 1),
            Step::End(blame @ (Blame::Text | Blame::Doubtful { .. })) => {
                self.sender.reject(texts.start, Fault { blame, error: failure.error });
                Ok(FaultOutcome { is_rejected: true, worked: None })
            }
            Step::End(blame) => Err(Fault { blame, error: failure.error }),
        }
    }

    /// Sees whether anything succeeds. An error says why not, in the words of the first failure where these are a reason, and in the
    /// probe's.
    fn probe(&mut self, failure: &CallFailure) -> Result<(), Fault> {
        let Err(mut failed) = self.sender.probe() else {
            self.others = Some(true);
            return Ok(());
        };
        let mut blame = blame_of_all(failed.kind);
        if blame == Blame::Model && !failed.kind.is_general() {
            if self.sender.note_refusal() {
                // The next call confirms it.
                blame = Blame::Outage;
            } else if let Some(last) = refused(CONFIRMING_PROBES, || self.sender.probe()) {
                (blame, failed) = (blame_of_all(last.kind), last);
            } else {
                self.others = Some(true);
                return Ok(());
            }
        }
        // A failure of another kind is no reason for what the probe's is blamed on.
        let is_same = blame_of_all(failure.kind) == blame;
        let is_accident = blame_of_all(failed.kind) != blame;
        let is_probes = failed.kind.is_general() || !is_same && !is_accident;
        let error =
            if is_probes { failed.error } else { with_words_of(&failure.error, &failed.error) };
        Err(Fault { blame, error })
    }

    fn send(&mut self, texts: Range<usize>) -> Result<(), CallFailure> {
        let sent = self.sender.send(texts);
        if sent.is_ok() {
            self.others = Some(true);
        }
        sent
    }

    /// Finds the texts that fail. Where one half succeeds, the other need not be sent as a whole.
    fn halve(&mut self, texts: Range<usize>, failures: u32) -> Result<FaultOutcome, Fault> {
        let middle = texts.start + texts.len() / 2;
        let (first, second) = (texts.start..middle, middle..texts.end);
        Ok(match self.send(first.clone()) {
            Ok(()) if second.len() > 1 => {
                FaultOutcome::worked(first).and(self.halve(second, failures)?)
            }
            Ok(()) => FaultOutcome::worked(first).and(self.send_or_handle(second, failures + 1)?),
            Err(failure) if failure.kind.is_general() => return Err(fault_of_all(failure)),
            Err(failure) => match self.send(second.clone()) {
                Ok(()) => {
                    FaultOutcome::worked(second).and(self.handle(first, failure, failures + 1)?)
                }
                Err(other) if other.kind.is_general() => return Err(fault_of_all(other)),
                Err(other) => {
                    // The server may have failed since the last success.
                    self.probe(&failure)?;
                    let found = self.handle(first, failure, failures + 1)?;
                    found.and(self.handle(second, other, failures + 1)?)
                }
            },
        })
    }

    /// Remembers the size that worked where no text was at fault.
    fn learn(&mut self, kind: FailureKind, size: Size, found: &FaultOutcome) {
        if let (false, Some(worked)) = (found.is_rejected, &found.worked)
            && self.sender.blames_size(kind)
        {
            self.sender.learn(size, worked.clone());
        }
    }

    /// Sends the texts in smaller requests.
    fn divide(&mut self, texts: Range<usize>, failures: u32) -> Result<FaultOutcome, Fault> {
        let middle = texts.start + texts.len() / 2;
        let mut found = FaultOutcome::default();
        let mut failed = Vec::new();
        for half in [texts.start..middle, middle..texts.end] {
            for piece in self.sender.pieces(half) {
                match self.send(piece.clone()) {
                    Ok(()) => found = found.and(FaultOutcome::worked(piece)),
                    Err(failure) if failure.kind.is_general() => return Err(fault_of_all(failure)),
                    // It waits for the others, which may show that they succeed.
                    Err(failure)
                        if piece.len() == 1
                            || self.others.is_none() && failures >= MAX_SIZE_TRIES =>
                    {
                        failed.push((piece, failure));
                    }
                    Err(failure) => {
                        found = found.and(self.handle(piece, failure, failures + 1)?);
                    }
                }
            }
        }
        for (piece, failure) in failed {
            found = found.and(self.handle(piece, failure, failures + 1)?);
        }
        Ok(found)
    }

    fn send_or_handle(
        &mut self,
        texts: Range<usize>,
        failures: u32,
    ) -> Result<FaultOutcome, Fault> {
        match self.send(texts.clone()) {
            Ok(()) => Ok(FaultOutcome::worked(texts)),
            Err(failure) => self.handle(texts, failure, failures),
        }
    }
}

fn fault_of_all(failure: CallFailure) -> Fault {
    Fault { blame: blame_of_all(failure.kind), error: failure.error }
}

/// What a failure is blamed on where nothing succeeds.
fn blame_of_all(kind: FailureKind) -> Blame {
    match kind {
        FailureKind::RateLimited => Blame::RateLimited,
        FailureKind::Model
        | FailureKind::Refused
        | FailureKind::Unusable
        | FailureKind::TooLarge(_) => Blame::Model,
        _ => Blame::Outage,
    }
}

#[cfg(test)]
mod tests;
