//! Files where something else could lie by now: a pipe is never waited for, a device never read without an end.

use std::io::{self, Read as _};

use camino::Utf8Path;
use fs_err::{File, OpenOptions};

/// Opens a file to read it.
///
/// # Errors
/// When it cannot be opened, or is not a regular file.
pub fn open(path: &Utf8Path) -> io::Result<File> {
    checked(at_once(OpenOptions::new().read(true)).open(path)?)
}

/// Opens a file to lock it; one that is not there is made, and one that is stays as it is.
///
/// # Errors
/// As [`open`].
pub fn open_lock(path: &Utf8Path) -> io::Result<File> {
    checked(at_once(OpenOptions::new().read(true).write(true).create(true).truncate(false)).open(path)?)
}

/// Reads a whole file of `limit` bytes at most.
///
/// # Errors
/// As [`open`], and when it is longer.
pub fn read(path: &Utf8Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::other(format!("{path} is larger than {limit} bytes"))),
        false => Ok(bytes),
    }
}

/// As [`read`], of a text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Utf8Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|_| io::Error::other(format!("{path} is not UTF-8")))
}

fn checked(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other(format!("{} is not a regular file", file.path().display()))),
    }
}

/// Without waiting for another end of a pipe; of a regular file, it changes nothing.
#[cfg(unix)]
fn at_once(options: &mut OpenOptions) -> &mut OpenOptions {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
}

#[cfg(not(unix))]
fn at_once(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_and_nothing_else_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| Utf8Path::from_path(dir.path()).unwrap().join(name);
        fs_err::write(path("file"), "text").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("endless")).unwrap();
        fs_err::create_dir(path("folder")).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe").as_std_path(), mode).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read_text(&path(name), 4).unwrap(), "text");
            open_lock(&path(name)).unwrap();
            assert_eq!(fs_err::read_to_string(path("file")).unwrap(), "text", "{name} is not cut off");
        }
        assert!(read(&path("file"), 3).unwrap_err().to_string().contains("larger than 3 bytes"));
        for name in ["endless", "pipe"] {
            for opened in [open(&path(name)), open_lock(&path(name))] {
                assert!(opened.unwrap_err().to_string().contains("is not a regular file"), "{name}");
            }
        }
        assert!(read(&path("folder"), 9).is_err() && open_lock(&path("folder")).is_err());
        assert!(open(&path("new")).is_err() && open_lock(&path("new")).is_ok());
    }
}
