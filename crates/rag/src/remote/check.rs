//! Whether what a provider sent can be what was asked for.
use super::provider::Scores;
use crate::{Error, Result};

/// Why vectors or scores are not usable.
pub(super) enum ResponseDefect {
    /// The response as such.
    Malformed(String),
    /// The model is not the one that was described.
    Configuration(Error),
}

/// Checks number, lengths and values of vectors.
pub(super) fn vectors(
    vectors: &[Vec<f32>],
    texts: usize,
    dimensions: Option<usize>,
    label: &str,
) -> Result<(), ResponseDefect> {
    if vectors.len() != texts {
        let found = vectors.len();
        return Err(ResponseDefect::Malformed(format!(
            "It holds {found} vectors for {texts} texts."
        )));
    }
    for vector in vectors {
        let found = vector.len();
        if let Some(dimensions) = dimensions.filter(|wanted| *wanted != found) {
            let message =
                format!("{label} returned {found} dimensions where it should have {dimensions}");
            return Err(ResponseDefect::Configuration(Error::configuration(message).with_hint(
                "Create the model with the dimensions it has, or ask for others through its parameters.",
            )));
        }
        if !vector.iter().all(|x| x.is_finite()) {
            return Err(ResponseDefect::Malformed(
                "A vector holds a number that is none.".to_owned(),
            ));
        }
        if vector.iter().all(|x| *x == 0.0) {
            return Err(ResponseDefect::Malformed("A vector is all zeros.".to_owned()));
        }
    }
    Ok(())
}

/// Puts scores into the documents' order. Some providers return the best alone: the others rank behind them, with
/// one less than the lowest score.
pub(super) fn scores(scores: &Scores, documents: usize) -> Result<Vec<f32>, ResponseDefect> {
    let mut found = vec![None; documents];
    for (position, score) in &scores.scores {
        match found.get_mut(*position) {
            Some(found @ None) if (*score as f32).is_finite() => *found = Some(*score as f32),
            Some(None) => {
                return Err(ResponseDefect::Malformed("A score is no number.".to_owned()));
            }
            _ => {
                return Err(ResponseDefect::Malformed(
                    "Its positions are not those of the documents.".to_owned(),
                ));
            }
        }
    }
    let lowest = found.iter().copied().flatten().reduce(f32::min);
    let Some(lowest) = lowest else {
        return Err(ResponseDefect::Malformed(format!(
            "It holds no scores for {documents} documents."
        )));
    };
    Ok(found.into_iter().map(|score| score.unwrap_or(lowest - 1.0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_beyond_what_sql_is_given_are_refused() {
        for score in [1e300, f64::INFINITY, f64::NAN] {
            let given = Scores { scores: vec![(0, score)], tokens: None };
            assert!(scores(&given, 1).is_err(), "{score}");
        }
    }
}
