//! Checks published media: one named check for each property, with its reason.
//!
//! First what anyone can check (checksums, no file missing or extra, signature), then that the manifest is about
//! these files and this repository, then what is *inside*, both against a plan that is made here ([`expect`]).
//! `--rebuild` is in [`rebuild`]. A check that cannot be made here is skipped with the reason, and never counts as passed.

mod agree;
pub mod changes;
pub mod expect;
mod image;
mod inside;
pub mod measured;
pub mod netboot;
mod own_key;
mod packed;
pub mod profile;
pub mod rebuild;
pub mod remote;
pub mod set;
pub mod sign;
mod signatures;
mod statements;
pub mod sums;

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use attest::{MANIFEST, Manifest, ManifestNode};
use bootiso::Iso;
use buildexec::ctx::Ctx;
use buildexec::{
    hash::{self, Sums},
    paths,
    run::read_limited,
};
use buildplan::Digest;
use failure::{Failure, Kind};
use mediabuild::workspace::load::Loaded;

/// Bytes at most of an SBOM, a list or a signature of ours.
pub const TEXT_LIMIT: u64 = 16 << 20;
/// No file of ours is larger, and hashing one takes a minute.
const FILE_LIMIT: u64 = 16 << 30;
/// A manifest of ours has some 20 kB.
const MANIFEST_LIMIT: u64 = 1 << 20;
/// A plan of ours has some 30 nodes, and at most 6 of them in a row.
const DEEPEST: usize = 64;

/// Why a check cannot be made outside of the repository.
pub const NO_REPOSITORY: &str = "only a clone of the repository says what these media should be";

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It passed.
    Pass,
    /// It failed.
    Fail,
    /// It could not be made here.
    Skip,
}

/// A check, how it ended, and why.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Check {
    /// What is checked: `kernel`, `lock`, `signature`; `docs/verify.md` lists them.
    #[serde(rename = "check")]
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was compared, and what differed.
    pub reason: String,
}

/// What is being verified.
pub struct Subject<'a> {
    /// The run's context.
    pub ctx: &'a Ctx,
    /// What this repository says, where there is one.
    pub loaded: Option<&'a Loaded>,
    /// Folder that `dist` wrote.
    pub dir: Utf8PathBuf,
    /// The one file that is looked at; all unless given.
    pub only: Option<String>,
    /// What this repository says that the media must be; why it says nothing.
    pub expected: Result<expect::Expected, String>,
    /// The manifest, if there is one that can be read.
    pub manifest: Option<Manifest>,
    /// The profile's name, from the manifest or from a file's name.
    pub profile: Option<String>,
    /// What they are said to be.
    pub wanted: profile::Wanted,
    /// The files as they were in the beginning.
    pub before: changes::Snapshot,
    /// What was read so far.
    pub read: FilesRead,
}

/// Files, each of which is read once for all checks together.
#[derive(Default)]
pub struct FilesRead {
    /// Length and digests.
    sums: RefCell<BTreeMap<String, Result<Sums, String>>>,
    /// The list that is signed.
    list: RefCell<Option<Result<Rc<[u8]>, String>>>,
}

/// The checks of a run.
#[derive(Default)]
pub struct Checks(pub Vec<Check>);

impl Checks {
    /// Adds what a check found: what is right, or what is wrong.
    pub fn add(&mut self, name: &'static str, result: Result<String, String>) {
        let (verdict, reason) = match result {
            Ok(reason) => (Verdict::Pass, reason),
            Err(reason) => (Verdict::Fail, reason),
        };
        self.0.push(Check { name, verdict, reason: on_one_line(&reason) });
    }

    /// Adds a check that could not be made.
    pub(crate) fn skip(&mut self, name: &'static str, reason: impl Into<String>) {
        self.0.push(Check { name, verdict: Verdict::Skip, reason: on_one_line(&reason.into()) });
    }

    /// Whether the check of this name failed.
    fn has_failed(&self, name: &str) -> bool {
        self.0.iter().any(|c| c.name == name && c.verdict == Verdict::Fail)
    }

    /// Fails when a check failed, or when nothing at all could be checked.
    ///
    /// # Errors
    /// [`Kind::Digest`], naming each failed check.
    pub fn judge(&self) -> Result<()> {
        let (names, reasons) = self.all(Verdict::Fail);
        if names.is_empty() && self.0.iter().any(|c| c.verdict == Verdict::Pass) {
            return Ok(());
        }
        if names.is_empty() {
            return Err(Failure::new(Kind::Digest, "nothing could be checked").into());
        }
        Err(Failure::new(Kind::Digest, format!("verification failed: {names}"))
            .source(anyhow::anyhow!(reasons))
            .help("do not use these media; docs/verify.md says what each check means")
            .into())
    }

    /// What could not be known, with the reasons; nothing when all was.
    #[must_use]
    pub fn unknown(&self) -> Option<String> {
        let (names, reasons) = self.all(Verdict::Skip);
        (!names.is_empty()).then(|| format!("not known: {names}\n{reasons}"))
    }

    /// As [`Self::judge`], and fails when a check could not be made: except for a signature that was not asked for,
    /// and for everything when building again gave the same bytes.
    ///
    /// # Errors
    /// [`Kind::Digest`], naming each check that failed or was skipped.
    pub fn judge_strictly(&self) -> Result<()> {
        self.judge()?;
        let (names, reasons) = self.all(Verdict::Skip);
        if names.is_empty() || self.0.iter().any(|c| c.name == "rebuild") {
            return Ok(());
        }
        Err(Failure::new(Kind::Digest, format!("not known: {names}"))
            .source(anyhow::anyhow!(reasons))
            .help("--fetch or --rebuild finds out; without --strict, unknown results are only shown")
            .into())
    }

    /// The names and the reasons of all that stand so; without a signature that was not asked for.
    fn all(&self, verdict: Verdict) -> (String, String) {
        let asked = |c: &&Check| c.verdict == verdict && (verdict, c.name) != (Verdict::Skip, "signature");
        let all: Vec<&Check> = self.0.iter().filter(asked).collect();
        let names: Vec<&str> = all.iter().map(|c| c.name).collect();
        let reasons: Vec<String> = all.iter().map(|c| format!("{}: {}", c.name, c.reason)).collect();
        (names.join(", "), reasons.join("\n"))
    }
}

/// A reason without line ends: a name of a file could hold a line that looks like a check that passed.
fn on_one_line(reason: &str) -> String {
    reason.replace('\n', "\\n")
}

/// Reads a file that comes from anywhere: a pipe or a device would never end, so only files are opened.
///
/// # Errors
/// When it is not a regular file, is longer than `limit`, or cannot be read.
pub(crate) fn read_file(path: &Utf8Path, limit: u64) -> Result<Vec<u8>> {
    anyhow::ensure!(fs_err::symlink_metadata(path)?.is_file(), "{path} is not a regular file");
    read_limited(path, limit)
}

/// Reads `manifest.json`: `None` when there is none.
///
/// # Errors
/// Why it cannot be read or used, as text.
pub fn read_manifest(dir: &Utf8Path) -> Result<Option<Manifest>, String> {
    if !sums::is_there(dir, MANIFEST) {
        return Ok(None);
    }
    let bytes = read_file(&dir.join(MANIFEST), MANIFEST_LIMIT).map_err(|e| format!("{e:#}"))?;
    let manifest = Manifest::parse(&bytes)?;
    manifest.check_names()?;
    if let Some(path) = manifest.outputs.keys().find(|path| !sums::is_plain(path)) {
        return Err(format!("{MANIFEST} names {path:?}, which is outside the folder"));
    }
    if !ends(&manifest) {
        return Err(format!("{MANIFEST} names nodes that depend on themselves or are nested too deep"));
    }
    Ok(Some(manifest))
}

/// Whether a walk through the nodes ends: layer by layer, those go that are made of no others.
fn ends(manifest: &Manifest) -> bool {
    let parts = |n: &ManifestNode| n.parts().map(|(key, _)| key).collect();
    let mut left: BTreeMap<Digest, Vec<Digest>> =
        manifest.nodes.iter().map(|(key, node)| (*key, parts(node))).collect();
    for _ in 0..DEEPEST {
        let ready = |of: &Vec<Digest>| !of.iter().any(|key| left.contains_key(key));
        let ready: Vec<Digest> = left.iter().filter(|(_, of)| ready(of)).map(|(key, _)| *key).collect();
        ready.iter().for_each(|key| {
            left.remove(key);
        });
    }
    left.is_empty()
}

impl Subject<'_> {
    /// Runs every check that needs no building.
    ///
    /// # Errors
    /// Ctrl-C; what is wrong with the media is in the checks.
    pub fn run(&self, key: Option<&Utf8Path>) -> Result<Checks> {
        let mut checks = Checks::default();
        self.lists(key, &mut checks)?;
        self.contents(&mut checks)?;
        self.unchanged(&mut checks);
        Ok(checks)
    }

    /// Fails when a file is not what it was when the first check began: each may have read another.
    pub fn unchanged(&self, checks: &mut Checks) {
        let now = changes::Snapshot::of(&self.dir, self.only.as_deref());
        if let Some(file) = self.before.difference(&now) {
            checks.add("files", Err(format!("{file} changed while it was verified")));
        }
    }

    /// Checks what the lists of checksums and the signature say.
    ///
    /// # Errors
    /// Ctrl-C.
    pub fn lists(&self, key: Option<&Utf8Path>, checks: &mut Checks) -> Result<()> {
        sums::check(self, checks);
        checks_signature(self, key, checks);
        self.ctx.check_interrupt()
    }

    /// Checks what the manifest says, and what is inside.
    ///
    /// # Errors
    /// Ctrl-C.
    pub fn contents(&self, checks: &mut Checks) -> Result<()> {
        profile::check(self, checks);
        match read_manifest(&self.dir) {
            Ok(Some(manifest)) => {
                checks.add("manifest", self.outputs(&manifest));
                statements::check(self, &manifest, checks);
                match self.loaded {
                    Some(loaded) => checks.add("lock", agree::with_repository(self, loaded, &manifest)),
                    None => checks.skip("lock", NO_REPOSITORY),
                }
            }
            Ok(None) if self.only.is_some() => {
                checks
                    .skip("manifest", format!("no {MANIFEST} beside it: its intended contents are unknown"));
            }
            other => checks.add("manifest", other.and(Err(format!("no such file: {MANIFEST}")))),
        }
        self.ctx.check_interrupt()?;
        inside::check(self, checks)
    }

    /// Holds an image that is yet to be written as `path` against what this repository makes, and the manifest against
    /// this repository.
    #[must_use]
    pub fn image(&self, path: &str, iso: Iso) -> Checks {
        let mut checks = Checks::default();
        if let (Some(loaded), Some(manifest)) = (self.loaded, &self.manifest) {
            checks.add("lock", agree::with_repository(self, loaded, manifest));
        }
        inside::check_as(self, path, iso, &mut checks);
        checks
    }

    /// Whether a file is among what is looked at.
    fn wants(&self, path: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == path)
    }

    /// The manifest is about the files that are there, byte for byte.
    fn outputs(&self, manifest: &Manifest) -> Result<String, String> {
        let mut count = 0;
        for (path, output) in manifest.outputs.iter().filter(|(path, _)| self.wants(path)) {
            sums::regular(&self.dir, path).map_err(|e| format!("{MANIFEST} names {path}, but {e}"))?;
            let sums = self.sums(path)?;
            if (sums.sha256, sums.size) != (output.sha256, output.size) {
                return Err(format!("{path} does not match {MANIFEST}: it is older, or was changed"));
            }
            if !manifest.nodes.contains_key(&output.key) {
                return Err(format!("{MANIFEST} does not say what {path} was made from"));
            }
            count += 1;
        }
        let files = match &self.only {
            Some(only) => vec![only.into()],
            None => paths::listed(&self.dir).map_err(|e| format!("{e:#}"))?,
        };
        let unknown = files.iter().find(|f| {
            let of = netboot::signed_file(f.as_str()).unwrap_or(f.as_str());
            !manifest.outputs.contains_key(of) && !sums::is_about(f.as_str()) && !sums::is_litter(f)
        });
        match unknown {
            Some(file) => Err(format!("{MANIFEST} does not know {file}")),
            None => Ok(format!("{count} files, each as {MANIFEST} says")),
        }
    }

    fn digest(&self, path: &str) -> Option<Digest> {
        self.sums(path).ok().map(|sums| sums.sha256)
    }

    /// Length and digests of the file `path`. What was said of it once is said of it by every check.
    fn sums(&self, path: &str) -> Result<Sums, String> {
        let known = self.read.sums.borrow().get(path).cloned();
        known.unwrap_or_else(|| {
            let full = sums::regular(&self.dir, path);
            let read = full.and_then(|full| {
                let interrupted = || self.ctx.check_interrupt();
                hash::sums(&full, FILE_LIMIT, interrupted).map_err(|e| format!("{e:#}"))
            });
            self.read.sums.borrow_mut().insert(path.to_owned(), read.clone());
            read
        })
    }

    /// The bytes of `SHA256SUMS`: those that the files were compared with are those that are signed.
    ///
    /// # Errors
    /// Why it cannot be read, as text.
    pub fn list(&self) -> Result<Rc<[u8]>, String> {
        let mut known = self.read.list.borrow_mut();
        known.get_or_insert_with(|| sums::bytes(&self.dir, sums::SHA256).map(Rc::from)).clone()
    }

    /// The SHA-256 of each file of the folder, as it was when it was verified.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn digests(&self) -> Result<BTreeMap<String, String>> {
        let one = |file: Utf8PathBuf| {
            let sums = self.sums(file.as_str()).map_err(anyhow::Error::msg)?;
            Ok((file.into_string(), sums.sha256.to_string()))
        };
        paths::listed(&self.dir)?.into_iter().map(one).collect()
    }
}

fn checks_signature(subject: &Subject<'_>, key: Option<&Utf8Path>, checks: &mut Checks) {
    let signed = subject.dir.join(sign::SIGNATURE).is_file();
    match (key, signed) {
        (Some(key), _) => checks.add("signature", sign::check(subject, key).map_err(|e| format!("{e:#}"))),
        (None, true) => checks.skip("signature", "the media are signed; give the expected key with --key"),
        (None, false) => checks.skip("signature", "not signed, and no --key asks for it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(all: &[(&'static str, Verdict)]) -> Checks {
        let check = |&(name, verdict)| Check { name, verdict, reason: "so".to_owned() };
        Checks(all.iter().map(check).collect())
    }

    #[test]
    fn what_failed_or_is_unknown_is_named_and_nothing_else_is_a_pass() {
        use Verdict::{Fail, Pass, Skip};
        let said = |all: &[_], strictly: bool| {
            let checks = checks(all);
            let judged = if strictly { checks.judge_strictly() } else { checks.judge() };
            judged.map_err(|e| e.to_string())
        };
        let refused = |text: &str| Err(text.to_owned());
        for strictly in [false, true] {
            assert_eq!(said(&[("a", Pass)], strictly), Ok(()));
            assert_eq!(said(&[("a", Pass), ("signature", Skip)], strictly), Ok(()));
            assert_eq!(said(&[], strictly), refused("nothing could be checked"));
            assert_eq!(said(&[("a", Skip)], strictly), refused("nothing could be checked"));
            let some = [("a", Pass), ("b", Fail), ("c", Skip), ("signature", Fail)];
            assert_eq!(said(&some, strictly), refused("verification failed: b, signature"));
        }
        let unknown = [("a", Pass), ("b", Skip)];
        assert_eq!(said(&unknown, false), Ok(()));
        assert_eq!(said(&unknown, true), refused("not known: b"));
        // Building again tells what could not be known.
        assert_eq!(said(&[("rebuild", Pass), ("b", Skip)], true), Ok(()));
    }

    #[test]
    fn a_check_failed_when_one_of_its_name_did() {
        let checks =
            checks(&[("a", Verdict::Pass), ("b", Verdict::Fail), ("a", Verdict::Skip), ("b", Verdict::Pass)]);
        assert!(checks.has_failed("b") && !checks.has_failed("a") && !checks.has_failed("c"));
    }
}
