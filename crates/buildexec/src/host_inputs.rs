//! The machine and the repository as the planner sees them: file digests and tool versions.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{
    store::{self, write_json},
    tree,
};
use crate::{
    action::{Builtin, CargoLock},
    ctx::Ctx,
};
use buildplan::{Cmd, Digest, HostInputs, Missing, ToolId};

/// The real [`HostInputs`]. Tool versions are remembered in `target/media/tools.json` as long as the program's size
/// and time stay the same, so that a run without work starts no program.
///
/// rustup's `cargo` and `rustc` are one small program that starts the toolchain's. It is another program on each machine
/// and says nothing of the compiler, so that the toolchain's own stands for it.
pub struct BuildHost<'c> {
    ctx: &'c Ctx,
    epoch: u64,
    tools: RefCell<BTreeMap<String, RememberedVersion>>,
    digests: RefCell<BTreeMap<String, Digest>>,
    /// Of builtins, by name.
    codes: RefCell<BTreeMap<String, Digest>>,
    /// What builtins are compiled with, by the text that says so; they share one.
    locks: RefCell<BTreeMap<&'static str, Rc<CargoLock<'static>>>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct RememberedVersion {
    path: Utf8PathBuf,
    size: u64,
    time: u128,
    /// Of rustup's programs, what they start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    toolchain: Option<Toolchain>,
    version: String,
}

/// What a program of rustup's starts, as long as nothing that decides on it changes.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Toolchain {
    program: Utf8PathBuf,
    size: u64,
    time: u128,
    /// Sizes and times of the files in which a toolchain is chosen.
    chosen: Vec<Option<(u64, u128)>>,
}

impl<'c> BuildHost<'c> {
    /// Reads what is remembered of the tools; `epoch` comes from the lock.
    #[must_use]
    pub fn new(ctx: &'c Ctx, epoch: u64) -> Self {
        let known = store::read_regular(&ctx.work.join("tools.json"));
        let tools = known.and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
        Self {
            ctx,
            epoch,
            tools: RefCell::new(tools),
            digests: RefCell::default(),
            codes: RefCell::default(),
            locks: RefCell::default(),
        }
    }

    fn digest(&self, path: Utf8PathBuf) -> Option<Digest> {
        if let Some(digest) = self.digests.borrow().get(path.as_str()) {
            return Some(*digest);
        }
        let (digest, _) = tree::digest(&path).ok()?;
        self.digests.borrow_mut().insert(path.into_string(), digest);
        Some(digest)
    }

    fn lock(&self, builtin: &Builtin) -> Rc<CargoLock<'static>> {
        let mut locks = self.locks.borrow_mut();
        Rc::clone(locks.entry(builtin.lock).or_insert_with(|| Rc::new(CargoLock::new(builtin.lock))))
    }

    fn look_up(&self, program: &str) -> Option<RememberedVersion> {
        let path = self.ctx.find_program(program)?;
        let is_rustups = ["cargo", "rustc"].contains(&program) && path.with_file_name("rustup").is_file();
        let (size, time) = size_and_time(&path)?;
        let same = |k: &RememberedVersion| {
            let toolchain = k.toolchain.as_ref().map(|t| self.toolchain(t.program.clone()));
            (&k.path, k.size, k.time) == (&path, size, time)
                && k.toolchain.is_some() == is_rustups
                && toolchain.is_none_or(|now| now == k.toolchain)
        };
        if let Some(old) = self.tools.borrow().get(program).filter(|k| same(k)) {
            return Some(old.clone());
        }
        let toolchain = if is_rustups { Some(self.toolchain(self.started(program)?)?) } else { None };
        let real = crate::paths::real(toolchain.as_ref().map_or(&path, |t| &t.program)).ok()?;
        let version = format!("{} ({})", self.said(program), self.digest(real)?.short(8));
        let known = RememberedVersion { path, size, time, toolchain, version };
        self.tools.borrow_mut().insert(program.to_owned(), known.clone());
        // Not being able to remember costs time, nothing else.
        _ = fs_err::create_dir_all(&self.ctx.work);
        _ = write_json(&self.ctx.work.join("tools.json"), &*self.tools.borrow());
        Some(known)
    }

    /// What rustup starts under the name `program`.
    fn started(&self, program: &str) -> Option<Utf8PathBuf> {
        let ask = Cmd::new("rustc", "ask where Rust is").args(["--print", "sysroot"]);
        let said = self.ctx.runner.output(&ask.deadline(Duration::from_secs(20))).ok()?.text();
        Some(Utf8Path::new(said.trim()).join("bin").join(program))
    }

    /// The toolchain's program `program` as it is now, and the files in which it was chosen.
    fn toolchain(&self, program: Utf8PathBuf) -> Option<Toolchain> {
        let (size, time) = size_and_time(&program)?;
        let settings = self.ctx.env.get("HOME").map(|home| Utf8Path::new(home).join(".rustup/settings.toml"));
        let own = ["rust-toolchain.toml", "rust-toolchain"].map(|name| self.ctx.root.join(name));
        let chosen = settings.into_iter().chain(own).map(|file| size_and_time(&file)).collect();
        Some(Toolchain { program, size, time, chosen })
    }

    /// The first line of what the program says of itself. The digest beside it tells apart builds that say the
    /// same.
    fn said(&self, program: &str) -> String {
        let flag = match program {
            "xorriso" => "-version",
            "ip" | "e2fsck" => "-V",
            "openssl" => "version",
            "nginx" | "tinyproxy" => "-v",
            _ => "--version",
        };
        let cmd = Cmd::new(program, "ask for a version").arg(flag).deadline(Duration::from_secs(20));
        let Ok(output) = self.ctx.runner.output(&cmd) else { return String::new() };
        let all = output.text() + &output.error_text();
        let lines = || all.lines().map(str::trim).filter(|l| !l.is_empty());
        let numbered = lines().find(|l| l.chars().any(|c| c.is_ascii_digit()));
        numbered.or(lines().next()).unwrap_or("").chars().take(100).collect()
    }
}

fn size_and_time(path: &Utf8Path) -> Option<(u64, u128)> {
    let meta = fs_err::metadata(path).ok()?;
    let time = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((meta.len(), time.as_nanos()))
}

impl HostInputs for BuildHost<'_> {
    fn source(&self, path: &str) -> Result<Digest, Missing> {
        self.digest(self.ctx.root.join(path)).ok_or_else(|| Missing::Source(path.to_owned()))
    }

    fn tool(&self, program: &str) -> Result<ToolId, Missing> {
        let known = self.look_up(program).ok_or_else(|| Missing::Tool(program.to_owned()))?;
        Ok(ToolId { version: known.version })
    }

    fn builtin(&self, name: &str) -> Result<Digest, Missing> {
        if let Some(code) = self.codes.borrow().get(name) {
            return Ok(*code);
        }
        let found = self.ctx.builtins.iter().find(|builtin| builtin.name == name);
        let found = found.ok_or_else(|| Missing::Builtin(name.to_owned()))?;
        let code = found.code(&self.lock(found));
        self.codes.borrow_mut().insert(name.to_owned(), code);
        Ok(code)
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::ctx::{Env, Globals};

    /// Two machines with one toolchain and another rustup each, and one whose toolchain is another.
    #[test]
    fn rustups_programs_stand_for_the_toolchain_that_they_start() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, text).unwrap();
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let says = |machine: &str| {
            let path = format!("{root}/{machine}/.cargo/bin:/usr/bin:/bin");
            let target = format!("{root}/{machine}/target");
            let home = format!("{root}/{machine}");
            let env = Env::of(&[
                ("MEDIA_ROOT", root.as_str()),
                ("PATH", &path),
                ("HOME", &home),
                ("CARGO_TARGET_DIR", &target),
            ]);
            let ctx = Ctx::new(Globals::default(), env, &[]).unwrap();
            ["cargo", "rustc"].map(|name| BuildHost::new(&ctx, 0).tool(name).unwrap().version)
        };
        let install = |machine: &str, toolchain: &str| {
            for name in ["rustup", "cargo", "rustc"] {
                let script = format!(
                    "#!/bin/sh\n# rustup of {machine}\n[ $1 = --version ] && echo {name} 1.0 || echo {root}/{toolchain}\n"
                );
                put(&format!("{machine}/.cargo/bin/{name}"), &script);
            }
        };
        for toolchain in ["stable", "nightly"] {
            put(&format!("{toolchain}/bin/cargo"), &format!("cargo of {toolchain}"));
            put(&format!("{toolchain}/bin/rustc"), &format!("rustc of {toolchain}"));
        }
        install("one", "stable");
        install("two", "stable");
        install("three", "nightly");
        assert_eq!(says("one"), says("two"));
        assert!(says("one").iter().zip(says("three")).all(|(a, b)| *a != b && a.starts_with(&b[..8])));
        // An update leaves rustup's programs as they are.
        let before = says("one");
        put("stable/bin/rustc", "rustc of stable, updated");
        assert_eq!(says("one")[0], before[0]);
        assert_ne!(says("one")[1], before[1]);
        // So does another default, of which rustup's settings tell.
        let after = says("one");
        let proxy = root.join("one/.cargo/bin/rustc");
        let time = fs_err::metadata(&proxy).unwrap().modified().unwrap();
        let script = fs_err::read_to_string(&proxy).unwrap();
        put("one/.cargo/bin/rustc", &script.replace("/stable", "/second"));
        std::fs::File::options().write(true).open(&proxy).unwrap().set_modified(time).unwrap();
        put("second/bin/cargo", "cargo of second");
        put("second/bin/rustc", "rustc of second");
        assert_eq!(says("one"), after);
        put("one/.rustup/settings.toml", "default_toolchain = 'second'\n");
        assert!(says("one").iter().zip(&after).all(|(a, b)| a != b));
        // Without rustup beside it, a compiler stands for itself.
        fs_err::remove_file(root.join("two/.cargo/bin/rustup")).unwrap();
        assert!(says("two").iter().zip(after).all(|(a, b)| *a != b));
    }
}
