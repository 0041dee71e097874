//! The partial results of a search's two legs, and their fusion.
//!
//! PostgreSQL generates candidates: for every chunk that a leg finds, an encoded [`PartialResult`] with what BM25 needs.
//! [`fuse`] ranks them: document frequencies, BM25, reciprocal rank fusion. Both take a [`FusionRequest`], encoded as one value
//! so that a function called once per row reads it without allocating.
use super::Bm25;
use super::sample::Tid;
use std::collections::{HashMap, HashSet};

/// The constant of reciprocal rank fusion. Small, because the legs are few and their first ranks are
/// trustworthy.
pub const RRF_K: f64 = 10.0;

/// Most terms of a request.
pub const MAX_TERMS: usize = 64;

/// A lexeme that is searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The lexeme as a `tsvector` holds it.
    pub lexeme: String,
    /// Share of the chunks that hold it, from 0 to 1; `None` where all that do are among what the legs found.
    pub frequency: Option<f32>,
}

/// The parameters of a search that [`fuse`] needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FusionRequest {
    /// At most [`MAX_TERMS`], in ascending order of their bytes, each once.
    pub terms: Vec<Term>,
    /// Chunks in the collection, where that is known; else the number of candidates stands for it.
    pub documents: Option<f64>,
    /// Most ranks of the lexical leg that count.
    pub depth: usize,
    /// The number of candidates to keep.
    pub limit: usize,
    /// Weight of the dense leg in the fusion.
    pub dense_weight: f64,
    /// Weight of the lexical leg in the fusion.
    pub lexical_weight: f64,
    /// Whether the lexical leg's hits come in the order of its ranks; else they are ranked by BM25.
    pub is_ranked: bool,
}

/// A chunk that a search keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its identifier.
    pub chunk_id: i64,
    /// Its TID.
    pub tid: Tid,
    /// Rank by distance, from 1.
    pub dense_rank: Option<u32>,
    /// Rank by BM25, from 1.
    pub lexical_rank: Option<u32>,
    /// Sum over the legs of `weight / (k + rank)`.
    pub rrf: f64,
    /// BM25 of the chunk, 0 when it holds no term.
    pub bm25: f64,
}

const HEADER: usize = 8 + 8 + 8 + 4 + 4 + 1 + 2;
const PARTIAL_HEADER: usize = 8 + 4 + 2 + 2;

impl FusionRequest {
    /// The request as bytes.
    pub fn pack(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.terms.len() * 16);
        bytes.extend(self.documents.unwrap_or(f64::NAN).to_le_bytes());
        bytes.extend(self.dense_weight.to_le_bytes());
        bytes.extend(self.lexical_weight.to_le_bytes());
        bytes.extend((self.depth as u32).to_le_bytes());
        bytes.extend((self.limit as u32).to_le_bytes());
        bytes.push(u8::from(self.is_ranked));
        let terms = &self.terms[..self.terms.len().min(MAX_TERMS)];
        bytes.extend((terms.len() as u16).to_le_bytes());
        for term in terms {
            bytes.extend(term.frequency.unwrap_or(f32::NAN).to_le_bytes());
            bytes.extend((term.lexeme.len() as u16).to_le_bytes());
            bytes.extend(term.lexeme.as_bytes());
        }
        bytes
    }

    /// Reads what [`FusionRequest::pack`] wrote; `None` for anything else.
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(f64::from_le_bytes);
        let count = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let documents = number(0)?;
        let terms = packed_terms(bytes)?.map(|(frequency, lexeme)| {
            let lexeme = str::from_utf8(lexeme).ok()?.to_owned();
            Some(Term { lexeme, frequency: (!frequency.is_nan()).then_some(frequency) })
        });
        Some(Self {
            terms: terms.collect::<Option<_>>()?,
            documents: documents.is_finite().then_some(documents),
            dense_weight: number(8)?,
            lexical_weight: number(16)?,
            depth: count(24)? as usize,
            limit: count(28)? as usize,
            is_ranked: *bytes.get(32)? == 1,
        })
    }
}

/// Frequency and lexeme of each term of a packed request.
fn packed_terms(bytes: &[u8]) -> Option<impl Iterator<Item = (f32, &[u8])>> {
    let count = u16::from_le_bytes(bytes.get(HEADER - 2..HEADER)?.try_into().ok()?);
    let mut rest = bytes.get(HEADER..)?;
    (usize::from(count) <= MAX_TERMS).then(|| {
        (0..count).map_while(move |_| {
            let frequency = f32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
            let length = usize::from(u16::from_le_bytes(rest.get(4..6)?.try_into().ok()?));
            let lexeme = rest.get(6..6 + length)?;
            rest = &rest[6 + length..];
            Some((frequency, lexeme))
        })
    })
}

/// Encodes what ranking needs of a chunk: its identifier, its TID, its length in lexemes, and its frequency of each term of
/// the encoded `request`. `lexemes` are those of the chunk in ascending order of their bytes, each
/// with its occurrences. A malformed request has no terms.
pub fn encode_partial_result<'a>(
    request: &[u8],
    chunk_id: i64,
    (page, offset): Tid,
    lexemes: impl Iterator<Item = (&'a [u8], usize)>,
) -> Vec<u8> {
    let mut terms = packed_terms(request).into_iter().flatten().map(|(_, lexeme)| lexeme);
    let mut hit = Vec::with_capacity(PARTIAL_HEADER + MAX_TERMS);
    hit.extend(chunk_id.to_le_bytes());
    hit.extend(page.to_le_bytes());
    hit.extend(offset.to_le_bytes());
    hit.extend([0, 0]);
    let mut term = terms.next();
    let mut length = 0;
    for (lexeme, occurrences) in lexemes {
        length += occurrences;
        while let Some(wanted) = term.filter(|wanted| *wanted <= lexeme) {
            hit.push(if wanted == lexeme { occurrences.clamp(1, 255) as u8 } else { 0 });
            term = terms.next();
        }
    }
    while term.is_some() {
        hit.push(0);
        term = terms.next();
    }
    hit[PARTIAL_HEADER - 2..PARTIAL_HEADER]
        .copy_from_slice(&(length.min(usize::from(u16::MAX)) as u16).to_le_bytes());
    hit
}

/// The rarest [`MAX_TERMS`] of `terms`, in ascending order of their bytes; those whose frequency is unknown
/// count as rare.
pub fn rarest_terms(mut terms: Vec<Term>) -> Vec<Term> {
    if terms.len() > MAX_TERMS {
        let share = |term: &Term| term.frequency.unwrap_or(0.0);
        terms.sort_by(|a, b| share(a).total_cmp(&share(b)).then_with(|| a.lexeme.cmp(&b.lexeme)));
        terms.truncate(MAX_TERMS);
    }
    terms.sort_by(|a, b| a.lexeme.cmp(&b.lexeme));
    terms
}

/// One chunk, as [`encode_partial_result`] wrote it.
struct PartialResult<'a> {
    chunk_id: i64,
    tid: Tid,
    length: f64,
    occurrences: &'a [u8],
}

fn decode_partial_results(bytes: &[u8], terms: usize) -> impl Iterator<Item = PartialResult<'_>> {
    bytes.chunks_exact(PARTIAL_HEADER + terms).map(|hit| PartialResult {
        chunk_id: i64::from_le_bytes(hit[..8].try_into().expect("eight bytes")),
        tid: (
            u32::from_le_bytes(hit[8..12].try_into().expect("four bytes")),
            u16::from_le_bytes([hit[12], hit[13]]),
        ),
        length: f64::from(u16::from_le_bytes([hit[14], hit[15]])),
        occurrences: &hit[PARTIAL_HEADER..],
    })
}

/// The TID of each encoded partial result, with its bytes.
pub fn partial_results<'a>(
    request: &FusionRequest,
    packed: &'a [u8],
) -> impl Iterator<Item = (Tid, &'a [u8])> {
    let terms = request.terms.len();
    decode_partial_results(packed, terms)
        .map(|hit| hit.tid)
        .zip(packed.chunks_exact(PARTIAL_HEADER + terms))
}

/// The number of encoded partial results, and the document frequency of each term among them.
pub fn seen(request: &FusionRequest, packed: &[u8]) -> (usize, Vec<usize>) {
    let mut holding = vec![0; request.terms.len()];
    let mut count = 0;
    for hit in decode_partial_results(packed, request.terms.len()) {
        count += 1;
        for (holding, occurrences) in holding.iter_mut().zip(hit.occurrences) {
            *holding += usize::from(*occurrences > 0);
        }
    }
    (count, holding)
}

/// Ranks the candidates of both legs and keeps the top ones. `dense` holds the partial results of the dense leg in order
/// of distance, `lexical` those of the lexical leg in any order, or in that of their ranks where the request says so. Ties
/// go to the lower chunk id.
pub fn fuse(request: &FusionRequest, dense: &[u8], lexical: &[u8]) -> Vec<Candidate> {
    let terms = request.terms.len();
    let mut candidates: HashMap<i64, Candidate> = HashMap::new();
    let mut found: Vec<PartialResult<'_>> = Vec::new();
    for hit in decode_partial_results(dense, terms).chain(decode_partial_results(lexical, terms)) {
        candidates.entry(hit.chunk_id).or_insert_with(|| {
            let PartialResult { chunk_id, tid, .. } = hit;
            found.push(hit);
            Candidate { chunk_id, tid, dense_rank: None, lexical_rank: None, rrf: 0.0, bm25: 0.0 }
        });
    }
    if request.dense_weight > 0.0 {
        for (rank, hit) in (1..).zip(decode_partial_results(dense, terms)) {
            let candidate = candidates.get_mut(&hit.chunk_id).expect("every hit is a candidate");
            if candidate.dense_rank.is_none() {
                candidate.dense_rank = Some(rank);
                candidate.rrf += request.dense_weight / (RRF_K + f64::from(rank));
            }
        }
    }
    let scores = by_bm25(request, &found);
    for (bm25, chunk_id) in &scores {
        candidates.get_mut(chunk_id).expect("every hit is a candidate").bm25 = *bm25;
    }
    let depth = if request.lexical_weight > 0.0 { request.depth } else { 0 };
    let order = lexical_order(request, lexical, &scores);
    for (rank, chunk_id) in (1..).zip(order.into_iter().take(depth)) {
        let candidate = candidates.get_mut(&chunk_id).expect("every hit is a candidate");
        if candidate.lexical_rank.is_none() {
            candidate.lexical_rank = Some(rank);
            candidate.rrf += request.lexical_weight / (RRF_K + f64::from(rank));
        }
    }
    let is_ranked = |c: &Candidate| c.dense_rank.is_some() || c.lexical_rank.is_some();
    let mut kept: Vec<Candidate> = candidates.into_values().filter(is_ranked).collect();
    kept.sort_by(|a, b| b.rrf.total_cmp(&a.rrf).then(a.chunk_id.cmp(&b.chunk_id)));
    kept.truncate(request.limit);
    kept
}

/// Chunks that hold any term in the order of the lexical leg's ranks.
fn lexical_order(request: &FusionRequest, lexical: &[u8], scores: &[(f64, i64)]) -> Vec<i64> {
    let by_score = scores.iter().map(|(_, chunk_id)| *chunk_id);
    if !request.is_ranked {
        return by_score.collect();
    }
    let with_terms: HashSet<i64> = by_score.collect();
    let given = decode_partial_results(lexical, request.terms.len()).map(|hit| hit.chunk_id);
    given.filter(|chunk_id| with_terms.contains(chunk_id)).collect()
}

/// Scores of the chunks that hold any term, highest first.
fn by_bm25(request: &FusionRequest, found: &[PartialResult<'_>]) -> Vec<(f64, i64)> {
    let count = found.len() as f64;
    let documents = request.documents.unwrap_or(0.0).max(count);
    let length = found.iter().map(|hit| hit.length).sum::<f64>() / count.max(1.0);
    let bm25 = Bm25::new(documents, length);
    let idf_of = |(position, term): (usize, &Term)| {
        let seen = found.iter().filter(|hit| hit.occurrences[position] > 0).count() as f64;
        // Every chunk with a rare term is a candidate; of those with a common term only some are.
        let estimated = term.frequency.map_or(0.0, |share| f64::from(share) * documents);
        bm25.idf(seen.max(estimated))
    };
    let idf: Vec<f64> = request.terms.iter().enumerate().map(idf_of).collect();
    let score = |hit: &PartialResult<'_>| {
        let parts = idf.iter().zip(hit.occurrences);
        parts.map(|(&idf, &n)| bm25.score(idf, f64::from(n), hit.length)).sum::<f64>()
    };
    let mut scores: Vec<(f64, i64)> = found.iter().map(|hit| (score(hit), hit.chunk_id)).collect();
    scores.retain(|(score, _)| *score > 0.0);
    scores.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(terms: &[&str]) -> FusionRequest {
        let term = |lexeme: &&str| Term { lexeme: (*lexeme).to_owned(), frequency: None };
        FusionRequest {
            terms: terms.iter().map(term).collect(),
            documents: Some(1000.0),
            depth: 100,
            limit: 50,
            dense_weight: 1.0,
            lexical_weight: 1.0,
            is_ranked: false,
        }
    }

    fn hit(request: &FusionRequest, id: i64, lexemes: &[(&str, usize)]) -> Vec<u8> {
        let tid = (id as u32, id as u16 % 291 + 1);
        encode_partial_result(
            &request.pack(),
            id,
            tid,
            lexemes.iter().map(|(l, n)| (l.as_bytes(), *n)),
        )
    }

    #[test]
    fn requests_survive_packing() {
        let mut wanted = request(&["a", "être", "z"]);
        wanted.terms[1].frequency = Some(0.25);
        assert_eq!(FusionRequest::unpack(&wanted.pack()).as_ref(), Some(&wanted));
        wanted.documents = None;
        wanted.is_ranked = true;
        wanted.terms.clear();
        assert_eq!(FusionRequest::unpack(&wanted.pack()), Some(wanted));
        assert_eq!(FusionRequest::unpack(b"anything"), None);
        assert_eq!(FusionRequest::unpack(&[255; 64]), None);
    }

    #[test]
    fn partial_results_count_terms_in_any_position() {
        let request = request(&["b", "d", "f"]);
        let packed = hit(&request, 7, &[("a", 1), ("b", 2), ("c", 1), ("f", 300)]);
        let found = decode_partial_results(&packed, 3).next().unwrap();
        assert_eq!((found.chunk_id, found.tid), (7, (7, 8)));
        assert_eq!((found.length, found.occurrences), (304.0, &[2, 0, 255][..]));
        assert_eq!(
            decode_partial_results(&hit(&request, 7, &[]), 3).next().unwrap().occurrences,
            [0, 0, 0]
        );
    }

    #[test]
    fn document_frequencies_count_each_partial_result_once() {
        let request = request(&["a", "b"]);
        let packed = [hit(&request, 1, &[("a", 3)]), hit(&request, 2, &[("a", 1), ("b", 1)])];
        assert_eq!(seen(&request, &packed.concat()), (2, vec![2, 1]));
        assert_eq!(seen(&request, &[]), (0, vec![0, 0]));
        let packed = packed.concat();
        let each: Vec<(Tid, &[u8])> = partial_results(&request, &packed).collect();
        assert_eq!((each.len(), each[1].0), (2, (2, 3)));
        assert_eq!([each[0].1, each[1].1].concat(), packed);
    }

    #[test]
    fn both_legs_count_and_rare_terms_count_more() {
        let request = request(&["common", "rare"]);
        let dense: Vec<u8> =
            [hit(&request, 1, &[("x", 1)]), hit(&request, 2, &[("common", 1)])].concat();
        let lexical: Vec<u8> = (2..30)
            .flat_map(|id| {
                hit(
                    &request,
                    id,
                    &[("common", 1), ("rare", usize::from(id == 9))][..=usize::from(id == 9)],
                )
            })
            .collect();
        let fused = fuse(&request, &dense, &lexical);
        let of = |id| fused.iter().find(|c| c.chunk_id == id).unwrap();
        assert_eq!((of(1).dense_rank, of(1).lexical_rank), (Some(1), None));
        assert_eq!(of(9).lexical_rank, Some(1));
        assert!(of(2).dense_rank == Some(2) && of(2).lexical_rank == Some(2));
        assert_eq!(fused[0].chunk_id, 2, "found by both legs");
        assert!(fused.iter().all(|c| c.tid == (c.chunk_id as u32, c.chunk_id as u16 + 1)));
    }

    #[test]
    fn ranked_lexical_results_keep_their_order() {
        let mut request = request(&["common", "rare"]);
        let hits = [("other", 1, 5), ("rare", 2, 1_i64), ("common", 9, 2), ("rare", 1, 3)];
        let lexical: Vec<u8> =
            hits.iter().flat_map(|(lexeme, n, id)| hit(&request, *id, &[(*lexeme, *n)])).collect();
        let dense = hit(&request, 4, &[("rare", 1)]);
        request.is_ranked = true;
        request.depth = 2;
        let fused = fuse(&request, &dense, &lexical);
        let ranks =
            |id| fused.iter().find(|c| c.chunk_id == id).map(|c| (c.dense_rank, c.lexical_rank));
        assert_eq!(ranks(1), Some((None, Some(1))));
        assert_eq!(ranks(2), Some((None, Some(2))));
        assert_eq!(ranks(3), None, "beyond the depth");
        assert_eq!(ranks(5), None, "it holds no term");
        assert_eq!(ranks(4), Some((Some(1), None)), "it did not find it");
        assert!(fused.iter().find(|c| c.chunk_id == 4).unwrap().bm25 > 0.0, "all have a score");
    }

    #[test]
    fn weights_turn_legs_off_and_the_limit_holds() {
        let mut request = request(&["t"]);
        let dense = hit(&request, 1, &[]);
        let lexical: Vec<u8> = (2..9).flat_map(|id| hit(&request, id, &[("t", 1)])).collect();
        request.limit = 3;
        assert_eq!(fuse(&request, &dense, &lexical).len(), 3);
        request.dense_weight = 0.0;
        assert!(fuse(&request, &dense, &lexical).iter().all(|c| c.chunk_id > 1));
        request.lexical_weight = 0.0;
        assert!(fuse(&request, &dense, &lexical).is_empty());
        assert!(fuse(&request, b"garbage", b"more of it").len() <= 3);
    }
}
