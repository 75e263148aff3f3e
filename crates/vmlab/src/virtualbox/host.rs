//! The host that VBoxManage runs on.

use std::{
    collections::BTreeSet,
    fs::{File, TryLockError},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::{machines::files_in, power::append};
use buildexec::ctx::Ctx;
use buildexec::{
    run::{CommandOutput, Runner, read_limited},
    signals::Interrupt,
};
use buildplan::Cmd;
use failure::{Explain as _, Failure, Kind};
use report::Reporter;
use vmspec::{
    quote::Shell,
    virtualbox::{
        DiskImage, MachineFiles, ManageStep, Place, SettingsFile, Todo, leftover, records, script, vdi,
    },
};

/// No settings file of a machine of ours comes near this size.
const SETTINGS_LIMIT: u64 = 1 << 20;

/// What VirtualBox needs of a host; tests have their own.
pub trait ManageHost {
    /// Runs VBoxManage and returns what it said, whatever its exit code.
    ///
    /// # Errors
    /// When it cannot be started, or does not end.
    fn call(&mut self, cmd: &Cmd) -> Result<CommandOutput>;

    /// Waits.
    ///
    /// # Errors
    /// When the person asks to stop.
    fn pause(&mut self, time: Duration) -> Result<()>;

    /// What exists of the machine's settings file, of `disks`, and of runs' files in `folders`.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    fn files(&mut self, place: &Place, disks: &[&str], folders: &[String]) -> Result<MachineFiles>;

    /// Whether a path exists.
    fn exists(&self, path: &str) -> bool;

    /// Whether the host has this address.
    fn has_address(&self, address: Ipv4Addr) -> bool;

    /// Hears what is done next; questions are not told.
    ///
    /// # Errors
    /// When it cannot be written down.
    fn doing(&mut self, step: &ManageStep) -> Result<()>;

    /// Tells the person something that wants attention.
    fn warn(&mut self, text: &str);

    /// Renames a file.
    ///
    /// # Errors
    /// When that fails.
    fn rename(&mut self, from: &str, to: &str) -> Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// When that fails.
    fn remove(&mut self, path: &str) -> Result<()>;
}

/// This computer.
pub struct Real {
    runner: Runner,
    env: Vec<(String, String)>,
    report: Reporter,
    /// Where locks are: the same machine may be asked for in two folders.
    locks: Utf8PathBuf,
    /// Held as long as the machine is ours.
    lock: Option<File>,
    /// The file that takes down what is done.
    transcript: Option<Utf8PathBuf>,
}

/// Variables that VirtualBox finds its server, its settings and the screen by. Without the first three it would
/// talk to another server than the person's own VirtualBox does.
const PASSED: [&str; 17] = [
    "VBOX_USER_HOME",
    "VBOX_IPC_SOCKETID",
    "LOGNAME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "APPDATA",
    "LOCALAPPDATA",
    "HOMEDRIVE",
    "HOMEPATH",
    "USERNAME",
    "SystemDrive",
    "ProgramData",
    "ProgramFiles",
    "TMP",
];

impl Real {
    /// This computer, with what VirtualBox needs of the environment.
    #[must_use]
    pub(crate) fn new(ctx: &Ctx) -> Self {
        let env = PASSED.iter().filter_map(|name| Some(((*name).to_owned(), ctx.env.get(name)?.to_owned())));
        Self {
            runner: ctx.runner.clone(),
            env: env.collect(),
            report: ctx.report.clone(),
            locks: ctx.work.join("vm/locks"),
            lock: None,
            transcript: None,
        }
    }

    /// Keeps other runs from the machine until this value is dropped: commands on one machine must not overlap, and
    /// a running machine without a holder is a leftover.
    ///
    /// # Errors
    /// When another run has it.
    pub fn hold(&mut self, place: &Place) -> Result<()> {
        fs_err::create_dir_all(&self.locks)?;
        let path = self.locks.join(format!("{}.lock", place.uuid));
        let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?.into_parts().0;
        // A process that is just being started holds a copy of its parent's files until it is.
        let mut tries = 0;
        let locked = loop {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) if tries < 20 => tries += 1,
                other => break other,
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        match locked {
            Ok(()) => self.lock = Some(file),
            Err(TryLockError::WouldBlock) => {
                let message = format!("another run has the machine `{}`", place.name);
                return Err(Failure::new(Kind::Boot, message)
                    .help("wait for it, or stop it with Ctrl-C")
                    .into());
            }
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        Ok(())
    }

    /// Takes down what is done from here on, as a shell script.
    pub fn write_down(&mut self, file: Utf8PathBuf) {
        self.transcript = Some(file);
    }

    /// Shows an error that cannot be returned any more.
    pub(crate) fn complain(&self, error: &anyhow::Error) {
        self.report.error(error);
    }

    /// Lets commands run although the person asked to stop: they power off and clean up.
    pub(crate) fn ignore_interrupt(&mut self) {
        self.runner.interrupt = Interrupt::default();
    }
}

impl ManageHost for Real {
    fn call(&mut self, cmd: &Cmd) -> Result<CommandOutput> {
        let mut cmd = cmd.clone();
        cmd.env.extend(self.env.iter().cloned());
        self.runner.output(&cmd)
    }

    fn pause(&mut self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.runner.interrupt.check()?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn files(&mut self, place: &Place, disks: &[&str], folders: &[String]) -> Result<MachineFiles> {
        let settings = Utf8PathBuf::from(place.settings_file());
        let settings = match settings.is_file() {
            true => owner(&settings)?.map_or(SettingsFile::Unreadable, SettingsFile::Of),
            false => SettingsFile::Absent,
        };
        let there = disks.iter().filter(|p| Utf8Path::new(p).exists());
        let disks = there.map(|p| Ok(((*p).to_owned(), image(Utf8Path::new(p))?))).collect::<Result<_>>()?;
        let mut leftovers = Vec::new();
        for folder in folders {
            for file in files_in(Utf8Path::new(folder))? {
                let is_settings = file.as_str().contains(".vbox") && !file.as_str().ends_with(".old");
                let owner = if is_settings { owner(&file)? } else { None };
                let name = file.strip_prefix(folder).unwrap_or(&file);
                let name = name.components().map(|c| c.as_str()).collect::<Vec<_>>().join("/");
                if leftover(place, &name, owner.as_deref()) {
                    leftovers.push(file.into_string());
                }
            }
        }
        Ok(MachineFiles { settings, disks, leftovers })
    }

    fn exists(&self, path: &str) -> bool {
        Utf8Path::new(path).exists()
    }

    /// Only an address of the host's own can be listened on.
    fn has_address(&self, address: Ipv4Addr) -> bool {
        TcpListener::bind((address, 0)).is_ok()
    }

    fn doing(&mut self, step: &ManageStep) -> Result<()> {
        self.report.note(step.why());
        let Some(file) = &self.transcript else { return Ok(()) };
        let text = script(&Todo { steps: vec![step.clone()], ..Todo::default() }, Shell::Sh);
        append(file)?.write_all(text.as_bytes())?;
        Ok(())
    }

    /// Once: many machines of one run have the same to say.
    fn warn(&mut self, text: &str) {
        static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned()) {
            self.report.warn(text);
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        fs_err::rename(from, to).explain(Kind::Storage, || format!("cannot set {from} aside"))
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        fs_err::remove_file(path).explain(Kind::Storage, || format!("cannot remove {path}"))
    }
}

/// The UUID in a settings file.
fn owner(settings: &Utf8Path) -> Result<Option<String>> {
    let bytes = read_limited(settings, SETTINGS_LIMIT)?;
    Ok(records::settings_uuid(&String::from_utf8_lossy(&bytes)))
}

/// Whether a disk's image is whole.
fn image(path: &Utf8Path) -> Result<DiskImage> {
    let mut header = Vec::new();
    let file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    file.take(vdi::HEADER as u64).read_to_end(&mut header)?;
    Ok(vdi::damage(&header, length).map_or(DiskImage::Whole, DiskImage::Damaged))
}
