//! Numbers and what they count.

/// A number in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    /// As written.
    pub text: String,
    /// The digits without separators of thousands, the decimal point a full stop.
    pub value: String,
    /// The unit in one spelling.
    unit: Option<&'static str>,
}

/// Units by their spellings; the first stands for all.
const UNITS: [&[&str]; 37] = [
    &["%", "percent", "per cent", "pct", "prozent"],
    &["$", "dollar", "dollars", "usd"],
    &["€", "euro", "euros", "eur"],
    &["£", "pounds sterling", "gbp"],
    &["¥", "yen", "yuan"],
    &["km", "kilometre", "kilometres", "kilometer", "kilometers"],
    &["m", "metre", "metres", "meter", "meters"],
    &["cm", "centimetre", "centimetres", "centimeter", "centimeters"],
    &["mm", "millimetre", "millimetres", "millimeter", "millimeters"],
    &["mi", "mile", "miles"],
    &["ft", "foot", "feet"],
    &["in", "inch", "inches"],
    &["yd", "yard", "yards"],
    &["kg", "kilogram", "kilograms", "kilogramme", "kilogrammes"],
    &["g", "gram", "grams"],
    &["t", "ton", "tons", "tonne", "tonnes"],
    &["lb", "lbs", "pound", "pounds"],
    &["l", "litre", "litres", "liter", "liters"],
    &["°c", "celsius"],
    &["°f", "fahrenheit"],
    &["ms", "millisecond", "milliseconds"],
    &["s", "sec", "second", "seconds", "sekunden"],
    &["min", "minute", "minutes", "minuten"],
    &["h", "hour", "hours", "stunde", "stunden"],
    &["day", "days", "tag", "tage", "tagen"],
    &["week", "weeks", "woche", "wochen"],
    &["month", "months", "monat", "monate", "monaten"],
    &["year", "years", "jahr", "jahre", "jahren"],
    &["decade", "decades"],
    &["century", "centuries", "jahrhundert"],
    &["thousand", "tausend"],
    &["million", "millions", "millionen"],
    &["billion", "billions", "milliarden"],
    &["kb", "kilobyte", "kilobytes", "kib"],
    &["mb", "megabyte", "megabytes", "mib"],
    &["gb", "gigabyte", "gigabytes", "gib"],
    &["tb", "terabyte", "terabytes", "tib"],
];

/// Numbers that are written as words. "One" is none: it is a pronoun too.
const WORDS: [(&str, &str); 28] = [
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("eleven", "11"),
    ("twelve", "12"),
    ("thirteen", "13"),
    ("fourteen", "14"),
    ("fifteen", "15"),
    ("sixteen", "16"),
    ("seventeen", "17"),
    ("eighteen", "18"),
    ("nineteen", "19"),
    ("twenty", "20"),
    ("thirty", "30"),
    ("forty", "40"),
    ("fifty", "50"),
    ("sixty", "60"),
    ("seventy", "70"),
    ("eighty", "80"),
    ("ninety", "90"),
    ("hundred", "100"),
    ("dozen", "12"),
];

/// The numbers of a text. Digits within a word, as of a version or a name, are not numbers of their own.
pub(super) fn of(text: &str) -> Vec<Number> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let start = at;
        if c.is_numeric() {
            at = digits_end(text, at);
            let value = value(&text[start..at]);
            found.push(Number {
                text: text[start..at].to_owned(),
                value,
                unit: unit(text, start, at),
            });
        } else if c.is_alphabetic() {
            at += text[at..].find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len() - at);
            let word = text[start..at].to_lowercase();
            if let Some((_, value)) = WORDS.iter().find(|(known, _)| *known == word) {
                found.push(Number {
                    text: word,
                    value: (*value).to_owned(),
                    unit: unit(text, start, at),
                });
            }
        } else {
            at += c.len_utf8();
        }
    }
    found
}

/// Whether a word is a number.
pub(super) fn is_word(word: &str) -> bool {
    WORDS.iter().any(|(known, _)| *known == word)
}

/// The end of a number that begins at `start`: digits, and separators between them.
fn digits_end(text: &str, start: usize) -> usize {
    let mut end = start;
    loop {
        let rest = &text[end..];
        end += rest.find(|c: char| !c.is_numeric()).unwrap_or(rest.len());
        let mut behind = text[end..].chars();
        let is_separator =
            behind.next().is_some_and(|c| matches!(c, '.' | ',' | '\u{202f}' | '\u{2009}'));
        if !is_separator || !behind.next().is_some_and(char::is_numeric) {
            return end;
        }
        end += text[end..].chars().next().map_or(0, char::len_utf8);
    }
}

fn value(digits: &str) -> String {
    let parts: Vec<&str> = digits.split(|c: char| !c.is_numeric()).collect();
    let is_grouped =
        parts.len() > 1 && parts[0].len() <= 3 && parts[1..].iter().all(|part| part.len() == 3);
    if is_grouped {
        return parts.concat();
    }
    let value = parts.join(".");
    match value.split_once('.') {
        Some((whole, fraction)) if parts.len() == 2 && fraction.bytes().all(|b| b == b'0') => {
            whole.to_owned()
        }
        Some(_) if parts.len() == 2 => value.trim_end_matches('0').to_owned(),
        _ => value,
    }
}

/// The unit behind a number, or before it.
fn unit(text: &str, start: usize, end: usize) -> Option<&'static str> {
    let rest = text[end..].trim_start_matches([' ', '\u{a0}', '\u{202f}', '\u{2009}', '-']);
    let word_end = rest.find(|c: char| !(c.is_alphanumeric() || c == '°')).unwrap_or(rest.len());
    let sign =
        text[..start].trim_end().chars().next_back().filter(|c| matches!(c, '$' | '€' | '£' | '¥'));
    let word = match rest.chars().next()? {
        c @ ('%' | '$' | '€' | '£' | '¥') => c.to_string(),
        _ => rest[..word_end].to_lowercase(),
    };
    let by = |word: &str| UNITS.iter().find(|unit| unit.contains(&word)).map(|unit| unit[0]);
    // "in" is a preposition far more often.
    by(&word).filter(|_| word != "in").or_else(|| by(&sign?.to_string()))
}

impl Number {
    /// Whether it stands among the numbers of a text, whose words are `words`, with the same unit if it has one.
    pub fn stands_in(&self, numbers: &[Self], words: &[String]) -> bool {
        let mut same = numbers.iter().filter(|other| other.value == self.value).peekable();
        if same.peek().is_none() {
            // Inside of a name, such as "v15", or as "one".
            return words.contains(&self.text)
                || self.value == "1" && words.iter().any(|word| word == "one" || word == "first");
        }
        let Some(unit) = self.unit else { return true };
        let mut units = same.map(|other| other.unit);
        let is_named = || {
            let spellings = UNITS.iter().find(|spellings| spellings[0] == unit);
            spellings.is_some_and(|all| words.iter().any(|word| all.contains(&&**word)))
        };
        units.any(|other| other == Some(unit) || other.is_none() && is_named())
    }
}
