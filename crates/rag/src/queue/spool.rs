//! Embedded chunks on their way from the model to the table, in bounded memory.
use super::plan::Embedded;
use crate::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// Bytes kept in memory. Only a document of several megabytes needs more.
const MEMORY: usize = 64 * 1024 * 1024;

/// Results by position, put in any order. Beyond a bound they go to a file that has no name, so that
/// nothing is left of it however the process ends.
pub struct Spool {
    directory: PathBuf,
    limit: usize,
    memory: Vec<u8>,
    file: Option<File>,
    /// Bytes in the file; what follows is in memory.
    flushed: u64,
    records: Vec<Option<Record>>,
}

#[derive(Clone, Copy)]
struct Record {
    offset: u64,
    dimensions: usize,
    bits: Option<usize>,
}

impl Spool {
    /// For `count` results; a file, if one is needed, is made in `directory`.
    pub fn new(count: usize, directory: impl Into<PathBuf>) -> Self {
        Self::with_limit(count, directory, MEMORY)
    }

    fn with_limit(count: usize, directory: impl Into<PathBuf>, limit: usize) -> Self {
        let records = vec![None; count];
        Self {
            directory: directory.into(),
            limit,
            memory: Vec::new(),
            file: None,
            flushed: 0,
            records,
        }
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no positions.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Keeps the result of a position.
    pub fn put(&mut self, position: usize, embedded: &Embedded) -> Result<()> {
        let offset = self.flushed + self.memory.len() as u64;
        self.memory.extend(embedded.vector.iter().flat_map(|value| value.to_ne_bytes()));
        self.memory.extend_from_slice(embedded.bits.as_deref().unwrap_or_default());
        self.records[position] = Some(Record {
            offset,
            dimensions: embedded.vector.len(),
            bits: embedded.bits.as_ref().map(Vec::len),
        });
        if self.memory.len() > self.limit {
            self.flush()?;
        }
        Ok(())
    }

    /// Whether a position's result has been put.
    pub fn has(&self, position: usize) -> bool {
        self.records[position].is_some()
    }

    /// The result of a position. It has been put.
    pub fn get(&self, position: usize) -> Result<Embedded> {
        let record = self.records[position].expect("every chunk was embedded");
        let size = record.dimensions * size_of::<f32>() + record.bits.unwrap_or(0);
        let mut bytes = vec![0; size];
        match (&self.file, record.offset.checked_sub(self.flushed)) {
            (Some(file), None) => file.read_exact_at(&mut bytes, record.offset).map_err(failed)?,
            (_, start) => {
                let start = start.unwrap_or_default() as usize;
                bytes.copy_from_slice(&self.memory[start..start + size]);
            }
        }
        let bits = bytes.split_off(record.dimensions * size_of::<f32>());
        let value = |four: &[u8]| f32::from_ne_bytes(four.try_into().expect("four bytes"));
        Ok(Embedded {
            vector: bytes.chunks_exact(size_of::<f32>()).map(value).collect(),
            bits: record.bits.map(|_| bits),
        })
    }

    fn flush(&mut self) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(self.nameless().map_err(failed)?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&self.memory).map_err(failed)?;
        }
        self.flushed += self.memory.len() as u64;
        self.memory.clear();
        Ok(())
    }

    fn nameless(&self) -> std::io::Result<File> {
        // PostgreSQL makes its directory for temporary files with the first one.
        std::fs::create_dir_all(&self.directory)?;
        let path = self.directory.join(format!("pgsql_tmp{}.rag_pg", std::process::id()));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }
}

#[allow(clippy::needless_pass_by_value)] // the signature that map_err wants
fn failed(error: std::io::Error) -> Error {
    Error::io("could not use a temporary file").with_detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Embedded, Spool};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn gives_back_what_was_put_wherever_it_lies(
            sizes in prop::collection::vec((0_usize..5, prop::option::of(0_usize..9)), 1..40),
            limit in 0_usize..200,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let embedded: Vec<Embedded> = sizes.iter().enumerate().map(|(i, &(dimensions, bits))| Embedded {
                vector: (0..dimensions).map(|d| (i * 10 + d) as f32).collect(),
                bits: bits.map(|n| vec![i as u8; n]),
            }).collect();
            let mut spool = Spool::with_limit(embedded.len(), directory.path(), limit);
            prop_assert!(!spool.has(0));
            for (position, one) in embedded.iter().enumerate().rev() {
                spool.put(position, one).unwrap();
            }
            for (position, one) in embedded.iter().enumerate() {
                prop_assert!(spool.has(position));
                prop_assert_eq!(&spool.get(position).unwrap(), one);
            }
            prop_assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }
}
