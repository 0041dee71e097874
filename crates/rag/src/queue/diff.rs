//! Which chunks an edit leaves alone.
use crate::Result;
use crate::model::Checkpoint;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The first half of a sha256: as good as unique among the chunks of one document.
pub type ChunkHash = [u8; 16];

/// Hash of what a chunk's row holds and its vector is made from.
pub fn chunk_hash(section: &str, heading: &str, content: &str) -> ChunkHash {
    let mut hasher = Sha256::new();
    for text in [section, heading, content] {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    let digest = hasher.finalize();
    digest[..16].try_into().expect("a sha256 has 32 bytes")
}

/// Hash of a document as its source row gives it.
pub fn source_hash(title: Option<&str>, content: Option<&str>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for text in [title, content] {
        // NULL is not the empty text, and no title plus content reads like another.
        hasher.update(text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        hasher.update(text.unwrap_or_default());
    }
    hasher.finalize().into()
}

/// Bytes hashed between two calls of the checkpoint: some milliseconds.
const PIECE: usize = 4 << 20;

/// Hash of a file, with what may decide how it is read.
pub fn file_hash(
    file: Option<&[u8]>,
    name: Option<&str>,
    media_type: Option<&str>,
    checkpoint: Checkpoint<'_>,
) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let texts = [name, media_type].map(|text| text.map(str::as_bytes));
    for bytes in texts.into_iter().chain([file]) {
        hasher.update(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
        for piece in bytes.unwrap_or_default().chunks(PIECE) {
            checkpoint()?;
            hasher.update(piece);
        }
    }
    Ok(hasher.finalize().into())
}

/// Hash of a document that is a file of this hash, as its source row gives it.
pub fn titled_hash(title: Option<&str>, file: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(title.map_or(u64::MAX, |title| title.len() as u64).to_le_bytes());
    hasher.update(title.unwrap_or_default());
    hasher.update(file);
    hasher.finalize().into()
}

/// A document's stored chunks against its new ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// For each new chunk the stored one that already is it.
    pub kept: Vec<Option<i64>>,
    /// Stored chunks that no new one is.
    pub removed: Vec<i64>,
}

/// Compares by hash. A text that stands several times in a document has as many rows.
pub fn diff(stored: &[(i64, ChunkHash)], new: &[ChunkHash]) -> Diff {
    let mut ids: HashMap<ChunkHash, Vec<i64>> = HashMap::new();
    // Backwards, so that `pop` hands out the first row first.
    for &(id, hash) in stored.iter().rev() {
        ids.entry(hash).or_default().push(id);
    }
    let kept = new.iter().map(|hash| ids.get_mut(hash).and_then(Vec::pop)).collect();
    let mut removed: Vec<i64> = ids.into_values().flatten().collect();
    removed.sort_unstable();
    Diff { kept, removed }
}

#[cfg(test)]
mod tests {
    use super::{chunk_hash, diff, file_hash, source_hash, titled_hash};
    use proptest::prelude::*;

    #[test]
    fn hashes_keep_fields_apart() {
        assert_ne!(chunk_hash("a", "", "bc"), chunk_hash("ab", "", "c"));
        assert_ne!(chunk_hash("", "a", "b"), chunk_hash("a", "", "b"));
        assert_ne!(source_hash(None, Some("")), source_hash(Some(""), None));
        assert_ne!(source_hash(None, None), source_hash(None, Some("")));
        assert_ne!(source_hash(Some("a"), Some("b")), source_hash(Some("ab"), Some("")));
    }

    #[test]
    fn a_file_is_known_by_its_bytes_name_and_type() {
        let hash =
            |file, name, media_type| file_hash(file, name, media_type, &mut || Ok(())).unwrap();
        let some = hash(Some(b"a"), Some("b"), None);
        for other in [
            hash(Some(b"b"), Some("a"), None),
            hash(Some(b"a"), None, Some("b")),
            hash(Some(b""), Some("b"), None),
            hash(None, Some("b"), None),
        ] {
            assert_ne!(some, other);
        }
        assert_ne!(titled_hash(None, &some), titled_hash(Some(""), &some));
        let is_cancelled =
            file_hash(Some(b"a"), None, None, &mut || Err(crate::Error::cancelled()));
        assert!(is_cancelled.is_err());
    }

    proptest! {
        #[test]
        fn what_is_kept_and_inserted_makes_the_new_document(
            stored in prop::collection::vec(0_u8..6, 0..20),
            new in prop::collection::vec(0_u8..6, 0..20),
        ) {
            let hash = |b: u8| [b; 16];
            let rows: Vec<_> = stored.iter().enumerate().map(|(i, &b)| (i as i64, hash(b))).collect();
            let hashes: Vec<_> = new.iter().map(|&b| hash(b)).collect();
            let diff = diff(&rows, &hashes);
            let mut used = std::collections::HashSet::new();
            for (kept, hash) in diff.kept.iter().zip(&hashes) {
                if let Some(id) = kept {
                    prop_assert_eq!(&rows[*id as usize].1, hash);
                    prop_assert!(used.insert(*id), "a row serves one place");
                }
            }
            for id in &diff.removed {
                prop_assert!(used.insert(*id), "a kept row is not removed");
            }
            prop_assert_eq!(used.len(), rows.len());
            // As much as possible is kept.
            for value in 0..6 {
                let count = |of: &[u8]| of.iter().filter(|b| **b == value).map(|_| 1).sum::<usize>();
                let kept = diff.kept.iter().flatten().filter(|&&id| stored[id as usize] == value);
                prop_assert_eq!(kept.count(), count(&stored).min(count(&new)));
            }
        }
    }
}
