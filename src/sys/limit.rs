//! Limits of arguments.
use crate::sys::guc::extract::max_file_size;
use crate::sys::guc::limit::{max_array_items, max_document_size};
use rag::{Error, Result, memory};

/// Checks a text against `rag_pg.max_document_size`, and that there is memory to work on it.
pub fn text(text: &str) -> Result<()> {
    document_size(text.len())?;
    memory::require(2 * text.len())
}

/// Most bytes of a question. It is parsed as a whole, in many times its size of memory.
const MAX_QUESTION: usize = 1 << 20;

/// Checks a question.
pub fn question(question: &str) -> Result<()> {
    if question.len() > MAX_QUESTION.min(max_document_size()) {
        return Err(Error::too_large("the question is too large")
            .with_detail(format!("It has {} bytes of {MAX_QUESTION}.", question.len()))
            .with_hint("Ask with the words that matter."));
    }
    text(question)
}

/// Checks a document of this size.
pub fn document_size(bytes: usize) -> Result<()> {
    let most = max_document_size();
    if bytes <= most {
        return Ok(());
    }
    Err(Error::too_large("the text is too large")
        .with_detail(format!("It has {bytes} bytes, and rag_pg.max_document_size is {most}."))
        .with_hint(
            "Divide it into several documents, or ask an administrator to raise the setting.",
        ))
}

/// Checks a file of this size.
pub fn file_size(bytes: usize) -> Result<()> {
    let most = max_file_size();
    if bytes <= most {
        return Ok(());
    }
    Err(Error::too_large("the file is too large")
        .with_detail(format!("It has {bytes} bytes, and rag_pg.max_file_size is {most}."))
        .with_hint("Divide the file, or ask an administrator to raise the setting."))
}

/// Checks an array of so many elements against `rag_pg.max_array_items`.
pub fn items(count: usize) -> Result<()> {
    let most = max_array_items();
    if count <= most {
        return Ok(());
    }
    Err(Error::too_large("the array has too many elements")
        .with_detail(format!("It has {count}, and rag_pg.max_array_items is {most}."))
        .with_hint("Pass fewer at once, or ask an administrator to raise the setting."))
}

/// Checks the texts of an array, and that there is memory for copies of them.
pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut bytes = 0;
    for text in texts {
        document_size(text.len())?;
        bytes += text.len();
    }
    memory::require(2 * bytes)
}
