//! The full-text index after a load. New entries wait in a list that every search reads from end to end; what
//! is 4 MB of it costs a search as much as all the rest.
use crate::catalog::target::{Target, warn_about};
use crate::sys::failed::Failed;
use crate::sys::rights::as_source_owner;
use crate::sys::spi::{query, required};
use crate::sys::transaction::Host;
use std::collections::BTreeSet;

/// Generations with entries that wait.
#[derive(Debug, Default)]
pub struct Waiting(BTreeSet<i32>);

impl Waiting {
    /// Notes that chunks were indexed.
    pub fn add(&mut self, generation: i32) {
        self.0.insert(generation);
    }

    /// Sorts the entries of one generation in that has come to rest. Where that fails it is left to
    /// autovacuum: it is upkeep, and the queue goes on.
    pub fn merge_one(&mut self, host: &Host, is_busy: impl Fn(i32) -> bool) -> Result<(), Failed> {
        let Some(generation) = self.0.iter().copied().find(|&id| !is_busy(id)) else {
            return Ok(());
        };
        self.0.remove(&generation);
        match merge(host, generation) {
            Err(failed) if !failed.is_cancel() => warn_about(host, generation, &failed),
            other => other,
        }
    }
}

fn merge(host: &Host, generation: i32) -> Result<(), Failed> {
    host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(()) };
        let sql = statement!("ingest/merge_index");
        let chunks = target.generation.chunks;
        as_source_owner(target.collection.owner, || {
            query(sql, &[chunks.into()], |row| required::<i64>(&row, 1))
        });
        Ok(())
    })
}
