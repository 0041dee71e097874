//! Reads files that another user of the machine may have put there.
//!
//! Opening a pipe waits for its other side, and reading a device or a file of holes hardly ends: a backend that does
//! cannot be cancelled. So only regular files are opened, of a size that is known before they are read.
use crate::memory;
use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Symbolic links that are followed.
#[derive(Debug, Clone, Copy)]
pub enum Links<'a> {
    /// Wherever they lead: the path is the caller's own.
    Anywhere,
    /// Those to files below one of these directories.
    Below(&'a [PathBuf]),
    /// None at the end of the path.
    No,
}

/// Reads a regular file of at most so many bytes.
pub fn read(path: &Path, links: Links<'_>, most: u64) -> Result<Vec<u8>> {
    let (file, size) = open(path, links, most)?;
    contents(file, size, most)
}

/// Opens a regular file of at most so many bytes, and says how many it has.
pub fn open(path: &Path, links: Links<'_>, most: u64) -> Result<(File, u64)> {
    let path = match links {
        Links::No => path.to_owned(),
        Links::Anywhere => fs::canonicalize(path)?,
        Links::Below(directories) => below(path, directories)?,
    };
    // Before it is opened: a device may do something then.
    if !matches!(links, Links::No) {
        check(&fs::metadata(&path)?, most)?;
    }
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => refused("it is a symbolic link"),
        _ => error,
    })?;
    let metadata = file.metadata()?;
    check(&metadata, most)?;
    Ok((file, metadata.len()))
}

/// Reads an opened file of this size to its end; it may have grown, but not past the limit.
pub fn contents(reader: impl Read, size: u64, most: u64) -> Result<Vec<u8>> {
    if size > most {
        return Err(too_large(most));
    }
    let mut bytes = Vec::new();
    let room = usize::try_from(size).map_err(|_| too_large(most))?.saturating_add(1);
    memory::reserve(&mut bytes, room).map_err(|_| Error::from(ErrorKind::OutOfMemory))?;
    reader.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

/// Where a path leads, if that is below one of the directories.
fn below(path: &Path, directories: &[PathBuf]) -> Result<PathBuf> {
    let path = fs::canonicalize(path)?;
    let is_below = |directory: &PathBuf| {
        fs::canonicalize(directory).is_ok_and(|directory| path.starts_with(directory))
    };
    if directories.iter().any(is_below) {
        return Ok(path);
    }
    Err(refused("it is a link to somewhere else"))
}

fn check(metadata: &fs::Metadata, most: u64) -> Result<()> {
    if !metadata.is_file() {
        return Err(refused("it is no regular file"));
    }
    if metadata.len() > most { Err(too_large(most)) } else { Ok(()) }
}

fn too_large(most: u64) -> Error {
    Error::new(ErrorKind::FileTooLarge, format!("it is larger than {most} bytes"))
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    const EVERY: [Links<'static>; 2] = [Links::Anywhere, Links::No];

    #[allow(unsafe_code)] // the standard library makes no pipes with a name
    fn fifo(path: &Path) {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: a C string that outlives the call.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    }

    fn why(path: &Path, links: Links<'_>) -> String {
        read(path, links, 1 << 20).unwrap_err().to_string()
    }

    #[test]
    fn regular_files_alone_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "text").unwrap();
        fifo(&directory.path().join("pipe"));
        for links in EVERY {
            assert_eq!(read(&path, links, 4).unwrap(), b"text");
            for other in [directory.path(), &directory.path().join("pipe"), Path::new("/dev/zero")]
            {
                assert_eq!(why(other, links), "it is no regular file");
            }
            let missing = read(&directory.path().join("none"), links, 4).unwrap_err();
            assert_eq!(missing.kind(), ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_large_file_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        File::create(&path).unwrap().set_len(20 << 30).unwrap();
        for links in EVERY {
            assert_eq!(why(&path, links), "it is larger than 1048576 bytes");
        }
        assert!(contents(&b"12345"[..], 3, 4).is_err(), "one that has grown");
    }

    #[test]
    fn links_are_followed_below_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
        for place in [&inside, &outside] {
            fs::create_dir(place).unwrap();
            fs::write(place.join("file"), "text").unwrap();
        }
        symlink("file", inside.join("near")).unwrap();
        symlink("../out/file", inside.join("far")).unwrap();
        symlink("../out", inside.join("directory")).unwrap();
        let directories = [inside.clone()];
        let below = Links::Below(&directories);
        assert!(read(&inside.join("file"), below, 9).is_ok());
        assert!(read(&inside.join("near"), below, 9).is_ok());
        assert!(read(&inside.join("far"), Links::Anywhere, 9).is_ok());
        for path in ["far", "directory/file", "../out/file"] {
            assert_eq!(why(&inside.join(path), below), "it is a link to somewhere else");
        }
        assert_eq!(why(&inside.join("near"), Links::No), "it is a symbolic link");
    }
}
