//! HTML: the text a reader would see.
use super::document::Document;
use crate::model::Checkpoint;
use crate::{Error, Result};

pub(super) fn parse(_text: &str, _checkpoint: Checkpoint<'_>) -> Result<(String, Document)> {
    Err(Error::unsupported("HTML is not supported yet"))
}
