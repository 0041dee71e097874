//! The hashes by which a hub names its files.
use crate::model::manifest::{hex, sha256_hex};
use crate::{Error, Result};
use sha1::{Digest, Sha1};

/// The expected hash of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// sha256 of the bytes: large files.
    Sha256(String),
    /// git's name of the file: sha1 over a header and the bytes.
    GitBlob(String),
}

impl Checksum {
    /// An entity tag of the hub is the hash itself, perhaps weak and quoted.
    pub fn from_etag(etag: Option<&str>) -> Option<Self> {
        let etag = etag?.trim();
        let hash = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_ascii_lowercase();
        let is_hex = hash.bytes().all(|b| b.is_ascii_hexdigit());
        match hash.len() {
            64 if is_hex => Some(Self::Sha256(hash)),
            40 if is_hex => Some(Self::GitBlob(hash)),
            _ => None,
        }
    }

    /// Compares; `what` names the file in the error.
    pub fn verify(&self, bytes: &[u8], what: &str) -> Result<()> {
        let (kind, expected, found) = match self {
            Self::Sha256(expected) => ("sha256", expected, sha256_hex(bytes)),
            Self::GitBlob(expected) => ("git hash", expected, git_blob(bytes)),
        };
        if found == *expected {
            return Ok(());
        }
        Err(Error::remote(format!("{what} arrived damaged"))
            .with_detail(format!("Its {kind} is {found}, should be {expected}."))
            .with_hint("Try again; if it stays, the hub or something on the way changes files."))
    }
}

fn git_blob(bytes: &[u8]) -> String {
    let header = format!("blob {}\0", bytes.len());
    hex(&Sha1::new().chain_update(header).chain_update(bytes).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_hashes() {
        let sha256 = "a".repeat(64);
        let known = Some(Checksum::Sha256(sha256.clone()));
        assert_eq!(Checksum::from_etag(Some(&format!("\"{sha256}\""))), known);
        assert_eq!(Checksum::from_etag(Some(&format!("W/\"{sha256}\""))), known);
        let blob = Some(Checksum::GitBlob("b".repeat(40)));
        assert_eq!(Checksum::from_etag(Some(&"B".repeat(40))), blob);
        assert_eq!(Checksum::from_etag(Some("\"5f-1234\"")), None);
        assert_eq!(Checksum::from_etag(Some(&"z".repeat(64))), None);
        assert_eq!(Checksum::from_etag(None), None);
    }

    #[test]
    fn git_names_a_blob_as_git_does() {
        // git hash-object over "hello\n", and over nothing.
        assert_eq!(git_blob(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(git_blob(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    }
}
