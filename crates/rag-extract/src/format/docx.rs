//! Word documents.
use std::collections::HashMap;

use roxmltree::Node;
use serde_json::Map;

use super::office::{self, Package, Relationship};
use crate::detect::Format;
use crate::document::{Document, Options};
use crate::failure::Failure;
use crate::markdown::Writer;
use crate::tree::{self, Element, MAX_DEPTH};

/// Where a page ends: said by the author, and where Word broke it when the file was saved.
const PAGE: char = '\u{c}';
const RENDERED: char = '\u{b}';

pub fn read(bytes: &[u8], options: &Options) -> Result<Document, Failure> {
    let mut package = office::open(bytes)?;
    let mut document = Document::new(Format::Docx, true, options);
    office::properties(&mut package, &mut document);
    let part = office::main_part(&mut package, "word/document.xml");
    let body = package.read(&part)?;
    let relationships = office::relationships(&mut package, &part);
    let styles = part_of(&mut package, &relationships, "styles", styles);
    let lists = part_of(&mut package, &relationships, "numbering", lists);
    let notes = ["footnotes", "endnotes"]
        .map(|kind| part_of(&mut package, &relationships, kind, notes))
        .into_iter()
        .flatten()
        .collect();
    tree::parse(&body, |root| {
        let mut reader = Reader {
            styles,
            lists,
            notes,
            counters: HashMap::new(),
            page: Writer::new(options.max_output),
            cited: Vec::new(),
            rendered: root.all("lastRenderedPageBreak").next().is_some(),
            author_broke: false,
            blank: true,
            document,
        };
        reader.blocks(root.child("body").unwrap_or(root), 0)?;
        let broken = !reader.document.pages.is_empty();
        // A break behind the last text begins no page.
        if !broken || !reader.page.is_empty() || !reader.cited.is_empty() {
            reader.end_page()?;
        }
        reader.document.paged = broken;
        Ok(reader.document)
    })
}

fn part_of<T: Default>(
    package: &mut Package,
    relationships: &HashMap<String, Relationship>,
    kind: &str,
    read: fn(Node) -> T,
) -> T {
    let found = relationships.values().find(|relationship| relationship.kind == kind);
    let target = found.map_or_else(|| format!("word/{kind}.xml"), |found| found.target.clone());
    let Ok(bytes) = package.read(&target) else { return T::default() };
    tree::parse(&bytes, |root| Ok(read(root))).unwrap_or_default()
}

/// What a style says of its paragraphs.
#[derive(Clone, Default)]
struct Style {
    heading: Option<usize>,
    list: Option<(String, usize)>,
    based_on: Option<String>,
    hidden: bool,
}

fn styles(root: Node) -> HashMap<String, Style> {
    let mut styles: HashMap<String, Style> = HashMap::new();
    for node in root.all("style") {
        let Some(id) = node.get("styleId") else { continue };
        let name = node.child("name").and_then(|name| name.get("val")).unwrap_or(id);
        let properties = node.child("pPr");
        let level =
            properties.and_then(|p| p.child("outlineLvl")).and_then(|level| level.get("val"));
        let heading = level.and_then(|level| level.parse().ok()).filter(|level| *level < 9);
        let style = Style {
            heading: heading.map(|level: usize| level + 1).or_else(|| heading_of_name(name)),
            list: properties.and_then(numbering),
            based_on: node.child("basedOn").and_then(|base| base.get("val")).map(str::to_owned),
            hidden: node.below(&["rPr", "vanish"]).is_some_and(is_on),
        };
        styles.insert(id.to_owned(), style);
    }
    // What a style does not say, the one it is based on does.
    let ids: Vec<String> = styles.keys().cloned().collect();
    for id in ids {
        let mut style = styles[&id].clone();
        let mut base = style.based_on.clone();
        for _ in 0..20 {
            let Some(next) = base.as_ref().and_then(|base| styles.get(base)) else { break };
            style.heading = style.heading.or(next.heading);
            style.list = style.list.or_else(|| next.list.clone());
            base.clone_from(&next.based_on);
        }
        styles.insert(id, style);
    }
    styles
}

fn heading_of_name(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    match name.as_str() {
        "title" => Some(1),
        "subtitle" => Some(2),
        name => name
            .strip_prefix("heading")?
            .trim()
            .parse()
            .ok()
            .filter(|level| (1..=9).contains(level)),
    }
}

/// The list and level that a paragraph's properties name.
fn numbering(properties: Node) -> Option<(String, usize)> {
    let node = properties.child("numPr")?;
    let id = node.child("numId")?.get("val")?.to_owned();
    let level =
        node.child("ilvl").and_then(|level| level.get("val")).and_then(|level| level.parse().ok());
    Some((id, level.unwrap_or(0).min(8)))
}

fn is_on(node: Node) -> bool {
    !matches!(node.get("val"), Some("0" | "false" | "off"))
}

/// Kinds and first numbers of the levels of a list.
#[derive(Clone, Default)]
struct Level {
    format: String,
    start: u32,
}

fn lists(root: Node) -> HashMap<String, Vec<Level>> {
    let mut kinds: HashMap<&str, Vec<Level>> = HashMap::new();
    for node in root.all("abstractNum") {
        let Some(id) = node.get("abstractNumId") else { continue };
        let value =
            |node: Node, name| node.child(name).and_then(|node| node.get("val")).map(str::to_owned);
        let levels = node.children().filter(|node| node.is("lvl")).map(|node| Level {
            format: value(node, "numFmt").unwrap_or_default(),
            start: value(node, "start").and_then(|start| start.parse().ok()).unwrap_or(1),
        });
        kinds.insert(id, levels.collect());
    }
    let number = |node: Node| {
        let kind = node.child("abstractNumId")?.get("val")?;
        Some((node.get("numId")?.to_owned(), kinds.get(kind)?.clone()))
    };
    root.all("num").filter_map(number).collect()
}

fn notes(root: Node) -> HashMap<String, String> {
    let kind = if root.is("endnotes") { 'e' } else { 'f' };
    let notes = root.children().filter(|node| node.is("footnote") || node.is("endnote"));
    let notes = notes.filter(|node| node.get("type").is_none_or(|kind| kind == "normal"));
    notes.filter_map(|node| Some((format!("{kind}{}", node.get("id")?), plain(node, 0)))).collect()
}

/// The text of everything below a node in one line.
fn plain(node: Node, depth: usize) -> String {
    let mut text = String::new();
    if depth > MAX_DEPTH {
        return text;
    }
    for child in node.children() {
        match child.tag_name().name() {
            "t" => text.push_str(child.text().unwrap_or_default()),
            "tab" | "br" | "cr" => text.push(' '),
            "del" | "moveFrom" | "instrText" | "Fallback" => {}
            "p" => {
                text.push_str(&plain(child, depth + 1));
                text.push(' ');
            }
            _ => text.push_str(&plain(child, depth + 1)),
        }
    }
    text
}

struct Reader {
    styles: HashMap<String, Style>,
    lists: HashMap<String, Vec<Level>>,
    notes: HashMap<String, String>,
    counters: HashMap<String, Vec<u32>>,
    page: Writer,
    /// Notes that the page cites.
    cited: Vec<(String, String)>,
    /// Whether Word left where pages broke.
    rendered: bool,
    /// The last break was the author's, and nothing came behind it.
    author_broke: bool,
    blank: bool,
    document: Document,
}

impl Reader {
    fn blocks(&mut self, node: Node, depth: usize) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::too_large("parts of the file are nested too deeply"));
        }
        for child in node.children() {
            match child.tag_name().name() {
                "p" => self.paragraph(child)?,
                "tbl" => self.table(child)?,
                "sectPr" | "del" | "moveFrom" | "Fallback" => {}
                // Contents of a table of contents, of a form's field, of a change.
                _ if child.is_element() => self.blocks(child, depth + 1)?,
                _ => {}
            }
            if self.page.is_full() {
                return self.page.take().map(drop);
            }
        }
        Ok(())
    }

    fn paragraph(&mut self, node: Node) -> Result<(), Failure> {
        let properties = node.child("pPr");
        let style = properties
            .and_then(|p| p.child("pStyle"))
            .and_then(|style| self.styles.get(style.get("val")?))
            .cloned()
            .unwrap_or_default();
        let broken = properties.and_then(|p| p.child("pageBreakBefore")).is_some_and(is_on);
        if broken && !self.rendered {
            self.break_page(PAGE)?;
        }
        let mut text = String::new();
        let mut boxes = Vec::new();
        if !style.hidden {
            self.runs(node, &mut text, &mut boxes, 0);
        }
        let level = properties
            .and_then(|p| p.child("outlineLvl"))
            .and_then(|level| level.get("val")?.parse().ok());
        let heading =
            level.filter(|level| *level < 9).map(|level: usize| level + 1).or(style.heading);
        let own = properties.and_then(numbering);
        let list = own.map(|(id, level)| {
            // A paragraph may name a level of the list that its style names.
            let id = if id.is_empty() { style.list.clone().map_or(id, |(id, _)| id) } else { id };
            (id, level)
        });
        let list = list.or(style.list).filter(|(id, _)| id != "0" && !text.trim().is_empty());
        let marker = list.as_ref().and_then(|(id, level)| self.marker(id, *level));
        let mut first = true;
        for piece in text.split_inclusive([PAGE, RENDERED]) {
            let line = piece.trim_end_matches([PAGE, RENDERED]);
            if !line.trim().is_empty() {
                self.blank = false;
                match (heading, &list, &marker) {
                    (Some(level), ..) => {
                        let number = marker.as_deref().filter(|marker| *marker != "-" && first);
                        let line = number
                            .map_or_else(|| line.to_owned(), |number| format!("{number} {line}"));
                        self.page.heading(level, &line);
                    }
                    (None, Some((_, level)), Some(marker)) if first => {
                        self.page.item(*level, marker, line);
                    }
                    _ => self.page.paragraph(line),
                }
                first = false;
            }
            if let Some(mark) = piece.chars().next_back().filter(|c| matches!(*c, PAGE | RENDERED))
            {
                self.break_page(mark)?;
            }
        }
        for content in boxes {
            self.blocks(content, MAX_DEPTH / 2)?;
        }
        let section = properties.and_then(|p| p.child("sectPr"));
        let kind = section.map(|section| section.child("type").and_then(|kind| kind.get("val")));
        if kind.is_some_and(|kind| kind != Some("continuous")) && !self.rendered {
            self.break_page(PAGE)?;
        }
        Ok(())
    }

    /// The text of a paragraph's runs, with marks where pages break.
    fn runs<'a, 'i>(
        &mut self,
        node: Node<'a, 'i>,
        text: &mut String,
        boxes: &mut Vec<Node<'a, 'i>>,
        depth: usize,
    ) {
        if depth > MAX_DEPTH {
            return;
        }
        for child in node.children() {
            match child.tag_name().name() {
                "t" => text.push_str(child.text().unwrap_or_default()),
                "tab" => text.push('\t'),
                "cr" => text.push('\n'),
                "br" => text.push(if child.get("type") == Some("page") { PAGE } else { '\n' }),
                "lastRenderedPageBreak" => text.push(RENDERED),
                "noBreakHyphen" => text.push('-'),
                "txbxContent" => boxes.push(child),
                "footnoteReference" | "endnoteReference" => {
                    let kind = &child.tag_name().name()[..1];
                    if let Some(id) = child.get("id")
                        && let Some(note) = self.notes.get(&format!("{kind}{id}"))
                    {
                        text.push_str("[^");
                        text.push_str(id);
                        text.push(']');
                        self.cited.push((id.to_owned(), note.clone()));
                    }
                }
                "r" if child.below(&["rPr", "vanish"]).is_some_and(is_on) => {}
                "pPr" | "rPr" | "del" | "moveFrom" | "instrText" | "Fallback" | "rt" => {}
                "num" | "den" | "sup" | "sub" | "rad" | "nary" | "d" => {
                    self.formula(child, text, boxes, depth);
                }
                _ => {
                    let raised =
                        child.below(&["rPr", "vertAlign"]).and_then(|node| node.get("val"))
                            == Some("superscript");
                    let end = text.len();
                    self.runs(child, text, boxes, depth + 1);
                    // 10 to the sixth is not 106.
                    let is_digit = |c: char| c.is_ascii_digit();
                    if raised
                        && text[..end].ends_with(is_digit)
                        && text[end..].trim_start_matches(['-', '−']).starts_with(is_digit)
                    {
                        text.insert(end, '^');
                    }
                }
            }
        }
    }

    /// A part of a formula, in a line.
    fn formula<'a, 'i>(
        &mut self,
        node: Node<'a, 'i>,
        text: &mut String,
        boxes: &mut Vec<Node<'a, 'i>>,
        depth: usize,
    ) {
        let name = node.tag_name().name();
        let said = |properties, name, usual| {
            node.below(&[properties, name])
                .map_or(usual, |node| node.get("val").unwrap_or_default())
        };
        let mut inner = String::new();
        self.runs(node, &mut inner, boxes, depth + 1);
        let several = inner.chars().count() > 1;
        let (open, close) = match name {
            "d" => (said("dPr", "begChr", "("), said("dPr", "endChr", ")")),
            "nary" => (said("naryPr", "chr", "∫"), ""),
            _ if several && !inner.chars().all(char::is_alphanumeric) => ("(", ")"),
            _ => ("", ""),
        };
        if inner.is_empty() {
            return;
        }
        text.push_str(match name {
            "den" => "/",
            "sup" => "^",
            "sub" => "_",
            "rad" => "√",
            _ => "",
        });
        text.push_str(open);
        text.push_str(&inner);
        text.push_str(close);
    }

    /// What stands before an entry of a list: a dash, or its number.
    fn marker(&mut self, id: &str, level: usize) -> Option<String> {
        let levels = self.lists.get(id);
        let kind = levels.and_then(|levels| levels.get(level));
        let format = kind.map_or("bullet", |kind| kind.format.as_str());
        if format == "none" {
            return None;
        }
        let counters = self.counters.entry(id.to_owned()).or_insert_with(|| vec![0; 9]);
        let start = kind.map_or(1, |kind| kind.start);
        counters[level] =
            if counters[level] == 0 { start } else { counters[level].saturating_add(1) };
        counters[level + 1..].fill(0);
        let number = counters[level];
        let letter = |first: u8| char::from(first + ((number.max(1) - 1) % 26) as u8).to_string();
        Some(match format {
            "bullet" => "-".to_owned(),
            "lowerLetter" => format!("{}.", letter(b'a')),
            "upperLetter" => format!("{}.", letter(b'A')),
            _ => format!("{number}."),
        })
    }

    fn table(&mut self, node: Node) -> Result<(), Failure> {
        let mut rows = Vec::new();
        let mut marks = String::new();
        for row in
            node.children().flat_map(through).filter(|node| node.is("tr") && !is_left_out(*node))
        {
            let mut cells = Vec::new();
            for cell in row.children().flat_map(through).filter(|node| node.is("tc")) {
                let properties = cell.child("tcPr");
                let merged = properties.and_then(|p| p.child("vMerge"));
                let goes_on = merged.is_some_and(|merged| merged.get("val") != Some("restart"));
                let mut text = String::new();
                if !goes_on {
                    self.cell(cell, &mut text, 0);
                }
                marks.extend(text.chars().filter(|c| matches!(*c, PAGE | RENDERED)).take(1));
                cells.push(text.replace([PAGE, RENDERED], " "));
                let span = properties
                    .and_then(|p| p.child("gridSpan"))
                    .and_then(|span| span.get("val")?.parse().ok());
                let span: usize = span.unwrap_or(1);
                cells.extend((1..span.min(64)).map(|_| String::new()));
            }
            rows.push(cells);
        }
        self.blank = false;
        self.page.table(&rows);
        // Cells of one row that go over a page break it once for each; pages are counted by rows.
        for mark in marks.chars() {
            self.break_page(mark)?;
        }
        Ok(())
    }

    fn cell(&mut self, node: Node, text: &mut String, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for child in node.children() {
            if child.is("p") {
                let mut boxes = Vec::new();
                self.runs(child, text, &mut boxes, 0);
                text.push(' ');
                for content in boxes {
                    self.cell(content, text, depth + 1);
                }
            } else if child.is_element() && !is_left_out(child) {
                self.cell(child, text, depth + 1);
            }
        }
    }

    fn break_page(&mut self, mark: char) -> Result<(), Failure> {
        // Word marks the page behind an author's break too.
        if mark == RENDERED && self.author_broke && self.blank {
            self.author_broke = false;
            return Ok(());
        }
        self.end_page()?;
        self.author_broke = mark == PAGE;
        self.blank = true;
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), Failure> {
        for (id, note) in std::mem::take(&mut self.cited) {
            self.page.paragraph(&format!("[^{id}]: {}", crate::markdown::one_line(&note)));
        }
        let content = self.page.take()?;
        self.document.push(&content, Map::new())
    }
}

/// Whether an element of a table was deleted or moved away, or says nothing.
fn is_left_out(node: Node) -> bool {
    matches!(node.tag_name().name(), "del" | "moveFrom" | "Fallback" | "tcPr")
        || node.below(&["trPr", "del"]).is_some()
}

/// A node, or what is within one that only wraps rows and cells.
fn through<'a, 'i>(node: Node<'a, 'i>) -> Vec<Node<'a, 'i>> {
    if node.is("sdt") {
        return node
            .child("sdtContent")
            .map_or_else(Vec::new, |content| content.children().collect());
    }
    if node.is("ins") || node.is("customXml") { node.children().collect() } else { vec![node] }
}
