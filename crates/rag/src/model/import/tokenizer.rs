//! Whether a tokenizer and a graph belong together.
use crate::model::tokenizer::parsed;
use crate::{Error, Result};

/// The graph's requirements.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Rows of the word embeddings, where known.
    pub vocabulary: Option<usize>,
    /// Kinds of token types, where known.
    pub types: Option<usize>,
    /// The window.
    pub max_tokens: usize,
    /// Whether pairs are encoded.
    pub is_pair: bool,
    /// Whether texts are to be lower-cased first.
    pub is_lowercase: bool,
}

/// Refuses a tokenizer whose ids the graph has no row for, or which leaves no room for text.
pub fn check(json: &[u8], expected: &Expected) -> Result<()> {
    let damaged = |e: tokenizers::Error| {
        Error::configuration("could not read tokenizer.json")
            .with_detail(e.to_string())
            .with_hint("The file is damaged or of a newer format.")
    };
    let mut tokenizer = parsed(json).map_err(damaged)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(damaged)?;

    let largest = tokenizer.get_vocab(true).into_values().max();
    if let (Some(largest), Some(rows)) = (largest, expected.vocabulary)
        && largest as usize >= rows
    {
        return Err(Error::configuration(format!(
            "tokenizer.json and the weights do not fit: the largest id is {largest}, the model has {rows} words"
        ))
        .with_hint("The two files are of different models."));
    }
    if expected.is_lowercase
        && tokenizer.encode_fast("A", false).map_err(damaged)?.get_ids()
            != tokenizer.encode_fast("a", false).map_err(damaged)?.get_ids()
    {
        return Err(Error::unsupported(
            "the model wants lower-cased text, its tokenizer keeps upper case",
        )
        .with_hint(
            "Set \"lowercase\" in the normalizer of tokenizer.json, or \"do_lower_case\" to false.",
        ));
    }
    let special = if expected.is_pair {
        tokenizer.encode(("", ""), true)
    } else {
        tokenizer.encode("", true)
    }
    .map_err(damaged)?;
    if special.len() >= expected.max_tokens {
        return Err(Error::unsupported(format!(
            "a window of {} tokens leaves no room beside {} special tokens",
            expected.max_tokens,
            special.len()
        )));
    }
    if let (Some(&largest), Some(types)) = (special.get_type_ids().iter().max(), expected.types)
        && largest as usize >= types
    {
        return Err(Error::configuration(format!(
            "tokenizer.json makes token type {largest}, the model has {types}"
        )));
    }
    Ok(())
}
