//! Which documents are embedded and stored together, and the parts that a long one is stored in.
//!
//! A row takes a vector index a millisecond or more. What is stored by one transaction is therefore bounded by its
//! chunks: it holds up nobody for long, and what was embedded before is not lost with it. Parts of a long document are
//! found by searches as soon as they are stored; whoever goes on with it finds them by their hashes.
use crate::catalog::target::Target;
use crate::ingest::pipeline::apply::{Change, Outcome, State, apply_part};
use crate::ingest::pipeline::batch::Batch;
use crate::ingest::pipeline::embed::Embeddings;
use crate::sys::failed::Failed;
use rag::queue::plan::Chunk;
use std::collections::HashSet;
use std::rc::Rc;

/// Most chunks embedded and stored by one transaction.
const CHUNKS: usize = 512;
/// The same for a remote model: enough for several full requests at once.
const REMOTE_CHUNKS: usize = 2_048;

fn most_chunks(is_local: bool) -> usize {
    if is_local { CHUNKS } else { REMOTE_CHUNKS }
}

/// Documents in order, those together that are stored together; one with more chunks than that is alone.
pub fn groups(outcomes: Vec<Outcome>, is_local: bool) -> Vec<Vec<Outcome>> {
    let (mut groups, mut total) = (Vec::<Vec<Outcome>>::new(), 0);
    for outcome in outcomes {
        let chunks = outcome.new_chunks();
        match groups.last_mut() {
            Some(group) if total + chunks <= most_chunks(is_local) => {
                group.push(outcome);
                total += chunks;
            }
            _ => {
                groups.push(vec![outcome]);
                total = chunks;
            }
        }
    }
    groups
}

impl Batch<'_> {
    /// Embeds and stores all but the last part of a long document. False where it is not to be gone on with: its claim
    /// is void, or others wait for their turn.
    pub fn store_parts(&mut self, outcome: &mut Outcome) -> Result<bool, Failed> {
        let most = most_chunks(self.model.is_local());
        let mut is_first = true;
        while outcome.new_chunks() > most {
            if !is_first && self.lease.others_wait(self.host)? {
                return Ok(false);
            }
            is_first = false;
            let mut left = most;
            let is_next = |_: &Chunk| {
                let is_next = left > 0;
                left -= usize::from(is_next);
                is_next
            };
            let parts = [part(outcome, is_next)];
            let embeddings = self.embed(&parts)?;
            let [part] = parts;
            if !embeddings.has_all(&part) {
                if let Some(failed) = embeddings.rejected.into_values().next() {
                    self.give_up(part.position, &failed)?;
                }
                return embeddings.failed.map_or(Ok(false), Err);
            }
            let Some(ids) = self.store_part(&part, &embeddings)? else { return Ok(false) };
            note_stored(outcome, ids);
        }
        Ok(true)
    }

    /// `None` where the claim is void.
    fn store_part(
        &self,
        part: &Outcome,
        embeddings: &Embeddings,
    ) -> Result<Option<Vec<i64>>, Failed> {
        let chunks = part.new_chunks();
        self.show(|name| format!("rag_pg: storing {chunks} chunks of \"{name}\""));
        let stored = self.host.transaction(|| {
            let target = Target::reload(self.target.generation.id)?;
            self.reached("storing");
            apply_part(&target, part, embeddings)
        })?;
        self.reached("part");
        Ok(stored)
    }

    /// Stores those chunks of a document that were embedded before a failure that is not the document's ended the rest: they
    /// are paid for, and the next attempt finds them.
    pub fn store_begun(&self, outcome: &Outcome, all: &Embeddings) -> Result<(), Failed> {
        let first = outcome.first_result;
        let results = first..first + outcome.new_chunks();
        let embedded: Vec<usize> = results.filter(|position| all.spool.has(*position)).collect();
        if embedded.is_empty() {
            return Ok(());
        }
        let of_begun = self.host.outside(|| all.only(&embedded))?;
        let (mut left, mut next) = (embedded.iter().peekable(), first);
        let part = part(outcome, |_| {
            let is_embedded = left.next_if_eq(&&next).is_some();
            next += 1;
            is_embedded
        });
        self.store_part(&part, &of_begun).map(drop)
    }
}

/// What is known of a document once those of its new chunks are embedded that `is_embedded` says so of.
fn part(outcome: &Outcome, mut is_embedded: impl FnMut(&Chunk) -> bool) -> Outcome {
    let Change::Replace(state) = &outcome.change else { unreachable!("it has new chunks") };
    let is_known = |(chunk, kept): &&(Rc<Chunk>, Option<i64>)| kept.is_some() || is_embedded(chunk);
    let chunks = state.chunks.iter().filter(is_known).cloned().collect();
    Outcome {
        position: outcome.position,
        first_result: 0,
        key: outcome.key.clone(),
        token: outcome.token,
        expected: outcome.expected.clone(),
        change: Change::Replace(State { source_hash: Vec::new(), chunks, removed: Vec::new() }),
    }
}

/// Notes the rows that chunks are now, and what the documents row names.
fn note_stored(outcome: &mut Outcome, ids: Vec<i64>) {
    let Change::Replace(state) = &mut outcome.change else { return };
    let unkept = state.chunks.iter_mut().filter(|(_, kept)| kept.is_none());
    for ((_, kept), id) in unkept.zip(ids) {
        *kept = Some(id);
    }
    let mut named: Vec<i64> = state.chunks.iter().filter_map(|(_, kept)| *kept).collect();
    let known: HashSet<i64> = named.iter().copied().collect();
    let before = outcome.expected.take().unwrap_or_default();
    named.extend(before.into_iter().filter(|id| !known.contains(id)));
    outcome.expected = Some(named);
}
