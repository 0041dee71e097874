//! A model hub over HTTP, in the layout of Hugging Face.
//!
//! A revision is first resolved to a commit, and every file is then read at that commit, so a
//! model never mixes two. Every file is checked against the hash the hub gives for it.
mod checksum;
mod transfer;

use crate::{Error, Result};
use checksum::Checksum;
use serde::Deserialize;
use transfer::{Transfer, TransferProgress};

pub use transfer::{DEFAULT_ENDPOINT, HubSettings};

/// Told of each file's name, bytes read so far, and size where known.
pub type Progress = Box<dyn Fn(&str, u64, Option<u64>)>;

/// One commit of a model on a hub.
pub struct Snapshot {
    transfer: Transfer,
    name: String,
    commit: String,
    files: Vec<String>,
    progress: Progress,
}

#[derive(Deserialize)]
struct ModelInfo {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Snapshot {
    /// Looks a model up. `revision` is a branch, tag or commit.
    pub fn open(
        settings: HubSettings,
        name: &str,
        revision: &str,
        progress: Progress,
    ) -> Result<Self> {
        check_model(name)?;
        let transfer = Transfer::new(settings)?;
        let path = format!("/api/models/{name}/revision/{}", encoded(revision)?);
        let what = format!("model \"{name}\" at revision \"{revision}\"");
        let body = transfer.get(&path, &what, &|_| {})?.body;
        let info: ModelInfo = serde_json::from_slice(&body).map_err(|e| {
            Error::remote(format!("the hub's answer about {what} could not be read"))
                .with_detail(e.to_string())
                .with_hint("HF_ENDPOINT must be a hub in the layout of Hugging Face.")
        })?;
        if info.sha.len() < 40 || !info.sha.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::remote(format!("the hub gives no commit for {what}")));
        }
        let files = info.siblings.into_iter().map(|s| s.rfilename).collect();
        Ok(Self { transfer, name: name.to_owned(), commit: info.sha, files, progress })
    }

    /// The commit that all files are read at.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// Whether the commit has a file.
    pub fn has(&self, file: &str) -> bool {
        self.files.iter().any(|f| f == file)
    }

    /// A file's bytes, or nothing if the commit has no such file.
    pub fn read(&self, file: &str) -> Result<Option<Vec<u8>>> {
        if !self.has(file) {
            return Ok(None);
        }
        let parts = file.split('/').map(encoded).collect::<Result<Vec<_>>>()?;
        let path = format!("/{}/resolve/{}/{}", self.name, self.commit, parts.join("/"));
        let what = format!("\"{file}\" of model \"{}\"", self.name);
        let report = |head: &TransferProgress| (self.progress)(file, head.received, head.size);
        let file = self.transfer.get(&path, &what, &report)?;
        let checksum = Checksum::from_etag(file.etag.as_deref()).ok_or_else(|| {
            Error::remote(format!("the hub gives no checksum for {what}"))
                .with_hint("Fetch the files another way and import their directory.")
        })?;
        checksum.verify(&file.body, &what)?;
        Ok(Some(file.body))
    }
}

/// Refuses what is not `owner/name`, or `name` alone for the oldest models.
pub fn check_model(name: &str) -> Result<()> {
    let fine = |part: &str| {
        !part.is_empty()
            && part.len() <= 96
            && !part.contains("..")
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    if name.split('/').count() <= 2 && name.split('/').all(fine) {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("{name:?} is no model of a hub"))
        .with_hint("Give it as owner/name, for example sentence-transformers/all-MiniLM-L6-v2."))
}

/// A part of a path, percent-encoded.
fn encoded(part: &str) -> Result<String> {
    if part.is_empty() || part == "." || part == ".." {
        return Err(Error::invalid_argument(format!("{part:?} cannot be part of a hub's path")));
    }
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    };
    Ok(part.bytes().map(byte).collect())
}
