//! Named options of a search as SQL gives them.
use crate::pg::json::JsonText;
use crate::pg::search::{DEFAULT_TOP_K, Options};
use crate::search::filter::Filter;
use crate::{Error, Result};

/// Most chunks that one search returns, and most that one leg finds.
const MOST: i32 = 1_000;

/// Named options as they came; `None` means the default.
#[derive(Default)]
pub struct Given {
    /// Chunks to return.
    pub top_k: Option<i32>,
    /// Which documents and chunks.
    pub filter: Option<JsonText>,
    /// Whether late interaction orders the candidates.
    pub rerank: Option<bool>,
    /// Ranks of each leg that count.
    pub depth: Option<i32>,
    /// Candidates to rank.
    pub candidates: Option<i32>,
    /// Weight of the dense leg.
    pub dense_weight: Option<f64>,
    /// Weight of the lexical leg.
    pub lexical_weight: Option<f64>,
    /// Weight of late interaction.
    pub rerank_weight: Option<f64>,
}

impl Given {
    /// The options, checked.
    pub fn read(self) -> Result<Options> {
        let mut options = Options::top(count("top_k", self.top_k.unwrap_or(DEFAULT_TOP_K))?);
        options.filter_text = self.filter.map(|filter| filter.parse()).transpose()?;
        options.filter = options.filter_text.as_ref().map(Filter::parse).transpose()?;
        options.rerank = self.rerank.unwrap_or(options.rerank);
        for (name, chosen, option) in [
            ("depth", self.depth, &mut options.depth),
            ("candidates", self.candidates, &mut options.candidates),
        ] {
            if let Some(chosen) = chosen {
                *option = count(name, chosen)?.max(options.top_k);
            }
        }
        for (name, chosen, option) in [
            ("dense_weight", self.dense_weight, &mut options.dense_weight),
            ("lexical_weight", self.lexical_weight, &mut options.lexical_weight),
            ("rerank_weight", self.rerank_weight, &mut options.rerank_weight),
        ] {
            if let Some(chosen) = chosen {
                *option = weight(name, chosen)?;
            }
        }
        if options.dense_weight == 0.0 && options.lexical_weight == 0.0 {
            return Err(Error::invalid_argument("dense_weight and lexical_weight are both 0")
                .with_hint("Give at least one of them a weight above 0."));
        }
        Ok(options)
    }
}

/// A number of things to find.
pub fn count(name: &str, value: i32) -> Result<usize> {
    if !(1..=MOST).contains(&value) {
        return Err(Error::invalid_argument(format!("{name} must be between 1 and {MOST}"))
            .with_detail(format!("It is {value}."))
            .with_hint(format!("Ask for up to {MOST}, or filter for fewer documents.")));
    }
    Ok(usize::try_from(value).unwrap_or_default())
}

fn weight(name: &str, value: f64) -> Result<f64> {
    if (0.0..=1e6).contains(&value) {
        return Ok(value);
    }
    Err(Error::invalid_argument(format!("{name} must be between 0 and 1000000"))
        .with_detail(format!("It is {value}."))
        .with_hint("1 is the default; 0 leaves the signal out."))
}
