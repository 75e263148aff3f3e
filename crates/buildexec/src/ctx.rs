//! What every command is given: folders, environment, reporter, runner. The only reader of the environment.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io::IsTerminal as _,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::action::BuiltinTable;
use crate::run::Runner;
use crate::signals::Interrupt;
use failure::Explain as _;
use report::{Mode, Reporter};

/// The environment at the start of the process.
#[derive(Clone, Debug, Default)]
pub struct Env {
    values: BTreeMap<String, String>,
    /// Names of the variables whose values are not UTF-8.
    unreadable: BTreeSet<String>,
}

impl Env {
    /// Takes the process's environment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one reader")]
    pub fn read() -> Self {
        Self::from_os(std::env::vars_os())
    }

    fn from_os(pairs: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut env = Self::default();
        for (name, value) in pairs {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => _ = env.values.insert(name, value),
                Err(_) => _ = env.unreadable.insert(name),
            }
        }
        env
    }

    /// Fails when a variable of ours, or one that says where we read, write and download, is not UTF-8: without it, a run
    /// would go elsewhere. Others' are left out.
    ///
    /// # Errors
    /// [`failure::Kind::Usage`], naming the variable.
    fn check(&self) -> Result<()> {
        let decides = |name: &&String| {
            name.starts_with("MEDIA_")
                || ["CARGO_TARGET_DIR", "CARGO_MANIFEST_DIR", "HOME", "TMPDIR"].contains(&name.as_str())
                || name.to_ascii_lowercase().ends_with("_proxy")
        };
        match self.unreadable.iter().find(decides) {
            Some(name) => {
                let text = format!("the variable {name} is not UTF-8");
                Err(failure::Failure::new(failure::Kind::Usage, text).help("set it anew, or unset it").into())
            }
            None => Ok(()),
        }
    }

    /// An environment of these variables alone, for tests.
    #[must_use]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        let values = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { values, unreadable: BTreeSet::new() }
    }

    /// The value of `name`, when it is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// What cargo tells a program that it runs about the package. A cargo that this program starts would see other
    /// variables than one that a person starts, and compile again what watches them (ring does).
    pub fn of_package(&self) -> impl Iterator<Item = &str> {
        let ours =
            |name: &&str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start));
        self.values.keys().map(String::as_str).filter(ours)
    }

    /// Whether `name` is set to something other than nothing, `0` or `false`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| v != "0" && !v.eq_ignore_ascii_case("false"))
    }
}

/// Options that every command has.
#[derive(Clone, Debug, Default)]
pub struct Globals {
    /// Results as JSON, events as JSON lines.
    pub json: bool,
    /// Only results, warnings and errors.
    pub quiet: bool,
    /// No network.
    pub offline: bool,
    /// Parallel jobs; 0 = one per core.
    pub jobs: usize,
    /// Keep the folder of a failed node.
    pub keep_failed: bool,
}

/// Makes a signature of bytes.
pub(crate) type Sign = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A key that builtins sign with. Nodes do not have it as an input, so it reaches neither their keys nor logs. They have its
/// certificate, which decides about a signature together with the bytes that are signed.
pub struct SigningKey {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Signs bytes, each time with the same result.
    pub sign: Sign,
}

/// The context of one run.
#[derive(Clone)]
pub struct Ctx {
    /// The repository; without one, the folder that the person stands in.
    pub root: Utf8PathBuf,
    /// Whether there is a repository. Commands for images and parameters of anybody need none.
    pub has_repository: bool,
    /// Our part of the target folder: store, logs, temporary folders.
    pub work: Utf8PathBuf,
    /// Output folder, with one subfolder per profile.
    pub dist: Utf8PathBuf,
    /// Environment variables at the start; nothing else reads the environment.
    pub env: Env,
    /// Options that every command has.
    pub globals: Globals,
    /// Where results and events are reported.
    pub report: Reporter,
    /// Starts every process of the run.
    pub runner: Runner,
    /// The builtins that plans may call.
    pub builtins: BuiltinTable,
    /// The key that programs are signed with, where one was given.
    pub key: Option<Arc<SigningKey>>,
}

impl Ctx {
    /// Finds the folders and sets up reporter, signals and runner.
    ///
    /// The repository is `MEDIA_ROOT`, else the folder of `Cargo.toml` that the binary was built in, else the
    /// nearest folder upwards with a `media.toml`.
    ///
    /// # Errors
    /// When `MEDIA_ROOT` does not exist, a variable that decides where to go is not UTF-8, or signal handlers cannot be
    /// installed.
    pub fn new(globals: Globals, env: Env, builtins: BuiltinTable) -> Result<Self> {
        env.check()?;
        let (root, has_repository) = find_root(&env)?;
        let target = env.get("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |t| root.join(t));
        let dist = env.get("MEDIA_DIST_DIR").map_or_else(|| root.join("dist"), |d| root.join(d));
        let report = Reporter::new(mode(&globals, &env), globals.quiet);
        let runner = Runner {
            base_env: base_env(&env),
            root: root.clone(),
            interrupt: Interrupt::install()?,
            keeper: false,
        };
        Ok(Self {
            work: target.join("media"),
            dist,
            root,
            has_repository,
            env,
            globals,
            report,
            runner,
            builtins,
            key: None,
        })
    }

    /// Fails outside a repository.
    ///
    /// # Errors
    /// [`failure::Kind::Usage`].
    pub fn require_repository(&self) -> Result<()> {
        if self.has_repository {
            return Ok(());
        }
        let text = format!("no media.toml in {} or above", self.root);
        Err(failure::Failure::new(failure::Kind::Usage, text)
            .help(
                "run this inside the repository; `iso`, `kargs`, `verify`, and `params` with --os and --line \
                 work anywhere",
            )
            .into())
    }

    /// A folder that goes away at the end; on the store's file system, unless the repository is only to be read.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temporary(&self, prefix: &str) -> Result<tempfile::TempDir> {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let mut builder = tempfile::Builder::new();
        builder.prefix(prefix);
        if !self.has_repository {
            return Ok(builder.tempdir()?);
        }
        let made = match fs_err::create_dir_all(&self.work).and_then(|()| builder.tempdir_in(&self.work)) {
            Err(e) if matches!(e.kind(), PermissionDenied | ReadOnlyFilesystem) => builder.tempdir(),
            made => made,
        };
        made.explain(failure::Kind::Storage, || format!("cannot make a temporary folder in {}", self.work))
    }

    /// Parallel jobs.
    #[must_use]
    pub fn jobs(&self) -> usize {
        match self.globals.jobs {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            n => n,
        }
    }

    /// The search path for programs. Debian keeps some tools in `sbin`, which users' paths leave out.
    #[must_use]
    pub fn search_path(&self) -> &str {
        self.runner.base_env.iter().find(|(k, _)| k == "PATH").map_or("", |(_, v)| v)
    }

    /// Where `program` is, if anywhere.
    #[must_use]
    pub fn find_program(&self, program: &str) -> Option<Utf8PathBuf> {
        crate::run::find_program(program, self.search_path())
    }

    /// A path from where the person stands, made absolute; it must exist.
    ///
    /// # Errors
    /// [`failure::Kind::Usage`] when it does not.
    pub fn absolute(&self, path: Utf8PathBuf) -> Result<Utf8PathBuf> {
        crate::paths::real(&path).map_err(|e| {
            let (message, cause) = match e.kind() {
                std::io::ErrorKind::NotFound => (format!("no such file or folder: {path}"), None),
                _ => (format!("cannot open {path}"), Some(e)),
            };
            let failure = failure::Failure::new(failure::Kind::Usage, message);
            cause.into_iter().fold(failure, failure::Failure::source).into()
        })
    }

    /// Fails once Ctrl-C came.
    ///
    /// # Errors
    /// [`failure::Kind::Interrupted`].
    pub fn check_interrupt(&self) -> Result<()> {
        self.runner.interrupt.check()
    }
}

/// What each child gets of our environment: where programs and the home folder are, and proxies and
/// certificates, without which a download behind a company's gateway fails. Locale and time zone are fixed,
/// since they change the output of tools; the locale is one that has every character.
fn base_env(env: &Env) -> Vec<(String, String)> {
    let path = env.get("PATH").unwrap_or("/usr/bin:/bin");
    let path = if cfg!(unix) { format!("{path}:/usr/local/sbin:/usr/sbin:/sbin") } else { path.to_owned() };
    let mut base = vec![("PATH".to_owned(), path)];
    base.push(locale(env, C_UTF8.iter().any(|folder| Utf8Path::new(folder).exists())));
    base.push(("TZ".to_owned(), "UTC".to_owned()));
    let passed = [
        "HOME",
        "USER",
        "TMPDIR",
        "SSL_CERT_FILE",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "SystemRoot",
        "TEMP",
        "USERPROFILE",
    ];
    for name in passed {
        base.extend(env.get(name).map(|v| (name.to_owned(), v.to_owned())));
    }
    // A faked clock is meant for every program; `ci reproducible` fakes it.
    for name in ["FAKETIME", "LD_PRELOAD", "NO_FAKE_STAT"].iter().filter(|_| env.get("FAKETIME").is_some()) {
        base.extend(env.get(name).map(|v| ((*name).to_owned(), v.to_owned())));
    }
    base
}

/// Where glibc keeps the locale `C.UTF-8`; macOS and older distributions have none.
const C_UTF8: [&str; 2] = ["/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8"];

/// The variable that gives children UTF-8 without a language.
///
/// Under plain `C`, VBoxManage refuses a folder named `ü` (`VERR_NO_TRANSLATION`) and ends a list in front of the
/// first such character with status 0. Where `C.UTF-8` is missing, only the characters are taken from the person's
/// own locale: everything else stays `C`, because no other variable is passed on.
fn locale(env: &Env, has_c_utf8: bool) -> (String, String) {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env.get(name));
    let is_utf8 = |name: &&str| {
        let name = name.to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    };
    match named.filter(is_utf8).filter(|_| !has_c_utf8) {
        Some(own) => ("LC_CTYPE".to_owned(), own.to_owned()),
        // macOS has this one under any setting of its own.
        None if cfg!(target_os = "macos") => ("LC_CTYPE".to_owned(), "UTF-8".to_owned()),
        None => ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
    }
}

fn mode(globals: &Globals, env: &Env) -> Mode {
    if globals.json {
        Mode::Json
    } else if env.flag("GITHUB_ACTIONS") {
        Mode::GitHub
    } else {
        Mode::Human { terminal: std::io::stderr().is_terminal() && env.get("TERM") != Some("dumb") }
    }
}

/// The repository, or where the person stands, and which of them it is.
fn find_root(env: &Env) -> Result<(Utf8PathBuf, bool)> {
    if let Some(root) = env.get("MEDIA_ROOT") {
        let real = crate::paths::real(Utf8Path::new(root));
        let missing = || format!("no such folder: {root}, which the variable MEDIA_ROOT names");
        return Ok((real.explain(failure::Kind::Usage, missing)?, true));
    }
    if let Some(manifest) = env.get("CARGO_MANIFEST_DIR") {
        let parent = Utf8Path::new(manifest).parent().filter(|p| p.join("media.toml").exists());
        if let Some(parent) = parent {
            return Ok((parent.to_owned(), true));
        }
    }
    #[expect(clippy::disallowed_methods, reason = "part of the environment")]
    let here = Utf8PathBuf::try_from(std::env::current_dir()?).context("the working folder is not UTF-8")?;
    let found = here.ancestors().find(|a| a.join("media.toml").exists()).map(Utf8Path::to_owned);
    Ok(found.map_or((here, false), |root| (root, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_variable_that_decides_where_to_go_is_utf8_or_an_error() {
        use std::os::unix::ffi::OsStringExt as _;
        let check = |name: &str| {
            let pairs =
                [(name, b"/tmp/\xff".to_vec()), ("LS_COLORS", b"\xff".to_vec()), ("PATH", b"/bin".to_vec())];
            let env = Env::from_os(pairs.into_iter().map(|(k, v)| (k.into(), OsString::from_vec(v))));
            assert_eq!((env.get("PATH"), env.get(name)), (Some("/bin"), None));
            env.check().map_err(|e| e.to_string())
        };
        assert_eq!(check("TERM"), Ok(()));
        for name in ["MEDIA_ROOT", "MEDIA_PASSWORD", "CARGO_TARGET_DIR", "HOME", "https_proxy", "NO_PROXY"] {
            assert_eq!(check(name), Err(format!("the variable {name} is not UTF-8")));
        }
    }

    #[test]
    fn a_repository_that_is_missing_is_named_with_its_variable() {
        let said = find_root(&Env::of(&[("MEDIA_ROOT", "/nonexistent/x")])).unwrap_err().to_string();
        assert_eq!(said, "no such folder: /nonexistent/x, which the variable MEDIA_ROOT names");
    }

    #[test]
    fn children_get_every_character_and_no_language() {
        let of = |pairs: &[(&str, &str)], has| locale(&Env::of(pairs), has);
        let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(of(&[("LANG", "de_DE.UTF-8")], true), named("LC_ALL", "C.UTF-8"));
        assert_eq!(of(&[("LANG", "de_DE.utf8")], false), named("LC_CTYPE", "de_DE.utf8"));
        let several = [("LC_ALL", "fr_FR.UTF-8"), ("LC_CTYPE", "it_IT.UTF-8"), ("LANG", "C")];
        assert_eq!(of(&several, false), named("LC_CTYPE", "fr_FR.UTF-8"));
        // `LC_ALL=C` hides what LANG says; it is not UTF-8, so it is not taken.
        for own in [&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")][..], &[("LANG", "de_DE.ISO-8859-1")], &[]] {
            let fallback =
                if cfg!(target_os = "macos") { ("LC_CTYPE", "UTF-8") } else { ("LC_ALL", "C.UTF-8") };
            assert_eq!(of(own, false), named(fallback.0, fallback.1), "{own:?}");
        }
    }
}
