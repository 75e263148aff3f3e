//! A repository of its own for each test, programs that the test wrote itself, and the real binary run among them.

#![expect(
    clippy::disallowed_methods,
    reason = "the binary is run as a shell would, with an environment of ours"
)]

use std::{process::Command, sync::LazyLock};

use buildexec::tree;
use buildplan::Digest;
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use mediaplan::config::{Engine, Lock, Locked};
use mediaplan::stage::needs;

use crate::{harness::lacks, packages, repository};

/// What a whole build of the profile `linux` is asked for, out of [`Repo::with_linux`].
pub(crate) const LINUX: &[&str] =
    &["-q", "dist", "linux", "--engine", "prebuilt", "--artifacts", "artifacts"];

/// How the name of this binary begins where it is the program with every command. Those of `lab` and `maintain`, to which
/// `xtask` hands some over, are none of this package's.
const WHOLE: &str = "whole-";

/// Whether this process is the program with every command. It starts itself, so only its file can say so.
pub(crate) fn is_the_program() -> bool {
    std::env::current_exe().is_ok_and(|this| this.file_name().unwrap().to_string_lossy().starts_with(WHOLE))
}

/// The program with every command: another name of this binary, beside it.
pub(crate) fn whole_program() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        let this = Utf8PathBuf::from_path_buf(std::env::current_exe().unwrap()).unwrap();
        let link = |start: &str| this.with_file_name(format!("{start}{}", this.file_name().unwrap()));
        // The name may be there, of an older binary or of another process that does the same.
        let (program, new) = (link(WHOLE), link(&format!("{}-", std::process::id())));
        fs::hard_link(&this, &new).unwrap();
        fs::rename(&new, &program).unwrap();
        // To replace a name of the same file is to do nothing.
        _ = fs::remove_file(&new);
        program.into_string()
    });
    &PROGRAM
}

/// A copy of what the repository says, in a folder that goes away, with `bin/` in front of the search path.
pub(crate) struct Repo {
    root: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

impl Repo {
    pub(crate) fn new() -> Self {
        Self::named("repo")
    }

    /// As [`Self::new`], in a folder of this name.
    pub(crate) fn named(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().join(name);
        let repo = Self { root, _dir: dir };
        for name in ["media.toml", "media.lock", "bootscripts", "isofs"] {
            tree::copy(&repository().join(name), &repo.path(name)).unwrap();
        }
        fs::create_dir_all(repo.path("bin")).unwrap();
        repo
    }

    /// With a kernel and an initrd in `artifacts/`, recorded for the profile `linux`, and what else its media are made
    /// of in the store; for those whom [`can_build`] lets through.
    pub(crate) fn with_linux() -> Self {
        let repo = Self::with_tools();
        repo.record_linux();
        repo
    }

    /// With the tools of all profiles in its store.
    pub(crate) fn with_tools() -> Self {
        let repo = Self::new();
        repo.seed("linux");
        repo
    }

    /// Puts a kernel and an initrd into `artifacts/`, and records them for the profile `linux`.
    pub(crate) fn record_linux(&self) {
        self.write("artifacts/vmlinuz", "a kernel\n");
        self.write("artifacts/initrd", "an initrd\n");
        let mut lock = Lock::parse(&self.read("media.lock")).unwrap();
        let files = lock.files.entry("linux".to_owned()).or_default();
        for name in ["vmlinuz", "initrd"] {
            let bytes = self.read(&format!("artifacts/{name}"));
            let locked = Locked {
                version: "1".to_owned(),
                sha256: Digest::of(bytes.as_bytes()),
                size: Some(bytes.len() as u64),
                vouched_by: "a test".to_owned(),
            };
            files.insert(name.to_owned(), locked);
        }
        self.write("media.lock", lock.render());
    }

    fn seed(&self, profile: &str) {
        let packages = packages::of(profile).expect("`can_build` was asked");
        packages.seed(&self.path("target/media/store"), &self.path("media.lock"));
        packages.debs(&self.path("artifacts"));
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        self.root().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn read_bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Replaces `from`, which must be there, by `to`.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from:?}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    /// Takes `[file.PROFILE."NAME"]` out of the lock.
    pub(crate) fn forget(&self, profile: &str) {
        let lock = self.read("media.lock");
        let (before, rest) = lock.split_once(&format!("[file.{profile}.")).unwrap();
        let after = rest.split_once("\n[").map(|(_, after)| format!("[{after}")).unwrap_or_default();
        self.write("media.lock", format!("{before}{after}"));
    }

    /// With the packages of the smoke system in its store.
    pub(crate) fn with_packages(name: &str) -> Option<Self> {
        if !can_build("smoke", Engine::Prebuilt) {
            return None;
        }
        let repo = Self::named(name);
        repo.seed("smoke");
        Some(repo)
    }

    /// Puts a program in front of each real one that writes its name to `calls` first.
    #[cfg(unix)]
    pub(crate) fn record_programs(&self) {
        let needs = needs::all();
        let programs = needs.iter().map(|n| n.what.as_str()).filter(|what| !what.starts_with('/'));
        for program in programs.chain(["apt-get", "apt-cache", "dpkg-deb", "grub-mkimage", "tar"]) {
            let Ok(real) = which::which_in(program, Some(search_path()), ".") else { continue };
            let (calls, real) = (self.path("calls"), real.display());
            self.script(program, &format!("echo {program} >> '{calls}'; exec {real} \"$@\""));
        }
    }

    /// A program for the search path, a shell script. Asked for its version, as `plan` does, it gives one.
    #[cfg(unix)]
    pub(crate) fn program(&self, name: &str, script: &str) {
        self.script(name, &format!("case \"$1\" in *-version) echo fake 1.0; exit;; esac\n{script}"));
    }

    #[cfg(unix)]
    fn script(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        // A program that is written while another thread forks cannot be started ("text file busy").
        let path = self.path("bin").join(name);
        self.write(&format!("bin/.{name}"), format!("#!/bin/sh\n{script}\n"));
        let text = self.path(&format!("bin/.{name}"));
        fs::set_permissions(&text, std::fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(text, path).unwrap();
    }

    /// The binary with these arguments, as `snapbox` runs and judges it. What it prints has `[ROOT]` for our folder.
    pub(crate) fn xtask(&self, args: &[&str]) -> snapbox::cmd::Command {
        let mut known = snapbox::Redactions::new();
        known.insert("[ROOT]", self.root().as_str().to_owned()).unwrap();
        snapbox::cmd::Command::from_std(self.command(args))
            .with_assert(snapbox::Assert::new().action_env("SNAPSHOTS").redact_with(known))
    }

    /// The binary with these arguments, to be started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.set_up(Command::new(env!("CARGO_BIN_EXE_xtask")), args)
    }

    /// The program with every command, also those that the binary hands over, to be started.
    pub(crate) fn whole(&self, args: &[&str]) -> Command {
        self.set_up(Command::new(whole_program()), args)
    }

    fn set_up(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).current_dir(self.root()).env_clear();
        for (name, value) in self.variables() {
            command.env(name, value);
        }
        command
    }

    /// The whole environment of the binary.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let path = std::env::var("PATH").unwrap();
        vec![
            ("PATH", format!("{}:{path}", self.path("bin"))),
            ("HOME", self.root().to_string()),
            ("MEDIA_ROOT", self.root().to_string()),
            ("CARGO_TARGET_DIR", self.path("target").into_string()),
        ]
    }

    /// Runs a tool in our folder, and returns what it printed.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> String {
        self.run_in("", program, args)
    }

    /// Runs a tool in a folder of ours, and returns what it printed.
    pub(crate) fn run_in(&self, folder: &str, program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).current_dir(self.path(folder)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `dist/` holds, as one digest; nothing when it is not there.
    pub(crate) fn dist(&self) -> Option<Digest> {
        let dist = self.path("dist");
        dist.exists().then(|| tree::digest(&dist).unwrap().0)
    }

    /// What is in a folder of the target folder, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The folders of the store whose stage is `stage`.
    pub(crate) fn entries(&self, stage: &str) -> Vec<Utf8PathBuf> {
        let names = self.names("target/media/store");
        let ours = names.iter().filter(|n| n.rsplit_once('-').is_some_and(|(s, _)| s == stage));
        ours.map(|n| self.path("target/media/store").join(n)).collect()
    }

    /// Nothing under way was left behind.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.names("target/media/tmp"), [""; 0]);
        assert!(self.names("dist").iter().all(|n| !n.starts_with('.')), "{:?}", self.names("dist"));
    }
}

/// Whether everything is there that builds `profile`; says what is not, and fails then when everything must run.
pub(crate) fn can_build(profile: &str, engine: Engine) -> bool {
    let config = mediabuild::workspace::load::read(&super::repository()).unwrap().config;
    let needs = needs::dist(&config.profile(Some(profile)).unwrap().media, engine);
    let there = |what: &str| match what.starts_with('/') {
        true => Utf8Path::new(what).exists(),
        false => which::which_in(what, Some(search_path()), ".").is_ok(),
    };
    let missing: Vec<_> = needs.iter().map(|n| n.what.as_str()).filter(|what| !there(what)).collect();
    if !missing.is_empty() {
        lacks(&format!("missing {}", missing.join(", ")));
    }
    missing.is_empty() && packages::of(profile).is_some()
}

/// Where the binary looks for programs.
pub(crate) fn search_path() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin", std::env::var("PATH").unwrap())
}
