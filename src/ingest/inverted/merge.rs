//! Upkeep of inverted files: workers merge segments, one merge of a generation at a time, each in a transaction of its own.
//!
//! A search with an older snapshot goes on with the segments that it sees. Where a worker is killed, nothing is left.
use crate::catalog::inverted::{self, SegmentRow, SegmentSource};
use crate::catalog::target::{Target, warn_about};
use crate::ingest::inverted::{PostingRows, count, insert_segment};
use crate::sys::cursor::Snapshot;
use crate::sys::failed::Failed;
use crate::sys::interrupt::checkpoint;
use crate::sys::rights::as_source_owner;
use crate::sys::spi::fill;
use crate::sys::time_limit::execute;
use crate::sys::transaction::Host;
use crate::sys::workers::admission;
use rag::inverted::upkeep::{self, Purge, SegmentSize};
use rag::inverted::{RowSink, Sink, Totals};
use rag::{Error, Result};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// How long merges go on before jobs are looked at again. A single merge takes some seconds at the most.
const TURN: Duration = Duration::from_secs(1);

/// How long to leave a generation alone whose merge failed.
const RETRY: Duration = Duration::from_mins(10);

/// Generations that may have segments to merge.
#[derive(Default)]
pub struct Merges {
    due: BTreeSet<i32>,
    generations: HashMap<i32, GenerationMerges>,
}

#[derive(Default)]
struct GenerationMerges {
    purge: Purge,
    failed_at: Option<Instant>,
}

impl Merges {
    /// Notes that segments may have been added.
    pub fn add(&mut self, generation: i32) {
        let failed_at = self.generations.get(&generation).and_then(|one| one.failed_at);
        if failed_at.is_none_or(|at| at.elapsed() >= RETRY) {
            self.due.insert(generation);
        }
    }

    /// Merges for a while; whether there may be more to merge.
    pub fn run(&mut self, host: &Host) -> Result<bool, Failed> {
        let started = Instant::now();
        while let Some(generation) = self.due.pop_first() {
            let state = self.generations.entry(generation).or_default();
            match merge_next(host, generation, &mut state.purge) {
                Ok(true) => drop(self.due.insert(generation)),
                Ok(false) => {}
                Err(failed) if failed.is_cancel() => return Err(failed),
                Err(failed) => {
                    // Searches find everything without it.
                    state.failed_at = Some(Instant::now());
                    warn_about(host, generation, &failed)?;
                }
            }
            if started.elapsed() >= TURN {
                break;
            }
        }
        Ok(!self.due.is_empty())
    }
}

/// Merges the segments of a generation that come next; false: there are none, or another process is at it.
fn merge_next(host: &Host, generation: i32, purge: &mut Purge) -> Result<bool, Failed> {
    host.transaction(|| {
        let Some(target) = Target::load(generation)? else { return Ok(false) };
        if !admission::inverted_file(generation).try_exclusive_for_transaction() {
            return Ok(false);
        }
        // Only now: a merge that was under way has committed. What is chosen, read and replaced is of one snapshot: a segment
        // that commits later is none of them.
        let _snapshot = Snapshot::take();
        host.reached("choosing segments");
        as_source_owner(target.collection.owner, || {
            let mut segments = inverted::segments(&target.generation)?;
            let sizes: Vec<SegmentSize> = segments.iter().map(size).collect();
            let Some(numbers) = upkeep::choose(&sizes, purge) else { return Ok(false) };
            segments.retain(|segment| numbers.contains(&segment.number));
            host.show(Some(&format!("rag_pg: merging segments of \"{}\"", target.collection.name)));
            merge(host, &target, segments)
                .map_err(|error| inverted::damaged(&target.generation, error))?;
            Ok(true)
        })
    })
}

fn size(segment: &SegmentRow) -> SegmentSize {
    let SegmentRow { number, is_deletion, chunks, ref inline, .. } = *segment;
    SegmentSize { number, is_deletion, is_inline: inline.is_some(), chunks }
}

/// Replaces segments by those they are merged to.
fn merge(host: &Host, target: &Target, segments: Vec<SegmentRow>) -> Result<()> {
    let numbers: Vec<i32> = segments.iter().map(|segment| segment.number).collect();
    let (deletions, live): (Vec<_>, Vec<_>) =
        segments.into_iter().partition(|segment| segment.is_deletion);
    let mut of_live = MergedSegment::of(target, &live, false);
    let mut of_deletions = MergedSegment::of(target, &deletions, true);
    let live = SegmentSource::open(&target.generation, live)?;
    let deletions = SegmentSource::open(&target.generation, deletions)?;
    let merged = {
        let mut live_row = row_sink(&mut of_live.rows);
        let mut deletions_row = row_sink(&mut of_deletions.rows);
        let live_sink = sink(&mut of_live.inline, &mut live_row);
        let deletions_sink = sink(&mut of_deletions.inline, &mut deletions_row);
        rag::inverted::merge(live, deletions, live_sink, deletions_sink, &mut checkpoint)?
    };
    host.reached("merging");
    of_live.finish(target, merged.live)?;
    of_deletions.finish(target, merged.deletions)?;
    delete(target, &numbers)
}

/// A segment that others are merged to: either one value or rows.
struct MergedSegment {
    is_deletion: bool,
    inline: Option<Vec<u8>>,
    rows: Option<PostingRows>,
}

impl MergedSegment {
    fn of(target: &Target, merged: &[SegmentRow], is_deletion: bool) -> Self {
        let chunks = merged.iter().map(|row| row.chunks).sum();
        let length = merged.iter().map(|row| row.length).sum();
        if upkeep::is_inline(chunks, length) {
            return Self { is_deletion, inline: Some(Vec::new()), rows: None };
        }
        let segment = insert_segment(target, is_deletion, chunks, length, None);
        Self { is_deletion, inline: None, rows: Some(PostingRows::new(target, segment)) }
    }

    /// Stores how many chunks are left; a segment without any goes.
    fn finish(self, target: &Target, Totals { chunks, length }: Totals) -> Result<()> {
        if let Some(mut rows) = self.rows {
            rows.flush();
            if chunks == 0 {
                return delete(target, &[rows.segment]);
            }
            let sql = statement!("ingest/update_segment");
            let args = [rows.segment.into(), count(chunks).into(), count(length).into()];
            execute(&fill(sql, &[("segments", &target.segments)]), &args);
        } else if chunks > 0 {
            insert_segment(target, self.is_deletion, chunks, length, self.inline);
        }
        Ok(())
    }
}

fn row_sink(rows: &mut Option<PostingRows>) -> impl FnMut(&str, u32, &[u8]) -> Result<()> {
    |lexeme, part, data| {
        rows.as_mut().expect("what is not inline has rows").push(lexeme, part, data);
        Ok(())
    }
}

fn sink<'s>(inline: &'s mut Option<Vec<u8>>, row: RowSink<'s>) -> Sink<'s> {
    inline.as_mut().map_or(Sink::Rows(row), Sink::Inline)
}

/// Deletes segments with their posting lists. Runs as the source's owner.
pub fn delete(target: &Target, numbers: &[i32]) -> Result<()> {
    let postings = fill(statement!("ingest/delete_postings"), &[("postings", &target.postings)]);
    let segments = fill(statement!("ingest/delete_segments"), &[("segments", &target.segments)]);
    execute(&postings, &[numbers.to_vec().into()]);
    if execute(&segments, &[numbers.to_vec().into()]) == numbers.len() {
        return Ok(());
    }
    Err(Error::conflict("segments of an inverted file changed while they were being merged"))
}
