//! VirtualBox: what `VBoxManage` says, read; what it must be told, planned. Pure.
//!
//! [`HostState`] is what was read off the host, [`plan()`] compares it with a [`Machine`] and returns
//! only the commands for what differs. Every text, code and quirk was recorded from VirtualBox 7.2 on Linux or
//! comes from its sources and bug reports for Windows and macOS; `vm/virtualbox/` runs the commands.
//!
//! VBoxManage accepts a lot in silence that fails later (an unknown operating system, a port above 65535, a
//! network card 9), so [`check()`] refuses before the first command. Left out: snapshots, clones, encryption.

pub mod check;
mod find;
pub mod info;
mod network;
pub mod outcome;
mod plan;
pub mod records;
mod removal;
mod script;
mod settings;
pub mod state;
mod storage;
pub mod vdi;

use std::time::Duration;

use crate::{DiskFormat, Machine, profile_of};
use buildplan::{Cmd, Digest};

pub use check::{Networks, check};
pub use find::find;
pub use outcome::{ManageError, Reaction, Rule};
pub use plan::{
    boots_from_network, folder, host_only, look_at_machine, looks, plan, power_off, press_power, relocated,
    reset, screenshot, start, stop,
};
pub use removal::{leftover, remove};
pub use script::script;
pub use state::{DiskImage, HostState, MachineFiles, SettingsFile};

/// The host's operating system: host-only networks differ, and so do paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Host-only interfaces with fixed names, `vboxnet0` first.
    Linux,
    /// Host-only interfaces whose names must be found.
    Windows,
    /// Host-only networks of the system's own, with DHCP built in.
    MacOs,
}

impl System {
    /// The system this program was built for; what is neither Windows nor macOS behaves as Linux does.
    #[must_use]
    pub fn current() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::MacOs
        } else {
            Self::Linux
        }
    }

    /// `folder` and `name` as one path, with the host's separator.
    #[must_use]
    pub fn join(self, folder: &str, name: &str) -> String {
        let separator = if self == Self::Windows { '\\' } else { '/' };
        format!("{}{separator}{name}", folder.trim_end_matches(['/', separator]))
    }

    /// Whether `path` is absolute; VirtualBox resolves others against the caller's folder.
    #[must_use]
    pub(crate) fn is_absolute(self, path: &str) -> bool {
        match self {
            Self::Windows => {
                let bytes = path.as_bytes();
                path.starts_with(r"\\")
                    || (bytes.len() > 2
                        && bytes[0].is_ascii_alphabetic()
                        && bytes[1] == b':'
                        && matches!(bytes[2], b'\\' | b'/'))
            }
            _ => path.starts_with('/'),
        }
    }

    /// The folder that `path` is in.
    #[must_use]
    pub fn parent(self, path: &str) -> Option<&str> {
        let separators: &[char] = if self == Self::Windows { &['/', '\\'] } else { &['/'] };
        Some(path.rsplit_once(separators)?.0)
    }

    /// The last part of `path`.
    #[must_use]
    pub(crate) fn file_name(self, path: &str) -> &str {
        self.parent(path).map_or(path, |folder| &path[folder.len() + 1..])
    }

    /// Whether two paths name the same file, as far as text can tell.
    #[must_use]
    pub(crate) fn same_path(self, a: &str, b: &str) -> bool {
        self.comparable(a) == self.comparable(b)
    }

    /// Whether `path` lies in `folder`.
    #[must_use]
    pub fn is_inside(self, path: &str, folder: &str) -> bool {
        let folder = self.comparable(folder);
        self.comparable(path)
            .strip_prefix(folder.trim_end_matches('/'))
            .is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
    }

    fn comparable(self, path: &str) -> String {
        if self == Self::Windows { path.replace('\\', "/").to_lowercase() } else { path.to_owned() }
    }
}

/// Which virtual machine is meant, and where it lives. Its folder is `base/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The host's system.
    pub system: System,
    /// How VBoxManage is called.
    pub program: String,
    /// The absolute folder that holds one folder a machine. It is ours alone.
    pub base: String,
    /// The machine's name, which is also its folder's.
    pub name: String,
    /// Its UUID. Names are ambiguous (VirtualBox takes two machines of one name) and `-x` would be an option.
    pub uuid: String,
}

impl Place {
    /// The machine's folder.
    #[must_use]
    pub fn folder(&self) -> String {
        self.system.join(&self.base, &self.name)
    }

    /// The machine's settings file.
    #[must_use]
    pub fn settings_file(&self) -> String {
        self.system.join(&self.folder(), &format!("{}.vbox", self.name))
    }

    /// The command that removes the machine and its disks, for help texts.
    pub(crate) fn removal(&self) -> String {
        format!("cargo xtask vm rm {} --backend virtualbox", profile_of(&self.name))
    }

    /// A command of VBoxManage that completes "could not …" with `why`.
    ///
    /// The deadline is far above the 10 seconds that a command was seen to take when the server of VirtualBox
    /// was just going away.
    #[must_use]
    pub fn manage(&self, why: impl Into<String>) -> Cmd {
        Cmd::new(&self.program, why).deadline(Duration::from_secs(120))
    }
}

/// The UUID of the machine `name` of the repository at `root`: the same in each run, another in each repository.
///
/// It is a version 8 UUID (RFC 9562, 5.8) of a SHA-256.
#[must_use]
pub fn machine_uuid(root: &str, name: &str) -> String {
    let hex = Digest::of(format!("virtualbox machine\0{root}\0{name}").as_bytes()).to_string();
    format!("{}-{}-8{}-a{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
}

/// `machine` as VirtualBox can run it: disks are VDI images in its folder, which `unregistervm --delete` clears.
#[must_use]
pub fn fitted(place: &Place, machine: Machine) -> Machine {
    let mut machine = machine;
    for (i, disk) in machine.disks.iter_mut().enumerate() {
        disk.path = place.system.join(&place.folder(), &removal::disk_name(i)).into();
        disk.format = DiskFormat::Vdi;
    }
    machine
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManageStep {
    /// The command or file operation.
    pub act: Act,
    /// What a failure means.
    pub rule: Rule,
    /// Whether the host must be looked at again before the next step, since this one's result decides it.
    pub look_again: bool,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Runs VBoxManage.
    Manage(Cmd),
    /// Removes a file that earlier runs left in our own folder.
    Remove {
        /// File to remove.
        path: String,
        /// Completes "could not …".
        why: String,
    },
    /// Renames a file of our own folder that is in the way.
    SetAside {
        /// Path that the file has now.
        from: String,
        /// Its new path, in the same folder.
        to: String,
        /// Completes "could not …".
        why: String,
    },
}

impl ManageStep {
    fn new(cmd: Cmd) -> Self {
        Self { act: Act::Manage(cmd), rule: Rule::Plain, look_again: false }
    }

    fn rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    fn look_again(mut self) -> Self {
        self.look_again = true;
        self
    }

    /// Whether it makes a host-only interface, which needs a module and, on Windows, an administrator.
    #[must_use]
    pub fn makes_interface(&self) -> bool {
        matches!(&self.act, Act::Manage(cmd) if cmd.args.starts_with(&["hostonlyif".to_owned(), "create".to_owned()]))
    }

    /// Why: completes "could not …".
    #[must_use]
    pub fn why(&self) -> &str {
        match &self.act {
            Act::Manage(cmd) => &cmd.why,
            Act::SetAside { why, .. } | Act::Remove { why, .. } => why,
        }
    }
}

/// Steps, and remarks about what VirtualBox cannot give as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Todo {
    /// In order.
    pub steps: Vec<ManageStep>,
    /// What has to run before the machine starts, as a command line: the server of a netboot.
    pub serve: Option<String>,
    /// The command that starts the machine.
    pub start: Option<ManageStep>,
    /// What comes when the machine is up: shown, not run with the rest.
    pub later: Vec<ManageStep>,
    /// Sentences for the person.
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_one_uuid_in_a_repository_and_another_in_the_next() {
        let uuid = machine_uuid("/src/media", "smoke");
        assert_eq!(uuid, machine_uuid("/src/media", "smoke"));
        assert_ne!(uuid, machine_uuid("/src/media2", "smoke"));
        assert_ne!(uuid, machine_uuid("/src/media", "smoke2"));
        assert!(records::is_uuid(&uuid), "{uuid}");
        assert_eq!((&uuid[14..15], &uuid[19..20]), ("8", "a"));
    }

    #[test]
    fn paths_are_compared_as_the_host_does() {
        assert!(System::Windows.same_path(r"C:\VMs\a.vdi", "c:/vms/A.vdi"));
        assert!(!System::Linux.same_path("/vms/a.vdi", "/vms/A.vdi"));
        assert!(System::Linux.is_inside("/vms/a/disk.vdi", "/vms/a/"));
        assert!(!System::Linux.is_inside("/vms/ab/disk.vdi", "/vms/a"));
        assert!(!System::Linux.is_inside("/vms/a", "/vms/a"));
        assert!(System::Windows.is_absolute(r"C:\a") && !System::Windows.is_absolute("C:a"));
        assert!(System::Windows.is_absolute(r"\\server\share") && !System::Windows.is_absolute("/a"));
        assert_eq!(System::Windows.join(r"C:\", "a"), r"C:\a");
        assert_eq!(System::Windows.parent(r"C:\VMs/a\b.vdi"), Some(r"C:\VMs/a"));
        assert_eq!(
            (System::Linux.parent("/v/a\\b"), System::Linux.file_name("/v/ü.vdi")),
            (Some("/v"), "ü.vdi")
        );
    }
}
