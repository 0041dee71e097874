//! How much of a generation's queue a worker takes at once: what it does in some seconds, so that others begin with the rest.
use super::batch::Batch;
use super::board::ask_for_help;
use super::collection::Target;
use super::failed::Failed;
use crate::queue::batch::runs;
use std::ops::Range;

/// Most jobs of a claim.
const JOBS: i32 = 256;
/// The same for a generation that nobody searches yet: an edit of what is searched waits no longer than
/// these take.
const BUILDING_JOBS: i32 = 32;
/// Bytes of text read, embedded and applied at once: some seconds of work, which is what a crash loses.
const BYTES: usize = 256 * 1024;
/// The same for a remote model: enough for several full requests at once.
const REMOTE_BYTES: usize = 1024 * 1024;
/// Most of these pieces in a claim: what is behind them others can begin with.
const PIECES: usize = 2;
/// Jobs of a first claim, when nothing is known of how long the documents are.
const FIRST_JOBS: usize = 32;
/// Most jobs, and bytes of text, that are done in the middle of another generation's batch: a fraction of a second.
pub const ASIDE_JOBS: i32 = 16;
pub const ASIDE_BYTES: usize = 16 * 1024;

/// How many jobs of a generation to claim, when its last documents had `mean_bytes` on average.
pub fn most_jobs(target: &Target, is_remote: bool, mean_bytes: Option<usize>) -> i32 {
    let most_bytes = PIECES * if is_remote { REMOTE_BYTES } else { BYTES };
    let is_building = target.generation.state.is_building() && !is_remote;
    let fitting = mean_bytes.map_or(FIRST_JOBS, |mean| most_bytes / mean.max(1));
    let most = if is_building { BUILDING_JOBS } else { JOBS };
    i32::try_from(fitting).unwrap_or(most).clamp(1, most)
}

impl Batch<'_> {
    /// The first documents of the claim, by their sizes, as pieces to be done together; the rest is given back.
    pub fn share(&mut self, sizes: &[usize]) -> std::result::Result<Vec<Range<usize>>, Failed> {
        let total: usize = sizes.iter().sum();
        self.mean_bytes = Some(total / sizes.len().max(1));
        let bytes = if self.model.is_local() { BYTES } else { REMOTE_BYTES };
        let most = if self.is_aside { ASIDE_BYTES } else { PIECES * bytes };
        let mut claimed = runs(sizes, most).into_iter().next().unwrap_or_default();
        if self.is_aside && sizes[claimed.clone()].iter().sum::<usize>() > most {
            claimed = 0..0; // A document that lasts waits for its turn.
        }
        if claimed.end < sizes.len() {
            self.lease.release_from(self.host, claimed.end)?;
            if self.host.is_worker() && !self.is_aside {
                ask_for_help();
            }
        }
        Ok(runs(&sizes[claimed], bytes))
    }
}
