//! Takes vectors that people have already, for texts that a generation is to embed.
#![allow(unsafe_code)] // PostgreSQL's random numbers

use crate::catalog::collection::{Collection, Generation, State};
use crate::ingest::imported::{find, text_hash};
use crate::maintain::estimate::sampled_chunks;
use crate::models::embedder::Embedder;
use crate::models::local::ready_embedder;
use crate::sys::cursor::batches;
use crate::sys::interrupt::checkpoint;
use crate::sys::names::relation;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{execute, fill, read, required};
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::quote_identifier;
use rag::model::{Detail, Embedder as _, Purpose};
use rag::queue::diff::ChunkHash;
use rag::{Error, Result};

/// Where the vectors are.
pub struct Source<'a> {
    pub table: Oid,
    pub content: &'a str,
    pub embedding: &'a str,
}

/// How they are checked: this many texts are embedded again, and none may be less alike.
pub struct Check {
    pub sample: usize,
    pub min_similarity: f64,
}

/// What was imported.
pub struct Imported {
    /// Rows with a text and a usable vector.
    pub rows: i64,
    /// Texts that differ.
    pub texts: i64,
    /// Least similarity of a vector to that of its text; `None` where nothing was compared.
    pub similarity: Option<f64>,
    /// Chunks of a sample of documents, and how many of them have a vector now.
    pub chunks: i64,
    pub matched: i64,
}

/// Imports vectors for the generation that is not loaded yet.
pub fn import(collection: &Collection, source: &Source<'_>, check: &Check) -> Result<Imported> {
    let generation = target(collection)?;
    let embedder = embedder(collection, &generation)?;
    let sql = statement(source)?;
    let mut reading = Reading {
        generation: &generation,
        embedder: &embedder,
        sample: Vec::new(),
        most: check.sample,
        rows: 0,
        texts: 0,
    };
    // As the caller: whose rows these are is not ours to say.
    batches(&sql, &[], |row| (required(row, 1), required(row, 2)), |rows| reading.take(rows))?;
    let Reading { sample, rows, texts, .. } = reading;
    let similarity = similarity(&embedder, &sample)?;
    if let Some(similarity) = similarity
        && similarity < check.min_similarity
    {
        return Err(unlike(&generation, similarity, sample.len(), check.min_similarity));
    }
    let (chunks, matched) = matched(collection, &generation, &embedder)?;
    Ok(Imported { rows, texts, similarity, chunks, matched })
}

/// The generation that is being loaded.
fn target(collection: &Collection) -> Result<Generation> {
    let name = &collection.name;
    let generation = match collection.generation_in(State::Building) {
        Some(building) => building,
        None => collection.active_generation()?,
    };
    if generation.bits.is_some() {
        return Err(Error::unsupported(format!("collection \"{name}\" keeps token bits, which come of embedding its texts"))
            .with_hint("Vectors are imported for collections with token_bits => false, as those of remote models are."));
    }
    if generation.is_loaded {
        return Err(Error::not_ready(format!("the first load of collection \"{name}\" is in"))
            .with_hint("Import in the transaction that calls rag_create_collection(), or rag_rebuild() for another model."));
    }
    Ok(generation)
}

fn embedder(collection: &Collection, generation: &Generation) -> Result<Embedder> {
    let mut embedder = Embedder::named(Some(&generation.model), collection.owner)?;
    if embedder.fingerprint() != generation.fingerprint {
        return Err(Error::not_ready(format!(
            "model \"{}\" is not the one that collection \"{}\" was made with",
            generation.model, collection.name
        ))
        .with_hint("Make the collection anew, or SELECT rag_rebuild(...)."));
    }
    if let Embedder::Remote(client) = &mut embedder {
        client.set_collection(collection.id);
    }
    Ok(embedder)
}

/// The statement that reads texts and vectors.
fn statement(source: &Source<'_>) -> Result<String> {
    let gone = || {
        Error::undefined("the table with the vectors does not exist")
            .with_hint("It was dropped meanwhile.")
    };
    let table = relation(source.table).ok_or_else(gone)?;
    let texts = "It holds the text that each vector was made from: a column of type text.";
    let vectors = "It holds the vectors: a column of type vector, halfvec, real[] or float8[].";
    for (column, is_text, hint) in
        [(source.content, true, texts), (source.embedding, false, vectors)]
    {
        let args = [source.table.into(), column.into()];
        let found = read(statement!("maintain/import_columns"), &args, |row| {
            (required::<String>(&row, 1), required::<bool>(&row, 2), required::<bool>(&row, 3))
        });
        let Some((type_sql, reads_text, reads_numbers)) = found.into_iter().next() else {
            return Err(Error::undefined_column(format!(
                "column \"{column}\" of {table} does not exist"
            ))
            .with_hint(hint));
        };
        if !(if is_text { reads_text } else { reads_numbers }) {
            return Err(Error::wrong_type(format!(
                "column \"{column}\" of {table} is of type {type_sql}"
            ))
            .with_hint(hint));
        }
    }
    let columns = [source.content, source.embedding].map(quote_identifier);
    let names = [("content", &*columns[0]), ("embedding", &*columns[1]), ("source", &*table)];
    Ok(fill(statement!("maintain/import_read"), &names))
}

/// Reads rows, and draws some of them.
struct Reading<'a> {
    generation: &'a Generation,
    embedder: &'a Embedder,
    /// Texts that fit the model, each with its vector.
    sample: Vec<(String, Vec<f32>)>,
    most: usize,
    rows: i64,
    texts: i64,
}

impl Reading<'_> {
    fn take(&mut self, rows: Vec<(String, Vec<Option<f32>>)>) -> Result<()> {
        let (mut hashes, mut vectors): (Vec<ChunkHash>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        for (text, numbers) in rows {
            checkpoint()?;
            let Some(vector) = self.usable(&text, numbers)? else { continue };
            self.rows += 1;
            hashes.push(text_hash(&text));
            vectors.push(vector.iter().flat_map(|number| number.to_le_bytes()).collect());
            self.draw(text, vector)?;
        }
        let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash[..]).collect();
        let args = [self.generation.id.into(), hashes.into(), vectors.into()];
        let new = as_extension_owner(|| execute(statement!("maintain/import_insert"), &args));
        self.texts += i64::try_from(new).unwrap_or(i64::MAX);
        Ok(())
    }

    /// The vector with length 1; `None` where there is no text, or a number that none can have.
    fn usable(&self, text: &str, numbers: Vec<Option<f32>>) -> Result<Option<Vec<f32>>> {
        let (found, wanted) = (numbers.len(), self.generation.dimensions);
        if found != wanted {
            return Err(Error::invalid_argument(format!(
                "a vector has {found} dimensions, and those of model \"{}\" have {wanted}",
                self.generation.model
            ))
            .with_hint("They are another model's: make the collection with that one."));
        }
        let vector: Vec<f32> =
            numbers.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect();
        let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
        let is_usable = length.is_finite() && length > 0.0 && !text.is_empty();
        Ok(is_usable.then(|| vector.iter().map(|n| (f64::from(*n) / length) as f32).collect()))
    }

    /// Draws each row with the same chance (reservoir sampling). A text that the model would cut says nothing.
    fn draw(&mut self, text: String, vector: Vec<f32>) -> Result<()> {
        let fits = || -> Result<bool> {
            let room = self.embedder.room(Purpose::Document)?;
            Ok(self.embedder.counter().count(&text)? <= room)
        };
        if self.sample.len() < self.most {
            if fits()? {
                self.sample.push((text, vector));
            }
            return Ok(());
        }
        // SAFETY: draws from this backend's random numbers.
        let drawn = unsafe { pg_sys::pg_prng_double(&raw mut pg_sys::pg_global_prng_state) };
        let place = (drawn * self.rows as f64) as usize;
        if place < self.sample.len() && fits()? {
            self.sample[place] = (text, vector);
        }
        Ok(())
    }
}

/// The least cosine similarity of a vector to that which its text has now.
fn similarity(embedder: &Embedder, sample: &[(String, Vec<f32>)]) -> Result<Option<f64>> {
    if sample.is_empty() {
        return Ok(None);
    }
    if let Embedder::Local(model) = embedder {
        ready_embedder(model)?;
    }
    let texts: Vec<&str> = sample.iter().map(|(text, _)| text.as_str()).collect();
    let found = embedder.embed(&texts, Purpose::Document, Detail::Vector, &mut checkpoint)?;
    let pairs = sample.iter().zip(&found);
    let cosines = pairs.map(|((_, theirs), ours)| {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        dot(theirs, &ours.vector) / dot(&ours.vector, &ours.vector).sqrt().max(f64::MIN_POSITIVE)
    });
    Ok(cosines.reduce(f64::min))
}

fn unlike(generation: &Generation, similarity: f64, compared: usize, least: f64) -> Error {
    Error::invalid_argument(format!(
        "the vectors are not those of model \"{}\"",
        generation.model
    ))
    .with_detail(format!(
        "Of {compared} texts that were embedded again, one has a cosine similarity of {similarity:.4} to its vector, less than {least}."
    ))
    .with_hint("Make the collection with the model, and the prefix, that they were made with, or name the column with the texts that they were made from.")
}

/// How many chunks of a sample of documents there are, and how many have an imported vector.
fn matched(
    collection: &Collection,
    generation: &Generation,
    embedder: &Embedder,
) -> Result<(i64, i64)> {
    let chunks = sampled_chunks(collection, generation, embedder)?;
    let hashes: Vec<ChunkHash> =
        chunks.iter().map(|chunk| text_hash(&chunk.embedding_text())).collect();
    let found = find(generation.id, &hashes);
    let matched = hashes.iter().filter(|hash| found.contains_key(*hash)).count();
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    Ok((number(chunks.len()), number(matched)))
}
