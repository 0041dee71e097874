//! `WordPiece` over a byte trie: the longest vocabulary entry first, again and again.
use std::collections::HashMap;

const ROOT: u32 = 0;
/// Marks a trie node that ends no vocabulary entry.
const NO_ID: u32 = u32::MAX;
const EMPTY_SLOT: u32 = u32::MAX;

/// A piece of a word: its vocabulary id and where it ends in the normalised word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub id: u32,
    pub end: u32,
}

/// The vocabulary as a trie, ready to split words.
pub(super) struct WordPiece {
    trie: Trie,
    /// Where a piece starts that continues a word; `None` when no entry does.
    continuation: Option<u32>,
    unknown: u32,
    max_chars: usize,
}

impl WordPiece {
    /// `None` when the vocabulary lacks the token for unknown words, or is so large that a node of the trie and a byte do not
    /// fit into 32 bits.
    pub fn new(
        vocabulary: &HashMap<String, u32>,
        unknown: &str,
        prefix: &str,
        max_chars: usize,
    ) -> Option<Self> {
        let nodes = vocabulary.keys().map(String::len).sum::<usize>() + 1;
        if nodes >= 1 << 24 {
            return None;
        }
        let trie = Trie::new(vocabulary);
        let continuation = trie.walk(prefix.as_bytes());
        Some(Self { trie, continuation, unknown: *vocabulary.get(unknown)?, max_chars })
    }

    /// Most characters of a word that is split; a longer one is unknown as a whole.
    pub fn max_chars(&self) -> usize {
        self.max_chars
    }

    /// Splits a normalised word of `chars` characters into `pieces`. `word` may lack its end when
    /// it has more than `max_chars` characters; `length` is then still the whole length.
    pub fn split(&self, word: &[u8], chars: usize, length: usize, pieces: &mut Vec<Piece>) {
        pieces.clear();
        let mut start = 0;
        let mut from = Some(ROOT);
        while chars <= self.max_chars && start < word.len() {
            match from.and_then(|node| self.trie.longest(node, &word[start..])) {
                Some((id, length)) => {
                    start += length;
                    pieces.push(Piece { id, end: start as u32 });
                    from = self.continuation;
                }
                None => break,
            }
        }
        if start < length {
            pieces.clear();
            pieces.push(Piece { id: self.unknown, end: length as u32 });
        }
    }
}

/// Nodes are numbers; an edge is an entry of one hash table, so that a step is one probe.
struct Trie {
    /// `(node << 8 | byte, next node)`, open addressing.
    edges: Vec<(u32, u32)>,
    shift: u32,
    /// Vocabulary id per node.
    ids: Vec<u32>,
}

impl Trie {
    fn new(vocabulary: &HashMap<String, u32>) -> Self {
        let mut entries: Vec<(&str, u32)> =
            vocabulary.iter().map(|(entry, id)| (entry.as_str(), *id)).collect();
        entries.sort_unstable();
        let (edges, ids) = nodes(&entries);
        // One slot at least stays empty, where a search ends.
        let slots = (edges.len() * 3 / 2 + 1).next_power_of_two().max(2);
        let mut trie =
            Self { edges: vec![(EMPTY_SLOT, 0); slots], shift: 32 - slots.trailing_zeros(), ids };
        for (key, next) in edges {
            let slot = trie.slot(key);
            trie.edges[slot] = (key, next);
        }
        trie
    }

    /// The slot that holds `key`, or the empty one where it would stand.
    #[inline]
    fn slot(&self, key: u32) -> usize {
        let mask = self.edges.len() - 1;
        let mut slot = (key.wrapping_mul(0x9E37_79B1) >> self.shift) as usize & mask;
        while self.edges[slot].0 != key && self.edges[slot].0 != EMPTY_SLOT {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[inline]
    fn step(&self, node: u32, byte: u8) -> Option<u32> {
        let key = node << 8 | u32::from(byte);
        let (found, next) = self.edges[self.slot(key)];
        (found == key).then_some(next)
    }

    fn walk(&self, bytes: &[u8]) -> Option<u32> {
        bytes.iter().try_fold(ROOT, |node, &byte| self.step(node, byte))
    }

    /// The longest entry that `text` starts with, walking on from `node`: its id and length.
    #[inline]
    fn longest(&self, mut node: u32, text: &[u8]) -> Option<(u32, usize)> {
        let mut best = None;
        for (i, &byte) in text.iter().enumerate() {
            match self.step(node, byte) {
                Some(next) => node = next,
                None => break,
            }
            if self.ids[node as usize] != NO_ID {
                best = Some((self.ids[node as usize], i + 1));
            }
        }
        best
    }
}

/// Edges and node ids of the trie over sorted `entries`.
fn nodes(entries: &[(&str, u32)]) -> (Vec<(u32, u32)>, Vec<u32>) {
    let mut edges = Vec::new();
    let mut ids = vec![NO_ID];
    let mut path = vec![ROOT];
    let mut previous: &[u8] = b"";
    for (entry, id) in entries {
        let entry = entry.as_bytes();
        let common = previous.iter().zip(entry).take_while(|(a, b)| a == b).count();
        path.truncate(common + 1);
        for &byte in &entry[common..] {
            let node = ids.len() as u32;
            edges.push((path[path.len() - 1] << 8 | u32::from(byte), node));
            ids.push(NO_ID);
            path.push(node);
        }
        // The empty entry would end at the root, where no piece ends.
        if !entry.is_empty() {
            ids[path[path.len() - 1] as usize] = *id;
        }
        previous = entry;
    }
    (edges, ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(word: &str) -> Vec<Piece> {
        let vocabulary = ["[UNK]", "un", "##aff", "##able", "##affa", "é", "##é"]
            .iter()
            .enumerate()
            .map(|(id, entry)| ((*entry).to_owned(), id as u32))
            .collect();
        let model = WordPiece::new(&vocabulary, "[UNK]", "##", 8).unwrap();
        let mut pieces = Vec::new();
        model.split(word.as_bytes(), word.chars().count(), word.len(), &mut pieces);
        pieces
    }

    #[test]
    fn takes_the_longest_piece_each_time() {
        assert_eq!(split("un"), [Piece { id: 1, end: 2 }]);
        assert_eq!(split("unaff"), [Piece { id: 1, end: 2 }, Piece { id: 2, end: 5 }]);
        assert_eq!(split("éé"), [Piece { id: 5, end: 2 }, Piece { id: 6, end: 4 }]);
    }

    #[test]
    fn a_word_that_cannot_be_split_or_is_too_long_is_unknown() {
        // "affa" is taken greedily and leaves "ble", which no entry continues with.
        assert_eq!(split("unaffable"), [Piece { id: 0, end: 9 }]);
        assert_eq!(split("aff"), [Piece { id: 0, end: 3 }]);
        assert_eq!(split("ununununu"), [Piece { id: 0, end: 9 }]);
    }

    #[test]
    fn the_smallest_vocabularies_end_every_search() {
        for unknown in ["", "u", "un"] {
            let vocabulary = HashMap::from([(unknown.to_owned(), 0)]);
            let model = WordPiece::new(&vocabulary, unknown, "##", 8).unwrap();
            let mut pieces = Vec::new();
            model.split(b"xy", 2, 2, &mut pieces);
            assert_eq!(pieces, [Piece { id: 0, end: 2 }]);
        }
    }
}
