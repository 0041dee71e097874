//! Lines to headings, paragraphs, lists and code.
use std::collections::{HashMap, HashSet};

use super::columns::Part;
use super::lines::{Fragment, is_bullet, is_number};
use crate::failure::Failure;
use crate::markdown::Writer;

/// What the whole file says about its lines.
pub struct Style {
    /// Size of the text.
    body: f32,
    /// Sizes of headings in half points, the largest first.
    sizes: Vec<i32>,
    /// Distance of lines in a paragraph, in sizes.
    spacing: f32,
    /// Words of the file, also those with a hyphen within a line.
    words: HashSet<String>,
}

impl Style {
    pub fn of(pages: &[Vec<Part>], body: f32) -> Self {
        let mut sizes: HashMap<i32, usize> = HashMap::new();
        let mut spacings: HashMap<i32, usize> = HashMap::new();
        let mut words = HashSet::new();
        for part in pages.iter().flatten() {
            let Part::Column(lines) = part else { continue };
            for line in lines {
                if line.size >= body * 1.12 && line.text.chars().any(char::is_alphabetic) {
                    *sizes.entry(half_points(line.size)).or_default() += 1;
                }
                for word in line.text.split_whitespace() {
                    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
                    if word.len() >= 3 && words.len() < 500_000 {
                        words.insert(word);
                    }
                }
            }
            for pair in lines.windows(2) {
                let distance = pair[1].y - pair[0].y;
                let ratio = distance / pair[1].size;
                if (0.7..3.0).contains(&ratio) && (pair[1].size - body).abs() < 0.6 {
                    *spacings.entry((ratio * 20.0).round() as i32).or_default() += 1;
                }
            }
        }
        let mut sizes: Vec<i32> = sizes.into_keys().collect();
        sizes.sort_by_key(|size| std::cmp::Reverse(*size));
        // Sizes that differ by less than a reader sees are one.
        sizes.dedup_by(|next, last| *last - *next <= 1);
        let most = spacings.into_iter().max_by_key(|(ratio, count)| (*count, -ratio));
        Self { body, sizes, spacing: most.map_or(1.2, |(ratio, _)| ratio as f32 / 20.0), words }
    }

    /// Words divided at the end of a page are on the page where they begin.
    pub fn join_pages(&self, pages: &mut [String]) {
        for n in 1..pages.len() {
            let (above, below) = pages.split_at_mut(n);
            let (Some(last), Some(next)) = (above.last_mut(), below.first_mut()) else { return };
            let divided = last.trim_end_matches(['-', '\u{2010}', '\u{ad}']);
            if divided.len() == last.len() || !divided.ends_with(char::is_alphabetic) {
                continue;
            }
            let end = next.find(char::is_whitespace).unwrap_or(next.len());
            if next.starts_with(char::is_lowercase) {
                append(last, &next[..end], true, self);
                let blanks = next[end..].len() - next[end..].trim_start().len();
                next.drain(..end + blanks);
            }
        }
    }

    fn level(&self, line: &Fragment) -> Option<usize> {
        if line.size < self.body * 1.12 {
            return None;
        }
        let size = half_points(line.size);
        Some(self.sizes.iter().position(|other| *other <= size + 1).unwrap_or(self.sizes.len()) + 1)
    }
}

fn half_points(size: f32) -> i32 {
    (size * 2.0).round() as i32
}

/// Writes a page.
pub fn write(parts: &[Part], style: &Style, page: &mut Writer) -> Result<String, Failure> {
    let mut open = Open::default();
    for part in parts {
        match part {
            Part::Table(rows) => {
                open.close(page);
                page.table(rows);
            }
            Part::Column(lines) => column(lines, style, &mut open, page),
        }
    }
    open.close(page);
    page.take()
}

/// The block that the next line may belong to.
#[derive(Default)]
struct Open {
    text: String,
    kind: Kind,
    last: Option<Fragment>,
    /// Left edges of the lists that an entry is in.
    lists: Vec<(f32, String)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
enum Kind {
    #[default]
    Paragraph,
    Heading(usize),
    Item(usize, String),
    Code,
}

impl Open {
    fn close(&mut self, page: &mut Writer) {
        let text = std::mem::take(&mut self.text);
        match std::mem::take(&mut self.kind) {
            Kind::Paragraph => page.paragraph(&text),
            // A very long heading is text in large type.
            Kind::Heading(_) if text.chars().count() > 300 => page.paragraph(&text),
            Kind::Heading(level) => page.heading(level, &text),
            Kind::Item(depth, marker) => page.item(depth, &marker, &text),
            Kind::Code => page.code("", &text),
        }
    }
}

fn column(lines: &[Fragment], style: &Style, open: &mut Open, page: &mut Writer) {
    let left = lines.iter().map(|line| line.left).fold(f32::MAX, f32::min);
    let right = lines.iter().map(|line| line.right).fold(f32::MIN, f32::max);
    // Text that is set ragged or in one column has an edge that most lines come close to.
    for (n, line) in lines.iter().enumerate() {
        let text = line.text.trim();
        if text.is_empty() {
            continue;
        }
        let kind = kind(line, lines.get(n + 1), style, open);
        let begins = match &kind {
            Begin::Item(..) => true,
            Begin::Same => begins_paragraph(line, open, style, left, right),
            Begin::Kind(kind) => *kind != open.kind || far(line, open, style),
        };
        if begins {
            open.close(page);
            match kind {
                Begin::Item(marker) => {
                    while open.lists.last().is_some_and(|(edge, _)| line.left < *edge - 4.0) {
                        open.lists.pop();
                    }
                    match open.lists.last_mut() {
                        Some((edge, last)) if line.left <= *edge + 4.0 => last.clone_from(&marker),
                        _ => open.lists.push((line.left, marker.clone())),
                    }
                    let rest = text[marker.len()..].trim_start();
                    let bullet = is_bullet(&marker);
                    open.kind = Kind::Item(
                        open.lists.len() - 1,
                        if bullet { "-".to_owned() } else { marker },
                    );
                    append(&mut open.text, rest, false, style);
                }
                Begin::Same => {
                    open.kind = Kind::Paragraph;
                    open.lists.clear();
                    append(&mut open.text, text, false, style);
                }
                Begin::Kind(kind) => {
                    open.lists.clear();
                    open.kind = kind;
                    append_kind(open, line, text, left, style);
                }
            }
        } else if open.kind == Kind::Code {
            append_kind(open, line, text, left, style);
        } else {
            let divided = open.last.as_ref().is_some_and(|last| last.hyphen);
            append(&mut open.text, text, divided, style);
        }
        open.last = Some(line.clone());
    }
}

fn append_kind(open: &mut Open, line: &Fragment, text: &str, left: f32, style: &Style) {
    if open.kind != Kind::Code {
        append(&mut open.text, text, false, style);
        return;
    }
    if !open.text.is_empty() {
        open.text.push('\n');
    }
    // A character of a fixed font is six tenths of its size wide.
    let indent = ((line.left - left) / (line.size * 0.6)).round().clamp(0.0, 40.0) as usize;
    open.text.push_str(&" ".repeat(indent));
    open.text.push_str(line.text.trim_end());
}

/// What a line begins.
enum Begin {
    Item(String),
    Kind(Kind),
    /// A paragraph, or the next line of what is open.
    Same,
}

fn kind(line: &Fragment, next: Option<&Fragment>, style: &Style, open: &Open) -> Begin {
    let text = line.text.trim();
    if line.fixed
        && (open.kind == Kind::Code && !open.text.is_empty() || is_code(line, next, style, open))
    {
        return Begin::Kind(Kind::Code);
    }
    if let Some(level) = style.level(line)
        && text.chars().any(char::is_alphanumeric)
    {
        return Begin::Kind(Kind::Heading(level));
    }
    if line.bold && is_bold_heading(line, next, style, open) {
        return Begin::Kind(Kind::Heading(style.sizes.len().max(1) + 1));
    }
    if let Some(marker) = marker(line, open, style) {
        return Begin::Item(marker);
    }
    Begin::Same
}

/// A line of code with others below, or alone between paragraphs; not a name that a sentence has a line for.
fn is_code(line: &Fragment, next: Option<&Fragment>, style: &Style, open: &Open) -> bool {
    let above =
        open.last.is_none() || far(line, open, style) || matches!(open.kind, Kind::Heading(_));
    let distance = |next: &Fragment| next.y - line.y > style.spacing * line.size * 1.25 + 0.5;
    let followed = next.is_some_and(|next| next.fixed && !distance(next));
    line.text.trim().chars().count() >= 2 && (followed || above && next.is_none_or(distance))
}

/// A bold line that stands alone above text.
fn is_bold_heading(line: &Fragment, next: Option<&Fragment>, style: &Style, open: &Open) -> bool {
    let text = line.text.trim();
    let short = text.chars().count() <= 120 && !text.ends_with(['.', ',', ';', ':']);
    let heading_goes_on = matches!(open.kind, Kind::Heading(_)) && !far(line, open, style);
    let above =
        open.last.is_none() || open.text.is_empty() || far(line, open, style) || heading_goes_on;
    let below =
        next.is_none_or(|next| !next.bold || next.y - line.y > style.spacing * line.size * 1.3);
    short && above && (below || heading_goes_on) && text.chars().any(char::is_alphabetic)
}

/// The marker of a list's entry that a line begins with.
fn marker(line: &Fragment, open: &Open, style: &Style) -> Option<String> {
    let (first, rest) = line.text.trim().split_once(' ')?;
    if rest.trim().is_empty() {
        return None;
    }
    if is_bullet(first) {
        // A dash within a sentence may stand at the beginning of a line.
        let dash = matches!(first, "-" | "–" | "—" | "*" | "·");
        let within = matches!(open.kind, Kind::Paragraph)
            && !open.text.is_empty()
            && !far(line, open, style)
            && !open.text.ends_with([':', '.', ';', '!', '?']);
        return (!(dash && within)).then(|| first.to_owned());
    }
    if !is_number(first) {
        return None;
    }
    let number = |marker: &str| -> Option<u32> {
        let inner = marker.trim_matches(['(', ')', '.', ':']);
        match inner.parse() {
            Ok(number) => Some(number),
            Err(_) => inner.bytes().next().map(|b| u32::from(b.to_ascii_lowercase() - b'a') + 1),
        }
    };
    let follows = open.lists.iter().any(|(edge, last)| {
        (edge - line.left).abs() <= 8.0
            && !is_bullet(last)
            && number(first) == number(last).map(|n| n + 1)
    });
    let starts = number(first)? == 1
        && (open.text.is_empty() || far(line, open, style) || open.text.ends_with([':', '.']));
    (follows || starts || far(line, open, style) && open.last.is_some()).then(|| first.to_owned())
}

/// Whether more space than between lines is above a line, or it is in another column.
fn far(line: &Fragment, open: &Open, style: &Style) -> bool {
    open.last.as_ref().is_some_and(|last| {
        let distance = line.y - last.y;
        distance < 0.0 || distance > style.spacing * line.size.max(last.size) * 1.25 + 0.5
    })
}

fn begins_paragraph(line: &Fragment, open: &Open, style: &Style, left: f32, right: f32) -> bool {
    let Some(last) = &open.last else { return true };
    if open.text.is_empty() || matches!(open.kind, Kind::Heading(_) | Kind::Code) {
        return true;
    }
    if (line.size - last.size).abs() > 0.12 * last.size {
        return true;
    }
    let ended = open
        .text
        .trim_end()
        .ends_with(['.', '!', '?', ':', '。', '！', '？', '”', '"', '»', '।', '؟', ')']);
    if line.y < last.y {
        // The next column: a sentence that has not ended goes on.
        return ended
            || !line.text.trim_start().starts_with(|c: char| c.is_lowercase() || is_unspaced(c));
    }
    if far(line, open, style) || open.text.contains(" … ") && has_leaders(&line.text) {
        return true;
    }
    if let Kind::Item(..) = open.kind {
        // An entry goes on below its text; a line below its marker is behind the list.
        let edge = open.lists.last().map_or(left, |(edge, _)| *edge);
        return line.left <= edge + 1.0 && ended && last.right < right - 0.15 * (right - left);
    }
    let width = (right - left).max(1.0);
    let (begin, end) = if line.right_to_left {
        (right - line.right, last.left - left)
    } else {
        (line.left - left, right - last.right)
    };
    let begin_above = if line.right_to_left { right - last.right } else { last.left - left };
    let indented = begin > 0.8 * line.size && begin < 0.4 * width && begin_above < 0.5 * line.size;
    (indented && (ended || end > 0.1 * width)) || (ended && end > 0.2 * width)
}

/// Adds a line to a text; `divided` says that its last word goes on in the line.
fn append(text: &mut String, line: &str, divided: bool, style: &Style) {
    let mut line = without_leaders(line.trim());
    // Soft hyphens that do not end a line are not printed.
    let ends_soft = line.ends_with('\u{ad}');
    line.retain(|c| c != '\u{ad}');
    if ends_soft {
        line.push('\u{ad}');
    }
    if text.is_empty() {
        text.push_str(&line);
        return;
    }
    let soft = text.ends_with('\u{ad}');
    let hyphen = soft || divided || text.ends_with(['-', '\u{2010}']);
    let before = text.trim_end_matches(['-', '\u{2010}', '\u{ad}']);
    let Some(next) = line.chars().next().filter(|_| hyphen) else {
        let last = text.chars().next_back().unwrap_or(' ');
        let first = line.chars().next().unwrap_or(' ');
        if !(is_unspaced(last) && is_unspaced(first)) {
            text.push(' ');
        }
        text.push_str(&line);
        return;
    };
    let alphabetic = before.ends_with(char::is_alphabetic);
    if alphabetic && next.is_lowercase() && before.len() + 4 >= text.len() {
        let head = before.rsplit(char::is_whitespace).next().unwrap_or_default().to_lowercase();
        let tail = line.split(char::is_whitespace).next().unwrap_or_default().to_lowercase();
        let tail = tail.trim_end_matches(|c: char| !c.is_alphanumeric());
        let head = head.trim_start_matches(|c: char| !c.is_alphanumeric());
        let compound = style.words.contains(&format!("{head}-{tail}"))
            && !style.words.contains(&format!("{head}{tail}"));
        let kept = before.len();
        text.truncate(kept);
        if compound && !soft {
            text.push('-');
        }
    } else if soft {
        let kept = before.len();
        text.truncate(kept);
    } else if !before.ends_with(char::is_alphanumeric) {
        text.push(' ');
    }
    text.push_str(&line);
}

/// Dots that lead the eye to a page number are one ellipsis.
fn without_leaders(line: &str) -> String {
    if !has_leaders(line) {
        return line.to_owned();
    }
    let mut kept = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['.', '…', '·']) {
        let run = rest[at..].len() - rest[at..].trim_start_matches(['.', '…', '·', ' ']).len();
        let dots = rest[at..at + run].chars().filter(|c| *c != ' ').count();
        if dots >= 4 {
            kept.push_str(rest[..at].trim_end());
            kept.push_str(" … ");
        } else {
            kept.push_str(&rest[..at + run]);
        }
        rest = &rest[at + run..];
    }
    kept + rest
}

/// Whether a line is one of a table of contents or an index.
pub fn has_leaders(line: &str) -> bool {
    line.contains(". . . .")
        || line.contains(".....")
        || line.contains("…….")
        || line.contains("………")
}

/// Characters of scripts without spaces between words.
pub fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}
