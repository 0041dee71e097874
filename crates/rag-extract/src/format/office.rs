//! What Office Open XML files have in common.
use std::collections::HashMap;
use std::io::Cursor;

use crate::archive::{Archive, resolve};
use crate::document::Document;
use crate::failure::Failure;
use crate::tree::{self, Element};

/// The parts of a file.
pub type Package<'a> = Archive<Cursor<&'a [u8]>>;

pub fn open(bytes: &[u8]) -> Result<Package<'_>, Failure> {
    Archive::open(Cursor::new(bytes))
}

/// A relationship of a part: what it is, and the name of the part it leads to.
pub struct Relationship {
    pub kind: String,
    pub target: String,
}

/// Relationships of a part by their ids.
pub fn relationships(package: &mut Package, part: &str) -> HashMap<String, Relationship> {
    let (directory, file) = part.rsplit_once('/').unwrap_or(("", part));
    let name = format!("{directory}/_rels/{file}.rels");
    let Ok(bytes) = package.read(&name) else { return HashMap::new() };
    let read = tree::parse(&bytes, |root| {
        let all = root.all("Relationship").filter_map(|node| {
            if node.get("TargetMode") == Some("External") {
                return None;
            }
            let kind = node.get("Type")?.rsplit('/').next()?.to_owned();
            let target = resolve(part, node.get("Target")?);
            Some((node.get("Id")?.to_owned(), Relationship { kind, target }))
        });
        Ok(all.collect())
    });
    read.unwrap_or_default()
}

/// The main part of a file.
pub fn main_part(package: &mut Package, usual: &str) -> String {
    if package.has(usual) {
        return usual.to_owned();
    }
    let all = relationships(package, "");
    let main = all.into_values().find(|relationship| relationship.kind == "officeDocument");
    main.map_or_else(|| usual.to_owned(), |relationship| relationship.target)
}

/// Title, author, dates and so on.
pub fn properties(package: &mut Package, document: &mut Document) {
    let Ok(bytes) = package.read("docProps/core.xml") else { return };
    // A file without readable properties is still readable.
    let _ = tree::parse(&bytes, |root| {
        for (key, name) in [
            ("title", "title"),
            ("author", "creator"),
            ("subject", "subject"),
            ("keywords", "keywords"),
            ("description", "description"),
            ("created", "created"),
            ("modified", "modified"),
            ("language", "language"),
        ] {
            if let Some(text) = root.child(name).and_then(|node| node.text()) {
                document.describe(key, text);
            }
        }
        Ok(())
    });
}

/// The id by which an element names a relationship; it has an `id` of its own besides.
pub fn reference<'a>(node: roxmltree::Node<'a, '_>) -> Option<&'a str> {
    let named = |a: &roxmltree::Attribute| a.name() == "id" && a.namespace().is_some();
    node.attributes().find(named).map(|attribute| attribute.value())
}
