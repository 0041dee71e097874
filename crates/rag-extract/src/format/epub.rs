//! EPUB books: a page for each part in reading order.
use std::collections::HashMap;
use std::io::Cursor;

use serde_json::{Map, Value};

use super::html;
use crate::archive::{Archive, resolve};
use crate::detect::Format;
use crate::document::{Document, Options, describe};
use crate::failure::{Class, Failure};
use crate::tree::{self, Element};

/// What the package file says.
struct Book {
    metadata: Vec<(&'static str, String)>,
    /// Names of the parts in reading order.
    parts: Vec<String>,
    contents: Option<String>,
}

pub fn read(bytes: &[u8], options: &Options) -> Result<Document, Failure> {
    let mut archive = Archive::open(Cursor::new(bytes))?;
    let container = archive.read("META-INF/container.xml")?;
    let package = tree::parse(&container, |root| {
        let path = root.all("rootfile").find_map(|node| node.get("full-path"));
        path.map(str::to_owned).ok_or_else(|| Failure::damaged("it names no package file"))
    })?;
    let bytes = archive.read(&package)?;
    let book = tree::parse(&bytes, |root| Ok(book(root, &package)))?;
    let mut document = Document::new(Format::Epub, true, options);
    for (key, value) in &book.metadata {
        if !document.metadata.contains_key(*key) {
            document.describe(key, value);
        }
    }
    let titles = book.contents.map(|part| titles(&mut archive, &part)).unwrap_or_default();
    for (n, part) in book.parts.iter().enumerate() {
        let page = match archive.read(part) {
            Ok(bytes) => html::markdown(&close_empty(&tree::text(&bytes)), options.max_output)?,
            Err(failure) if failure.class == Class::Damaged => html::markdown("", 0)?,
            Err(failure) => return Err(failure),
        };
        let mut metadata = Map::new();
        metadata.insert("part".to_owned(), Value::from(n + 1));
        let title = titles.get(&part.to_lowercase()).cloned().or(page.heading);
        describe(&mut metadata, "title", &title.unwrap_or_default());
        document.push(&page.content, metadata)?;
    }
    Ok(document)
}

fn book(root: roxmltree::Node, package: &str) -> Book {
    let mut items: HashMap<&str, (String, &str)> = HashMap::new();
    let mut contents = None;
    for item in root.all("item") {
        let (Some(id), Some(href)) = (item.get("id"), item.get("href")) else { continue };
        let part = resolve(package, &unescape(href));
        let kind = item.get("media-type").unwrap_or_default();
        let is_nav =
            item.get("properties").is_some_and(|p| p.split_whitespace().any(|p| p == "nav"));
        if is_nav || kind == "application/x-dtbncx+xml" && contents.is_none() {
            contents = Some(part.clone());
        }
        items.insert(id, (part, kind));
    }
    let spine = root.all("itemref").filter_map(|node| items.get(node.get("idref")?));
    let parts = spine.filter(|(_, kind)| kind.contains("html") || kind.is_empty());
    let mut metadata = Vec::new();
    for (key, name) in [
        ("title", "title"),
        ("author", "creator"),
        ("language", "language"),
        ("created", "date"),
        ("publisher", "publisher"),
        ("subject", "subject"),
        ("description", "description"),
    ] {
        let values = root.child("metadata").into_iter().flat_map(|node| node.descendants());
        let values =
            values.filter(|node| node.tag_name().name() == name).filter_map(|node| node.text());
        metadata.extend(values.map(|value| (key, value.to_owned())));
    }
    Book { metadata, parts: parts.map(|(part, _)| part.clone()).collect(), contents }
}

/// Titles of parts, from the table of contents of either version.
fn titles(archive: &mut Archive<Cursor<&[u8]>>, part: &str) -> HashMap<String, String> {
    let mut titles = HashMap::new();
    let Ok(bytes) = archive.read(part) else { return titles };
    let _ = tree::parse(&bytes, |root| {
        let text = |node: roxmltree::Node| {
            node.descendants()
                .filter_map(|node| node.text().filter(|_| node.is_text()))
                .collect::<String>()
        };
        for node in root.descendants() {
            let (target, title) = if node.is("navPoint") {
                let target = node.child("content").and_then(|content| content.get("src"));
                (target, node.child("navLabel").map(text))
            } else if node.is("a") {
                (node.get("href"), Some(text(node)))
            } else {
                continue;
            };
            if let (Some(target), Some(title)) = (target, title) {
                let part = resolve(part, &unescape(target)).to_lowercase();
                titles.entry(part).or_insert(title);
            }
        }
        Ok(())
    });
    titles
}

/// Percent signs of a URL as the bytes they mean.
fn unescape(url: &str) -> String {
    let mut bytes = Vec::with_capacity(url.len());
    let mut rest = url.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code =
            digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| first == b'%');
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// XHTML closes an empty `<title/>` that HTML would read on to the end of the file.
fn close_empty(text: &str) -> String {
    let mut closed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("/>") {
        let tag = rest[..at].rfind('<').map_or("", |from| &rest[from + 1..at]);
        let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        closed.push_str(&rest[..at]);
        let void = [
            "br", "hr", "img", "meta", "link", "input", "col", "area", "base", "embed", "source",
            "wbr",
        ];
        if name.is_empty() || void.contains(&name) {
            closed.push_str("/>");
        } else {
            closed.push_str("></");
            closed.push_str(name);
            closed.push('>');
        }
        rest = &rest[at + 2..];
    }
    closed + rest
}

#[cfg(test)]
mod tests {
    #[test]
    fn empty_elements_are_closed() {
        assert_eq!(
            super::close_empty("<title/><br/>a <a id='x'/>"),
            "<title></title><br/>a <a id='x'></a>"
        );
        assert_eq!(super::unescape("a%20b%C3%A9%zz"), "a bé%zz");
    }
}
