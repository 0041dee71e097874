//! CSV and its relatives: one table.
use super::{decoded, single};
use crate::detect::Format;
use crate::document::{Document, Options};
use crate::failure::Failure;
use crate::markdown::Writer;

pub fn read(bytes: &[u8], options: &Options) -> Result<Document, Failure> {
    let (text, document) = decoded(bytes, Format::Csv, options);
    // A line that says which delimiter follows is for Excel only.
    let said = text.lines().next().and_then(|line| line.strip_prefix("sep=")?.bytes().next());
    let text =
        if said.is_some() { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
    let delimiter = said.unwrap_or_else(|| delimiter(text));
    let mut rows = Vec::new();
    for row in reader(text, delimiter).records() {
        let row = row.map_err(Failure::damaged)?;
        rows.push(row.iter().map(str::to_owned).collect::<Vec<_>>());
    }
    let mut page = Writer::new(options.max_output);
    page.table(&rows);
    single(document, &page.take()?)
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
}

/// The delimiter that divides most rows into as many cells as the first.
fn delimiter(text: &str) -> u8 {
    let score = |delimiter: u8| {
        let rows = reader(text, delimiter).into_records().take(50).filter_map(Result::ok);
        let widths: Vec<usize> = rows.map(|row| row.len()).collect();
        let first = widths.first().copied().unwrap_or(0);
        let same = widths.iter().filter(|width| **width == first).count();
        (usize::from(first > 1) * same, first)
    };
    *[b'|', b'\t', b';', b','].iter().max_by_key(|delimiter| score(**delimiter)).unwrap_or(&b',')
}
