//! Subtitles: what is said, in paragraphs, without the times.
use super::{decoded, single};
use crate::detect::Format;
use crate::document::{Document, Options};
use crate::failure::Failure;
use crate::markdown::{Writer, one_line};

/// A pause of so many seconds ends a paragraph.
const PAUSE: f64 = 2.0;
/// So many characters do at the end of a sentence.
const LONG: usize = 600;

pub fn read(bytes: &[u8], format: Format, options: &Options) -> Result<Document, Failure> {
    let (text, mut document) = decoded(bytes, format, options);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut page = Writer::new(options.max_output);
    let mut paragraph = String::new();
    let mut speaker = String::new();
    let mut end = 0.0;
    let mut blocks: Vec<String> = Vec::new();
    for block in text.split("\n\n") {
        match blocks.last_mut() {
            // A cue of SRT may have an empty line; WebVTT has notes and styles between cues.
            Some(cue) if format == Format::Srt && !block.contains("-->") => {
                cue.push('\n');
                cue.push_str(block);
            }
            _ => blocks.push(block.to_owned()),
        }
    }
    for block in &blocks {
        let mut lines = block.lines().skip_while(|line| !line.contains("-->"));
        let Some((from, to)) = lines.next().and_then(times) else { continue };
        let said = lines.collect::<Vec<_>>().join("\n");
        let by = voice(&said).unwrap_or_default();
        let said = one_line(&plain(&said));
        if said.is_empty() {
            continue;
        }
        let ended = paragraph.ends_with(['.', '!', '?', '。', '"', '…']);
        if from - end > PAUSE || by != speaker || ended && paragraph.len() > LONG {
            page.paragraph(&std::mem::take(&mut paragraph));
        }
        if paragraph.is_empty() && !by.is_empty() {
            paragraph = format!("{by}:");
        }
        if !paragraph.is_empty() {
            paragraph.push(' ');
        }
        paragraph.push_str(&said);
        (speaker, end) = (by, to);
    }
    page.paragraph(&paragraph);
    if end > 0.0 {
        document.metadata.insert("seconds".to_owned(), end.into());
    }
    single(document, &page.take()?)
}

/// Begin and end of a cue in seconds.
fn times(line: &str) -> Option<(f64, f64)> {
    let (from, to) = line.split_once("-->")?;
    let seconds = |time: &str| {
        let time = time.split_whitespace().next()?.replace(',', ".");
        time.split(':').try_fold(0.0, |total, part| Some(total * 60.0 + part.parse::<f64>().ok()?))
    };
    Some((seconds(from)?, seconds(to)?))
}

/// The speaker that a cue names.
fn voice(said: &str) -> Option<String> {
    let (_, behind) = said.split_once("<v")?;
    let (name, _) = behind.split_once('>')?;
    let name = name.split_once(char::is_whitespace)?.1;
    Some(one_line(name))
}

/// A text without tags, and without positions such as `{\an8}`.
fn plain(said: &str) -> String {
    let mut text = String::new();
    let mut closing = None;
    let mut rest = said.chars().peekable();
    while let Some(c) = rest.next() {
        match (closing, c) {
            (Some(end), c) if c == end => closing = None,
            (Some(_), _) => {}
            (None, '<')
                if rest.peek().is_some_and(|next| next.is_alphanumeric() || *next == '/') =>
            {
                closing = Some('>');
            }
            (None, '{') if rest.peek() == Some(&'\\') => closing = Some('}'),
            (None, c) => text.push(c),
        }
    }
    let marks = [("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&quot;", "\""), ("&#39;", "'")];
    let text = marks.iter().fold(text, |text, (name, mark)| text.replace(name, mark));
    text.replace("&lrm;", "").replace("&rlm;", "").replace("&amp;", "&")
}
