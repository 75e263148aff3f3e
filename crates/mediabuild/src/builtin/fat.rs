//! A FAT image with some files in it, the same bytes every time.

use std::io::{Cursor, Write as _};

use anyhow::{Context as _, Result};

use buildexec::action::Call;
use failure::{Failure, Kind};

/// UEFI firmware reads FAT12 and FAT16 alike; this much is left for directories and the table.
const OVERHEAD: u64 = 128 << 10;
/// The largest image we make; FAT16 ends far above.
const LIMIT: u64 = 256 << 20;

/// Pairs of `path` and `content`, `to`.
///
/// # Errors
/// When a file cannot be read or the image cannot be written.
pub(super) fn image(call: &Call<'_>) -> Result<()> {
    let mut files = Vec::new();
    for (path, content) in call.all("path").zip(call.all("content")) {
        files.push((path, fs_err::read(content)?));
    }
    fs_err::write(call.out("to")?, bytes(&files)?)?;
    Ok(())
}

/// The image that has these files: pairs of a path and a content.
///
/// # Errors
/// When they are too large, or a path cannot be put into a FAT.
pub fn bytes(files: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let content: u64 = files.iter().map(|(_, c)| (c.len() as u64).next_multiple_of(4096)).sum();
    let size = (content + OVERHEAD).next_multiple_of(64 << 10);
    if size > LIMIT {
        return Err(Failure::new(Kind::Input, format!("{size} bytes are too many for the UEFI image")).into());
    }
    let mut bytes = Cursor::new(vec![0; usize::try_from(size)?]);
    fatfs::format_volume(&mut bytes, fatfs::FormatVolumeOptions::new().volume_label(*b"EFI        "))?;
    let options = fatfs::FsOptions::new().time_provider(&FixedClock).update_accessed_date(false);
    {
        let fs = fatfs::FileSystem::new(&mut bytes, options)?;
        for (path, content) in files {
            add(&fs, path, content).with_context(|| format!("cannot write {path} into the UEFI image"))?;
        }
        fs.unmount()?;
    }
    Ok(bytes.into_inner())
}

type Fs<'a> = fatfs::FileSystem<&'a mut Cursor<Vec<u8>>>;

fn add(fs: &Fs<'_>, path: &str, content: &[u8]) -> std::io::Result<()> {
    let root = fs.root_dir();
    for (end, _) in path.match_indices('/') {
        root.create_dir(&path[..end])?;
    }
    let mut file = root.create_file(path)?;
    file.truncate()?;
    file.write_all(content)
}

/// A clock that stands still, at the first day FAT knows.
#[derive(Debug)]
struct FixedClock;

impl fatfs::TimeProvider for FixedClock {
    fn get_current_date(&self) -> fatfs::Date {
        fatfs::Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> fatfs::DateTime {
        fatfs::DateTime {
            date: self.get_current_date(),
            time: fatfs::Time { hour: 0, min: 0, sec: 0, millis: 0 },
        }
    }
}
