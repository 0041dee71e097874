//! PDF by pdfium: it reads the file and says where characters stand; what they mean is found here.
use serde_json::Map;

mod blocks;
mod columns;
mod library;
mod lines;
mod running;

use crate::detect::Format;
use crate::document::{Document, Options, describe, too_much};
use crate::failure::Failure;
use crate::markdown::Writer;
pub use library::Pdfium;
use lines::Layout;

/// The pages of a PDF file.
pub fn read(
    bytes: &[u8],
    options: &Options,
    pdfium: Result<&Pdfium, &str>,
) -> Result<Document, Failure> {
    let pdfium = pdfium.map_err(|detail| {
        Failure::unsupported("PDF files cannot be read without the library pdfium")
            .with_detail(detail)
    })?;
    let file = pdfium.open(bytes, options.password.as_deref())?;
    let count = file.pages();
    if count == 0 {
        return Err(Failure::damaged("it has no pages"));
    }
    if count > options.max_pages {
        return Err(Failure::too_large(format!("file has more than {} pages", options.max_pages)));
    }
    let mut document = Document::new(Format::Pdf, true, options);
    for (key, entry) in [
        ("title", "Title"),
        ("author", "Author"),
        ("subject", "Subject"),
        ("keywords", "Keywords"),
        ("created", "CreationDate"),
        ("modified", "ModDate"),
        ("producer", "Producer"),
    ] {
        let value = file.information(entry);
        document.describe(key, &if entry.ends_with("Date") { date(&value) } else { value });
    }
    document.describe("language", &file.language());

    let mut layouts: Vec<Layout> = Vec::new();
    let (mut lost, mut read) = (0, 0);
    for number in 0..count {
        let sheet = file.page(number);
        lost += usize::from(sheet.is_none());
        let mut layout = sheet.map_or_else(Layout::default, |mut sheet| lines::layout(&mut sheet));
        layout.label = file.label(number);
        read += layout.rows.iter().flatten().map(|f| f.text.len()).sum::<usize>();
        if read > options.max_output {
            return Err(too_much(options.max_output));
        }
        layouts.push(layout);
    }
    if lost == count {
        return Err(Failure::damaged("none of its pages can be read"));
    }
    running::remove(&mut layouts);
    check_text(&layouts)?;
    let body = running::body_size(&layouts);
    let rows = layouts.iter_mut().map(|l| columns::parts(std::mem::take(&mut l.rows), &l.rules));
    let parts: Vec<_> = rows.collect();
    let style = blocks::Style::of(&parts, body);
    let mut contents = Vec::with_capacity(count);
    for (parts, layout) in parts.iter().zip(&layouts) {
        let mut page = Writer::new(options.max_output);
        let mut content = blocks::write(parts, &style, &mut page)?;
        for text in &layout.aslant {
            content = format!("{content}\n\n{text}");
        }
        contents.push(content);
    }
    style.join_pages(&mut contents);
    for (number, (content, layout)) in contents.iter().zip(&layouts).enumerate() {
        let mut metadata = Map::new();
        if layout.label != (number + 1).to_string() {
            describe(&mut metadata, "label", &layout.label);
        }
        document.push(content, metadata)?;
    }
    Ok(document)
}

/// Fails where pages have pictures instead of text, or text that says nothing.
fn check_text(pages: &[Layout]) -> Result<(), Failure> {
    let characters = |page: &Layout| {
        page.rows.iter().flatten().map(|f| f.text.chars().count()).sum::<usize>()
            + page.aslant.iter().map(String::len).sum::<usize>()
    };
    let total: usize = pages.iter().map(characters).sum();
    let pictured = pages.iter().filter(|page| page.pictured > 0.3).count();
    if total == 0 || (total < 40 * pages.len() && pictured * 2 >= pages.len()) {
        let what = if pictured > 0 {
            "pages of the file are pictures without text"
        } else {
            "pages of the file have no text"
        };
        return Err(Failure::no_text(what));
    }
    let unknown: f32 = pages.iter().map(|page| page.unknown * characters(page) as f32).sum();
    if unknown > 0.5 * total as f32 {
        return Err(Failure::no_text("fonts of the file do not say which characters they show"));
    }
    Ok(())
}

/// `D:20240229123456+01'00'` as ISO 8601 writes it; anything else as it is.
fn date(value: &str) -> String {
    let digits = value.strip_prefix("D:").unwrap_or(value);
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    if length < 8 {
        return value.to_owned();
    }
    let part =
        |from: usize| digits.get(from..from + 2).filter(|_| from + 2 <= length).unwrap_or("00");
    let day = format!("{}-{}-{}", &digits[..4], part(4), part(6));
    if length < 12 {
        return day;
    }
    let zone = digits[length..].replace('\'', ":");
    let zone = zone.trim_end_matches(':');
    let zone = if zone.starts_with('Z') { "Z" } else { zone };
    format!("{day}T{}:{}:{}{zone}", part(8), part(10), part(12))
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_become_iso() {
        assert_eq!(super::date("D:20240229123456+01'00'"), "2024-02-29T12:34:56+01:00");
        assert_eq!(super::date("D:20240229"), "2024-02-29");
        assert_eq!(super::date("yesterday"), "yesterday");
    }
}
