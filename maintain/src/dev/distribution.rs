//! `cargo xtask test --distribution`: the README's commands in a new installation of another release.
//!
//! debootstrap installs the release into a folder. Everything runs in mount and process namespaces of its own, so that
//! no mount and no process outlives the run, however it ends. Rust and the crates' sources are the machine's, mounted
//! read-only; everything else comes from the release. What was made there is made here too: it must be the same bytes.

use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::steps::{StepEnd, Steps};
use crate::ci::compare::{self, Same};
use buildexec::ctx::Ctx;
use buildexec::tree;
use buildplan::Cmd;
use failure::{Failure, Kind};
use mediabuild::workspace::preflight;
use mediaplan::stage::needs;
use trust::verify::sums;

/// A release that debootstrap can install.
#[derive(Debug)]
struct Release {
    /// Its name in the archive, and of `--distribution`.
    suite: &'static str,
    mirror: &'static str,
    components: &'static str,
    /// Whose signatures on its index count.
    keyring: &'static str,
    /// debootstrap's script for releases of this kind. A machine's debootstrap need not know the release by name.
    script: &'static str,
}

const fn debian(suite: &'static str) -> Release {
    let (mirror, components) = ("http://deb.debian.org/debian", "main");
    Release { suite, mirror, components, keyring: needs::KEYRING, script: "sid" }
}

const fn ubuntu(suite: &'static str) -> Release {
    let (mirror, components) = ("http://archive.ubuntu.com/ubuntu", "main,universe");
    Release { suite, mirror, components, keyring: needs::UBUNTU_KEYRING, script: "gutsy" }
}

const RELEASES: &[Release] = &[debian("bookworm"), debian("trixie"), ubuntu("noble"), ubuntu("resolute")];

/// Below the installation's root: where Rust is, the crates' sources, the repository, and the machine's certificates.
const RUST: &str = "opt/rust";
const REGISTRY: &str = "root/.cargo/registry";
const REPOSITORY: &str = "root/boot-media";
const CERTIFICATES: &str = "opt/certificates.pem";
/// Variables that name a file of certificates.
const CERTIFICATE_VARIABLES: &[&str] =
    &["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];
/// Two cores download and unpack a release in two minutes.
const INSTALL_LIMIT: Duration = Duration::from_secs(30 * 60);
/// `test` takes a quarter of an hour on two cores, and an hour with `--long`.
const COMMAND_LIMIT: Duration = Duration::from_secs(3 * 60 * 60);
/// Mounts what a running system has, and two folders of the machine read-only, then runs the rest in the root.
const ENTER: &str = r#"
set -e
root=$1 rust=$2 registry=$3
shift 3
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$rust" "$root/opt/rust"
mount -o remount,bind,ro "$root/opt/rust"
mount --bind "$registry" "$root/root/.cargo/registry"
mount -o remount,bind,ro "$root/root/.cargo/registry"
exec chroot "$root" "$@"
"#;

/// Installs the release named `suite` below `target/`, runs the README's commands in it, and compares what they made
/// with what is made here. `extra` is appended to `test`, `install` installs debootstrap here. The root is removed in the end, unless
/// `--keep-failed` keeps one in which something failed.
///
/// # Errors
/// [`Kind::Usage`] for an unknown release and without root; the kind of the first step that failed.
pub(crate) fn run(ctx: &Ctx, suite: &str, extra: &[String], install: bool) -> Result<()> {
    let release = find(suite)?;
    if !preflight::is_root() {
        return Err(Failure::new(Kind::Usage, "installing another release needs root")
            .help(format!(
                "run `sudo --preserve-env env \"PATH=$PATH\" cargo xtask test --distribution {suite}`"
            ))
            .into());
    }
    let readme = fs_err::read_to_string(ctx.root.join("README.md"))?;
    let root = ctx.work.join("distributions").join(suite);
    let log = ctx.work.join("logs").join(format!("distribution-{suite}.log"));
    let installation = Installation { ctx, root, log };
    let mut steps = Steps::new(ctx, &[]);
    let mut ok = steps.step("installation", |ctx| {
        preflight::check(ctx, &needs::installation(release.keyring), install)?;
        installation.make(release)
    });
    for mut command in commands(&readme) {
        if command.get(2).is_some_and(|word| word == "test") {
            command.extend(extra.iter().cloned());
        }
        ok = ok && steps.step(&command.join(" "), |_| installation.run(&command).map(|()| StepEnd::Passed));
    }
    ok = ok && steps.step("the same bytes as here", |_| installation.compare());
    if !ok && ctx.globals.keep_failed {
        ctx.report.note(format!("the installation is kept in {}", installation.root));
    } else {
        tree::remove(&installation.root)?;
    }
    steps.finish()
}

fn find(suite: &str) -> Result<&'static Release> {
    RELEASES.iter().find(|r| r.suite == suite).ok_or_else(|| {
        let known: Vec<_> = RELEASES.iter().map(|r| r.suite).collect();
        Failure::new(Kind::Usage, format!("unknown release `{suite}`"))
            .help_choose(suite, &known, "releases")
            .into()
    })
}

/// The commands of ours in the first block of the README, word by word.
fn commands(readme: &str) -> Vec<Vec<String>> {
    let block = readme.split("```").nth(1).unwrap_or_default();
    let ours = block.lines().filter(|l| l.starts_with("cargo xtask "));
    let words = |line: &str| line.split_whitespace().take_while(|w| *w != "#").map(str::to_owned).collect();
    ours.map(words).collect()
}

/// A release in a folder.
struct Installation<'c> {
    ctx: &'c Ctx,
    root: Utf8PathBuf,
    log: Utf8PathBuf,
}

impl Installation<'_> {
    /// What a person has who has read the README's line about what is needed: the release, a C compiler, Rust, and a
    /// clone of this repository.
    fn make(&self, release: &Release) -> Result<StepEnd> {
        tree::remove(&self.root)?;
        tree::remove(&self.log)?;
        for folder in [self.root.parent(), self.log.parent()].into_iter().flatten() {
            fs_err::create_dir_all(folder)?;
        }
        let keyring = format!("--keyring={}", release.keyring);
        let components = format!("--components={}", release.components);
        let options = ["--variant=minbase", "--force-check-gpg", &keyring, &components];
        let cmd = alone(format!("install {}", release.suite)).arg("debootstrap").args(options).args([
            release.suite,
            self.root.as_str(),
            release.mirror,
            release.script,
        ]);
        self.logged(&cmd.deadline(INSTALL_LIMIT))?;
        self.prepare()?;
        let packages = "apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev";
        self.run(&["sh", "-c", packages].map(str::to_owned))?;
        Ok(StepEnd::Passed)
    }

    fn prepare(&self) -> Result<()> {
        for folder in [RUST, REGISTRY] {
            fs_err::create_dir_all(self.root.join(folder))?;
        }
        // Packages that bring a server would start it, on the machine's own network.
        let policy = self.root.join("usr/sbin/policy-rc.d");
        fs_err::write(&policy, "#!/bin/sh\nexit 101\n")?;
        self.ctx.runner.run(&Cmd::new("chmod", "make a program").args(["755", policy.as_str()]))?;
        if let Some(file) = CERTIFICATE_VARIABLES.iter().find_map(|name| self.ctx.env.get(name)) {
            fs_err::copy(file, self.root.join(CERTIFICATES))?;
        }
        // Also those that only tests need, and only other systems: nothing is written where they are mounted.
        let cargo = Cmd::new("cargo", "fetch the crates").args(["fetch", "--locked"]);
        self.ctx.runner.run(&cargo.deadline(INSTALL_LIMIT))?;
        let to = self.root.join(REPOSITORY);
        let git = Cmd::new("git", "clone the repository");
        self.ctx.runner.run(&git.args([
            "clone",
            "--quiet",
            "--no-hardlinks",
            self.ctx.root.as_str(),
            to.as_str(),
        ]))?;
        Ok(())
    }

    /// Runs a command in the repository's clone, showing what it prints.
    fn run(&self, command: &[String]) -> Result<()> {
        let ctx = self.ctx;
        let rustc = Cmd::new("rustc", "ask where Rust is").args(["--print", "sysroot"]);
        let rust = ctx.runner.run(&rustc)?.text();
        let cargo_home = ctx.env.get("CARGO_HOME").map(Utf8PathBuf::from);
        let cargo_home = cargo_home.or_else(|| Some(Utf8Path::new(ctx.env.get("HOME")?).join(".cargo")));
        let registry = cargo_home.context("neither CARGO_HOME nor HOME is set")?.join("registry");
        let cmd = alone(format!("run `{}`", command.join(" ")))
            .args(["sh", "-c", ENTER, "sh", self.root.as_str(), rust.trim(), registry.as_str(), "env"])
            .args(self.variables())
            .args(["sh", "-c", &format!("cd {REPOSITORY} && exec \"$@\""), "sh"])
            .args(command.iter().cloned());
        self.logged(&cmd.deadline(COMMAND_LIMIT))
    }

    /// What the machine's folders are called in the installation. Everything else is what the runner gives.
    fn variables(&self) -> Vec<String> {
        let path = format!("PATH=/{RUST}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let mut variables = vec![path, "HOME=/root".to_owned(), "TMPDIR=/tmp".to_owned()];
        let certificates = CERTIFICATE_VARIABLES.iter().filter(|name| self.ctx.env.get(name).is_some());
        variables.extend(certificates.map(|name| format!("{name}=/{CERTIFICATES}")));
        variables.extend(self.ctx.env.get("MEDIA_REQUIRE_VM").map(|v| format!("MEDIA_REQUIRE_VM={v}")));
        variables
    }

    fn logged(&self, cmd: &Cmd) -> Result<()> {
        self.ctx.runner.logged(cmd, &self.log, &mut |line| self.ctx.report.err_line(line))
    }

    /// Builds here what was built there, and compares every file.
    fn compare(&self) -> Result<StepEnd> {
        let there = self.root.join(REPOSITORY).join("dist");
        let mut same = Vec::new();
        for profile in profiles(&there)? {
            super::xtask(self.ctx, &["dist", &profile])?;
            let files = compare::trees(&self.ctx.dist.join(&profile), &there.join(&profile))?;
            same.extend(files.into_iter().map(|f| Same { path: Utf8Path::new(&profile).join(f.path), ..f }));
        }
        self.ctx.report.out(&compare::table(&same, "THERE"));
        compare::judge(&same)?;
        Ok(StepEnd::Passed)
    }
}

/// The profiles of which media are in a `dist/`.
fn profiles(dist: &Utf8Path) -> Result<Vec<String>> {
    let lists = tree::files(dist)?.into_iter().filter(|f| f.file_name() == Some(sums::SHA256));
    let names: Vec<String> = lists.filter_map(|f| Some(f.parent()?.to_string())).collect();
    if names.is_empty() {
        return Err(Failure::new(Kind::Input, format!("no media in {dist}")).into());
    }
    Ok(names)
}

/// A program in namespaces that end with it, and with them everything that was mounted and started.
fn alone(why: String) -> Cmd {
    Cmd::new("unshare", why).args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_those_of_the_readme() {
        let readme = include_str!("../../../README.md");
        let found: Vec<_> = commands(readme).into_iter().map(|words| words.join(" ")).collect();
        assert_eq!(found, ["cargo xtask dist", "cargo xtask test --install"]);
    }

    #[test]
    fn an_unknown_release_is_refused_with_those_that_are_known() {
        let error = find("sarge").unwrap_err();
        assert_eq!(failure::kind_of(&error), Some(Kind::Usage));
        assert_eq!(failure::helps_of(&error).concat(), "the releases are: bookworm, trixie, noble, resolute");
        assert_eq!(find("noble").unwrap().components, "main,universe");
    }

    #[test]
    fn a_release_in_which_nothing_was_built_proves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let dist = Utf8Path::from_path(dir.path()).unwrap();
        assert_eq!(profiles(dist).unwrap_err().to_string(), format!("no media in {dist}"));
        for profile in ["docker", "smoke"] {
            fs_err::create_dir(dist.join(profile)).unwrap();
            fs_err::write(dist.join(profile).join("SHA256SUMS"), "").unwrap();
        }
        fs_err::write(dist.join("smoke/manifest.json"), "").unwrap();
        assert_eq!(profiles(dist).unwrap(), ["docker", "smoke"]);
    }

    /// debootstrap and what runs in the root may mount and start what they like.
    #[test]
    fn everything_runs_in_namespaces_that_end_with_it() {
        let cmd = alone("try".to_owned());
        for word in ["--mount", "--pid", "--kill-child", "private"] {
            assert!(cmd.args.iter().any(|a| a == word), "{word}");
        }
    }
}
