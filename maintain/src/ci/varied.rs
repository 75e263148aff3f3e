//! The conditions of two builds that have nothing in common. What this machine cannot vary is said, not passed over.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use buildexec::ctx::Ctx;
use buildplan::Cmd;
use mediabuild::workspace::preflight;

/// Variables that change what make, gcc, tar, gzip, xorriso or GRUB do.
const JUNK: &[(&str, &str)] = &[
    ("CFLAGS", "-O0 -DJUNK"),
    ("EXTRA_CFLAGS", "-DJUNK"),
    ("CROSS_COMPILE", "no-such-"),
    ("DEBUG", "1"),
    ("MAKEFLAGS", "-k"),
    ("GZIP", "-1"),
    ("TZ", "Pacific/Kiritimati"),
    ("SOURCE_DATE_EPOCH", "1"),
];
/// The user and group of the second build where the first is root's: Debian's `nobody`.
pub(super) const NOBODY: &str = "65534";
/// Another day, and near enough for certificates to hold.
const CLOCK: &str = "+50h";
/// Sorts letters in another order than `C` does.
const LOCALE: &str = "de_DE.UTF-8";
const HOST: &str = "the-second-machine";
/// Linux keeps this in memory, and lists its files from the newest to the oldest.
const MEMORY: &str = "/dev/shm";
/// A source build of iPXE takes 1 GB.
#[cfg(unix)]
const SPACE: u64 = 3 << 30;

/// One of the two builds.
pub(super) struct VariedBuild {
    /// The repository's copy.
    pub(super) root: Utf8PathBuf,
    /// Programs in front of ours, each with its arguments.
    pub(super) wrappers: Vec<String>,
    /// As the shell takes it.
    pub(super) umask: &'static str,
    /// `--jobs`.
    pub(super) jobs: usize,
    /// A clone of iPXE, or its address.
    pub(super) repository: Option<String>,
    /// Variables on top of those that every program gets.
    pub(super) env: Vec<(&'static str, String)>,
}

/// Both, and how they differ as rows of a table.
pub(super) struct Conditions {
    /// As a person builds.
    pub(super) first: VariedBuild,
    /// As the user `nobody` does.
    pub(super) second: VariedBuild,
    /// What is varied, and its two values.
    pub(super) rows: Vec<Vec<String>>,
}

/// A file system that is not the repository's, where this machine has one with room for programs.
pub(super) fn memory() -> Option<&'static str> {
    #[cfg(unix)]
    {
        let fs = rustix::fs::statvfs(MEMORY).ok()?;
        let fits = fs.f_bavail.saturating_mul(fs.f_frsize) >= SPACE;
        (fits && !fs.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC)).then_some(MEMORY)
    }
    #[cfg(not(unix))]
    None
}

/// Conditions of a build in `dir` and of one in `other`.
///
/// # Errors
/// When folders of the second cannot be made.
pub(super) fn conditions(ctx: &Ctx, dir: &Utf8Path, other: &Utf8Path) -> Result<Conditions> {
    let root = other.join("repository");
    let home = other.join("home");
    fs_err::create_dir_all(&home)?;
    let mut second = VariedBuild {
        root: root.clone(),
        wrappers: Vec::new(),
        umask: "077",
        jobs: 1,
        repository: None,
        env: JUNK.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
    };
    second.env.push(("HOME", home.into_string()));
    let host = another_host(ctx, &mut second);
    let clock = another_clock(ctx, &mut second, other)?;
    let user = another_user(ctx, &mut second);
    let locale = another_locale(ctx, &mut second, other)?;
    let first = dir.join("a");
    let jobs = ctx.jobs().max(2);
    let row = |what: &str, a: &str, b: &str| vec![what.to_owned(), a.to_owned(), b.to_owned()];
    let rows = vec![
        row("folder", first.as_str(), root.as_str()),
        row(
            "order of files",
            "created in order",
            if other.starts_with(MEMORY) {
                "created in reverse order, and listed from the newest on"
            } else {
                "created in reverse order"
            },
        ),
        row("clock", "now", &clock),
        row("host name", "this machine's", &host),
        row("user", if user == "nobody" { "root" } else { "yourself" }, &user),
        row("umask", "022", second.umask),
        row("locale, time zone", "C, UTC", &format!("{locale}, Pacific/Kiritimati")),
        row("jobs", &jobs.to_string(), "1"),
        row("environment", "as it is", &format!("{} variables such as CFLAGS", JUNK.len())),
    ];
    let first = VariedBuild {
        root: first,
        wrappers: Vec::new(),
        umask: "022",
        jobs,
        repository: None,
        env: Vec::new(),
    };
    Ok(Conditions { first, second, rows })
}

fn another_host(ctx: &Ctx, build: &mut VariedBuild) -> String {
    if !preflight::is_root() || ctx.find_program("unshare").is_none() {
        return "the same: only root may give another".to_owned();
    }
    let rename = format!("hostname {HOST}; exec \"$@\"");
    build.wrappers.extend(["unshare", "--uts", "sh", "-c", &rename, "sh"].map(str::to_owned));
    HOST.to_owned()
}

fn another_clock(ctx: &Ctx, build: &mut VariedBuild, other: &Utf8Path) -> Result<String> {
    if ctx.find_program("faketime").is_none() {
        return Ok("later by the first build: faketime is not installed".to_owned());
    }
    build.wrappers.extend(["faketime", "-f", CLOCK].map(str::to_owned));
    // Files keep their real times, or make would find what it has just written out of date, for ever. `touch` alone
    // would write the moved time down, so it is told the real one.
    build.env.push(("NO_FAKE_STAT", "1".to_owned()));
    let touch = ctx.find_program("touch").context("touch is missing")?;
    let shims = other.join("programs");
    fs_err::create_dir_all(&shims)?;
    let shim = shims.join("touch");
    fs_err::write(&shim, format!("#!/bin/sh\nunset LD_PRELOAD\nexec {touch} \"$@\"\n"))?;
    ctx.runner.run(&Cmd::new("chmod", "make a program").args(["755", shim.as_str()]))?;
    build.env.push(("PATH", format!("{shims}:{}", ctx.search_path())));
    Ok(CLOCK.to_owned())
}

fn another_user(ctx: &Ctx, build: &mut VariedBuild) -> String {
    if !preflight::is_root() || ctx.find_program("setpriv").is_none() {
        return "the same: only root may become another".to_owned();
    }
    let id = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
    build.wrappers.extend(["setpriv".to_owned()].into_iter().chain(id));
    build.wrappers.push("--clear-groups".to_owned());
    "nobody".to_owned()
}

fn another_locale(ctx: &Ctx, build: &mut VariedBuild, other: &Utf8Path) -> Result<String> {
    let folder = other.join("locales");
    fs_err::create_dir_all(&folder)?;
    let made = folder.join(LOCALE);
    let (language, charset) = LOCALE.split_once('.').expect("it has a character set");
    let cmd = Cmd::new("localedef", format!("make the locale {LOCALE}")).args([
        "--no-archive",
        "-i",
        language,
        "-f",
        charset,
        made.as_str(),
    ]);
    // It exits with 1 for warnings about what it has made none the less.
    let tried = ctx.runner.output(&cmd);
    let locale = if tried.is_ok() && made.is_dir() { LOCALE } else { "C.UTF-8" };
    build.env.extend([("LOCPATH", folder.into_string()), ("LC_ALL", locale.to_owned())]);
    Ok(if locale == LOCALE {
        locale.to_owned()
    } else {
        format!("{locale}: {LOCALE} cannot be generated here")
    })
}
