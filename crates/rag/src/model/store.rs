//! The models directory: names to directories to verified bytes.
//!
//! Every file is hashed as it is read, so what runs is what its fingerprint says.
use super::inventory::{self, InstalledBuild, read};
use super::manifest::{
    CURRENT_FILE, MANIFEST_FILE, MAX_CURRENT, MAX_MODEL, MAX_SETTINGS, MAX_TOKENIZER, MODEL_FILE,
    Manifest, TOKENIZER_FILE, check_name, sha256_hex,
};
use super::onnx;
use crate::{Error, Result};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A models directory.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// One build of a model on disk. Its files have not been read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The model's name.
    pub name: String,
    /// The build's fingerprint, as its directory is called.
    pub fingerprint: String,
    /// Where its files lie.
    pub directory: PathBuf,
}

fn is_fingerprint(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl Store {
    /// A store over the directory `root`, which is not looked at yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Finds `name` (its current build) or `name@fingerprint`; an error when it is not installed.
    pub fn locate(&self, reference: &str) -> Result<Located> {
        self.find(reference)?.ok_or_else(|| self.missing(reference))
    }

    /// Finds `name` (its current build) or `name@fingerprint`; `None` when it is not installed.
    pub fn find(&self, reference: &str) -> Result<Option<Located>> {
        let (name, fingerprint) = match reference.split_once('@') {
            Some((name, fingerprint)) => (name, Some(fingerprint)),
            None => (reference, None),
        };
        check_name(name)?;
        let fingerprint = match fingerprint {
            Some(fingerprint) if is_fingerprint(fingerprint) => fingerprint.to_owned(),
            Some(fingerprint) => {
                return Err(Error::invalid_argument(format!(
                    "\"{fingerprint}\" is not a model fingerprint"
                ))
                .with_hint("A fingerprint has 64 hexadecimal digits; rag.model lists them."));
            }
            None => match self.current(name)? {
                Some(fingerprint) => fingerprint,
                None => return Ok(None),
            },
        };
        let directory = self.root.join(name).join(&fingerprint);
        let name = name.to_owned();
        Ok(directory.is_dir().then_some(Located { name, fingerprint, directory }))
    }

    /// The error for a model that is not installed.
    pub fn missing(&self, reference: &str) -> Error {
        let (name, fingerprint) = match reference.split_once('@') {
            Some((name, fingerprint)) => (name, Some(fingerprint.to_owned())),
            None => (reference, self.current(reference).ok().flatten()),
        };
        match fingerprint {
            Some(fingerprint) => Error::undefined(format!(
                "build {fingerprint} of model \"{name}\" is not installed"
            ))
            .with_hint("Import the same files again with \"rag-model import\"."),
            None => Error::undefined(format!("model \"{name}\" is not installed"))
                .with_hint(self.what_is_installed()),
        }
    }

    /// Fingerprint that the bare name stands for; `None` when there is no such model.
    fn current(&self, name: &str) -> Result<Option<String>> {
        let path = self.root.join(name).join(CURRENT_FILE);
        let text = match read(&path, MAX_CURRENT) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == ErrorKind::NotFound && !self.root.join(name).is_dir() => {
                return Ok(None);
            }
            Err(e) => return Err(unreadable(name, &path, &e)),
        };
        let fingerprint = text.trim_end();
        if is_fingerprint(fingerprint) {
            Ok(Some(fingerprint.to_owned()))
        } else {
            Err(damaged(name, "its \"current\" file holds no fingerprint"))
        }
    }

    /// Every build of every model, by name, the current ones first; damaged ones too.
    pub fn list(&self) -> Result<Vec<InstalledBuild>> {
        inventory::list(&self.root)
    }

    /// A hint that says which names would work.
    fn what_is_installed(&self) -> String {
        let root = self.root.display();
        let mut names: Vec<String> =
            self.list().unwrap_or_default().into_iter().map(|e| e.name).collect();
        names.dedup();
        match &names[..] {
            [_, ..] => format!("Installed in \"{root}\": {}.", names.join(", ")),
            [] => format!(
                "No model is installed in \"{root}\"; run \"make setup\", or \"rag-model import\" or \"rag-model pull\"."
            ),
        }
    }
}

impl Located {
    /// Reads the manifest and checks that it describes this very build.
    pub fn manifest(&self) -> Result<Manifest> {
        let manifest = Manifest::from_json(&self.read(MANIFEST_FILE, MAX_SETTINGS)?)?;
        if manifest.fingerprint != self.fingerprint {
            return Err(damaged(&self.name, "its manifest is of another build").with_detail(
                format!("Expected {}, found {}.", self.fingerprint, manifest.fingerprint),
            ));
        }
        Ok(manifest)
    }

    /// Reads and verifies `tokenizer.json`.
    pub fn tokenizer(&self, manifest: &Manifest) -> Result<Vec<u8>> {
        self.verified(TOKENIZER_FILE, MAX_TOKENIZER, &manifest.tokenizer_sha256)
    }

    /// Reads and verifies `model.onnx`. It names no other file: it is loaded from memory, and ONNX Runtime would look
    /// for one from the server's working directory on.
    pub fn graph(&self, manifest: &Manifest) -> Result<Vec<u8>> {
        let graph = self.verified(MODEL_FILE, MAX_MODEL, &manifest.model_sha256)?;
        if !onnx::external::is_self_contained(&graph) {
            return Err(damaged(&self.name, "\"model.onnx\" keeps weights in another file"));
        }
        Ok(graph)
    }

    fn read(&self, file: &str, most: u64) -> Result<Vec<u8>> {
        let path = self.directory.join(file);
        read(&path, most).map_err(|e| unreadable(&self.name, &path, &e))
    }

    fn verified(&self, file: &str, most: u64, expected: &str) -> Result<Vec<u8>> {
        let bytes = self.read(file, most)?;
        let actual = sha256_hex(&bytes);
        if actual != expected {
            return Err(damaged(&self.name, &format!("\"{file}\" is truncated or was changed"))
                .with_detail(format!(
                    "Expected sha256 {expected}, found {actual} over {} bytes.",
                    bytes.len()
                )));
        }
        Ok(bytes)
    }
}

/// The hint for files that are not as they were imported.
pub(super) const DAMAGED_HINT: &str =
    "\"rag-model verify\" shows what is wrong; import the model again.";

fn damaged(name: &str, how: &str) -> Error {
    Error::configuration(format!("model \"{name}\" is damaged: {how}")).with_hint(DAMAGED_HINT)
}

fn unreadable(name: &str, path: &Path, error: &std::io::Error) -> Error {
    let message = format!("could not read \"{}\" of model \"{name}\"", path.display());
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => {
            "The server's operating system user must be able to read the models directory."
        }
        _ => DAMAGED_HINT,
    };
    Error::configuration(message).with_detail(error.to_string()).with_hint(hint)
}
