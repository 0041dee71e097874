//! Leases of claimed jobs: taken, renewed, released, and ended by a failure.
use crate::sys::failed::Failed;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{execute, query, required};
use crate::sys::transaction::Host;
use rag::Error;
use rag::queue::backoff;
use rag::queue::failure::Attempts;
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

/// How long a lease lasts without renewal: after a crash its jobs are claimed again this late at most.
const LEASE_TIME: Duration = Duration::from_mins(1);
const RENEW_EVERY: Duration = Duration::from_secs(15);
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// When to try again to renew it after that failed.
const RENEW_AGAIN: Duration = Duration::from_secs(1);
/// How late jobs are claimed again whose documents have changes that are no jobs yet, if these cannot become jobs.
const PUT_OFF: Duration = Duration::from_secs(1);

/// A claimed job.
pub struct Job {
    /// Key of its document.
    pub key: String,
    /// Token of this claim: a job that is queued again gets another.
    pub token: i64,
    attempts: Attempts,
    /// Bytes of the document's text, as far as it is known.
    pub size: usize,
    /// Start of the document, which a dead job shows.
    pub excerpt: Option<String>,
}

impl Job {
    /// Whether a remote model failed at it the last time while others succeeded.
    pub fn is_suspect(&self) -> bool {
        self.attempts.doubtful > 0
    }
}

/// Of claimed jobs, those whose documents have not changed since they were claimed. To be called in the transaction that has just read the
/// documents.
pub fn unchanged(collection: i32, tokens: Vec<i64>) -> HashSet<i64> {
    let args = [tokens.into(), collection.into()];
    let sql = statement!("ingest/unchanged_jobs");
    as_extension_owner(|| query(sql, &args, |row| required(&row, 1))).into_iter().collect()
}

/// The tokens of one generation that this process holds.
pub struct Lease {
    generation: i32,
    /// By token, whether a crash of this process is charged to the job.
    held: BTreeMap<i64, bool>,
    renew_at: Instant,
    checked: Instant,
}

impl Lease {
    /// Claims up to `most` ready jobs; `None` if there are none.
    pub fn claim(generation: i32, most: i32) -> Option<(Self, Vec<Job>)> {
        let sql = statement!("ingest/claim");
        let args = [generation.into(), most.into(), LEASE_TIME.as_secs_f64().into()];
        let jobs: Vec<Job> = as_extension_owner(|| {
            query(sql, &args, |row| Job {
                key: required(&row, 1),
                token: required(&row, 2),
                attempts: Attempts {
                    all: required::<i32>(&row, 3).unsigned_abs(),
                    doubtful: required::<i32>(&row, 4).unsigned_abs(),
                },
                size: 0,
                excerpt: None,
            })
        });
        let held: BTreeMap<i64, bool> = jobs.iter().map(|job| (job.token, true)).collect();
        let now = Instant::now();
        let lease = Self { generation, held, renew_at: now + RENEW_EVERY, checked: now };
        (!jobs.is_empty()).then_some((lease, jobs))
    }

    /// Whether a job is still held.
    pub fn holds(&self, job: &Job) -> bool {
        self.held.contains_key(&job.token)
    }

    /// Whether no job is held any more.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Forgets jobs that were done.
    pub fn forget(&mut self, tokens: impl IntoIterator<Item = i64>) {
        for token in tokens {
            self.held.remove(&token);
        }
    }

    fn tokens(&self) -> Vec<i64> {
        self.held.keys().copied().collect()
    }

    /// From now on a crash of this process is charged to `jobs` and to no other job that is held.
    pub fn charge(&mut self, host: &Host, jobs: &[Job]) -> Result<(), Failed> {
        let begun: HashSet<i64> = jobs.iter().map(|job| job.token).collect();
        let (mut more, mut less) = (Vec::new(), Vec::new());
        for (token, is_charged) in &mut self.held {
            let was_charged = std::mem::replace(is_charged, begun.contains(token));
            match (was_charged, *is_charged) {
                (false, true) => more.push(*token),
                (true, false) => less.push(*token),
                _ => {}
            }
        }
        if !more.is_empty() || !less.is_empty() {
            host.transaction(|| {
                let sql = statement!("ingest/charge");
                as_extension_owner(|| execute(sql, &[more.into(), less.into()]));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Renews the lease when it is time to.
    pub fn renew_if_due(&mut self, host: &Host) -> Result<(), Failed> {
        if Instant::now() < self.renew_at {
            return Ok(());
        }
        self.renew_at = Instant::now() + RENEW_AGAIN;
        host.transaction(|| {
            let sql = statement!("ingest/renew");
            let args =
                [self.tokens().into(), LEASE_TIME.as_secs_f64().into(), self.generation.into()];
            as_extension_owner(|| execute(sql, &args));
            Ok(())
        })?;
        self.renew_at = Instant::now() + RENEW_EVERY;
        Ok(())
    }

    /// Whether it is time to [check](Self::check) again.
    pub fn is_check_due(&self) -> bool {
        self.checked.elapsed() >= CHECK_EVERY
    }

    /// Forgets jobs that were queued again or deleted meanwhile; an error if none is left.
    pub fn check(&mut self, host: &Host) -> Result<(), Failed> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.checked = Instant::now();
        let valid: HashSet<i64> = host.transaction(|| {
            let args = [self.tokens().into()];
            let sql = statement!("ingest/valid_tokens");
            let valid = as_extension_owner(|| query(sql, &args, |row| required(&row, 1)));
            Ok(valid.into_iter().collect())
        })?;
        self.held.retain(|token, _| valid.contains(token));
        if self.held.is_empty() {
            return Err(
                Error::conflict("all documents changed while they were being indexed").into()
            );
        }
        Ok(())
    }

    /// Releases those of `jobs` that are held: other workers can claim them at once.
    pub fn release(&mut self, host: &Host, jobs: &[Job]) -> Result<(), Failed> {
        self.release_tokens(host, jobs.iter().map(|job| job.token).collect(), Duration::ZERO)
    }

    /// Releases jobs whose documents were changed after they were claimed, before they were read.
    pub fn put_off(&mut self, host: &Host, tokens: Vec<i64>) -> Result<(), Failed> {
        self.release_tokens(host, tokens, PUT_OFF)
    }

    /// Releases all jobs that are held.
    pub fn release_all(&mut self, host: &Host) -> Result<(), Failed> {
        self.release_tokens(host, self.tokens(), Duration::ZERO)
    }

    fn release_tokens(
        &mut self,
        host: &Host,
        mut tokens: Vec<i64>,
        ready_in: Duration,
    ) -> Result<(), Failed> {
        tokens.retain(|token| self.held.contains_key(token));
        if tokens.is_empty() {
            return Ok(());
        }
        let charged: Vec<i64> = tokens.iter().copied().filter(|token| self.held[token]).collect();
        host.transaction(|| {
            let sql = statement!("ingest/release");
            let args = [tokens.clone().into(), charged.into(), ready_in.as_secs_f64().into()];
            as_extension_owner(|| execute(sql, &args));
            Ok(())
        })?;
        self.forget(tokens);
        Ok(())
    }

    /// Deletes `jobs` and has a scan compare the source instead.
    pub fn replace_by_scan(&mut self, host: &Host, jobs: &[&Job]) -> Result<(), Failed> {
        let tokens: Vec<i64> = jobs.iter().map(|job| job.token).collect();
        host.transaction(|| {
            as_extension_owner(|| execute(statement!("ingest/forget"), &[tokens.clone().into()]));
            Ok(())
        })?;
        self.forget(tokens);
        Ok(())
    }

    /// Records for those of `jobs` that are held that they failed, and when they are retried, if they are.
    pub fn fail(&mut self, host: &Host, jobs: &[Job], failed: &Failed) -> Result<(), Failed> {
        let held: Vec<&Job> = jobs.iter().filter(|job| self.holds(job)).collect();
        if held.is_empty() {
            return Ok(());
        }
        let tokens: Vec<i64> = held.iter().map(|job| job.token).collect();
        let (mut attempts, mut doubtful) = (Vec::new(), Vec::new());
        let (mut classes, mut delays) = (Vec::new(), Vec::new());
        for job in &held {
            let mut count = job.attempts;
            let (class, is_dead) = count.count(failed.class, failed.doubtful);
            attempts.push(count.all as i32);
            doubtful.push(count.doubtful as i32);
            classes.push(class.name());
            // Seconds until the next attempt.
            let delay = || backoff::delay(count.all.max(1), backoff::random()).as_secs_f64();
            delays.push((!is_dead).then(delay));
        }
        let excerpts: Vec<Option<&str>> = held.iter().map(|job| job.excerpt.as_deref()).collect();
        host.transaction(|| {
            let args = [
                tokens.clone().into(),
                attempts.into(),
                doubtful.into(),
                delays.into(),
                classes.into(),
                failed.reason().into(),
                excerpts.into(),
            ];
            as_extension_owner(|| execute(statement!("ingest/fail"), &args));
            Ok(())
        })?;
        self.forget(tokens);
        Ok(())
    }
}
