//! Embeddings of questions that were asked before, in a block of memory that processes may share.
//!
//! The key is a hash of the model's fingerprint and the question's tokens: what the model sees. Two texts
//! with the same tokens have the same embedding whatever their spaces and, where the model ignores it,
//! their case; no text is kept. A slot is as large as most questions need, a longer one is not kept.
use crate::model::{Embedding, TokenVectors};
use sha2::{Digest, Sha256};

/// Numbers that a slot holds: the vector and 42 token vectors at 384 dimensions.
const NUMBERS: usize = 16_512;
/// Slots that a key may lie in.
const WAYS: usize = 4;

/// What stands for a question.
pub type Key = [u8; 32];

/// The key of a question of these tokens, without special ones, asked of the model `fingerprint`.
pub fn key(fingerprint: &str, tokens: &[u32]) -> Key {
    let mut hash = Sha256::new();
    hash.update((fingerprint.len() as u64).to_le_bytes());
    hash.update(fingerprint.as_bytes());
    for token in tokens {
        hash.update(token.to_le_bytes());
    }
    hash.finalize().into()
}

/// Room for one embedding. Any bytes are one; it is empty where `used_at` is 0.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Slot {
    key: Key,
    /// When it was last used; 0: empty.
    used_at: u64,
    vector: u32,
    tokens: u32,
    token_count: u32,
    truncated: u32,
    numbers: [f32; NUMBERS],
}

impl Slot {
    /// An empty one.
    #[allow(clippy::large_stack_arrays)] // 65 kB, where a backend makes its own few
    pub fn new() -> Self {
        Self {
            key: [0; 32],
            used_at: 0,
            vector: 0,
            tokens: 0,
            token_count: 0,
            truncated: 0,
            numbers: [0.0; NUMBERS],
        }
    }

    /// Empties it, whatever bytes it is made of.
    pub fn clear(&mut self) {
        self.used_at = 0;
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

/// What a cache counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counters {
    clock: u64,
    /// Questions that were known.
    pub hits: u64,
    /// Questions that were not.
    pub misses: u64,
}

impl Counters {
    /// New ones.
    pub const fn new() -> Self {
        Self { clock: 0, hits: 0, misses: 0 }
    }
}

/// A cache over memory that somebody else owns, and keeps others out of meanwhile.
pub struct Cache<'a> {
    /// Its counters.
    pub counters: &'a mut Counters,
    /// Its slots, any number.
    pub slots: &'a mut [Slot],
}

impl Cache<'_> {
    /// The embedding of a key, with token vectors if `with_tokens`.
    pub fn get(&mut self, key: &Key, with_tokens: bool) -> Option<Embedding> {
        let Self { counters, slots } = self;
        let (from, to) = places(key, slots.len());
        let fits = |slot: &&mut Slot| {
            slot.used_at > 0 && slot.key == *key && (slot.tokens > 0 || !with_tokens)
        };
        let Some(slot) = slots[from..to].iter_mut().find(fits) else {
            counters.misses += 1;
            return None;
        };
        counters.hits += 1;
        counters.clock += 1;
        slot.used_at = counters.clock;
        let (vector, tokens) = (slot.vector as usize, slot.tokens as usize);
        Some(Embedding {
            vector: slot.numbers[..vector].to_vec(),
            tokens: with_tokens.then(|| TokenVectors {
                dimensions: vector,
                data: slot.numbers[vector..vector + tokens].to_vec(),
            }),
            token_count: slot.token_count as usize,
            truncated: slot.truncated != 0,
        })
    }

    /// Keeps an embedding, in place of the one used longest ago of those that it may lie beside. One too
    /// large is not kept.
    pub fn put(&mut self, key: &Key, embedding: &Embedding) {
        let vector = &embedding.vector;
        let tokens = embedding.tokens.as_ref();
        if tokens.is_some_and(|tokens| tokens.dimensions != vector.len()) {
            return;
        }
        let tokens: &[f32] = tokens.map_or(&[], |tokens| &tokens.data);
        let Self { counters, slots } = self;
        let (from, to) = places(key, slots.len());
        let (all, ways) = (vector.len() + tokens.len(), &mut slots[from..to]);
        let known = ways.iter().position(|slot| slot.used_at > 0 && slot.key == *key);
        let oldest = || (0..ways.len()).min_by_key(|&way| ways[way].used_at);
        let Some(way) = known.or_else(oldest).filter(|_| all <= NUMBERS) else { return };
        let slot = &mut ways[way];
        counters.clock += 1;
        slot.key = *key;
        slot.used_at = counters.clock;
        slot.vector = vector.len() as u32;
        slot.tokens = tokens.len() as u32;
        slot.token_count = u32::try_from(embedding.token_count).unwrap_or(u32::MAX);
        slot.truncated = u32::from(embedding.truncated);
        slot.numbers[..vector.len()].copy_from_slice(vector);
        slot.numbers[vector.len()..all].copy_from_slice(tokens);
    }

    /// Slots in use.
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.used_at > 0).count()
    }

    /// Whether no slot is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The slots that a key may lie in, of `count`.
fn places(key: &Key, count: usize) -> (usize, usize) {
    let number = u64::from_le_bytes(key[..8].try_into().expect("eight bytes")) as usize;
    let sets = (count / WAYS).max(1);
    let from = number % sets * WAYS;
    // What does not make a whole set belongs to the last one.
    let to = if number % sets == sets - 1 { count } else { from + WAYS };
    (from.min(count), to.min(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(count: usize) -> Vec<Slot> {
        vec![Slot::new(); count]
    }

    fn embedding(value: f32, tokens: Option<usize>) -> Embedding {
        let tokens = tokens.map(|n| TokenVectors { dimensions: 2, data: vec![value; 2 * n] });
        Embedding { vector: vec![value, 1.0], tokens, token_count: 3, truncated: false }
    }

    #[test]
    fn what_was_put_comes_back() {
        let (mut counters, mut slots) = (Counters::default(), slots(8));
        let mut cache = Cache { counters: &mut counters, slots: &mut slots };
        let known = key("model", &[1, 2, 3]);
        assert_eq!(cache.get(&known, false), None);
        let full = embedding(0.5, Some(3));
        cache.put(&known, &full);
        assert_eq!(cache.get(&known, true), Some(full.clone()));
        assert_eq!(cache.get(&known, false), Some(Embedding { tokens: None, ..full }));
        assert_eq!(cache.get(&key("other", &[1, 2, 3]), false), None);
        assert_eq!(cache.get(&key("model", &[1, 2]), false), None);
        assert_eq!((cache.counters.hits, cache.counters.misses, cache.len()), (2, 3, 1));
    }

    #[test]
    fn one_without_token_vectors_does_not_stand_for_one_with() {
        let (mut counters, mut slots) = (Counters::default(), slots(4));
        let mut cache = Cache { counters: &mut counters, slots: &mut slots };
        let known = key("model", &[1]);
        cache.put(&known, &embedding(0.5, None));
        assert_eq!(cache.get(&known, true), None);
        cache.put(&known, &embedding(0.5, Some(1)));
        assert!(cache.get(&known, true).is_some());
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn it_never_grows_and_forgets_the_one_used_longest_ago() {
        for count in [0, 1, 3, 4, 5, 11] {
            let (mut counters, mut slots) = (Counters::default(), slots(count));
            let mut cache = Cache { counters: &mut counters, slots: &mut slots };
            for n in 0..100 {
                cache.put(&key("model", &[n]), &embedding(n as f32, None));
                let last = cache.get(&key("model", &[n]), false);
                assert_eq!(last.is_some(), count > 0, "{count} slots");
            }
            assert!(cache.len() <= count);
        }
        let (mut counters, mut slots) = (Counters::default(), slots(WAYS));
        let mut cache = Cache { counters: &mut counters, slots: &mut slots };
        for n in 0..WAYS as u32 {
            cache.put(&key("model", &[n]), &embedding(0.0, None));
        }
        assert!(cache.get(&key("model", &[0]), false).is_some());
        cache.put(&key("model", &[99]), &embedding(0.0, None));
        assert!(cache.get(&key("model", &[0]), false).is_some(), "just used");
        assert!(cache.get(&key("model", &[1]), false).is_none(), "used longest ago");
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let (mut counters, mut slots) = (Counters::default(), slots(4));
        let mut cache = Cache { counters: &mut counters, slots: &mut slots };
        cache.put(&key("model", &[1]), &embedding(0.5, Some(NUMBERS)));
        assert!(cache.is_empty());
    }
}
