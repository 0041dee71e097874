//! Laws of token bits, MaxSim and score fusion.
#![allow(clippy::float_cmp)] // Ties are exact: equal scores keep their order.
use proptest::prelude::*;
use rag::model::{Checkpoint, Detail, Embedder, Embedding, Purpose, TokenVectors};
use rag::rerank::{
    MaxSim, TokenBits, cosine, fuse, late_interaction, order, score_filled, standard_scores,
};
use rag::{Error, Result};

/// Token vectors of unit length.
fn token_vectors(
    dimensions: usize,
    tokens: impl Into<prop::collection::SizeRange>,
) -> impl Strategy<Value = TokenVectors> {
    prop::collection::vec(prop::collection::vec(-1.0_f32..1.0, dimensions), tokens).prop_map(
        move |rows| {
            let unit = |row: Vec<f32>| {
                let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-3);
                row.into_iter().map(move |x| x / length)
            };
            TokenVectors { dimensions, data: rows.into_iter().flat_map(unit).collect() }
        },
    )
}

/// A query and documents of the same dimensions, which need not be a multiple of 8.
fn query_and_documents() -> impl Strategy<Value = (TokenVectors, Vec<TokenVectors>)> {
    (1_usize..70).prop_flat_map(|dimensions| {
        let documents = prop::collection::vec(token_vectors(dimensions, 0..20), 0..5);
        (token_vectors(dimensions, 0..40), documents)
    })
}

/// MaxSim by its definition, from the bits themselves.
fn naive(query: &TokenVectors, bits: &TokenBits<'_>) -> f64 {
    if bits.is_empty() {
        return -1.0;
    }
    let dimensions = query.dimensions;
    let row_bytes = dimensions.div_ceil(8);
    let dot = |row: &[f32], signs: &[u8]| -> f64 {
        let signed = |(k, &x): (usize, &f32)| {
            if signs[k / 8] >> (k % 8) & 1 == 1 { f64::from(x) } else { -f64::from(x) }
        };
        row.iter().enumerate().map(signed).sum()
    };
    let best = |row: &[f32]| {
        bits.as_bytes().chunks(row_bytes).map(|signs| dot(row, signs)).fold(f64::MIN, f64::max)
    };
    let rows = query.data.chunks(dimensions);
    let count = rows.len().max(1) as f64;
    rows.map(best).sum::<f64>() / count / (dimensions as f64).sqrt()
}

fn max_sim(query: &TokenVectors, documents: &[TokenBits<'_>]) -> Vec<f32> {
    MaxSim::new(query, documents, &mut unhurried).unwrap().means()
}

#[allow(clippy::unnecessary_wraps)] // A checkpoint's signature.
fn unhurried() -> Result<()> {
    Ok(())
}

proptest! {
    #[test]
    fn look_up_tables_equal_the_definition((query, documents) in query_and_documents()) {
        let bits: Vec<TokenBits> = documents.iter().map(TokenBits::of).collect();
        let scores = max_sim(&query, &bits);
        prop_assert_eq!(scores.len(), bits.len());
        for (score, bits) in scores.iter().zip(&bits) {
            let expected = naive(&query, bits);
            prop_assert!((f64::from(*score) - expected).abs() < 1e-5, "{} {}", score, expected);
        }
    }

    #[test]
    fn bits_are_the_signs(vectors in (1_usize..70).prop_flat_map(|d| token_vectors(d, 0..20))) {
        let bits = TokenBits::of(&vectors);
        let row_bytes = vectors.dimensions.div_ceil(8);
        prop_assert_eq!(bits.len(), vectors.data.len() / vectors.dimensions);
        for (row, signs) in vectors.data.chunks(vectors.dimensions).zip(bits.as_bytes().chunks(row_bytes)) {
            for (k, &x) in row.iter().enumerate() {
                prop_assert_eq!(signs[k / 8] >> (k % 8) & 1 == 1, x > 0.0);
            }
        }
    }

    #[test]
    fn bits_survive_storage(
        vectors in (1_usize..70).prop_flat_map(|d| token_vectors(d, 0..20)), cut in 0_usize..25,
    ) {
        let bits = TokenBits::of(&vectors);
        let stored = bits.as_bytes().to_vec();
        prop_assert_eq!(&TokenBits::from_bytes(vectors.dimensions, stored).unwrap(), &bits);
        let (head, tail) = (bits.tokens(0..cut), bits.tokens(cut..usize::MAX));
        prop_assert_eq!(head.len() + tail.len(), bits.len());
        prop_assert_eq!([head.as_bytes(), tail.as_bytes()].concat(), bits.as_bytes());
    }

    #[test]
    fn bytes_of_other_dimensions_are_refused(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
        for dimensions in [0, 9, 64, 384, 385] {
            let row = dimensions_bytes(dimensions);
            let result = TokenBits::from_bytes(dimensions, bytes.as_slice());
            prop_assert_eq!(result.is_ok(), row != 0 && bytes.len() % row == 0);
        }
    }

    #[test]
    fn more_tokens_never_lower_max_sim(
        query in token_vectors(16, 1..8), document in token_vectors(16, 2..20), cut in 1_usize..20,
    ) {
        let bits = TokenBits::of(&document);
        let scores = max_sim(&query, &[bits.tokens(0..cut), bits.clone()]);
        prop_assert!(scores[0] <= scores[1]);
    }

    #[test]
    fn weights_follow_what_tells_documents_apart((query, documents) in query_and_documents()) {
        let bits: Vec<TokenBits> = documents.iter().map(TokenBits::of).collect();
        let max_sim = MaxSim::new(&query, &bits, &mut unhurried).unwrap();
        let contrasts = max_sim.contrasts();
        prop_assert!(contrasts.iter().all(|contrast| (0.0..=2.0).contains(contrast)));
        // Between the lowest and the highest match, whatever the weights are.
        for (document, score) in max_sim.contrasted().into_iter().enumerate() {
            let matches = max_sim.of(document);
            let lowest = matches.iter().copied().fold(f32::MAX, f32::min);
            let highest = matches.iter().copied().fold(f32::MIN, f32::max);
            prop_assert!(matches.is_empty() || (lowest - 1e-5..=highest + 1e-5).contains(&score));
        }
        // With one document nothing can be told apart, and weights are alike.
        if let [only] = bits.as_slice() {
            let alone = MaxSim::new(&query, std::slice::from_ref(only), &mut unhurried).unwrap();
            prop_assert_eq!(alone.contrasted(), alone.means());
        }
    }

    #[test]
    fn any_values_give_a_score_in_range(
        query in prop::collection::vec(any::<f32>(), 0..5 * 24),
        document in prop::collection::vec(any::<f32>(), 0..5 * 24),
    ) {
        let whole = |mut data: Vec<f32>| {
            data.truncate(data.len() / 24 * 24);
            TokenVectors { dimensions: 24, data }
        };
        let bits = TokenBits::of(&whole(document));
        let score = max_sim(&whole(query), &[bits])[0];
        prop_assert!((-1.0..=1.0).contains(&score), "{}", score);
    }

    #[test]
    fn fusion_ignores_a_legs_unit_and_zero(
        legs in prop::collection::vec((-100.0_f64..100.0, -100.0_f64..100.0), 1..60),
        factor in 0.01_f64..100.0, offset in -1000.0_f64..1000.0,
    ) {
        let (a, b): (Vec<f64>, Vec<f64>) = legs.into_iter().unzip();
        let moved: Vec<f64> = a.iter().map(|x| x * factor + offset).collect();
        for (x, y) in fuse(&[(2.0, &a), (1.0, &b)]).into_iter().zip(fuse(&[(2.0, &moved), (1.0, &b)])) {
            prop_assert!((x - y).abs() < 1e-6, "{} {}", x, y);
        }
    }

    #[test]
    fn standard_scores_have_mean_0_and_deviation_1(
        values in prop::collection::vec(-1e6_f64..1e6, 2..60),
    ) {
        prop_assume!(values.iter().any(|x| (x - values[0]).abs() > 1e-3));
        let scores = standard_scores(&values);
        let count = scores.len() as f64;
        prop_assert!((scores.iter().sum::<f64>() / count).abs() < 1e-9);
        prop_assert!((scores.iter().map(|x| x * x).sum::<f64>() / count - 1.0).abs() < 1e-9);
    }

    #[test]
    fn standard_scores_are_finite_and_keep_the_order(
        values in prop::collection::vec(any::<f64>(), 0..60),
    ) {
        let scores = standard_scores(&values);
        prop_assert_eq!(scores.len(), values.len());
        prop_assert!(scores.iter().all(|score| score.is_finite()));
        let lowest = scores.iter().copied().fold(f64::MAX, f64::min);
        for (x, a) in values.iter().zip(&scores) {
            prop_assert!(x.is_finite() || *a == lowest);
            for (y, b) in values.iter().zip(&scores) {
                prop_assert!(!x.is_finite() || !y.is_finite() || x > y || a <= b);
            }
        }
    }

    #[test]
    fn order_is_by_score_then_key(
        scores in prop::collection::vec(prop_oneof![Just(f64::NAN), (0_u8..5).prop_map(f64::from)], 0..40),
    ) {
        let order = order(&scores, |i| i % 7);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..scores.len()).collect::<Vec<_>>());
        for pair in order.windows(2) {
            let (a, b) = (scores[pair[0]], scores[pair[1]]);
            let is_tie = a == b || a.is_nan() && b.is_nan();
            prop_assert!(a > b || !a.is_nan() && b.is_nan() || is_tie);
            prop_assert!(!is_tie || (pair[0] % 7, pair[0]) < (pair[1] % 7, pair[1]));
        }
    }
}

fn dimensions_bytes(dimensions: usize) -> usize {
    dimensions.div_ceil(8)
}

#[test]
fn equal_values_have_no_standard_score() {
    assert_eq!(standard_scores(&[0.1 + 0.2, 0.3, 0.3]), [0.0; 3]);
    assert_eq!(standard_scores(&[7.0]), [0.0]);
    assert_eq!(standard_scores(&[f64::NAN, f64::NAN]), [0.0; 2]);
    assert_eq!(standard_scores(&[]), [0.0; 0]);
}

#[test]
fn dimensions_must_agree() {
    let query = TokenVectors { dimensions: 8, data: vec![1.0; 8] };
    let other = TokenBits::from_bytes(16, vec![0; 2]).unwrap();
    let error = MaxSim::new(&query, &[other], &mut unhurried).unwrap_err();
    assert_eq!(error.sqlstate(), "22023");
    assert!(error.hint().is_some());
}

#[test]
fn a_cancel_ends_a_long_comparison() {
    let query = TokenVectors { dimensions: 8, data: vec![1.0; 8] };
    let long = TokenBits::from_bytes(8, vec![7; 60_000]).unwrap();
    let error =
        MaxSim::new(&query, &[long.clone(), long], &mut || Err(Error::cancelled())).unwrap_err();
    assert!(error.is_cancelled());
}

/// Embeds a word as the direction of its first letter and a text as the mean of its words.
struct FirstLetters;

impl Embedder for FirstLetters {
    fn embed(
        &self,
        texts: &[&str],
        _: Purpose,
        _: Detail,
        _: Checkpoint<'_>,
    ) -> Result<Vec<Embedding>> {
        texts
            .iter()
            .map(|text| {
                let words: Vec<&str> = text.split_whitespace().collect();
                if words.is_empty() {
                    return Err(Error::invalid_argument("a text has no token"));
                }
                let mut tokens = TokenVectors { dimensions: 26, data: Vec::new() };
                let mut vector = vec![0.0; 26];
                for word in &words {
                    let mut row = vec![-0.1; 26];
                    row[usize::from(word.to_lowercase().as_bytes()[0] - b'a') % 26] = 1.0;
                    vector.iter_mut().zip(&row).for_each(|(sum, x)| *sum += x);
                    tokens.data.extend(row);
                }
                let token_count = words.len();
                Ok(Embedding { vector, tokens: Some(tokens), token_count, truncated: false })
            })
            .collect()
    }
}

fn rerank(query: &str, documents: &[&str]) -> Result<Vec<f64>> {
    let has_token = |text: &str| Ok(!text.trim().is_empty());
    score_filled(documents, has_token, |filled| {
        late_interaction(&FirstLetters, query, filled, &mut unhurried)
    })
}

#[test]
fn the_fitting_document_comes_first_and_blank_ones_last() {
    let documents = ["xylophone", "", "apple banana", "  \n", "apple zebra"];
    let scores = rerank("apple banana", &documents).unwrap();
    assert_eq!(order(&scores, |i| i), [2, 4, 0, 1, 3]);
    assert!(scores[1] < scores[0]);
}

#[test]
fn a_blank_query_is_the_embedders_error_and_no_documents_no_scores() {
    assert!(rerank("a", &[]).unwrap().is_empty());
    assert_eq!(rerank("a", &["", " "]).unwrap(), [-1.0; 2]);
    assert_eq!(rerank(" ", &["a"]).unwrap_err().sqlstate(), "22023");
}

#[test]
fn the_best_of_many_documents_rank_first() {
    let texts: Vec<String> =
        (0..300).map(|i| format!("w{i} {}", char::from(b'a' + (i % 26) as u8))).collect();
    let documents: Vec<&str> = texts.iter().map(String::as_str).collect();
    let scores = rerank("w c", &documents).unwrap();
    let best: Vec<usize> = order(&scores, |i| i).into_iter().take(12).collect();
    assert_eq!(best, (0..12).map(|i| 2 + 26 * i).collect::<Vec<_>>());
}

#[test]
fn cosine_is_free_of_scale() {
    assert!((cosine(&[3.0, 0.0], &[0.5, 0.5]) - 0.5_f32.sqrt()).abs() < 1e-6);
    assert!((cosine(&[0.0, 0.0], &[0.5, 0.5])).abs() < 1e-6);
    assert!((cosine(&[f32::MAX, 0.0], &[f32::MAX, 0.0]) - 1.0).abs() < 1e-6);
}

#[test]
fn max_sim_from_matches_elsewhere_is_the_same() {
    let query = TokenVectors { dimensions: 2, data: vec![1.0, 0.0, 0.6, 0.8] };
    let documents = [vec![1.0, 1.0], vec![], vec![-1.0, 1.0, 1.0, -1.0]]
        .map(|data| TokenVectors { dimensions: 2, data });
    let bits: Vec<TokenBits<'_>> = documents.iter().map(TokenBits::of).collect();
    let here = MaxSim::new(&query, &bits, &mut || Ok(())).unwrap();
    let rows: Vec<&[f32]> =
        (0..3).map(|n| if bits[n].is_empty() { &[][..] } else { here.of(n) }).collect();
    assert_eq!(MaxSim::from_matches(&rows), Some(here));
    assert_eq!(MaxSim::from_matches(&[&[0.1], &[0.1, 0.2]]), None);
}
