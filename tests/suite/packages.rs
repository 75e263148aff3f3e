//! The distribution's packages for tests: fetched and unpacked once, shared by all; and packages that a test wrote
//! itself.

use std::sync::OnceLock;

use buildexec::tree;
use buildplan::Digest;
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use mediaplan::config::{Lock, LockedPackage};

use super::{
    harness::lacks,
    repo::{LINUX, Repo},
};

/// The packages of one profile.
pub(crate) struct Packages {
    /// The lock that they are recorded in.
    lock: Lock,
    /// The store with them, unpacked.
    store: Utf8PathBuf,
}

/// The packages that `profile` is made of; `None`, and a word on why, when they cannot be had and need not.
pub(crate) fn of(profile: &str) -> Option<&'static Packages> {
    static LINUX: OnceLock<Result<Packages, String>> = OnceLock::new();
    static SMOKE: OnceLock<Result<Packages, String>> = OnceLock::new();
    let one = if profile == "smoke" { &SMOKE } else { &LINUX };
    let built = one.get_or_init(|| built(if profile == "smoke" { "smoke" } else { "linux" }));
    let missing = |said: &String| lacks(&format!("the distribution's packages are unavailable: {said}"));
    built.as_ref().inspect_err(|said| missing(said)).ok()
}

/// Builds a profile in a scratch copy. What a mirror no longer has is resolved again there: the repository's pins are a
/// person's to renew, and say nothing of the code.
fn built(profile: &str) -> Result<Packages, String> {
    let repo = Repo::new();
    let shared = Utf8Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages").join(profile);
    let run = |args: &[&str]| {
        let output = repo.command(args).env("CARGO_TARGET_DIR", &shared).output().unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    let dist = || match profile {
        "smoke" => run(&["-q", "dist", "smoke", "--engine", "prebuilt"]),
        _ => {
            repo.record_linux();
            run(LINUX)
        }
    };
    if let Err(said) = dist() {
        if !said.contains("mirrors drop old versions") {
            return Err(said);
        }
        run(&["-q", "fetch", "--update", "smoke"])?;
        println!("the mirrors dropped a recorded package, so today's are tested: {said}");
        dist()?;
    }
    let lock = Lock::parse(&repo.read("media.lock")).unwrap();
    Ok(Packages { lock, store: shared.join("media/store") })
}

impl Packages {
    /// The store with them, and with what was built of them.
    pub(crate) fn store(&self) -> &Utf8Path {
        &self.store
    }

    /// Puts them into a store, and their record into a lock.
    pub(crate) fn seed(&self, store: &Utf8Path, lock: &Utf8Path) {
        let mut own = Lock::parse(&fs::read_to_string(lock).unwrap()).unwrap();
        own.packages.clone_from(&self.lock.packages);
        fs::write(lock, own.render()).unwrap();
        for entry in fs::read_dir(&self.store).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let (from, to) = (self.store.join(&name), store.join(&name));
            if name.starts_with("deb-") {
                tree::copy(&from, &to).unwrap();
            } else if name.starts_with("tree-") {
                link(&from, &to);
            }
        }
    }

    /// Puts the packages themselves into a folder for `--artifacts`.
    pub(crate) fn debs(&self, folder: &Utf8Path) {
        for entry in fs::read_dir(&self.store).unwrap() {
            let out = self.store.join(entry.unwrap().file_name().into_string().unwrap()).join("out");
            for (name, package) in &self.lock.packages {
                let (deb, file) = (out.join(format!("{name}.deb")), file_name(package));
                if deb.exists() {
                    tree::copy(&deb, &folder.join(file)).unwrap();
                }
            }
        }
    }
}

fn file_name(package: &LockedPackage) -> &str {
    package.path.rsplit('/').next().unwrap()
}

/// The same files under another name, which takes no time; no test writes into an unpacked tree.
fn link(from: &Utf8Path, to: &Utf8Path) {
    for file in tree::files(from).unwrap() {
        let (from, to) = (from.join(&file), to.join(&file));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // The store may be on another file system.
        if fs::hard_link(&from, &to).is_err() {
            tree::copy(&from, &to).unwrap();
        }
    }
}

/// Makes `package` of `repo` one whose loader is `script`: whatever program of it is run, the script is. `$4` is the
/// program, the arguments stand behind. It lies in `artifacts/`.
#[cfg(unix)]
pub(crate) fn replace(repo: &Repo, package: &str, script: &str) {
    let mut tar = tar::Builder::new(Vec::new());
    let script = format!("#!/bin/sh\n{script}\n");
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(script.len() as u64);
    let loader = "./usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
    tar.append_data(&mut header, loader, script.as_bytes()).unwrap();
    let data = tar.into_inner().unwrap();
    let mut deb = ar::Builder::new(Vec::new());
    deb.append(&ar::Header::new(b"data.tar".into(), data.len() as u64), data.as_slice()).unwrap();
    let deb = deb.into_inner().unwrap();
    let mut lock = Lock::parse(&repo.read("media.lock")).unwrap();
    let old = lock.packages.get_mut(package).unwrap();
    (old.sha256, old.size) = (Digest::of(&deb), deb.len() as u64);
    old.needs.clear();
    repo.write(&format!("artifacts/{}", file_name(old)), deb);
    repo.write("media.lock", lock.render());
}
