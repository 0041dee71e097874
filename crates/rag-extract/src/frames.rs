//! Frames on standard output: a length of four bytes, most significant first, and JSON.
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::document::Document;
use crate::failure::Failure;

/// Writes the frames of a file that was read, or of one that was not.
pub fn write(out: &mut impl Write, result: &Result<Document, Failure>) -> io::Result<()> {
    match result {
        Ok(document) => write_document(out, document, None),
        Err(failure) => frame(out, &error(failure)),
    }
}

/// Writes a document's frames; `failure` takes the place of the end.
pub fn write_document(
    out: &mut impl Write,
    document: &Document,
    failure: Option<&Failure>,
) -> io::Result<()> {
    let pages = document.paged.then_some(document.pages.len());
    frame(
        out,
        &json!({"document": {
            "format": document.format.name(), "pages": pages, "metadata": document.metadata}}),
    )?;
    let mut characters = 0;
    for (n, page) in document.pages.iter().enumerate() {
        characters += page.content.chars().count();
        frame(out, &json!({"page": n + 1, "content": page.content, "metadata": page.metadata}))?;
    }
    match failure {
        Some(failure) => frame(out, &error(failure)),
        None => {
            frame(out, &json!({"end": {"pages": document.pages.len(), "characters": characters}}))
        }
    }
}

/// The frame of a failure.
fn error(failure: &Failure) -> Value {
    json!({"error": {
        "class": failure.class.word(), "message": failure.message, "detail": failure.detail}})
}

fn frame(out: &mut impl Write, frame: &Value) -> io::Result<()> {
    let bytes = serde_json::to_vec(frame)?;
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&bytes)
}
