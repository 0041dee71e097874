//! Zip files whose entries are read within bounds.
use std::collections::HashMap;
use std::io::{Read, Seek};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::failure::Failure;

/// More entries are refused: a document has some thousands at most.
const MAX_ENTRIES: usize = 65_535;
/// Bytes that all entries of a file may have together, unpacked.
const MAX_UNPACKED: u64 = 512 << 20;
/// Bytes that an entry may have whatever its ratio is.
const FREE_UNPACKED: u64 = 4 << 20;
/// What deflate makes of the most repetitive XML that documents have.
const MAX_RATIO: u64 = 200;

pub struct Archive<R> {
    zip: ZipArchive<R>,
    /// Names in lower case without a leading slash: some programs write other case than they refer to.
    names: HashMap<String, usize>,
    unpacked: u64,
}

impl<R: Read + Seek> Archive<R> {
    pub fn open(bytes: R) -> Result<Self, Failure> {
        let zip = ZipArchive::new(bytes).map_err(Failure::damaged)?;
        if zip.len() > MAX_ENTRIES {
            return Err(Failure::too_large(format!("file has more than {MAX_ENTRIES} parts")));
        }
        let names = (0..zip.len())
            .filter_map(|index| Some((key(&zip.name_for_index(index)?.ok()?), index)))
            .collect();
        Ok(Self { zip, names, unpacked: 0 })
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(&key(name))
    }

    /// The bytes of a part.
    pub fn read(&mut self, name: &str) -> Result<Vec<u8>, Failure> {
        let Some(&index) = self.names.get(&key(name)) else {
            return Err(Failure::damaged(format!("part \"{name}\" is missing")));
        };
        let entry = self.zip.by_index(index).map_err(|error| match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => Failure::encrypted(),
            error => Failure::damaged(error),
        })?;
        let packed = entry.compressed_size();
        let left = MAX_UNPACKED.saturating_sub(self.unpacked);
        let bound = left.min(FREE_UNPACKED.max(packed.saturating_mul(MAX_RATIO)));
        let mut bytes = Vec::new();
        entry.take(bound + 1).read_to_end(&mut bytes).map_err(Failure::damaged)?;
        if bytes.len() as u64 > bound {
            return Err(Failure::too_large("parts of the file are too large when unpacked"));
        }
        self.unpacked += bytes.len() as u64;
        Ok(bytes)
    }

    /// Reads all entries through, to find what they unpack to; for readers that unpack by themselves.
    pub fn check_all(&mut self) -> Result<(), Failure> {
        let mut names: Vec<String> = self.names.keys().cloned().collect();
        names.sort();
        names
            .iter()
            .filter(|name| matches!(name.rsplit('.').next(), Some("xml" | "bin" | "rels")))
            .try_for_each(|name| self.read(name).map(drop))
    }
}

fn key(name: &str) -> String {
    name.trim_start_matches('/').replace('\\', "/").to_lowercase()
}

/// The name of the part that `target` means in a relationship of `base`.
pub fn resolve(base: &str, target: &str) -> String {
    let target = target.split('#').next().unwrap_or_default();
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut path: Vec<&str> = base.split('/').collect();
    path.pop();
    for segment in target.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(path.pop()),
            segment => path.push(segment),
        }
    }
    path.join("/")
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn targets_are_relative_to_their_part() {
        assert_eq!(
            resolve("ppt/slides/slide1.xml", "../notesSlides/n.xml"),
            "ppt/notesSlides/n.xml"
        );
        assert_eq!(resolve("OEBPS/content.opf", "a/../b.xhtml#x"), "OEBPS/b.xhtml");
        assert_eq!(resolve("xl/workbook.xml", "/xl/sheet.xml"), "xl/sheet.xml");
    }
}
