//! Small documents of other generations, indexed between two steps of a batch that takes long: a collection with millions
//! of jobs does not keep the others waiting.
use crate::ingest::pipeline::batch;
use crate::ingest::pipeline::batch::End;
use crate::ingest::queue::changes;
use crate::ingest::queue::changes::{Changes, Step};
use crate::sys::failed::Failed;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{query, required};
use crate::sys::transaction::Host;
use crate::sys::workers::board::{ask_for_help, board};
use crate::sys::workers::duty::Duty;
use pgrx::pg_sys;
use std::time::{Duration, Instant};

/// How often to look, at the most; and where nobody can set a flag, how often without being called.
const LOOK: Duration = Duration::from_millis(200);
/// How long others may take in a row.
const TURN: Duration = Duration::from_secs(1);

/// The other generations, as a batch of one sees them.
pub struct Others {
    generation: i32,
    /// Those that rest after a failure, or had a long step.
    later: Vec<i32>,
    /// Those that have nothing that is done in a moment, or failed: the next turn's.
    left: Vec<i32>,
    looked: Instant,
}

impl Others {
    /// For a batch of `generation`.
    pub fn new(generation: i32, later: Vec<i32>) -> Self {
        Self { generation, later, left: Vec::new(), looked: Instant::now() }
    }

    /// Indexes what is small of generations that nobody works on, if a worker was called since. True where changes
    /// became jobs, so that claims may be void now.
    ///
    /// A failure is the next turn's to deal with, unless it is a wish to stop.
    pub fn serve(&mut self, host: &Host) -> Result<bool, Failed> {
        if self.looked.elapsed() < LOOK || !is_called() {
            return Ok(false);
        }
        let began = Instant::now();
        let found = host.transaction(|| Ok((changes::coalesce(None), changes::list(None))));
        let (changed, work) = match found {
            Ok(found) => found,
            Err(failed) if failed.is_cancel() => return Err(failed),
            // Such as a lock that was not to be had, which no document is to be charged with.
            Err(_) => (Changes::HeldUp, Vec::new()),
        };
        let mut is_left = false;
        for next in work {
            let is_waiting = next.step == Some(Step::Jobs) && !next.is_claimed;
            let is_other = next.generation != self.generation;
            if !is_waiting || !is_other || self.later.contains(&next.generation) {
                continue;
            }
            if began.elapsed() > TURN || self.left.contains(&next.generation) {
                is_left = true;
                continue;
            }
            let started = Instant::now();
            match batch::work_aside(host, next.generation) {
                Ok(End::Done) if started.elapsed() < TURN => {}
                Err(failed) if failed.is_cancel() => return Err(failed),
                Ok(_) | Err(_) => {
                    self.left.push(next.generation);
                    is_left = true;
                }
            }
        }
        if is_left {
            ask_for_help();
        }
        self.looked = Instant::now();
        Ok(changed == Changes::Taken)
    }

    /// Whether another generation has jobs that nobody is at.
    pub fn wait(&self, host: &Host) -> Result<bool, Failed> {
        host.transaction(|| {
            let sql = statement!("ingest/others");
            let args = [self.generation.into(), self.later.clone().into()];
            Ok(as_extension_owner(|| query(sql, &args, |row| required::<bool>(&row, 1))) == [true])
        })
    }
}

/// Whether something was committed since a worker of this database last looked.
#[allow(unsafe_code)]
fn is_called() -> bool {
    let Some(board) = board() else { return true };
    // SAFETY: reads this process's variable.
    let database = unsafe { pg_sys::MyDatabaseId };
    board.entry(database).is_none_or(|entry| entry.post(Duty::Index).take_wanted())
}
