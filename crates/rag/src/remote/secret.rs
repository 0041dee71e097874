//! Keys, where they come from, and where they may go.
use super::url::Url;
use crate::file::{self, Links};
use crate::{Error, Result};
use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Longest key in bytes; tokens of identity services are a few thousand.
const MAX_KEY_BYTES: u64 = 16 * 1024;

/// A key. It is shown nowhere, and it cannot be compared or cloned.
pub struct Secret(String);

/// Where a key is read from when a call is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file that only the server's operating system user can read.
    File(PathBuf),
    /// A variable of the server's environment.
    Environment(String),
}

/// A key's source and the URLs it may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// As SQL names it.
    pub name: String,
    /// It is sent to this URL and those below, and nowhere else.
    pub url_prefix: Url,
    /// Where it comes from.
    pub source: KeySource,
}

impl Secret {
    /// The key of some text; white space around it is no part of it.
    pub(super) fn new(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty");
        }
        // It becomes part of a header.
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("it holds spaces or characters that no key has");
        }
        Ok(Self(text.to_owned()))
    }

    /// The header value `prefix` and the key.
    pub(super) fn header(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.0)
    }

    /// Whether a word begins or ends with so many letters of the key.
    pub(super) fn shares(&self, word: &str, letters: usize) -> bool {
        let end = self.0.len().saturating_sub(letters);
        let parts = [self.0.get(..letters), self.0.get(end..)];
        parts.into_iter().flatten().any(|part| word.contains(part))
    }

    /// `text` without the key, should a peer have repeated it.
    pub fn redact(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl KeySource {
    /// Checks the form of a source, not that it exists: it may be put there later.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::File(path) => {
                let is_plain = path.is_absolute()
                    && path
                        .components()
                        .all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
                if is_plain {
                    return Ok(());
                }
                Err(Error::invalid_argument("the file of a credential must have an absolute path")
                    .with_hint("Give a path from the root, without \"..\"."))
            }
            Self::Environment(name) => {
                let is_name = !name.is_empty()
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                    && !name.starts_with(|c: char| c.is_ascii_digit());
                if is_name {
                    return Ok(());
                }
                Err(Error::invalid_argument(
                    "the environment variable of a credential has no such name",
                )
                .with_hint("Names have letters, digits and underscores."))
            }
        }
    }
}

impl Credential {
    /// An error unless the key may be sent to `address`.
    pub fn require(&self, url: &Url) -> Result<()> {
        if self.url_prefix.covers(url) {
            return Ok(());
        }
        Err(Error::forbidden(format!("credential \"{}\" is not for this URL", self.name))
            .with_detail(format!("It is for {} and what is below.", self.url_prefix))
            .with_hint("Create a credential for the model's URL."))
    }

    /// Reads the key, to be sent to `address`.
    pub fn read(&self, url: &Url) -> Result<Secret> {
        self.require(url)?;
        let read = match &self.source {
            KeySource::Environment(name) => match std::env::var(name) {
                Ok(text) => Secret::new(&text).map_err(str::to_owned),
                Err(_) => Err(format!("the server's environment has no variable \"{name}\"")),
            },
            KeySource::File(path) => read_file(path)
                .and_then(|text| Secret::new(&text).map_err(str::to_owned))
                .map_err(|why| format!("file \"{}\": {why}", path.display())),
        };
        read.map_err(|why| {
            Error::configuration(format!("could not read credential \"{}\"", self.name))
                .with_detail(why)
                .with_hint(
                    "The file must belong to the server's operating system user and be readable by nobody else (chmod 600).",
                )
        })
    }
}

/// Reads a key file: a regular file that only the server's user can read. A link at its
/// end is not followed, and what is checked is what is read.
fn read_file(path: &Path) -> Result<String, String> {
    let (file, size) = file::open(path, Links::No, MAX_KEY_BYTES).map_err(|e| e.to_string())?;
    check_file(&file)?;
    let bytes = file::contents(file, size, MAX_KEY_BYTES).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is no text".to_owned())
}

fn check_file(file: &File) -> Result<(), String> {
    let metadata = file.metadata().map_err(|e| e.to_string())?;
    if metadata.uid() != effective_user() {
        return Err("it does not belong to the server's operating system user".to_owned());
    }
    if metadata.mode() & 0o177 != 0 {
        return Err(format!("its mode is {:04o}, not 0600 or 0400", metadata.mode() & 0o7777));
    }
    Ok(())
}

#[allow(unsafe_code)] // the only way to ask
fn effective_user() -> u32 {
    // SAFETY: reads the process's credentials; it cannot fail.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn credential(path: &Path) -> Credential {
        Credential {
            name: "key".to_owned(),
            url_prefix: Url::parse("https://api.example.com/v1").unwrap(),
            source: KeySource::File(path.to_owned()),
        }
    }

    fn write(path: &Path, text: &[u8], mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_key_goes_below_its_prefix_only_and_is_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write(&path, b"sk-secret\n", 0o600);
        let credential = credential(&path);
        let secret = credential.read(&url("https://api.example.com/v1/embeddings")).unwrap();
        assert_eq!(secret.header("Bearer "), "Bearer sk-secret");
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.redact("bad key sk-secret, sk-secret"), "bad key ***, ***");
        for other in [
            "https://api.example.com.evil/v1",
            "https://api.example.com",
            "http://api.example.com/v1",
        ] {
            let error = credential.read(&url(other)).unwrap_err();
            assert_eq!(error.sqlstate(), "42501");
            assert!(!format!("{error:?}").contains("sk-secret"));
        }
    }

    #[test]
    fn files_that_others_could_read_or_replace_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let read = |path: &Path| credential(path).read(&url("https://api.example.com/v1"));
        for mode in [0o640, 0o604, 0o660, 0o644, 0o700] {
            write(&path, b"sk-secret", mode);
            let error = read(&path).unwrap_err();
            assert_eq!(error.sqlstate(), "F0000");
            assert!(error.detail().unwrap().contains("mode"), "{error}");
        }
        write(&path, b"sk-secret", 0o400);
        assert!(read(&path).is_ok());
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(read(&link).unwrap_err().detail().unwrap().contains("symbolic link"));
        assert!(read(directory.path()).unwrap_err().detail().unwrap().contains("regular"));
        assert!(read(Path::new("/dev/null")).is_err());
        assert!(read(&directory.path().join("none")).is_err());
        for text in [&b""[..], b" \n", b"two words", b"a\nb", b"\xff\xfe", &vec![b'x'; 20_000]] {
            write(&path, text, 0o600);
            let error = read(&path).unwrap_err();
            assert_eq!(error.sqlstate(), "F0000");
        }
    }

    #[test]
    fn sources_have_a_form() {
        let file = |path: &str| KeySource::File(PathBuf::from(path)).check();
        assert!(file("/etc/keys/openai").is_ok());
        assert!(file("keys/openai").is_err() && file("/etc/../x").is_err() && file("").is_err());
        let variable = |name: &str| KeySource::Environment(name.to_owned()).check();
        assert!(variable("OPENAI_API_KEY").is_ok());
        assert!(variable("").is_err() && variable("A=B").is_err() && variable("1A").is_err());
        let missing = Credential {
            source: KeySource::Environment("RAG_PG_NO_SUCH_VARIABLE".into()),
            ..credential(Path::new("/x"))
        };
        let error = missing.read(&url("https://api.example.com/v1")).unwrap_err();
        assert!(error.detail().unwrap().contains("RAG_PG_NO_SUCH_VARIABLE"));
    }
}
