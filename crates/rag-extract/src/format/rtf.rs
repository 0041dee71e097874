//! Rich Text Format.
use std::collections::HashMap;

use encoding_rs::{Encoding, WINDOWS_1252};
use serde_json::Map;

use crate::detect::Format;
use crate::document::{Document, Options};
use crate::failure::Failure;
use crate::markdown::{Writer, one_line};

/// Groups within groups.
const MAX_DEPTH: usize = 1000;

pub fn read(bytes: &[u8], options: &Options) -> Result<Document, Failure> {
    let mut reader = Reader::new(options);
    reader.run(bytes)?;
    reader.finish()
}

/// Where text goes.
#[derive(Clone, Copy, PartialEq)]
enum Destination {
    Body,
    Fonts,
    Styles,
    /// An entry of the file's description.
    Info(&'static str),
    /// The marker of a list's entry.
    Marker,
    Note,
    Ignored,
}

/// What a group keeps for itself.
#[derive(Clone)]
struct State {
    destination: Destination,
    encoding: &'static Encoding,
    /// Bytes that stand for a character told in Unicode.
    fallback: usize,
    hidden: bool,
}

struct Reader {
    document: Document,
    page: Writer,
    state: State,
    stack: Vec<State>,
    default: &'static Encoding,
    fonts: HashMap<i32, &'static Encoding>,
    font: i32,
    /// Levels of headings by the number of their style.
    headings: HashMap<i32, usize>,
    style: i32,
    style_name: String,
    bytes: Vec<u8>,
    text: String,
    marker: String,
    info: String,
    note: String,
    /// Notes of the page, by their numbers in the file.
    notes: Vec<(usize, String)>,
    last_note: usize,
    /// High half of a character beyond 65535.
    surrogate: Option<u16>,
    skip: usize,
    star: bool,
    level: Option<usize>,
    depth_of_list: usize,
    in_table: bool,
    row: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Reader {
    fn new(options: &Options) -> Self {
        Self {
            document: Document::new(Format::Rtf, true, options),
            page: Writer::new(options.max_output),
            state: State {
                destination: Destination::Body,
                encoding: WINDOWS_1252,
                fallback: 1,
                hidden: false,
            },
            stack: Vec::new(),
            default: WINDOWS_1252,
            fonts: HashMap::new(),
            font: 0,
            headings: HashMap::new(),
            style: 0,
            style_name: String::new(),
            bytes: Vec::new(),
            text: String::new(),
            marker: String::new(),
            info: String::new(),
            surrogate: None,
            skip: 0,
            star: false,
            level: None,
            depth_of_list: 0,
            in_table: false,
            row: Vec::new(),
            rows: Vec::new(),
            note: String::new(),
            notes: Vec::new(),
            last_note: 0,
        }
    }

    fn run(&mut self, input: &[u8]) -> Result<(), Failure> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            at += 1;
            match byte {
                b'{' => {
                    self.flush();
                    if self.stack.len() >= MAX_DEPTH {
                        return Err(Failure::too_large("parts of the file are nested too deeply"));
                    }
                    self.stack.push(self.state.clone());
                    self.star = false;
                    self.skip = 0;
                }
                b'}' => {
                    self.flush();
                    self.end_group();
                }
                b'\\' => at = self.control(input, at)?,
                b'\r' | b'\n' | 0 => {}
                byte => self.byte(byte),
            }
            if self.page.is_full() {
                return self.page.take().map(drop);
            }
        }
        Ok(())
    }

    fn end_group(&mut self) {
        let inner = self.state.destination;
        if let Some(state) = self.stack.pop() {
            self.state = state;
        }
        self.skip = 0;
        if let Destination::Info(key) = inner
            && self.state.destination != inner
        {
            let value = std::mem::take(&mut self.info);
            self.document.describe(key, &value);
        }
        if inner == Destination::Note && self.state.destination != inner {
            self.last_note += 1;
            let number = self.last_note;
            self.put(&format!("[^{number}]"));
            self.notes.push((number, one_line(&std::mem::take(&mut self.note))));
        }
    }

    /// A character of the file's charset.
    fn byte(&mut self, byte: u8) {
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            self.bytes.push(byte);
        }
    }

    /// Decodes the bytes so far.
    fn flush(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let (text, _) = self.state.encoding.decode_without_bom_handling(&bytes);
        self.put(&text);
    }

    fn put(&mut self, text: &str) {
        match self.state.destination {
            Destination::Body if !self.state.hidden => self.text.push_str(text),
            Destination::Note if !self.state.hidden => self.note.push_str(text),
            Destination::Marker => self.marker.push_str(text),
            Destination::Info(_) => self.info.push_str(text),
            Destination::Styles => {
                self.style_name.push_str(text);
                if let Some((name, _)) = self.style_name.split_once(';') {
                    let name = name.trim().to_lowercase();
                    let level = match name.as_str() {
                        "title" => Some(1),
                        "subtitle" => Some(2),
                        name => {
                            name.strip_prefix("heading").and_then(|level| level.trim().parse().ok())
                        }
                    };
                    if let Some(level) = level {
                        self.headings.insert(self.style, level);
                    }
                    self.style_name.clear();
                }
            }
            _ => {}
        }
    }

    /// A control word or symbol behind its backslash; where the file goes on.
    fn control(&mut self, input: &[u8], mut at: usize) -> Result<usize, Failure> {
        let Some(&first) = input.get(at) else { return Ok(at) };
        if !first.is_ascii_alphabetic() {
            at += 1;
            match first {
                b'\'' => {
                    let digits = input.get(at..at + 2).and_then(|d| std::str::from_utf8(d).ok());
                    if let Some(byte) = digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
                        self.byte(byte);
                        at += 2;
                    }
                    return Ok(at);
                }
                b'*' => self.star = true,
                b'~' => self.symbol(" "),
                b'_' => self.symbol("-"),
                b'\\' | b'{' | b'}' => self.byte(first),
                b'\r' | b'\n' => {
                    self.flush();
                    self.end_paragraph();
                }
                _ => {}
            }
            return Ok(at);
        }
        let start = at;
        while input.get(at).is_some_and(u8::is_ascii_alphabetic) && at - start < 32 {
            at += 1;
        }
        let word = std::str::from_utf8(&input[start..at]).unwrap_or_default();
        let number_at = at;
        at += usize::from(input.get(at) == Some(&b'-'));
        while input.get(at).is_some_and(u8::is_ascii_digit) && at - number_at < 11 {
            at += 1;
        }
        let number = std::str::from_utf8(&input[number_at..at]).ok().and_then(|n| n.parse().ok());
        at += usize::from(input.get(at) == Some(&b' '));
        if word == "bin" {
            let length = usize::try_from(number.unwrap_or(0)).unwrap_or(0);
            return Ok(at.saturating_add(length).min(input.len()));
        }
        self.word(word, number)?;
        Ok(at)
    }

    fn symbol(&mut self, text: &str) {
        self.flush();
        self.put(text);
    }

    fn word(&mut self, word: &str, number: Option<i32>) -> Result<(), Failure> {
        self.flush();
        let star = std::mem::take(&mut self.star);
        let on = number != Some(0);
        match word {
            "u" => self.unicode(number.unwrap_or(0)),
            "uc" => self.state.fallback = usize::try_from(number.unwrap_or(1)).unwrap_or(1).min(16),
            "ansicpg" => {
                if let Some(encoding) = number.and_then(code_page) {
                    self.default = encoding;
                    self.state.encoding = encoding;
                }
            }
            "f" => {
                self.font = number.unwrap_or(0);
                if self.state.destination != Destination::Fonts {
                    self.state.encoding =
                        self.fonts.get(&self.font).copied().unwrap_or(self.default);
                }
            }
            "fcharset" => {
                if let Some(encoding) = number.and_then(charset) {
                    self.fonts.insert(self.font, encoding);
                }
            }
            "s" => {
                self.style = number.unwrap_or(0);
                if self.state.destination == Destination::Body {
                    self.level = self.headings.get(&self.style).copied();
                }
            }
            "outlinelevel" if self.state.destination == Destination::Body => {
                self.level = number
                    .and_then(|level| usize::try_from(level).ok())
                    .filter(|l| *l < 9)
                    .map(|l| l + 1);
            }
            // Paragraphs of a note leave the one that it is cited in alone.
            "par" | "pard" | "line" | "tab" | "sect" | "page" | "cell" | "nestcell" | "row"
            | "intbl" | "ilvl"
                if self.state.destination == Destination::Note =>
            {
                self.put(" ");
            }
            "v" | "deleted" => self.state.hidden = on,
            "plain" => self.state.hidden = false,
            "pard" => {
                self.level = None;
                self.in_table = false;
                self.depth_of_list = 0;
            }
            "intbl" => self.in_table = true,
            "ilvl" => self.depth_of_list = usize::try_from(number.unwrap_or(0)).unwrap_or(0).min(8),
            "par" | "sect" => self.end_paragraph(),
            "page" => {
                self.end_paragraph();
                self.end_page()?;
            }
            "cell" | "nestcell" => {
                let text = std::mem::take(&mut self.text);
                self.row.push(text);
            }
            "row" => {
                let row = std::mem::take(&mut self.row);
                self.rows.push(row);
            }
            "line" => self.put("\n"),
            "tab" => self.put("\t"),
            "emdash" => self.put("—"),
            "endash" => self.put("–"),
            "lquote" => self.put("‘"),
            "rquote" => self.put("’"),
            "ldblquote" => self.put("“"),
            "rdblquote" => self.put("”"),
            "bullet" => self.put("•"),
            "fonttbl" => self.state.destination = Destination::Fonts,
            "stylesheet" => self.state.destination = Destination::Styles,
            "title" => self.state.destination = Destination::Info("title"),
            "author" => self.state.destination = Destination::Info("author"),
            "subject" => self.state.destination = Destination::Info("subject"),
            "keywords" => self.state.destination = Destination::Info("keywords"),
            "listtext" | "pntext" => self.state.destination = Destination::Marker,
            "footnote" if self.state.destination == Destination::Body => {
                self.state.destination = Destination::Note;
            }
            "fldrslt" | "shptxt" | "footnote" => {}
            word if star || is_ignored(word) => self.state.destination = Destination::Ignored,
            _ => {}
        }
        Ok(())
    }

    fn unicode(&mut self, number: i32) {
        // Written as a signed number of 16 bits.
        let unit = number as u16;
        let text = match (self.surrogate.take(), unit) {
            (_, 0xd800..=0xdbff) => {
                self.surrogate = Some(unit);
                String::new()
            }
            (Some(high), low) => String::from_utf16_lossy(&[high, low]),
            (None, unit) => String::from_utf16_lossy(&[unit]),
        };
        self.put(&text);
        self.skip = self.state.fallback;
    }

    fn end_paragraph(&mut self) {
        if self.state.destination != Destination::Body {
            return;
        }
        if self.in_table {
            self.text.push(' ');
            return;
        }
        self.end_table();
        let text = std::mem::take(&mut self.text);
        let marker = std::mem::take(&mut self.marker);
        let marker = marker.trim();
        match self.level {
            Some(level) => self.page.heading(level, &text),
            None if !marker.is_empty() => {
                let numbered = marker.starts_with(|c: char| c.is_ascii_alphanumeric());
                self.page.item(self.depth_of_list, if numbered { marker } else { "-" }, &text);
            }
            None => self.page.paragraph(&text),
        }
    }

    fn end_table(&mut self) {
        if !self.row.is_empty() {
            let row = std::mem::take(&mut self.row);
            self.rows.push(row);
        }
        let rows = std::mem::take(&mut self.rows);
        self.page.table(&rows);
    }

    fn end_page(&mut self) -> Result<(), Failure> {
        self.end_table();
        for (number, note) in std::mem::take(&mut self.notes) {
            self.page.paragraph(&format!("[^{number}]: {note}"));
        }
        let content = self.page.take()?;
        self.document.push(&content, Map::new())
    }

    fn finish(mut self) -> Result<Document, Failure> {
        self.flush();
        self.state.destination = Destination::Body;
        self.in_table = false;
        self.end_paragraph();
        let broken = !self.document.pages.is_empty();
        if !broken || !self.page.is_empty() {
            self.end_page()?;
        }
        self.document.paged = broken;
        Ok(self.document)
    }
}

/// Groups whose text is none of the document's.
fn is_ignored(word: &str) -> bool {
    matches!(
        word,
        "colortbl"
            | "pict"
            | "object"
            | "header"
            | "headerl"
            | "headerr"
            | "headerf"
            | "footer"
            | "footerl"
            | "footerr"
            | "footerf"
            | "fldinst"
            | "info"
            | "nonshppict"
            | "bkmkstart"
            | "bkmkend"
            | "xe"
            | "tc"
            | "rxe"
            | "creatim"
            | "revtim"
            | "printim"
            | "operator"
            | "company"
            | "doccomm"
            | "generator"
    )
}

fn code_page(number: i32) -> Option<&'static Encoding> {
    let label = match number {
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        10000 => "macintosh".to_owned(),
        65001 => "utf-8".to_owned(),
        866 => "ibm866".to_owned(),
        number => format!("windows-{number}"),
    };
    Encoding::for_label(label.as_bytes())
}

fn charset(number: i32) -> Option<&'static Encoding> {
    code_page(match number {
        77 => 10000,
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::document::Options;

    #[test]
    fn text_tables_and_charsets() {
        let rtf = br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}
{\stylesheet{\s1 heading 1;}}{\info{\title Small}}{\header running}
\pard\s1 Head\par\pard Caf\'e9 \u8364?uro {\f1\'cf\'f0}\par
\pard{\listtext\'b7\tab}entry\par
\trowd\pard\intbl a\cell b\cell\row\trowd\pard\intbl c\cell d\cell\row\pard end\page next\par}";
        let document = read(rtf, &Options::default()).unwrap();
        let pages: Vec<&str> = document.pages.iter().map(|page| page.content.as_str()).collect();
        let first = "# Head\n\nCaf\u{e9} \u{20ac}uro \u{41f}\u{440}\n\n- entry\n\n| a | b |\n| --- | --- |\n| c | d |\n\nend";
        assert_eq!(pages, [first, "next"]);
        assert_eq!(document.metadata["title"], "Small");
    }
}
