//! Presentations of `PowerPoint`: a page for each slide, with the speaker's notes behind it.
use std::collections::HashMap;

use roxmltree::Node;
use serde_json::{Map, Value};

use super::office::{self, Package, Relationship};
use crate::detect::Format;
use crate::document::{Document, Options, describe};
use crate::failure::Failure;
use crate::markdown::{Writer, one_line};
use crate::tree::{self, Element, MAX_DEPTH};

pub fn read(bytes: &[u8], options: &Options) -> Result<Document, Failure> {
    let mut package = office::open(bytes)?;
    let mut document = Document::new(Format::Pptx, true, options);
    office::properties(&mut package, &mut document);
    let part = office::main_part(&mut package, "ppt/presentation.xml");
    let relationships = office::relationships(&mut package, &part);
    let presentation = package.read(&part)?;
    let slides: Vec<String> = tree::parse(&presentation, |root| {
        let entries = root.child("sldIdLst").into_iter().flat_map(|list| list.children());
        let target =
            |node: Node| relationships.get(office::reference(node)?).map(|r| r.target.clone());
        Ok(entries.filter_map(target).collect())
    })?;
    for (n, part) in slides.iter().enumerate() {
        let mut metadata = Map::new();
        metadata.insert("slide".to_owned(), Value::from(n + 1));
        // A slide that is lost does not take the others with it.
        let content = match package.read(part) {
            Ok(bytes) => slide(&bytes, part, &mut package, options, &mut metadata)?,
            Err(failure) if failure.class == crate::Class::Damaged => String::new(),
            Err(failure) => return Err(failure),
        };
        document.push(&content, metadata)?;
    }
    Ok(document)
}

fn slide(
    bytes: &[u8],
    part: &str,
    package: &mut Package,
    options: &Options,
    metadata: &mut Map<String, Value>,
) -> Result<String, Failure> {
    let relationships = office::relationships(package, part);
    let notes = notes(package, &relationships);
    let mut page = Writer::new(options.max_output);
    tree::parse(bytes, |root| {
        if root.get("show").is_some_and(|show| matches!(show, "0" | "false")) {
            metadata.insert("hidden".to_owned(), Value::Bool(true));
            return Ok(());
        }
        let Some(shapes) = root.below(&["cSld", "spTree"]) else { return Ok(()) };
        let mut flat = Vec::new();
        flatten(shapes, 0, &mut flat);
        // The title may lie anywhere among the shapes.
        flat.sort_by_key(|shape| !is_title(*shape));
        for shape in flat {
            if is_title(shape) {
                let title = shape.child("txBody").map(text).unwrap_or_default();
                describe(metadata, "title", &title);
                page.heading(1, &title);
            } else if shape.is("sp") {
                body(shape, &mut page);
            } else if let Some(table) = shape.all("tbl").next() {
                page.table(&rows(table));
            } else if let Some(target) = drawn(shape).and_then(|id| relationships.get(id))
                && let Ok(bytes) = package.read(&target.target)
            {
                // A drawing that is lost does not take the slide with it.
                let _ = tree::parse(&bytes, |root| {
                    drawing(root, &mut page);
                    Ok(())
                });
            }
        }
        Ok(())
    })?;
    if !notes.is_empty() && metadata.get("hidden").is_none() {
        page.paragraph(&format!("Notes: {}", notes.join("\n\n")));
    }
    page.take()
}

/// So many series of a chart are read.
const MAX_SERIES: usize = 64;

/// The id of the part that has a frame's chart or diagram.
fn drawn<'a>(frame: Node<'a, '_>) -> Option<&'a str> {
    let chart = frame.all("chart").next().and_then(office::reference);
    chart.or_else(|| frame.all("relIds").next()?.get("dm"))
}

/// A diagram's texts as a list, or a chart's title and values as a table.
fn drawing(root: Node, page: &mut Writer) {
    for point in root.all("pt").filter(|point| point.parent().is_some_and(|p| p.is("ptLst"))) {
        page.item(0, "-", &point.child("t").map(text).unwrap_or_default());
    }
    let Some(chart) = root.child("chart") else { return };
    let title = chart.below(&["title", "tx", "rich"]).map(text).unwrap_or_default();
    page.paragraph(&title);
    let mut lines = vec![vec![String::new()]];
    for (n, series) in chart.all("ser").take(MAX_SERIES).enumerate() {
        let values = |name| {
            let points = series.child(name).into_iter().flat_map(|node| node.descendants());
            let points = points.filter(|node| node.is("pt"));
            points.map(|point| point.child("v").and_then(|v| v.text()).unwrap_or_default())
        };
        lines[0].push(values("tx").next().unwrap_or_default().to_owned());
        let categories = values("cat").chain(values("xVal")).map(str::to_owned);
        let numbers = values("val").chain(values("yVal")).map(str::to_owned);
        let mut categories = categories.collect::<Vec<_>>().into_iter();
        for (k, number) in numbers.enumerate() {
            let category = categories.next().unwrap_or_default();
            if lines.len() <= k + 1 {
                lines.push(vec![category]);
            }
            lines[k + 1].resize(n + 1, String::new());
            lines[k + 1].push(number);
        }
    }
    if lines.len() > 1 {
        page.table(&lines);
    }
}

/// Shapes and frames without the groups they are in.
fn flatten<'a, 'i>(node: Node<'a, 'i>, depth: usize, flat: &mut Vec<Node<'a, 'i>>) {
    for child in node.children() {
        match child.tag_name().name() {
            "sp" | "graphicFrame" => flat.push(child),
            "grpSp" | "AlternateContent" | "Choice" if depth < MAX_DEPTH => {
                flatten(child, depth + 1, flat);
            }
            _ => {}
        }
    }
}

/// The kind of placeholder that a shape fills.
fn placeholder<'a>(shape: Node<'a, '_>) -> Option<&'a str> {
    let holder = shape.below(&["nvSpPr", "nvPr", "ph"])?;
    Some(holder.get("type").unwrap_or("obj"))
}

fn is_title(shape: Node) -> bool {
    matches!(placeholder(shape), Some("title" | "ctrTitle"))
}

fn body(shape: Node, page: &mut Writer) {
    let holder = placeholder(shape);
    if matches!(holder, Some("sldNum" | "dt" | "ftr" | "hdr")) {
        return;
    }
    let Some(frame) = shape.child("txBody") else { return };
    // What a master gives bullets to shows them unless it says otherwise.
    let bulleted = matches!(holder, Some("body" | "obj"));
    let mut numbers = [0_u32; 9];
    for node in frame.children().filter(|node| node.is("p")) {
        let properties = node.child("pPr");
        let has = |name| properties.is_some_and(|properties| properties.child(name).is_some());
        let level = properties.and_then(|p| p.get("lvl")?.parse().ok()).unwrap_or(0_usize).min(8);
        let line = paragraph(node);
        if has("buAutoNum") && !line.trim().is_empty() {
            numbers[level] += 1;
            numbers[level + 1..].fill(0);
            page.item(level, &format!("{}.", numbers[level]), &line);
        } else if has("buChar") || bulleted && !has("buNone") {
            page.item(level, "-", &line);
        } else {
            page.paragraph(&line);
        }
    }
}

fn paragraph(node: Node) -> String {
    let mut line = String::new();
    for part in node.descendants() {
        match part.tag_name().name() {
            "t" => line.push_str(part.text().unwrap_or_default()),
            "br" => line.push('\n'),
            "tab" => line.push('\t'),
            _ => {}
        }
    }
    line
}

/// The text of a frame in one line.
fn text(frame: Node) -> String {
    let lines = frame.children().filter(|node| node.is("p")).map(paragraph);
    one_line(&lines.collect::<Vec<_>>().join(" "))
}

fn rows(table: Node) -> Vec<Vec<String>> {
    let rows = table.children().filter(|node| node.is("tr"));
    rows.map(|row| {
        let cells = row.children().filter(|node| node.is("tc"));
        cells.map(|cell| cell.child("txBody").map(text).unwrap_or_default()).collect()
    })
    .collect()
}

fn notes(package: &mut Package, relationships: &HashMap<String, Relationship>) -> Vec<String> {
    let Some(notes) = relationships.values().find(|r| r.kind == "notesSlide") else {
        return Vec::new();
    };
    let Ok(bytes) = package.read(&notes.target) else { return Vec::new() };
    let read = tree::parse(&bytes, |root| {
        let shapes = root.all("sp").filter(|shape| placeholder(*shape) == Some("body"));
        let frames = shapes.filter_map(|shape| shape.child("txBody"));
        let lines =
            frames.flat_map(|frame| frame.children()).filter(|node| node.is("p")).map(paragraph);
        Ok(lines.filter(|line| !line.trim().is_empty()).collect())
    });
    read.unwrap_or_default()
}
