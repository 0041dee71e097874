//! Workbooks by calamine: a page for each sheet that is not hidden.
use std::io::Cursor;

use calamine::{Data, DataRef, ExcelDateTime, Reader, SheetType, SheetVisible, Xls, Xlsb, Xlsx};
use serde_json::{Map, Value};

use super::{number, office};
use crate::detect::Format;
use crate::document::{Document, Options, describe, too_much};
use crate::failure::Failure;
use crate::markdown::Writer;

/// Cells of a sheet that have a value, by row and column.
#[derive(Default)]
pub struct Cells {
    rows: Vec<(u32, Vec<(u32, Cell)>)>,
    bytes: usize,
    limit: usize,
}

/// A value as text.
pub struct Cell {
    pub text: String,
    /// Words rather than a number, date or truth value.
    pub is_label: bool,
}

impl Cells {
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Adds a cell; rows come in order.
    pub fn push(&mut self, row: u32, column: u32, cell: Cell) -> Result<(), Failure> {
        if cell.text.trim().is_empty() {
            return Ok(());
        }
        self.bytes += cell.text.len();
        if self.bytes > self.limit {
            return Err(too_much(self.limit));
        }
        match self.rows.last_mut() {
            Some((last, cells)) if *last == row => cells.push((column, cell)),
            _ => self.rows.push((row, vec![(column, cell)])),
        }
        Ok(())
    }

    /// Writes a sheet: tables, and what stands alone as text.
    pub fn write(mut self, page: &mut Writer) {
        self.rows.sort_by_key(|(row, _)| *row);
        let mut block: Vec<(u32, Vec<(u32, Cell)>)> = Vec::new();
        for (row, cells) in self.rows {
            let gap = block.last().is_some_and(|(last, _)| row > last + 1);
            if gap && begins_table(&block, &cells) {
                write_block(&std::mem::take(&mut block), page);
            }
            block.push((row, cells));
        }
        write_block(&block, page);
    }
}

/// Whether a row behind an empty one is the header of another table: labels only, in other columns
/// or behind a title.
fn begins_table(block: &[(u32, Vec<(u32, Cell)>)], cells: &[(u32, Cell)]) -> bool {
    let span = |cells: &[(u32, Cell)]| (cells.first().map(|c| c.0), cells.last().map(|c| c.0));
    let widest = block.iter().map(|(_, cells)| cells.as_slice()).max_by_key(|cells| cells.len());
    let labels = cells.iter().all(|(_, cell)| cell.is_label);
    labels && widest.is_some_and(|widest| span(widest) != span(cells))
}

fn write_block(block: &[(u32, Vec<(u32, Cell)>)], page: &mut Writer) {
    // Lines with one value above a table are its title.
    let titles = block.iter().take_while(|(_, cells)| cells.len() == 1).count();
    for (_, cells) in &block[..titles] {
        page.paragraph(&cells[0].1.text);
    }
    let rows = &block[titles..];
    let Some(first) =
        rows.iter().filter_map(|(_, cells)| cells.first()).map(|(column, _)| *column).min()
    else {
        return;
    };
    // Sheets may have a value far away from all others: a row is as wide as it is used.
    let mut used: Vec<u32> =
        rows.iter().flat_map(|(_, cells)| cells.iter().map(|(c, _)| *c)).collect();
    used.sort_unstable();
    used.dedup();
    let dense = used.last().is_some_and(|last| ((last - first) as usize) < 2 * used.len() + 8);
    let place = |column: u32| {
        if dense { (column - first) as usize } else { used.binary_search(&column).unwrap_or(0) }
    };
    let lines = rows.iter().map(|(_, cells)| {
        let mut line = Vec::new();
        for (column, cell) in cells {
            let place = place(*column);
            line.resize(line.len().max(place + 1), String::new());
            line[place].clone_from(&cell.text);
        }
        line
    });
    page.table(&lines.collect::<Vec<_>>());
}

pub fn read(bytes: &[u8], format: Format, options: &Options) -> Result<Document, Failure> {
    let mut document = Document::new(format, true, options);
    if format != Format::Xls {
        // calamine unpacks by itself and without bounds.
        let mut package = office::open(bytes)?;
        package.check_all()?;
        office::properties(&mut package, &mut document);
    }
    let cursor = Cursor::new(bytes);
    match format {
        Format::Xlsx => {
            let mut book: Xlsx<_> = Xlsx::new(cursor).map_err(failure)?;
            for name in visible(&book) {
                let mut reader = book.worksheet_cells_reader(&name).map_err(failure)?;
                let mut cells = Cells::new(options.max_output);
                while let Some((cell, style)) = reader.next_cell_with_style_id().map_err(failure)? {
                    let (row, column) = cell.get_position();
                    let format = reader.styles().get(style).and_then(|s| s.number_format.as_ref());
                    let data = Data::from(cell.get_value().clone());
                    let shown = format.and_then(|format| as_shown(&data, &format.format_code));
                    cells.push(row, column, shown.unwrap_or_else(|| value(&data)))?;
                }
                sheet(&mut document, &name, cells, options)?;
            }
        }
        Format::Xlsb => {
            let mut book: Xlsb<_> = Xlsb::new(cursor).map_err(failure)?;
            for name in visible(&book) {
                let mut reader = book.worksheet_cells_reader(&name).map_err(failure)?;
                let mut cells = Cells::new(options.max_output);
                while let Some(cell) = reader.next_cell().map_err(failure)? {
                    let (row, column) = cell.get_position();
                    let data: DataRef = cell.get_value().clone();
                    cells.push(row, column, value(&Data::from(data)))?;
                }
                sheet(&mut document, &name, cells, options)?;
            }
        }
        _ => {
            let mut book: Xls<_> = Xls::new(cursor).map_err(failure)?;
            for name in visible(&book) {
                let range = book.worksheet_range(&name).map_err(failure)?;
                let (top, left) = range.start().unwrap_or_default();
                let mut cells = Cells::new(options.max_output);
                for (row, column, data) in range.used_cells() {
                    cells.push(top + row as u32, left + column as u32, value(data))?;
                }
                sheet(&mut document, &name, cells, options)?;
            }
        }
    }
    Ok(document)
}

/// Names of the sheets with cells that a reader sees.
fn visible<R: std::io::Read + std::io::Seek, B: Reader<R>>(book: &B) -> Vec<String> {
    let shown = |sheet: &&calamine::Sheet| {
        sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet
    };
    book.sheets_metadata().iter().filter(shown).map(|sheet| sheet.name.clone()).collect()
}

/// Adds a sheet as a page.
pub fn sheet(
    document: &mut Document,
    name: &str,
    cells: Cells,
    options: &Options,
) -> Result<(), Failure> {
    let mut page = Writer::new(options.max_output);
    if !cells.rows.is_empty() {
        page.heading(1, name);
    }
    cells.write(&mut page);
    let mut metadata = Map::new();
    describe(&mut metadata, "sheet", name);
    if metadata.is_empty() {
        metadata.insert("sheet".to_owned(), Value::String(name.to_owned()));
    }
    document.push(&page.take()?, metadata)
}

fn failure(error: impl std::fmt::Display) -> Failure {
    let said = error.to_string();
    if said.contains("password") { Failure::encrypted() } else { Failure::damaged(said) }
}

fn as_shown(data: &Data, code: &str) -> Option<Cell> {
    let number = match data {
        Data::Int(number) => *number as f64,
        Data::Float(number) => *number,
        _ => return None,
    };
    number::shown(number, code).map(|text| Cell { text, is_label: false })
}

fn value(data: &Data) -> Cell {
    let text = match data {
        Data::Empty => String::new(),
        Data::String(text) => return Cell { text: text.clone(), is_label: true },
        Data::Int(number) => number.to_string(),
        Data::Float(number) => float(*number),
        Data::Bool(true) => "TRUE".to_owned(),
        Data::Bool(false) => "FALSE".to_owned(),
        Data::DateTime(moment) => moment_text(moment),
        Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
        Data::Error(error) => error.to_string(),
    };
    Cell { text, is_label: false }
}

/// With the 15 digits that spreadsheets show.
pub fn float(number: f64) -> String {
    let rounded: f64 = format!("{number:.14e}").parse().unwrap_or(number);
    if rounded.abs() >= 1e21 { format!("{rounded:e}") } else { format!("{rounded}") }
}

fn moment_text(moment: &ExcelDateTime) -> String {
    if moment.is_duration() {
        let seconds = (moment.as_f64() * 86_400.0).round() as i64;
        return format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    if (0.0..1.0).contains(&moment.as_f64()) {
        return time;
    }
    let day = format!("{year:04}-{month:02}-{day:02}");
    if time == "00:00:00" { day } else { format!("{day} {time}") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_shown_as_spreadsheets_show_them() {
        assert_eq!(super::float(0.1 + 0.2), "0.3");
        assert_eq!(super::float(1234.0), "1234");
        assert_eq!(super::float(-1e-7), "-0.0000001");
    }
}
