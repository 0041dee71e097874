//! The queue's loop: one step a turn, generations in turn.
use super::batch::{self, End};
use super::changes::{self, Step, Work};
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
        // In a circle: a collection with millions of jobs does not keep the others waiting.
        let last = self.last;
        let (behind, before): (Vec<&Work>, Vec<&Work>) =
            work.iter().partition(|work| work.generation > last);
        let mut is_locked = false;
        for next in behind.into_iter().chain(before) {
            let Some(step) = next.step else { continue };
            self.last = next.generation;
            if self.step(next.generation, step)? {
                return Ok(Turn::Worked);
            }
            is_locked = true;
        }
        if changed {
            return Ok(Turn::Worked);
        }
        let ready_at = work.iter().filter_map(|work| work.ready_at).min();
        let is_claimed = is_locked || work.iter().any(|work| work.is_claimed);
        Ok(Turn::Idle { ready_at, is_claimed })
    }

    /// Does what is next for a generation; false when another backend is just at it.
    fn step(&mut self, generation: i32, step: Step) -> Result<bool, Failed> {
        let host = &self.host;
        let result = match step {
            Step::Scan => scan::page(host, generation),
            Step::Jobs => {
                let rate = self.rates.entry(generation).or_default();
                batch::work(host, generation, rate).map(|end| {
                    self.has_much = end == End::Full;
                    end != End::Nothing
                })
            }
            Step::Index => vector_index::build(host, generation).map(|()| true),
        };
        match result {
            Err(failed) if failed.class == Failure::Configuration => {
                self.pause(generation, &failed)?;
                Ok(true)
            }
            other => other,
        }
    }

    fn pause(&self, generation: i32, failed: &Failed) -> Result<(), Failed> {
        let collection = self.host.transaction(|| {
            let generation = crate::pg::collection::Generation::by_id(generation);
            Ok(generation.map(|generation| generation.collection))
        })?;
        match collection {
            Some(collection) => batch::pause(&self.host, collection, failed),
            None => Ok(()),
        }
    }
}
