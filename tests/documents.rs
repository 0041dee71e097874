//! Links of all documents lead to files and headings that exist, every page is in the site's summary, and the
//! README is short. `tests/t/151_documents.pl` runs their SQL.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A document without its code, and the anchors of its headings.
struct Document {
    text: String,
    anchors: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages, by their path below the root.
fn documents() -> BTreeMap<PathBuf, Document> {
    let mut found = BTreeMap::new();
    for directory in ["", "docs", "docs/how-to", "docs/explanation", "docs/reference"] {
        for entry in fs::read_dir(root().join(directory)).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                let below = path.strip_prefix(root()).expect("a path below the root").to_owned();
                found.insert(below, Document::new(&text));
            }
        }
    }
    found
}

impl Document {
    fn new(text: &str) -> Self {
        let mut is_code = false;
        let mut document = Self { text: String::new(), anchors: Vec::new() };
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            } else if !is_code {
                if line.starts_with('#') {
                    let anchor = anchor(line.trim_start_matches('#').trim());
                    let same = document.anchors.iter().filter(|other| **other == anchor).count();
                    document.anchors.push(if same == 0 {
                        anchor
                    } else {
                        format!("{anchor}-{same}")
                    });
                }
                // What stands between backquotes is no link.
                document.text.extend(line.split('`').step_by(2));
                document.text.push('\n');
            }
        }
        document
    }

    /// Targets of links within the repository.
    fn links(&self) -> impl Iterator<Item = &str> {
        let after = self.text.match_indices("](").map(|(at, _)| &self.text[at + 2..]);
        let targets = after.map(|rest| rest.split(')').next().expect("a piece"));
        targets.filter(|target| !target.contains("://"))
    }
}

/// The anchor of a heading, as mdBook and GitHub make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// `..` resolved, without asking the file system.
fn resolved(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            result.pop();
        } else {
            result.push(part);
        }
    }
    result
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let documents = documents();
    let mut checked = 0;
    for (path, document) in &documents {
        for link in document.links() {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let directory = path.parent().expect("a directory");
            let target =
                if file.is_empty() { path.clone() } else { resolved(&directory.join(file)) };
            let here = path.display();
            assert!(root().join(&target).exists(), "{here} links to {link}");
            if !heading.is_empty() {
                let is_there = documents[&target].anchors.iter().any(|anchor| anchor == heading);
                assert!(is_there, "{here} links to {link}: no such heading");
            }
            checked += 1;
        }
    }
    assert!(checked > 200, "only {checked} links were checked");
}

#[test]
fn every_page_is_in_the_summary_once() {
    let documents = documents();
    let summary = &documents[Path::new("docs/SUMMARY.md")];
    let listed: Vec<PathBuf> =
        summary.links().map(|link| resolved(&Path::new("docs").join(link))).collect();
    for path in documents.keys().filter(|path| !path.ends_with("SUMMARY.md")) {
        let times = listed.iter().filter(|other| *other == path).count();
        assert_eq!(times, 1, "{} in docs/SUMMARY.md", path.display());
    }
}

#[test]
fn the_readme_is_short() {
    let lines = fs::read_to_string(root().join("README.md")).expect("UTF-8").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines");
}
