//! Writes the outcome of a request.
use crate::answer::request as requests;
use crate::answer::request::{AnswerRequest, Finish, Problem};
use crate::models::call_log;
use crate::models::call_log::Record;
use crate::search::query_log;
use crate::search::query_log::Answered;
use crate::search::query_stats;
use crate::sys::failed::Failed;
use crate::sys::transaction::Host;
use rag::answer::Status;
use rag::answer::generate::GeneratedAnswer;
use rag::queue::backoff;
use rag::queue::failure::Failure;
use rag::search::query_stats::{End, Kind};
use std::time::Duration;

/// A request whose call has ended.
pub(super) struct Ended {
    /// The request.
    pub request: AnswerRequest,
    /// Its outcome.
    pub outcome: Result<GeneratedAnswer, Problem>,
    /// Whether it is retried because of a rate limit.
    pub is_put_off: bool,
    /// Records of its calls, until they are written.
    pub records: Vec<Record>,
    /// Time since its model was called.
    pub took: Duration,
}

impl Ended {
    /// Writes it and the records of its calls in one transaction.
    pub fn write(&self, notifies: bool) -> Finish {
        call_log::write(&self.records);
        if let (true, Err(why)) = (self.is_put_off, &self.outcome) {
            let delay = backoff::delay(self.request.attempts + 1, backoff::random());
            return requests::requeue(&self.request, delay, why);
        }
        self.finish(&self.outcome, notifies)
    }

    /// Counts it once it is written, or cancelled.
    pub fn count(&self) {
        let Some(collection) = self.request.collection.filter(|_| !self.is_put_off) else { return };
        let end = match &self.outcome {
            Ok(written) if written.status == Status::NoAnswer => End::Nothing,
            Ok(_) => End::Found,
            Err(_) => End::Failed,
        };
        query_stats::count(collection, Kind::Answer, end, self.took);
    }

    /// Records the outcome in its own transaction. If NOTIFY fails (its queue is full), records it again without NOTIFY; if the
    /// answer cannot be stored, records that.
    pub fn write_alone(&self, host: &Host) -> Result<Finish, Failed> {
        let mut written = host.transaction(|| Ok(self.write(true)));
        if written.as_ref().is_err_and(|failed| !failed.is_cancel()) {
            written = host.transaction(|| Ok(self.write(false)));
        }
        match written {
            Err(failed) if failed.class == Failure::Row => {
                failed.warn();
                let problem = unwritable(&failed);
                host.transaction(|| {
                    call_log::write(&self.records);
                    Ok(self.finish(&Err(problem.clone()), true))
                })
            }
            written => written,
        }
    }

    fn finish(&self, outcome: &Result<GeneratedAnswer, Problem>, notifies: bool) -> Finish {
        let finish = requests::finish(&self.request, outcome);
        if finish != Finish::Written {
            return finish;
        }
        if notifies {
            requests::notify(self.request.id);
        }
        if let (Some(query_id), Ok(written)) = (self.request.query_id, outcome) {
            let (text, status) = (&*written.text, written.status.as_str());
            let answered = Answered { text, status, confidence: None, took: self.took };
            query_log::answered(query_id, answered);
        }
        finish
    }
}

fn unwritable(failed: &Failed) -> Problem {
    Problem {
        sqlstate: failed.sqlstate().to_owned(),
        message: "the answer could not be written".to_owned(),
        detail: Some(failed.reason().to_owned()),
        hint: None,
    }
}
