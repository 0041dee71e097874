//! The pending list of the full-text index, a GIN index. Every search reads it from end to end: 4 MB of it cost as much as
//! the rest of the index.
use crate::catalog::target::Target;
use crate::sys::failed::Failed;
use crate::sys::rights::as_source_owner;
use crate::sys::spi::{query, required};
use crate::sys::transaction::Host;
use std::collections::BTreeSet;

/// Generations whose indexes have entries in their pending lists.
#[derive(Debug, Default)]
pub struct PendingLists(BTreeSet<i32>);

impl PendingLists {
    /// Notes that chunks were indexed.
    pub fn add(&mut self, generation: i32) {
        self.0.insert(generation);
    }

    /// Flushes the pending lists of one generation whose queue is empty. If that fails, it is left to autovacuum.
    pub fn flush_one(&mut self, host: &Host, is_busy: impl Fn(i32) -> bool) -> Result<(), Failed> {
        let Some(generation) = self.0.iter().copied().find(|&id| !is_busy(id)) else {
            return Ok(());
        };
        self.0.remove(&generation);
        match flush(host, generation) {
            Err(failed) if !failed.is_cancel() => {
                failed.warn();
                Ok(())
            }
            other => other,
        }
    }
}

fn flush(host: &Host, generation: i32) -> Result<(), Failed> {
    host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(()) };
        let sql = statement!("ingest/flush_pending_list");
        let chunks = target.generation.chunks;
        as_source_owner(target.collection.owner, || {
            query(sql, &[chunks.into()], |row| required::<i64>(&row, 1))
        });
        Ok(())
    })
}
