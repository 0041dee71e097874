//! Claims of jobs: taken, prolonged, given back, failed.
use crate::ingest::pipeline::others::Others;
use crate::sys::failed::Failed;
use crate::sys::rights::{as_extension_owner, with_lock_timeout};
use crate::sys::spi::{execute, query, required};
use crate::sys::transaction::Host;
use crate::sys::workers::leave::leave_database;
use crate::sys::workers::turnstile::is_database_wanted;
use rag::Error;
use rag::queue::backoff;
use rag::queue::failure::{Failure, MAX_ATTEMPTS};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long a claim lasts without a sign of life: after a crash the jobs come back this late at most.
const LEASE: Duration = Duration::from_mins(1);
/// How often it is prolonged.
const RENEWAL: Duration = Duration::from_secs(15);
/// How often to look whether the claims still hold.
const LOOK: Duration = Duration::from_millis(500);

struct Claim {
    key: String,
    token: i64,
    attempts: u32,
    is_open: bool,
    /// Whether it counts against the document should this process end now.
    is_charged: bool,
    excerpt: Option<String>,
}

/// Claimed jobs of one generation.
pub struct Lease {
    generation: i32,
    claims: Vec<Claim>,
    renewed: Instant,
    /// When it was last looked whether the claims still hold.
    looked: Instant,
    /// The other generations, where they are looked after meanwhile.
    others: Option<Others>,
}

impl Lease {
    /// Claims up to `most` ready jobs, if there are any. While they are worked on, `others` are looked after.
    pub fn claim(generation: i32, most: i32, others: Option<Others>) -> Option<Self> {
        let sql = statement!("ingest/claim");
        let args = [generation.into(), most.into(), LEASE.as_secs_f64().into()];
        let claims: Vec<Claim> = as_extension_owner(|| {
            query(sql, &args, |row| Claim {
                key: required(&row, 1),
                token: required(&row, 2),
                attempts: required::<i32>(&row, 3).unsigned_abs(),
                is_open: true,
                is_charged: true,
                excerpt: None,
            })
        });
        let now = Instant::now();
        (!claims.is_empty()).then_some(Self {
            generation,
            claims,
            renewed: now,
            looked: now,
            others,
        })
    }

    /// Number of jobs claimed.
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// The key of a job.
    pub fn key(&self, position: usize) -> &str {
        &self.claims[position].key
    }

    /// The claim of a job.
    pub fn token(&self, position: usize) -> i64 {
        self.claims[position].token
    }

    /// Whether a job is still claimed.
    pub fn is_open(&self, position: usize) -> bool {
        self.claims[position].is_open
    }

    /// Notes the start of a document, to be shown should it fail.
    pub fn note(&mut self, position: usize, excerpt: String) {
        self.claims[position].excerpt = Some(excerpt);
    }

    /// Notes that these claims are no longer ours.
    pub fn done(&mut self, tokens: impl Iterator<Item = i64>) {
        let done: HashSet<i64> = tokens.collect();
        for claim in self.claims.iter_mut().filter(|claim| done.contains(&claim.token)) {
            claim.is_open = false;
        }
    }

    fn open(&self) -> Vec<i64> {
        self.claims.iter().filter(|claim| claim.is_open).map(|claim| claim.token).collect()
    }

    /// Should this process end from now on, it counts against the jobs of `run` and no others.
    pub fn charge(&mut self, host: &Host, run: &Range<usize>) -> Result<(), Failed> {
        let (mut more, mut less) = (Vec::new(), Vec::new());
        for (position, claim) in self.claims.iter_mut().enumerate().filter(|(_, c)| c.is_open) {
            let was_charged = std::mem::replace(&mut claim.is_charged, run.contains(&position));
            match (was_charged, claim.is_charged) {
                (false, true) => more.push(claim.token),
                (true, false) => less.push(claim.token),
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

    /// Called between the steps of what lasts: prolongs the claims when it is time to, lets small documents of other
    /// generations go first, and fails where no claim holds any more. Gives the claims back and ends the worker where
    /// somebody wants its database for himself.
    pub fn renew_if_due(&mut self, host: &Host) -> Result<(), Failed> {
        if host.is_worker() && is_database_wanted() {
            self.release(host)?;
            leave_database(host);
        }
        let others = self.others.as_mut();
        if others.map_or(Ok(false), |others| others.serve(host))? || self.looked.elapsed() >= LOOK {
            self.look(host)?;
        }
        if self.renewed.elapsed() < RENEWAL {
            return Ok(());
        }
        host.transaction(|| {
            let sql = statement!("ingest/renew");
            let lease = LEASE.as_secs_f64();
            let args = [self.open().into(), lease.into(), self.generation.into()];
            as_extension_owner(|| execute(sql, &args));
            Ok(())
        })?;
        self.renewed = Instant::now();
        Ok(())
    }

    /// Looks which claims still hold.
    fn look(&mut self, host: &Host) -> Result<(), Failed> {
        let open = self.open();
        if open.is_empty() {
            return Ok(());
        }
        let sql = statement!("ingest/held");
        let held: HashSet<i64> = host.transaction(|| {
            let args = [open.clone().into()];
            let held = as_extension_owner(|| query(sql, &args, |row| required(&row, 1)));
            Ok(held.into_iter().collect())
        })?;
        self.done(open.into_iter().filter(|token| !held.contains(token)));
        self.looked = Instant::now();
        if held.is_empty() {
            return Err(
                Error::conflict("all documents changed while they were being indexed").into()
            );
        }
        Ok(())
    }

    /// Whether another generation has jobs that nobody is at, as far as this claim looks after others.
    pub fn others_wait(&self, host: &Host) -> Result<bool, Failed> {
        self.others.as_ref().map_or(Ok(false), |others| others.wait(host))
    }

    /// Whether any job is still claimed.
    pub fn has_open(&self) -> bool {
        self.claims.iter().any(|claim| claim.is_open)
    }

    /// Gives back what is still claimed.
    pub fn release(&mut self, host: &Host) -> Result<(), Failed> {
        self.release_from(host, 0)
    }

    /// Gives back what is still claimed at this position and behind.
    pub fn release_from(&mut self, host: &Host, first: usize) -> Result<(), Failed> {
        let is_given_back =
            |(position, claim): &(usize, &Claim)| *position >= first && claim.is_open;
        let claims = self.claims.iter().enumerate().filter(is_given_back).map(|(_, claim)| claim);
        let (open, charged): (Vec<i64>, Vec<bool>) =
            claims.map(|claim| (claim.token, claim.is_charged)).unzip();
        if open.is_empty() {
            return Ok(());
        }
        let charged: Vec<i64> =
            open.iter().zip(charged).filter_map(|(token, is)| is.then_some(*token)).collect();
        host.transaction(|| {
            let sql = statement!("ingest/release");
            as_extension_owner(|| execute(sql, &[open.clone().into(), charged.into()]));
            Ok(())
        })?;
        self.done(open.into_iter());
        Ok(())
    }

    /// Deletes these jobs and has the source compared instead.
    pub fn forget(&mut self, host: &Host, positions: &[usize]) -> Result<(), Failed> {
        let tokens: Vec<i64> = positions.iter().map(|position| self.token(*position)).collect();
        host.transaction(|| {
            let sql = statement!("ingest/forget");
            as_extension_owner(|| execute(sql, &[tokens.clone().into()]));
            Ok(())
        })?;
        self.done(tokens.into_iter());
        Ok(())
    }

    /// Records that the jobs of `run` that are still claimed failed and when they are tried again, if they are.
    pub fn fail(&mut self, host: &Host, run: Range<usize>, failed: &Failed) -> Result<(), Failed> {
        let claims: Vec<&Claim> = self.claims[run].iter().filter(|claim| claim.is_open).collect();
        if claims.is_empty() {
            return Ok(());
        }
        let attempts = claims.iter().map(|c| c.attempts + u32::from(failed.class.is_attempt()));
        let attempts: Vec<i32> = attempts.map(|n| n as i32).collect();
        let delays: Vec<Option<f64>> =
            attempts.iter().map(|n| delay(failed.class, n.unsigned_abs())).collect();
        let tokens: Vec<i64> = claims.iter().map(|claim| claim.token).collect();
        let excerpts: Vec<_> = claims.iter().map(|claim| claim.excerpt.clone()).collect();
        host.transaction(|| {
            let sql = statement!("ingest/fail");
            let args = [
                tokens.clone().into(),
                attempts.clone().into(),
                delays.clone().into(),
                failed.class.name().into(),
                failed.reason().into(),
                excerpts.clone().into(),
            ];
            as_extension_owner(|| execute(sql, &args));
            Ok(())
        })?;
        self.done(tokens.into_iter());
        Ok(())
    }
}

/// Seconds until the next attempt; `None` gives up.
fn delay(class: Failure, attempts: u32) -> Option<f64> {
    if class == Failure::Row || attempts >= MAX_ATTEMPTS {
        return None;
    }
    Some(backoff::delay(attempts.max(1), random()).as_secs_f64())
}

/// A number in `[0, 1)`. Seeded by the system; what matters is that workers differ.
pub fn random() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

/// Notes why a collection stands still. Returns its name.
pub fn pause(collection: i32, failed: &Failed) -> Option<String> {
    note_pause(statement!("ingest/pause"), collection, failed)
}

/// Notes why a generation stands still. Returns its collection's name.
pub fn pause_generation(generation: i32, failed: &Failed) -> Option<String> {
    note_pause(statement!("ingest/pause_generation"), generation, failed)
}

fn note_pause(sql: &str, id: i32, failed: &Failed) -> Option<String> {
    let args =
        [id.into(), failed.summary().into(), failed.reason().into(), failed.sqlstate().into()];
    with_lock_timeout(c"100ms", || {
        as_extension_owner(|| query(sql, &args, |row| required(&row, 1))).pop()
    })
}
