//! Claims of jobs: taken, prolonged, given back, failed.
use super::failed::Failed;
use super::host::Host;
use super::process::leave_database;
use super::turnstile::is_database_wanted;
use crate::pg::rights::{as_extension_owner, with_lock_timeout};
use crate::pg::spi::{execute, query, required};
use crate::queue::backoff;
use crate::queue::failure::{Failure, MAX_ATTEMPTS};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long a claim lasts without a sign of life: after a crash the jobs come back this late at most.
const LEASE: Duration = Duration::from_mins(1);
/// How often it is prolonged.
const RENEWAL: Duration = Duration::from_secs(15);

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
}

impl Lease {
    /// Claims up to `most` ready jobs.
    pub fn claim(generation: i32, most: i32) -> Self {
        let sql = include_str!("../../../sql/run/work_claim.sql");
        let args = [generation.into(), most.into(), LEASE.as_secs_f64().into()];
        let claims = as_extension_owner(|| {
            query(sql, &args, |row| Claim {
                key: required(&row, 1),
                token: required(&row, 2),
                attempts: required::<i32>(&row, 3).unsigned_abs(),
                is_open: true,
                is_charged: true,
                excerpt: None,
            })
        });
        Self { generation, claims, renewed: Instant::now() }
    }

    /// Whether there was no job to claim.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
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

    /// Keys of some of the jobs.
    pub fn keys(&self, run: Range<usize>) -> Vec<String> {
        self.claims[run].iter().map(|claim| claim.key.clone()).collect()
    }

    /// Notes that these claims are no longer ours.
    pub fn done(&mut self, tokens: impl Iterator<Item = i64>) {
        let done: HashSet<i64> = tokens.collect();
        for claim in self.claims.iter_mut().filter(|claim| done.contains(&claim.token)) {
            claim.is_open = false;
        }
    }

    fn open(&self) -> Vec<i64> {
        self.tokens(|claim| claim.is_open)
    }

    fn tokens(&self, of: impl Fn(&Claim) -> bool) -> Vec<i64> {
        self.claims.iter().filter(|claim| of(claim)).map(|claim| claim.token).collect()
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
                let sql = include_str!("../../../sql/run/work_charge.sql");
                as_extension_owner(|| execute(sql, &[more.into(), less.into()]));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Prolongs the claims when it is time to. Gives them back and ends the worker where somebody wants its database
    /// for himself.
    pub fn renew_if_due(&mut self, host: &Host) -> Result<(), Failed> {
        if host.is_worker() && is_database_wanted() {
            self.release(host)?;
            leave_database(host);
        }
        if self.renewed.elapsed() < RENEWAL {
            return Ok(());
        }
        host.transaction(|| {
            let sql = include_str!("../../../sql/run/work_renew.sql");
            let lease = LEASE.as_secs_f64();
            let args = [self.open().into(), lease.into(), self.generation.into()];
            as_extension_owner(|| execute(sql, &args));
            Ok(())
        })?;
        self.renewed = Instant::now();
        Ok(())
    }

    /// Gives back what is still claimed.
    pub fn release(&self, host: &Host) -> Result<(), Failed> {
        let open = self.open();
        if open.is_empty() {
            return Ok(());
        }
        host.transaction(|| {
            let sql = include_str!("../../../sql/run/work_release.sql");
            let charged = self.tokens(|claim| claim.is_open && claim.is_charged);
            as_extension_owner(|| execute(sql, &[open.into(), charged.into()]));
            Ok(())
        })
    }

    /// Records that the jobs of `run` that are still claimed failed and when they are tried again, if they are.
    pub fn fail(&mut self, host: &Host, run: Range<usize>, failed: &Failed) -> Result<(), Failed> {
        let claims: Vec<&Claim> = self.claims[run].iter().filter(|claim| claim.is_open).collect();
        let attempts = claims.iter().map(|c| c.attempts + u32::from(failed.class.is_attempt()));
        let attempts: Vec<i32> = attempts.map(|n| n as i32).collect();
        let delays: Vec<Option<f64>> =
            attempts.iter().map(|n| delay(failed.class, n.unsigned_abs())).collect();
        let tokens: Vec<i64> = claims.iter().map(|claim| claim.token).collect();
        let excerpts: Vec<_> = claims.iter().map(|claim| claim.excerpt.clone()).collect();
        host.transaction(|| {
            let sql = include_str!("../../../sql/run/work_fail.sql");
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

/// Notes why a collection stands still.
pub fn pause(collection: i32, failed: &Failed) {
    note_pause(include_str!("../../../sql/run/work_pause.sql"), collection, failed);
}

/// Notes why a generation stands still.
pub fn pause_generation(generation: i32, failed: &Failed) {
    note_pause(include_str!("../../../sql/run/work_pause_generation.sql"), generation, failed);
}

fn note_pause(sql: &str, id: i32, failed: &Failed) {
    let args =
        [id.into(), failed.summary().into(), failed.reason().into(), failed.sqlstate().into()];
    with_lock_timeout(c"100ms", || as_extension_owner(|| execute(sql, &args)));
}
