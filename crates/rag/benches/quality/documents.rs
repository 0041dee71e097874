//! Documents of this machine, chunked and embedded: the PostgreSQL manual, and this project's own documentation.
use crate::corpus::{Corpus, JudgedPassage, default_model, embed};
use crate::lexical::Lexical;
use rag::chunk::{self, Format, Options};
use rag::model::{LocalModel, Purpose};
use rag::rerank::TokenBits;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const DIMENSIONS: usize = 384;

/// Documents whose questions lie in `tests/questions`.
pub struct Documents {
    pub name: &'static str,
    format: Format,
    files: Vec<PathBuf>,
}

/// The sources that are there.
pub fn all() -> Vec<Documents> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut docs = vec![root.join("README.md")];
    docs.extend(files(&root.join("docs"), "md"));
    docs.extend(files(&root.join("docs/reference"), "md"));
    let manual = (10..30).rev().map(|v| format!("/usr/share/doc/postgresql-doc-{v}/html"));
    let manual = manual.map(|path| files(Path::new(&path), "html")).find(|files| !files.is_empty());
    let manual =
        Documents { name: "manual", format: Format::Html, files: manual.unwrap_or_default() };
    let all = [Documents { name: "docs", format: Format::Markdown, files: docs }, manual];
    all.into_iter().filter(|documents| !documents.files.is_empty()).collect()
}

fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    files
}

impl Documents {
    /// Chunks and embeds the documents. `RAG_PG_EMBEDDED` names a directory that keeps the vectors for the next time.
    pub fn read(&self) -> Corpus {
        let model = default_model();
        let mut passages = Vec::new();
        for file in &self.files {
            let text = String::from_utf8_lossy(&fs::read(file).expect("a file")).into_owned();
            passages.extend(self.chunks(&model, file, &text));
        }
        let (mut passages, texts): (Vec<JudgedPassage>, Vec<String>) = passages.into_iter().unzip();
        let embedded = embedded(self.name, &model, &texts);
        for (passage, (vector, bits)) in passages.iter_mut().zip(embedded) {
            (passage.vector, passage.bits) = (vector, bits);
        }
        let lexical = Lexical::new(&texts);
        Corpus { passages, questions: Vec::new(), lexical, model }
    }

    /// The chunks of a file, and what each is embedded as.
    fn chunks(&self, model: &LocalModel, file: &Path, text: &str) -> Vec<(JudgedPassage, String)> {
        let window = model.room(Purpose::Document).expect("a window");
        let options = Options::new(None, None, self.format, window).expect("options");
        let options = Options { heading_tokens: window / 4, ..options };
        let chunked = chunk::chunk(text, &options, model.tokenizer(), &mut || Ok(()));
        let chunked = chunked.expect("the text divides");
        let title = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let passage = |chunk: &chunk::Chunk| {
            let passage = JudgedPassage {
                title: title.clone(),
                text: chunked.content(chunk).to_owned(),
                section: chunk.section.as_deref().unwrap_or_default().to_owned(),
                heading_tokens: chunk.heading_tokens,
                vector: Vec::new(),
                bits: TokenBits::from_bytes(DIMENSIONS, Vec::new()).expect("no bits"),
            };
            (passage, chunked.embedding_text(chunk).into_owned())
        };
        chunked.chunks.iter().map(passage).collect()
    }
}

type Embedded = (Vec<f32>, TokenBits<'static>);

/// Vectors and token bits of texts; those that the file has are read from it.
fn embedded(name: &str, model: &LocalModel, texts: &[String]) -> Vec<Embedded> {
    let file = env::var("RAG_PG_EMBEDDED").map(|directory| Path::new(&directory).join(name)).ok();
    let mut known = HashMap::new();
    if let Some(bytes) = file.as_ref().and_then(|file| fs::read(file).ok()) {
        read(&bytes, &mut known);
    }
    let key = |text: &String| {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish()
    };
    let unknown: Vec<String> =
        texts.iter().filter(|text| !known.contains_key(&key(text))).cloned().collect();
    for some in unknown.chunks(256) {
        let found = embed(model, some, Purpose::Document, |e| {
            (e.vector, TokenBits::of(&e.tokens.expect("tokens")))
        });
        let found: Vec<(u64, Embedded)> = some.iter().map(key).zip(found).collect();
        if let Some(file) = &file {
            append(file, &found);
        }
        known.extend(found);
    }
    texts.iter().map(|text| known[&key(text)].clone()).collect()
}

fn append(file: &Path, found: &[(u64, Embedded)]) {
    let mut bytes = Vec::new();
    for (key, (vector, bits)) in found {
        bytes.extend(key.to_le_bytes());
        bytes.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
        bytes.extend((bits.as_bytes().len() as u64).to_le_bytes());
        bytes.extend(bits.as_bytes());
    }
    let file = fs::OpenOptions::new().append(true).create(true).open(file);
    file.and_then(|mut file| file.write_all(&bytes)).expect("the file is written");
}

fn read(mut bytes: &[u8], known: &mut HashMap<u64, Embedded>) {
    let number = |eight: &[u8]| u64::from_le_bytes(eight.try_into().expect("eight bytes"));
    while !bytes.is_empty() {
        let (key, rest) = bytes.split_at(8);
        let (vector, rest) = rest.split_at(4 * DIMENSIONS);
        let real = |four: &[u8]| f32::from_le_bytes(four.try_into().expect("four bytes"));
        let vector = vector.chunks_exact(4).map(real).collect();
        let (length, rest) = rest.split_at(8);
        let (bits, rest) = rest.split_at(number(length) as usize);
        let bits = TokenBits::from_bytes(DIMENSIONS, bits.to_vec()).expect("whole rows");
        known.insert(number(key), (vector, bits));
        bytes = rest;
    }
}
