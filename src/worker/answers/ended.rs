//! Writing down what came of a request.
use crate::answer::request as requests;
use crate::answer::request::{Finish, Problem, Request};
use crate::ingest::queue::lease::random;
use crate::models::call_log;
use crate::models::call_log::Record;
use crate::search::query_log;
use crate::search::query_log::Answered;
use crate::search::query_stats;
use crate::sys::failed::Failed;
use crate::sys::transaction::Host;
use rag::answer::Status;
use rag::answer::generate::Written;
use rag::queue::backoff;
use rag::queue::failure::Failure;
use rag::search::query_stats::{End, Kind};
use std::time::Duration;

/// A request whose model is done.
pub(super) struct Ended {
    /// What was asked.
    pub request: Request,
    /// What came of it.
    pub outcome: Result<Written, Problem>,
    /// Whether the provider wants to be asked later.
    pub is_put_off: bool,
    /// What was called for it, until that is written.
    pub records: Vec<Record>,
    /// Since its model was first asked.
    pub took: Duration,
}

impl Ended {
    /// Writes it and what was paid for it, in one transaction.
    pub fn write(&self, notifies: bool) -> Finish {
        call_log::write(&self.records);
        if let (true, Err(why)) = (self.is_put_off, &self.outcome) {
            let delay = backoff::delay(self.request.attempts + 1, random());
            return requests::put_off(&self.request, delay, why);
        }
        self.finish(&self.outcome, notifies)
    }

    /// Counts it, once it is written or not wanted any more.
    pub fn count(&self) {
        let Some(collection) = self.request.collection.filter(|_| !self.is_put_off) else { return };
        let end = match &self.outcome {
            Ok(written) if written.status == Status::NoAnswer => End::Nothing,
            Ok(_) => End::Found,
            Err(_) => End::Failed,
        };
        query_stats::count(collection, Kind::Answer, end, self.took);
    }

    /// Writes it in a transaction of its own: without telling who listens where that fails, such as where nobody has read
    /// what was told for too long, and without what was answered where that cannot be written.
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

    fn finish(&self, outcome: &Result<Written, Problem>, notifies: bool) -> Finish {
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
