//! Embedded chunks on their way from the model to the table, in bounded memory.
use super::plan::Embedded;
use crate::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// What is kept in memory. Only a document of several megabytes needs more.
const MAX_MEMORY: usize = 64 * 1024 * 1024;

/// Embedded chunks, found again by the handle that [`Spool::put`] returns. Beyond a bound they go to a file without a name,
/// so that nothing is left of it however the process ends.
pub struct Spool {
    directory: PathBuf,
    limit: usize,
    memory: Vec<u8>,
    file: Option<File>,
    /// Bytes in the file; what follows is in memory.
    flushed: u64,
}

/// Where a spool keeps an embedded chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolHandle {
    offset: u64,
    dimensions: usize,
    bits: Option<usize>,
}

impl SpoolHandle {
    /// Bytes of its embedded chunk.
    pub fn size(&self) -> u64 {
        (self.dimensions * size_of::<f32>() + self.bits.unwrap_or(0)) as u64
    }
}

impl Spool {
    /// A file, if one is needed, is made in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::with_limit(directory, MAX_MEMORY)
    }

    fn with_limit(directory: impl Into<PathBuf>, limit: usize) -> Self {
        Self { directory: directory.into(), limit, memory: Vec::new(), file: None, flushed: 0 }
    }

    /// Keeps an embedded chunk.
    pub fn put(&mut self, embedded: &Embedded) -> Result<SpoolHandle> {
        let handle = SpoolHandle {
            offset: self.size(),
            dimensions: embedded.vector.len(),
            bits: embedded.bits.as_ref().map(Vec::len),
        };
        self.memory.extend(embedded.vector.iter().flat_map(|value| value.to_ne_bytes()));
        self.memory.extend_from_slice(embedded.bits.as_deref().unwrap_or_default());
        if self.memory.len() > self.limit {
            self.flush()?;
        }
        Ok(handle)
    }

    /// A spool with the embedded chunks of these handles alone, and their new handles.
    pub fn copy(&self, handles: &[SpoolHandle]) -> Result<(Self, Vec<SpoolHandle>)> {
        let mut copy = Self::with_limit(self.directory.clone(), self.limit);
        let copied: Result<_> = handles.iter().map(|one| copy.put(&self.get(*one)?)).collect();
        Ok((copy, copied?))
    }

    /// Bytes in it.
    pub fn size(&self) -> u64 {
        self.flushed + self.memory.len() as u64
    }

    /// The embedded chunk of a handle, which this spool returned.
    pub fn get(&self, handle: SpoolHandle) -> Result<Embedded> {
        let size = handle.size() as usize;
        let mut bytes = vec![0; size];
        match (&self.file, handle.offset.checked_sub(self.flushed)) {
            (Some(file), None) => file.read_exact_at(&mut bytes, handle.offset).map_err(failed)?,
            (_, start) => {
                let start = start.unwrap_or_default() as usize;
                bytes.copy_from_slice(&self.memory[start..start + size]);
            }
        }
        let bits = bytes.split_off(handle.dimensions * size_of::<f32>());
        let value = |four: &[u8]| f32::from_ne_bytes(four.try_into().expect("four bytes"));
        Ok(Embedded {
            vector: bytes.chunks_exact(size_of::<f32>()).map(value).collect(),
            bits: handle.bits.map(|_| bits),
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
            let mut spool = Spool::with_limit(directory.path(), limit);
            let handles: Vec<_> = embedded.iter().map(|one| spool.put(one).unwrap()).collect();
            let some: Vec<_> = handles.iter().copied().step_by(2).collect();
            let (copy, copied) = spool.copy(&some).unwrap();
            prop_assert!(copy.size() <= spool.size());
            for (handle, one) in copied.into_iter().zip(embedded.iter().step_by(2)) {
                prop_assert_eq!(&copy.get(handle).unwrap(), one);
            }
            for (handle, one) in handles.into_iter().zip(&embedded).rev() {
                prop_assert_eq!(&spool.get(handle).unwrap(), one);
            }
            prop_assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }
}
