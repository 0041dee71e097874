//! From a document as its source row gives it to the chunks it should have.
use super::diff::{ChunkHash, chunk_hash, source_hash};
use crate::chunk::{self, Format, Options, PATH_SEPARATOR, embedding_text};
use crate::extract::{Part, place, units};
use crate::model::tokenizer::{TokenCounter, Word};
use crate::model::{Checkpoint, Detail, Embedder, Purpose};
use crate::rerank::TokenBits;
use crate::{Error, Result, memory};
use std::borrow::Cow;
use std::sync::Arc;

/// A document as it was read.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// Its title, where the collection names a column for it.
    pub title: Option<String>,
    /// Its text; `None` for NULL, which makes no chunks.
    pub content: Option<String>,
    /// Where the pages of a file's text begin; none in other texts.
    pub parts: Vec<Part>,
}

/// A chunk that a document should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Verbatim text.
    pub content: String,
    /// Heading path, the title first.
    pub section: Option<Arc<str>>,
    /// Heading path it is embedded and found with, as far as it fits.
    pub heading: Arc<str>,
    /// Tokens of `heading`.
    pub heading_tokens: usize,
    /// Tokens of `content`.
    pub token_count: usize,
    /// First character of the document, from 0.
    pub char_start: usize,
    /// Character behind the last.
    pub char_end: usize,
    /// Page of the first character, from 1.
    pub page: Option<u32>,
    /// Of a chunk of a file: its last page and what names the first, as JSON.
    pub place: Option<String>,
    /// Hash of all that the chunk's row holds.
    pub hash: ChunkHash,
}

impl Chunk {
    /// The text that is embedded.
    pub fn embedding_text(&self) -> Cow<'_, str> {
        embedding_text(&self.heading, &self.content)
    }

    /// Hash of the text that is embedded: if it is equal, so are vector and token bits.
    pub fn embedding_hash(&self) -> ChunkHash {
        chunk_hash("", &self.heading, &self.content)
    }
}

/// Hash of a document, to know it again.
pub fn document_hash(document: &Document) -> [u8; 32] {
    source_hash(document.title.as_deref(), document.content.as_deref())
}

/// Divides a document into chunks. Heading path and chunk together stay within the window of
/// `options`, the path, title included, within a quarter of it.
pub fn chunks(
    document: &Document,
    options: &Options,
    counter: &dyn TokenCounter,
    checkpoint: Checkpoint<'_>,
) -> Result<Vec<Chunk>> {
    let Some(content) = &document.content else { return Ok(Vec::new()) };
    let title = document.title.as_deref().map(single_spaced).filter(|title| !title.is_empty());
    let quarter = options.window / 4;
    let head = title.as_deref().map(|title| Head::new(title, quarter, counter)).transpose()?;
    let taken = head.as_ref().map_or(0, |head| head.tokens);
    let is_file = !document.parts.is_empty();
    let options = Options {
        heading_tokens: quarter - taken,
        window: options.window - taken,
        // The text of a file is shaped as Markdown, whatever the file was.
        format: if is_file { Format::Markdown } else { options.format },
        ..options.clone()
    };
    let mut found = Vec::new();
    for (characters, text) in undivided(content, &document.parts) {
        let chunked = chunk::chunk(text, &options, counter, &mut *checkpoint)?;
        memory::reserve(&mut found, chunked.chunks.len())?;
        // Control characters alone are no tokens: there is nothing to find them by.
        for chunk in chunked.chunks.iter().filter(|chunk| chunk.token_count > 0) {
            let content = chunked.content(chunk);
            let (section, heading, heading_tokens) = match &head {
                None => (chunk.section.clone(), chunk.heading.clone(), chunk.heading_tokens),
                Some(head) => head.join(chunk, counter)?,
            };
            let characters = characters + chunk.chars.start..characters + chunk.chars.end;
            let place = place(&document.parts, &characters);
            found.push(Chunk {
                hash: chunk_hash(section.as_deref().unwrap_or_default(), &heading, content),
                content: content.to_owned(),
                section,
                heading,
                heading_tokens,
                token_count: chunk.token_count,
                page: place.as_ref().map_or(chunk.page, |place| Some(place.page)),
                place: place.map(|place| place.json().to_string()),
                char_start: characters.start,
                char_end: characters.end,
            });
        }
    }
    Ok(found)
}

/// Pieces of a text that no chunk goes over the border of, each with its first character: sheets, slides and parts of a file.
fn undivided<'t>(text: &'t str, parts: &[Part]) -> Vec<(usize, &'t str)> {
    let units = units(parts, usize::MAX);
    let mut pieces = Vec::with_capacity(units.len());
    let mut rest = text;
    for unit in units {
        let end = rest.char_indices().nth(unit.len()).map_or(rest.len(), |(byte, _)| byte);
        let (piece, behind) = rest.split_at(end);
        pieces.push((unit.start, piece));
        rest = behind;
    }
    pieces
}

/// A document's title, which heads every heading path.
struct Head<'a> {
    title: &'a str,
    /// As much of it as every chunk is embedded with.
    cut: &'a str,
    /// Tokens of `cut` and of what separates it from a path.
    tokens: usize,
}

impl<'a> Head<'a> {
    fn new(title: &'a str, most: usize, counter: &dyn TokenCounter) -> Result<Self> {
        let separator = counter.count(PATH_SEPARATOR.trim())?;
        // A title of megabytes is not read to its end: no token has fewer bytes than one.
        let start = &title[..title.floor_char_boundary(most.saturating_mul(32))];
        let mut words = Vec::new();
        counter.words(start, 0, &mut words)?;
        let mut room = most.saturating_sub(separator);
        let fits = |word: &&Word| {
            let rest = room.checked_sub(word.tokens as usize);
            room = rest.unwrap_or_default();
            rest.is_some()
        };
        let end = words.iter().take_while(fits).last().map_or(0, |word| word.end as usize);
        let cut = start[..start.floor_char_boundary(end)].trim_end();
        let tokens = if cut.is_empty() { 0 } else { counter.count(cut)? + separator };
        Ok(Self { title, cut, tokens })
    }

    /// Section, heading path and its tokens of a chunk below the title. A document whose first
    /// heading is its title has it once.
    fn join(
        &self,
        chunk: &chunk::Chunk,
        counter: &dyn TokenCounter,
    ) -> Result<(Option<Arc<str>>, Arc<str>, usize)> {
        let section = join(self.title, self.title, chunk.section.as_deref().unwrap_or_default());
        let heading = join(self.cut, self.title, &chunk.heading);
        let tokens = counter.count(&heading)?;
        Ok((Some(section.into()), heading.into(), tokens))
    }
}

/// A title as headings are: a no-break space in one of them makes no other title.
fn single_spaced(title: &str) -> String {
    title.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn join(head: &str, title: &str, path: &str) -> String {
    let repeats = path == title
        || path.strip_prefix(title).is_some_and(|rest| rest.starts_with(PATH_SEPARATOR));
    match (head.is_empty() || repeats, path.is_empty()) {
        (true, _) => path.to_owned(),
        (false, true) => head.to_owned(),
        (false, false) => [head, PATH_SEPARATOR, path].concat(),
    }
}

/// Vector and token bits of a chunk, as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// Its vector.
    pub vector: Vec<f32>,
    /// Signs of its tokens' vectors, heading path first.
    pub bits: Option<Vec<u8>>,
}

/// Embeds chunks in one call of the model. `dimensions` is what the generation's table takes.
pub fn embed(
    chunks: &[&Chunk],
    embedder: &dyn Embedder,
    dimensions: usize,
    with_bits: bool,
    checkpoint: Checkpoint<'_>,
) -> Result<Vec<Embedded>> {
    let texts: Vec<Cow<'_, str>> = chunks.iter().map(|chunk| chunk.embedding_text()).collect();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let detail = if with_bits { Detail::Tokens } else { Detail::Vector };
    let embeddings = embedder.embed(&texts, Purpose::Document, detail, checkpoint)?;
    embeddings
        .into_iter()
        .map(|embedding| {
            if embedding.vector.len() != dimensions {
                return Err(Error::configuration(format!(
                    "the model returned {} dimensions where the collection has {dimensions}",
                    embedding.vector.len()
                )));
            }
            let bits = embedding.tokens.as_ref().map(|t| TokenBits::of(t).as_bytes().to_vec());
            Ok(Embedded { vector: embedding.vector, bits })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{join, single_spaced};

    #[test]
    fn spaces_make_no_other_title() {
        assert_eq!(single_spaced(" Appendix\u{a0}L. \n Acronyms "), "Appendix L. Acronyms");
    }

    #[test]
    fn titles_head_paths_once() {
        assert_eq!(join("T", "T", ""), "T");
        assert_eq!(join("T", "T", "A > B"), "T > A > B");
        assert_eq!(join("T", "T", "T > B"), "T > B");
        assert_eq!(join("T", "T", "T"), "T");
        assert_eq!(join("T", "T", "Tea > B"), "T > Tea > B");
        assert_eq!(join("Cut", "Cut title", "Cut title > B"), "Cut title > B");
        assert_eq!(join("", "Long", "A"), "A");
    }
}
