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

/// Beyond so many rules a page is a drawing too.
const MAX_RULES: usize = 1000;

/// The parts of a page in reading order.
pub fn parts(rows: Vec<Row>, rules: &Rules) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut pending: Vec<Row> = Vec::new();
    if rows.iter().map(Vec::len).sum::<usize>() > MAX_FRAGMENTS {
        return vec![Part::Column(rows.iter().map(line).collect())];
    }
    region(rows, rules, DEPTH, &mut pending, &mut parts);
    flush(&mut pending, &mut parts);
    parts
}

fn region(
    rows: Vec<Row>,
    rules: &Rules,
    depth: usize,
    pending: &mut Vec<Row>,
    parts: &mut Vec<Part>,
) {
    if rows.is_empty() {
        return;
    }
    // Certain comes first: ruled tables, columns of prose, tables without rules, other columns.
    if let Some(table) = find_ruled(&rows, rules) {
        divide(rows, table, rules, depth, pending, parts);
    } else if let Some(gutter) = (depth > 0).then(|| find_gutter(&rows, true)).flatten() {
        columns_at(gutter, rows, rules, depth, pending, parts);
    } else if let Some(table) = find_table(&rows) {
        divide(rows, table, rules, depth, pending, parts);
    } else if let Some(gutter) = (depth > 0).then(|| find_gutter(&rows, false)).flatten() {
        columns_at(gutter, rows, rules, depth, pending, parts);
    } else {
        pending.extend(rows);
    }
}

/// A table among rows: from one to before another, with its cells.
struct Table {
    from: usize,
    to: usize,
    cells: Vec<Vec<String>>,
}

fn divide(
    mut rows: Vec<Row>,
    table: Table,
    rules: &Rules,
    depth: usize,
    pending: &mut Vec<Row>,
    parts: &mut Vec<Part>,
) {
    let behind = rows.split_off(table.to);
    rows.truncate(table.from);
    region(rows, rules, depth, pending, parts);
    flush(pending, parts);
    parts.push(Part::Table(table.cells));
    region(behind, rules, depth, pending, parts);
}

fn columns_at(
    Gutter { from, to, x }: Gutter,
    rows: Vec<Row>,
    rules: &Rules,
    depth: usize,
    pending: &mut Vec<Row>,
    parts: &mut Vec<Part>,
) {
    let mut rows = rows;
    let behind = rows.split_off(to);
    let within = rows.split_off(from);
    region(rows, rules, depth - 1, pending, parts);
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
    region(behind, rules, depth - 1, pending, parts);
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
        for pair in row.windows(2) {
            // Code keeps its columns.
            let fixed = pair[0].fixed && pair[1].fixed;
            let gap = (pair[1].left - pair[0].right) / (pair[1].size * 0.6);
            let blanks = if fixed { (gap.round() as usize).clamp(1, 40) } else { 1 };
            line.text.truncate(line.text.trim_end().len());
            line.text.push_str(&" ".repeat(blanks));
            line.text.push_str(&pair[1].text);
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

/// `prose` asks for columns whose lines are full.
fn find_gutter(rows: &[Row], prose: bool) -> Option<Gutter> {
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
            if let Some((score, to)) = judge(&rows[from..to], x, prose)
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
fn judge(rows: &[Row], x: f32, prose: bool) -> Option<(f32, usize)> {
    let has = |row: &Row, left: bool| row.iter().any(|f| (f.left < x) == left);
    let last = rows.iter().rposition(|row| has(row, false))?;
    // Behind the right column the left one goes on while its lines follow each other.
    let mut end = last + 1;
    while end < rows.len() {
        let above =
            rows[..end].iter().rev().find(|row| has(row, true)).map_or(f32::MIN, |row| row[0].y);
        if rows[end][0].y - above > 2.2 * rows[end][0].size {
            break;
        }
        end += 1;
    }
    let left = Side::of(&rows[..end], |f| f.left < x);
    let right = Side::of(&rows[..end], |f| f.left >= x);
    let size = left.size.min(right.size);
    if left.lines.min(right.lines) < 3 || right.left - left.right < (0.6 * size).max(4.0) {
        return None;
    }
    // Where one begins far below the end of the other, they are not beside each other.
    if left.top > right.bottom || right.top > left.bottom {
        return None;
    }
    let width = left.characters.min(right.characters);
    let full = left.full.min(right.full);
    let fewest = left.lines.min(right.lines) as f32;
    // A narrow column beside a wide one has labels of what is beside them: rows are read then.
    let (lines, letters, edge) = if prose { (4.0, 12.0, 0.45) } else { (3.0, 10.0, 0.3) };
    let fits = fewest >= lines && width >= letters && full >= edge;
    fits.then_some((fewest * width.min(20.0), end))
}

/// What is on one side of a gutter.
struct Side {
    lines: usize,
    left: f32,
    right: f32,
    top: f32,
    bottom: f32,
    size: f32,
    /// Characters of a line, on average.
    characters: f32,
    /// Share of the lines that reach the edge of the column.
    full: f32,
}

impl Side {
    fn of(rows: &[Row], within: impl Fn(&Fragment) -> bool) -> Self {
        let mut side = Self {
            lines: 0,
            left: f32::MAX,
            right: f32::MIN,
            top: f32::MAX,
            bottom: f32::MIN,
            size: f32::MAX,
            characters: 0.0,
            full: 0.0,
        };
        let mut ends = Vec::new();
        for row in rows {
            let mut end = f32::MIN;
            for fragment in row.iter().filter(|fragment| within(fragment)) {
                side.left = side.left.min(fragment.left);
                side.size = side.size.min(fragment.size);
                side.top = side.top.min(fragment.y);
                side.bottom = side.bottom.max(fragment.y);
                side.characters += fragment
                    .text
                    .chars()
                    .map(|c| if super::blocks::is_unspaced(c) { 2.0 } else { 1.0 })
                    .sum::<f32>();
                end = end.max(fragment.right);
            }
            if end > f32::MIN {
                ends.push(end);
            }
        }
        side.lines = ends.len();
        side.right = ends.iter().copied().fold(f32::MIN, f32::max);
        let near = side.right - 0.15 * (side.right - side.left);
        let count = ends.len().max(1) as f32;
        side.full = ends.iter().filter(|end| **end >= near).count() as f32 / count;
        side.characters /= count;
        side
    }
}

/// Rules on one height as one: y, left, right.
fn merged(rules: &Rules) -> Vec<(f32, f32, f32)> {
    let mut all = rules.horizontal.clone();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut merged: Vec<(f32, f32, f32)> = Vec::new();
    for (y, left, right) in all {
        let near = merged
            .iter_mut()
            .rev()
            .take(40)
            .find(|(other, l, r)| y - *other <= 2.5 && left <= *r + 4.0 && right >= *l - 4.0);
        match near {
            Some((_, l, r)) => (*l, *r) = (l.min(left), r.max(right)),
            None => merged.push((y, left, right)),
        }
    }
    merged
}

/// The first table that rules enclose: three at least, equally long, above each other.
fn find_ruled(rows: &[Row], rules: &Rules) -> Option<Table> {
    let merged = merged(rules);
    if merged.len() > MAX_RULES {
        return None;
    }
    for (n, (top, left, right)) in merged.iter().enumerate() {
        let same =
            |rule: &&(f32, f32, f32)| (rule.1 - left).abs() <= 4.0 && (rule.2 - right).abs() <= 4.0;
        let mut bands: Vec<f32> = merged[n..].iter().filter(same).map(|rule| rule.0).collect();
        // Rules of the next table on the page are apart by text that reaches beyond this one.
        let outside = rows.iter().filter(|row| row[0].y > *top);
        let outside =
            outside.filter(|row| row.iter().any(|f| f.left < left - 3.0 || f.right > right + 3.0));
        let limit = outside.map(|row| row[0].y).fold(f32::MAX, f32::min);
        bands.retain(|y| *y <= limit);
        if bands.len() < 3 {
            continue;
        }
        let bottom = bands[bands.len() - 1];
        let within = |row: &Row| row[0].y > *top && row[0].y < bottom + 1.0;
        let from = rows.iter().position(within)?;
        let to = from + rows[from..].iter().take_while(|row| within(row)).count();
        let columns = ruled_columns(&rows[from..to], rules, (*top, bottom), (*left, *right));
        if columns.len() >= 2 && to - from >= 2 {
            let cells = ruled_cells(&rows[from..to], &columns, &bands);
            if cells
                .iter()
                .filter(|row| row.iter().filter(|cell| !cell.is_empty()).count() >= 2)
                .count()
                >= 2
            {
                return Some(Table { from, to, cells });
            }
        }
    }
    None
}

/// Left edges of the columns: from vertical rules, or from the space between cells.
fn ruled_columns(
    rows: &[Row],
    rules: &Rules,
    (top, bottom): (f32, f32),
    (left, right): (f32, f32),
) -> Vec<f32> {
    let mut places: Vec<(f32, f32)> = Vec::new();
    let mut all: Vec<_> = rules
        .vertical
        .iter()
        .filter(|(x, upper, lower)| {
            *x > left + 4.0 && *x < right - 4.0 && *upper < bottom && *lower > top
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (x, upper, lower) in all {
        let height = lower.min(bottom) - upper.max(top);
        match places.last_mut() {
            Some((place, covered)) if x - *place <= 3.0 => *covered += height,
            _ => places.push((*x, height)),
        }
    }
    places.retain(|(_, covered)| *covered >= 0.5 * (bottom - top));
    let mut edges = vec![left - 5.0];
    if places.is_empty() {
        let mut columns: Vec<(f32, f32)> = Vec::new();
        for fragment in rows.iter().flatten() {
            let (mut l, mut r) = (fragment.left, fragment.right);
            columns.retain(|(other_l, other_r)| {
                let apart = l > *other_r + 1.0 || r + 1.0 < *other_l;
                if !apart {
                    (l, r) = (l.min(*other_l), r.max(*other_r));
                }
                apart
            });
            columns.push((l, r));
        }
        columns.sort_by(|a, b| a.0.total_cmp(&b.0));
        edges.extend(columns.iter().skip(1).map(|(l, _)| l - 0.5));
    } else {
        edges.extend(places.iter().map(|(x, _)| *x));
    }
    edges
}

/// The cells of a table with rules between its rows, or only around it and below its header.
fn ruled_cells(rows: &[Row], edges: &[f32], bands: &[f32]) -> Vec<Vec<String>> {
    let inner =
        bands.iter().filter(|y| rows[0][0].y < **y && **y < rows[rows.len() - 1][0].y).count();
    let by_rules = inner >= 2 || bands.len() >= rows.len();
    let mut cells: Vec<Vec<String>> = Vec::new();
    let mut last: Option<(usize, f32)> = None;
    for row in rows {
        let y = row[0].y;
        let band = bands.iter().filter(|rule| **rule < y - 1.0).count();
        let first = edges.iter().rposition(|edge| *edge <= row[0].left + 0.5).unwrap_or(0);
        let goes_on = last.is_some_and(|(other, above)| {
            other == band && (by_rules || first > 0 && y - above <= 1.6 * row[0].size)
        });
        if !goes_on {
            cells.push(vec![String::new(); edges.len()]);
        }
        last = Some((band, y));
        if let Some(target) = cells.last_mut() {
            for fragment in row {
                let middle =
                    f32::midpoint(fragment.left, fragment.right).min(fragment.left + fragment.size);
                put(target, edges.iter().rposition(|edge| *edge <= middle).unwrap_or(0), fragment);
            }
        }
    }
    cells
}

fn put(row: &mut [String], column: usize, fragment: &Fragment) {
    let cell = &mut row[column];
    if !cell.is_empty() {
        cell.push(' ');
    }
    cell.push_str(fragment.text.trim());
}

/// The first rows that are a table for certain, without rules around them.
fn find_table(rows: &[Row]) -> Option<Table> {
    let mut from = 0;
    while from + 1 < rows.len() {
        if rows[from].len() >= 2 {
            let (to, columns) = extend(rows, from);
            if is_table(&rows[from..to], &columns) {
                return Some(Table { from, to, cells: cells(&rows[from..to], &columns) });
            }
        }
        from += 1;
    }
    None
}

/// The rows from `from` on that keep the same columns.
fn extend(rows: &[Row], from: usize) -> (usize, Vec<(f32, f32)>) {
    let mut columns: Vec<(f32, f32)> = rows[from].iter().map(|f| (f.left, f.right)).collect();
    let mut to = from + 1;
    let (mut full, mut kept) = (to, columns.clone());
    while let Some(row) = rows.get(to) {
        let distance = row[0].y - rows[to - 1][0].y;
        if distance > 3.2 * row[0].size {
            break;
        }
        let Some(wider) = fit(&columns, row) else { break };
        // A cell may go on below; a line at the left edge is text behind the table.
        let inner = wider.len() == columns.len()
            && columns[1..].iter().any(|(l, _)| (*l - row[0].left).abs() <= 2.0);
        if row.len() == 1 && !(inner && distance <= 1.6 * row[0].size) {
            break;
        }
        columns = wider;
        to += 1;
        (full, kept) = (to, columns.clone());
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
    let column = |fragment: &Fragment| {
        wider.iter().position(|(l, r)| fragment.left >= *l - 0.1 && fragment.right <= *r + 0.1)
    };
    let mut places: Vec<_> = row.iter().map(column).collect();
    places.dedup();
    (apart && places.len() == row.len() && wider.len() <= columns.len() + 1).then_some(wider)
}

fn is_table(rows: &[Row], columns: &[(f32, f32)]) -> bool {
    let full = rows.iter().filter(|row| row.len() >= 2).count();
    let led = rows.iter().filter(|row| row.iter().any(|f| super::blocks::has_leaders(&f.text)));
    let code = rows.iter().all(|row| row.iter().all(|fragment| fragment.fixed));
    if columns.len() < 2
        || full < 3
        || full * 10 < rows.len() * 5
        || led.count() * 2 > rows.len()
        || code
    {
        return false;
    }
    // Most rows of a table have most of its cells; spaces of justified lines fall anywhere.
    let cells: usize = rows.iter().filter(|row| row.len() >= 2).map(Vec::len).sum();
    if cells * 10 < full * columns.len() * 6 {
        return false;
    }
    // Cells of a column share an edge.
    let aligned = |(left, right): &&(f32, f32)| {
        let within: Vec<&Fragment> = rows
            .iter()
            .flatten()
            .filter(|f| f.left >= *left - 0.1 && f.right <= *right + 0.1)
            .collect();
        let share = |edge: &dyn Fn(&Fragment) -> f32| {
            let near = |f: &Fragment| {
                within.iter().filter(|other| (edge(other) - edge(f)).abs() <= 2.0).count()
            };
            within.iter().map(|f| near(f)).max().unwrap_or(0)
        };
        let best = share(&|f| f.left)
            .max(share(&|f| f.right))
            .max(share(&|f| f32::midpoint(f.left, f.right)));
        best * 10 >= within.len() * 6
    };
    if columns.iter().filter(aligned).count() < columns.len() {
        return false;
    }
    // Columns of prose have lines of several words that reach from edge to edge.
    let prose = |(left, right): &(f32, f32)| {
        let side = Side::of(rows, |f| f.left >= *left - 0.1 && f.right <= *right + 0.1);
        side.characters >= 14.0 && side.full >= 0.5
    };
    !columns.iter().all(prose)
}

/// The cells of a table; a row that leaves its first column empty goes on with the row above.
fn cells(rows: &[Row], columns: &[(f32, f32)]) -> Vec<Vec<String>> {
    let mut cells: Vec<Vec<String>> = Vec::new();
    let mut above = f32::MIN;
    for row in rows {
        let goes_on = row[0].left > columns[0].1
            && row[0].y - above <= 1.6 * row[0].size
            && row.len() < columns.len();
        if !goes_on || cells.is_empty() {
            cells.push(vec![String::new(); columns.len()]);
        }
        above = row[0].y;
        if let Some(target) = cells.last_mut() {
            for fragment in row {
                let column =
                    columns.iter().rposition(|(left, _)| *left <= fragment.left + 0.5).unwrap_or(0);
                put(target, column, fragment);
            }
        }
    }
    cells
}
