//! Marks of Markdown that are no text.
use std::ops::Range;

/// Most bytes of a link's text and of its target that are looked through.
const MAX_LINK_BYTES: usize = 400;

/// Marks at the beginning of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineMark {
    /// All of the line is a mark: a fence, a rule, what parts the head of a table from its rows.
    Line(usize),
    /// Quotation or heading.
    Block(usize),
    /// Of a list item.
    Bullet(usize),
    /// The number of a list item.
    Number(usize),
}

/// The mark at the start of `line`, which has no line end, and its length.
pub(super) fn line_mark(line: &str) -> Option<LineMark> {
    let rest = line.trim_end();
    let first = rest.chars().next()?;
    let is_fence = |fence: &str| rest.starts_with(fence) && !rest[3..].contains(fence);
    let is_rule = || {
        matches!(first, '-' | '=' | '*' | '_' | ':' | '|' | '+' | '~')
            && rest
                .chars()
                .all(|c| matches!(c, '-' | '=' | '*' | '_' | ':' | '|' | '+' | '~' | ' ' | '\t'))
            && ["---", "===", "***", "___", "|-", "* * *", "- - -"]
                .iter()
                .any(|rule| rest.contains(rule))
    };
    if is_fence("```") || is_fence("~~~") || is_rule() {
        return Some(LineMark::Line(line.len()));
    }
    let is_free = |length: usize| {
        rest[length..].is_empty() || rest[length..].starts_with([' ', '\t', '\u{a0}'])
    };
    let run = |is: fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
    match first {
        '>' if is_free(1) || rest[1..].starts_with('>') => Some(LineMark::Block(1)),
        '#' => Some(run(|c| c == '#')).filter(|n| *n <= 6 && is_free(*n)).map(LineMark::Block),
        '-' | '*' | '+' | '•' | '‣' | '◦' | '⁃' | '·' | '▪' | '●' | '–' | '—' => {
            Some(first.len_utf8()).filter(|n| is_free(*n) && *n < rest.len()).map(LineMark::Bullet)
        }
        '[' => ["[ ] ", "[x] ", "[X] "]
            .iter()
            .any(|task| rest.starts_with(task))
            .then_some(LineMark::Block(3)),
        '0'..='9' => {
            let digits = run(|c| c.is_ascii_digit());
            let is_number =
                digits <= 9 && rest[digits..].starts_with(['.', ')']) && is_free(digits + 1);
            (is_number && digits + 1 < rest.len()).then_some(LineMark::Number(digits + 1))
        }
        _ => None,
    }
}

/// Of a link or picture whose text begins at the start of `text`: where the text ends, and where the link does.
pub(super) fn link(text: &str) -> Option<(usize, usize)> {
    let bytes = &text.as_bytes()[..text.len().min(MAX_LINK_BYTES)];
    let close = bytes.iter().position(|byte| matches!(byte, b']' | b'['))?;
    let (opening, closing) = match (bytes[close], bytes.get(close + 1)?) {
        (b']', b'(') => (b'(', b')'),
        (b']', b'[') => (b'[', b']'),
        _ => return None,
    };
    let mut depth = 0;
    for (at, byte) in bytes.iter().enumerate().skip(close + 1) {
        depth += i32::from(*byte == opening) - i32::from(*byte == closing);
        match byte {
            b'\n' => return None,
            _ if depth == 0 => return Some((close, at + 1)),
            _ => {}
        }
    }
    None
}

/// Whether an emphasis of `length` underscores, which ends before `text`, is closed within it.
pub(super) fn closes(text: &str, length: usize) -> bool {
    let near = &text[..text.floor_char_boundary(MAX_LINK_BYTES)];
    let line = near.split('\n').next().unwrap_or_default();
    let mark = "_".repeat(length);
    line.match_indices(&mark).any(|(at, _)| {
        let behind = &line[at + length..];
        at > 0
            && !line[..at].ends_with(|c: char| c.is_whitespace() || c == '_')
            && !behind.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}

/// `bytes` with the mark beside them that pairs with one inside.
pub(super) fn balanced(text: &str, mut bytes: Range<usize>) -> Range<usize> {
    for mark in ["**", "`"] {
        if text[bytes.clone()].matches(mark).count() % 2 == 1 {
            if text[..bytes.start].ends_with(mark) {
                bytes.start -= mark.len();
            } else if text[bytes.end..].starts_with(mark) {
                bytes.end += mark.len();
            }
        }
    }
    for (open, close) in
        [('“', '”'), ('«', '»'), ('„', '“'), ('「', '」'), ('『', '』'), ('[', ']')]
    {
        let count = |c: char| text[bytes.clone()].matches(c).count();
        if count(open) > count(close) && text[bytes.end..].starts_with(close) {
            bytes.end += close.len_utf8();
        } else if count(close) > count(open) && text[..bytes.start].ends_with(open) {
            bytes.start -= open.len_utf8();
        }
    }
    bytes
}
