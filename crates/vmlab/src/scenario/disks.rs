//! Disks that are not blank, as `autoformat` meets them: by their signatures, which is all that tells them from blank ones.

use std::{
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::Result;
use camino::Utf8Path;

use super::{Outcome, Trial, nonce};
use crate::session::Session;
use buildplan::Digest;
use vmspec::{Disk, Machine, boot::BootEnd};

/// Large enough for a file system, and soon read.
const SIZE: u64 = 64 << 20;
/// The operating system looks at so much of a disk.
const LOOKED_AT: u64 = 1 << 20;

/// A guest that waits for its state disk gets one so long after it began to.
const LATE: Duration = Duration::from_secs(4);
/// What the guest says before it formats a disk that has data where RancherOS does not look.
const WARNING: &str = "has data after its first MiB";

/// A disk as the guest meets it.
struct Case {
    name: &'static str,
    /// What it holds, and where.
    bytes: &'static [(u64, &'static [u8])],
    /// What else is different about the machine.
    fit: fn(&mut Machine),
    /// What the guest is told besides the profile's parameters.
    args: Option<&'static str>,
    /// Whether it is plugged in only while the guest waits for its state.
    late: bool,
    /// The disk that is formatted, which the operating system's rule asks for.
    formatted: Option<usize>,
}

impl Case {
    /// The disk with data is formatted only after a warning.
    fn is_warned_of(&self) -> bool {
        self.formatted == Some(0)
    }
}

const fn holds(name: &'static str, bytes: &'static [(u64, &'static [u8])]) -> Case {
    Case { name, bytes, fit: |_| {}, args: None, late: false, formatted: None }
}

/// In its first bytes, in its last, and half-way.
const EVERYWHERE: &[(u64, &[u8])] =
    &[(0, &[0xA5; 4096]), (SIZE / 2, &[0xA5; 4096]), (SIZE - 4096, &[0xA5; 4096])];

/// Offsets are those of `Documentation/` of Linux, of util-linux's libblkid, and of each tool's own header.
const CASES: &[Case] = &[
    holds(
        "a partition table",
        &[(446, &[0, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x10, 0, 0]), (510, &[0x55, 0xAA])],
    ),
    holds("a GPT", &[(512, b"EFI PART\0\0\x01\0")]),
    holds("ext4", &[(1024 + 0x38, &[0x53, 0xEF])]),
    holds("xfs", &[(0, b"XFSB\0\0\x10\0")]),
    holds("btrfs", &[(0x1_0040, b"_BHRfS_M")]),
    holds("LUKS", &[(0, b"LUKS\xBA\xBE\0\x02")]),
    holds("LVM", &[(512, b"LABELONE\x01"), (512 + 24, b"LVM2 001")]),
    holds("ZFS", &[(128 << 10, &[0x0C, 0xB1, 0xBA, 0, 0, 0, 0, 0])]),
    holds("swap", &[(4086, b"SWAPSPACE2")]),
    holds("the last byte of the first MiB", &[(LOOKED_AT - 1, &[1])]),
    Case { fit: read_only, ..holds("nothing, and it is read-only", &[]) },
    Case { fit: second, ..holds("data, beside a blank disk that is not listed", &[(4096, b"data")]) },
    Case {
        fit: second,
        args: Some("rancher.state.autoformat=[/dev/vda,/dev/vdb]"),
        formatted: Some(1),
        ..holds("data everywhere, in front of a blank disk that is listed", EVERYWHERE)
    },
    Case {
        fit: none_yet,
        args: Some("rancher.state.wait=true"),
        late: true,
        ..holds("data, and it comes late", &[(4096, b"data")])
    },
    Case { formatted: Some(0), ..holds("data only behind the first MiB", &[(LOOKED_AT + 4096, b"data")]) },
    Case { formatted: Some(0), ..holds("data only in its last MiB", &[(SIZE - 4096, b"data")]) },
];

fn read_only(machine: &mut Machine) {
    machine.disks.iter_mut().for_each(|disk| disk.read_only = true);
}

fn none_yet(machine: &mut Machine) {
    machine.disks.clear();
}

fn second(machine: &mut Machine) {
    let more: Vec<Disk> = machine.disks.iter().take(1).cloned().collect();
    machine
        .disks
        .extend(more.into_iter().map(|disk| Disk { path: disk.path.with_file_name("disk1.raw"), ..disk }));
}

impl Trial<'_> {
    /// Each disk stays as it was, but for those with data only behind what the operating system looks at.
    pub(super) fn disks(&mut self) -> Result<Outcome> {
        let mut wrong = Vec::new();
        for case in CASES {
            self.cases.tried += 1;
            match self.meets(case)? {
                None => self.cases.held += 1,
                Some(why) => wrong.push(format!("a disk with {}: {why}", case.name)),
            }
        }
        if !wrong.is_empty() {
            return Ok(Outcome::Failed { why: wrong.remove(0), evidence: wrong });
        }
        let formatted = CASES.iter().filter(|case| case.is_warned_of()).count();
        let note = format!(
            "{} kinds stayed as they were; {formatted} with data behind the first MiB were formatted, with a warning",
            CASES.len() - formatted
        );
        Ok(Outcome::Passed { note: Some(note) })
    }

    /// One boot; what went wrong with it, if anything did.
    fn meets(&mut self, case: &Case) -> Result<Option<String>> {
        (self.fit, self.more_args) = (case.fit, case.args);
        let paths = ["disk0.raw", "disk1.raw"].map(|name| self.dir.join(name));
        write(paths[0].as_std_path(), case.bytes)?;
        write(paths[1].as_std_path(), &[])?;
        let before = paths.each_ref().map(|p| digest(p.as_std_path()));
        let (mut session, verdict) = match case.late {
            true => self.boot_with_late(&paths[0])?,
            false => self.boot_once()?,
        };
        let state = session.boot().said("state").unwrap_or("not told").to_owned();
        let warned = session.boot().lines().iter().any(|line| line.contains(WARNING));
        if let Outcome::Failed { why, .. } = self.judge(&mut session, verdict) {
            return Ok(Some(why));
        }
        session.cut()?;
        let after = paths.each_ref().map(|p| digest(p.as_std_path()));
        let [same, other] = [0, 1].map(|n| before[n].as_ref().ok() == after[n].as_ref().ok());
        let formatted = state.starts_with("formatted");
        let wanted = (
            case.formatted != Some(0),
            case.formatted != Some(1),
            case.formatted.is_some(),
            case.is_warned_of(),
        );
        let right = (same, other, formatted, warned) == wanted;
        Ok((!right).then(|| format!("state {state}, unchanged: {same}, {other}, warned: {warned}")))
    }

    /// As [`Trial::boot_once`], with a disk that appears while the guest waits for its state.
    fn boot_with_late(&mut self, disk: &Utf8Path) -> Result<(Session, BootEnd)> {
        let nonce = nonce();
        let medium = self.medium(&nonce)?;
        let (machine, _, dir) = self.machine(&medium)?;
        let mut session = self.start(&machine, &dir, self.want(&nonce))?;
        session.wait_for_line(self.ctx, "media: cmdline")?;
        std::thread::sleep(LATE);
        session.plug(disk)?;
        let verdict = self.wait(&mut session, None)?;
        Ok((session, verdict))
    }
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
    fn what_keeps_a_disk_lies_in_what_is_looked_at_and_what_does_not_behind_it() {
        for case in CASES {
            let seen = |(at, bytes): &(u64, &[u8])| at + bytes.len() as u64 <= LOOKED_AT;
            let is_kept = case.bytes.is_empty() || case.bytes.iter().any(seen);
            assert_eq!(is_kept, !case.is_warned_of(), "{}", case.name);
            assert!(case.bytes.iter().all(|(at, bytes)| at + bytes.len() as u64 <= SIZE), "{}", case.name);
        }
        assert!(CASES.len() >= 16);
    }
}
