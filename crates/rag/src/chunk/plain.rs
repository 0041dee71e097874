//! Plain text: paragraphs end at blank lines and form feeds. Manual pages have headings as well.
use super::document::{BlockKind, DocumentStructure};

/// Longest heading of a manual page, in bytes.
const MAX_HEADING: usize = 80;

/// Finds the paragraphs of `text`, and the headings of a manual page.
pub(super) fn parse(text: &str) -> DocumentStructure {
    let mut document = DocumentStructure::default();
    push_paragraphs(text, 0, &mut document);
    if is_manual_page(text) {
        return with_headings(text, &document);
    }
    document
}

/// Whether a text is a manual page as `man` prints it: its first line begins and ends with the page's name and section, `ls(1)`.
fn is_manual_page(text: &str) -> bool {
    let start = &text[..text.floor_char_boundary(1024)];
    let Some(line) = start.lines().find(|line| !line.trim().is_empty()) else { return false };
    let mut words = line.split_whitespace();
    let (first, last) = (words.next(), words.next_back());
    first == last && first.is_some_and(|name| name.ends_with(')') && name.contains('('))
}

/// The same with headings: lines before others that are indented further, at the margin or three spaces from it.
fn with_headings(text: &str, paragraphs: &DocumentStructure) -> DocumentStructure {
    let mut document = DocumentStructure::default();
    for block in &paragraphs.blocks {
        let range = block.range();
        let content = &text[range.clone()];
        let column = |at: usize| at - text[..at].rfind('\n').map_or(0, |i| i + 1);
        let (first, rest) = content.split_once('\n').unwrap_or((content, ""));
        let indented = rest.len() - rest.trim_start_matches(' ').len();
        let level = match column(range.start) {
            0 if indented > 3 => Some(1),
            3 if indented > 3 => Some(2),
            _ => None,
        };
        match level.filter(|_| first.len() <= MAX_HEADING) {
            Some(level) => {
                let end = range.start + first.trim_end().len();
                document.push_heading(range.start..end, level, first);
                let body = range.start + first.len() + 1 + indented;
                document.push(body..range.end, BlockKind::Text);
            }
            None => document.push(range, block.kind),
        }
    }
    document
}

/// Adds the paragraphs of `text`, which starts at byte `base` of the document.
pub(super) fn push_paragraphs(text: &str, base: usize, document: &mut DocumentStructure) {
    let mut open: Option<(usize, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive(['\n', '\u{c}']) {
        let content = line.trim();
        if !content.is_empty() {
            let start = at + (line.len() - line.trim_start().len());
            open = Some((open.map_or(start, |(first, _)| first), start + content.len()));
        }
        if content.is_empty() || line.ends_with('\u{c}') {
            let paragraph = open.take().into_iter();
            paragraph
                .for_each(|(start, end)| document.push(base + start..base + end, BlockKind::Text));
        }
        at += line.len();
    }
    if let Some((start, end)) = open {
        document.push(base + start..base + end, BlockKind::Text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paragraphs(text: &str) -> Vec<&str> {
        parse(text).blocks.iter().map(|block| &text[block.range()]).collect()
    }

    #[test]
    fn blank_lines_and_form_feeds_end_paragraphs() {
        assert_eq!(
            paragraphs("  one\ntwo  \n \t\r\n\nthree\r\n\r\nfour\u{c}five\u{c}\n six"),
            ["one\ntwo", "three", "four", "five", "six"]
        );
    }

    #[test]
    fn manual_pages_have_headings() {
        let page = "LS(1)      User Commands      LS(1)\n\nNAME\n       ls - list\n\nOPTIONS\n       -a     all\n\n   Exit\n       0      ok\n";
        let document = parse(page);
        let headings: Vec<(u8, &str)> =
            document.headings.iter().map(|h| (h.level, h.title.as_str())).collect();
        assert_eq!(headings, [(1, "NAME"), (1, "OPTIONS"), (2, "Exit")]);
        assert_eq!(
            paragraphs(page),
            [
                "LS(1)      User Commands      LS(1)",
                "NAME",
                "ls - list",
                "OPTIONS",
                "-a     all",
                "Exit",
                "0      ok"
            ]
        );
        assert!(parse("A\n       ls - list").headings.is_empty());
    }

    #[test]
    fn blank_text_has_none() {
        assert!(paragraphs("").is_empty());
        assert!(paragraphs(" \n\u{c}\u{2003}\n").is_empty());
    }
}
