//! Jupyter notebooks: text as it is, code and what it printed in fences.
use serde_json::Value;

use super::{decoded, single};
use crate::detect::Format;
use crate::document::{Document, Options};
use crate::failure::Failure;
use crate::markdown::Writer;

pub fn read(bytes: &[u8], options: &Options) -> Result<Document, Failure> {
    let (text, mut document) = decoded(bytes, Format::Ipynb, options);
    let notebook: Value = serde_json::from_str(&text).map_err(Failure::damaged)?;
    let language = notebook["metadata"]["language_info"]["name"]
        .as_str()
        .or_else(|| notebook["metadata"]["kernelspec"]["language"].as_str())
        .unwrap_or_default()
        .to_owned();
    document.describe("programming_language", &language);
    document.describe("title", notebook["metadata"]["title"].as_str().unwrap_or_default());
    // Version 3 has its cells in a worksheet.
    let cells =
        notebook["cells"].as_array().or_else(|| notebook["worksheets"][0]["cells"].as_array());
    let Some(cells) = cells else { return Err(Failure::damaged("it has no cells")) };
    let mut page = Writer::new(options.max_output);
    for cell in cells {
        let source = lines(if cell["source"].is_null() { &cell["input"] } else { &cell["source"] });
        match cell["cell_type"].as_str() {
            Some("code") => {
                page.code(&language, &source);
                for output in cell["outputs"].as_array().into_iter().flatten() {
                    let data = &output["data"]["text/plain"];
                    let text = lines(if data.is_null() { &output["text"] } else { data });
                    page.code("", &as_shown(&text));
                    if let (Some(name), Some(value)) =
                        (output["ename"].as_str(), output["evalue"].as_str())
                    {
                        page.code("", &format!("{name}: {value}"));
                    }
                }
            }
            Some("heading") => {
                page.heading(cell["level"].as_u64().unwrap_or(1) as usize, &source);
            }
            _ => page.paragraph(&source),
        }
    }
    single(document, &page.take()?)
}

/// What a terminal shows of printed text: no colours, and of a line that was written over its last
/// state.
fn as_shown(printed: &str) -> String {
    let mut text = String::new();
    let mut pieces = printed.split("\u{1b}[");
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let behind =
            piece.find(|c: char| matches!(c, '@'..='~')).map_or("", |end| &piece[end + 1..]);
        text.push_str(behind);
    }
    let lines = text.lines().map(|line| line.trim_end_matches('\r').rsplit('\r').next());
    lines.map(Option::unwrap_or_default).collect::<Vec<_>>().join("\n")
}

/// A text, or its lines.
fn lines(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}
