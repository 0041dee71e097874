//! Embeddings of questions that were asked before, in a block of memory that processes may share.
//!
//! The key is a hash of the model's fingerprint and the question's tokens: what the model sees. Two texts
//! with the same tokens have the same embedding whatever their spaces and, where the model ignores it,
//! their case; no text is kept. Each has room for what most questions need, a longer one is not kept.
use crate::model::{Embedding, TokenVectors};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// Numbers of an embedding: the vector and 42 token vectors at 384 dimensions.
pub const NUMBERS: usize = 16_512;
/// Slots that a key may lie in, about: so many that hardly any is forgotten while others have been unused for longer,
/// so few that a look at all of them takes a microsecond.
const WAYS: usize = 256;

/// The hash that stands for a question.
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

/// Which embedding is in a slot. Any bytes are one; the slot is empty where `used_at` is 0.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Slot {
    key: Key,
    /// When it was last used; 0: empty.
    used_at: u64,
    vector: u32,
    tokens: u32,
    token_count: u32,
    truncated: u32,
}

impl Slot {
    /// An empty one.
    pub const EMPTY: Self =
        Self { key: [0; 32], used_at: 0, vector: 0, tokens: 0, token_count: 0, truncated: 0 };

    fn is_of(&self, key: &Key) -> bool {
        self.used_at > 0 && self.key == *key
    }
}

/// Counters of a cache.
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

/// A cache over memory that the caller owns and has locked.
pub struct Cache<'a> {
    /// Its counters.
    pub counters: &'a mut Counters,
    /// Its slots, any number.
    pub slots: &'a mut [Slot],
    /// [`NUMBERS`] for each slot.
    pub numbers: &'a mut [f32],
}

impl Cache<'_> {
    /// The embedding of a key, with token vectors if `with_tokens`.
    pub fn get(&mut self, key: &Key, with_tokens: bool) -> Option<Embedding> {
        let Self { counters, slots, numbers } = self;
        let fits = |at: &usize| slots[*at].is_of(key) && (slots[*at].tokens > 0 || !with_tokens);
        let Some(at) = ways(key, slots.len()).find(fits) else {
            counters.misses += 1;
            return None;
        };
        counters.hits += 1;
        counters.clock += 1;
        let slot = &mut slots[at];
        slot.used_at = counters.clock;
        let (vector, tokens) = (slot.vector as usize, slot.tokens as usize);
        let numbers = &numbers[at * NUMBERS..][..NUMBERS];
        Some(Embedding {
            vector: numbers[..vector].to_vec(),
            tokens: with_tokens.then(|| TokenVectors {
                dimensions: vector,
                data: numbers[vector..vector + tokens].to_vec(),
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
        let Self { counters, slots, numbers } = self;
        let all = vector.len() + tokens.len();
        let known = ways(key, slots.len()).find(|at| slots[*at].is_of(key));
        let oldest = || ways(key, slots.len()).min_by_key(|at| slots[*at].used_at);
        let Some(at) = known.or_else(oldest).filter(|_| all <= NUMBERS) else { return };
        counters.clock += 1;
        slots[at] = Slot {
            key: *key,
            used_at: counters.clock,
            vector: vector.len() as u32,
            tokens: tokens.len() as u32,
            token_count: u32::try_from(embedding.token_count).unwrap_or(u32::MAX),
            truncated: u32::from(embedding.truncated),
        };
        let numbers = &mut numbers[at * NUMBERS..][..all];
        numbers[..vector.len()].copy_from_slice(vector);
        numbers[vector.len()..].copy_from_slice(tokens);
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
fn ways(key: &Key, count: usize) -> Range<usize> {
    let number = u64::from_le_bytes(key[..8].try_into().expect("eight bytes"));
    let sets = count.div_ceil(WAYS).max(1);
    let set = number as usize % sets;
    set * count / sets..(set + 1) * count / sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Memory for a cache of some slots.
    struct Memory(Counters, Vec<Slot>, Vec<f32>);

    impl Memory {
        fn new(count: usize) -> Self {
            Self(Counters::default(), vec![Slot::EMPTY; count], vec![0.0; count * NUMBERS])
        }

        fn cache(&mut self) -> Cache<'_> {
            Cache { counters: &mut self.0, slots: &mut self.1, numbers: &mut self.2 }
        }
    }

    fn embedding(value: f32, tokens: Option<usize>) -> Embedding {
        let tokens = tokens.map(|n| TokenVectors { dimensions: 2, data: vec![value; 2 * n] });
        Embedding { vector: vec![value, 1.0], tokens, token_count: 3, truncated: false }
    }

    #[test]
    fn a_cached_embedding_is_returned() {
        let mut memory = Memory::new(8);
        let mut cache = memory.cache();
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
    fn a_cached_embedding_without_token_vectors_misses_when_they_are_wanted() {
        let mut memory = Memory::new(4);
        let mut cache = memory.cache();
        let known = key("model", &[1]);
        cache.put(&known, &embedding(0.5, None));
        assert_eq!(cache.get(&known, true), None);
        cache.put(&known, &embedding(0.5, Some(1)));
        assert!(cache.get(&known, true).is_some());
        assert_eq!(cache.len(), 1);
    }

    proptest! {
        #[test]
        fn it_never_grows_and_forgets_the_one_used_longest_ago(
            count in 0_usize..40,
            asked in prop::collection::vec(0_u32..60, 0..200),
        ) {
            let mut memory = Memory::new(count);
            let mut cache = memory.cache();
            let mut used: Vec<u32> = Vec::new();
            for n in asked {
                let (key, is_known) = (key("model", &[n]), used.iter().rev().take(count).any(|u| *u == n));
                let found = cache.get(&key, false);
                prop_assert_eq!(found.map(|e| e.vector[0]), is_known.then_some(n as f32));
                cache.put(&key, &embedding(n as f32, None));
                used.retain(|u| *u != n);
                used.push(n);
                prop_assert_eq!(cache.len(), used.len().min(count));
            }
        }
    }

    #[test]
    fn keys_spread_over_all_cache_slots() {
        for count in [300, 1_000, 3_000] {
            let mut used = vec![0; count];
            // Ninety in a hundred slots' worth of keys: how many find no room among those of their own?
            for n in 0..count as u32 * 9 / 10 {
                let mut ways = ways(&key("model", &[n]), count);
                if let Some(free) = ways.find(|at| used[*at] == 0) {
                    used[free] = 1;
                }
            }
            let kept: usize = used.iter().sum();
            assert!(kept * 100 >= count * 9 / 10 * 98, "{kept} of {count}");
        }
    }

    #[test]
    fn a_full_cache_keeps_the_latest_embeddings() {
        let mut memory = Memory::new(2 * WAYS + 88);
        let mut cache = memory.cache();
        for n in 0..600 {
            cache.put(&key("model", &[n]), &embedding(n as f32, Some(1)));
            let last = n.saturating_sub(100);
            let found = cache.get(&key("model", &[last]), true);
            assert_eq!(found, Some(embedding(last as f32, Some(1))));
        }
        assert!((500..=600).contains(&cache.len()), "{}", cache.len());
    }

    #[test]
    fn an_embedding_too_large_for_a_slot_is_not_cached() {
        let mut memory = Memory::new(4);
        let mut cache = memory.cache();
        cache.put(&key("model", &[1]), &embedding(0.5, Some(NUMBERS)));
        assert!(cache.is_empty());
    }
}
