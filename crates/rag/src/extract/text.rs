//! The text that a file's pages make, and where in it each page begins.
use super::Page;
use crate::{Result, memory};
use serde_json::{Map, Value, json};
use std::ops::Range;

/// A text made of pages.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExtractedText {
    /// The text.
    pub text: String,
    /// Its pages, in their order. An empty one begins where the next does.
    pub parts: Vec<Part>,
}

/// A page of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its first character, from 0.
    pub start: usize,
    /// Its number, from 1.
    pub page: u32,
    /// Its label, sheet, slide or part.
    pub metadata: Map<String, Value>,
}

/// Where a piece of a text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The page of its first character, and of its last.
    pub page: u32,
    /// The page of its last character.
    pub page_end: u32,
    /// Metadata of the first of them.
    pub metadata: Map<String, Value>,
    /// The pages that begin inside, each with its first character.
    pub breaks: Vec<(usize, u32)>,
}

/// What divides a document by itself: no chunk goes over its border.
const UNITS: [&str; 3] = ["sheet", "slide", "part"];
/// A line of prose that fills a page's width has more characters.
const FULL_LINE: usize = 40;

impl ExtractedText {
    /// Joins pages. A sentence that runs over the end of a page stays one, in one paragraph.
    pub fn join(pages: Vec<Page>) -> Result<Self> {
        let mut joined = Self::default();
        let length = pages.iter().map(|page| page.content.len() + 2).sum();
        memory::reserve(&mut joined.parts, pages.len())?;
        let mut text = Vec::new();
        memory::reserve(&mut text, length)?;
        let mut text = String::from_utf8(text).unwrap_or_default();
        let (mut characters, mut unit) = (0, None);
        for page in pages {
            let own = Self::unit(&page.metadata).cloned();
            let content = page.content.trim_matches(['\n', '\r', ' ', '\t', '\u{c}']);
            if !content.is_empty() && !text.is_empty() {
                let separator = if own == unit { separator(&text, content) } else { "\n\n" };
                if separator == HYPHEN {
                    text.pop();
                    characters -= 1;
                    // Blank pages between the two.
                    let behind = joined.parts.iter_mut().rev();
                    behind
                        .take_while(|part| part.start > characters)
                        .for_each(|part| part.start = characters);
                } else {
                    text.push_str(separator);
                    characters += separator.len();
                }
            }
            joined.parts.push(Part {
                start: characters,
                page: page.number,
                metadata: page.metadata,
            });
            if !content.is_empty() {
                text.push_str(content);
                characters += content.chars().count();
                unit = own;
            }
        }
        joined.text = text;
        Ok(joined)
    }

    fn unit(metadata: &Map<String, Value>) -> Option<&Value> {
        UNITS.iter().find_map(|unit| metadata.get(*unit))
    }

    /// Pages as they are stored.
    pub fn parts_json(&self) -> Value {
        let part = |part: &Part| {
            let mut object = part.metadata.clone();
            object.insert("start".to_owned(), Value::from(part.start));
            object.insert("page".to_owned(), Value::from(part.page));
            Value::Object(object)
        };
        Value::Array(self.parts.iter().map(part).collect())
    }

    /// A text as it was stored; `None` if its pages are not what [`parts_json`](Self::parts_json) gave.
    pub fn stored(text: String, parts: Value) -> Option<Self> {
        let Value::Array(parts) = parts else { return None };
        let part = |value: Value| {
            let Value::Object(mut metadata) = value else { return None };
            let start = usize::try_from(metadata.remove("start")?.as_u64()?).ok()?;
            let page = u32::try_from(metadata.remove("page")?.as_u64()?).ok()?;
            Some(Part { start, page, metadata })
        };
        let parts: Vec<Part> = parts.into_iter().map(part).collect::<Option<_>>()?;
        parts.is_sorted_by_key(|part| part.start).then_some(Self { text, parts })
    }
}

/// Stretches of characters that no chunk goes over the border of, of a text with `length` characters.
pub fn units(parts: &[Part], length: usize) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    for pair in parts.windows(2) {
        let is_other =
            ExtractedText::unit(&pair[0].metadata) != ExtractedText::unit(&pair[1].metadata);
        if is_other && pair[1].start > starts[starts.len() - 1] {
            starts.push(pair[1].start.min(length));
        }
    }
    let ends = starts[1..].iter().copied().chain([length]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Where the characters of a range stand; `None` if the text has no pages.
pub fn place(parts: &[Part], characters: &Range<usize>) -> Option<Place> {
    let of = |character: usize| {
        let behind = parts.partition_point(|part| part.start <= character);
        parts.get(behind.saturating_sub(1))
    };
    let first = of(characters.start)?;
    let last = of(characters.end.saturating_sub(1).max(characters.start))?;
    let from = parts.partition_point(|part| part.start <= characters.start);
    let inside = parts[from..].iter().take_while(|part| part.start < characters.end);
    let breaks = inside.map(|part| (part.start, part.page)).collect();
    Some(Place { page: first.page, page_end: last.page, metadata: first.metadata.clone(), breaks })
}

/// What metadata of a chunk say of it themselves.
const OWN: [&str; 6] = ["page", "page_end", "section", "char_start", "char_end", BREAKS];
/// Of a place as JSON, the pages that begin inside: from these the page of a quote is known. No user sees them.
pub const BREAKS: &str = "breaks";

impl Place {
    /// What metadata of a chunk have besides its page.
    pub fn json(&self) -> Value {
        let mut object = self.metadata.clone();
        object.retain(|key, _| !OWN.contains(&key.as_str()));
        object.insert("page_end".to_owned(), Value::from(self.page_end));
        if !self.breaks.is_empty() {
            object.insert(BREAKS.to_owned(), json!(self.breaks));
        }
        Value::Object(object)
    }
}

/// Narrows the place in `fields`, which are those of a chunk, to that of some of its characters.
pub fn narrow(fields: &mut Map<String, Value>, characters: &Range<usize>) {
    let Some(breaks) = fields.remove(BREAKS) else { return };
    let breaks: Vec<(usize, u32)> = serde_json::from_value(breaks).unwrap_or_default();
    let page_of = |character: usize| {
        let before = breaks.iter().take_while(|(start, _)| *start <= character);
        before.last().map(|(_, page)| Value::from(*page))
    };
    let last = characters.end.saturating_sub(1).max(characters.start);
    let last = page_of(last).or_else(|| fields.get("page").cloned());
    if let Some(page) = page_of(characters.start) {
        // It is that of another page.
        fields.remove("label");
        fields.insert("page".to_owned(), page);
    }
    fields.extend(last.map(|last| ("page_end".to_owned(), last)));
}

/// Between two pages of which the first ends inside of a word: the hyphen goes.
const HYPHEN: &str = "-";

/// What stands between the text so far and the next page's.
fn separator(text: &str, next: &str) -> &'static str {
    let line = text.rsplit('\n').next().unwrap_or_default();
    let next_line = next.split('\n').next().unwrap_or_default();
    if is_structure(line) || is_structure(next_line) || is_in_code(text) {
        return "\n\n";
    }
    let mut back = line.chars().rev();
    let last = back.next().unwrap_or(' ');
    let first = next.chars().next().unwrap_or(' ');
    if matches!(last, '-' | '\u{2010}' | '\u{ad}')
        && back.next().is_some_and(char::is_lowercase)
        && first.is_lowercase()
    {
        return if last == '-' { HYPHEN } else { "\n" };
    }
    let ended = line.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '」', '』']);
    let is_ended = ended.ends_with(['.', '!', '?', ':', '。', '！', '？', '…', '؟', '।', '．']);
    let goes_on = !is_ended
        && (first.is_lowercase()
            || (!first.is_uppercase() && first.is_alphabetic())
            || line.chars().count() >= FULL_LINE);
    if goes_on { "\n" } else { "\n\n" }
}

/// Whether a line of Markdown is a block by itself: a heading, a list item, a table's row, a quotation, a rule.
fn is_structure(line: &str) -> bool {
    let line = line.trim_start();
    let marker = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbered = marker.len() < line.len() && marker.starts_with([')', '.']);
    let is_bulleted = ["- ", "* ", "+ ", "• "].iter().any(|bullet| line.starts_with(bullet));
    is_bulleted
        || is_numbered && marker[1..].starts_with(' ')
        || line.starts_with(['#', '|', '>'])
        || ["```", "~~~", "---", "***", "___", "==="].iter().any(|rule| line.starts_with(rule))
}

/// Whether a fence is open at the end of a text.
fn is_in_code(text: &str) -> bool {
    // Only what the last page can have opened.
    let tail = &text[text.ceil_char_boundary(text.len().saturating_sub(64 << 10))..];
    tail.lines().filter(|line| line.trim_start().starts_with("```")).count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(number: u32, content: &str, unit: Option<(&str, u32)>) -> Page {
        let metadata = unit.map(|(key, value)| (key.to_owned(), Value::from(value)));
        Page { number, content: content.to_owned(), metadata: metadata.into_iter().collect() }
    }

    fn joined(contents: &[&str]) -> ExtractedText {
        let pages = (1..).zip(contents).map(|(n, content)| page(n, content, None)).collect();
        ExtractedText::join(pages).unwrap()
    }

    #[test]
    fn sentences_run_over_the_end_of_a_page() {
        for (pages, text) in [
            (&["The first part of", "a sentence."][..], "The first part of\na sentence."),
            (&["It ends.", "Another begins."], "It ends.\n\nAnother begins."),
            (&["An exam-", "ple of a word."], "An example of a word."),
            (
                &["A sentence about PostgreSQL and the great", "Tom Lane."],
                "A sentence about PostgreSQL and the great\nTom Lane.",
            ),
            (&["Contents", "Chapter"], "Contents\n\nChapter"),
            (&["# Heading", "text"], "# Heading\n\ntext"),
            (&["text of", "- item"], "text of\n\n- item"),
            (&["| a |\n|---|\n| 1 |", "| 2 |"], "| a |\n|---|\n| 1 |\n\n| 2 |"),
            (&["文は続", "きます。"], "文は続\nきます。"),
            (&["a", "", " \n", "b"], "a\nb"),
        ] {
            assert_eq!(joined(pages).text, text);
        }
    }

    #[test]
    fn a_place_has_the_pages_of_its_first_and_last_character() {
        let text = joined(&["The first part of", "a sentence. Next.", "", "End."]);
        let find = |piece: &str| {
            let start = text.text.find(piece).unwrap();
            let place = place(&text.parts, &(start..start + piece.len())).unwrap();
            (place.page, place.page_end)
        };
        assert_eq!(find("part of\na sentence"), (1, 2));
        assert_eq!(find("Next."), (2, 2));
        assert_eq!(find("End."), (4, 4));
        assert_eq!(find("Next.\n\nEnd."), (2, 4));
        assert_eq!(place(&[], &(0..1)), None);
    }

    #[test]
    fn a_quote_has_the_pages_that_it_stands_on() {
        let text = joined(&["The first part of", "a sentence. Next", "and last."]);
        let whole = place(&text.parts, &(0..text.text.len())).unwrap();
        let pages = |piece: &str| {
            let start = text.text.find(piece).unwrap();
            let Value::Object(mut fields) = whole.json() else { unreachable!() };
            fields.insert("page".to_owned(), Value::from(whole.page));
            narrow(&mut fields, &(start..start + piece.len()));
            assert!(!fields.contains_key(BREAKS));
            (fields["page"].as_u64().unwrap(), fields["page_end"].as_u64().unwrap())
        };
        assert_eq!(pages("The first"), (1, 1));
        assert_eq!(pages("part of\na sentence."), (1, 2));
        assert_eq!(pages("Next"), (2, 2));
        assert_eq!(pages("Next\nand last."), (2, 3));
        assert_eq!(pages("last"), (3, 3));
    }

    #[test]
    fn sheets_and_slides_divide_a_document() {
        let pages = vec![
            page(1, "a", Some(("slide", 1))),
            page(2, "b", Some(("slide", 2))),
            page(3, "c", Some(("slide", 2))),
            page(4, "", Some(("slide", 3))),
        ];
        let text = ExtractedText::join(pages).unwrap();
        assert_eq!(text.text, "a\n\nb\nc");
        let units = units(&text.parts, 6);
        assert_eq!(units[..2], [0..3, 3..6]);
        assert_eq!(units.iter().map(ExactSizeIterator::len).sum::<usize>(), 6);
    }

    proptest! {
        #[test]
        fn stored_pages_come_back(
            contents in prop::collection::vec("[a-c.é# \n|-]{0,12}", 0..8), from in 0_usize..40, length in 1_usize..40,
        ) {
            let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
            let text = joined(&contents);
            let stored = ExtractedText::stored(text.text.clone(), text.parts_json());
            prop_assert_eq!(stored.as_ref(), Some(&text));
            // Every page but what its borders lose stands where its part begins.
            let characters: Vec<char> = text.text.chars().collect();
            for (part, content) in text.parts.iter().zip(&contents) {
                let content = content.trim_matches(['\n', ' ']);
                prop_assert!(part.start <= characters.len());
                let found: String = characters[part.start..].iter().collect();
                let is_cut = content.strip_suffix('-').is_some_and(|content| found.starts_with(content));
                prop_assert!(found.starts_with(content) || is_cut);
            }
            if let Some(place) = place(&text.parts, &(from..from + length)) {
                prop_assert!(place.page <= place.page_end && place.page_end as usize <= contents.len());
            }
            let units = units(&text.parts, characters.len());
            prop_assert_eq!(units[0].start, 0);
            prop_assert_eq!(units[units.len() - 1].end, characters.len());
        }
    }
}
