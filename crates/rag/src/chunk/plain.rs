//! Plain text: paragraphs end at blank lines and form feeds.
use super::document::{BlockKind, DocumentStructure};

/// Finds the paragraphs of `text`.
pub(super) fn parse(text: &str) -> DocumentStructure {
    let mut document = DocumentStructure::default();
    push_paragraphs(text, 0, &mut document);
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
    fn blank_text_has_none() {
        assert!(paragraphs("").is_empty());
        assert!(paragraphs(" \n\u{c}\u{2003}\n").is_empty());
    }
}
