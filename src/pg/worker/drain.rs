//! The queue's loop: one step a turn, generations in turn.
use super::batch::{self, End};
use super::changes::{self, Work};
use super::failed::Failed;
use super::host::Host;
use super::{scan, vector_index};
use crate::queue::failure::Failure;
use crate::queue::rate::Rate;
use pgrx::datum::TimestampWithTimeZone;
use std::collections::HashMap;

/// What a turn came to.
#[derive(Debug, Clone, Copy)]
pub enum Turn {
    /// Something was done, and there may be more.
    Worked,
    /// Nothing can be done now.
    Idle {
        /// When the next job is ready, if there is one.
        ready_at: Option<TimestampWithTimeZone>,
        /// Other backends are at work on some.
        is_claimed: bool,
    },
}

/// Works off the queue.
pub struct Drain {
    host: Host,
    collections: Option<Vec<i32>>,
    last: i32,
    rates: HashMap<i32, Rate>,
    has_much: bool,
}

impl Drain {
    /// Works for `collections`; `None` stands for all.
    pub fn new(host: Host, collections: Option<Vec<i32>>) -> Self {
        Self { host, collections, last: 0, rates: HashMap::new(), has_much: false }
    }

    /// Where the work runs.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether the last claim left more to claim.
    pub fn has_much(&self) -> bool {
        self.has_much
    }

    /// Frees the claims of backends that are gone.
    pub fn release_lost(&self) -> Result<(), Failed> {
        self.host.transaction(|| {
            changes::release_lost();
            Ok(())
        })
    }

    /// Does one step. A failure that concerns a document or a collection is recorded there; what comes
    /// back is a wish to stop, or a failure of the queue itself.
    pub fn turn(&mut self) -> Result<Turn, Failed> {
        self.host.reset_memory();
        let collections = self.collections.as_deref();
        let (changed, work) = self.host.transaction(|| {
            let changed = changes::coalesce(collections);
            Ok((changed, changes::list(collections)))
        })?;
        let busy = |work: &&Work| work.has_scan || work.has_jobs || work.needs_index;
        // In a circle: a collection with millions of jobs does not keep the others waiting.
        let next = work.iter().filter(busy).find(|work| work.generation > self.last);
        let Some(next) = next.or_else(|| work.iter().find(busy)).copied() else {
            if changed {
                return Ok(Turn::Worked);
            }
            let ready_at = work.iter().filter_map(|work| work.ready_at).min();
            let is_claimed = work.iter().any(|work| work.is_claimed);
            return Ok(Turn::Idle { ready_at, is_claimed });
        };
        self.last = next.generation;
        self.step(next)?;
        Ok(Turn::Worked)
    }

    fn step(&mut self, work: Work) -> Result<(), Failed> {
        let generation = work.generation;
        let host = &self.host;
        let result = if work.has_scan {
            scan::page(host, generation)
        } else if work.has_jobs {
            let rate = self.rates.entry(generation).or_default();
            batch::work(host, generation, rate).map(|end| self.has_much = end == End::Full)
        } else {
            vector_index::build(host, generation)
        };
        match result {
            Err(failed) if failed.class == Failure::Configuration => self.pause(generation, failed),
            other => other,
        }
    }

    fn pause(&self, generation: i32, failed: Failed) -> Result<(), Failed> {
        let collection = self.host.transaction(|| {
            let generation = crate::pg::collection::Generation::by_id(generation);
            Ok(generation.map(|generation| generation.collection))
        })?;
        match collection {
            Some(collection) => batch::pause(&self.host, collection, &failed),
            None => Ok(()),
        }
    }
}
