//! Disks that are not blank, as `autoformat` meets them: by their signatures, which is all that tells them from blank ones.

use std::{
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
};

use anyhow::Result;

use super::{Outcome, Trial, failed};
use buildplan::Digest;
use vmspec::{Disk, Machine};

/// Large enough for a file system, and soon read.
const SIZE: u64 = 64 << 20;
/// The operating system looks at so much of a disk.
const LOOKED_AT: u64 = 1 << 20;

/// What a disk holds, and where.
struct DiskContent {
    name: &'static str,
    bytes: &'static [(u64, &'static [u8])],
    /// What else is different about the machine.
    fit: fn(&mut Machine),
}

const fn content(name: &'static str, bytes: &'static [(u64, &'static [u8])]) -> DiskContent {
    DiskContent { name, bytes, fit: |_| {} }
}

/// Offsets are those of `Documentation/` of Linux, of util-linux's libblkid, and of each tool's own header.
const CONTENTS: &[DiskContent] = &[
    content(
        "a partition table",
        &[(446, &[0, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x10, 0, 0]), (510, &[0x55, 0xAA])],
    ),
    content("a GPT", &[(512, b"EFI PART\0\0\x01\0")]),
    content("ext4", &[(1024 + 0x38, &[0x53, 0xEF])]),
    content("xfs", &[(0, b"XFSB\0\0\x10\0")]),
    content("btrfs", &[(0x1_0040, b"_BHRfS_M")]),
    content("LUKS", &[(0, b"LUKS\xBA\xBE\0\x02")]),
    content("LVM", &[(512, b"LABELONE\x01"), (512 + 24, b"LVM2 001")]),
    content("ZFS", &[(128 << 10, &[0x0C, 0xB1, 0xBA, 0, 0, 0, 0, 0])]),
    content("swap", &[(4086, b"SWAPSPACE2")]),
    content("the last byte of the first MiB", &[(LOOKED_AT - 1, &[1])]),
    DiskContent { name: "nothing, and it is read-only", bytes: &[], fit: read_only },
    DiskContent {
        name: "data, beside a blank disk that is not listed",
        bytes: &[(4096, b"data")],
        fit: second,
    },
];

fn read_only(machine: &mut Machine) {
    machine.disks.iter_mut().for_each(|disk| disk.read_only = true);
}

fn second(machine: &mut Machine) {
    let more: Vec<Disk> = machine.disks.iter().take(1).cloned().collect();
    machine
        .disks
        .extend(more.into_iter().map(|disk| Disk { path: disk.path.with_file_name("disk1.raw"), ..disk }));
}

impl Trial<'_> {
    /// Each disk stays as it was, but for one with data only behind what the operating system looks at.
    pub(super) fn disks(&mut self) -> Result<Outcome> {
        let behind = content("data only behind the first MiB", &[(LOOKED_AT + 4096, b"data")]);
        for content in CONTENTS.iter().chain([&behind]) {
            let formats = content.name == behind.name;
            self.fit = content.fit;
            let paths = ["disk0.raw", "disk1.raw"].map(|name| self.dir.join(name));
            write(paths[0].as_std_path(), content.bytes)?;
            write(paths[1].as_std_path(), &[])?;
            let before = paths.each_ref().map(|p| digest(p.as_std_path()));
            let (mut session, verdict) = self.boot_once()?;
            let state = session.boot().said("state").unwrap_or("not told").to_owned();
            if let failure @ Outcome::Failed { .. } = self.judge(&mut session, verdict) {
                return Ok(failure);
            }
            session.cut()?;
            let after = paths.each_ref().map(|p| digest(p.as_std_path()));
            let [same, other] = [0, 1].map(|n| before[n].as_ref().ok() == after[n].as_ref().ok());
            if same == formats || !other || state.starts_with("formatted") != formats {
                let why = format!("a disk with {}: state {state}, unchanged: {same}, {other}", content.name);
                return Ok(failed(&mut session, why));
            }
        }
        let note = format!(
            "{} kinds stayed as they were; data behind the first MiB is formatted over",
            CONTENTS.len()
        );
        Ok(Outcome::Passed { note: Some(note) })
    }
}

/// How many disks a whole run has.
#[must_use]
pub fn disk_count() -> usize {
    CONTENTS.len() + 1
}

fn digest(path: &Path) -> Result<Digest> {
    Ok(Digest::read(&mut fs_err::File::open(path)?)?.0)
}

fn write(path: &Path, bytes: &[(u64, &[u8])]) -> Result<()> {
    let mut file = fs_err::File::create(path)?;
    file.set_len(SIZE)?;
    for (at, bytes) in bytes {
        file.seek(SeekFrom::Start(*at))?;
        file.write_all(bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_content_lies_in_what_is_looked_at() {
        for content in CONTENTS {
            assert!(
                content.bytes.iter().all(|(at, bytes)| at + bytes.len() as u64 <= LOOKED_AT),
                "{}",
                content.name
            );
        }
        assert!(disk_count() > 10);
    }
}
