//! Before any work: is everything there? What is missing is listed at once, with the one command that installs it.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::Utf8Path;

use buildexec::ctx::Ctx;
use buildplan::{Cmd, Missing};
use failure::{Failure, Kind};
use mediaplan::stage::needs::{self, Need};
use report::{Event, ProgressUnit};

/// Where apt keeps the indices it has fetched and verified.
const APT_LISTS: &str = "/var/lib/apt/lists";

/// What does not work on a machine with the operating system `os` (as [`std::env::consts::OS`] names it), and the line
/// to type for it; `None` on Linux, where all does.
#[must_use]
pub fn limits(os: &str, profile: &str) -> Option<String> {
    let works = "`plan`, `fetch`, `params`, `kargs`, `iso`, `verify`, `serve` and `vm --backend virtualbox` work here";
    let container = |folder: &str| {
        format!(
            "docker run --rm --platform linux/amd64 -v \"{folder}:/src\" -w /src rust:1-trixie cargo xtask dist {profile}"
        )
    };
    match os {
        "linux" => None,
        "windows" => Some(format!(
            "{works}; media are built on Linux, in WSL or a Debian container:\n  \
             wsl --exec bash -lc \"cargo xtask dist {profile}\"\n  {}",
            container("${PWD}")
        )),
        _ => Some(format!(
            "{works}; media are built on Linux, for instance in a Debian container:\n  {}",
            container("$PWD")
        )),
    }
}

/// Refuses to build media where the programs of the pinned packages do not run.
///
/// # Errors
/// [`Kind::Usage`] with the lines that build them in Linux on the same machine.
pub fn can_build(os: &str, profile: &str) -> Result<()> {
    let Some(limits) = limits(os, profile) else { return Ok(()) };
    let os = match os {
        "windows" => "Windows",
        "macos" => "macOS",
        other => other,
    };
    Err(Failure::new(Kind::Usage, format!("media cannot be built on {os}")).help(limits).into())
}

/// Whether `need` is there.
#[must_use]
pub fn is_there(ctx: &Ctx, need: &Need) -> bool {
    if need.what.starts_with('/') {
        Utf8Path::new(&need.what).exists()
    } else {
        ctx.find_program(&need.what).is_some()
    }
}

/// Fails, naming everything that is missing, unless `install` is set: then it is installed.
///
/// # Errors
/// [`Kind::MissingTool`]; what apt says when it fails.
pub fn check(ctx: &Ctx, needs: &[Need], install: bool) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|n| !is_there(ctx, n)).collect();
    if !missing.is_empty() {
        if !install {
            return Err(failure(&missing));
        }
        install_packages(ctx, &packages(&missing))?;
        let still: Vec<&Need> = missing.into_iter().filter(|n| !is_there(ctx, n)).collect();
        if !still.is_empty() {
            return Err(failure(&still));
        }
    } else if install && !has_index() && ctx.find_program("apt-get").is_some() {
        apt(ctx, &["update"])?;
    }
    Ok(())
}

/// The failure that lists `missing`.
#[must_use]
pub fn failure(missing: &[&Need]) -> anyhow::Error {
    let list: Vec<String> =
        missing.iter().map(|n| format!("{} (package {})", n.what, or_unknown(n.package))).collect();
    let message = match list.as_slice() {
        [one] => format!("{one} is missing"),
        _ => format!("{} programs or files are missing: {}", list.len(), list.join(", ")),
    };
    Failure::new(Kind::MissingTool, message).help(how(std::env::consts::OS, &packages(missing))).into()
}

/// The failure of a plan that lacks inputs: programs to install, or else files that are not in the repository.
#[must_use]
pub fn lacking(missing: &[Missing]) -> anyhow::Error {
    let needs: Vec<Need> = missing.iter().filter_map(needs::of_missing).collect();
    if !needs.is_empty() {
        return failure(&needs.iter().collect::<Vec<_>>());
    }
    let name = |missing: &Missing| match missing {
        Missing::Source(path) => path.clone(),
        Missing::Tool(name) | Missing::Builtin(name) => name.clone(),
    };
    let names: Vec<String> = missing.iter().map(name).collect();
    Failure::new(Kind::Config, format!("no such file: {}", names.join(", ")))
        .help("a profile needs it: put it there, or `git restore` it if it belongs to the repository")
        .into()
}

/// How `packages` of Debian come onto a machine.
fn how(os: &str, packages: &[String]) -> String {
    let names = packages.join(" ");
    if os != "linux" {
        return format!(
            "in WSL or a container with Debian: `apt-get install --no-install-recommends {names}`"
        );
    }
    let sudo = if is_root() { "" } else { "sudo " };
    format!(
        "install what is missing with `{sudo}apt-get install --no-install-recommends {names}`, or let `--install` do it"
    )
}

fn or_unknown(package: &str) -> &str {
    if package.is_empty() { "unknown" } else { package }
}

fn packages(missing: &[&Need]) -> Vec<String> {
    let set: BTreeSet<&str> = missing.iter().map(|n| n.package).filter(|p| !p.is_empty()).collect();
    set.into_iter().map(str::to_owned).collect()
}

fn has_index() -> bool {
    let Ok(entries) = fs_err::read_dir(APT_LISTS) else { return false };
    entries.flatten().any(|e| e.file_name().to_string_lossy().contains("Packages"))
}

/// Installs packages with apt, saying which; as root, or through sudo.
///
/// # Errors
/// [`Kind::MissingTool`] without apt; what apt says when it fails.
pub fn install_packages(ctx: &Ctx, packages: &[String]) -> Result<()> {
    if ctx.find_program("apt-get").is_none() {
        return Err(Failure::new(Kind::MissingTool, "--install needs apt, which this machine does not have")
            .help("install what `cargo xtask doctor` lists with your system's package manager")
            .into());
    }
    ctx.report.note(format!("installing with apt: {}", packages.join(" ")));
    apt(ctx, &["update"])?;
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(packages.iter().map(String::as_str));
    apt(ctx, &args)
}

fn apt(ctx: &Ctx, args: &[&str]) -> Result<()> {
    if ctx.globals.offline {
        return Err(
            Failure::new(Kind::Network, "--install needs the network, and --offline forbids it").into()
        );
    }
    let words = ["apt-get", "-q", "-o", "Acquire::Retries=3"].iter().chain(args).copied();
    let words: Vec<&str> =
        if is_root() { words.collect() } else { ["sudo"].into_iter().chain(words).collect() };
    let label = label(&words);
    let cmd = Cmd::new(words[0], "install packages with apt")
        .args(words[1..].iter().copied())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .deadline(std::time::Duration::from_secs(20 * 60));
    let logs = ctx.work.join("logs");
    fs_err::create_dir_all(&logs)?;
    let log = logs.join("apt.log");
    let mut steps = AptSteps::default();
    let mut show = |line: &str| {
        if let Some((done, total)) = steps.after(line) {
            ctx.report.event(&Event::Progress {
                label: label.clone(),
                done,
                total: Some(total),
                unit: ProgressUnit::Steps,
            });
        }
    };
    ctx.report.task(&label, || ctx.runner.logged(&cmd, &log, &mut show)).map_err(|e| {
        let kind = failure::kind_of(&e).unwrap_or(Kind::Command);
        Failure::new(kind, "apt could not install packages")
            .help(format!("the whole output is in {log}"))
            .source(e)
            .into()
    })
}

/// The command without its options, and with one package at most.
fn label(words: &[&str]) -> String {
    let own = words.iter().filter(|w| !w.starts_with('-') && !w.contains('='));
    own.take(3).copied().collect::<Vec<_>>().join(" ")
}

/// Progress of `apt-get install`, from its output: each package is downloaded, unpacked and set up.
#[derive(Default)]
struct AptSteps {
    done: u64,
    total: u64,
}

impl AptSteps {
    /// Steps done and steps in all after `line`; `None` where it says nothing about them.
    fn after(&mut self, line: &str) -> Option<(u64, u64)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(at) = words.windows(2).position(|w| w == ["newly", "installed,"]) {
            let new: u64 = words.get(at.checked_sub(1)?)?.parse().ok()?;
            let upgraded: u64 = words.first()?.parse().ok()?;
            self.total = (new + upgraded) * 3;
            return Some((self.done, self.total));
        }
        if !["Get:", "Unpacking ", "Setting up "].iter().any(|start| line.starts_with(start)) {
            return None;
        }
        // `apt-get update` prints `Get:` lines too, and no number of packages.
        (self.total > 0).then(|| {
            self.done = (self.done + 1).min(self.total);
            (self.done, self.total)
        })
    }
}

/// Whether everything may be done here.
#[cfg(unix)]
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether everything may be done here.
#[cfg(not(unix))]
#[must_use]
pub fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_media_cannot_be_built_the_line_that_builds_them_is_given() {
        assert_eq!(limits("linux", "smoke"), None);
        assert!(can_build("linux", "smoke").is_ok());
        let windows = limits("windows", "box").unwrap();
        assert!(windows.contains("\n  wsl --exec bash -lc \"cargo xtask dist box\"\n"), "{windows}");
        let error = can_build("macos", "box").unwrap_err();
        assert_eq!(
            (failure::kind_of(&error), error.to_string().as_str()),
            (Some(Kind::Usage), "media cannot be built on macOS")
        );
        let help = failure::helps_of(&error).concat();
        assert!(help.contains("docker run --rm --platform linux/amd64 -v \"$PWD:/src\""), "{help}");
        assert!(!how("windows", &["git".to_owned()]).contains("sudo"));
    }

    #[test]
    fn progress_names_the_command_without_its_options() {
        let words = ["sudo", "apt-get", "-q", "-o", "Acquire::Retries=3", "update"];
        assert_eq!(label(&words), "sudo apt-get update");
        assert_eq!(label(&["apt-get", "-q", "install", "--yes", "git", "gcc"]), "apt-get install git");
    }

    #[test]
    fn the_steps_of_an_installation_are_counted() {
        let mut steps = AptSteps::default();
        assert_eq!(steps.after("Get:1 http://deb.debian.org/debian trixie InRelease [140 kB]"), None);
        assert_eq!(
            steps.after("1 upgraded, 2 newly installed, 0 to remove and 4 not upgraded."),
            Some((0, 9))
        );
        assert_eq!(
            steps.after("Get:1 http://h/debian trixie/main amd64 xorriso amd64 1.5 [300 kB]"),
            Some((1, 9))
        );
        assert_eq!(steps.after("Selecting previously unselected package xorriso."), None);
        assert_eq!(steps.after("Unpacking xorriso (1.5.6) ..."), Some((2, 9)));
        assert_eq!(steps.after("Setting up xorriso (1.5.6) ..."), Some((3, 9)));
    }
}
