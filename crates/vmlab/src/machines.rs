//! The machines of `vm run` on disk: a folder each, with its disks, that outlives the run.

use std::fs::{File, TryLockError};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{
    backend::Backend,
    session,
    virtualbox::{self, VirtualBox},
};
use buildexec::{ctx::Ctx, leftovers};
use buildplan::Cmd;
use failure::{Failure, Kind, kind_of};
use report::table::bytes;
use vmspec::{
    choice::BackendChoice,
    quote::{self, Shell},
};

/// Held while the machine runs; its presence also says that the folder is ours.
const LOCK: &str = "machine.lock";
/// What a run leaves in a machine's folder. Only these are removed: a disk that a person put there is not ours.
const OURS: [&str; 12] = [
    "disk0.raw",
    "disk1.raw",
    "disk2.raw",
    "disk0.vdi",
    "disk1.vdi",
    "disk2.vdi",
    "serial.log",
    "command.txt",
    "qemu.log",
    "qmp.log",
    "net0.pcap",
    "timeline.jsonl",
];

/// A machine's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Profile that the machine was made from.
    pub profile: String,
    /// Backend that runs it.
    pub choice: BackendChoice,
    /// Folder with the machine's disks and logs.
    pub dir: Utf8PathBuf,
}

/// One line of `vm ls`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedMachine {
    /// Profile that the machine was made from.
    pub profile: String,
    /// `qemu` or `virtualbox`.
    pub backend: &'static str,
    /// Whether it runs now.
    pub running: bool,
    /// Bytes that the files in its folder take on disk.
    pub bytes: u64,
    /// Folder with the machine's disks and logs.
    pub folder: Utf8PathBuf,
}

impl Home {
    /// Where the machine of `profile` lives.
    #[must_use]
    pub fn of(ctx: &Ctx, profile: &str, choice: BackendChoice) -> Self {
        let dir = root(ctx).join(format!("{profile}.{}", choice.name()));
        Self { profile: profile.to_owned(), choice, dir }
    }

    /// All that exist, by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(ctx: &Ctx) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        if root(ctx).exists() {
            for entry in root(ctx).read_dir_utf8()? {
                let entry = entry?;
                let Some((profile, backend)) = entry.file_name().rsplit_once('.') else { continue };
                let choice = BackendChoice::ALL.into_iter().find(|c| c.name() == backend);
                all.extend(choice.map(|choice| Self::of(ctx, profile, choice)));
            }
        }
        all.sort_by(|a, b| a.dir.cmp(&b.dir));
        Ok(all)
    }

    /// Those in `homes`, and those that only VirtualBox knows, with what it says of them: one's folder may be gone. `profiles`
    /// are looked for under whatever name.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn list(ctx: &Ctx, profiles: &[String]) -> Result<Vec<ListedMachine>> {
        let mut homes = Self::all(ctx)?;
        let names = homes.iter().map(Self::machine_name);
        let names: Vec<String> = names.chain(profiles.iter().map(|p| vmspec::machine_name(p))).collect();
        let known = match virtualbox::known(ctx, &names) {
            Err(e) if kind_of(&e) == Some(Kind::MissingTool) => Vec::new(),
            Err(e) => {
                ctx.report.warn(format!("what VirtualBox knows is left out: {e:#}"));
                Vec::new()
            }
            Ok(known) => known,
        };
        for (name, _) in &known {
            let home = Self::of(ctx, vmspec::profile_of(name), BackendChoice::Virtualbox);
            if !homes.contains(&home) {
                homes.push(home);
            }
        }
        homes.sort_by(|a, b| a.dir.cmp(&b.dir));
        let runs = |home: &Self| -> Result<bool> {
            match home.choice {
                BackendChoice::Qemu => Ok(!session::left_running(ctx, &home.dir)?.is_empty()),
                BackendChoice::Virtualbox => Ok(known.contains(&(home.machine_name(), true))),
            }
        };
        homes.iter().map(|home| home.look(runs(home)?)).collect()
    }

    /// What the machine is called on this host.
    #[must_use]
    pub(crate) fn machine_name(&self) -> String {
        vmspec::machine_name(&self.profile)
    }

    /// Makes the folder and keeps other runs from it as long as the answer lives.
    ///
    /// # Errors
    /// [`Kind::Boot`] when another run has it.
    pub(crate) fn hold(&self) -> Result<File> {
        fs_err::create_dir_all(&self.dir)?;
        let path = self.dir.join(LOCK);
        let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?.into_parts().0;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                let text = format!("the machine of {} is running in another `vm run`", self.profile);
                Err(Failure::new(Kind::Boot, text).help("stop it there with Ctrl-C").into())
            }
            Err(TryLockError::Error(e)) => Err(e.into()),
        }
    }

    /// Looks at it; `runs` is whether the back end runs it, also for nobody.
    fn look(&self, runs: bool) -> Result<ListedMachine> {
        let mut total = 0;
        for file in files_in(&self.dir)? {
            total += on_disk(&fs_err::symlink_metadata(file)?);
        }
        Ok(ListedMachine {
            profile: self.profile.clone(),
            backend: self.choice.name(),
            running: runs || self.dir.join(LOCK).exists() && self.hold().is_err(),
            bytes: total,
            folder: self.dir.clone(),
        })
    }

    /// Whether the back end knows the machine, also where its folder is gone.
    ///
    /// # Errors
    /// When the back end is there and cannot be asked.
    pub fn is_known(&self, ctx: &Ctx) -> Result<bool> {
        if self.choice == BackendChoice::Qemu || Backend::find(ctx, self.choice).is_err() {
            return Ok(false);
        }
        VirtualBox::open(ctx, &self.dir, &self.machine_name())?.is_known()
    }

    /// The files that runs made in its folder.
    pub(crate) fn ours(&self) -> impl Iterator<Item = Utf8PathBuf> {
        OURS.iter().map(|name| self.dir.join(name)).filter(|path| path.exists())
    }

    /// Removes the machine and what runs made of it, and gives the files that are not ours and so stay.
    ///
    /// # Errors
    /// When it runs, or something cannot be removed.
    pub fn remove(&self, ctx: &Ctx) -> Result<Vec<String>> {
        let held = self.hold()?;
        match self.choice {
            // All that it keeps are files, and what a killed run left running.
            BackendChoice::Qemu => leftovers::end(ctx, &session::left_running(ctx, &self.dir)?)?,
            BackendChoice::Virtualbox => {
                Backend::find(ctx, self.choice)?.forget(ctx, &self.machine_name(), &self.dir)?;
            }
        }
        self.ours().try_for_each(fs_err::remove_file)?;
        let files = files_in(&self.dir)?;
        let names = files.iter().map(|f| f.strip_prefix(&self.dir).unwrap_or(f).to_string());
        let left: Vec<String> = names.filter(|name| name != LOCK).collect();
        if left.is_empty() {
            // Windows removes no file that is open.
            drop(held);
            fs_err::remove_dir_all(&self.dir)?;
        }
        Ok(left)
    }
}

/// The commands that remove a machine as [`Home::remove`] does, as text.
///
/// # Errors
/// When the back end cannot be asked.
pub fn removal(ctx: &Ctx, home: &Home, shell: Shell) -> Result<String> {
    let mut text = Backend::forget_script(home.choice, ctx, &home.machine_name(), &home.dir, shell)?;
    let remove = Cmd::new(if shell == Shell::Sh { "rm" } else { "Remove-Item" }, "remove what runs made");
    for path in home.ours() {
        text += &(quote::line(&remove.clone().arg(path.as_str()), shell) + "\n");
    }
    Ok(text)
}

/// Every file below `dir`, sorted; none where `dir` is missing. Links are not followed.
pub(crate) fn files_in(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut found = Vec::new();
    let mut todo = if dir.is_dir() { vec![dir.to_owned()] } else { Vec::new() };
    while let Some(folder) = todo.pop() {
        for entry in folder.read_dir_utf8()? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                todo.push(entry.into_path());
            } else {
                found.push(entry.into_path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn root(ctx: &Ctx) -> Utf8PathBuf {
    ctx.work.join("vm").join("machines")
}

/// A new disk of 10 GB is a hole.
#[cfg(unix)]
fn on_disk(metadata: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.blocks() * 512
}

#[cfg(not(unix))]
fn on_disk(metadata: &std::fs::Metadata) -> u64 {
    metadata.len()
}

/// The rows of `vm ls`.
#[must_use]
pub fn rows(listed: &[ListedMachine], root: &Utf8Path) -> Vec<Vec<String>> {
    let row = |l: &ListedMachine| {
        let folder = l.folder.strip_prefix(root).unwrap_or(&l.folder);
        let state = if l.running { "running" } else { "off" };
        vec![l.profile.clone(), l.backend.to_owned(), state.to_owned(), bytes(l.bytes), folder.to_string()]
    };
    listed.iter().map(row).collect()
}
