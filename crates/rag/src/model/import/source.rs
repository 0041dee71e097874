//! Where the files of a model come from: a directory, a zip (a wheel is one) holding one, or a hub.
use crate::file::{self, Links};
use crate::model::hub::Snapshot;
use crate::{Error, Result};
use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::result::ZipError;

/// Weights as trained.
pub(super) const WEIGHTS_FILE: &str = "model.safetensors";
/// A graph that is meant to be run: it is taken as it is.
pub(super) const ONNX_FILE: &str = "model.onnx";
/// A graph that hubs keep beside the weights for convenience: taken as it is where the weights
/// cannot be imported, since a graph written here is smaller and faster.
pub(super) const EXPORTED_FILE: &str = "onnx/model.onnx";

/// Larger files are not read. ONNX files cannot pass 2 GB, and weights become one.
const MAX_FILE_BYTES: u64 = 4 << 30;
/// Wheels and zips hold several.
const MAX_ARCHIVE_BYTES: u64 = 16 << 30;

/// A readable tree of files.
pub enum ModelSource {
    /// A directory.
    Directory(PathBuf),
    /// The part of a zip below `prefix`.
    Archive {
        /// The open file.
        archive: RefCell<ZipArchive<File>>,
        /// Empty, or a directory's name with a slash at its end.
        prefix: String,
        /// For messages.
        path: PathBuf,
    },
    /// A commit of a model on a hub; files are fetched when they are read.
    Hub(Snapshot),
}

impl ModelSource {
    /// Opens a directory, wheel or zip.
    pub fn open(path: &Path) -> Result<Self> {
        let metadata = path.metadata().map_err(|e| {
            Error::io(format!("could not open \"{}\"", path.display()))
                .with_detail(e.to_string())
                .with_hint("Give a model's directory, or a wheel or zip holding one.")
        })?;
        if metadata.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        let opened = file::open(path, Links::Anywhere, MAX_ARCHIVE_BYTES);
        let (file, _) = opened.map_err(|e| unreadable(path, &e))?;
        let archive = ZipArchive::new(file).map_err(|e| {
            Error::unsupported(format!("\"{}\" is no directory and no zip file", path.display()))
                .with_detail(e.to_string())
                .with_hint("Give a model's directory, or a wheel or zip holding one.")
        })?;
        let prefix = only_model(&archive, path)?;
        Ok(Self::Archive { archive: RefCell::new(archive), prefix, path: path.to_owned() })
    }

    /// The bytes of a file, or nothing if it is not there. `name` uses slashes.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Directory(root) => read_file(&root.join(name)),
            Self::Archive { archive, prefix, path } => {
                read_entry(&mut archive.borrow_mut(), &format!("{prefix}{name}"), path)
            }
            Self::Hub(snapshot) => snapshot.read(name),
        }
    }

    /// Whether a file is there.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(root) => root.join(name).is_file(),
            Self::Archive { archive, prefix, .. } => {
                archive.borrow().index_for_name(&format!("{prefix}{name}")).is_some()
            }
            Self::Hub(snapshot) => snapshot.has(name),
        }
    }
}

/// The one directory of the zip that holds a model.
fn only_model(archive: &ZipArchive<File>, path: &Path) -> Result<String> {
    let mut found: Vec<&str> = archive
        .file_names()
        .filter_map(|name| {
            let prefix = [WEIGHTS_FILE, EXPORTED_FILE, ONNX_FILE]
                .iter()
                .find_map(|file| name.strip_suffix(file))?;
            let is_directory = prefix.is_empty() || prefix.ends_with('/');
            let has_config = archive.index_for_name(&format!("{prefix}config.json")).is_some();
            (is_directory && has_config).then_some(prefix)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [prefix] => Ok(prefix.to_owned()),
        [] => Err(Error::unsupported(format!("\"{}\" holds no model", path.display())).with_hint(
            "A model is a directory with config.json and model.safetensors or model.onnx.",
        )),
        _ => Err(Error::unsupported(format!("\"{}\" holds several models", path.display()))
            .with_detail(format!("They are in {}.", found.join(", ")))
            .with_hint("Unpack it and import one of the directories.")),
    }
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    match file::read(path, Links::Anywhere, MAX_FILE_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound || path.is_dir() => Ok(None),
        Err(e) => Err(unreadable(path, &e)),
    }
}

fn read_entry(archive: &mut ZipArchive<File>, name: &str, path: &Path) -> Result<Option<Vec<u8>>> {
    let damaged = |e: &dyn std::fmt::Display| {
        Error::configuration(format!("could not read \"{name}\" in \"{}\"", path.display()))
            .with_detail(e.to_string())
            .with_hint("The file is damaged; fetch it again.")
    };
    match archive.by_name(name) {
        Ok(entry) => {
            let size = entry.size();
            file::contents(entry, size, MAX_FILE_BYTES).map(Some).map_err(|e| damaged(&e))
        }
        Err(ZipError::FileNotFound) => Ok(None),
        Err(e) => Err(damaged(&e)),
    }
}

fn unreadable(path: &Path, e: &std::io::Error) -> Error {
    Error::io(format!("could not read \"{}\"", path.display())).with_detail(e.to_string())
}
