//! Open Document texts, spreadsheets and presentations.
use std::collections::{HashMap, HashSet};
use std::io::Cursor;

use roxmltree::Node;
use serde_json::{Map, Value};

use super::sheet::{self, Cell, Cells};
use crate::archive::Archive;
use crate::detect::Format;
use crate::document::{Document, Options, describe};
use crate::failure::Failure;
use crate::markdown::{Writer, one_line};
use crate::tree::{self, Element, MAX_DEPTH};

/// Cells that repetition makes out of one.
const MAX_REPEATED: u32 = 1024;

pub fn read(bytes: &[u8], format: Format, options: &Options) -> Result<Document, Failure> {
    let mut archive = Archive::open(Cursor::new(bytes))?;
    if let Ok(manifest) = archive.read("META-INF/manifest.xml")
        && tree::text(&manifest).contains("encryption-data")
    {
        return Err(Failure::encrypted());
    }
    let mut document = Document::new(format, true, options);
    if let Ok(meta) = archive.read("meta.xml") {
        describe_file(&meta, &mut document);
    }
    let outer = archive.read("styles.xml").ok();
    let mut styles = Styles::default();
    if let Some(outer) = outer {
        // Styles that cannot be read leave the text as it is.
        let _ = tree::parse(&outer, |root| {
            styles.add(root);
            Ok(())
        });
    }
    let content = archive.read("content.xml")?;
    tree::parse(&content, |root| {
        styles.add(root);
        let Some(body) = root.child("body") else { return Err(Failure::damaged("it has no body")) };
        let body = body.first_element_child().unwrap_or(body);
        match format {
            Format::Ods => spreadsheet(body, &styles, document, options),
            Format::Odp => presentation(body, &styles, document, options),
            _ => text_document(body, &styles, document, options),
        }
    })
}

fn describe_file(meta: &[u8], document: &mut Document) {
    let _ = tree::parse(meta, |root| {
        for (key, name) in [
            ("title", "title"),
            ("author", "initial-creator"),
            ("author", "creator"),
            ("subject", "subject"),
            ("keywords", "keyword"),
            ("description", "description"),
            ("created", "creation-date"),
            ("modified", "date"),
            ("language", "language"),
        ] {
            let value = root.all(name).next().and_then(|node| node.text()).unwrap_or_default();
            if !document.metadata.contains_key(key) {
                document.describe(key, value);
            }
        }
        Ok(())
    });
}

/// What the names of styles stand for.
#[derive(Default)]
struct Styles {
    /// Paragraphs of these begin a page.
    breaking: HashSet<String>,
    /// Levels of these lists are numbered.
    numbered: HashSet<(String, usize)>,
    /// Tables of these are not shown.
    hidden: HashSet<String>,
    /// Paragraphs of these are titles.
    titles: HashMap<String, usize>,
}

impl Styles {
    fn add(&mut self, root: Node) {
        for style in root.all("style") {
            let Some(name) = style.get("name") else { continue };
            let breaks = style.child("paragraph-properties").and_then(|p| p.get("break-before"));
            if breaks == Some("page")
                || style.get("master-page-name").is_some_and(|page| !page.is_empty())
            {
                self.breaking.insert(name.to_owned());
            }
            if style.child("table-properties").and_then(|p| p.get("display")) == Some("false") {
                self.hidden.insert(name.to_owned());
            }
            let parent = style.get("parent-style-name").unwrap_or_default();
            for title in [name, parent] {
                match title {
                    "Title" => drop(self.titles.insert(name.to_owned(), 1)),
                    "Subtitle" => drop(self.titles.insert(name.to_owned(), 2)),
                    _ => {}
                }
            }
        }
        for list in root.all("list-style") {
            let Some(name) = list.get("name") else { continue };
            for level in list.children().filter(|level| level.is("list-level-style-number")) {
                let shown = level.get("num-format").is_some_and(|format| !format.is_empty());
                let depth =
                    level.get("level").and_then(|level| level.parse().ok()).unwrap_or(1_usize);
                if shown {
                    self.numbered.insert((name.to_owned(), depth - usize::from(depth > 0)));
                }
            }
        }
    }
}

fn text_document(
    body: Node,
    styles: &Styles,
    document: Document,
    options: &Options,
) -> Result<Document, Failure> {
    let rendered = body.all("soft-page-break").next().is_some();
    let mut text = Text::new(styles, document, options, rendered);
    text.blocks(body, 0)?;
    let broken = !text.document.pages.is_empty();
    if !broken || !text.page.is_empty() {
        text.end_page()?;
    }
    text.document.paged = broken;
    Ok(text.document)
}

/// Stands in a text where Writer broke the page when the file was saved.
const PAGE: char = '\u{c}';

struct Text<'s> {
    styles: &'s Styles,
    document: Document,
    page: Writer,
    rendered: bool,
    notes: Vec<String>,
    /// Lists around: name of the style, and the number of the last entry.
    lists: Vec<(String, u32)>,
}

impl<'s> Text<'s> {
    fn new(styles: &'s Styles, document: Document, options: &Options, rendered: bool) -> Self {
        let page = Writer::new(options.max_output);
        Self { styles, document, page, rendered, notes: Vec::new(), lists: Vec::new() }
    }

    fn blocks(&mut self, node: Node, depth: usize) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::too_large("parts of the file are nested too deeply"));
        }
        for child in node.children() {
            match child.tag_name().name() {
                "p" | "h" => self.paragraph(child, None, depth)?,
                "list" => self.list(child, depth)?,
                "table" => self.table(child)?,
                "soft-page-break" => self.end_page()?,
                "tracked-changes" | "annotation" | "forms" | "sequence-decls" | "notes"
                | "variable-decls" | "user-field-decls" => {}
                _ if child.is_element() => self.blocks(child, depth + 1)?,
                _ => {}
            }
            if self.page.is_full() {
                return self.page.take().map(drop);
            }
        }
        Ok(())
    }

    /// A heading, a paragraph, or with a marker the first one of a list's entry.
    fn paragraph(
        &mut self,
        node: Node,
        marker: Option<String>,
        depth: usize,
    ) -> Result<(), Failure> {
        let style = node.get("style-name").unwrap_or_default();
        if self.styles.breaking.contains(style) && !self.page.is_empty() {
            self.end_page()?;
        }
        let mut text = String::new();
        let mut frames = Vec::new();
        self.inline(node, &mut text, &mut frames, 0);
        let level = if node.is("h") {
            Some(node.get("outline-level").and_then(|level| level.parse().ok()).unwrap_or(1))
        } else {
            self.styles.titles.get(style).copied().or(match style {
                "Title" => Some(1),
                "Subtitle" => Some(2),
                _ => None,
            })
        };
        let mut marker = marker;
        for (n, piece) in text.split(PAGE).enumerate() {
            if n > 0 {
                self.end_page()?;
            }
            match (level, marker.take().filter(|_| !piece.trim().is_empty())) {
                (Some(level), _) => self.page.heading(level, piece),
                (None, Some(marker)) => {
                    self.page.item(self.lists.len().saturating_sub(1), &marker, piece);
                }
                (None, None) => self.page.paragraph(piece),
            }
        }
        for frame in frames {
            self.blocks(frame, depth + 1)?;
        }
        Ok(())
    }

    fn inline<'a, 'i>(
        &mut self,
        node: Node<'a, 'i>,
        text: &mut String,
        frames: &mut Vec<Node<'a, 'i>>,
        depth: usize,
    ) {
        if depth > MAX_DEPTH {
            return;
        }
        for child in node.children() {
            if child.is_text() {
                // Blanks within a paragraph are one; those that count are elements.
                let words = child.text().unwrap_or_default();
                for c in words.chars() {
                    let blank = matches!(c, ' ' | '\n' | '\r' | '\t');
                    if !blank {
                        text.push(c);
                    } else if !text.ends_with([' ', '\n']) {
                        text.push(' ');
                    }
                }
                continue;
            }
            match child.tag_name().name() {
                "s" => {
                    let count = child.get("c").and_then(|count| count.parse().ok()).unwrap_or(1);
                    text.push_str(&" ".repeat(usize::min(count, 100)));
                }
                "tab" => text.push('\t'),
                "line-break" => text.push('\n'),
                "soft-page-break" if self.rendered => text.push(PAGE),
                "note" => {
                    let citation = child.child("note-citation").map(plain).unwrap_or_default();
                    let said = child.child("note-body").map(plain).unwrap_or_default();
                    text.push_str("[^");
                    text.push_str(&citation);
                    text.push(']');
                    self.notes.push(format!("[^{citation}]: {said}"));
                }
                "text-box" => frames.push(child),
                "annotation" | "annotation-end" | "tracked-changes" | "ruby-text" | "title"
                | "desc" => {}
                _ => self.inline(child, text, frames, depth + 1),
            }
        }
    }

    fn list(&mut self, node: Node, depth: usize) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::too_large("parts of the file are nested too deeply"));
        }
        let outer = self.lists.last().map(|(name, _)| name.clone()).unwrap_or_default();
        let name = node.get("style-name").map_or(outer, str::to_owned);
        self.lists.push((name, 0));
        for entry in node.children().filter(|node| node.is("list-item") || node.is("list-header")) {
            let level = self.lists.len() - 1;
            let mut marker = self.lists.last_mut().map(|(name, number)| {
                *number += 1;
                let numbered = self.styles.numbered.contains(&(name.clone(), level));
                if numbered { format!("{number}.") } else { "-".to_owned() }
            });
            for child in entry.children() {
                match child.tag_name().name() {
                    "p" | "h" => self.paragraph(child, marker.take(), depth + 1)?,
                    "list" => self.list(child, depth + 1)?,
                    _ => {}
                }
            }
        }
        self.lists.pop();
        Ok(())
    }

    fn table(&mut self, node: Node) -> Result<(), Failure> {
        let mut rows = Vec::new();
        let mut breaks = 0;
        for row in rows_of(node) {
            breaks += row.all("soft-page-break").count();
            let mut cells = Vec::new();
            for cell in row.children().filter(|node| is_cell(*node)) {
                let count = repeated(cell, "number-columns-repeated");
                let covered = cell.is("covered-table-cell");
                let text = if covered { String::new() } else { plain(cell) };
                cells.extend((0..count).map(|_| text.clone()));
            }
            rows.push(cells);
        }
        breaks += node.children().filter(|node| node.is("soft-page-break")).count();
        self.page.table(&rows);
        for _ in 0..breaks {
            self.end_page()?;
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), Failure> {
        for note in std::mem::take(&mut self.notes) {
            self.page.paragraph(&note);
        }
        let content = self.page.take()?;
        self.document.push(&content, Map::new())
    }
}

fn is_cell(node: Node) -> bool {
    node.is("table-cell") || node.is("covered-table-cell")
}

fn repeated(node: Node, name: &str) -> u32 {
    node.get(name).and_then(|count| count.parse().ok()).unwrap_or(1).min(MAX_REPEATED)
}

/// Rows of a table, also those in groups, without those of tables within.
fn rows_of<'a, 'i>(table: Node<'a, 'i>) -> Vec<Node<'a, 'i>> {
    let mut rows = Vec::new();
    let mut stack: Vec<Node> = table.children().collect();
    stack.reverse();
    while let Some(node) = stack.pop() {
        match node.tag_name().name() {
            "table-row" => rows.push(node),
            "table-header-rows" | "table-rows" | "table-row-group" => {
                let from = stack.len();
                stack.extend(node.children());
                stack[from..].reverse();
            }
            _ => {}
        }
    }
    rows
}

/// The text below a node in one line.
fn plain(node: Node) -> String {
    let mut text = String::new();
    for part in node.descendants() {
        if part.is_text() {
            text.push_str(part.text().unwrap_or_default());
        } else if matches!(part.tag_name().name(), "p" | "h" | "tab" | "line-break" | "s") {
            text.push(' ');
        }
    }
    one_line(&text)
}

fn spreadsheet(
    body: Node,
    styles: &Styles,
    mut document: Document,
    options: &Options,
) -> Result<Document, Failure> {
    for table in body.children().filter(|node| node.is("table")) {
        if table.get("style-name").is_some_and(|style| styles.hidden.contains(style)) {
            continue;
        }
        let mut cells = Cells::new(options.max_output);
        let mut number = 0_u32;
        for row in rows_of(table) {
            // What repeats is empty almost always; a value is not multiplied.
            let rows =
                row.get("number-rows-repeated").and_then(|n| n.parse().ok()).unwrap_or(1_u32);
            let mut column = 0_u32;
            for cell in row.children().filter(|node| is_cell(*node)) {
                let count = cell
                    .get("number-columns-repeated")
                    .and_then(|n| n.parse().ok())
                    .unwrap_or(1_u32);
                if !cell.is("covered-table-cell") {
                    let value = value(cell);
                    if !value.text.is_empty() {
                        for n in 0..count.min(MAX_REPEATED) {
                            let cell = Cell { text: value.text.clone(), is_label: value.is_label };
                            cells.push(number, column.saturating_add(n), cell)?;
                        }
                    }
                }
                column = column.saturating_add(count);
            }
            number = number.saturating_add(rows);
        }
        sheet::sheet(&mut document, table.get("name").unwrap_or_default(), cells, options)?;
    }
    Ok(document)
}

fn value(cell: Node) -> Cell {
    let kind = cell.get("value-type");
    let is_label = kind.is_none_or(|kind| kind == "string");
    let shown: Vec<String> = cell.children().filter(|node| node.is("p")).map(plain).collect();
    let text = match kind {
        Some("date") => cell.get("date-value").map(str::to_owned),
        Some("float") => cell.get("value").and_then(|n| n.parse().ok()).map(sheet::float),
        _ => None,
    };
    Cell { text: text.unwrap_or_else(|| shown.join(" ")), is_label }
}

fn presentation(
    body: Node,
    styles: &Styles,
    mut document: Document,
    options: &Options,
) -> Result<Document, Failure> {
    for (n, slide) in body.children().filter(|node| node.tag_name().name() == "page").enumerate() {
        let mut metadata = Map::new();
        metadata.insert("slide".to_owned(), Value::from(n + 1));
        let mut text = Text::new(styles, document, options, false);
        let is_title = |node: &Node| node.get("class") == Some("title");
        for title in slide.children().filter(is_title) {
            let title = plain(title);
            describe(&mut metadata, "title", &title);
            text.page.heading(1, &title);
        }
        for shape in slide.children().filter(|node| node.is_element() && !is_title(node)) {
            if !shape.is("notes")
                && !matches!(
                    shape.get("class"),
                    Some("page-number" | "footer" | "date-time" | "header")
                )
            {
                text.blocks(shape, 0)?;
            }
        }
        let notes = slide.child("notes").into_iter().flat_map(|notes| notes.children());
        let notes = notes.filter(|node| node.get("class") == Some("notes")).map(plain);
        let notes: Vec<String> = notes.filter(|note| !note.is_empty()).collect();
        if !notes.is_empty() {
            text.page.paragraph(&format!("Notes: {}", notes.join("\n\n")));
        }
        let content = text.page.take()?;
        document = text.document;
        document.push(&content, metadata)?;
    }
    Ok(document)
}
