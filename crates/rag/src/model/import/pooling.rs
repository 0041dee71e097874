//! `1_Pooling/config.json` of sentence-transformers: how token vectors become one.
use crate::model::manifest::Pooling;
use crate::{Error, Result};
use serde_json::{Map, Value};

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolingConfig {
    /// Mean or first token.
    pub pooling: Pooling,
    /// Length of a token's vector, where stated.
    pub dimensions: Option<usize>,
    /// Whether the tokens of a prefix count in the mean.
    pub includes_prefix: bool,
}

impl PoolingConfig {
    /// Reads the file; anything but one of mean and CLS is refused.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let fields: Map<String, Value> = super::settings::json("1_Pooling/config.json", bytes)?;
        Ok(Self {
            pooling: pooling(&fields)?,
            dimensions: fields
                .get("word_embedding_dimension")
                .and_then(Value::as_u64)
                .map(|n| n as usize),
            includes_prefix: fields.get("include_prompt").and_then(Value::as_bool).unwrap_or(true),
        })
    }
}

/// Published files have one boolean per mode; newer ones name the mode.
fn pooling(fields: &Map<String, Value>) -> Result<Pooling> {
    let mut modes: Vec<&str> = fields
        .iter()
        .filter(|(_, value)| value.as_bool() == Some(true))
        .filter_map(|(name, _)| name.strip_prefix("pooling_mode_"))
        .collect();
    modes.extend(fields.get("pooling_mode").and_then(Value::as_str));
    match modes[..] {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::Cls),
        _ => Err(Error::unsupported(format!("pooling by {} cannot be imported", listed(&modes)))
            .with_hint("Supported are the mean of all tokens and the CLS token.")),
    }
}

fn listed(modes: &[&str]) -> String {
    if modes.is_empty() {
        return "no mode at all".into();
    }
    modes.iter().map(|m| format!("\"{m}\"")).collect::<Vec<_>>().join(" and ")
}
