//! Counters of searches and answers, in a block of memory that processes share.
//!
//! Counters only grow. A slot counts for one collection under an incarnation, a number that is never given twice:
//! whoever stores what a slot says stores the incarnation with it, and so knows later whether the slot still holds what was
//! stored, or counts anew. Nothing is taken out of the memory when it is stored, so nothing is ever counted twice.
use sha2::{Digest, Sha256};
use std::array::from_fn;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};

/// Upper bounds of the latency buckets in milliseconds; one more bucket counts what took longer.
pub const BOUNDS: [u32; 16] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000];

/// Where the latency buckets begin among a slot's numbers.
pub const BUCKETS: usize = 4;

/// Numbers of one kind: calls, those without an answer, those that failed, microseconds of the others, and their latency buckets.
pub const WIDTH: usize = BUCKETS + BOUNDS.len() + 1;

/// Collections of the server that can be counted at once.
pub const SLOTS: usize = 1_024;

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Searches.
    Search,
    /// Answers.
    Answer,
}

impl Kind {
    /// All of them, in the order of a slot.
    pub const ALL: [Self; 2] = [Self::Search, Self::Answer];

    /// Its name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Answer => "answer",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With what was asked for.
    Found,
    /// Without an answer, or without a chunk.
    Nothing,
    /// With an error, or it was cancelled.
    Failed,
}

/// A collection of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// OID of the database.
    pub database: u32,
    /// Number of the collection.
    pub collection: i32,
}

impl Key {
    fn packed(self) -> u64 {
        u64::from(self.database) << 32 | u64::from(self.collection.cast_unsigned())
    }

    fn unpacked(packed: u64) -> Self {
        Self { database: (packed >> 32) as u32, collection: (packed as u32).cast_signed() }
    }
}

/// The counters of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The collection.
    pub collection: i32,
    /// Whether these numbers continue those of an earlier look.
    pub incarnation: i64,
    /// By [`Kind`].
    pub numbers: [[u64; WIDTH]; 2],
}

impl Counted {
    /// Calls of all kinds.
    pub fn calls(&self) -> u64 {
        self.numbers.iter().map(|numbers| numbers[0]).sum()
    }
}

#[derive(Debug)]
struct Slot {
    incarnation: AtomicI64,
    used_at: AtomicI64,
    /// When a worker was last asked to store the slot.
    asked_at: AtomicI64,
    /// Calls that are stored.
    stored: AtomicU64,
    numbers: [[AtomicU64; WIDTH]; 2],
}

impl Slot {
    fn new(incarnation: i64, now: i64) -> Self {
        Self {
            incarnation: AtomicI64::new(incarnation),
            used_at: AtomicI64::new(now),
            asked_at: AtomicI64::new(now),
            stored: AtomicU64::new(0),
            numbers: from_fn(|_| from_fn(|_| AtomicU64::new(0))),
        }
    }

    fn calls(&self) -> u64 {
        self.numbers.iter().map(|numbers| numbers[0].load(Relaxed)).sum()
    }

    fn is_stored(&self) -> bool {
        self.stored.load(Relaxed) == self.calls()
    }
}

/// The counters of a server. Methods that take `&mut self` want all others kept out.
#[derive(Debug)]
pub struct QueryStats {
    next_incarnation: i64,
    /// Calls that found no slot.
    lost: AtomicU64,
    /// Packed; 0 marks a free slot.
    keys: [u64; SLOTS],
    slots: [Slot; SLOTS],
}

impl QueryStats {
    /// Empty ones. `incarnation` is greater than any that was given before: a time in microseconds.
    pub fn new(incarnation: i64) -> Self {
        Self {
            next_incarnation: incarnation,
            lost: AtomicU64::new(0),
            keys: [0; SLOTS],
            slots: from_fn(|_| Slot::new(0, 0)),
        }
    }

    /// The slot of a collection; `hint` is where it was last.
    pub fn find(&self, key: Key, hint: usize) -> Option<usize> {
        let key = key.packed();
        if self.keys.get(hint) == Some(&key) {
            return Some(hint);
        }
        self.keys.iter().position(|one| *one == key)
    }

    /// Counts a call of the collection in slot `at`. Whether somebody should store what it says: it has not been for
    /// `patience` microseconds, and nobody was asked to since.
    pub fn count(&self, at: usize, call: &Call, patience: i64) -> bool {
        let (slot, now) = (&self.slots[at], call.now);
        let numbers = &slot.numbers[call.kind as usize];
        match call.end {
            End::Failed => numbers[2].fetch_add(1, Relaxed),
            End::Nothing => numbers[1].fetch_add(1, Relaxed),
            End::Found => 0,
        };
        if call.end != End::Failed {
            numbers[3].fetch_add(call.micros, Relaxed);
            numbers[BUCKETS + bucket(call.micros)].fetch_add(1, Relaxed);
        }
        numbers[0].fetch_add(1, Relaxed);
        slot.used_at.store(now, Relaxed);
        let asked_at = slot.asked_at.load(Relaxed);
        now.saturating_sub(asked_at) > patience
            && slot.asked_at.compare_exchange(asked_at, now, Relaxed, Relaxed).is_ok()
    }

    /// Counts a call that no slot could be had for.
    pub fn lose(&self) {
        self.lost.fetch_add(1, Relaxed);
    }

    /// Calls that were lost since this was last asked.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Relaxed)
    }

    /// A slot for a collection that has none: a free one, else the one used longest ago of those that are stored.
    pub fn claim(&mut self, key: Key, now: i64) -> Option<usize> {
        if let Some(at) = self.find(key, SLOTS) {
            return Some(at);
        }
        let stored = || {
            let is_stored = |at: &usize| self.slots[*at].is_stored();
            (0..SLOTS).filter(is_stored).min_by_key(|at| self.slots[*at].used_at.load(Relaxed))
        };
        let at = self.keys.iter().position(|key| *key == 0).or_else(stored)?;
        self.keys[at] = key.packed();
        self.slots[at] = Slot::new(self.next_incarnation, now);
        self.next_incarnation += 1;
        Some(at)
    }

    fn of(&self, database: u32) -> impl Iterator<Item = (i32, &Slot)> {
        let used = self.keys.iter().zip(&self.slots).filter(|(key, _)| **key != 0);
        used.map(|(key, slot)| (Key::unpacked(*key), slot))
            .filter(move |(key, _)| key.database == database)
            .map(|(key, slot)| (key.collection, slot))
    }

    /// Whether all counters of `database` are stored.
    pub fn is_stored(&self, database: u32) -> bool {
        self.of(database).all(|(_, slot)| slot.is_stored())
    }

    /// What the slots of `database` say; those that are not stored alone where `only_new`.
    pub fn read(&self, database: u32, only_new: bool) -> Vec<Counted> {
        let wanted = self.of(database).filter(|(_, slot)| !only_new || !slot.is_stored());
        let counted = |(collection, slot): (i32, &Slot)| Counted {
            collection,
            incarnation: slot.incarnation.load(Relaxed),
            numbers: from_fn(|kind| from_fn(|n| slot.numbers[kind][n].load(Relaxed))),
        };
        wanted.map(counted).collect()
    }

    /// Notes that what was read is stored.
    pub fn stored(&self, database: u32, counted: &[Counted], now: i64) {
        for (collection, slot) in self.of(database) {
            slot.asked_at.store(now, Relaxed);
            let is_it = |one: &&Counted| {
                one.collection == collection && one.incarnation == slot.incarnation.load(Relaxed)
            };
            if let Some(one) = counted.iter().find(is_it) {
                slot.stored.store(one.calls(), Relaxed);
            }
        }
    }

    /// Frees the slots of which `is_gone` says so, of the collection and when it was last used.
    pub fn forget(&mut self, is_gone: impl Fn(Key, i64) -> bool) {
        for (key, slot) in self.keys.iter_mut().zip(&self.slots) {
            if *key != 0 && is_gone(Key::unpacked(*key), slot.used_at.load(Relaxed)) {
                *key = 0;
            }
        }
    }

    /// All of it, to be kept in a file while the server is down.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut words = vec![MAGIC, self.next_incarnation.cast_unsigned()];
        for (key, slot) in self.keys.iter().zip(&self.slots).filter(|(key, _)| **key != 0) {
            let times = [&slot.incarnation, &slot.used_at];
            words.push(*key);
            words.extend(times.map(|time| time.load(Relaxed).cast_unsigned()));
            words.push(slot.stored.load(Relaxed));
            words.extend(slot.numbers.iter().flatten().map(|number| number.load(Relaxed)));
        }
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        bytes.extend_from_slice(&Sha256::digest(&bytes));
        bytes
    }

    /// Takes in what [`Self::to_bytes`] made; false, and nothing is changed, where the bytes are not that.
    pub fn load(&mut self, bytes: &[u8]) -> bool {
        let Some((bytes, digest)) = bytes.split_last_chunk::<32>() else { return false };
        if *Sha256::digest(bytes) != *digest || bytes.len() % 8 != 0 {
            return false;
        }
        let mut words = bytes
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
        let (Some(MAGIC), Some(next)) = (words.next(), words.next()) else { return false };
        let words: Vec<u64> = words.collect();
        if !words.len().is_multiple_of(4 + 2 * WIDTH) || words.len() / (4 + 2 * WIDTH) > SLOTS {
            return false;
        }
        self.next_incarnation = self.next_incarnation.max(next.cast_signed());
        for (at, words) in words.chunks_exact(4 + 2 * WIDTH).enumerate() {
            let slot = Slot::new(words[1].cast_signed(), words[2].cast_signed());
            slot.stored.store(words[3], Relaxed);
            for (number, word) in slot.numbers.iter().flatten().zip(&words[4..]) {
                number.store(*word, Relaxed);
            }
            (self.keys[at], self.slots[at]) = (words[0], slot);
        }
        true
    }
}

/// Begins a file; changes with its form.
const MAGIC: u64 = u64::from_le_bytes(*b"ragqst01");

/// A call that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// What was asked for.
    pub kind: Kind,
    /// How it ended.
    pub end: End,
    /// How long it took.
    pub micros: u64,
    /// When, in microseconds.
    pub now: i64,
}

/// The first bucket whose bound is not exceeded.
fn bucket(micros: u64) -> usize {
    BOUNDS.partition_point(|bound| u64::from(*bound) * 1_000 < micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEVER: i64 = i64::MAX;

    fn key(collection: i32) -> Key {
        Key { database: 5, collection }
    }

    fn call(kind: Kind, end: End, micros: u64) -> Call {
        Call { kind, end, micros, now: 1 }
    }

    fn boxed(incarnation: i64) -> Box<QueryStats> {
        Box::new(QueryStats::new(incarnation))
    }

    #[test]
    fn bounds_belong_to_their_bucket() {
        assert_eq!([0, 1_000, 1_001, 2_000].map(bucket), [0, 0, 1, 1]);
        assert_eq!(bucket(100_000_000), BOUNDS.len() - 1);
        assert_eq!(bucket(100_000_001), BOUNDS.len());
        assert_eq!(bucket(u64::MAX), BOUNDS.len());
    }

    #[test]
    fn failed_calls_have_no_latency() {
        let mut stats = boxed(1);
        let at = stats.claim(key(-3), 0).unwrap();
        stats.count(at, &call(Kind::Search, End::Found, 1_500), NEVER);
        stats.count(at, &call(Kind::Search, End::Nothing, 500), NEVER);
        stats.count(at, &call(Kind::Search, End::Failed, 9_000_000), NEVER);
        stats.count(at, &call(Kind::Answer, End::Found, 30_000), NEVER);
        let [counted] = stats.read(5, false).try_into().unwrap();
        assert_eq!(counted.collection, -3);
        assert_eq!(counted.numbers[0][..6], [3, 1, 1, 2_000, 1, 1]);
        assert_eq!(counted.numbers[1][..4], [1, 0, 0, 30_000]);
        assert_eq!(counted.calls(), 4);
        assert!(stats.read(6, false).is_empty());
    }

    #[test]
    fn a_full_table_gives_up_the_stored_slot_used_longest_ago() {
        let mut stats = boxed(100);
        for n in 0..SLOTS as i32 {
            let at = stats.claim(key(n + 1), i64::from(n)).unwrap();
            let now = i64::from(n);
            stats.count(at, &Call { kind: Kind::Search, end: End::Found, micros: 1, now }, NEVER);
        }
        assert_eq!(stats.claim(key(-1), 0), None, "nothing is stored yet");
        let counted = stats.read(5, true);
        assert_eq!(counted.len(), SLOTS);
        stats.stored(5, &counted, 0);
        assert!(stats.is_stored(5));
        // A call after it was stored keeps the oldest where it is.
        let oldest = stats.find(key(1), SLOTS).unwrap();
        stats.count(oldest, &call(Kind::Search, End::Found, 1), NEVER);
        assert_eq!(stats.read(5, true).len(), 1);
        let second = stats.find(key(2), SLOTS);
        assert_eq!(stats.claim(key(-1), 0), second);
        assert_eq!(stats.find(key(2), second.unwrap()), None);
        let new = stats.read(5, false).into_iter().find(|one| one.collection == -1).unwrap();
        assert_eq!((new.incarnation, new.calls()), (100 + SLOTS as i64, 0));
    }

    #[test]
    fn one_caller_a_patience_is_told_to_have_it_stored() {
        let mut stats = boxed(1);
        let at = stats.claim(key(1), 1_000).unwrap();
        let mut count =
            |now| stats.count(at, &Call { now, ..call(Kind::Search, End::Found, 1) }, 60);
        assert_eq!(
            [1_000, 1_060, 1_061, 1_062, 1_121, 1_122].map(&mut count),
            [false, false, true, false, false, true]
        );
        let counted = stats.read(5, true);
        stats.stored(5, &counted, 2_000);
        assert!(!stats.count(at, &Call { now: 2_050, ..call(Kind::Search, End::Found, 1) }, 60));
    }

    #[test]
    fn what_is_gone_frees_its_slot() {
        let mut stats = boxed(1);
        let first = stats.claim(key(1), 10).unwrap();
        let second = stats.claim(key(2), 20).unwrap();
        stats.forget(|key, used_at| key.collection == 1 && used_at < 15);
        assert_eq!(stats.find(key(1), first), None);
        assert_eq!(stats.find(key(2), first), Some(second));
        assert_eq!(stats.claim(key(3), 30), Some(first));
    }

    proptest! {
        /// The sums that a table has, kept as the store statement keeps them, plus what is in memory, are always the calls made,
        /// whatever is stored, given up, reloaded or repeated.
        #[test]
        fn stored_and_new_add_up(steps in prop::collection::vec((0_i32..40, 0_u8..8), 1..200)) {
            let mut stats = boxed(1);
            let mut made = [0_u64; 40];
            // Of each collection: incarnation, sum of earlier ones, latest.
            let mut table = [(0_i64, 0_u64, 0_u64); 40];
            for (now, (collection, action)) in (1..).zip(steps) {
                match action {
                    0 => {
                        let counted = stats.read(5, false);
                        for one in &counted {
                            let row = &mut table[one.collection as usize - 1];
                            let earlier = if row.0 == one.incarnation { row.1 } else { row.1 + row.2 };
                            *row = (one.incarnation, earlier, one.calls());
                        }
                        stats.stored(5, &counted, now);
                    }
                    1 => {
                        let bytes = stats.to_bytes();
                        stats = boxed(now);
                        prop_assert!(stats.load(&bytes));
                    }
                    2 => {
                        // Given up, as where it was needed for another: only where it is stored.
                        let stored: Vec<i32> = stats.of(5).filter(|(_, slot)| slot.is_stored()).map(|(id, _)| id).collect();
                        stats.forget(|key, _| stored.contains(&key.collection) && key.collection % 2 == 0);
                    }
                    _ => {
                        let at = stats.claim(key(collection + 1), now).unwrap();
                        stats.count(at, &Call { now, ..call(Kind::Search, End::Found, 1) }, NEVER);
                        made[collection as usize] += 1;
                    }
                }
                let counted = stats.read(5, false);
                for (collection, made) in (1..).zip(&made) {
                    let (incarnation, earlier, latest) = table[collection as usize - 1];
                    let seen = match counted.iter().find(|one| one.collection == collection) {
                        Some(one) if one.incarnation == incarnation => earlier + one.calls(),
                        Some(one) => earlier + latest + one.calls(),
                        None => earlier + latest,
                    };
                    prop_assert_eq!(seen, *made);
                }
            }
        }

        #[test]
        fn damaged_files_are_refused(at in 0_usize..2_000, bit in 0_u8..8) {
            let mut stats = boxed(1);
            let slot = stats.claim(key(1), 5).unwrap();
            stats.count(slot, &call(Kind::Search, End::Found, 1), NEVER);
            let mut bytes = stats.to_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(!boxed(1).load(&bytes));
            prop_assert!(!boxed(1).load(&bytes[..at]));
        }
    }
}
