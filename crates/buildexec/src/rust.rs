//! Where the machine's Rust is. Asked when a node needs it: two starts of rustc take longer than all else that a run
//! without work does.

use std::sync::OnceLock;

use anyhow::Result;

use crate::ctx::Ctx;
use buildplan::{Cmd, RustFolder};

/// What rustc says of itself, asked at most once.
#[derive(Default)]
pub(crate) struct Rust(OnceLock<Installed>);

struct Installed {
    sysroot: String,
    commit: String,
}

impl Rust {
    /// One of its folders.
    ///
    /// # Errors
    /// When rustc is missing or fails.
    pub(crate) fn folder(&self, ctx: &Ctx, folder: RustFolder) -> Result<String> {
        if folder == RustFolder::Crates {
            let home = || ctx.env.get("HOME").map(|home| format!("{home}/.cargo"));
            return Ok(ctx.env.get("CARGO_HOME").map(str::to_owned).or_else(home).unwrap_or_default());
        }
        let installed = match self.0.get() {
            Some(known) => known,
            None => {
                let found = Installed::ask(ctx)?;
                self.0.get_or_init(|| found)
            }
        };
        Ok(match folder {
            RustFolder::LibraryName => format!("/rustc/{}", installed.commit),
            _ => format!("{}/lib/rustlib/src/rust", installed.sysroot),
        })
    }
}

impl Installed {
    fn ask(ctx: &Ctx) -> Result<Self> {
        let ask = |args: &[&str]| {
            let cmd = Cmd::new("rustc", "ask where Rust is").args(args.iter().copied());
            ctx.runner.run(&cmd).map(|said| said.text())
        };
        let version = ask(&["-vV"])?;
        let commit = version.lines().find_map(|l| l.strip_prefix("commit-hash: ")).unwrap_or("unknown");
        Ok(Self { sysroot: ask(&["--print", "sysroot"])?.trim().to_owned(), commit: commit.to_owned() })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::ctx::{Env, Globals};

    #[test]
    fn rustc_is_asked_once_and_only_for_its_own_folders() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        let (rustc, log) = (dir.path().join("rustc"), dir.path().join("log"));
        let script =
            "#!/bin/sh\necho asked >>log\ncase $1 in -vV) echo 'commit-hash: abc' ;; *) echo /rust ;; esac\n";
        fs_err::write(&rustc, script).unwrap();
        fs_err::set_permissions(&rustc, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{root}:/usr/bin:/bin");
        let env = Env::of(&[("MEDIA_ROOT", root), ("PATH", &path), ("CARGO_HOME", "/crates")]);
        let ctx = Ctx::new(Globals::default(), env, &[]).unwrap();
        let rust = Rust::default();
        assert_eq!(rust.folder(&ctx, RustFolder::Crates).unwrap(), "/crates");
        assert!(!log.exists());
        for _ in 0..2 {
            assert_eq!(rust.folder(&ctx, RustFolder::LibraryName).unwrap(), "/rustc/abc");
            assert_eq!(rust.folder(&ctx, RustFolder::Library).unwrap(), "/rust/lib/rustlib/src/rust");
        }
        assert_eq!(fs_err::read_to_string(log).unwrap().lines().count(), 2);
    }
}
