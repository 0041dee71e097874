//! The readers, one a format.
use std::borrow::Cow;

use serde_json::Map;

pub mod pdf;

mod delimited;
mod docx;
mod epub;
mod html;
mod mail;
mod notebook;
mod number;
mod odf;
mod office;
mod plain;
mod pptx;
mod rtf;
mod sheet;
mod subtitles;

use crate::charset;
use crate::detect::{Format, detect};
use crate::document::{Document, Options};
use crate::failure::Failure;
use pdf::Pdfium;

/// The pages of a file. `pdfium` is the library, or why there is none.
pub fn extract(
    bytes: &[u8],
    options: &Options,
    pdfium: Result<&Pdfium, &str>,
) -> Result<Document, Failure> {
    if bytes.is_empty() {
        return Err(Failure::no_text("file is empty"));
    }
    let format = match options.format {
        Some(format) => format,
        None => detect(bytes, options)?,
    };
    let document = match format {
        Format::Pdf => pdf::read(bytes, options, pdfium),
        Format::Docx => docx::read(bytes, options),
        Format::Html => html::read(bytes, options),
        Format::Plain | Format::Markdown => plain::read(bytes, format, options),
        Format::Pptx => pptx::read(bytes, options),
        Format::Xlsx | Format::Xlsb | Format::Xls => sheet::read(bytes, format, options),
        Format::Odt | Format::Ods | Format::Odp => odf::read(bytes, format, options),
        Format::Epub => epub::read(bytes, options),
        Format::Csv => delimited::read(bytes, options),
        Format::Eml | Format::Mbox => mail::read(bytes, format, options),
        Format::Ipynb => notebook::read(bytes, options),
        Format::Rtf => rtf::read(bytes, options),
        Format::Srt | Format::Vtt => subtitles::read(bytes, format, options),
    }?;
    if document.characters() == 0 {
        return Err(Failure::no_text("file has no text"));
    }
    Ok(document)
}

/// The text of a text file, and its charset as metadata.
fn decoded<'a>(bytes: &'a [u8], format: Format, options: &Options) -> (Cow<'a, str>, Document) {
    let mime = options.mime.as_deref().and_then(charset::of_mime).map(str::to_owned);
    let declared = match format {
        Format::Html => mime.or_else(|| charset::of_markup(bytes)),
        _ => mime,
    };
    let (text, charset) = charset::decode(bytes, declared.as_deref());
    let mut document = Document::new(format, false, options);
    document.describe("charset", charset);
    (text, document)
}

/// A document of one page.
fn single(mut document: Document, content: &str) -> Result<Document, Failure> {
    document.push(content, Map::new())?;
    Ok(document)
}
