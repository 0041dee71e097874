//! Markdown: `CommonMark` with tables, footnotes and front matter.
use super::document::{Document, Kind};
use super::plain;
use crate::Result;
use crate::model::Checkpoint;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::ops::Range;

/// Events between two calls of the checkpoint.
const EVENTS: usize = 4096;

/// Finds the blocks of `text`. What the parser does not report, such as link definitions and the
/// markers of lists and quotes, becomes part of the next block or a block of its own.
pub(super) fn parse(text: &str, checkpoint: Checkpoint<'_>) -> Result<Document> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
    let mut blocks = Blocks { text, document: Document::default(), end: 0, open: None };
    for (i, (event, range)) in Parser::new_ext(text, options).into_offset_iter().enumerate() {
        if i % EVENTS == 0 {
            checkpoint()?;
        }
        blocks.event(event, range);
    }
    blocks.close();
    blocks.gap(text.len());
    Ok(blocks.document)
}

struct Blocks<'a> {
    text: &'a str,
    document: Document,
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
    Heading(u8, String),
}

impl Blocks<'_> {
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
            Tag::CodeBlock(_) | Tag::Table(_) | Tag::HtmlBlock | Tag::MetadataBlock(_) => {
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
            Leaf::Lines => self.document.push(start..end, Kind::Lines),
            Leaf::Tight | Leaf::Paragraph => self.document.push(start..end, Kind::Text),
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
