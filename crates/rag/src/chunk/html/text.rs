//! Writes the extracted text: white space as browsers render it, and a block for each piece.
use super::super::document::{BlockKind, DocumentStructure};
use crate::{Result, memory};

/// Deepest list that is indented; deeper ones line up with it.
const MAX_INDENT: usize = 6;

/// The separator of two blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Gap {
    #[default]
    Line,
    Blank,
}

#[derive(Default)]
// Each flag is a thing HTML can be in the middle of, independent of the others.
#[allow(clippy::struct_excessive_bools)]
pub(super) struct TextWriter {
    text: String,
    document: DocumentStructure,
    /// Where the open block starts, once it has any text.
    start: Option<usize>,
    gap: Gap,
    /// White space was read that is written before the next word.
    space: bool,
    /// A list item's marker that is written before its first word.
    marker: Option<String>,
    heading: Option<u8>,
    is_lead: bool,
    /// Open `pre` elements, and whether one has just been opened.
    pre: usize,
    is_pre_start: bool,
    /// In a table; its cells so far in the row.
    table: Option<usize>,
    /// Of a table whose first row has header cells alone: whether that row is at its end, and where it ends.
    header: Option<(bool, usize)>,
    /// A line that is begun before the next word: a row's first.
    is_new_row: bool,
}

impl TextWriter {
    /// The text and its blocks.
    pub fn finish(mut self) -> (String, DocumentStructure) {
        self.flush();
        (self.text, self.document)
    }

    /// Makes room for so many more bytes of text.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        memory::reserve_text(&mut self.text, more)
    }

    pub fn text(&mut self, text: &str) {
        if self.pre > 0 && self.table.is_none() {
            return self.verbatim(text);
        }
        let mut rest = text;
        loop {
            let word = rest.trim_start_matches(is_space);
            self.space |= word.len() < rest.len();
            if word.is_empty() {
                return;
            }
            let end = word.find(is_space).unwrap_or(word.len());
            self.word(&word[..end]);
            rest = &word[end..];
        }
    }

    fn word(&mut self, word: &str) {
        self.open();
        if self.is_new_row && !self.text.ends_with('\n') {
            self.text.push('\n');
        } else if self.space && !self.is_line_start() {
            self.text.push(' ');
        }
        self.is_new_row = false;
        self.space = false;
        // A no-break space only matters when lines are broken.
        let mut parts = word.split('\u{a0}');
        self.text.push_str(parts.next().unwrap_or_default());
        parts.for_each(|part| {
            self.text.push(' ');
            self.text.push_str(part);
        });
    }

    fn verbatim(&mut self, text: &str) {
        let first = std::mem::take(&mut self.is_pre_start);
        let text = text.strip_prefix('\n').filter(|_| first).unwrap_or(text);
        if text.is_empty() {
            return;
        }
        self.open();
        self.text.extend(text.chars().filter(|c| *c != '\r').map(|c| match c {
            '\u{c}' => '\n',
            '\u{a0}' => ' ',
            other => other,
        }));
    }

    /// Starts a block if none is open.
    fn open(&mut self) {
        if self.start.is_some() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push_str(if self.gap == Gap::Blank { "\n\n" } else { "\n" });
        }
        self.gap = Gap::Line;
        self.space = false;
        self.is_new_row = false;
        self.start = Some(self.text.len());
        if let Some(marker) = self.marker.take() {
            self.text.push_str(&marker);
        }
    }

    fn is_line_start(&self) -> bool {
        self.start == Some(self.text.len()) || self.text.ends_with(['\n', ' '])
    }

    /// Ends the open block; the next is at least `gap` away.
    pub fn block(&mut self, gap: Gap) {
        if self.table.is_some() {
            self.space = true;
            return;
        }
        if self.pre > 0 {
            if self.start.is_some() && !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            return;
        }
        self.flush();
        self.gap = self.gap.max(gap);
    }

    fn flush(&mut self) {
        self.space = false;
        let Some(start) = self.start.take() else { return };
        let end = self.text.trim_end().len();
        if end <= start {
            // Nothing but white space: as if it had not been there.
            self.text.truncate(end);
            return;
        }
        self.text.truncate(end);
        let is_lines = self.pre > 0 || self.table.is_some();
        let content = &self.text[start..];
        // Blank lines and spaces at the start of a block, but not the indentation of code.
        let blank = content.len() - content.trim_start().len();
        let kept = content[..blank].rfind('\n').map_or(0, |i| i + 1);
        let start = start + if is_lines { kept } else { blank };
        match self.heading {
            Some(level) => {
                let title = self.text[start..].to_owned();
                self.document.push_heading(start..end, level, &title);
            }
            None if self.is_lead => self.document.push(start..end, BlockKind::Lead),
            None if is_lines => {
                let header = self.header.map_or(0, |(_, header)| header.saturating_sub(start));
                let kind = match (self.table, header as u32) {
                    (Some(_), header @ 1..) => BlockKind::Table(header),
                    _ => BlockKind::Lines,
                };
                self.document.push(start..end, kind);
            }
            None => self.document.push(start..end, BlockKind::Text),
        }
    }

    pub fn start_heading(&mut self, level: u8) {
        self.end_heading();
        self.block(Gap::Blank);
        self.marker = None;
        self.heading = Some(level);
    }

    pub fn end_heading(&mut self) {
        if self.heading.is_some() {
            self.block(Gap::Blank);
            self.heading = None;
        }
        self.end_lead();
    }

    /// A block that stays with the next.
    pub fn start_lead(&mut self) {
        self.block(Gap::Line);
        self.is_lead = self.table.is_none();
    }

    pub fn end_lead(&mut self) {
        if self.is_lead {
            self.block(Gap::Line);
            self.is_lead = false;
        }
    }

    pub fn start_item(&mut self, depth: usize, marker: &str) {
        if self.table.is_none() && self.pre == 0 {
            self.marker = Some(format!("{}{marker}", "  ".repeat(depth.min(MAX_INDENT))));
        }
    }

    pub fn end_item(&mut self) {
        self.block(Gap::Line);
        self.marker = None;
    }

    pub fn start_pre(&mut self) {
        self.pre += 1;
        self.is_pre_start = true;
    }

    pub fn end_pre(&mut self) {
        if self.pre == 1 && self.table.is_none() {
            self.flush();
            self.gap = Gap::Blank;
        }
        self.pre = self.pre.saturating_sub(1);
    }

    /// A line break inside a block; two in a row end it.
    pub fn line_end(&mut self) {
        if self.table.is_some() {
            self.space = true;
        } else if self.pre > 0 {
            self.verbatim("\n");
        } else if self.text.ends_with('\n') {
            self.block(Gap::Blank);
        } else if self.start.is_some() {
            self.space = false;
            self.text.truncate(self.text.trim_end_matches(' ').len());
            self.text.push('\n');
        }
    }

    /// A table is one block of lines.
    pub fn start_table(&mut self) {
        self.table = Some(0);
        self.header = None;
    }

    pub fn end_table(&mut self) {
        if self.table.is_some() {
            self.flush();
            self.table = None;
            self.gap = Gap::Blank;
        }
    }

    pub fn row(&mut self) {
        if self.table.is_some() {
            self.table = Some(0);
            self.is_new_row = true;
            self.space = false;
            if let Some((is_whole, end)) = &mut self.header
                && !*is_whole
                && self.start.is_some_and(|start| start < self.text.len())
            {
                (*is_whole, *end) = (true, self.text.len());
            }
        }
    }

    pub fn cell(&mut self, is_header: bool) {
        let Some(cells) = self.table else { return };
        match self.header {
            None if is_header && self.start.is_none() => self.header = Some((false, 0)),
            // A row that has other cells too is one like the rest.
            Some((false, _)) if !is_header => self.header = None,
            _ => {}
        }
        self.table = Some(cells + 1);
        self.space = true;
        if cells > 0 {
            self.word("|");
            self.space = true;
        }
    }
}

/// White space that HTML collapses.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}')
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn extract(html: &str) -> String {
        parse(html, &mut || Ok(())).unwrap().0
    }

    fn blocks(html: &str) -> Vec<(BlockKind, String)> {
        let (text, document) = parse(html, &mut || Ok(())).unwrap();
        document.blocks.iter().map(|block| (block.kind, text[block.range()].to_owned())).collect()
    }

    #[test]
    fn white_space_is_rendered_as_browsers_do() {
        assert_eq!(
            extract("<p> One\n <b>two </b> three<i>four</i>&nbsp;five </p>six"),
            "One two threefour five\n\nsix"
        );
        assert_eq!(extract("a<br>b <br/> c<br><br>d<div>e</div>f"), "a\nb\nc\n\nd\ne\nf");
        assert_eq!(extract("<p>&nbsp;</p><p>x</p>"), "x");
        assert_eq!(extract("<pre>\n  a\n\n    b </pre> c"), "  a\n\n    b\n\nc");
    }

    #[test]
    fn entities_are_decoded_and_markup_that_is_not_text_is_left_out() {
        assert_eq!(
            extract("&lt;a&gt; &amp; &#x41;&eacute; &copy &bogus; &#0;"),
            "<a> & Aé © &bogus; \u{fffd}"
        );
        let page = "<head><title>t</title><style>p{}</style></head><!-- c --><script>if (a<b) '</p>'</script>\
                    <nav><a>menu</a><nav>x</nav></nav><template><p>y</p></template>text<svg/><p>end";
        assert_eq!(extract(page), "text\n\nend");
    }

    #[test]
    fn lists_keep_their_markers() {
        assert_eq!(
            extract("<ul><li>a<ol><li>b<li><p>c</p></ol></li><li></li><li>d</ul>e"),
            "- a\n  1. b\n\n  2. c\n\n- d\n\ne"
        );
    }

    #[test]
    fn tables_become_rows() {
        let table = "<table><caption>T</caption><tr><th>a</th><th> b</th></tr><tr><td><p>1</p><p>2</p><td></table>x";
        let expected =
            [(BlockKind::Lines, "T\na | b\n1 2 |".to_owned()), (BlockKind::Text, "x".to_owned())];
        assert_eq!(blocks(table), expected);
    }

    #[test]
    fn a_table_that_arranges_a_page_is_not_one_block() {
        let page = "<table><tr><td>menu</td><td><h1>T</h1><p>one</p><table><tr><td>a<td>b</table></td></tr></table>";
        let texts: Vec<String> = blocks(page).into_iter().map(|block| block.1).collect();
        assert_eq!(texts, ["menu |", "T", "one", "a | b"]);
    }

    #[test]
    fn headings_terms_and_code_are_known() {
        assert_eq!(
            blocks("<h2>A <code>b</code></h2>c<dl><dt>t<dd>d</dl><pre>x</pre>"),
            [
                (BlockKind::Heading(0), "A b".to_owned()),
                (BlockKind::Text, "c".to_owned()),
                (BlockKind::Lead, "t".to_owned()),
                (BlockKind::Text, "d".to_owned()),
                (BlockKind::Lines, "x".to_owned()),
            ]
        );
    }

    #[test]
    fn a_heading_that_is_not_closed_ends_at_the_next_paragraph() {
        let kinds: Vec<BlockKind> =
            blocks("<h1>A<p>b<h2>C<ul><li>d").into_iter().map(|b| b.0).collect();
        assert_eq!(
            kinds,
            [BlockKind::Heading(0), BlockKind::Text, BlockKind::Heading(1), BlockKind::Text]
        );
    }
}
