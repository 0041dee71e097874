//! What the lines of a passage are: headings, paragraphs, list items, rows of tables, code.
//!
//! A passage is a piece of plain text, of Markdown's source or of what was extracted from HTML, and may begin in the middle of
//! a block. So lines are told by their look.
use std::ops::Range;

/// Longest line in bytes that can be a heading or a term.
const MAX_HEADING_BYTES: usize = 120;

/// Most of a paragraph's signs that are brackets, operators and the like, in hundredths, if it is prose.
const MAX_PROSE_SIGNS: usize = 9;

/// Least of a paragraph's words that are plain ones, in hundredths, if it is prose.
const MIN_PROSE_WORDS: usize = 50;

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Prose,
    Heading,
    /// A line by itself that names what the next block explains: `work_mem (integer)`.
    Term,
    Item,
    /// The first row of a table, with the names of its columns.
    Header,
    Row,
    Code,
    /// A code block that is fenced: its first and last line are none of it.
    Fenced,
    /// Dashes between a header and its rows; links and numbered titles of other pages.
    Navigation,
}

/// A piece of a passage without the white space around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub kind: BlockKind,
    pub bytes: Range<usize>,
}

/// The blocks of `text[span]` in their order; but for white space nothing lies between them. `heading` is the path of titles above it.
pub(super) fn blocks(text: &str, span: Range<usize>, heading: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let lines = lines(text, &span);
    let mut at = 0;
    while at < lines.len() {
        let line = &text[lines[at].clone()];
        if line.trim().is_empty() {
            at += 1;
            continue;
        }
        let end =
            if is_fence(line) { fence_end(text, &lines, at) } else { run_end(text, &lines, at) };
        if is_fence(line) {
            push(text, lines[at].start..lines[end - 1].end, BlockKind::Fenced, &mut blocks);
        } else {
            push_run(text, &lines[at..end], &mut blocks);
        }
        at = end;
    }
    let titles: Vec<&str> = heading.split(crate::chunk::PATH_SEPARATOR).map(str::trim).collect();
    for i in 0..blocks.len() {
        if is_line_alone(text, &span, &blocks, i) {
            let line = text[blocks[i].bytes.clone()].trim();
            let is_name = names_something(line) && !titles.contains(&line);
            blocks[i].kind = if is_name { BlockKind::Term } else { BlockKind::Heading };
        }
    }
    blocks
}

/// Lines of the span without their line ends.
fn lines(text: &str, span: &Range<usize>) -> Vec<Range<usize>> {
    let mut at = span.start;
    let line = |line: &str| {
        let start = at;
        at += line.len();
        start..start + line.trim_end_matches(['\n', '\r']).len()
    };
    text[span.clone()].split_inclusive('\n').map(line).collect()
}

fn is_fence(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("```") || line.starts_with("~~~")
}

fn fence_end(text: &str, lines: &[Range<usize>], start: usize) -> usize {
    let mark = &text[lines[start].clone()].trim_start()[..3];
    let closes = |line: &Range<usize>| text[line.clone()].trim_start().starts_with(mark);
    (start + 1..lines.len()).find(|&i| closes(&lines[i])).map_or(lines.len(), |i| i + 1)
}

/// The end of the lines from `start` on up to a blank one, a heading or a fence.
fn run_end(text: &str, lines: &[Range<usize>], start: usize) -> usize {
    let line = |i: usize| &text[lines[i].clone()];
    if is_marked_heading(line(start)) {
        return start + 1;
    }
    let ends =
        |i: &usize| line(*i).trim().is_empty() || is_fence(line(*i)) || is_marked_heading(line(*i));
    (start + 1..lines.len()).find(ends).unwrap_or(lines.len())
}

fn is_marked_heading(line: &str) -> bool {
    let marks = line.len() - line.trim_start_matches('#').len();
    (1..=6).contains(&marks) && line[marks..].starts_with([' ', '\t'])
}

/// Divides lines without a blank one between them into rows, items, a heading or a paragraph.
fn push_run(text: &str, lines: &[Range<usize>], blocks: &mut Vec<Block>) {
    let line = |i: usize| &text[lines[i].clone()];
    if is_marked_heading(line(0)) {
        return push(text, lines[0].clone(), BlockKind::Heading, blocks);
    }
    let mut at = 0;
    while at < lines.len() {
        let rest = &lines[at..];
        let rows = rest.iter().take_while(|line| is_row(&text[(*line).clone()])).count();
        if rows >= 2 || (rows == 1 && line(at).trim_start().starts_with('|')) {
            push_table(text, &rest[..rows], blocks);
            at += rows;
            continue;
        }
        let is_start = |i: &usize| is_row(line(*i)) && *i + 1 < lines.len() && is_row(line(*i + 1));
        let next_table = (at + 1..lines.len()).find(is_start).unwrap_or(lines.len());
        push_text(text, &lines[at..next_table], blocks);
        at = next_table;
    }
}

fn is_row(line: &str) -> bool {
    line.trim_start().starts_with('|') || line.contains(" | ") || line.trim_end().ends_with(" |")
}

fn is_rule(line: &str) -> bool {
    line.contains('-') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ' | '\t' | '+'))
}

fn push_table(text: &str, rows: &[Range<usize>], blocks: &mut Vec<Block>) {
    let is_ruled = rows.get(1).is_some_and(|row| is_rule(&text[row.clone()]));
    // A table that was extracted from HTML has no rule; one that begins the passage may have lost its first rows.
    let is_whole = blocks.last().is_some() && !text[rows[0].clone()].trim_start().starts_with('|');
    for (i, row) in rows.iter().enumerate() {
        let kind = match i {
            0 if is_ruled || (is_whole && rows.len() > 1) => BlockKind::Header,
            _ if is_rule(&text[row.clone()]) => BlockKind::Navigation,
            _ => BlockKind::Row,
        };
        push(text, row.clone(), kind, blocks);
    }
}

/// Divides lines without a table into list items and paragraphs.
fn push_text(text: &str, lines: &[Range<usize>], blocks: &mut Vec<Block>) {
    let is_item = |line: &Range<usize>| item_mark(&text[line.clone()]).is_some();
    let mut at = 0;
    while at < lines.len() {
        let next = (at + 1..lines.len()).find(|&i| is_item(&lines[i])).unwrap_or(lines.len());
        let bytes = lines[at].start..lines[next - 1].end;
        let kind = match &text[bytes.clone()] {
            piece if is_navigation(piece) => BlockKind::Navigation,
            piece if is_numbered_title(piece) => BlockKind::Heading,
            _ if is_item(&lines[at]) => BlockKind::Item,
            piece if is_code(piece) => BlockKind::Code,
            _ => BlockKind::Prose,
        };
        push(text, bytes, kind, blocks);
        at = next;
    }
}

/// Bytes of the mark that a list item begins with.
pub(super) fn item_mark(line: &str) -> Option<usize> {
    let content = line.trim_start();
    let indent = line.len() - content.len();
    if ["- ", "* ", "+ "].iter().any(|mark| content.starts_with(mark)) {
        return Some(indent + 2);
    }
    if content.starts_with("• ") {
        return Some(indent + "• ".len());
    }
    let digits = content.bytes().take_while(u8::is_ascii_digit).count();
    let is_number = (1..=3).contains(&digits)
        && [". ", ") "].iter().any(|mark| content[digits..].starts_with(mark));
    is_number.then_some(indent + digits + 2)
}

fn push(text: &str, bytes: Range<usize>, kind: BlockKind, blocks: &mut Vec<Block>) {
    let piece = &text[bytes.clone()];
    let start = bytes.start + (piece.len() - piece.trim_start().len());
    let bytes = start..start + piece.trim().len();
    if !bytes.is_empty() {
        blocks.push(Block { kind, bytes });
    }
}

/// Whether a block is a short line that no full stop ends, between blank lines or before the text.
fn is_line_alone(text: &str, span: &Range<usize>, blocks: &[Block], i: usize) -> bool {
    let Block { kind, bytes } = &blocks[i];
    let line = &text[bytes.clone()];
    let is_introduced = i > 0 && text[blocks[i - 1].bytes.clone()].ends_with([':', '：']);
    if is_introduced
        || !(*kind == BlockKind::Prose || *kind == BlockKind::Code && names_something(line))
        || i + 1 == blocks.len()
        || line.contains('\n')
        || line.len() > MAX_HEADING_BYTES
        || ends_sentence(line)
        || line.contains(". ") && !line.starts_with(|c: char| c.is_ascii_digit())
        || line.ends_with([':', '：', ',', ';', '?', '？'])
        || line.starts_with(char::is_lowercase) && !names_something(line)
    {
        return false;
    }
    let before = &text[span.start..bytes.start];
    let gap = before.len() - before.trim_end().len();
    let is_apart =
        before.trim().is_empty() || before[before.len() - gap..].matches('\n').count() > 1;
    let after = &text[bytes.end..blocks[i + 1].bytes.start];
    is_apart && after.matches('\n').count() > 1
}

/// Whether a line holds a name of code: with an underscore, brackets, capitals alone, an option's dashes.
fn names_something(line: &str) -> bool {
    let is_numbered = line.starts_with(|c: char| c.is_ascii_digit());
    let is_name = |word: &str| {
        let is_capital = word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let is_joined = word.contains('_') && word.chars().any(char::is_alphanumeric);
        is_capital || is_joined || word.starts_with(['-', '\\', '`', '('])
    };
    !is_numbered && line.split_whitespace().any(is_name)
}

/// Whether a text ends as a sentence does.
pub(super) fn ends_sentence(text: &str) -> bool {
    text.trim_end_matches(['"', '\'', ')', ']', '»', '”', '’', '`', '*', '_'])
        .ends_with(['.', '!', '?', '…', '。', '！', '？'])
}

/// Whether a line is a numbered title: `25.1.5. Preventing Failures`, `A.2. Codes`.
fn is_numbered_title(line: &str) -> bool {
    let line = line.trim().trim_start_matches(['-', '*', ' ']);
    let Some((number, title)) = line.split_once(' ') else { return false };
    let is_part = |c: char| c.is_ascii_digit() || c == '.' || c.is_ascii_uppercase();
    number.contains('.')
        && number.chars().all(is_part)
        && number.chars().any(|c| c.is_ascii_digit())
        && title.starts_with(char::is_uppercase)
        && !ends_sentence(line)
        && line.len() <= MAX_HEADING_BYTES
}

/// Whether nothing stands there but links, or numbered titles as in a table of contents.
fn is_navigation(text: &str) -> bool {
    text.contains('\n') && text.lines().all(is_numbered_title) || is_all_links(text)
}

/// Whether text is hardly more than Markdown's links.
fn is_all_links(text: &str) -> bool {
    let mut outside = 0;
    let mut rest = text;
    let mut links = 0;
    while let Some(start) = rest.find('[') {
        let Some(middle) = rest[start..].find("](").map(|i| start + i) else { break };
        let Some(end) = rest[middle..].find(')').map(|i| middle + i) else { break };
        outside += rest[..start].chars().filter(|c| c.is_alphanumeric()).count();
        links += 1;
        rest = &rest[end + 1..];
    }
    outside += rest.chars().filter(|c| c.is_alphanumeric()).count();
    links > 0 && outside <= 2 * links
}

/// Whether a paragraph looks like a listing or a signature rather than prose.
fn is_code(text: &str) -> bool {
    if text.contains('`') || text.contains("](") {
        return false;
    }
    if text.trim_end().ends_with(';') && !text.contains(". ") && text.contains(['(', '=', '\'']) {
        return true;
    }
    let is_sign = |c: char| "[]{}()<>|=;\\$_*+/#@&^~".contains(c);
    let (mut signs, mut all) = (0, 0);
    text.chars().filter(|c| !c.is_whitespace()).for_each(|c| {
        signs += usize::from(is_sign(c));
        all += 1;
    });
    let (mut plain, mut words) = (0, 0);
    for word in text.split_whitespace() {
        let word = word.trim_matches(|c: char| ".,:;!?\"'“”‘’()".contains(c));
        words += 1;
        plain += usize::from(
            !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-'’".contains(c)),
        );
    }
    100 * signs > MAX_PROSE_SIGNS * all
        && !(ends_sentence(text) && 100 * plain >= MIN_PROSE_WORDS * words)
        || 100 * plain < MIN_PROSE_WORDS * words && signs > 0
}
