//! The config initrd: a small cpio archive that loaders put in front of the untouched initrd, with a cloud-config in it.
//!
//! It has a fixed length, zeros behind the archive's end, so that a finished image can be given another
//! cloud-config in place. The kernel unpacks archives that follow each other and skips zeros between them; an
//! uncompressed one in front works whatever the compression of the initrd is, which one behind it does not.

use crate::cpio::CpioWriter;
use crate::error::{Error, Result};

/// The length that we give a config initrd, unless something longer has to be in it. A multiple of 512 keeps whatever
/// follows aligned, and one of 2048 fills whole sectors.
pub const LENGTH: usize = 16 * 1024;

/// Where RancherOS reads a cloud-config from the initrd: before the state disk is mounted, and again after.
pub const CLOUD_CONFIG: &str = "var/lib/rancher/conf/cloud-config.d/boot.yml";

const REGULAR: u32 = 0o100_000;

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveFile {
    /// The path, without a leading `/`.
    pub path: String,
    /// Permission bits, such as `0o600`.
    pub mode: u32,
    /// The file's contents, stored uncompressed.
    pub bytes: Vec<u8>,
}

/// A newc archive of `files`, zero-padded to exactly `length` bytes. Every folder on the way is an entry of its
/// own, in front of what is in it; owners are 0:0 and times 0, so equal files give equal bytes.
///
/// # Errors
/// When the archive would be longer than `length`, `length` is not a multiple of 512, or a path is absolute or
/// leads upwards.
pub fn archive(files: &[ArchiveFile], length: usize) -> Result<Vec<u8>> {
    if !length.is_multiple_of(512) {
        return Err(Error::image(format!("a config initrd of {length} bytes is not a multiple of 512")));
    }
    let mut archive = CpioWriter::new();
    for file in files {
        check_path(&file.path)?;
        archive.file(&file.path, file.mode, &file.bytes)?;
    }
    let mut out = archive.finish()?;
    if out.len() > length {
        let text = format!("a config initrd of {} bytes does not fit into {length}", out.len());
        return Err(Error::image(text).help("shorten the cloud-config"));
    }
    out.resize(length, 0);
    Ok(out)
}

fn check_path(path: &str) -> Result<()> {
    let odd = |part: &str| matches!(part, "" | "." | "..") || part.contains('\0');
    if path == "TRAILER!!!" || path.split('/').any(odd) {
        return Err(Error::image(format!("{path:?} is not a valid path in a config initrd")));
    }
    Ok(())
}

/// The files of a config initrd, without its folders. Strict: this reads what [`archive`] wrote, or says what is wrong.
///
/// # Errors
/// When a header is malformed, something ends beyond the archive, or other bytes than zeros follow its end.
pub(crate) fn list(initrd: &[u8]) -> Result<Vec<ArchiveFile>> {
    let wrong = |at: usize, what: &str| Error::image(format!("malformed config initrd at byte {at}: {what}"));
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let head = initrd.get(at..at + 110).filter(|h| h.starts_with(b"070701"));
        let head = head.ok_or_else(|| wrong(at, "no newc header"))?;
        let number = |i: usize| -> Result<usize> {
            let text = head.get(6 + 8 * i..14 + 8 * i).and_then(|t| std::str::from_utf8(t).ok());
            let value = text.and_then(|t| u32::from_str_radix(t, 16).ok());
            Ok(usize::try_from(value.ok_or_else(|| wrong(at, "a header field is not a number"))?)?)
        };
        let (mode, size, name_size) = (number(1)?, number(6)?, number(11)?);
        let name = initrd.get(at + 110..).and_then(|r| r.get(..name_size)).and_then(|n| n.strip_suffix(&[0]));
        let name = name.and_then(|n| std::str::from_utf8(n).ok()).ok_or_else(|| wrong(at, "a name"))?;
        let data = (at + 110 + name_size).next_multiple_of(4);
        let bytes =
            initrd.get(data..).and_then(|r| r.get(..size)).ok_or_else(|| wrong(at, "a file ends beyond"))?;
        at = (data + size).next_multiple_of(4);
        if name == "TRAILER!!!" {
            break;
        }
        if mode as u32 & 0o170_000 == REGULAR {
            found.push(ArchiveFile {
                path: name.to_owned(),
                mode: mode as u32 & 0o7777,
                bytes: bytes.to_vec(),
            });
        }
    }
    if initrd.get(at..).is_some_and(|rest| rest.iter().any(|b| *b != 0)) {
        return Err(wrong(at, "bytes follow the end of the archive"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot_yml(text: &str) -> ArchiveFile {
        ArchiveFile { path: CLOUD_CONFIG.into(), mode: 0o600, bytes: text.into() }
    }

    #[test]
    fn a_seed_lists_what_was_put_in() {
        let files = [
            boot_yml("#cloud-config\nhostname: a\n"),
            ArchiveFile { path: "x".into(), mode: 0o755, bytes: vec![] },
        ];
        let initrd = archive(&files, LENGTH).unwrap();
        assert_eq!(initrd.len(), LENGTH);
        assert_eq!(list(&initrd).unwrap(), files);
        assert_eq!(list(&archive(&[], 512).unwrap()).unwrap(), []);
    }

    #[test]
    fn a_seed_that_does_not_fit_or_leads_away_is_refused() {
        assert!(
            archive(&[boot_yml(&"x".repeat(LENGTH))], LENGTH)
                .unwrap_err()
                .to_string()
                .contains("does not fit")
        );
        assert!(archive(&[], 1000).unwrap_err().to_string().contains("multiple of 512"));
        for path in ["/etc/x", "../x", "a//b", "TRAILER!!!", ""] {
            assert!(
                archive(&[ArchiveFile { path: path.into(), mode: 0, bytes: vec![] }], LENGTH).is_err(),
                "{path}"
            );
        }
    }

    #[test]
    fn a_damaged_seed_is_an_error_and_no_panic() {
        let good = archive(&[boot_yml("hostname: a\n")], 2048).unwrap();
        for at in 0..good.len() {
            let mut initrd = good.clone();
            initrd[at] ^= 0xFF;
            _ = list(&initrd);
            _ = list(&good[..at]);
        }
        assert!(list(&[]).is_err());
        let mut tail = good;
        *tail.last_mut().unwrap() = 1;
        assert!(list(&tail).unwrap_err().to_string().contains("bytes follow"));
    }
}
