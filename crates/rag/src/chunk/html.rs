//! HTML: the text a reader would see, with its structure.
//!
//! The tokenizer is html5ever's, so tags, entities and raw text are read as browsers read them. No
//! tree is built: what text extraction needs to know of an element is a handful of counters, and a
//! document of a hundred thousand open elements costs no more than one of as many closed ones.
mod tags;
mod text;

use super::document::DocumentStructure;
use crate::model::Checkpoint;
use crate::{Result, memory};
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use std::cell::RefCell;
use text::{Gap, TextWriter};

/// Bytes parsed between two calls of the checkpoint.
const SLICE_BYTES: usize = 64 * 1024;

/// Elements whose content is no text of the page: what browsers do not show, and navigation.
const SKIPPED_ELEMENTS: [&str; 14] = [
    "audio", "canvas", "datalist", "iframe", "nav", "noembed", "noframes", "noscript", "script",
    "style", "svg", "template", "title", "video",
];

/// Elements that are also skipped where their attributes say that they are no text of the page. Others
/// may lack an end tag, and one of these without it would skip the rest.
const CONTAINERS: [&str; 8] = ["aside", "div", "footer", "header", "ol", "section", "table", "ul"];

/// Classes by which `DocBook` marks the links to neighbouring pages.
const NAVIGATION_CLASSES: [&str; 2] = ["navheader", "navfooter"];

/// Most bytes of text that come of a byte of HTML: an item of a deep list has its indentation and its number.
const MAX_TEXT_PER_BYTE: usize = 5;

/// Extracts the text of `html` and finds its blocks.
pub(super) fn parse(html: &str, checkpoint: Checkpoint<'_>) -> Result<(String, DocumentStructure)> {
    let html = html.trim_start_matches('\u{feff}');
    // A comment or an attribute is held as a whole.
    memory::require(html.len())?;
    let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut start = 0;
    let end = std::iter::once(html.len()..html.len());
    for excess in tags::excess_attributes(html, checkpoint)?.into_iter().chain(end) {
        let mut rest = &html[start..excess.start];
        while !rest.is_empty() {
            checkpoint()?;
            let (slice, after) = rest.split_at(rest.floor_char_boundary(SLICE_BYTES));
            tokenizer.sink.0.borrow_mut().writer.reserve(MAX_TEXT_PER_BYTE * slice.len())?;
            input.push_back(StrTendril::from_slice(slice));
            // It only stops early for scripts and encodings, which the sink does not report.
            let _ = tokenizer.feed(&input);
            rest = after;
        }
        start = excess.end;
    }
    tokenizer.end();
    Ok(tokenizer.sink.0.into_inner().writer.finish())
}

#[derive(Default)]
struct Sink(RefCell<Page>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut page = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) => return page.tag(&tag),
            Token::CharacterTokens(text) if page.skipped.is_none() => page.writer.text(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// The open elements at the tokenizer's position.
#[derive(Default)]
struct Page {
    writer: TextWriter,
    /// The element whose content is skipped, and how many of its kind are open in it.
    skipped: Option<(String, usize)>,
    /// Per open list the number of its next item; 0 when it has bullets.
    lists: Vec<u32>,
    /// Per open table whether it only arranges a page: its cells are then pieces of the page.
    tables: Vec<bool>,
}

impl Page {
    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        let is_start = tag.kind == TagKind::StartTag;
        if self.skip(tag, name, is_start) {
            return if is_start { raw(name) } else { TokenSinkResult::Continue };
        }
        if is_start {
            self.start(name);
            return raw(name);
        }
        self.end(name);
        TokenSinkResult::Continue
    }

    /// Whether a tag belongs to an element that is skipped.
    fn skip(&mut self, tag: &Tag, name: &str, is_start: bool) -> bool {
        if let Some((element, open)) = &mut self.skipped {
            if element == name {
                *open = if is_start { *open + 1 } else { *open - 1 };
                if *open == 0 {
                    self.skipped = None;
                }
            }
            return true;
        }
        if is_start && (SKIPPED_ELEMENTS.contains(&name) || is_marked(tag, name)) {
            // Only foreign elements can be closed by their own start tag.
            if !(tag.self_closing && name == "svg") {
                self.skipped = Some((name.to_owned(), 1));
            }
            return true;
        }
        false
    }

    fn start(&mut self, name: &str) {
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.is_layout();
                self.writer.start_heading(name.as_bytes()[1] - b'0');
            }
            "p" | "blockquote" | "dl" | "section" | "article" | "figure" | "hr" => {
                self.paragraph(Gap::Blank);
            }
            "pre" | "listing" | "xmp" => {
                self.paragraph(Gap::Blank);
                self.writer.start_pre();
            }
            "ul" | "ol" | "menu" | "dir" => {
                self.paragraph(if self.lists.is_empty() { Gap::Blank } else { Gap::Line });
                self.lists.push(u32::from(name == "ol"));
            }
            "li" => self.item(),
            "dt" | "caption" => {
                self.paragraph(Gap::Line);
                self.writer.start_lead();
            }
            "dd" => self.paragraph(Gap::Line),
            "br" => self.writer.line_end(),
            "table" => {
                self.is_layout();
                self.paragraph(Gap::Blank);
                self.writer.start_table();
                self.tables.push(false);
            }
            "tr" if self.tables.last() == Some(&false) => self.writer.row(),
            "td" | "th" if self.tables.last() == Some(&false) => self.writer.cell(name == "th"),
            _ if is_block(name) => self.writer.block(Gap::Line),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.writer.end_heading(),
            "p" | "blockquote" | "dl" | "section" | "article" | "figure" => {
                self.writer.block(Gap::Blank);
            }
            "pre" | "listing" | "xmp" => self.writer.end_pre(),
            "ul" | "ol" | "menu" | "dir" => {
                self.lists.pop();
                self.writer.block(if self.lists.is_empty() { Gap::Blank } else { Gap::Line });
            }
            "li" => self.writer.end_item(),
            "dt" | "caption" => self.writer.end_lead(),
            "table" => {
                if self.tables.pop() == Some(false) {
                    self.writer.end_table();
                }
                self.writer.block(Gap::Blank);
            }
            "tr" if self.tables.last() == Some(&false) => self.writer.row(),
            _ if is_block(name) => self.writer.block(Gap::Line),
            _ => {}
        }
    }

    /// A block that no heading or term contains, in case the end of one is missing.
    fn paragraph(&mut self, gap: Gap) {
        self.writer.end_heading();
        self.writer.block(gap);
    }

    fn item(&mut self) {
        self.paragraph(Gap::Line);
        let depth = self.lists.len().saturating_sub(1);
        match self.lists.last_mut() {
            Some(next) if *next > 0 => {
                self.writer.start_item(depth, &format!("{next}. "));
                *next += 1;
            }
            _ => self.writer.start_item(depth, "- "),
        }
    }

    /// A heading or a table in a table: what is around it arranges the page, as do the tables around that.
    fn is_layout(&mut self) {
        if let Some(is_layout @ false) = self.tables.last_mut() {
            *is_layout = true;
            self.writer.end_table();
        }
    }
}

/// Whether an element says of itself that it is navigation, or not shown.
fn is_marked(tag: &Tag, name: &str) -> bool {
    let says = |attribute: &html5ever::Attribute| match &*attribute.name.local {
        "hidden" => true,
        "role" => &*attribute.value == "navigation",
        "class" => {
            attribute.value.split_whitespace().any(|class| NAVIGATION_CLASSES.contains(&class))
        }
        _ => false,
    };
    CONTAINERS.contains(&name) && tag.attrs.iter().any(says)
}

/// How the tokenizer reads what follows a start tag.
fn raw(name: &str) -> TokenSinkResult<()> {
    match name {
        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "iframe" | "noembed" | "noframes" | "xmp" => {
            TokenSinkResult::RawData(RawKind::Rawtext)
        }
        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
        "plaintext" => TokenSinkResult::Plaintext,
        _ => TokenSinkResult::Continue,
    }
}

/// Whether browsers put an element on lines of its own. Those with a meaning of their own to us
/// are dealt with before.
fn is_block(name: &str) -> bool {
    const BLOCKS: [&str; 34] = [
        "address",
        "aside",
        "body",
        "center",
        "dd",
        "details",
        "dialog",
        "div",
        "fieldset",
        "figcaption",
        "footer",
        "form",
        "frameset",
        "header",
        "hgroup",
        "html",
        "legend",
        "main",
        "optgroup",
        "option",
        "plaintext",
        "search",
        "select",
        "summary",
        "tbody",
        "td",
        "textarea",
        "tfoot",
        "th",
        "thead",
        "tr",
        "article",
        "section",
        "figure",
    ];
    BLOCKS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn text(html: &str) -> String {
        parse(html, &mut || Ok(())).expect("a checkpoint that passes").0
    }

    #[test]
    fn navigation_and_hidden_parts_are_no_text() {
        let html = "<div class='navheader wide'><table><tr><td>Prev</table></div><p>Text</p>\
                    <div role=navigation>Links<div>more</div></div><section hidden>Secret</section>\
                    <div class=navigate>kept</div>";
        assert_eq!(text(html).split_whitespace().collect::<Vec<_>>(), ["Text", "kept"]);
    }

    #[test]
    fn an_element_without_an_end_tag_hides_nothing() {
        assert_eq!(text("<p hidden>a<p>b<br hidden>c").split_whitespace().count(), 3);
    }
}
