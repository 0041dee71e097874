//! How many jobs a worker claims at once: a few seconds of work, so that others can claim the rest.
use crate::catalog::target::Target;
use crate::ingest::queue::lease::Job;
use crate::models::embedder::Embedder;
use crate::models::remote::Remote;
use rag::queue::batch::runs;
use std::ops::Range;

/// Most jobs of a claim.
const JOBS: i32 = 256;
/// The same for a generation that is being built: an edit of the active one waits no longer than these take.
const BUILDING_JOBS: i32 = 32;
/// Bytes of text read, embedded and applied at once: some seconds of work, which is what a crash loses.
const BYTES: usize = 256 * 1024;
/// The same for a remote model: enough for several full requests at once.
const REMOTE_BYTES: usize = 1024 * 1024;
/// How many seconds the requests to a slow remote model may take together, and how many documents show its speed.
const REMOTE_TIME: u64 = 10;
const REMOTE_JOBS: usize = 32;
/// Bytes of a token, about.
const TOKEN: usize = 3;
/// Most runs of a claim.
const RUNS: usize = 2;
/// Jobs of a first claim, before the size of the documents is known.
const FIRST_JOBS: usize = 32;
/// Most jobs, and bytes of text, that are interleaved with another generation's batch: a fraction of a second.
pub const INTERLEAVED_JOBS: i32 = 16;
pub const INTERLEAVED_BYTES: usize = 16 * 1024;

/// Bytes of a run for a remote model of known speed.
fn remote_bytes(speed: u64) -> usize {
    REMOTE_BYTES.min((speed * REMOTE_TIME) as usize * TOKEN)
}

/// How many jobs of a generation to claim, if its last documents had `mean_bytes` on average.
pub fn most_jobs(target: &Target, remote: Option<&Remote>, mean_bytes: Option<usize>) -> i32 {
    let is_building = target.generation.state.is_building() && remote.is_none();
    let bytes = remote.map_or(BYTES, |model| model.speed().map_or(REMOTE_BYTES, remote_bytes));
    let fitting = mean_bytes.map_or(FIRST_JOBS, |mean| RUNS * bytes / mean.max(1));
    let most = if is_building { BUILDING_JOBS } else { JOBS };
    i32::try_from(fitting).unwrap_or(most).clamp(1, most)
}

/// Runs of claimed jobs, from the first, that are worked on now; the jobs behind them are released. A remote model of unknown speed
/// gets runs of few documents.
pub fn runs_now(jobs: &[Job], model: &Embedder, is_interleaved: bool) -> Vec<Range<usize>> {
    let (bytes, least) = match model {
        Embedder::Local(_) => (BYTES, 0),
        Embedder::Remote(model) => model
            .speed()
            .map_or((REMOTE_BYTES, REMOTE_BYTES / REMOTE_JOBS), |speed| (remote_bytes(speed), 0)),
    };
    let sizes: Vec<usize> = jobs.iter().map(|job| least.max(job.size)).collect();
    let most = if is_interleaved { INTERLEAVED_BYTES } else { RUNS * bytes };
    let now = runs(&sizes, most).into_iter().next().unwrap_or_default();
    if is_interleaved && sizes[now.clone()].iter().sum::<usize>() > most {
        return Vec::new(); // A large document waits for its generation's turn.
    }
    runs(&sizes[now], bytes)
}
