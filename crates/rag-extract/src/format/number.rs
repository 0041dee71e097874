//! Numbers as a sheet shows them: of Excel's format codes what a reader sees as a percentage, a currency, or so many digits.

use super::sheet::float;

/// Characters of a code, as Excel has it. A longer one would be read for each cell of a sheet.
const MOST_CODE: usize = 255;

/// More decimals than a number has digits.
const MOST_DECIMALS: usize = 15;

/// What a format code makes of a number: what stands before and behind the digits, and which digits.
#[derive(Default)]
struct Shape {
    before: String,
    after: String,
    has_digits: bool,
    grouped: bool,
    integers: usize,
    decimals: usize,
    least_decimals: usize,
    /// Powers of ten: 2 for each percent sign, -3 for each comma that scales.
    power: i32,
}

/// `number` as the code shows it; `None` where the code has what is not read here: fractions, exponents, conditions, text.
pub fn shown(number: f64, code: &str) -> Option<String> {
    if code.chars().nth(MOST_CODE).is_some() {
        return None;
    }
    let sections = sections(code);
    let (section, is_negative) = match sections.len() {
        0 => return None,
        1 => (0, number < 0.0),
        _ if number < 0.0 => (1, false),
        2 => (0, false),
        _ if number == 0.0 => (2, false),
        _ => (0, false),
    };
    let shape = shape(sections[section])?;
    let scaled = Some(number.abs() * 10_f64.powi(shape.power)).filter(|n| n.is_finite())?;
    let digits = digits(scaled, &shape);
    // A number that is shown as nothing but zeros has no sign.
    let sign =
        if is_negative && digits.contains(|c: char| ('1'..='9').contains(&c)) { "-" } else { "" };
    let text = format!("{sign}{}{digits}{}", shape.before, shape.after);
    // What a code hides is kept as the plain number.
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The parts of a code between semicolons: of positive and negative numbers and of zero.
fn sections(code: &str) -> Vec<&str> {
    let mut sections = Vec::new();
    let (mut start, mut quoted, mut literal) = (0, false, false);
    for (i, c) in code.char_indices() {
        match c {
            _ if literal => literal = false,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '\\' | '_' | '*' => literal = true,
            ';' => {
                sections.push(&code[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    sections.push(&code[start..]);
    sections
}

fn shape(section: &str) -> Option<Shape> {
    let mut shape = Shape::default();
    let mut chars = section.chars().peekable();
    let (mut point, mut is_over, mut commas) = (false, false, 0);
    while let Some(c) = chars.next() {
        let literal = match c {
            '0' | '#' | '?' if is_over => return None,
            '0' | '#' | '?' => {
                shape.has_digits = true;
                shape.grouped |= commas > 0 && !point;
                commas = 0;
                match (point, c) {
                    (false, '0') => shape.integers += 1,
                    (false, _) => {}
                    (true, '0') => {
                        shape.decimals += 1;
                        shape.least_decimals = shape.decimals;
                    }
                    (true, _) => shape.decimals += 1,
                }
                continue;
            }
            '.' if shape.has_digits && !point && !is_over => {
                (point, commas) = (true, 0);
                continue;
            }
            ',' if shape.has_digits && !is_over => {
                commas += 1;
                shape.power -= 3;
                if chars.peek().is_some_and(|c| matches!(c, '0' | '#' | '?')) && !point {
                    shape.power += 3;
                }
                continue;
            }
            '%' => {
                shape.power += 2;
                "%".to_owned()
            }
            '"' => chars.by_ref().take_while(|c| *c != '"').collect(),
            '\\' => chars.next()?.to_string(),
            '_' => chars.next().map(|_| " ".to_owned())?,
            '*' => chars.next().map(|_| String::new())?,
            '[' => bracket(&chars.by_ref().take_while(|c| *c != ']').collect::<String>())?,
            'a'..='z' | 'A'..='Z' | '@' | '/' => return None,
            c => c.to_string(),
        };
        is_over = shape.has_digits;
        let place = if shape.has_digits { &mut shape.after } else { &mut shape.before };
        place.push_str(&literal);
    }
    shape.decimals = shape.decimals.min(MOST_DECIMALS);
    shape.has_digits.then_some(shape)
}

/// What a bracket shows: `$€-407` a currency, a color nothing; conditions are not read.
fn bracket(content: &str) -> Option<String> {
    match content.strip_prefix('$') {
        Some(currency) => Some(currency.split('-').next().unwrap_or_default().to_owned()),
        None if content.starts_with(['<', '>', '=']) => None,
        None => Some(String::new()),
    }
}

fn digits(number: f64, shape: &Shape) -> String {
    // Halves are rounded up as they are read: 2.675 is 2.68, though its binary form is less.
    let power = 10_f64.powi(shape.decimals as i32);
    let rounded = float(number * power).parse().map_or(number, |n: f64| n.round() / power);
    let text = format!("{rounded:.*}", shape.decimals);
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let least = shape.least_decimals.min(decimals.len());
    let decimals = format!("{}{}", &decimals[..least], decimals[least..].trim_end_matches('0'));
    let whole = if shape.integers == 0 { whole.trim_start_matches('0') } else { whole };
    let whole = format!("{whole:0>0$}", shape.integers);
    let whole = if shape.grouped { grouped(&whole) } else { whole };
    if decimals.is_empty() { whole } else { format!("{whole}.{decimals}") }
}

fn grouped(whole: &str) -> String {
    let mut text = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn numbers_have_the_digits_and_signs_that_their_code_shows() {
        for (number, code, text) in [
            (0.125, "0%", "13%"),
            (0.125, "0.00%", "12.50%"),
            (1234.5, "#,##0.00", "1,234.50"),
            (-1234.5, "#,##0.00\\ [$€-407]", "-1,234.50 €"),
            (1234.5, "[$$-409]#,##0.00;[Red]([$$-409]#,##0.00)", "$1,234.50"),
            (-1234.5, "[$$-409]#,##0.00;[Red]([$$-409]#,##0.00)", "($1,234.50)"),
            (0.0, "0.00;-0.00;\"none: \"0", "none: 0"),
            (-2.0, "_(* #,##0_);_(* \\(#,##0\\);_(* \"-\"??_);_(@_)", "(2)"),
            (7.0, "000", "007"),
            (2.675, "0.00", "2.68"),
            (0.5, "#.##", ".5"),
            (1.5, "0.0##\" kg\"", "1.5 kg"),
            (12_345_678.0, "#,##0.0,,\" M\"", "12.3 M"),
            (-0.001, "0.0", "0.0"),
            (1e300, "0", &format!("{:.0}", 1e300)),
        ] {
            assert_eq!(shown(number, code).as_deref(), Some(text), "{number} as {code}");
        }
    }

    #[test]
    fn codes_of_other_kinds_leave_the_number() {
        for code in [
            "General",
            "0.00E+00",
            "# ?/?",
            "@",
            "[>100]0;0.0",
            "",
            ";;;",
            "000-0000",
            "\"",
            "\\",
            "[",
            &"0".repeat(256),
            &format!("0{}", "%".repeat(200)),
        ] {
            assert_eq!(shown(1.5, code), None, "{code}");
        }
        assert_eq!(shown(1.5, &"0".repeat(255)).map(|text| text.len()), Some(255));
    }
}
