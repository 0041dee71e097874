//! Markdown: `CommonMark` with tables, footnotes and front matter.
use super::document::{BlockKind, DocumentStructure};
use super::plain;
use crate::model::Checkpoint;
use crate::{Result, memory};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::ops::Range;

/// Bytes parsed at once: a few milliseconds of work, and a syntax tree that stays small.
const PART_BYTES: usize = 256 * 1024;

/// Most bytes parsed at once. A block that is larger is divided there, and its rest read like any other text: the parser
/// builds a syntax tree of all it is given, without a pause, in as much as a hundred bytes of memory a byte.
const MAX_PART_BYTES: usize = 4 * PART_BYTES;

/// Bytes of memory that a byte of a part can take while it is parsed.
const TREE_BYTES_PER_BYTE: usize = 128;

/// Events between two calls of the checkpoint.
const EVENTS_PER_CHECKPOINT: usize = 4096;

/// Finds the blocks of `text`. What the parser does not report, such as link definitions and the
/// markers of lists and quotes, becomes part of the next block or a block of its own.
pub(super) fn parse(text: &str, checkpoint: Checkpoint<'_>) -> Result<DocumentStructure> {
    parse_in_parts(text, PART_BYTES, MAX_PART_BYTES, checkpoint)
}

/// The same with parts of another size. A part ends with a line; its last block, which may go on,
/// is parsed again with the next one. What a block is does not depend on the blocks before it; only a link
/// in a heading whose target stands in another part keeps its brackets.
fn parse_in_parts(
    text: &str,
    size: usize,
    most: usize,
    checkpoint: Checkpoint<'_>,
) -> Result<DocumentStructure> {
    let mut blocks = Blocks { text, document: DocumentStructure::default(), end: 0, open: None };
    let mut start = blocks.front_matter();
    let mut wanted = size;
    while start < text.len() {
        checkpoint()?;
        let end = text.ceil_char_boundary(start.saturating_add(wanted));
        let is_last = end == text.len();
        let is_whole = is_last || wanted >= most;
        let line = || text[start..end].rfind('\n').map(|line| start + line + 1);
        let end = if is_last { Some(end) } else { line().or(is_whole.then_some(end)) };
        let next = match end {
            Some(end) => blocks.part(start..end, is_whole, checkpoint)?,
            None => start,
        };
        // A line or block that fills its part wants a larger one.
        wanted = if next > start { size } else { wanted.saturating_mul(4).min(most) };
        start = next;
    }
    blocks.gap(text.len());
    Ok(blocks.document)
}

struct Blocks<'a> {
    text: &'a str,
    document: DocumentStructure,
    /// End of the last block.
    end: usize,
    open: Option<Open>,
}

/// A block whose end is not reached.
struct Open {
    range: Range<usize>,
    kind: Leaf,
}

enum Leaf {
    /// The text of a tight list item, which the parser does not wrap in a paragraph.
    Tight,
    Paragraph,
    Lines,
    Table,
    Heading(u8, String),
}

impl Blocks<'_> {
    /// Takes the metadata that a text may start with, and returns where it ends. Anywhere else such lines
    /// are rules and headings.
    fn front_matter(&mut self) -> usize {
        if !self.text.starts_with("---") && !self.text.starts_with("+++") {
            return 0;
        }
        let metadata = Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
            | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
        let part = &self.text[..self.text.floor_char_boundary(PART_BYTES)];
        let first = Parser::new_ext(part, metadata).into_offset_iter().next();
        let Some((Event::Start(Tag::MetadataBlock(_)), range)) = first else { return 0 };
        let end = range.end;
        self.open(range, Leaf::Lines);
        self.close();
        end
    }

    /// Takes the blocks of a part of the text but for its last, where the next part starts; of the last part all. A part
    /// that is no longer than its first block is taken only where it is as large as one can be.
    fn part(
        &mut self,
        part: Range<usize>,
        is_whole: bool,
        checkpoint: Checkpoint<'_>,
    ) -> Result<usize> {
        memory::require(TREE_BYTES_PER_BYTE * part.len())?;
        let text = &self.text[part.clone()];
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
        // Blocks before the last one.
        let mut known = None;
        let mut depth = 0_usize;
        for (i, (event, range)) in Parser::new_ext(text, options).into_offset_iter().enumerate() {
            if i % EVENTS_PER_CHECKPOINT == 0 {
                checkpoint()?;
            }
            let range = part.start + range.start..part.start + range.end;
            if depth == 0 {
                known = Some((self.document.blocks.len(), self.document.headings.len(), self.end));
            }
            match event {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                _ => {}
            }
            self.event(event, range);
        }
        self.close();
        let end = match known {
            Some((.., end)) => end,
            None if text.trim().is_empty() => part.end,
            None => part.start,
        };
        if part.end == self.text.len() || (is_whole && end <= part.start) {
            return Ok(part.end);
        }
        if let Some((blocks, headings, end)) = known {
            self.document.blocks.truncate(blocks);
            self.document.headings.truncate(headings);
            self.end = end;
        }
        // Text between two blocks, such as link definitions, goes with the second.
        Ok(end.max(part.start))
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(&tag, range),
            Event::End(tag) => self.end(tag),
            Event::Rule => {
                self.open(range, Leaf::Paragraph);
                self.close();
            }
            Event::Text(text) | Event::Code(text) => self.inline(range, &text),
            Event::SoftBreak | Event::HardBreak => self.inline(range, " "),
            _ => self.inline(range, ""),
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Paragraph => self.open(range, Leaf::Paragraph),
            Tag::Heading { level, .. } => {
                self.open(range, Leaf::Heading(*level as u8, String::new()));
            }
            Tag::Table(_) => self.open(range, Leaf::Table),
            Tag::CodeBlock(_) | Tag::HtmlBlock | Tag::MetadataBlock(_) => {
                self.open(range, Leaf::Lines);
            }
            Tag::BlockQuote(_) | Tag::List(_) | Tag::Item | Tag::FootnoteDefinition(_) => {
                self.close();
            }
            _ => self.inline(range, ""),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph
            | TagEnd::Heading(_)
            | TagEnd::CodeBlock
            | TagEnd::Table
            | TagEnd::HtmlBlock
            | TagEnd::MetadataBlock(_)
            | TagEnd::Item
            | TagEnd::List(_)
            | TagEnd::BlockQuote(_)
            | TagEnd::FootnoteDefinition => self.close(),
            _ => {}
        }
    }

    fn inline(&mut self, range: Range<usize>, text: &str) {
        match &mut self.open {
            None => self.open(range, Leaf::Tight),
            Some(open) => {
                open.range.end = open.range.end.max(range.end);
                if let Leaf::Heading(_, title) = &mut open.kind {
                    title.push_str(text);
                }
            }
        }
    }

    fn open(&mut self, range: Range<usize>, kind: Leaf) {
        self.close();
        self.open = Some(Open { range, kind });
    }

    fn close(&mut self) {
        let Some(Open { range, kind }) = self.open.take() else { return };
        let content = self.text[range.clone()].trim_end();
        let end = range.start + content.len();
        if end <= self.end || content.trim().is_empty() {
            return;
        }
        let start = self.gap(range.start.max(self.end));
        match kind {
            Leaf::Heading(level, title) => self.document.push_heading(start..end, level, &title),
            Leaf::Lines => self.document.push(start..end, BlockKind::Lines),
            Leaf::Table => {
                // What stands before the table on its first line, such as a quotation's marker, is its own.
                let header = self.text[start..end].find('\n').unwrap_or_default();
                self.document.push(start..end, BlockKind::Table(header as u32));
            }
            Leaf::Tight | Leaf::Paragraph => self.document.push(start..end, BlockKind::Text),
        }
        self.end = end;
    }

    /// Takes what is between the last block and `next`, and returns where the next block starts:
    /// markers and indentation before it are its own, lines of anything else are blocks.
    fn gap(&mut self, next: usize) -> usize {
        let gap = &self.text[self.end..next];
        let is_marker = |c: char| c.is_ascii_digit() || "-+*>.)#|=` \t\r\n".contains(c);
        let own = match gap.rfind('\n') {
            _ if gap.trim().is_empty() => gap.len() - indentation(gap),
            _ if next < self.text.len() && gap.chars().all(is_marker) => {
                gap.len() - gap.trim_start().len()
            }
            Some(line) if next < self.text.len() => line + 1,
            _ => gap.len(),
        };
        plain::push_paragraphs(&gap[..own], self.end, &mut self.document);
        let rest = &gap[own..];
        self.end
            + own
            + if rest.trim().is_empty() { 0 } else { rest.len() - rest.trim_start().len() }
    }
}

/// Bytes of white space between the last line end and the end of `gap`.
fn indentation(gap: &str) -> usize {
    gap.rfind('\n').map_or(0, |i| gap.len() - i - 1)
}

#[cfg(test)]
mod tests {
    use super::super::document::Block;
    use super::*;
    use proptest::prelude::*;

    const LINES: &[&str] = &[
        "",
        "",
        "# a *b*",
        "text of a line",
        "- x",
        "  - y",
        "1. n",
        "```",
        "~~~~",
        "    code",
        "| a | b |",
        "|---|---|",
        "> q",
        ">> r",
        "===",
        "---",
        "+++",
        "<div>",
        "</div>",
        "<!-- c",
        "-->",
        "<pre>",
        "</pre>",
        "[^1]: note",
        "[l]: /url",
        "\t",
        "***",
        "## é — ü",
        "\\",
        "a  ",
    ];

    #[test]
    fn metadata_stands_at_the_start() {
        let text = "---\na: b\n---\n\n# A\n\n---\n# B\n---\nend";
        let document = parse(text, &mut || Ok(())).unwrap();
        let titles: Vec<&str> = document.headings.iter().map(|h| h.title.as_str()).collect();
        assert_eq!(titles, ["A", "B"]);
        assert_eq!(&text[document.blocks[0].range()], "---\na: b\n---");
        assert_eq!(document.blocks[0].kind, BlockKind::Lines);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn parts_of_any_size_give_the_same_blocks(
            lines in prop::collection::vec(prop::sample::select(LINES), 0..40),
            size in 1_usize..80,
        ) {
            let text = lines.join("\n");
            let whole = parse_in_parts(&text, usize::MAX, usize::MAX, &mut || Ok(())).unwrap();
            let parts = parse_in_parts(&text, size, usize::MAX, &mut || Ok(())).unwrap();
            let headings = |document: &DocumentStructure| -> Vec<(u8, String)> {
                let plain = |title: &str| title.replace(['[', ']'], "");
                document.headings.iter().map(|h| (h.level, plain(&h.title))).collect()
            };
            prop_assert_eq!(headings(&parts), headings(&whole));
            prop_assert_eq!(parts.blocks, whole.blocks);
        }

        #[test]
        fn blocks_of_any_size_are_read(
            lines in prop::collection::vec(prop::sample::select(LINES), 0..40),
            size in 1_usize..80,
        ) {
            let text = lines.join("\n");
            let document = parse_in_parts(&text, size, size, &mut || Ok(())).unwrap();
            let mut end = 0;
            for block in document.blocks.iter().map(Block::range) {
                prop_assert!(end <= block.start && block.start < block.end);
                prop_assert_eq!(text[end..block.start].trim(), "");
                end = block.end;
            }
            prop_assert_eq!(text[end..].trim(), "");
        }
    }
}
