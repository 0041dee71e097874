//! Reads the frames that `rag-extract` writes: a length of four bytes, the most significant first, and as many bytes of JSON.
//!
//! The first frame is about the document, the next are its pages, the last says how it ended. Any other output is a crash.
use super::failure::{Class, Failure, from_program};
use super::{Extracted, Page};
use crate::memory;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Bytes of a frame's length.
const HEADER: usize = 4;
/// Bytes of JSON a byte of text: a quotation mark or a line end becomes two.
const ESCAPED: usize = 2;
/// Most bytes of frames beyond those of the text.
const OVERHEAD: usize = 16 << 20;
/// Most entries of metadata, and most bytes of an entry: the metadata of a page is stored with each of its chunks.
const ENTRIES: usize = 64;
const ENTRY: usize = 1_000;
/// Most pages. Each takes memory, however short it is.
const PAGES: usize = 200_000;

/// How much the program may say.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of text.
    pub text: usize,
    /// Most pages.
    pub pages: usize,
    /// The first pages alone are wanted.
    pub first: Option<usize>,
}

impl Limits {
    /// Limits for a text of at most so many bytes.
    pub fn of_text(text: usize) -> Self {
        Self { text, pages: PAGES, first: None }
    }
}

/// Takes the program's output piece by piece.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    /// Bytes of an incomplete frame.
    buffer: Vec<u8>,
    /// Bytes read, and bytes of text among them.
    read: usize,
    text: usize,
    has_document: bool,
    /// Pages that the file has in all, where the program knows.
    total: Option<u32>,
    extracted: Extracted,
    end: Option<Result<(), Failure>>,
}

#[derive(Deserialize)]
struct Frame {
    document: Option<DocumentFrame>,
    page: Option<u32>,
    #[serde(default)]
    content: String,
    #[serde(default)]
    metadata: Map<String, Value>,
    end: Option<EndFrame>,
    error: Option<ErrorFrame>,
}

#[derive(Deserialize)]
struct DocumentFrame {
    format: String,
    pages: Option<u32>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

#[derive(Deserialize)]
struct EndFrame {
    pages: usize,
}

#[derive(Deserialize)]
struct ErrorFrame {
    class: String,
    #[serde(default)]
    message: String,
    detail: Option<Value>,
}

impl Reader {
    /// A reader within limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            read: 0,
            text: 0,
            has_document: false,
            total: None,
            extracted: Extracted::default(),
            end: None,
        }
    }

    /// Takes the next bytes. An error ends the file's extraction: the program is to be killed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.read = self.read.saturating_add(bytes.len());
        if self.read > self.most() {
            return Err(Class::TooLarge.failure(""));
        }
        let mut rest = bytes;
        while !rest.is_empty() && !self.has_enough() {
            if self.end.is_some() {
                return Err(broken("it went on after its last frame"));
            }
            // No more than the frame at hand is ever held.
            let wanted = self.wanted()?;
            let (taken, behind) = rest.split_at(rest.len().min(wanted - self.buffer.len()));
            memory::reserve(&mut self.buffer, taken.len())
                .map_err(|error| Failure { class: Class::TooLarge, error })?;
            self.buffer.extend_from_slice(taken);
            rest = behind;
            if self.buffer.len() == wanted && wanted == self.wanted()? {
                let frame = std::mem::take(&mut self.buffer);
                self.frame(&frame[HEADER..])?;
            }
        }
        Ok(())
    }

    /// Bytes of the frame at hand with its header, as far as they are known.
    fn wanted(&self) -> Result<usize, Failure> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(HEADER) };
        let length = u32::from_be_bytes(*header) as usize;
        if length > self.most() {
            return Err(Class::TooLarge.failure(""));
        }
        Ok(HEADER + length)
    }

    fn most(&self) -> usize {
        self.limits.text.saturating_mul(ESCAPED).saturating_add(OVERHEAD)
    }

    fn frame(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let frame: Frame = serde_json::from_slice(bytes)
            .map_err(|error| broken(&format!("a frame is no JSON: {error}")))?;
        match frame {
            Frame { error: Some(error), .. } => {
                let detail = error.detail.map(|detail| match detail {
                    Value::String(text) => text,
                    other => other.to_string(),
                });
                self.end = Some(Err(from_program(&error.class, &error.message, detail.as_deref())));
                Ok(())
            }
            Frame { document: Some(document), .. } if !self.has_document => self.document(document),
            _ if !self.has_document => Err(broken("its first frame is not about the document")),
            Frame { page: Some(number), content, metadata, .. } => {
                self.page(Page { number, content, metadata })
            }
            Frame { end: Some(end), .. } => {
                if end.pages != self.extracted.pages.len() {
                    return Err(broken("it wrote other pages than it says"));
                }
                self.end = Some(Ok(()));
                Ok(())
            }
            _ => Err(broken("a frame is of no known kind")),
        }
    }

    fn document(&mut self, document: DocumentFrame) -> Result<(), Failure> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_+.".contains(c);
        if !document.format.chars().all(is_name) || document.format.len() > 32 {
            return Err(broken("the format it found is no name"));
        }
        storable(&document.metadata)?;
        self.has_document = true;
        self.total = document.pages;
        self.extracted.format = document.format;
        self.extracted.metadata = bounded(document.metadata);
        Ok(())
    }

    fn page(&mut self, page: Page) -> Result<(), Failure> {
        if page.number as usize != self.extracted.pages.len() + 1 {
            return Err(broken("a page is missing or out of order"));
        }
        self.text = self.text.saturating_add(page.content.len());
        if self.text > self.limits.text || self.extracted.pages.len() >= self.limits.pages {
            return Err(Class::TooLarge.failure(""));
        }
        if page.content.contains('\0') {
            return Err(broken("a page has a character 0"));
        }
        storable(&page.metadata)?;
        self.extracted.pages.push(Page { metadata: bounded(page.metadata), ..page });
        Ok(())
    }

    /// Pages that were read, and how many there are where that is known.
    pub fn progress(&self) -> (usize, Option<u32>) {
        (self.extracted.pages.len(), self.total)
    }

    /// Whether all pages that are wanted were read, and the program may go on.
    pub fn has_enough(&self) -> bool {
        self.end.is_none()
            && self.limits.first.is_some_and(|first| self.extracted.pages.len() >= first)
    }

    /// Whether the last frame was read.
    pub fn is_done(&self) -> bool {
        self.end.is_some()
    }

    /// What was extracted, once the program has ended as it should.
    pub fn finish(mut self) -> Result<Extracted, Failure> {
        if self.has_enough() {
            self.extracted.total = self.total;
            self.end = Some(Ok(()));
        }
        match self.end {
            Some(Ok(())) => Ok(self.extracted),
            Some(Err(failure)) => Err(failure),
            None => Err(broken("its last frame is missing")),
        }
    }
}

fn broken(what: &str) -> Failure {
    Class::Crashed.failure("").with_detail(&format!("Of its output, {what}."))
}

/// As much of metadata as is kept.
fn bounded(mut metadata: Map<String, Value>) -> Map<String, Value> {
    if metadata.len() > ENTRIES {
        metadata = metadata.into_iter().take(ENTRIES).collect();
    }
    metadata.retain(|key, value| {
        if let Value::String(text) = value {
            text.truncate(text.floor_char_boundary(ENTRY));
            return key.len() <= ENTRY;
        }
        key.len() <= ENTRY && !value.is_null() && value.to_string().len() <= ENTRY
    });
    metadata
}

/// Neither `text` nor `jsonb` holds a character 0.
fn storable(metadata: &Map<String, Value>) -> Result<(), Failure> {
    fn is_storable(value: &Value) -> bool {
        match value {
            Value::String(text) => !text.contains('\0'),
            Value::Array(values) => values.iter().all(is_storable),
            Value::Object(map) => {
                map.iter().all(|(key, value)| !key.contains('\0') && is_storable(value))
            }
            _ => true,
        }
    }
    if metadata.iter().all(|(key, value)| !key.contains('\0') && is_storable(value)) {
        return Ok(());
    }
    Err(broken("metadata has a character 0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const LIMITS: Limits = Limits { text: 1_000, pages: 10, first: None };

    fn frame(value: &Value) -> Vec<u8> {
        let json = value.to_string().into_bytes();
        [&(json.len() as u32).to_be_bytes()[..], &json].concat()
    }

    fn stream(frames: &[Value]) -> Vec<u8> {
        frames.iter().flat_map(frame).collect()
    }

    fn read(bytes: &[u8], piece: usize) -> Result<Extracted, Failure> {
        let mut reader = Reader::new(LIMITS);
        for piece in bytes.chunks(piece) {
            reader.push(piece)?;
        }
        reader.finish()
    }

    fn page(number: u32, content: &str) -> Value {
        json!({ "page": number, "content": content, "metadata": { "label": "iv" } })
    }

    fn whole() -> Vec<Value> {
        vec![
            json!({ "document": { "format": "pdf", "pages": 2, "metadata": { "title": "T" } } }),
            page(1, "one"),
            page(2, ""),
            json!({ "end": { "pages": 2, "characters": 3 } }),
        ]
    }

    #[test]
    fn frames_in_pieces_of_any_size_make_a_document() {
        let bytes = stream(&whole());
        for piece in [1, 2, 3, 7, 1_000] {
            let found = read(&bytes, piece).unwrap();
            assert_eq!((found.format.as_str(), found.pages.len()), ("pdf", 2));
            assert_eq!(found.pages[0].content, "one");
            assert_eq!(found.pages[0].metadata["label"], "iv");
            assert_eq!(found.metadata["title"], "T");
        }
    }

    #[test]
    fn an_error_is_told_also_after_pages() {
        let error =
            json!({ "error": { "class": "damaged", "message": "no xref", "detail": null } });
        for before in 0..3 {
            let frames = [&whole()[..before], std::slice::from_ref(&error)].concat();
            let failure = read(&stream(&frames), 5).unwrap_err();
            assert_eq!((failure.class, failure.error.message()), (Class::Damaged, "no xref"));
        }
    }

    #[test]
    fn first_pages_need_no_end() {
        let mut reader = Reader::new(Limits { first: Some(1), ..LIMITS });
        reader.push(&stream(&whole()[..3])).unwrap();
        assert!(reader.has_enough());
        let found = reader.finish().unwrap();
        assert_eq!((found.pages.len(), found.total), (1, Some(2)));
        let mut reader = Reader::new(Limits { first: Some(3), ..LIMITS });
        reader.push(&stream(&whole())).unwrap();
        assert_eq!(reader.finish().unwrap().pages.len(), 2);
    }

    #[test]
    fn a_program_that_lies_has_crashed() {
        let (frames, end) = (whole(), json!({ "end": { "pages": 1, "characters": 0 } }));
        let document = &frames[0];
        for lie in [
            vec![],
            frames[..3].to_vec(),
            frames[1..].to_vec(),
            vec![document.clone(), page(2, ""), end.clone()],
            vec![document.clone(), document.clone()],
            vec![document.clone(), end.clone()],
            vec![document.clone(), page(1, "a\0"), end.clone()],
            vec![document.clone(), json!({ "page": 1, "metadata": { "a": ["\0"] } }), end],
            vec![document.clone(), json!({ "page": -1 })],
            vec![json!({ "document": { "format": "a b" } })],
            vec![json!([])],
            [&frames[..], &[page(3, "")]].concat(),
        ] {
            assert_eq!(read(&stream(&lie), 3).unwrap_err().class, Class::Crashed, "{lie:?}");
        }
    }

    #[test]
    fn limits_hold_before_memory_is_taken() {
        let document = whole().remove(0);
        let long = stream(&[document.clone(), page(1, &"x".repeat(1_001))]);
        assert_eq!(read(&long, 100).unwrap_err().class, Class::TooLarge);
        let many: Vec<Value> =
            std::iter::once(document).chain((1..=11).map(|n| page(n, ""))).collect();
        assert_eq!(read(&stream(&many), 100).unwrap_err().class, Class::TooLarge);
        let mut reader = Reader::new(LIMITS);
        assert_eq!(reader.push(&u32::MAX.to_be_bytes()).unwrap_err().class, Class::TooLarge);
        // A frame that announces much and brings nothing holds nothing.
        let mut reader = Reader::new(LIMITS);
        reader.push(&1_000_000_u32.to_be_bytes()).unwrap();
        assert!(reader.buffer.capacity() < 1_000);
        assert_eq!(reader.finish().unwrap_err().class, Class::Crashed);
    }

    #[test]
    fn metadata_are_bounded() {
        let many: Map<String, Value> =
            (0..100).map(|n| (format!("key {n:03}"), json!(n))).collect();
        assert_eq!(bounded(many).len(), ENTRIES);
        let long =
            json!({ "a": "é".repeat(1_000), "b": ["x".repeat(2_000)], "c": null, "d": { "e": 1 } });
        let Value::Object(long) = long else { unreachable!() };
        let kept = bounded(long);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["a", "d"]);
        assert_eq!(kept["a"].as_str().unwrap().len(), ENTRY);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn garbage_is_a_failure(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..40) {
            prop_assert!(read(&bytes, piece).is_err());
        }

        #[test]
        fn a_damaged_stream_is_a_failure_or_within_limits(
            at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), piece in 1_usize..40,
        ) {
            let mut bytes = stream(&whole());
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let is_cut = cut.index(bytes.len() + 1);
            let read_whole = read(&bytes, piece);
            // Pieces of another size change nothing.
            prop_assert_eq!(&read_whole, &read(&bytes, 1));
            if let Ok(found) = read_whole {
                prop_assert!(found.pages.iter().map(|page| page.content.len()).sum::<usize>() <= LIMITS.text);
            }
            if is_cut < bytes.len() {
                prop_assert!(read(&bytes[..is_cut], piece).is_err());
            }
        }
    }
}
