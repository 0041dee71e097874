//! Weights of a search's signals.
use super::calibration::OfScript;
use crate::rerank::MAX_SIM_WEIGHT;

/// What is left of the weight of a model's signals for a question of nothing but codes, such as part numbers: a model has tokens for their pieces,
/// and finds what looks alike.
const OF_CODES: f64 = 0.25;

/// Weights of the signals. Those that the caller gave stay as they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignalWeights {
    /// Of the cosine, and of the dense leg's ranks.
    pub dense: f64,
    /// Of BM25, and of the lexical leg's ranks.
    pub lexical: f64,
    /// Of MaxSim.
    pub max_sim: f64,
    is_dense_given: bool,
    is_max_sim_given: bool,
}

impl SignalWeights {
    /// Those given, and what `calibration` makes of the defaults.
    pub fn new(
        dense: Option<f64>,
        lexical: f64,
        max_sim: Option<f64>,
        calibration: Option<&OfScript>,
    ) -> Self {
        let model = calibration.map_or(1.0, |known| known.model_weight);
        Self {
            dense: dense.unwrap_or(model),
            lexical,
            max_sim: max_sim.unwrap_or(MAX_SIM_WEIGHT * model),
            is_dense_given: dense.is_some(),
            is_max_sim_given: max_sim.is_some(),
        }
    }

    /// For ranking the candidates of a question whose lexemes have these weights: the share of codes counts for words alone.
    #[must_use]
    pub fn for_lexemes<'a>(self, lexemes: impl Iterator<Item = (&'a str, f64)> + Clone) -> Self {
        let codes: Vec<&str> =
            lexemes.clone().map(|(lexeme, _)| lexeme).filter(|lexeme| is_code(lexeme)).collect();
        if self.lexical <= 0.0 || codes.is_empty() {
            return self;
        }
        // Parts of a code are lexemes too.
        let is_part = |lexeme: &str| codes.iter().any(|code| code.contains(lexeme));
        let all: f64 = lexemes.clone().map(|(_, weight)| weight).sum();
        let of_codes: f64 =
            lexemes.filter(|(lexeme, _)| is_part(lexeme)).map(|(_, weight)| weight).sum();
        let share = if all > 0.0 { of_codes / all } else { 0.0 };
        let left = 1.0 - (1.0 - OF_CODES) * share;
        let scaled = |weight: f64, is_given: bool| if is_given { weight } else { weight * left };
        Self {
            dense: scaled(self.dense, self.is_dense_given),
            max_sim: scaled(self.max_sim, self.is_max_sim_given),
            ..self
        }
    }
}

/// Whether a lexeme has digits beside letters, or many of them: no word, and no year or count.
fn is_code(lexeme: &str) -> bool {
    let digits = lexeme.chars().filter(char::is_ascii_digit).count();
    digits > 4 || digits > 0 && lexeme.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default() -> SignalWeights {
        SignalWeights::new(None, 1.0, None, None)
    }

    #[test]
    fn words_alone_leave_the_weights() {
        let lexemes = [("disk", 2.0), ("2015", 3.0), ("42", 1.0)];
        assert_eq!(default().for_lexemes(lexemes.into_iter()), default());
        assert_eq!(default().for_lexemes(std::iter::empty()), default());
    }

    #[test]
    fn a_code_is_found_by_its_word() {
        let alone = default().for_lexemes([("abc123", 3.0)].into_iter());
        assert_eq!((alone.dense, alone.lexical, alone.max_sim), (0.25, 1.0, 0.5));
        let with_parts = [("123", 2.0), ("abc", 2.0), ("abc123", 3.0)];
        assert_eq!(default().for_lexemes(with_parts.into_iter()), alone);
        let beside = default().for_lexemes([("part", 1.0), ("abc123", 1.0)].into_iter());
        assert!(alone.dense < beside.dense && beside.dense < 1.0);
    }

    #[test]
    fn what_the_caller_gave_stays() {
        let given = SignalWeights::new(Some(3.0), 1.0, Some(4.0), None);
        assert_eq!(given.for_lexemes([("abc123", 3.0)].into_iter()), given);
    }
}
