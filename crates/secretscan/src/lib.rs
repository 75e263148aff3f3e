//! Looks for what must not be published, before it is: passwords, private keys, tokens, and traces of the machine
//! that built; in each artifact and in whatever an artifact holds (ISO, FAT, compressed cpio). A find is told by
//! artifact, entry and kind. The secret itself is never shown, nor kept.
//!
//! It is not a search for everything secret-like: each rule asks for enough of a secret's form that stock kernels,
//! BusyBox and Docker, which are full of words such as `PRIVATE KEY` and of other people's folders, stay quiet.

mod accounts;
mod alphabets;
mod archives;
mod chosen;
mod config;
mod decode;
mod encoded;
mod formats;
mod forms;
mod images;
mod input;
mod machine;
mod numbers;
mod passwords;
mod positions;
mod rules;
mod settings;
mod squashfs;
mod tokens;
mod utf16;
mod values;
mod walk;

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
pub use rules::{FindKind, Rules};

use buildexec::ctx::Ctx;
use buildexec::paths;
use failure::{Failure, Kind};
use report::table::count;

/// Where something was found: the artifact, and the way in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Find {
    /// The artifact's path in the folder that was looked through.
    pub artifact: String,
    /// Entries on the way in, such as `/efi.img`, `/EFI/BOOT/grub.cfg`.
    pub inside: Vec<String>,
    /// The kind of secret or trace.
    pub what: FindKind,
}

/// What a look through artifacts found.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Each find with the byte where its first one begins, in the innermost entry.
    pub found: BTreeMap<Find, u64>,
    /// What could not be looked into, and why.
    pub unread: Vec<String>,
    /// Bytes that were looked through, unpacked ones and those that are spelled in another way among them.
    pub bytes: u64,
}

/// What this machine would leave behind: the repository's and the person's folder, and the host's name.
#[must_use]
pub fn rules(ctx: &Ctx) -> Rules {
    let home = ["HOME", "USERPROFILE"].into_iter().filter_map(|v| ctx.env.get(v)).map(str::to_owned);
    let ours = [ctx.root.to_string(), ctx.work.to_string()].into_iter().filter(|_| ctx.has_repository);
    Rules::new(home.chain(ours).collect(), host_name(ctx))
}

#[cfg(unix)]
fn host_name(_: &Ctx) -> Option<String> {
    Some(rustix::system::uname().nodename().to_str().ok()?.to_owned())
}

#[cfg(not(unix))]
fn host_name(ctx: &Ctx) -> Option<String> {
    ctx.env.get("COMPUTERNAME").map(str::to_owned)
}

/// Looks through a file, or all files below a folder, as a task of this label.
///
/// # Errors
/// When the disk cannot be read, or more would have to be unpacked than any medium of ours holds. What is damaged
/// inside an artifact is not an error, but said in [`Scan::unread`].
pub fn scan(ctx: &Ctx, label: &str, root: &Utf8Path, rules: &Rules) -> Result<Scan> {
    ctx.report.task(label, || scan_all(ctx, label, root, rules))
}

fn scan_all(ctx: &Ctx, label: &str, root: &Utf8Path, rules: &Rules) -> Result<Scan> {
    let files = paths::listed(root)?;
    // A file itself is listed as an empty path.
    let path_of = |rel: &Utf8Path| if rel.as_str().is_empty() { root.to_owned() } else { root.join(rel) };
    let size = |rel: &Utf8PathBuf| fs_err::symlink_metadata(path_of(rel)).map_or(0, |m| m.len());
    let total = files.iter().map(size).sum();
    let progress = walk::ScanProgress { ctx, label, done: 0, total, shown: None };
    let mut walk = walk::ScanWalk::new(progress, rules);
    for rel in files {
        ctx.check_interrupt()?;
        let name = if rel.as_str().is_empty() { root.file_name().unwrap_or("file") } else { rel.as_str() };
        walk.artifact(name, &path_of(&rel))?;
    }
    let bytes = walk.limit.taken();
    Ok(Scan { bytes, ..walk.scan })
}

/// What may be published although the secret scan would refuse it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allow {
    /// Passwords, keys and tokens, as a profile's `publish-secrets` says; but no traces of the machine and not the
    /// password `rancher`.
    pub secrets: bool,
    /// What could not be looked into.
    pub unread: bool,
}

impl Scan {
    /// Fails when something was found that may not be published, or not all could be looked into.
    ///
    /// # Errors
    /// [`Kind::Leak`] with each place.
    pub fn refuse(&self, allow: Allow) -> Result<()> {
        let found = self.found.iter().filter(|(f, _)| !(allow.secrets && f.what.is_secret()));
        let bad: Vec<String> = found.map(|(f, at)| f.tell(*at)).collect();
        if !bad.is_empty() {
            return Err(Failure::new(Kind::Leak, format!("found {} that must not be published", count(bad.len(), "thing")))
                .source(anyhow::anyhow!(bad.join("\n")))
                .help("take it out and build again; `publish-secrets = true` in the profile lets secrets through that are meant to be public")
                .into());
        }
        if allow.unread || self.unread.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Leak,
            format!("{} items could not be scanned, so their contents are unknown", self.unread.len()),
        )
        .source(anyhow::anyhow!(self.unread.join("\n")))
        .help("repack them, or inspect them by other means and run `cargo xtask secret-scan --allow-unread`")
        .into())
    }
}

impl Find {
    fn tell(&self, at: u64) -> String {
        let way: String = self.inside.iter().map(|i| format!(" > {i}")).collect();
        format!("{}{way}: {} at byte {at}", self.artifact, self.what)
    }
}
