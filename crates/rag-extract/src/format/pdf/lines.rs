//! Glyphs to fragments: characters of one baseline without a wide gap between them.
use super::library::{Glyph, Rect, Sheet};

/// Text in one piece. x grows along the line and y from line to line, whichever way the page is turned.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // Properties that any combination may have.
pub struct Fragment {
    pub text: String,
    pub left: f32,
    pub right: f32,
    /// Of the baseline.
    pub y: f32,
    pub size: f32,
    pub bold: bool,
    pub fixed: bool,
    /// Ends in a hyphen that divides a word.
    pub hyphen: bool,
    pub right_to_left: bool,
}

/// Fragments of one baseline, from left to right.
pub type Row = Vec<Fragment>;

/// What is known of a page before the others are.
#[derive(Debug, Default)]
pub struct Layout {
    pub rows: Vec<Row>,
    /// Text that runs another way than most: watermarks, notes along the margin.
    pub aslant: Vec<String>,
    pub rules: Rules,
    /// From the upper edge to the lower one.
    pub top: f32,
    pub bottom: f32,
    /// What the page calls itself.
    pub label: String,
    /// Share of the page that pictures cover, and share of the characters that fonts do not name.
    pub pictured: f32,
    pub unknown: f32,
}

/// Lines that divide cells, as x, y range and the reverse.
#[derive(Debug, Default)]
pub struct Rules {
    pub vertical: Vec<(f32, f32, f32)>,
    pub horizontal: Vec<(f32, f32, f32)>,
}

/// A direction of reading, by cosine and sine of its angle.
#[derive(Clone, Copy)]
struct Turn {
    cosine: f32,
    sine: f32,
}

impl Turn {
    fn point(self, x: f32, y: f32) -> (f32, f32) {
        (self.cosine * x + self.sine * y, self.sine * x - self.cosine * y)
    }

    /// Left, right, upper and lower edge.
    fn area(self, rect: &Rect) -> (f32, f32, f32, f32) {
        let (x, y) = self.point(rect.left, rect.bottom);
        let (u, v) = self.point(rect.right, rect.top);
        (x.min(u), x.max(u), y.min(v), y.max(v))
    }
}

/// Degrees of a baseline, in steps of a quarter where it is close to one.
fn degrees(glyph: &Glyph) -> i32 {
    let degrees = glyph.font.angle.to_degrees().round() as i32;
    let quarter = (degrees as f32 / 90.0).round() as i32 * 90;
    if (degrees - quarter).abs() <= 3 { quarter.rem_euclid(360) } else { degrees.rem_euclid(360) }
}

/// Lays out a page.
pub fn layout(sheet: &mut Sheet) -> Layout {
    if sheet.glyphs.iter().any(|glyph| is_right_to_left(glyph.c)) {
        in_order(&mut sheet.glyphs);
    }
    let sheet = &*sheet;
    let mut angles: Vec<(i32, usize)> = Vec::new();
    let dark = |glyph: &&Glyph| !glyph.generated && !glyph.c.is_whitespace();
    for glyph in sheet.glyphs.iter().filter(dark) {
        let angle = degrees(glyph);
        match angles.iter_mut().find(|(other, _)| *other == angle) {
            Some((_, count)) => *count += 1,
            None => angles.push((angle, 1)),
        }
    }
    let main = angles.iter().max_by_key(|(_, count)| *count).map_or(0, |(angle, _)| *angle);
    let radians = (main as f32).to_radians();
    let turn = Turn { cosine: radians.cos(), sine: radians.sin() };
    let page = Rect { left: 0.0, bottom: 0.0, right: sheet.width, top: sheet.height };
    let (_, _, top, bottom) = turn.area(&page);
    let rules = rules(sheet, turn);
    let runs = runs(sheet, turn, main, &rules);
    let area = sheet.width * sheet.height;
    let covered = sheet.pictures.iter().map(|r| (r.right - r.left) * (r.top - r.bottom));
    let glyphs = sheet.glyphs.iter().filter(dark);
    let unknown = glyphs.clone().filter(|glyph| glyph.unknown || is_private(glyph.c)).count();
    Layout {
        rows: rows(runs, &rules),
        aslant: aslant(sheet, main),
        label: String::new(),
        rules,
        top,
        bottom,
        pictured: if area > 0.0 { covered.sum::<f32>() / area } else { 0.0 },
        unknown: unknown as f32 / glyphs.count().max(1) as f32,
    }
}

fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fffd}')
}

fn rules(sheet: &Sheet, turn: Turn) -> Rules {
    let mut rules = Rules::default();
    for rect in &sheet.lines {
        let (left, right, upper, lower) = turn.area(rect);
        let (width, height) = (right - left, lower - upper);
        if height <= 3.0 && width >= 15.0 {
            rules.horizontal.push((f32::midpoint(upper, lower), left, right));
        } else if width <= 3.0 && height >= 6.0 {
            rules.vertical.push((f32::midpoint(left, right), upper, lower));
        } else if width >= 15.0 && height >= 8.0 {
            // A cell's border or ground.
            rules.vertical.extend([(left, upper, lower), (right, upper, lower)]);
            rules.horizontal.extend([(upper, left, right), (lower, left, right)]);
        }
    }
    rules
}

impl Rules {
    /// Whether a line runs between two places of a row.
    fn divide(&self, left: f32, right: f32, y: f32) -> bool {
        self.vertical.iter().any(|(x, upper, lower)| {
            (left - 1.0..=right + 1.0).contains(x) && (*upper..=*lower).contains(&(y - 2.0))
        })
    }
}

/// Written from right to left: Hebrew, Arabic and their neighbours.
pub fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}')
}

/// The order of reading where pdfium leaves another one in lines from right to left: a ligature's
/// letters are turned round, and so are the words of a left-to-right phrase.
fn in_order(glyphs: &mut [Glyph]) {
    let rtl = |glyph: &Glyph| is_right_to_left(glyph.c);
    for n in 1..glyphs.len() {
        let (first, second) = (&glyphs[n - 1], &glyphs[n]);
        let one = (first.x, first.y) == (second.x, second.y) && !second.generated;
        if one && rtl(first) && rtl(second) {
            glyphs.swap(n - 1, n);
        }
    }
    let blank = |glyph: &Glyph| glyph.generated || glyph.c.is_whitespace();
    let mut n = 0;
    while n < glyphs.len() {
        if !(glyphs[n].c.is_alphabetic()
            && !rtl(&glyphs[n])
            && n >= 2
            && glyphs[..n].iter().rev().find(|g| !blank(g)).is_some_and(rtl))
        {
            n += 1;
            continue;
        }
        let mut end = n;
        let mut begin = f32::MAX;
        // Words each of which stands to the left of the one before.
        while end < glyphs.len() {
            let edge = |glyph: &Glyph| blank(glyph) || rtl(glyph);
            let word =
                glyphs[end..].iter().position(edge).map_or(glyphs.len(), |length| end + length);
            let letters = &glyphs[end..word];
            if letters.is_empty()
                || letters[0].x >= begin
                || (letters[0].y - glyphs[n].y).abs() > 1.0
            {
                break;
            }
            begin = letters[0].x;
            end = word + usize::from(glyphs.get(word).is_some_and(blank));
        }
        let end = if end > n && blank(&glyphs[end - 1]) { end - 1 } else { end };
        if end > n {
            glyphs[n..end].reverse();
            glyphs[n..end].split_mut(blank).for_each(<[Glyph]>::reverse);
        }
        n = end.max(n + 1);
    }
}

/// Characters that follow each other in the file and on the page.
fn runs(sheet: &Sheet, turn: Turn, main: i32, rules: &Rules) -> Vec<Fragment> {
    let mut runs: Vec<Fragment> = Vec::new();
    let mut blank = false;
    let (mut bold, mut fixed) = (0_i32, 0_i32);
    for glyph in &sheet.glyphs {
        if glyph.generated || glyph.c.is_whitespace() || glyph.c == '\u{a0}' {
            blank = true;
            continue;
        }
        if glyph.c == '\0' || degrees(glyph) != main {
            continue;
        }
        let (x, y) = turn.point(glyph.x, glyph.y);
        let (mut left, mut right, ..) = turn.area(&glyph.area);
        if right <= left {
            (left, right) = (x, x + glyph.font.size * 0.4);
        }
        let size = glyph.font.size.clamp(1.0, 500.0);
        let joins = runs.last().is_some_and(|run| run.takes(left, right, y, size, glyph.c))
            && !(blank && runs.last().is_some_and(|run| rules.divide(run.right, left, y)));
        if joins && let Some(run) = runs.last_mut() {
            let gap = (left - run.right).max(run.left - right);
            if (blank || gap > 0.3 * run.size) && !run.text.ends_with(' ') {
                run.text.push(' ');
            }
            // A raised or lowered mark does not move the line.
            if size > run.size * 1.05 {
                (run.y, run.size) = (y, size);
            }
            run.left = run.left.min(left);
            run.right = run.right.max(right);
        } else {
            runs.push(Fragment { left, right, y, size, ..Fragment::default() });
            (bold, fixed) = (0, 0);
        }
        blank = false;
        let Some(run) = runs.last_mut() else { continue };
        push(&mut run.text, glyph.c);
        bold += if glyph.font.bold { 1 } else { -1 };
        fixed += if glyph.font.fixed { 1 } else { -1 };
        run.bold = bold > 0;
        run.fixed = fixed > 0;
        run.hyphen = glyph.hyphen;
        run.right_to_left |= is_right_to_left(glyph.c);
    }
    runs
}

impl Fragment {
    fn takes(&self, left: f32, right: f32, y: f32, size: f32, c: char) -> bool {
        let larger = self.size.max(size);
        let off = (y - self.y).abs();
        let raised = (size < self.size * 0.85 || self.size < size * 0.85) && off <= 0.6 * larger;
        if off > 0.25 * larger && !raised {
            return false;
        }
        if self.right_to_left || is_right_to_left(c) {
            // A number within such a line begins at its far end.
            let gap = (left - self.right).max(self.left - right);
            let reach = if is_right_to_left(c) { 0.9 } else { 12.0 };
            return gap <= reach * larger;
        }
        (-0.6 * larger..=0.9 * larger).contains(&(left - self.right))
    }
}

/// Ligatures are letters that a typesetter drew together.
fn push(text: &mut String, c: char) {
    match c {
        '\u{fb00}' => text.push_str("ff"),
        '\u{fb01}' => text.push_str("fi"),
        '\u{fb02}' => text.push_str("fl"),
        '\u{fb03}' => text.push_str("ffi"),
        '\u{fb04}' => text.push_str("ffl"),
        '\u{fb05}' | '\u{fb06}' => text.push_str("st"),
        c => text.push(c),
    }
}

/// Runs of one baseline, joined where no more than a word's distance is between them.
fn rows(mut runs: Vec<Fragment>, rules: &Rules) -> Vec<Row> {
    runs.retain(|run| !run.text.trim().is_empty());
    runs.sort_by(|a, b| a.y.total_cmp(&b.y));
    let mut rows: Vec<Row> = Vec::new();
    for run in runs {
        match rows.last_mut() {
            Some(row) if (run.y - row[0].y).abs() <= 0.3 * run.size.min(row[0].size) => {
                row.push(run);
            }
            _ => rows.push(vec![run]),
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| a.left.total_cmp(&b.left));
        let mut joined: Row = Vec::with_capacity(row.len());
        for run in row.drain(..) {
            match joined.last_mut() {
                Some(last) if last.adjoins(&run, rules) => last.join(&run),
                _ => joined.push(run),
            }
        }
        *row = joined;
    }
    rows
}

impl Fragment {
    fn adjoins(&self, next: &Self, rules: &Rules) -> bool {
        let gap = next.left - self.right;
        let reach = if is_marker(&self.text) { 2.5 } else { 0.5 };
        gap <= reach * self.size.max(next.size)
            && !(gap > 0.0 && rules.divide(self.right, next.left, self.y))
    }

    fn join(&mut self, next: &Self) {
        let mine = self.text.len() >= next.text.len();
        let gap = next.left - self.right;
        if self.right_to_left && next.right_to_left {
            self.text = format!("{} {}", next.text, self.text);
            self.hyphen = self.hyphen && !next.hyphen;
        } else {
            if gap > 0.15 * self.size && !self.text.ends_with(' ') {
                self.text.push(' ');
            }
            self.text.push_str(&next.text);
            self.hyphen = next.hyphen;
        }
        self.right = self.right.max(next.right);
        self.right_to_left |= next.right_to_left;
        if !mine {
            (self.bold, self.fixed, self.size) = (next.bold, next.fixed, next.size);
        }
    }
}

/// What stands before an entry of a list.
pub fn is_marker(text: &str) -> bool {
    is_bullet(text) || is_number(text)
}

pub fn is_bullet(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next();
    characters.next().is_none()
        && first.is_some_and(|c| "•◦▪▫■□●○‣⁃∙·–—*-\u{2212}\u{f0b7}\u{f0a7}➢➤✓✔❖".contains(c))
}

pub fn is_number(text: &str) -> bool {
    let inner = text.trim_start_matches('(').trim_end_matches([')', '.', ':']);
    inner.len() < text.len()
        && (1..=4).contains(&inner.len())
        && (inner.bytes().all(|b| b.is_ascii_digit())
            || inner.len() == 1 && inner.bytes().all(|b| b.is_ascii_alphabetic())
            || inner.bytes().all(|b| b"ivxIVX".contains(&b)))
}

/// Text of other directions than the main one, each direction in one piece.
fn aslant(sheet: &Sheet, main: i32) -> Vec<String> {
    let mut texts: Vec<(i32, String)> = Vec::new();
    let mut blank = false;
    for glyph in &sheet.glyphs {
        if glyph.generated || glyph.c.is_whitespace() {
            blank = true;
            continue;
        }
        let angle = degrees(glyph);
        if angle == main || glyph.c == '\0' {
            continue;
        }
        match texts.last_mut() {
            Some((other, text)) if *other == angle => {
                if blank {
                    text.push(' ');
                }
                push(text, glyph.c);
            }
            _ => {
                let mut text = String::new();
                push(&mut text, glyph.c);
                texts.push((angle, text));
            }
        }
        blank = false;
    }
    texts.into_iter().map(|(_, text)| text).collect()
}
