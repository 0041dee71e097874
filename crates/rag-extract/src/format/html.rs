//! HTML, read as browsers read it.
use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

use super::{decoded, single};
use crate::detect::Format;
use crate::document::{Document, Options};
use crate::failure::Failure;
use crate::markdown::{Writer, one_line};
use crate::tree::MAX_DEPTH;

/// Where a word may be divided; none is found with it.
const SOFT_HYPHEN: char = '\u{ad}';

pub fn read(bytes: &[u8], options: &Options) -> Result<Document, Failure> {
    let (text, mut document) = decoded(bytes, Format::Html, options);
    let page = markdown(&text, options.max_output)?;
    for (key, value) in &page.metadata {
        document.describe(key, value);
    }
    single(document, &page.content)
}

/// A page of HTML as Markdown.
pub struct Converted {
    pub content: String,
    pub metadata: Vec<(&'static str, String)>,
    /// The first heading.
    pub heading: Option<String>,
}

pub fn markdown(html: &str, limit: usize) -> Result<Converted, Failure> {
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(html);
    let mut walk = Walk {
        page: Writer::new(limit),
        inline: String::new(),
        lists: Vec::new(),
        item: None,
        metadata: Vec::new(),
        heading: None,
    };
    walk.children(&dom.document, 0);
    walk.flush();
    Ok(Converted { content: walk.page.take()?, metadata: walk.metadata, heading: walk.heading })
}

struct Walk {
    page: Writer,
    /// Text of the paragraph that is open.
    inline: String,
    /// Next numbers of the lists around; `None` of those with dots.
    lists: Vec<Option<u32>>,
    /// Marker of the entry whose text is open.
    item: Option<String>,
    metadata: Vec<(&'static str, String)>,
    heading: Option<String>,
}

impl Walk {
    fn children(&mut self, node: &Handle, depth: usize) {
        for child in node.children.borrow().iter() {
            if self.page.is_full() {
                return;
            }
            self.node(child, depth + 1);
        }
    }

    fn node(&mut self, node: &Handle, depth: usize) {
        match &node.data {
            NodeData::Text { contents } => {
                self.inline.extend(contents.borrow().chars().filter(|c| *c != SOFT_HYPHEN));
            }
            NodeData::Element { name, .. } if depth <= MAX_DEPTH => {
                let name = name.local.to_string();
                self.element(node, &name, depth);
            }
            NodeData::Element { .. } => self.inline.push_str(&text(node)),
            _ => {}
        }
    }

    fn element(&mut self, node: &Handle, name: &str, depth: usize) {
        if is_unseen(node, name) {
            return;
        }
        match name {
            "title" => self.describe("title", &text(node)),
            "html" => {
                let language = attribute(node, "lang").or_else(|| attribute(node, "xml:lang"));
                self.describe("language", &language.unwrap_or_default());
                self.children(node, depth);
            }
            "meta" => self.meta(node),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.flush();
                let line = one_line(&text(node));
                if self.heading.is_none() && !line.is_empty() {
                    self.heading = Some(line.clone());
                }
                self.page.heading(usize::from(name.as_bytes()[1] - b'0'), &line);
            }
            "br" => self.inline.push('\u{2028}'),
            "sup" => {
                self.inline.push_str(power(node, &self.inline));
                self.children(node, depth);
            }
            "pre" => {
                self.flush();
                let language = language(node);
                self.page.code(&language, &text(node));
            }
            "table" => self.table(node, depth),
            "ul" | "ol" => {
                self.flush();
                let start =
                    attribute(node, "start").and_then(|start| start.parse().ok()).unwrap_or(1);
                self.lists.push((name == "ol").then_some(start));
                self.children(node, depth);
                self.flush();
                self.lists.pop();
            }
            "li" => self.entry(node, depth),
            "q" => {
                self.inline.push('"');
                self.children(node, depth);
                self.inline.push('"');
            }
            name if is_block(name) => {
                self.flush();
                self.children(node, depth);
                self.flush();
            }
            _ => self.children(node, depth),
        }
    }

    fn describe(&mut self, key: &'static str, value: &str) {
        let value = one_line(value);
        if !value.is_empty() && !self.metadata.iter().any(|(other, _)| *other == key) {
            self.metadata.push((key, value));
        }
    }

    fn meta(&mut self, node: &Handle) {
        let name =
            attribute(node, "name").or_else(|| attribute(node, "property")).unwrap_or_default();
        let key = match name.to_ascii_lowercase().as_str() {
            "author" | "dc.creator" | "article:author" => "author",
            "description" => "description",
            "keywords" => "keywords",
            "date" | "dc.date" | "article:published_time" => "created",
            "article:modified_time" | "last-modified" => "modified",
            _ => return,
        };
        self.describe(key, &attribute(node, "content").unwrap_or_default());
    }

    fn entry(&mut self, node: &Handle, depth: usize) {
        self.flush();
        self.item = Some(match self.lists.last_mut() {
            Some(Some(number)) => {
                let value = attribute(node, "value").and_then(|value| value.parse().ok());
                *number = value.unwrap_or(*number);
                *number = number.saturating_add(1);
                format!("{}.", *number - 1)
            }
            _ => "-".to_owned(),
        });
        self.children(node, depth);
        self.flush();
        self.item = None;
    }

    /// Ends the open paragraph.
    fn flush(&mut self) {
        let inline = std::mem::take(&mut self.inline);
        let lines = inline.split('\u{2028}').map(one_line);
        let text = lines.collect::<Vec<_>>().join("\n");
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        match self.item.take() {
            Some(marker) => self.page.item(self.lists.len().saturating_sub(1), &marker, text),
            None => self.page.paragraph(text),
        }
    }

    fn table(&mut self, node: &Handle, depth: usize) {
        self.flush();
        let mut rows = Vec::new();
        table_rows(node, 0, &mut rows);
        let laid_out = rows.iter().flatten().any(|cell| has_blocks(cell, 0));
        if laid_out {
            // A table that lays out a page: its cells are read one after the other.
            for cell in rows.iter().flatten() {
                self.children(cell, depth + 2);
                self.flush();
            }
            return;
        }
        let mut caption = None;
        for child in node.children.borrow().iter().filter(|child| is(child, "caption")) {
            caption = Some(one_line(&text(child)));
        }
        self.page.paragraph(&caption.unwrap_or_default());
        let mut spans: Vec<usize> = Vec::new();
        let mut lines = Vec::new();
        for row in &rows {
            let mut line: Vec<String> = Vec::new();
            for cell in row {
                // A cell that reaches down from above stands empty here.
                while spans.get(line.len()).is_some_and(|left| *left > 0) {
                    spans[line.len()] -= 1;
                    line.push(String::new());
                }
                let span =
                    |name| attribute(cell, name).and_then(|n| n.parse::<usize>().ok()).unwrap_or(1);
                let (wide, high) = (span("colspan").clamp(1, 64), span("rowspan").clamp(1, 10_000));
                for n in 0..wide {
                    let place = line.len();
                    if spans.len() <= place {
                        spans.resize(place + 1, 0);
                    }
                    spans[place] = high - 1;
                    line.push(if n == 0 { text(cell) } else { String::new() });
                }
            }
            lines.push(line);
        }
        self.page.table(&lines);
    }
}

/// The cells of a table's rows, without those of tables within.
fn table_rows(node: &Handle, depth: usize, rows: &mut Vec<Vec<Handle>>) {
    for child in node.children.borrow().iter() {
        if is(child, "tr") {
            let children = child.children.borrow();
            let cells = children.iter().filter(|cell| is(cell, "td") || is(cell, "th"));
            rows.push(cells.cloned().collect());
        } else if depth < 4 && ["thead", "tbody", "tfoot"].iter().any(|name| is(child, name)) {
            table_rows(child, depth + 1, rows);
        }
    }
}

/// Whether a cell has what a table's cell cannot hold.
fn has_blocks(node: &Handle, depth: usize) -> bool {
    depth < 30
        && node.children.borrow().iter().any(|child| match &child.data {
            NodeData::Element { name, .. } => {
                matches!(&*name.local, "table" | "h1" | "h2" | "h3" | "h4" | "pre")
                    || has_blocks(child, depth + 1)
            }
            _ => false,
        })
}

fn is(node: &Handle, wanted: &str) -> bool {
    matches!(&node.data, NodeData::Element { name, .. } if &*name.local == wanted)
}

fn attribute(node: &Handle, wanted: &str) -> Option<String> {
    let NodeData::Element { attrs, .. } = &node.data else { return None };
    let attributes = attrs.borrow();
    let found = attributes.iter().find(|attribute| &*attribute.name.local == wanted);
    found.map(|attribute| attribute.value.to_string())
}

/// Whether an element is a mark that links to a place of its page, as behind a heading.
fn is_link_mark(node: &Handle) -> bool {
    let is_word = |child: &Handle| match &child.data {
        NodeData::Text { contents } => contents.borrow().contains(char::is_alphanumeric),
        _ => true,
    };
    attribute(node, "href").is_some_and(|href| href.starts_with('#'))
        && !node.children.borrow().iter().any(is_word)
}

/// The language of code, as highlighters want to know it.
fn language(pre: &Handle) -> String {
    let children = pre.children.borrow();
    let code = children.iter().find(|child| is(child, "code"));
    let class = code.and_then(|code| attribute(code, "class")).or_else(|| attribute(pre, "class"));
    let class = class.unwrap_or_default();
    let name = class
        .split_whitespace()
        .find_map(|class| class.strip_prefix("language-").or_else(|| class.strip_prefix("lang-")));
    name.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Whether a node is no part of what a page says.
fn is_unseen(node: &Handle, name: &str) -> bool {
    matches!(
        name,
        "script"
            | "style"
            | "template"
            | "noscript"
            | "svg"
            | "nav"
            | "iframe"
            | "object"
            | "select"
            | "button"
            | "textarea"
            | "canvas"
            | "audio"
            | "video"
            | "rp"
            | "rt"
    ) || name == "a" && is_link_mark(node)
        || attribute(node, "hidden").is_some()
        || attribute(node, "aria-hidden").as_deref() == Some("true")
        || attribute(node, "style").is_some_and(|style| {
            let style = style.to_ascii_lowercase().replace(char::is_whitespace, "");
            style.contains("display:none") || style.contains("visibility:hidden")
        })
}

/// What keeps a raised number apart from the one before it: 10<sup>6</sup> is not 106.
fn power(node: &Handle, before: &str) -> &'static str {
    let is_number = |child: &Handle| {
        matches!(&child.data, NodeData::Text { contents }
            if contents.borrow().trim_start_matches(['-', '−']).starts_with(|c: char| c.is_ascii_digit()))
    };
    let raised = node.children.borrow().first().is_some_and(is_number);
    if raised && before.ends_with(|c: char| c.is_ascii_digit()) { "^" } else { "" }
}

/// All text below a node, whatever its depth.
fn text(node: &Handle) -> String {
    let mut text = String::new();
    let mut stack = vec![node.clone()];
    while let Some(node) = stack.pop() {
        match &node.data {
            NodeData::Text { contents } => {
                text.extend(contents.borrow().chars().filter(|c| *c != SOFT_HYPHEN));
            }
            NodeData::Element { name, .. } => match &*name.local {
                name if is_unseen(&node, name) => continue,
                "sup" => text.push_str(power(&node, &text)),
                "br" => text.push('\n'),
                name if is_block(name) => text.push(' '),
                _ => {}
            },
            _ => {}
        }
        stack.extend(node.children.borrow().iter().rev().cloned());
    }
    text
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "caption"
            | "center"
            | "dd"
            | "details"
            | "dialog"
            | "dir"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "head"
            | "header"
            | "hgroup"
            | "hr"
            | "legend"
            | "li"
            | "main"
            | "menu"
            | "ol"
            | "option"
            | "p"
            | "section"
            | "summary"
            | "table"
            | "tbody"
            | "td"
            | "tfoot"
            | "th"
            | "thead"
            | "tr"
            | "ul"
    )
}

#[cfg(test)]
mod tests {
    use super::markdown;

    #[test]
    fn blocks_lists_and_tables() {
        let html = "<title>T</title><nav>Menu</nav><h1>A <b>head</b></h1><p>One\n two<br>three</p>\
            <ul><li>x<ol start=3><li>y<li>z</ol><li><p>w</p><p>v</p></ul>\
            <table><tr><th>a<th rowspan=2>b<tr><td>c</table><pre><code class='language-sql'>SELECT\n 1</code></pre>";
        let page = markdown(html, 1 << 20).unwrap();
        let wanted = "# A head\n\nOne two\nthree\n\n- x\n   3. y\n   4. z\n- w\n\nv\n\n\
            | a | b |\n| --- | --- |\n| c |  |\n\n```sql\nSELECT\n 1\n```";
        assert_eq!(page.content, wanted);
        assert_eq!(page.metadata, [("title", "T".to_owned())]);
    }

    #[test]
    fn deep_nesting_keeps_the_text() {
        let html = "<div>".repeat(5000) + "core";
        assert_eq!(markdown(&html, 1 << 20).unwrap().content, "core");
    }
}
