//! The estimated cost of a generation, from a sample of its documents.
use std::time::Duration;

/// Bytes of a row and its entries in the key's and the primary key's index.
const ROW_BYTES: f64 = 110.0;
/// Bytes of lexemes and of their posting lists for each byte of text. This figure and the next ones are those
/// of 300 pages of the PostgreSQL manual, rounded.
const LEXEMES_PER_TEXT_BYTE: f64 = 1.7;
/// Bytes on disk for each byte of token bits, which lie out of line.
const OUT_OF_LINE: f64 = 1.09;
/// Bytes that a document's row has beside 16 for each of its chunks.
const DOCUMENT: f64 = 160.0;
/// Bytes of an element of an HNSW index beside its vector: neighbours and what a page leaves empty.
const HNSW_ELEMENT_BYTES: f64 = 420.0;
/// Bytes of an entry of an ivfflat index beside its vector.
const IVFFLAT_ELEMENT_BYTES: f64 = 24.0;
/// Time to store a chunk and to put it into the indexes.
const STORE_TIME: Duration = Duration::from_micros(1_500);

/// Sums over the chunks of sampled documents.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// Documents sampled.
    pub documents: f64,
    /// Their chunks.
    pub chunks: f64,
    /// Tokens of their chunks with headings.
    pub tokens: f64,
    /// Bytes of their chunks' texts.
    pub bytes: f64,
    /// Chunks whose vectors no other generation has.
    pub fresh: f64,
    /// Tokens of those.
    pub fresh_tokens: f64,
}

impl Sample {
    /// Tokens of a chunk that is to be embedded; 0 where there is none.
    pub fn mean_fresh_tokens(&self) -> f64 {
        if self.fresh > 0.0 { self.fresh_tokens / self.fresh } else { 0.0 }
    }
}

/// Settings that decide a generation's size besides its chunks.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    /// Length of its vectors.
    pub dimensions: usize,
    /// Whether it keeps token bits.
    pub token_bits: bool,
    /// Method of its vector index.
    pub index: &'a str,
}

/// The estimated size and duration of a generation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Documents.
    pub documents: f64,
    /// Chunks.
    pub chunks: f64,
    /// Tokens of all chunks with headings.
    pub tokens: f64,
    /// Chunks to embed.
    pub embed: f64,
    /// Tokens of those.
    pub embed_tokens: f64,
    /// Bytes of its tables and indexes.
    pub bytes: f64,
    /// How long one worker takes.
    pub duration: Duration,
}

impl Sample {
    /// Takes in the start of a document, which is one part in `parts` of it: its chunks as (tokens, bytes,
    /// whether the vector is to be made).
    pub fn add(&mut self, parts: f64, chunks: impl Iterator<Item = (usize, usize, bool)>) {
        self.documents += 1.0;
        for (tokens, bytes, is_fresh) in chunks {
            self.chunks += parts;
            self.tokens += parts * tokens as f64;
            self.bytes += parts * bytes as f64;
            if is_fresh {
                self.fresh += parts;
                self.fresh_tokens += parts * tokens as f64;
            }
        }
    }

    /// The same for `documents` documents, embedded at `rate` tokens a second.
    pub fn extrapolate(&self, documents: f64, layout: Layout<'_>, rate: f64) -> Estimate {
        let times = if self.documents > 0.0 { documents / self.documents } else { 0.0 };
        let dimensions = layout.dimensions as f64;
        let vector = 2.0 * dimensions + 8.0;
        let index = match layout.index {
            "hnsw" => vector + HNSW_ELEMENT_BYTES,
            "ivfflat" => vector + IVFFLAT_ELEMENT_BYTES,
            _ => 0.0,
        };
        let bits = if layout.token_bits {
            self.chunks * ROW_BYTES + OUT_OF_LINE * self.tokens * dimensions / 8.0
        } else {
            0.0
        };
        let chunks = self.chunks * (ROW_BYTES + 16.0 + vector + index)
            + self.bytes * (1.0 + LEXEMES_PER_TEXT_BYTE);
        let embedding = if rate > 0.0 { times * self.fresh_tokens / rate } else { 0.0 };
        let storing = STORE_TIME.as_secs_f64() * times * self.chunks;
        // An interval of more than this is a wrong setting, not a plan.
        let seconds = (embedding + storing).clamp(0.0, 1e9);
        Estimate {
            documents,
            chunks: times * self.chunks,
            tokens: times * self.tokens,
            embed: times * self.fresh,
            embed_tokens: times * self.fresh_tokens,
            bytes: times * (chunks + bits + self.documents * DOCUMENT),
            duration: Duration::from_secs_f64(seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Layout, Sample};
    use proptest::prelude::*;

    const LAYOUT: Layout<'_> = Layout { dimensions: 384, token_bits: true, index: "hnsw" };

    #[test]
    fn an_empty_sample_estimates_zero() {
        let estimate = Sample::default().extrapolate(0.0, LAYOUT, 0.0);
        assert!(estimate.chunks == 0.0 && estimate.bytes == 0.0 && estimate.duration.is_zero());
        // A source that could not be sampled, and a model that could not be timed.
        assert!(Sample::default().extrapolate(100.0, LAYOUT, 1e4).tokens == 0.0);
    }

    #[test]
    fn omitted_token_bits_and_index_take_no_space() {
        let mut sample = Sample::default();
        sample.add(1.0, [(100, 500, true), (50, 200, false)].into_iter());
        let all = sample.extrapolate(10.0, LAYOUT, 1e4);
        let no_bits = sample.extrapolate(10.0, Layout { token_bits: false, ..LAYOUT }, 1e4);
        let no_index = sample.extrapolate(10.0, Layout { index: "none", ..LAYOUT }, 1e4);
        assert!(no_bits.bytes < all.bytes - 10.0 * 150.0 * 48.0);
        assert!(no_index.bytes < all.bytes - 20.0 * 2.0 * 384.0);
        let bare = |dimensions| Layout { dimensions, token_bits: false, index: "none" };
        let bytes = |dimensions| sample.extrapolate(10.0, bare(dimensions), 1e4).bytes;
        assert!((bytes(768) - bytes(384) - 20.0 * 2.0 * 384.0).abs() < 1e-6, "half precision");
        assert!((all.embed - 10.0).abs() < 1e-9 && (all.chunks - 20.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_whole_sample_is_exact_and_a_half_counts_twice(
            chunks in prop::collection::vec((1_usize..300, 1_usize..2_000, any::<bool>()), 1..50),
        ) {
            let tokens: usize = chunks.iter().map(|chunk| chunk.0).sum();
            let (mut whole, mut half) = (Sample::default(), Sample::default());
            whole.add(1.0, chunks.iter().copied());
            half.add(2.0, chunks.iter().copied());
            let of_one = whole.extrapolate(1.0, LAYOUT, 1e4);
            prop_assert!((of_one.tokens - tokens as f64).abs() < 1e-6);
            prop_assert!((half.extrapolate(1.0, LAYOUT, 1e4).tokens - 2.0 * of_one.tokens).abs() < 1e-6);
            prop_assert!((whole.extrapolate(7.0, LAYOUT, 1e4).chunks - 7.0 * of_one.chunks).abs() < 1e-6);
        }
    }
}
