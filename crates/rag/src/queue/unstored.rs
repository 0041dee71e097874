//! Embedded texts that were not stored, since the transaction failed or the document changed meanwhile: the next attempt takes
//! them from here, and no model is asked for them again.
use super::diff::ChunkHash;
use super::plan::Embedded;
use super::spool::{Spool, SpoolHandle};
use crate::Result;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Bytes that are kept; the oldest go first.
const MAX_KEPT_BYTES: u64 = 256 * 1024 * 1024;
/// How long they are kept: longer than the longest pause before another attempt.
const KEPT_FOR: Duration = Duration::from_mins(15);

/// What was not stored, by generation and hash of the text: see [`Chunk::embedding_hash`](super::plan::Chunk::embedding_hash).
#[derive(Default)]
pub struct Unstored {
    /// The oldest first.
    batches: VecDeque<UnstoredBatch>,
}

/// What one transaction did not store.
struct UnstoredBatch {
    kept_at: Instant,
    generation: i32,
    spool: Spool,
    handles: HashMap<ChunkHash, SpoolHandle>,
}

impl Unstored {
    /// Keeps texts that were embedded for a generation; their results are in `spool`.
    pub fn keep(
        &mut self,
        generation: i32,
        texts: impl IntoIterator<Item = (ChunkHash, SpoolHandle)>,
        spool: Spool,
    ) {
        self.keep_at(Instant::now(), generation, texts, spool);
        while self.batches.len() > 1
            && self.batches.iter().map(|batch| batch.spool.size()).sum::<u64>() > MAX_KEPT_BYTES
        {
            self.batches.pop_front();
        }
    }

    fn keep_at(
        &mut self,
        kept_at: Instant,
        generation: i32,
        texts: impl IntoIterator<Item = (ChunkHash, SpoolHandle)>,
        spool: Spool,
    ) {
        let handles: HashMap<ChunkHash, SpoolHandle> = texts.into_iter().collect();
        if !handles.is_empty() {
            let (handles, spool) = compact(handles, spool);
            self.batches.push_back(UnstoredBatch { kept_at, generation, spool, handles });
        }
    }

    /// Takes a text of a generation out, if it is kept.
    pub fn take(&mut self, generation: i32, hash: &ChunkHash) -> Result<Option<Embedded>> {
        for batch in self.batches.iter_mut().filter(|batch| batch.generation == generation) {
            if let Some(handle) = batch.handles.remove(hash) {
                return batch.spool.get(handle).map(Some);
            }
        }
        Ok(None)
    }

    /// Frees what is taken out, and what is too old.
    pub fn tidy(&mut self) {
        self.batches
            .retain(|batch| !batch.handles.is_empty() && batch.kept_at.elapsed() < KEPT_FOR);
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

/// Leaves out of a spool what has no handle any more, where that is most of it.
fn compact(
    handles: HashMap<ChunkHash, SpoolHandle>,
    spool: Spool,
) -> (HashMap<ChunkHash, SpoolHandle>, Spool) {
    let wanted: u64 = handles.values().map(SpoolHandle::size).sum();
    if wanted > spool.size() / 2 {
        return (handles, spool);
    }
    let (hashes, old): (Vec<ChunkHash>, Vec<SpoolHandle>) = handles.iter().unzip();
    match spool.copy(&old) {
        Ok((copy, copied)) => (hashes.into_iter().zip(copied).collect(), copy),
        Err(_) => (handles, spool),
    }
}

#[cfg(test)]
mod tests {
    use super::{ChunkHash, Embedded, Instant, KEPT_FOR, Spool, SpoolHandle, Unstored};

    fn embedded(value: u8) -> Embedded {
        Embedded { vector: vec![f32::from(value)], bits: Some(vec![value]) }
    }

    fn hash(value: u8) -> ChunkHash {
        [value; size_of::<ChunkHash>()]
    }

    fn batch(values: &[u8]) -> (Vec<(ChunkHash, SpoolHandle)>, Spool) {
        let mut spool = Spool::new(std::env::temp_dir());
        let put = |value: &u8| (hash(*value), spool.put(&embedded(*value)).unwrap());
        (values.iter().map(put).collect(), spool)
    }

    #[test]
    fn each_chunk_is_given_back_once_and_to_its_generation() {
        let mut unstored = Unstored::default();
        for (generation, values) in [(1, &[1, 2, 3][..]), (2, &[1, 9]), (1, &[4])] {
            let (chunks, spool) = batch(values);
            unstored.keep(generation, chunks, spool);
        }
        assert_eq!(unstored.take(1, &hash(9)).unwrap(), None);
        for (generation, value) in [(1, 4), (2, 9), (2, 1), (1, 2), (1, 1), (1, 3)] {
            assert!(!unstored.is_empty());
            let taken = unstored.take(generation, &hash(value)).unwrap();
            assert_eq!(taken, Some(embedded(value)));
            assert_eq!(unstored.take(generation, &hash(value)).unwrap(), None);
            unstored.tidy();
        }
        assert!(unstored.is_empty());
    }

    #[test]
    fn one_of_many_does_not_keep_the_others_in_memory() {
        let mut unstored = Unstored::default();
        let (chunks, spool) = batch(&[1, 2, 3, 4]);
        let size = spool.size();
        unstored.keep(1, chunks.into_iter().skip(3), spool);
        assert_eq!(unstored.batches[0].spool.size(), size / 4);
        assert_eq!(unstored.take(1, &hash(4)).unwrap(), Some(embedded(4)));
        assert_eq!(unstored.take(1, &hash(1)).unwrap(), None);
    }

    #[test]
    fn nothing_and_what_is_old_is_not_kept() {
        let mut unstored = Unstored::default();
        let (none, spool) = batch(&[]);
        unstored.keep(1, none, spool);
        assert!(unstored.is_empty());
        let Some(long_ago) = Instant::now().checked_sub(KEPT_FOR) else { return };
        let (chunks, spool) = batch(&[1]);
        unstored.keep_at(long_ago, 1, chunks, spool);
        unstored.tidy();
        assert!(unstored.is_empty());
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many() {
        let mut unstored = Unstored::default();
        for value in 0..3 {
            let mut spool = Spool::new(std::env::temp_dir());
            let large = Embedded { vector: vec![0.0; 25 * 1024 * 1024], bits: None };
            let handle = spool.put(&large).unwrap();
            unstored.keep(1, [(hash(value), handle)], spool);
        }
        assert_eq!(unstored.take(1, &hash(0)).unwrap(), None);
        assert!(unstored.take(1, &hash(1)).unwrap().is_some());
        assert!(unstored.take(1, &hash(2)).unwrap().is_some());
    }
}
