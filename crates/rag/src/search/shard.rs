//! A search over several servers: what is asked of one that holds a part of a collection, what it answers, and how the answers of all become
//! one. Requests and answers are JSON; vectors travel beside them as bytes.
use super::calibration::Calibration;
use super::fusion::with_ties;
use super::passage::Piece;
use crate::model::{Embedding, TokenVectors};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of requests and answers. One of another version is refused.
pub const PROTOCOL: u32 = 1;

/// Bits of a chunk's id that are its server's; those above say whose it is.
const ID_BITS: u32 = 48;
/// How many parts can be told apart.
const MAX_SLOTS: u64 = 1 << 15;

/// A question to one part of a collection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// See [`PROTOCOL`].
    pub protocol: u32,
    /// The part's source table, qualified and quoted.
    pub source: String,
    /// Its column with the documents.
    pub content: String,
    /// Of several collections over it, the one of this name.
    pub collection: String,
    /// What is asked for.
    pub step: Step,
}

/// A step of a search.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// What the part is.
    Describe,
    /// How far its ingestion is.
    Status,
    /// Term statistics of what the caller may see of it.
    Statistics(Asked),
    /// The best chunks of each leg.
    Candidates {
        /// The search.
        asked: Asked,
        /// Of all parts together.
        statistics: Statistics,
        /// Whether every candidate must have the phrases of the question.
        are_phrases_required: bool,
        /// Ranks of each leg that count.
        depth: usize,
        /// Candidates that are scored.
        wanted: usize,
    },
    /// Chunks by their ids.
    Fetch {
        /// The search.
        asked: Asked,
        /// Of all parts together.
        statistics: Statistics,
        /// The chunks.
        chunks: Vec<i64>,
    },
    /// What stands around chunks.
    Around {
        /// The search.
        asked: Asked,
        /// The chunks.
        chunks: Vec<i64>,
        /// How many neighbours on each side.
        expand: usize,
        /// Whether sentences of them will be quoted, for which token bits are needed.
        with_bits: bool,
    },
}

/// What every step of a search needs to know of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The build that is searched.
    pub space: Space,
    /// What to search for, ascending.
    pub lexemes: Vec<String>,
    /// A `tsquery`: the phrases, and nothing that is excluded.
    pub required: Option<String>,
    /// A `tsquery`: nothing that is excluded.
    pub excluded: Option<String>,
    /// Whether `required` asks for phrases.
    pub has_phrases: bool,
    /// Lexemes that every chunk with the phrases holds.
    pub phrase_lexemes: Vec<String>,
    /// Condition on documents and chunks.
    pub filter: Option<Value>,
    /// The caller's time zone, in which the filter's times are read.
    pub time_zone: String,
    /// Weights of the legs.
    pub dense_weight: f64,
    /// As above.
    pub lexical_weight: f64,
    /// Whether late interaction is part of the score.
    pub rerank: bool,
}

/// What makes generations of different servers comparable: a search runs in exactly one of these, whichever generation is active there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Fingerprint of the model.
    pub fingerprint: String,
    /// Most tokens of a chunk.
    pub max_tokens: usize,
    /// Most tokens neighbours share.
    pub overlap_tokens: usize,
    /// Format of documents.
    pub format: String,
}

/// Term statistics: of one part, or added up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Chunks.
    pub chunks: f64,
    /// Their lexemes, all occurrences counted.
    pub length: f64,
    /// How many of them hold each of the question's lexemes.
    pub frequencies: Vec<f64>,
}

impl Statistics {
    /// Adds those of another part.
    pub fn add(&mut self, other: &Self) {
        self.chunks += other.chunks;
        self.length += other.length;
        self.frequencies.resize(self.frequencies.len().max(other.frequencies.len()), 0.0);
        for (sum, frequency) in self.frequencies.iter_mut().zip(&other.frequencies) {
            *sum += frequency;
        }
    }

    /// Mean length of a chunk.
    pub fn average_length(&self) -> f64 {
        self.length / self.chunks.max(1.0)
    }
}

/// What a part is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Version of the extension.
    pub version: String,
    /// Schema of its functions, quoted.
    pub schema: String,
    /// The collection with its active generation; `None` where the table has none.
    pub collection: Option<Described>,
    /// With the generation that is being built; for its owner.
    pub building: Option<Described>,
    /// What that lacks to be switched to.
    pub lacks: Option<String>,
    /// With the generation on standby; for its owner.
    pub standby: Option<Described>,
}

/// A collection as far as all parts must have the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Name of the model.
    pub model: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Length of vectors.
    pub dimensions: usize,
    /// Whether token bits are kept.
    pub has_bits: bool,
    /// Most tokens of a chunk.
    pub max_tokens: usize,
    /// Most tokens neighbours share.
    pub overlap_tokens: usize,
    /// Format of documents.
    pub format: String,
    /// Text search configuration, qualified and quoted.
    pub text_search_config: String,
    /// Version of the analysis of words.
    pub analysis: i32,
    /// Columns of the primary key, in its order.
    pub keys: Vec<String>,
    /// Column with titles.
    pub title: Option<String>,
    /// What the content column holds.
    pub kind: String,
}

impl Described {
    /// What another part has otherwise, as words and both values.
    pub fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let pairs = [
            ("model", self.fingerprint.clone(), other.fingerprint.clone()),
            ("max_tokens", self.max_tokens.to_string(), other.max_tokens.to_string()),
            ("overlap_tokens", self.overlap_tokens.to_string(), other.overlap_tokens.to_string()),
            ("format", self.format.clone(), other.format.clone()),
            ("token_bits", self.has_bits.to_string(), other.has_bits.to_string()),
            (
                "text_search_config",
                self.text_search_config.clone(),
                other.text_search_config.clone(),
            ),
            ("analysis", self.analysis.to_string(), other.analysis.to_string()),
            ("primary key", self.keys.join(", "), other.keys.join(", ")),
            (
                "title",
                self.title.clone().unwrap_or_default(),
                other.title.clone().unwrap_or_default(),
            ),
            ("kind of content", self.kind.clone(), other.kind.clone()),
        ];
        pairs.into_iter().find(|(_, one, other)| one != other)
    }
}

/// Term statistics of a part, and what else is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartStatistics {
    /// Of what the caller may see.
    pub statistics: Statistics,
    /// What its signals are worth.
    pub calibration: Calibration,
    /// What is not searchable yet, said in words.
    pub loading: Option<String>,
}

/// How far the ingestion of a part is; what the caller may not know is `None`, as in `rag.status`. Durations in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // columns of rag.status
pub struct Status {
    pub documents: Option<i64>,
    pub indexed: Option<i64>,
    pub pending: Option<i64>,
    pub in_flight: Option<i64>,
    pub dead: Option<i64>,
    pub chunks: Option<i64>,
    pub lag: Option<f64>,
    pub rate: Option<f64>,
    pub eta: Option<f64>,
    pub pages: Option<i64>,
    pub paused: Option<String>,
    pub worker: Option<String>,
    pub warning: Option<String>,
}

/// States of workers, from the one that most calls for attention.
const STATES: [&str; 7] = ["outdated", "missing", "off", "waiting", "running", "primary", "idle"];

impl Status {
    /// That of the whole: sums, the longest times, and what any of the parts says. A number that one part does not tell is not told.
    pub fn of_parts(parts: &[Self]) -> Self {
        let sum = |of: fn(&Self) -> Option<i64>| parts.iter().map(of).sum::<Option<i64>>();
        let sum_of =
            |of: fn(&Self) -> Option<f64>| parts.iter().filter_map(of).reduce(|a, b| a + b);
        let most = |of: fn(&Self) -> Option<f64>| parts.iter().filter_map(of).reduce(f64::max);
        let any = |of: fn(&Self) -> Option<&String>| parts.iter().find_map(of).cloned();
        let worker = STATES
            .into_iter()
            .find(|state| parts.iter().any(|part| part.worker.as_deref() == Some(state)));
        Self {
            documents: sum(|part| part.documents),
            indexed: sum(|part| part.indexed),
            pending: sum(|part| part.pending),
            in_flight: sum(|part| part.in_flight),
            dead: sum(|part| part.dead),
            chunks: sum(|part| part.chunks),
            lag: most(|part| part.lag),
            rate: sum_of(|part| part.rate),
            eta: most(|part| part.eta),
            pages: sum(|part| part.pages),
            paused: any(|part| part.paused.as_ref()),
            worker: worker.map(str::to_owned),
            warning: any(|part| part.warning.as_ref()),
        }
    }
}

/// Chunks of one leg, best first, each with the distance or score that it is ranked by.
pub type Leg = Vec<(i64, f64)>;

/// What a part's legs found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Legs {
    /// Nearest first.
    pub dense: Leg,
    /// Best first.
    pub lexical: Leg,
    /// How they were found.
    pub strategy: String,
    /// Whether the vector index may have missed chunks.
    pub is_incomplete: bool,
    /// Whether the lexical leg spent its budget.
    pub is_degraded: bool,
}

/// A chunk as its server sends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // columns of a chunk
pub struct Chunk {
    pub chunk_id: i64,
    /// Its document's key, column by column, as text.
    pub key: Vec<String>,
    pub similarity: Option<f64>,
    pub bm25: Option<f64>,
    pub content: String,
    pub section: Option<String>,
    pub ordinal: i32,
    pub char_start: i32,
    pub char_end: i32,
    pub page: Option<i32>,
    pub place: Option<Value>,
    pub heading_tokens: i32,
    /// Best cosine of each token of the question with a token of the chunk; empty where the chunk has no token.
    pub matches: Option<Vec<f32>>,
    /// Token bits as hexadecimal digits, where asked for.
    pub bits: Option<String>,
}

/// What stands around chunks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Around {
    /// Pieces, each with the position of the chunk that it is a neighbour of, which is a piece itself.
    pub pieces: Vec<(usize, Piece)>,
    /// Pieces with all that quoting needs.
    pub chunks: Vec<Chunk>,
}

/// An id that is unlike those of other parts' chunks.
pub fn global_id(slot: u16, chunk_id: i64) -> i64 {
    i64::from(slot) << ID_BITS | chunk_id
}

/// Whose chunk it is, and its id there.
pub fn local_id(id: i64) -> (u16, i64) {
    ((id >> ID_BITS) as u16, id & ((1 << ID_BITS) - 1))
}

/// A slot for each part: by its number in the catalog, so that it stays when others come and go, and the next free one where two meet.
pub fn slots(parts: &[u32]) -> Vec<u16> {
    let mut taken = std::collections::BTreeMap::new();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_unstable_by_key(|position| parts[*position]);
    for position in order {
        let mut slot = u64::from(parts[position]) % MAX_SLOTS;
        while taken.contains_key(&slot) {
            slot = (slot + 1) % MAX_SLOTS;
        }
        taken.insert(slot, position);
    }
    let mut slots = vec![0; parts.len()];
    for (slot, position) in taken {
        slots[position] = slot as u16;
    }
    slots
}

/// Which value comes first in a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Best {
    /// The lowest, of distances.
    Lowest,
    /// The highest, of scores.
    Highest,
}

/// The legs of all parts as one: the best `depth`, and what equals the last of them, by ids that are unlike each other's.
pub fn merged<'a>(
    legs: impl Iterator<Item = (u16, &'a Leg)>,
    best: Best,
    depth: usize,
) -> Vec<(i64, f64)> {
    let mut all: Leg = legs
        .flat_map(|(slot, leg)| leg.iter().map(move |(id, value)| (global_id(slot, *id), *value)))
        .collect();
    all.sort_by(|a, b| {
        let order = match best {
            Best::Lowest => a.1.total_cmp(&b.1),
            Best::Highest => b.1.total_cmp(&a.1),
        };
        order.then(a.0.cmp(&b.0))
    });
    all.truncate(with_ties(&all, depth, |a, b| a.1.total_cmp(&b.1).is_eq()));
    all
}

/// The question's vectors as bytes: the number of dimensions, the vector, and the tokens' vectors where there are any. Little-endian.
pub fn vectors_to_bytes(embedding: &Embedding) -> Vec<u8> {
    let tokens = embedding.tokens.as_ref().map_or(&[][..], |tokens| &tokens.data);
    let has_tokens = u32::from(embedding.tokens.is_some());
    let mut bytes = Vec::with_capacity(8 + 4 * (embedding.vector.len() + tokens.len()));
    bytes.extend((embedding.vector.len() as u32).to_le_bytes());
    bytes.extend(has_tokens.to_le_bytes());
    bytes.extend(embedding.vector.iter().chain(tokens).flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Reads [`vectors_to_bytes`]; nothing of no bytes.
pub fn vectors_from_bytes(bytes: &[u8]) -> Result<Option<Embedding>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let malformed = || {
        Error::malformed("the vectors of a request are malformed")
            .with_hint("Update rag_pg on the server that asks.")
    };
    let (words, []) = bytes.as_chunks::<4>() else { return Err(malformed()) };
    let [dimensions, has_tokens, values @ ..] = words else { return Err(malformed()) };
    let dimensions = u32::from_le_bytes(*dimensions) as usize;
    let mut values: Vec<f32> = values.iter().map(|word| f32::from_le_bytes(*word)).collect();
    let is_whole = dimensions > 0
        && values.len() >= dimensions
        && values.len().is_multiple_of(dimensions)
        && values.iter().all(|value| value.is_finite());
    if !is_whole {
        return Err(malformed());
    }
    let data = values.split_off(dimensions);
    let tokens = (*has_tokens != [0; 4]).then_some(TokenVectors { dimensions, data });
    Ok(Some(Embedding { vector: values, tokens, token_count: 0, truncated: false }))
}

/// Bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(digits).map(char::from).collect()
}

/// The bytes of [`to_hex`]; `None` of anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|digit| digit as u8);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_parts_are_told_apart() {
        for (slot, id) in [(0, 1), (7, 1), (32_767, (1 << 48) - 1)] {
            let global = global_id(slot, id);
            assert!(global > 0);
            assert_eq!(local_id(global), (slot, id));
        }
    }

    #[test]
    fn slots_stay_and_differ() {
        assert_eq!(slots(&[16_400, 16_390]), [16_400, 16_390]);
        assert_eq!(slots(&[5 + 32_768, 5, 6]), [7, 5, 6]);
        assert_eq!(slots(&[32_767, 32_767 + 32_768]), [32_767, 0]);
    }

    #[test]
    fn legs_merge_by_value_and_ties_by_id() {
        let (a, b) = (vec![(1, 0.1), (2, 0.5)], vec![(1, 0.1), (9, 0.2)]);
        let legs = || [(2, &a), (1, &b)].into_iter();
        let nearest = merged(legs(), Best::Lowest, 3);
        let of = |slot, id| global_id(slot, id);
        assert_eq!(nearest, [(of(1, 1), 0.1), (of(2, 1), 0.1), (of(1, 9), 0.2)]);
        assert_eq!(merged(legs(), Best::Highest, 1), [(of(2, 2), 0.5)]);
        assert_eq!(merged(legs(), Best::Lowest, 1).len(), 2, "equals are not cut apart");
    }

    #[test]
    fn statistics_add_up() {
        let mut all = Statistics::default();
        for (chunks, length, frequencies) in
            [(2.0, 10.0, vec![1.0, 0.0]), (3.0, 15.0, vec![2.0, 3.0])]
        {
            all.add(&Statistics { chunks, length, frequencies });
        }
        assert_eq!(all, Statistics { chunks: 5.0, length: 25.0, frequencies: vec![3.0, 3.0] });
        assert!((all.average_length() - 5.0).abs() < 1e-12);
        assert!(Statistics::default().average_length().abs() < 1e-12);
    }

    #[test]
    fn the_whole_tells_no_number_that_a_part_keeps_back() {
        let part = |chunks, lag, worker: &str| Status {
            chunks,
            lag,
            worker: Some(worker.to_owned()),
            ..Status::default()
        };
        let whole =
            Status::of_parts(&[part(Some(2), None, "idle"), part(Some(3), Some(4.0), "off")]);
        assert_eq!(
            (whole.chunks, whole.lag, whole.worker.as_deref()),
            (Some(5), Some(4.0), Some("off"))
        );
        let whole = Status::of_parts(&[part(Some(2), None, "idle"), part(None, None, "idle")]);
        assert_eq!(whole.chunks, None);
    }

    #[test]
    fn vectors_survive_the_way() {
        let tokens = TokenVectors { dimensions: 2, data: vec![1.0, 0.0, 0.6, -0.8] };
        for tokens in [None, Some(tokens), Some(TokenVectors { dimensions: 2, data: vec![] })] {
            let sent =
                Embedding { vector: vec![0.6, 0.8], tokens, token_count: 0, truncated: false };
            assert_eq!(vectors_from_bytes(&vectors_to_bytes(&sent)).unwrap(), Some(sent));
        }
        assert_eq!(vectors_from_bytes(&[]).unwrap(), None);
        for bytes in [&[1, 2, 3][..], &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0; 8]] {
            assert!(vectors_from_bytes(bytes).is_err());
        }
        assert!(vectors_from_bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0x7f]).is_err());
    }

    #[test]
    fn hexadecimal_digits_survive() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        assert_eq!((from_hex("0"), from_hex("zz"), from_hex("")), (None, None, Some(vec![])));
    }
}
