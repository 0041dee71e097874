//! `rag_extract()` and `rag_extract_text()`: files to text.
use crate::ingest::extract::{File, extract};
use crate::models::local::require_utf8;
use crate::sys::error::SqlError;
use crate::sys::interrupt;
use pgrx::JsonB;
use pgrx::prelude::*;
use rag::extract::{Extracted, ExtractedText, require_format};
use rag::{Error, Result};
use serde_json::Value;

/// The pages of a file, each with its text.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_extract(
    file bytea,
    format text = 'auto',
    file_name text = NULL,
    media_type text = NULL,
    password text = NULL,
    max_pages bigint = NULL,
    ocr boolean = false
) RETURNS TABLE (page int, content text, metadata jsonb)
    STABLE PARALLEL RESTRICTED COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_extract IS 'text of a file, page by page, extracted by a confined program';
")]
#[allow(clippy::type_complexity)] // the shape of a result set
fn rag_extract(
    file: Option<&[u8]>,
    format: default!(Option<&str>, "'auto'"),
    file_name: default!(Option<&str>, "NULL"),
    media_type: default!(Option<&str>, "NULL"),
    password: default!(Option<&str>, "NULL"),
    max_pages: default!(Option<i64>, "NULL"),
    ocr: default!(Option<bool>, "false"),
) -> rag::Result<
    TableIterator<'static, (name!(page, i32), name!(content, String), name!(metadata, JsonB))>,
    SqlError,
> {
    let (format, max_pages, with_ocr) = checked(format, max_pages, ocr)?;
    let Some(bytes) = file else { return Ok(TableIterator::empty()) };
    let file = File { bytes, format, name: file_name, media_type, password, max_pages, with_ocr };
    let extracted = extracted(&file)?;
    let description = extracted.description();
    Ok(TableIterator::new(extracted.pages.into_iter().map(move |page| {
        let mut metadata = description.clone();
        metadata.extend(page.metadata);
        (page.number as i32, page.content, JsonB(Value::Object(metadata)))
    })))
}

/// The text of a file.
#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_extract_text(
    file bytea,
    format text = 'auto',
    file_name text = NULL,
    media_type text = NULL,
    password text = NULL,
    max_pages bigint = NULL,
    ocr boolean = false
) RETURNS text
    STABLE PARALLEL RESTRICTED COST 100000 LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_extract_text IS 'text of a file, as a collection divides it into chunks';
")]
fn rag_extract_text(
    file: Option<&[u8]>,
    format: default!(Option<&str>, "'auto'"),
    file_name: default!(Option<&str>, "NULL"),
    media_type: default!(Option<&str>, "NULL"),
    password: default!(Option<&str>, "NULL"),
    max_pages: default!(Option<i64>, "NULL"),
    ocr: default!(Option<bool>, "false"),
) -> rag::Result<Option<String>, SqlError> {
    let (format, max_pages, with_ocr) = checked(format, max_pages, ocr)?;
    let Some(bytes) = file else { return Ok(None) };
    let file = File { bytes, format, name: file_name, media_type, password, max_pages, with_ocr };
    let extracted = extracted(&file)?;
    Ok(Some(ExtractedText::join(extracted.pages)?.text))
}

fn checked(
    format: Option<&str>,
    max_pages: Option<i64>,
    ocr: Option<bool>,
) -> Result<(&str, Option<u32>, bool)> {
    require_utf8()?;
    let format = format.unwrap_or("auto");
    require_format(format)?;
    let out_of_bounds = || {
        Error::invalid_argument("max_pages is out of bounds")
            .with_hint("Ask for at least one page.")
    };
    let most =
        |most: i64| u32::try_from(most).ok().filter(|most| *most > 0).ok_or_else(out_of_bounds);
    Ok((format, max_pages.map(most).transpose()?, ocr.unwrap_or(false)))
}

fn extracted(file: &File<'_>) -> Result<Extracted> {
    let checkpoint = &mut |_, _| interrupt::checkpoint();
    extract(file, checkpoint)?.map_err(|failure| failure.error)
}
