//! Puts imported models where the extension reads them: complete or not at all.
//!
//! Files are written to a temporary directory beside their place, flushed, and renamed; `current`
//! is replaced last. A server that reads meanwhile sees the old model or the new one.
use crate::model::import::Imported;
use crate::model::inventory;
use crate::model::manifest::{CURRENT_FILE, MANIFEST_FILE, MODEL_FILE, TOKENIZER_FILE};
use crate::{Error, Result};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The outcome of installing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallOutcome {
    /// The files were written.
    Installed,
    /// The very same model was there and intact; `current` may have moved to it.
    AlreadyInstalled,
    /// The same model was there, but damaged; it was written again.
    Repaired,
}

/// Installs a model under its name and makes it what the name stands for.
pub fn install(models: &Path, imported: &Imported) -> Result<InstallOutcome> {
    let manifest = &imported.manifest;
    let name = models.join(&manifest.name);
    create_directories(&name)?;
    // Two imports at once would fight over the temporary directory; the second waits.
    let lock = name.join(".lock");
    let lock_file = create_file(&lock)?;
    lock_file.lock().map_err(|e| failed("lock", &lock, &e))?;

    let place = name.join(&manifest.fingerprint);
    let outcome = if !place.exists() {
        InstallOutcome::Installed
    } else if inventory::check(&place).is_ok() {
        InstallOutcome::AlreadyInstalled
    } else {
        InstallOutcome::Repaired
    };
    if outcome != InstallOutcome::AlreadyInstalled {
        write_directory(&name, &place, imported)?;
    }
    replace_file(&name, CURRENT_FILE, format!("{}\n", manifest.fingerprint).as_bytes())?;
    Ok(outcome)
}

fn write_directory(parent: &Path, place: &Path, imported: &Imported) -> Result<()> {
    let (new, old) = (parent.join(".new"), parent.join(".old"));
    for leftover in [&new, &old] {
        remove_directory(leftover)?;
    }
    create_directories(&new)?;
    write_file(&new.join(MODEL_FILE), &imported.model)?;
    write_file(&new.join(TOKENIZER_FILE), &imported.tokenizer)?;
    write_file(&new.join(MANIFEST_FILE), &imported.manifest.to_json())?;
    flush_directory(&new)?;
    if place.exists() {
        fs::rename(place, &old).map_err(|e| failed("move away", place, &e))?;
    }
    fs::rename(&new, place).map_err(|e| failed("write", place, &e))?;
    flush_directory(parent)?;
    remove_directory(&old)
}

fn replace_file(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (new, place) = (directory.join(format!(".{name}.new")), directory.join(name));
    write_file(&new, bytes)?;
    fs::rename(&new, &place).map_err(|e| failed("write", &place, &e))?;
    flush_directory(directory)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = create_file(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| failed("write", path, &e))
}

/// Whoever imports, the server's user must be able to read, so the umask does not count.
fn create_file(path: &Path) -> Result<File> {
    let options = OpenOptions::new().write(true).create(true).truncate(true).clone();
    let file = options.open(path).map_err(|e| failed("create", path, &e))?;
    file.set_permissions(Permissions::from_mode(0o644)).map_err(|e| failed("create", path, &e))?;
    Ok(file)
}

fn create_directories(path: &Path) -> Result<()> {
    let missing: Vec<PathBuf> =
        path.ancestors().take_while(|p| !p.exists()).map(Path::to_owned).collect();
    for directory in missing.iter().rev().filter(|d| !d.as_os_str().is_empty()) {
        match fs::create_dir(directory) {
            // Another import made it first.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
            Err(e) => Err(e),
            Ok(()) => fs::set_permissions(directory, Permissions::from_mode(0o755)),
        }
        .map_err(|e| failed("create", directory, &e))?;
    }
    Ok(())
}

fn remove_directory(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", path, &e)),
        _ => Ok(()),
    }
}

fn flush_directory(path: &Path) -> Result<()> {
    File::open(path).and_then(|d| d.sync_all()).map_err(|e| failed("flush", path, &e))
}

fn failed(what: &str, path: &Path, e: &std::io::Error) -> Error {
    let error = Error::io(format!("could not {what} \"{}\"", path.display()));
    let error = error.with_detail(e.to_string());
    match e.kind() {
        std::io::ErrorKind::PermissionDenied => error
            .with_hint("Run as a user who may write there, or choose another --models directory."),
        _ => error,
    }
}
