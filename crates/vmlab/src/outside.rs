//! What a boot is proved by that its guest does not tell: the file system on its disk, and a login over SSH.

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8Path;

use crate::{backend::Backend, lan::Lan};
use buildexec::ctx::Ctx;
use buildplan::Cmd;
use vmspec::scenario::{Dist, Proof, Scenario, Start};

/// How long the SSH server may take after the login prompt: it makes its keys first.
const SSH_TIMEOUT: Duration = Duration::from_secs(120);
const KEY: &str = "ssh-key";

/// Why `scenario` cannot be proved from outside on this host, if it cannot.
pub(crate) fn obstacle(ctx: &Ctx, backend: &Backend, scenario: &Scenario, dist: &Dist) -> Option<String> {
    let lacks = |program: &str, package: &str| {
        let missing = ctx.find_program(program).is_none();
        missing.then(|| format!("`{program}` was not found (apt-get install {package})"))
    };
    if matches!(scenario.start, Start::Network(_)) {
        return Lan::obstacle(ctx);
    }
    match (scenario.proof, backend) {
        (Proof::Counts(_), _) if dist.speaks => None,
        (Proof::Counts(_) | Proof::Torture | Proof::Disks, Backend::VirtualBox) => {
            Some("the state is read off a raw disk: use --backend qemu".to_owned())
        }
        (Proof::Torture, Backend::Qemu(_)) => lacks("e2fsck", "e2fsprogs"),
        (Proof::Counts(_), Backend::Qemu(_)) => lacks("debugfs", "e2fsprogs"),
        (Proof::Measured | Proof::Remeasured, _) => lacks("swtpm", "swtpm"),
        (Proof::Ssh, _) | (Proof::Containers(_), _) => lacks("ssh", "openssh-client")
            .or_else(|| lacks("ssh-keygen", "openssh-client"))
            .or_else(|| lacks("e2fsck", "e2fsprogs").filter(|_| scenario.proof != Proof::Ssh)),
        _ => None,
    }
}

/// The file system on a disk, as seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskState {
    /// Its label.
    pub(crate) label: String,
    /// Its UUID: another one after it was formatted again.
    pub(crate) uuid: String,
    /// How often it was mounted.
    pub(crate) mounts: u64,
    /// What its root holds besides `lost+found`.
    pub(crate) names: Vec<String>,
}

/// Reads the file system on the raw disk `disk`; `None` where there is none.
///
/// # Errors
/// When `debugfs` cannot be run.
pub(crate) fn state(ctx: &Ctx, disk: &Utf8Path) -> Result<Option<DiskState>> {
    let ask = |request: &str| {
        let cmd = Cmd::new("debugfs", format!("look into {disk}")).args(["-R", request, disk.as_str()]);
        Ok::<_, anyhow::Error>(ctx.runner.output(&cmd)?.text())
    };
    Ok(parse(&ask("show_super_stats -h")?, &ask("ls -p /")?))
}

fn parse(stats: &str, listed: &str) -> Option<DiskState> {
    let value = |key: &str| {
        let line = stats.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    };
    // `/inode/mode/user/group/name/size/`
    let name = |line: &str| line.strip_prefix('/')?.split('/').nth(4).map(str::to_owned);
    let names = listed.lines().filter_map(name);
    Some(DiskState {
        label: value("Filesystem volume name")?,
        uuid: value("Filesystem UUID")?,
        mounts: value("Mount count")?.parse().ok()?,
        names: names.filter(|n| !["", ".", "..", "lost+found"].contains(&n.as_str())).collect(),
    })
}

impl DiskState {
    /// What is wrong with it after a boot, if anything: `before` is what the boot before left.
    pub(crate) fn wrong(&self, label: &str, before: Option<&Self>) -> Option<String> {
        if self.label != label {
            return Some(format!("the state disk has the label `{}`, not `{label}`", self.label));
        }
        if self.names.is_empty() {
            return Some("the state disk holds no file".to_owned());
        }
        let before = before?;
        if self.uuid != before.uuid {
            return Some(format!(
                "the state disk was formatted again: UUID {} after {}",
                self.uuid, before.uuid
            ));
        }
        (self.mounts <= before.mounts)
            .then(|| format!("the state disk was not mounted: {} times", self.mounts))
    }
}

/// Makes a key pair for one test in `dir` and gives the public half.
///
/// # Errors
/// When `ssh-keygen` fails.
pub(crate) fn make_key(ctx: &Ctx, dir: &Utf8Path) -> Result<String> {
    forget_key(dir)?;
    let mut cmd = Cmd::new("ssh-keygen", "make a key for the test").args([
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        "media-test",
        "-f",
        KEY,
    ]);
    cmd.cwd = Some(dir.to_owned());
    ctx.runner.run(&cmd)?;
    Ok(fs_err::read_to_string(dir.join(KEY).with_extension("pub"))?.trim().to_owned())
}

/// Removes what [`make_key`] made.
///
/// # Errors
/// When it is there and cannot be removed.
pub(crate) fn forget_key(dir: &Utf8Path) -> Result<()> {
    for name in [KEY, "ssh-key.pub", "known_hosts"] {
        match fs_err::remove_file(dir.join(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Logs in as `user` through `port` of this host with the key in `dir` until it works or the time is over, and gives the
/// guest's host name, or what SSH said last.
///
/// # Errors
/// When `ssh` cannot be run, or an interrupt comes.
pub(crate) fn log_in(ctx: &Ctx, dir: &Utf8Path, user: &str, port: u16) -> Result<Result<String, String>> {
    ask(ctx, dir, user, port, "hostname")
}

/// As [`log_in`], with the output of another command.
///
/// # Errors
/// As [`log_in`].
pub(crate) fn ask(
    ctx: &Ctx,
    dir: &Utf8Path,
    user: &str,
    port: u16,
    command: &str,
) -> Result<Result<String, String>> {
    let start = Instant::now();
    loop {
        let output = ctx.runner.output(&login_command(dir, user, port).arg(command))?;
        if output.success() {
            return Ok(Ok(output.text().trim().to_owned()));
        }
        if start.elapsed() > SSH_TIMEOUT {
            return Ok(Err(output.error_text().lines().last().unwrap_or_default().to_owned()));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Neither the person's configuration nor their agent or known hosts have a part in it.
fn login_command(dir: &Utf8Path, user: &str, port: u16) -> Cmd {
    let mut cmd = Cmd::new("ssh", "log in to the guest").deadline(Duration::from_secs(600));
    cmd = cmd.args(["-F", "none", "-i", KEY, "-p", &port.to_string()]);
    for option in [
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=known_hosts",
        "ConnectTimeout=10",
    ] {
        cmd = cmd.args(["-o", option]);
    }
    cmd.cwd = Some(dir.to_owned());
    cmd.arg(format!("{user}@127.0.0.1"))
}

/// What SSH says to a login by password, for which none is given: what the server would take stands in it.
///
/// # Errors
/// When `ssh` cannot be run.
pub(crate) fn ask_by_password(ctx: &Ctx, dir: &Utf8Path, user: &str, port: u16) -> Result<String> {
    let mut cmd = login_command(dir, user, port).arg("true");
    // The first of two settings holds.
    cmd.args.splice(
        0..0,
        ["-o", "PreferredAuthentications=password", "-o", "PubkeyAuthentication=no"].map(str::to_owned),
    );
    Ok(ctx.runner.output(&cmd)?.error_text().trim().to_owned())
}

/// What a full check finds wrong with the file system on the raw disk `disk` behind a power cut, once its journal is
/// replayed as the guest would.
///
/// # Errors
/// When `e2fsck` cannot be run.
pub(crate) fn check_disk(ctx: &Ctx, disk: &Utf8Path) -> Result<Option<String>> {
    let replay = Cmd::new("e2fsck", format!("replay the journal of {disk}")).args(["-fp", disk.as_str()]);
    let output = ctx.runner.output(&replay)?;
    // 1: something was put right, which the replay is.
    if !matches!(output.code, Some(0 | 1)) {
        return Ok(Some(format!("e2fsck says: {}", output.text().trim())));
    }
    is_clean(ctx, disk)
}

/// What a full check finds wrong with the file system on the raw disk `disk`, which is not written to.
///
/// # Errors
/// When `e2fsck` cannot be run.
pub(crate) fn is_clean(ctx: &Ctx, disk: &Utf8Path) -> Result<Option<String>> {
    let check = Cmd::new("e2fsck", format!("check {disk}")).args(["-fn", disk.as_str()]);
    let output = ctx.runner.output(&check)?;
    let journal = output.text().contains("journal") || output.error_text().contains("journal");
    let clean = output.success() && !journal;
    Ok((!clean).then(|| format!("e2fsck says: {}", output.text().trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = "Filesystem volume name:   RANCHER_STATE\nLast mounted on:          /state\n\
        Filesystem UUID:          6c5cb3a6-1111-4222-8333-444444444444\nMount count:              2\n\
        Maximum mount count:      -1\n";
    const LISTED: &str =
        "/2/040755/0/0/.//\n/2/040755/0/0/..//\n/11/040700/0/0/lost+found//\n/12/100644/0/0/boots/2/\n\n";

    #[test]
    fn a_file_system_is_read_in_debugfs_words() {
        let state = parse(STATS, LISTED).unwrap();
        assert_eq!((state.label.as_str(), state.mounts), ("RANCHER_STATE", 2));
        assert_eq!(state.names, ["boots"]);
        assert_eq!(parse("debugfs: Filesystem not open\n", ""), None);
    }

    #[test]
    fn what_a_boot_left_is_judged_by_label_files_uuid_and_mounts() {
        let first = parse(STATS, LISTED).unwrap();
        let later = DiskState { mounts: 3, ..first.clone() };
        assert_eq!(first.wrong("RANCHER_STATE", None), None);
        assert_eq!(later.wrong("RANCHER_STATE", Some(&first)), None);
        let cases = [
            ("has the label `x`", DiskState { label: "x".to_owned(), ..later.clone() }),
            ("holds no file", DiskState { names: Vec::new(), ..later.clone() }),
            ("formatted again", DiskState { uuid: "other".to_owned(), ..later }),
            ("was not mounted", first.clone()),
        ];
        for (wanted, state) in cases {
            let said = state.wrong("RANCHER_STATE", Some(&first)).unwrap_or_default();
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
    }

    #[test]
    fn a_login_uses_the_tests_key_and_nothing_of_the_persons() {
        let cmd = login_command("/runs/a b".into(), "rancher", 40022);
        let line = cmd.args.join(" ");
        assert!(line.starts_with("-F none -i ssh-key -p 40022 -o BatchMode=yes"), "{line}");
        assert!(line.ends_with("rancher@127.0.0.1"), "{line}");
        assert_eq!(cmd.cwd.unwrap(), "/runs/a b");
    }
}
