//! E-mail: the body, and what is attached by name. A page for each message of a mailbox.
use std::borrow::Cow;

use mail_parser::{Address, Encoding, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use serde_json::{Map, Value};

use super::html;
use crate::charset;
use crate::detect::Format;
use crate::document::{Document, Options, describe};
use crate::failure::Failure;
use crate::markdown::Writer;

/// Messages within messages.
const MOST_FORWARDED: usize = 6;

pub fn read(bytes: &[u8], format: Format, options: &Options) -> Result<Document, Failure> {
    let mut document = Document::new(format, format == Format::Mbox, options);
    if format == Format::Eml {
        let mut metadata = Map::new();
        let content = message(bytes, options, &mut metadata)?;
        for (key, from) in [("title", "subject"), ("author", "from"), ("created", "date")] {
            if let Some(Value::String(value)) = metadata.get(from) {
                document.describe(key, &value.clone());
            }
        }
        document.push(&content, metadata)?;
        return Ok(document);
    }
    for bytes in messages(bytes) {
        let mut metadata = Map::new();
        // A message that cannot be read keeps its place.
        let content = match message(&bytes, options, &mut metadata) {
            Err(failure) if failure.class == crate::Class::Damaged => String::new(),
            content => content?,
        };
        document.push(&content, metadata)?;
    }
    Ok(document)
}

/// The messages of a mailbox, each behind a line that begins with "From ".
fn messages(mailbox: &[u8]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let mut blank = true;
    for line in mailbox.split_inclusive(|b| *b == b'\n') {
        if blank && line.starts_with(b"From ") {
            messages.push(Vec::new());
        } else if let Some(message) = messages.last_mut() {
            let quoted = line.iter().position(|b| *b != b'>').unwrap_or(0);
            // Lines of the text that look like the divider were quoted once.
            let skip = usize::from(quoted > 0 && line[quoted..].starts_with(b"From "));
            message.extend_from_slice(&line[skip..]);
        }
        blank = line.iter().all(u8::is_ascii_whitespace);
    }
    messages
}

fn message(
    bytes: &[u8],
    options: &Options,
    metadata: &mut Map<String, Value>,
) -> Result<String, Failure> {
    let bytes = with_utf8_head(bytes);
    let parsed = MessageParser::default().parse(bytes.as_ref());
    let Some(message) = parsed else { return Err(Failure::damaged("it is no message")) };
    let mut page = Writer::new(options.max_output);
    write(&message, 1, options, metadata, &mut page)?;
    page.take()
}

/// A message, and below it those that it forwards.
fn write(
    message: &Message,
    level: usize,
    options: &Options,
    metadata: &mut Map<String, Value>,
    page: &mut Writer,
) -> Result<(), Failure> {
    let subject = message.subject().unwrap_or_default();
    describe(metadata, "subject", subject);
    page.heading(level, subject);
    let mut head = Vec::new();
    for (key, label, address) in
        [("from", "From", message.from()), ("to", "To", message.to()), ("cc", "Cc", message.cc())]
    {
        let people = address.map(people).unwrap_or_default();
        describe(metadata, key, &people);
        if !people.is_empty() {
            head.push(format!("{label}: {people}"));
        }
    }
    if let Some(date) = message.date() {
        describe(metadata, "date", &date.to_rfc3339());
        head.push(format!("Date: {}", date.to_rfc3339()));
    }
    page.paragraph(&head.join("\n"));
    body(message, options, page)?;
    let mut names = Vec::new();
    for part in message.attachments() {
        let nested = part.message().and_then(|message| message.subject());
        let kind = part.content_type().map(|kind| match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()),
            None => kind.ctype().to_owned(),
        });
        let name = part.attachment_name().or(nested).unwrap_or("without a name");
        names.push(Value::String(name.to_owned()));
        if names.len() == 1 {
            page.paragraph("Attachments:");
        }
        page.item(0, "-", &format!("{name} ({}, {} bytes)", kind.unwrap_or_default(), part.len()));
    }
    if !names.is_empty() {
        metadata.insert("attachments".to_owned(), Value::Array(names));
    }
    let forwarded = message.attachments().filter_map(|part| part.message());
    for message in forwarded.filter(|_| level < MOST_FORWARDED) {
        write(message, level + 1, options, &mut Map::new(), page)?;
    }
    Ok(())
}

fn people(address: &Address) -> String {
    let person = |address: &mail_parser::Addr| match (address.name(), address.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    };
    address.iter().map(person).collect::<Vec<_>>().join(", ")
}

/// A message whose head is UTF-8: old programs write other charsets without saying which.
fn with_utf8_head(bytes: &[u8]) -> Cow<'_, [u8]> {
    let ends = |marks: &[u8]| bytes.windows(marks.len()).position(|window| window == marks);
    let ends = [ends(b"\r\n\r\n"), ends(b"\n\n")];
    let end = ends.into_iter().flatten().min().unwrap_or(bytes.len());
    let (head, rest) = bytes.split_at(end);
    if std::str::from_utf8(head).is_ok() {
        return Cow::Borrowed(bytes);
    }
    let (head, _) = charset::decode(head, Some("utf-8"));
    Cow::Owned([head.as_bytes(), rest].concat())
}

/// Text where the sender wrote it, and HTML where there is nothing else.
fn body(message: &Message, options: &Options, page: &mut Writer) -> Result<(), Failure> {
    let is_text = |part: &&MessagePart| !part.text_contents().unwrap_or_default().trim().is_empty();
    let mut parts: Vec<_> = message.text_bodies().filter(is_text).collect();
    if parts.is_empty() {
        parts = message.html_bodies().collect();
    }
    for part in parts {
        match &part.body {
            PartType::Text(text) => {
                let text = decoded(message, part, text).replace('\r', "");
                let kind = part.content_type();
                let says = |name: &str, value: &str| {
                    let found = kind.and_then(|kind| kind.attribute(name));
                    found.is_some_and(|found| found.eq_ignore_ascii_case(value))
                };
                if says("format", "flowed") {
                    page.paragraph(&flowed(&text, says("delsp", "yes")));
                } else {
                    page.paragraph(&text);
                }
            }
            PartType::Html(text) => {
                let text = decoded(message, part, text);
                page.paragraph(&html::markdown(&text, options.max_output)?.content);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Joins lines that a mail program divided (RFC 3676): they end with a space, and the next one is quoted as deeply.
fn flowed(text: &str, deletes_space: bool) -> String {
    let mut joined = String::new();
    let mut open = None;
    for line in text.lines() {
        let content = line.trim_start_matches('>');
        let depth = line.len() - content.len();
        let content = content.strip_prefix(' ').unwrap_or(content);
        if open != Some(depth) {
            if !joined.is_empty() {
                joined.push('\n');
            }
            joined.push_str(&line[..depth]);
            joined.push_str(if depth > 0 { " " } else { "" });
        }
        let goes_on = content.ends_with(' ') && content != "-- ";
        joined.push_str(if goes_on && deletes_space {
            &content[..content.len() - 1]
        } else {
            content
        });
        open = goes_on.then_some(depth);
    }
    joined
}

/// The text of a part, whose charset is found by its bytes where what it declares is wrong.
fn decoded<'a>(message: &'a Message, part: &MessagePart, text: &'a str) -> Cow<'a, str> {
    let range = part.offset_body as usize..part.offset_end as usize;
    match message.raw_message.get(range) {
        Some(raw) if part.encoding == Encoding::None && text.contains('\u{fffd}') => {
            charset::decode(raw, Some("utf-8")).0
        }
        _ => Cow::Borrowed(text),
    }
}
