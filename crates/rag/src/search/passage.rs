//! Chunks that were found together with their neighbours, as stretches of their documents.
use serde::{Deserialize, Serialize};

/// A chunk in its document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its number.
    pub chunk_id: i64,
    /// Its place among the document's chunks, from 1.
    pub ordinal: i32,
    /// Where it starts in the document, in characters.
    pub char_start: i32,
    /// Where it ends.
    pub char_end: i32,
    /// Its text.
    pub content: String,
}

/// A stretch of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Positions of the hits in it, best first.
    pub hits: Vec<usize>,
    /// Numbers of its chunks, in their order.
    pub chunks: Vec<i64>,
    /// Where it starts in the document, in characters.
    pub char_start: i32,
    /// Where it ends.
    pub char_end: i32,
    /// Its text: as long as the stretch is, and verbatim but for the white space between chunks, which is
    /// kept nowhere.
    pub content: String,
}

/// Merges hits whose neighbourhoods touch. Each hit, best first, comes with the document it is of and
/// with the pieces around it, itself among them, in their order; the passages come in the order of
/// their best hits. A hit without pieces is left out.
pub fn passages<K: PartialEq>(hits: &[(K, Vec<Piece>)]) -> Vec<Passage> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (hit, (document, pieces)) in hits.iter().enumerate() {
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { continue };
        let mut group = Group {
            first: first.ordinal,
            last: last.ordinal,
            hits: vec![hit],
            pieces: pieces.iter().collect(),
        };
        // A piece that joins two groups may touch a third.
        while let Some(position) = groups.iter().position(|other| {
            hits[other.hits[0]].0 == *document
                && group.first <= other.last + 1
                && other.first <= group.last + 1
        }) {
            group.join(groups.remove(position));
        }
        let place = groups.partition_point(|other| other.hits[0] < group.hits[0]);
        groups.insert(place, group);
    }
    groups.into_iter().map(Group::passage).collect()
}

/// Hits of one document whose pieces touch.
struct Group<'a> {
    first: i32,
    last: i32,
    hits: Vec<usize>,
    pieces: Vec<&'a Piece>,
}

impl Group<'_> {
    fn join(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.hits.extend(other.hits);
        self.hits.sort_unstable();
        self.pieces.extend(other.pieces);
    }

    fn passage(mut self) -> Passage {
        self.pieces.sort_by_key(|piece| piece.ordinal);
        self.pieces.dedup_by_key(|piece| piece.ordinal);
        let start = self.pieces[0].char_start;
        let mut content = String::new();
        let mut end = start;
        for piece in &self.pieces {
            if piece.char_start > end {
                content.push_str(&white_space((piece.char_start - end).unsigned_abs() as usize));
                end = piece.char_start;
            }
            // Neighbours overlap: the second's beginning is there already.
            let known = (end - piece.char_start).unsigned_abs() as usize;
            content.extend(piece.content.chars().skip(known));
            end = end.max(piece.char_end);
        }
        Passage {
            hits: self.hits,
            chunks: self.pieces.iter().map(|piece| piece.chunk_id).collect(),
            char_start: start,
            char_end: end,
            content,
        }
    }
}

/// So many characters of white space: a space within a line, an empty line where there is room for one.
fn white_space(length: usize) -> String {
    match length {
        1 => " ".to_owned(),
        _ => "\n".repeat(2) + &" ".repeat(length - 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A document of pieces that overlap or leave white space between them, and its text.
    fn document() -> impl Strategy<Value = (String, Vec<Piece>)> {
        prop::collection::vec(("[a-zäß]{4,9}", 0_usize..4, any::<bool>()), 1..12).prop_map(
            |parts| {
                let (mut text, mut pieces) = (String::new(), Vec::new());
                for (position, (word, size, overlaps)) in parts.iter().enumerate() {
                    let end = text.chars().count();
                    let is_first = position == 0;
                    let start = if is_first {
                        0
                    } else if *overlaps {
                        end - size
                    } else {
                        end + size
                    };
                    if !is_first && !overlaps {
                        text.push_str(&"\t".repeat(*size));
                    }
                    text.push_str(word);
                    let chars: Vec<char> = text.chars().collect();
                    pieces.push(Piece {
                        chunk_id: 100 + position as i64,
                        ordinal: position as i32 + 1,
                        char_start: start as i32,
                        char_end: chars.len() as i32,
                        content: chars[start..].iter().collect(),
                    });
                }
                (text, pieces)
            },
        )
    }

    proptest! {
        #[test]
        fn a_passage_is_its_stretch_of_the_document(
            (text, pieces) in document(), places in prop::collection::vec(0_usize..12, 0..6), around in 0_usize..4,
        ) {
            let hits: Vec<(u8, Vec<Piece>)> = places.iter().filter(|place| **place < pieces.len()).map(|place| {
                let (from, to) = (place.saturating_sub(around), (place + around + 1).min(pieces.len()));
                (1, pieces[from..to].to_vec())
            }).collect();
            let passages = passages(&hits);
            let mut seen: Vec<usize> = passages.iter().flat_map(|passage| passage.hits.clone()).collect();
            prop_assert!(passages.windows(2).all(|pair| pair[0].hits[0] < pair[1].hits[0]));
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..hits.len()).collect::<Vec<_>>());
            for passage in &passages {
                let (start, end) = (passage.char_start as usize, passage.char_end as usize);
                let expected: String = text.chars().skip(start).take(end - start).collect();
                let plain = |text: &str| text.replace(['\n', ' ', '\t'], "_");
                prop_assert_eq!(plain(&passage.content), plain(&expected));
                prop_assert!(passage.chunks.windows(2).all(|pair| pair[0] + 1 == pair[1]));
                prop_assert!(passages.iter().all(|other| other == passage || passage.chunks[0] > other.chunks[other.chunks.len() - 1] + 1
                    || other.chunks[0] > passage.chunks[passage.chunks.len() - 1] + 1));
            }
        }
    }

    #[test]
    fn passages_of_different_documents_are_not_joined() {
        let piece = |ordinal| Piece {
            chunk_id: 1,
            ordinal,
            char_start: 0,
            char_end: 1,
            content: "x".to_owned(),
        };
        let hits =
            [("a", vec![piece(1)]), ("b", vec![piece(2)]), ("a", vec![piece(2)]), ("c", vec![])];
        let found: Vec<Vec<usize>> =
            passages(&hits).into_iter().map(|passage| passage.hits).collect();
        assert_eq!(found, [vec![0, 2], vec![1]]);
    }
}
