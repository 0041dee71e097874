//! Rows of a page to columns in reading order, and to tables.
use super::lines::{Fragment, Row, Rules};

/// A part of a page.
#[derive(Debug)]
pub enum Part {
    /// Lines below each other.
    Column(Vec<Fragment>),
    /// Rows of cells, the first being the header.
    Table(Vec<Vec<String>>),
}

/// Columns within columns are read to this depth; nobody sets type deeper.
const DEPTH: usize = 6;
/// Beyond so many fragments a page is a drawing, and is read as it lies.
const MAX_FRAGMENTS: usize = 20_000;

/// The parts of a page in reading order.
pub fn parts(rows: Vec<Row>, rules: &Rules) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut pending: Vec<Row> = Vec::new();
    if rows.iter().map(Vec::len).sum::<usize>() > MAX_FRAGMENTS {
        return vec![Part::Column(rows.iter().map(|row| line(row)).collect())];
    }
    region(rows, rules, DEPTH, &mut pending, &mut parts);
    flush(&mut pending, &mut parts);
    parts
}

fn region(rows: Vec<Row>, rules: &Rules, depth: usize, pending: &mut Vec<Row>, parts: &mut Vec<Part>) {
    if let Some((from, to, columns)) = find_table(&rows, rules) {
        let mut rows = rows;
        let behind = rows.split_off(to);
        let table = rows.split_off(from);
        columns_of(rows, rules, depth, pending, parts);
        flush(pending, parts);
        parts.push(Part::Table(cells(&table, &columns, rules)));
        region(behind, rules, depth, pending, parts);
    } else {
        columns_of(rows, rules, depth, pending, parts);
    }
}

fn columns_of(rows: Vec<Row>, rules: &Rules, depth: usize, pending: &mut Vec<Row>, parts: &mut Vec<Part>) {
    let gutter = if depth == 0 { None } else { find_gutter(&rows) };
    let Some(Gutter { from, to, x }) = gutter else {
        pending.extend(rows);
        return;
    };
    let mut rows = rows;
    let behind = rows.split_off(to);
    let within = rows.split_off(from);
    columns_of(rows, rules, depth - 1, pending, parts);
    flush(pending, parts);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut backwards = 0_isize;
    for row in within {
        let (l, r): (Row, Row) = row.into_iter().partition(|fragment| fragment.left < x);
        for fragment in l.iter().chain(&r) {
            backwards += if fragment.right_to_left { 1 } else { -1 };
        }
        left.extend((!l.is_empty()).then_some(l));
        right.extend((!r.is_empty()).then_some(r));
    }
    if backwards > 0 {
        std::mem::swap(&mut left, &mut right);
    }
    for column in [left, right] {
        region(column, rules, depth - 1, pending, parts);
        flush(pending, parts);
    }
    columns_of(behind, rules, depth - 1, pending, parts);
}

fn flush(pending: &mut Vec<Row>, parts: &mut Vec<Part>) {
    if !pending.is_empty() {
        parts.push(Part::Column(pending.drain(..).map(|row| line(&row)).collect()));
    }
}

/// A row as one line.
fn line(row: &Row) -> Fragment {
    let mut line = row[0].clone();
    let backwards = row.iter().filter(|fragment| fragment.right_to_left).count() * 2 > row.len();
    if backwards {
        let texts: Vec<&str> = row.iter().rev().map(|fragment| fragment.text.trim()).collect();
        line.text = texts.join(" ");
        line.right_to_left = true;
    } else {
        for next in &row[1..] {
            line.text = format!("{} {}", line.text.trim_end(), next.text);
        }
        line.hyphen = row.last().is_some_and(|last| last.hyphen);
    }
    line.right = row.iter().map(|fragment| fragment.right).fold(line.right, f32::max);
    if let Some(longest) = row.iter().max_by_key(|fragment| fragment.text.len()) {
        (line.size, line.y) = (longest.size, longest.y);
    }
    line.bold = row.iter().all(|fragment| fragment.bold);
    line.fixed = row.iter().all(|fragment| fragment.fixed);
    line
}

/// Space from row `from` to before row `to` that no fragment crosses at `x`.
struct Gutter {
    from: usize,
    to: usize,
    x: f32,
}

fn find_gutter(rows: &[Row]) -> Option<Gutter> {
    let mut edges: Vec<f32> = rows.iter().flatten().map(|fragment| fragment.left).collect();
    edges.sort_by(f32::total_cmp);
    // Left edges that some fragments share.
    let mut places: Vec<(f32, usize)> = Vec::new();
    for edge in edges {
        match places.last_mut() {
            Some((place, count)) if edge - *place <= 3.0 => *count += 1,
            _ => places.push((edge, 1)),
        }
    }
    places.retain(|(_, count)| *count >= 3);
    places.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    places.truncate(40);
    let mut best: Option<(f32, Gutter)> = None;
    for (x, _) in places {
        let x = x - 0.5;
        let crosses = |fragment: &Fragment| fragment.left < x && fragment.right > x;
        let mut from = 0;
        while from < rows.len() {
            if rows[from].iter().any(crosses) {
                from += 1;
                continue;
            }
            let length = rows[from..].iter().position(|row| row.iter().any(crosses));
            let to = length.map_or(rows.len(), |length| from + length);
            if let Some((score, to)) = judge(&rows[from..to], x)
                && best.as_ref().is_none_or(|(other, _)| score > *other)
            {
                best = Some((score, Gutter { from, to: from + to, x }));
            }
            from = to;
        }
    }
    best.map(|(_, gutter)| gutter)
}

/// How good a gutter is for these rows, and where it ends; `None` where it is none.
fn judge(rows: &[Row], x: f32) -> Option<(f32, usize)> {
    let side = |left: bool| {
        rows.iter().enumerate().filter(move |(_, row)| row.iter().any(|f| (f.left < x) == left))
    };
    let (first, last) = (side(false).next()?.0, side(false).last()?.0);
    let lefts: Vec<usize> = side(true).map(|(n, _)| n).collect();
    // Behind the right column the left one goes on while its lines follow each other.
    let mut end = last + 1;
    while end < rows.len() {
        let above = lefts.iter().rev().find(|n| **n < end).map_or(0, |n| *n);
        let (y, size) = (rows[end][0].y, rows[end][0].size);
        if y - rows[above][0].y > 2.2 * size {
            break;
        }
        end += 1;
    }
    let within = |left: bool| {
        let rows = rows[..end].iter().flatten();
        rows.filter(move |fragment| (fragment.left < x) == left)
    };
    let count = |left: bool| rows[first..=last].iter().filter(|row| row.iter().any(|f| (f.left < x) == left)).count();
    let (l, r) = (count(true), count(false));
    if l < 3 || r < 3 {
        return None;
    }
    let right_edge = within(true).map(|f| f.right).fold(f32::MIN, f32::max);
    let left_edge = within(false).map(|f| f.left).fold(f32::MAX, f32::min);
    let size = within(true).map(|f| f.size).fold(f32::MAX, f32::min);
    if left_edge - right_edge < (0.6 * size).max(4.0) {
        return None;
    }
    // Columns of text have text: what is a word or two a line is a form or a table.
    let letters = |left: bool| within(left).map(|f| f.text.chars().count()).sum::<usize>();
    let lines = (l + r) as f32;
    let width = letters(true).min(letters(false)) as f32 / lines;
    (width >= 4.0).then_some((l.min(r) as f32 * width.min(20.0), end))
}

/// Rows that are a table for certain, and the left and right edges of its columns.
fn find_table(rows: &[Row], rules: &Rules) -> Option<(usize, usize, Vec<(f32, f32)>)> {
    let mut from = 0;
    while from + 1 < rows.len() {
        if rows[from].len() < 2 {
            from += 1;
            continue;
        }
        let (to, columns) = extend(rows, from);
        if is_table(&rows[from..to], &columns, rules) {
            return Some((from, to, columns));
        }
        from += 1;
    }
    None
}

/// The rows from `from` on that keep the same columns.
fn extend(rows: &[Row], from: usize) -> (usize, Vec<(f32, f32)>) {
    let mut columns: Vec<(f32, f32)> = rows[from].iter().map(|f| (f.left, f.right)).collect();
    let mut to = from + 1;
    let mut full = to;
    let mut kept = columns.clone();
    while to < rows.len() {
        let row = &rows[to];
        if row[0].y - rows[to - 1][0].y > 3.2 * row[0].size {
            break;
        }
        let Some(wider) = fit(&columns, row) else { break };
        if row.len() == 1 {
            // A cell may go on below; a line at the left edge is text behind the table.
            let (left, right) = (row[0].left, row[0].right);
            let inner = columns[1..].iter().any(|(l, r)| *l - 2.0 <= left && right <= *r + 2.0);
            let close = row[0].y - rows[to - 1][0].y <= 1.6 * row[0].size;
            let first = right <= columns[0].1 + 2.0 && close && to + 1 < rows.len() && rows[to + 1].len() >= 2;
            if !(inner && close || first) {
                break;
            }
        }
        columns = wider;
        to += 1;
        if row.len() >= 2 || row[0].left > columns[0].1 {
            (full, kept) = (to, columns.clone());
        }
    }
    (full, kept)
}

/// The columns with a row added, or `None` where its cells do not fit.
fn fit(columns: &[(f32, f32)], row: &Row) -> Option<Vec<(f32, f32)>> {
    let mut wider = columns.to_vec();
    for fragment in row {
        let mut over = wider.iter_mut().filter(|(l, r)| fragment.left < *r && fragment.right > *l);
        match (over.next(), over.next()) {
            (Some(column), None) => {
                *column = (column.0.min(fragment.left), column.1.max(fragment.right));
            }
            (None, _) => wider.push((fragment.left, fragment.right)),
            (Some(_), Some(_)) => return None,
        }
    }
    wider.sort_by(|a, b| a.0.total_cmp(&b.0));
    let apart = wider.windows(2).all(|pair| pair[0].1 + 1.0 < pair[1].0);
    // A row in which two cells fell into one column was not made for these columns.
    let column = |fragment: &Fragment| wider.iter().position(|(l, r)| fragment.left >= *l - 0.1 && fragment.right <= *r + 0.1);
    let mut places: Vec<_> = row.iter().map(column).collect();
    places.dedup();
    (apart && places.len() == row.len() && wider.len() <= columns.len() + 1).then_some(wider)
}

fn is_table(rows: &[Row], columns: &[(f32, f32)], rules: &Rules) -> bool {
    let full = rows.iter().filter(|row| row.len() >= 2).count();
    let ruled = ruled(rows, columns, rules) >= 2;
    let led = rows.iter().filter(|row| row.iter().any(|f| super::blocks::has_leaders(&f.text)));
    if led.count() * 2 > rows.len() {
        return false;
    }
    if columns.len() < 2 || full < if ruled || columns.len() >= 4 { 2 } else { 3 } {
        return false;
    }
    if ruled {
        return true;
    }
    if full * 10 < rows.len() * 6 {
        return false;
    }
    // Columns of prose have lines of several words that reach from edge to edge.
    let prose = |(left, right): &(f32, f32)| {
        let cells = rows.iter().flatten().filter(|f| f.left >= *left - 0.1 && f.right <= *right + 0.1);
        let (mut words, mut width, mut count) = (0, 0.0, 0);
        for cell in cells {
            words += cell.text.split_whitespace().count();
            width += (cell.right - cell.left) / (right - left).max(1.0);
            count += 1;
        }
        let count = count.max(1);
        words >= count * 4 && width >= 0.6 * count as f32
            || words <= count * 3 / 2 && has_wide_script(rows)
    };
    !columns.iter().all(prose)
}

/// Scripts without spaces have words that are whole lines.
fn has_wide_script(rows: &[Row]) -> bool {
    let long = |f: &Fragment| f.text.chars().filter(|c| super::blocks::is_unspaced(*c)).count() > 12;
    rows.iter().flatten().filter(|f| long(f)).count() > rows.len()
}

/// Horizontal rules within the rows that are as wide as half of the table.
fn ruled(rows: &[Row], columns: &[(f32, f32)], rules: &Rules) -> usize {
    bands(rows, columns, rules).len()
}

fn bands(rows: &[Row], columns: &[(f32, f32)], rules: &Rules) -> Vec<f32> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Vec::new() };
    let (left, right) = (columns[0].0, columns[columns.len() - 1].1);
    let (upper, lower) = (first[0].y - 2.0 * first[0].size, last[0].y + 1.5 * last[0].size);
    // Rules of cells are as wide as these; together they cover the table.
    let mut places: Vec<(f32, f32)> = Vec::new();
    let mut all: Vec<_> = rules.horizontal.iter().filter(|(y, l, r)| {
        (upper..=lower).contains(y) && *l < right && *r > left
    }).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (y, l, r) in all {
        let width = r.min(right) - l.max(left);
        match places.last_mut() {
            Some((place, covered)) if y - *place <= 2.5 => *covered += width,
            _ => places.push((*y, width)),
        }
    }
    places.retain(|(_, covered)| *covered >= 0.5 * (right - left));
    places.into_iter().map(|(y, _)| y).collect()
}

/// The cells of a table: rows between two rules are one, and so is a row and what continues its cells.
fn cells(rows: &[Row], columns: &[(f32, f32)], rules: &Rules) -> Vec<Vec<String>> {
    let bands = bands(rows, columns, rules);
    let inner = bands.iter().filter(|y| rows[0][0].y < **y && **y < rows[rows.len() - 1][0].y).count();
    // A rule under the header alone, or above a sum, does not part the rows.
    let by_rules = inner >= 2 || inner == 1 && rows.len() <= 3;
    let mut cells: Vec<Vec<String>> = Vec::new();
    let mut last: Option<(usize, f32)> = None;
    for row in rows {
        let y = row[0].y;
        let band = bands.iter().filter(|rule| **rule < y - 1.0).count();
        let goes_on = last.is_some_and(|(other, above)| {
            if by_rules {
                other == band
            } else {
                row[0].left > columns[0].1 && y - above <= 1.6 * row[0].size
            }
        });
        if !goes_on {
            cells.push(vec![String::new(); columns.len()]);
        }
        last = Some((band, y));
        let Some(target) = cells.last_mut() else { continue };
        for fragment in row {
            let column = columns.iter().rposition(|(left, _)| *left <= fragment.left + 0.5).unwrap_or(0);
            let cell = &mut target[column];
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(fragment.text.trim());
        }
    }
    cells
}
