//! How much of a generation's queue a worker takes at once: what it does in some seconds, so that others begin with the rest.
use crate::catalog::target::Target;
use crate::ingest::pipeline::batch::Batch;
use crate::models::embedder::Embedder;
use crate::models::remote::Remote;
use crate::sys::failed::Failed;
use crate::sys::workers::board::ask_for_help;
use rag::queue::batch::runs;
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
/// How long the requests of a slow one may last together, and how many documents show how slow it is.
const REMOTE_TIME: u64 = 10;
const REMOTE_JOBS: usize = 32;
/// Bytes of a token, about.
const TOKEN: usize = 3;
/// Most of these pieces in a claim: what is behind them others can begin with.
const PIECES: usize = 2;
/// Jobs of a first claim, when nothing is known of how long the documents are.
const FIRST_JOBS: usize = 32;
/// Most jobs, and bytes of text, that are done in the middle of another generation's batch: a fraction of a second.
pub const ASIDE_JOBS: i32 = 16;
pub const ASIDE_BYTES: usize = 16 * 1024;

/// Bytes of text done together by a model, a local one if it is not `remote`.
fn piece(remote: Option<&Remote>) -> usize {
    let Some(model) = remote else { return BYTES };
    let in_time = |speed| (speed * REMOTE_TIME) as usize * TOKEN;
    model.speed().map_or(REMOTE_BYTES, |speed| REMOTE_BYTES.min(in_time(speed)))
}

/// How many jobs of a generation to claim, when its last documents had `mean_bytes` on average.
pub fn most_jobs(target: &Target, remote: Option<&Remote>, mean_bytes: Option<usize>) -> i32 {
    let is_building = target.generation.state.is_building() && remote.is_none();
    let fitting = mean_bytes.map_or(FIRST_JOBS, |mean| PIECES * piece(remote) / mean.max(1));
    let most = if is_building { BUILDING_JOBS } else { JOBS };
    i32::try_from(fitting).unwrap_or(most).clamp(1, most)
}

impl Batch<'_> {
    /// The first documents of the claim, by their sizes, as pieces to be done together; the rest is given back. Of a remote
    /// model whose speed is not known yet a piece has few documents.
    pub fn share(&mut self, sizes: &[usize]) -> std::result::Result<Vec<Range<usize>>, Failed> {
        let total: usize = sizes.iter().sum();
        self.mean_bytes = Some(total / sizes.len().max(1));
        let (bytes, least) = match &self.model {
            Embedder::Local(_) => (BYTES, 0),
            Embedder::Remote(model) if model.speed().is_some() => (piece(Some(model)), 0),
            Embedder::Remote(_) => (REMOTE_BYTES, REMOTE_BYTES / REMOTE_JOBS),
        };
        let sizes: Vec<usize> = sizes.iter().map(|size| least.max(*size)).collect();
        let most = if self.is_aside { ASIDE_BYTES } else { PIECES * bytes };
        let mut claimed = runs(&sizes, most).into_iter().next().unwrap_or_default();
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
