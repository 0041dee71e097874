//! What repeats from page to page: running heads, feet, page numbers, watermarks.
use std::collections::HashMap;

use super::lines::{Layout, Row};

/// Rows at an edge of a page that may be running heads.
const DEPTH: usize = 3;
/// Pages between two that have the same head: heads differ on left and right pages, and between chapters.
const REACH: usize = 4;

/// Takes out of every page what repeats.
pub fn remove(pages: &mut [Layout]) {
    watermarks(pages);
    // Pages of a line or two, such as labels: what they say may be the same on all.
    if pages.iter().map(|page| page.rows.len()).sum::<usize>() <= 2 * pages.len() {
        return;
    }
    let size = body_size(pages);
    for edge in [Edge::Top, Edge::Bottom] {
        let mut found: Vec<Vec<usize>> = vec![Vec::new(); pages.len()];
        let mut seen: HashMap<String, Vec<(usize, usize, f32)>> = HashMap::new();
        let mut numbers: Vec<(usize, usize, f32, i64)> = Vec::new();
        for (page, layout) in pages.iter().enumerate() {
            for row in edge.rows(layout) {
                let text = text_of(&layout.rows[row]);
                let y = edge.distance(layout, &layout.rows[row]);
                if text == layout.label && edge.is_outermost(layout, row) {
                    found[page].push(row);
                }
                for number in page_number(&text).into_iter().chain(edge_numbers(&text)) {
                    numbers.push((page, row, y, number - page as i64));
                }
                if text.len() <= 200 {
                    let key = text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c });
                    seen.entry(key.collect::<String>().to_lowercase())
                        .or_default()
                        .push((page, row, y));
                }
            }
        }
        for places in seen.values() {
            for &(page, row, y) in places {
                let near = places.iter().filter(|(other, _, height)| {
                    *other != page && other.abs_diff(page) <= REACH && (height - y).abs() <= 4.0
                });
                let wanted =
                    if pages.len() == 2 && small(&pages[page].rows[row], size) { 1 } else { 2 };
                if near.count() >= wanted && apart(&pages[page], row, edge, size) {
                    found[page].push(row);
                }
            }
        }
        // A number that counts the pages: no text repeats, but the distance to the page's count does.
        for &(page, row, y, offset) in &numbers {
            let same = numbers.iter().filter(|(other, _, height, difference)| {
                *other != page && *difference == offset && (height - y).abs() <= 6.0
            });
            let alone = page_number(&text_of(&pages[page].rows[row])).is_some();
            let wanted = if alone { 1 } else { 2 };
            if same.count() >= wanted
                || alone && pages.len() == 1 && edge.is_outermost(&pages[page], row)
            {
                found[page].push(row);
            }
        }
        for (layout, heads) in pages.iter_mut().zip(found) {
            edge.cut(&mut layout.rows, &heads);
        }
    }
}

/// Slanted text is a watermark where it repeats, or stands beside text that is not slanted.
fn watermarks(pages: &mut [Layout]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for text in pages.iter().flat_map(|page| &page.aslant) {
        *counts.entry(text.clone()).or_default() += 1;
    }
    for page in pages {
        page.aslant.retain(|text| counts[text] < 2);
    }
}

/// The size that most characters have.
pub fn body_size(pages: &[Layout]) -> f32 {
    let mut counts: HashMap<i32, usize> = HashMap::new();
    for fragment in pages.iter().flat_map(|page| page.rows.iter().flatten()) {
        *counts.entry((fragment.size * 2.0).round() as i32).or_default() += fragment.text.len();
    }
    let most = counts.into_iter().max_by_key(|(size, count)| (*count, *size));
    most.map_or(10.0, |(size, _)| size as f32 / 2.0)
}

#[derive(Clone, Copy)]
enum Edge {
    Top,
    Bottom,
}

impl Edge {
    fn rows(self, layout: &Layout) -> Vec<usize> {
        let count = layout.rows.len();
        let reach = (layout.bottom - layout.top) * 0.15;
        let near = |row: &usize| self.distance(layout, &layout.rows[*row]) <= reach;
        match self {
            Self::Top => (0..count.min(DEPTH)).filter(near).collect(),
            Self::Bottom => (count.saturating_sub(DEPTH)..count).filter(near).collect(),
        }
    }

    fn distance(self, layout: &Layout, row: &Row) -> f32 {
        match self {
            Self::Top => row[0].y - layout.top,
            Self::Bottom => layout.bottom - row[0].y,
        }
    }

    /// Takes out heads that have nothing but heads between themselves and the edge: text may repeat as well.
    fn cut(self, rows: &mut Vec<Row>, heads: &[usize]) {
        let count = rows.len();
        match self {
            Self::Top => {
                drop(rows.drain(..(0..count).take_while(|row| heads.contains(row)).count()));
            }
            Self::Bottom => {
                rows.truncate(
                    count - (0..count).rev().take_while(|row| heads.contains(row)).count(),
                );
            }
        }
    }

    fn is_outermost(self, layout: &Layout, row: usize) -> bool {
        match self {
            Self::Top => row == 0,
            Self::Bottom => row + 1 == layout.rows.len() && row > 0,
        }
    }
}

/// Whether space is between a head and the text: the head of a table that goes on has none.
fn apart(layout: &Layout, row: usize, edge: Edge, size: f32) -> bool {
    let y = layout.rows[row][0].y;
    let inner = match edge {
        Edge::Top => layout.rows.get(row + 1).map(|next| next[0].y - y),
        Edge::Bottom => row.checked_sub(1).map(|last| y - layout.rows[last][0].y),
    };
    let table = layout.rows[row].len() >= 3;
    !table || inner.is_none_or(|gap| gap > 2.0 * size)
}

fn small(row: &Row, size: f32) -> bool {
    row.iter().all(|fragment| fragment.size <= size + 0.25)
}

fn text_of(row: &Row) -> String {
    row.iter().map(|fragment| fragment.text.trim()).collect::<Vec<_>>().join(" ")
}

/// The number in a row that says nothing else, such as `- 12 -`, `Page 3 of 9` or `iv`.
fn page_number(text: &str) -> Option<i64> {
    const WORDS: [&str; 16] = [
        "page",
        "seite",
        "pagina",
        "página",
        "strona",
        "страница",
        "p",
        "s",
        "of",
        "von",
        "de",
        "di",
        "sur",
        "z",
        "из",
        "pág",
    ];
    let text = text.to_lowercase();
    let mut number = None;
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if WORDS.contains(&word) {
            continue;
        }
        let value =
            word.parse().ok().filter(|n| (0..100_000).contains(n)).or_else(|| roman(word))?;
        number = number.or(Some(value));
    }
    number
}

/// Numbers that a head begins or ends with, beside a title that differs from page to page.
fn edge_numbers(text: &str) -> impl Iterator<Item = i64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let edges = if words.len() < 2 { Vec::new() } else { vec![words[0], words[words.len() - 1]] };
    edges.into_iter().filter_map(|word| word.parse().ok()).filter(|n| (0..100_000).contains(n))
}

fn roman(word: &str) -> Option<i64> {
    let mut total = 0;
    let mut last = 0;
    for c in word.chars().rev() {
        let value = match c {
            'i' => 1,
            'v' => 5,
            'x' => 10,
            'l' => 50,
            'c' => 100,
            _ => return None,
        };
        total += if value < last { -value } else { value };
        last = last.max(value);
    }
    (word.len() <= 9 && total > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::page_number;

    #[test]
    fn rows_that_are_page_numbers() {
        for (text, number) in [("- 12 -", 12), ("Page 3 of 9", 3), ("xiv", 14), ("Seite 7", 7)] {
            assert_eq!(page_number(text), Some(number), "{text}");
        }
        for text in ["Chapter 3", "see page 4", "12 apples", ""] {
            assert_eq!(page_number(text), None, "{text}");
        }
    }
}
