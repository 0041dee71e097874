//! Which format a file has: by its content, and by name or MIME type only where text is text.
use std::io::Cursor;

use crate::archive::Archive;
use crate::document::Options;
use crate::failure::Failure;

macro_rules! formats {
    ($($variant:ident $name:literal,)*) => {
        /// The formats that have a reader.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Format { $(#[doc = $name] $variant,)* }

        impl Format {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The word on the command line and in frames.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

formats! {
    Pdf "pdf",
    Docx "docx",
    Pptx "pptx",
    Xlsx "xlsx",
    Xlsb "xlsb",
    Xls "xls",
    Odt "odt",
    Ods "ods",
    Odp "odp",
    Epub "epub",
    Html "html",
    Markdown "markdown",
    Plain "plain",
    Csv "csv",
    Eml "eml",
    Mbox "mbox",
    Ipynb "ipynb",
    Rtf "rtf",
    Srt "srt",
    Vtt "vtt",
}

impl Format {
    /// The format of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// The format of `bytes`.
pub fn detect(bytes: &[u8], options: &Options) -> Result<Format, Failure> {
    let head = &bytes[..bytes.len().min(1024)];
    if find(head, b"%PDF-").is_some() {
        return Ok(Format::Pdf);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return archive(bytes);
    }
    if head.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return compound(bytes);
    }
    if head.starts_with(b"{\\rtf") {
        return Ok(Format::Rtf);
    }
    if let Some(what) = picture_or_program(head) {
        return Err(Failure::unsupported(format!("{what} files are not supported")));
    }
    text(bytes, options)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn archive(bytes: &[u8]) -> Result<Format, Failure> {
    let mut archive = Archive::open(Cursor::new(bytes))?;
    if let Ok(mime) = archive.read("mimetype") {
        let mime = String::from_utf8_lossy(&mime);
        let mime = mime.trim().trim_end_matches("-template");
        match mime.rsplit(['.', '/']).next().unwrap_or_default() {
            "text" | "text-web" | "text-master" => return Ok(Format::Odt),
            "spreadsheet" => return Ok(Format::Ods),
            "presentation" => return Ok(Format::Odp),
            "epub+zip" => return Ok(Format::Epub),
            _ => {}
        }
    }
    for (part, format) in [
        ("word/document.xml", Format::Docx),
        ("ppt/presentation.xml", Format::Pptx),
        ("xl/workbook.xml", Format::Xlsx),
        ("xl/workbook.bin", Format::Xlsb),
        ("META-INF/container.xml", Format::Epub),
    ] {
        if archive.has(part) {
            return Ok(format);
        }
    }
    // Programs other than Microsoft's name the main part as they like.
    let types = archive.read("[Content_Types].xml").unwrap_or_default();
    for (mark, format) in [
        ("wordprocessingml.document.main", Format::Docx),
        ("presentationml.presentation.main", Format::Pptx),
        ("spreadsheetml.sheet.main", Format::Xlsx),
    ] {
        if find(&types, mark.as_bytes()).is_some() {
            return Ok(format);
        }
    }
    Err(Failure::unsupported("zip archives of this kind are not supported"))
}

/// Compound files: Office before 2007, and encrypted Office since.
fn compound(bytes: &[u8]) -> Result<Format, Failure> {
    let has = |name: &str| {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        find(bytes, &name).is_some()
    };
    if has("EncryptedPackage") {
        return Err(Failure::encrypted());
    }
    if has("Workbook") || has("Book") {
        return Ok(Format::Xls);
    }
    let what = if has("WordDocument") {
        "Word files of before 2007"
    } else if has("PowerPoint Document") {
        "PowerPoint files of before 2007"
    } else {
        "compound files of this kind"
    };
    Err(Failure::unsupported(format!("{what} are not supported")))
}

fn picture_or_program(head: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 12] = [
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"GIF8", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"\x7fELF", "program"),
        (b"\x1f\x8b", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"%!PS", "PostScript"),
        (b"SQLite format 3\0", "SQLite"),
    ];
    known.iter().find(|(mark, _)| head.starts_with(mark)).map(|(_, name)| *name)
}

/// What name and MIME type say of a text.
fn hint(options: &Options) -> Option<Format> {
    let mime = options.mime.as_deref().unwrap_or_default();
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let by_mime = match mime.as_str() {
        "text/html" | "application/xhtml+xml" => Some(Format::Html),
        "text/markdown" | "text/x-markdown" => Some(Format::Markdown),
        "text/csv" | "text/tab-separated-values" => Some(Format::Csv),
        "text/vtt" => Some(Format::Vtt),
        "application/x-subrip" => Some(Format::Srt),
        "message/rfc822" => Some(Format::Eml),
        "application/mbox" => Some(Format::Mbox),
        "application/x-ipynb+json" => Some(Format::Ipynb),
        "text/plain" => Some(Format::Plain),
        _ => None,
    };
    let name = options.name.as_deref().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let by_name = match extension.as_deref().unwrap_or_default() {
        "html" | "htm" | "xhtml" => Some(Format::Html),
        "md" | "markdown" => Some(Format::Markdown),
        "csv" | "tsv" => Some(Format::Csv),
        "vtt" => Some(Format::Vtt),
        "srt" => Some(Format::Srt),
        "eml" => Some(Format::Eml),
        "mbox" => Some(Format::Mbox),
        "ipynb" => Some(Format::Ipynb),
        "txt" => Some(Format::Plain),
        _ => None,
    };
    // Servers call text/plain what they do not know.
    match (by_mime, by_name) {
        (None | Some(Format::Plain), Some(name)) => Some(name),
        (mime, _) => mime,
    }
}

fn text(bytes: &[u8], options: &Options) -> Result<Format, Failure> {
    let Some(sample) = crate::charset::sample(bytes) else {
        return Err(Failure::unsupported("binary files of this kind are not supported"));
    };
    let start = sample.trim_start_matches('\u{feff}').trim_start();
    let lower: String = start.chars().take(4096).collect::<String>().to_ascii_lowercase();
    if start.starts_with("WEBVTT") {
        return Ok(Format::Vtt);
    }
    if start.starts_with('{') && start.contains("\"cells\"") && bytes_have_notebook(bytes) {
        return Ok(Format::Ipynb);
    }
    if is_html(&lower) {
        return Ok(Format::Html);
    }
    if start.starts_with("From ") && headers(start.split_once('\n').map_or("", |(_, rest)| rest)) {
        return Ok(Format::Mbox);
    }
    if headers(start) {
        return Ok(Format::Eml);
    }
    if is_srt(start) {
        return Ok(Format::Srt);
    }
    if let Some(format) = hint(options) {
        return Ok(format);
    }
    if is_markdown(start) {
        return Ok(Format::Markdown);
    }
    if is_csv(start) { Ok(Format::Csv) } else { Ok(Format::Plain) }
}

fn bytes_have_notebook(bytes: &[u8]) -> bool {
    // The format's number stands at the end in what Jupyter writes.
    find(bytes, b"\"nbformat\"").is_some()
}

fn is_html(lower: &str) -> bool {
    let mut rest = lower;
    loop {
        rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix("<!--") {
            let Some((_, behind)) = behind.split_once("-->") else { return false };
            rest = behind;
        } else if rest.starts_with("<?xml") {
            let Some((_, behind)) = rest.split_once("?>") else { return false };
            rest = behind;
        } else {
            break;
        }
    }
    let tags = [
        "<!doctype html",
        "<html",
        "<head",
        "<body",
        "<title",
        "<meta",
        "<table",
        "<div",
        "<p>",
        "<h1",
    ];
    tags.iter().any(|tag| rest.starts_with(tag))
}

/// Whether a text begins with the headers of a message.
fn headers(start: &str) -> bool {
    const COMMON: [&str; 14] = [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "received",
        "return-path",
        "mime-version",
        "delivered-to",
        "reply-to",
        "content-type",
        "dkim-signature",
        "cc",
        "x-mozilla-status",
    ];
    let mut known = 0;
    let mut sender = false;
    for line in start.lines().take(200) {
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else { return false };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return false;
        }
        let name = name.to_ascii_lowercase();
        sender |= matches!(name.as_str(), "from" | "received" | "message-id" | "return-path");
        known += usize::from(COMMON.contains(&name.as_str()));
    }
    sender && known >= 2
}

fn is_srt(start: &str) -> bool {
    let mut lines = start.lines().map(str::trim);
    let number = lines.next().is_some_and(|line| {
        !line.is_empty() && line.len() < 8 && line.bytes().all(|b| b.is_ascii_digit())
    });
    number && lines.next().is_some_and(|line| line.contains(" --> ") && line.contains(':'))
}

fn is_markdown(start: &str) -> bool {
    let mut marks = 0;
    for line in start.lines().take(200) {
        let heading = line.trim_start_matches('#');
        let hashes = line.len() - heading.len();
        marks += usize::from((1..=6).contains(&hashes) && heading.starts_with(' '));
        marks += usize::from(line.starts_with("```")) * 2;
        marks += usize::from(line.contains("](http"));
        marks += usize::from(line.starts_with("| ---") || line.starts_with("|---"));
    }
    marks >= 2
}

/// Whether the first rows have equally many cells, and the first row is a header.
fn is_csv(start: &str) -> bool {
    [b',', b';', b'\t'].iter().any(|delimiter| {
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader.delimiter(*delimiter).has_headers(false).flexible(true);
        let rows = reader.from_reader(start.as_bytes()).into_records();
        let rows: Vec<_> = rows.take(20).filter_map(Result::ok).collect();
        // The last one may be cut off where the sample ends.
        let whole = if rows.len() > 2 { rows.len() - 1 } else { rows.len() };
        let Some(first) = rows.first().filter(|first| first.len() >= 2) else { return false };
        // A sentence has blanks behind its commas, and ends.
        let title = |cell: &str| {
            !cell.is_empty() && cell.len() < 60 && !cell.starts_with(' ') && !cell.ends_with('.')
        };
        whole >= 2
            && first.iter().all(title)
            && rows[..whole].iter().all(|row| row.len() == first.len())
    })
}
