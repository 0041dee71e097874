//! Estimates time, size and cost of a rebuild from a sample. Writes nothing.
use crate::catalog::collection::key::{KeyColumn, array_literals, encode, keys_sql};
use crate::catalog::collection::{Build, Collection, Generation, table_sql};
use crate::catalog::target::Target;
use crate::catalog::vector_index;
use crate::ingest::extract::{self as extraction, File};
use crate::ingest::pipeline::read::{self, SourceFile};
use crate::models::embedder::Embedder;
use crate::models::local as model;
use crate::sys::interrupt::checkpoint;
use crate::sys::rights::{as_extension_owner, as_source_owner};
use crate::sys::rows::row;
use crate::sys::spi::{column, fill, read, required};
use pgrx::JsonB;
use pgrx::datum::DatumWithOid;
use pgrx::spi::quote_identifier;
use rag::Result;
use rag::chunk::{Format, Options};
use rag::extract::{self, Extracted, ExtractedText};
use rag::generation::estimate::{Estimate, Layout, Sample};
use rag::model::{LocalModel, Purpose};
use rag::queue::diff::ChunkHash;
use rag::queue::plan::{self, Chunk, Document};
use serde_json::Value;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Documents looked at, and rows that they are chosen from.
const MAX_DOCUMENTS: i64 = 100;
const SAMPLED_ROWS: i64 = 1_000;
/// Most characters read of a document, and most bytes of all of them.
const MAX_CHARACTERS: i32 = 50_000;
const MAX_BYTES: usize = 2_000_000;
/// Tokens embedded to see how long that takes.
const TIMED_TOKENS: usize = 2_000;
/// Files whose text is extracted where none is kept, and the time that may take.
const EXTRACTED_FILES: usize = 10;
const EXTRACTION_TIME: Duration = Duration::from_secs(10);

/// A document of the sample.
struct SampledDocument {
    key: String,
    document: Document,
    /// How many times what was read the whole document is.
    parts: f64,
}

/// Documents of a sample of the source, which has about so many.
fn sample(collection: &Collection) -> Result<(i64, Vec<SampledDocument>)> {
    let documents = count_documents(collection);
    let sampled = if collection.is_of_files() {
        read_files(collection, documents)?
    } else {
        read_sample(collection, documents)
    };
    Ok((documents, sampled))
}

fn options(
    collection: &Collection,
    (max_tokens, overlap_tokens): (usize, usize),
    format: &str,
    embedder: &Embedder,
) -> Result<Options> {
    Ok(Options {
        max_tokens,
        overlap_tokens,
        format: if collection.is_of_files() { Format::Markdown } else { format.parse()? },
        heading_tokens: 0,
        window: embedder.room(Purpose::Document)?,
    })
}

/// Chunks that documents of a sample would have in a generation, as far as the documents were read.
pub fn sampled_chunks(
    collection: &Collection,
    generation: &Generation,
    embedder: &Embedder,
) -> Result<Vec<Chunk>> {
    let sizes = (generation.max_tokens, generation.overlap_tokens);
    let options = options(collection, sizes, &generation.format, embedder)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    for one in sample(collection)?.1 {
        if bytes > MAX_BYTES {
            break;
        }
        bytes += one.document.content.as_ref().map_or(0, String::len);
        let chunks = plan::chunks(&one.document, &options, embedder.counter(), &mut checkpoint)?;
        found.extend(chunks);
    }
    Ok(found)
}

pub fn estimate(collection: &Collection, build: &Build, embedder: &Embedder) -> Result<Estimate> {
    let (documents, sampled) = sample(collection)?;
    let stored = stored_hashes(collection, build, &sampled)?;
    let sizes = (build.max_tokens, build.overlap_tokens);
    let options = options(collection, sizes, &build.format, embedder)?;
    let (mut sample, mut fresh, mut bytes) = (Sample::default(), Vec::new(), 0);
    for (one, ordinal) in sampled.iter().zip(1..) {
        if bytes > MAX_BYTES {
            break;
        }
        bytes += one.document.content.as_ref().map_or(0, String::len);
        let chunks = plan::chunks(&one.document, &options, embedder.counter(), &mut checkpoint)?;
        let is_fresh = |chunk: &Chunk| !stored.contains(&(ordinal, chunk.hash));
        let measure = |chunk: &Chunk| {
            (chunk.heading_tokens + chunk.token_count, chunk.content.len(), is_fresh(chunk))
        };
        sample.add(one.parts, chunks.iter().map(measure));
        fresh.extend(chunks.into_iter().filter(is_fresh));
    }
    let rate = match embedder {
        Embedder::Local(model) => tokens_per_second(build, model, &fresh)?,
        // An estimate makes no calls that cost money.
        Embedder::Remote(client) => client.spec().tokens_per_second(sample.mean_fresh_tokens()),
    };
    let layout = Layout {
        dimensions: build.dimensions,
        token_bits: build.token_bits,
        index: vector_index::method_for(&build.index_method, build.dimensions),
    };
    Ok(sample.extrapolate(documents as f64, layout, rate))
}

/// Number of documents, exact or estimated.
fn count_documents(collection: &Collection) -> i64 {
    let known = statement!("maintain/estimate_documents");
    let known: Vec<Option<i64>> =
        as_extension_owner(|| read(known, &[collection.id.into()], |row| column(&row, 1)));
    known.into_iter().next().flatten().unwrap_or_else(|| {
        let template = statement!("maintain/estimate_count");
        let sql = fill(template, &[("source", &collection.source_sql)]);
        as_source_owner(collection.owner, || read(&sql, &[], |row| required(&row, 1)))[0]
    })
}

row! {
    struct SampleRow { key: Vec<String>, title: Option<String>, content: Option<String>, bytes: i32 }
}

fn read_sample(collection: &Collection, documents: i64) -> Vec<SampledDocument> {
    let each = |of: &dyn Fn(&KeyColumn) -> String| {
        collection.keys.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let title = collection.title.as_ref();
    let title = title.map_or("NULL".to_owned(), |title| format!("s.{}", quote_identifier(title)));
    let percent = (100.0 * SAMPLED_ROWS as f64 / documents.max(1) as f64).min(100.0);
    let names = [
        ("source_texts", each(&|key| format!("pg_catalog.format('%s', s.{})", key.stored_name()))),
        ("source_keys", each(&|key| format!("s.{} AS {}", key.name_sql(), key.stored_name()))),
        ("title", format!("{title}::text")),
        // Files are read one by one.
        ("content", collection.text_and_file("s").0),
        ("source", collection.source_sql.clone()),
        ("characters", MAX_CHARACTERS.to_string()),
        ("percent", percent.to_string()),
        ("documents", MAX_DOCUMENTS.to_string()),
    ];
    let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    let sql = fill(statement!("maintain/estimate_sample"), &names);
    as_source_owner(collection.owner, || {
        read(&sql, &[], |row| {
            let SampleRow { key, title, content, bytes } = SampleRow::read(&row);
            let taken = content.as_ref().map_or(0, String::len).max(1) as f64;
            SampledDocument {
                key: encode(key.iter().map(String::as_str)),
                parts: (f64::from(bytes) / taken).max(1.0),
                document: Document { title, content, parts: Vec::new() },
            }
        })
    })
}

row! {
    struct FileRow { key: Vec<String>, title: Option<String>, content: String, bytes: i32, parts: Option<JsonB> }
}

/// Texts of files, as they are kept. Where none are, those of a few files are extracted.
fn read_files(collection: &Collection, documents: i64) -> Result<Vec<SampledDocument>> {
    let active = collection.active_generation()?;
    let text = |key: &KeyColumn| format!("pg_catalog.format('%s', d.{})", key.stored_name());
    let percent = (100.0 * SAMPLED_ROWS as f64 / documents.max(1) as f64).min(100.0);
    let names = [
        ("document_texts", collection.keys.iter().map(text).collect::<Vec<_>>().join(", ")),
        ("title", collection.title_text("s")),
        ("documents", table_sql(active.documents)?),
        ("source", collection.source_sql.clone()),
        ("equal", collection.keys_equal("s", "d")),
        ("characters", MAX_CHARACTERS.to_string()),
        ("percent", percent.to_string()),
        ("limit", MAX_DOCUMENTS.to_string()),
    ];
    let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
    let sql = fill(statement!("maintain/estimate_files"), &names);
    let kept = as_source_owner(collection.owner, || {
        read(&sql, &[], |row| {
            let FileRow { key, title, content, bytes, parts } = FileRow::read(&row);
            let parts = parts.map_or(Value::Null, |parts| parts.0);
            let key = encode(key.iter().map(String::as_str));
            let text = ExtractedText::stored(content, parts).unwrap_or_default();
            sampled_file(key, title, text, bytes.unsigned_abs() as usize)
        })
    });
    if kept.is_empty() { extract_some(collection, documents) } else { Ok(kept) }
}

/// A document with the text of its file, which has so many bytes in all.
fn sampled_file(
    key: String,
    title: Option<String>,
    text: ExtractedText,
    bytes: usize,
) -> SampledDocument {
    let ExtractedText { text, mut parts } = text;
    let characters = text.chars().count();
    parts.retain(|part| part.start < characters.max(1));
    let times = (bytes as f64 / text.len().max(1) as f64).max(1.0);
    SampledDocument { key, parts: times, document: Document { title, content: Some(text), parts } }
}

fn extract_some(collection: &Collection, documents: i64) -> Result<Vec<SampledDocument>> {
    let Some(target) = Target::load(collection.active_generation()?.id)? else {
        return Ok(Vec::new());
    };
    let (started, mut found) = (Instant::now(), Vec::new());
    for sampled in read_sample(collection, documents) {
        if found.len() >= EXTRACTED_FILES || started.elapsed() > EXTRACTION_TIME {
            break;
        }
        for read in read::documents(&target, std::slice::from_ref(&sampled.key))? {
            let extracted = read.file.as_ref().map(|source| extract_in_session(&target, source));
            let Some(Ok(extracted)) = extracted.transpose()? else { continue };
            let mut text = ExtractedText::join(extracted.pages)?;
            let bytes = text.text.len();
            let most = text.text.char_indices().nth(MAX_CHARACTERS as usize);
            text.text.truncate(most.map_or(bytes, |(byte, _)| byte));
            found.push(sampled_file(
                sampled.key.clone(),
                sampled.document.title.clone(),
                text,
                bytes,
            ));
        }
    }
    Ok(found)
}

fn extract_in_session(
    target: &Target,
    source: &SourceFile,
) -> Result<Result<Extracted, extract::Failure>> {
    let file = File {
        bytes: &source.bytes,
        format: &target.generation.format,
        name: source.name.as_deref(),
        media_type: source.media_type.as_deref(),
        password: None,
        max_pages: None,
        with_ocr: target.collection.with_ocr,
    };
    extraction::extract(&file, &mut |_, _| checkpoint())
}

/// Chunks of the sampled documents, numbered from 1, whose vectors some generation has.
fn stored_hashes(
    collection: &Collection,
    build: &Build,
    sampled: &[SampledDocument],
) -> Result<HashSet<(i32, ChunkHash)>> {
    let keys: Vec<String> = sampled.iter().map(|one| one.key.clone()).collect();
    let mut stored = HashSet::new();
    for generation in collection.generations() {
        let serves = generation.fingerprint == build.fingerprint
            && (generation.bits.is_some() || !build.token_bits);
        let is_usable = || generation.hold() && generation.require_tables(collection).is_ok();
        if keys.is_empty() || !serves || !is_usable() {
            continue;
        }
        let tables = generation.tables_sql()?;
        let names = [
            ("keys", keys_sql(&collection.keys)),
            ("sibling", tables[1].clone()),
            ("chunk_equal", collection.stored_keys_equal("c", "k")),
        ];
        let names = names.each_ref().map(|(name, sql)| (*name, sql.as_str()));
        let sql = fill(statement!("maintain/estimate_hashes"), &names);
        let literals = array_literals(&keys, collection.keys.len());
        let args: Vec<DatumWithOid<'_>> = literals.into_iter().map(Into::into).collect();
        let rows = as_source_owner(collection.owner, || {
            read(&sql, &args, |row| (required::<i32>(&row, 1), required::<Vec<u8>>(&row, 2)))
        });
        stored.extend(rows.into_iter().filter_map(|(n, hash)| Some((n, hash.try_into().ok()?))));
    }
    Ok(stored)
}

/// Measured speed of this session on some of the chunks; 0 where there are none.
fn tokens_per_second(build: &Build, model: &'static LocalModel, chunks: &[Chunk]) -> Result<f64> {
    let mut tokens = 0;
    let enough = chunks.iter().take_while(|chunk| {
        let is_wanted = tokens < TIMED_TOKENS;
        tokens += chunk.heading_tokens + chunk.token_count;
        is_wanted
    });
    let timed: Vec<&Chunk> = enough.collect();
    let Some(first) = timed.first() else { return Ok(0.0) };
    let embedder = model::ready_embedder(model)?;
    // The first run of a session takes memory that the next ones have.
    embed(build, embedder, &[first])?;
    let started = Instant::now();
    embed(build, embedder, &timed)?;
    let tokens: usize = timed.iter().map(|chunk| chunk.heading_tokens + chunk.token_count).sum();
    Ok(tokens as f64 / started.elapsed().as_secs_f64().max(1e-6))
}

fn embed(build: &Build, embedder: &'static LocalModel, chunks: &[&Chunk]) -> Result<()> {
    plan::embed(chunks, embedder, build.dimensions, build.token_bits, &mut checkpoint)?;
    Ok(())
}
