//! Lists the models installed in a directory, and checks their hashes.
use crate::file::{self, Links};
use crate::model::manifest::{
    CURRENT_FILE, MANIFEST_FILE, MAX_CURRENT, MAX_MODEL, MAX_SETTINGS, MODEL_FILE, Manifest,
    TOKENIZER_FILE, check_name, hex,
};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// One build of a model on disk.
#[derive(Debug)]
pub struct InstalledBuild {
    /// The model's name: its directory's.
    pub name: String,
    /// The fingerprint: the inner directory's name.
    pub fingerprint: String,
    /// Where the files lie.
    pub path: PathBuf,
    /// Whether the bare name stands for this build.
    pub is_current: bool,
    /// The manifest, or why it cannot be read.
    pub manifest: Result<Manifest>,
    /// Bytes of its files.
    pub size: u64,
}

/// Every build in `models`, by name, the current one first. A directory that is not there is empty.
pub fn list(models: &Path) -> Result<Vec<InstalledBuild>> {
    let mut entries = Vec::new();
    for name in directories(models)? {
        if check_name(&name).is_ok() {
            entries.extend(builds(models, &name)?);
        }
    }
    Ok(entries)
}

/// Every build of one model, the current one first.
pub fn builds(models: &Path, name: &str) -> Result<Vec<InstalledBuild>> {
    check_name(name)?;
    let directory = models.join(name);
    let current = current(models, name)?;
    let mut builds: Vec<_> = directories(&directory)?
        .into_iter()
        .map(|fingerprint| entry(name, fingerprint, &directory, current.as_deref()))
        .collect();
    if let Some(fingerprint) = current
        && builds.iter().all(|b| !b.is_current)
    {
        // The name stands for something that is gone: damage worth a line of its own.
        builds.push(entry(name, fingerprint.clone(), &directory, Some(&fingerprint)));
    }
    builds.sort_by_key(|b| !b.is_current);
    Ok(builds)
}

/// The fingerprint a bare name stands for.
pub fn current(models: &Path, name: &str) -> Result<Option<String>> {
    let path = models.join(name).join(CURRENT_FILE);
    match read(&path, MAX_CURRENT) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(&path, &e)),
    }
}

/// Recomputes every hash of a build. Says what is damaged.
pub fn check(path: &Path) -> Result<Manifest> {
    let manifest = read_manifest(path)?;
    let directory = path.file_name().map(|n| n.to_string_lossy().into_owned());
    if directory.as_deref() != Some(&manifest.fingerprint) {
        return Err(damaged(
            &path.join(MANIFEST_FILE),
            format!("it is of the build {}", manifest.fingerprint),
        ));
    }
    let files =
        [(MODEL_FILE, &manifest.model_sha256), (TOKENIZER_FILE, &manifest.tokenizer_sha256)];
    for (file, expected) in files {
        let path = path.join(file);
        let found = file_sha256(&path)?;
        if found != *expected {
            return Err(damaged(&path, format!("sha256 is {found}, should be {expected}")));
        }
    }
    Ok(manifest)
}

fn entry(
    name: &str,
    fingerprint: String,
    directory: &Path,
    current: Option<&str>,
) -> InstalledBuild {
    let path = directory.join(&fingerprint);
    let sizes = [MANIFEST_FILE, MODEL_FILE, TOKENIZER_FILE]
        .map(|file| fs::metadata(path.join(file)).map_or(0, |m| m.len()));
    InstalledBuild {
        name: name.to_owned(),
        is_current: current == Some(&fingerprint),
        manifest: read_manifest(&path),
        size: sizes.iter().sum(),
        fingerprint,
        path,
    }
}

/// Reads a file of a model. Its links stay in the models directory, or in the model's own, which an administrator
/// may have linked to from there.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    file::read(path, Links::Below(&allowed_directories(path)), most)
}

/// Where a file of a model may lie: `<models>/<name>/current`, or in a directory below.
fn allowed_directories(path: &Path) -> Vec<PathBuf> {
    let depth = if path.ends_with(CURRENT_FILE) { 1 } else { 2 };
    path.ancestors().skip(depth).take(2).map(Path::to_owned).collect()
}

fn read_manifest(path: &Path) -> Result<Manifest> {
    let path = path.join(MANIFEST_FILE);
    Manifest::from_json(&read(&path, MAX_SETTINGS).map_err(|e| unreadable(&path, &e))?)
}

fn file_sha256(path: &Path) -> Result<String> {
    let opened = file::open(path, Links::Below(&allowed_directories(path)), MAX_MODEL);
    let (mut file, _) = opened.map_err(|e| unreadable(path, &e))?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block).map_err(|e| unreadable(path, &e))? {
            0 => return Ok(hex(&hasher.finalize())),
            length => hasher.update(&block[..length]),
        }
    }
}

/// Names of the directories in `path`, sorted; those that begin with a dot are work in progress.
fn directories(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unreadable(path, &e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| unreadable(path, &e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn damaged(path: &Path, detail: String) -> Error {
    Error::configuration(format!("\"{}\" is damaged", path.display()))
        .with_detail(detail)
        .with_hint("Import the model again.")
}

fn unreadable(path: &Path, e: &std::io::Error) -> Error {
    let error = Error::configuration(format!("could not read \"{}\"", path.display()));
    error.with_detail(e.to_string()).with_hint("Import the model again.")
}
