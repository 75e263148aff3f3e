//! Holds published media against what is promised of them: one named check a promise, each with its reason.
//!
//! First what anyone can check (checksums, no file missing or extra, signature), then that the manifest is about
//! these files and this repository, then what is *inside*. `--rebuild` is in [`rebuild`]. A promise that cannot be
//! checked here is said to be so, and is never counted as kept.

mod agree;
mod inside;
pub mod notes;
pub mod rebuild;
pub mod release;
pub mod remote;
pub mod sign;
pub mod sums;

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    attest::{self, MANIFEST, Manifest, PROVENANCE, SBOM},
    ctx::Ctx,
    error::{Failure, Kind},
    exec::{run::read_limited, tree},
    plan::Digest,
    site::load::Loaded,
};

/// No manifest, SBOM or list of ours is longer.
pub(crate) const TEXT_LIMIT: u64 = 16 << 20;

/// How a promise stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was checked and holds.
    Pass,
    /// It is broken.
    Fail,
    /// It could not be checked here.
    Skip,
}

/// A promise, how it stands, and why.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Check {
    /// The promise's name.
    pub promise: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen.
    pub reason: String,
}

/// What is being verified.
pub struct Subject<'a> {
    /// The run's context.
    pub ctx: &'a Ctx,
    /// What this repository says.
    pub loaded: &'a Loaded,
    /// The folder.
    pub dir: Utf8PathBuf,
    /// The one file that is looked at; all unless given.
    pub only: Option<String>,
    /// The texts that this repository makes of its templates for the profile, by name; why there are none.
    pub texts: Result<BTreeMap<String, String>, String>,
    /// The manifest, if there is one that can be read.
    pub manifest: Option<Manifest>,
    /// The profile's name, from the manifest or from a file's name.
    pub profile: Option<String>,
}

/// The checks of a run.
#[derive(Default)]
pub struct Checks(pub Vec<Check>);

impl Checks {
    /// Adds what a check found: what is right, or what is wrong.
    pub fn add(&mut self, promise: &'static str, result: Result<String, String>) {
        let (verdict, reason) = match result {
            Ok(reason) => (Verdict::Pass, reason),
            Err(reason) => (Verdict::Fail, reason),
        };
        self.0.push(Check { promise, verdict, reason });
    }

    /// Adds a promise that could not be checked.
    pub fn skip(&mut self, promise: &'static str, reason: impl Into<String>) {
        self.0.push(Check { promise, verdict: Verdict::Skip, reason: reason.into() });
    }

    /// Fails when a promise is broken, or when nothing at all could be checked.
    ///
    /// # Errors
    /// [`Kind::Digest`], naming each broken promise.
    pub fn judge(&self) -> Result<()> {
        let broken: Vec<String> = self
            .0
            .iter()
            .filter(|c| c.verdict == Verdict::Fail)
            .map(|c| format!("{}: {}", c.promise, c.reason))
            .collect();
        if broken.is_empty() && self.0.iter().any(|c| c.verdict == Verdict::Pass) {
            return Ok(());
        }
        if broken.is_empty() {
            return Err(Failure::new(Kind::Digest, "nothing could be checked").into());
        }
        let names: Vec<&str> =
            self.0.iter().filter(|c| c.verdict == Verdict::Fail).map(|c| c.promise).collect();
        Err(Failure::new(Kind::Digest, format!("broken promise: {}", names.join(", ")))
            .source(anyhow::anyhow!(broken.join("\n")))
            .help("do not use these media; docs/trust.md says what each promise means")
            .into())
    }
}

/// Reads `manifest.json`: `None` when there is none.
///
/// # Errors
/// Why it cannot be read, as text.
pub fn read_manifest(dir: &Utf8Path) -> Result<Option<Manifest>, String> {
    let path = dir.join(MANIFEST);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_limited(&path, TEXT_LIMIT).map_err(|e| format!("{e:#}"))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|e| format!("{MANIFEST} cannot be read: {e}"))
}

impl Subject<'_> {
    /// Runs every check that needs no building.
    ///
    /// # Errors
    /// Ctrl-C; what is wrong with the media is in the checks.
    pub fn run(&self, key: Option<&Utf8Path>) -> Result<Checks> {
        let mut checks = Checks::default();
        sums::check(self, &mut checks);
        self.ctx.check_interrupt()?;
        checks_signature(self, key, &mut checks);
        if self.only.is_none() {
            self.manifest_check(&mut checks);
        }
        inside::check(self, &mut checks);
        self.ctx.check_interrupt()?;
        Ok(checks)
    }

    fn manifest_check(&self, checks: &mut Checks) {
        let Some(manifest) = &self.manifest else {
            return checks
                .add("manifest", read_manifest(&self.dir).and(Err(format!("there is no {MANIFEST}"))));
        };
        checks.add("manifest", self.outputs(manifest));
        for (promise, name, text) in [
            ("sbom", SBOM, attest::json(&attest::spdx::document(manifest))),
            ("provenance", PROVENANCE, attest::json(&attest::provenance::statement(manifest))),
        ] {
            let there = read_limited(&self.dir.join(name), TEXT_LIMIT);
            let same = there.is_ok_and(|bytes| bytes == text.as_bytes());
            let no = || format!("{name} is not what follows from {MANIFEST}");
            checks.add(promise, same.then(|| format!("{name} follows from {MANIFEST}")).ok_or_else(no));
        }
        checks.add("lock", agree::with_repository(self, manifest));
    }

    /// The manifest is about the files that are there, byte for byte.
    fn outputs(&self, manifest: &Manifest) -> Result<String, String> {
        for (path, output) in &manifest.outputs {
            if !sums::is_plain(path) {
                return Err(format!("{MANIFEST} names {path:?}, which leads away"));
            }
            let (sha256, size) = tree::digest(&self.dir.join(path))
                .map_err(|_| format!("{MANIFEST} names {path}, which is not there"))?;
            if (sha256, size) != (output.sha256, output.size) {
                return Err(format!(
                    "{path} is not the file that {MANIFEST} is about: it is older, or was changed"
                ));
            }
            if !manifest.nodes.contains_key(&output.key) {
                return Err(format!("{MANIFEST} does not say what {path} was made from"));
            }
        }
        let files = tree::files(&self.dir).map_err(|e| format!("{e:#}"))?;
        let unknown =
            files.iter().find(|f| !manifest.outputs.contains_key(f.as_str()) && !sums::is_about(f.as_str()));
        match unknown {
            Some(file) => Err(format!("{MANIFEST} does not know {file}")),
            None => Ok(format!("{} files, each as {MANIFEST} says", manifest.outputs.len())),
        }
    }

    /// The text of `name` as this repository makes it.
    fn text(&self, name: &str) -> Result<&str, String> {
        let texts = self.texts.as_ref().map_err(Clone::clone)?;
        texts.get(name).map(String::as_str).ok_or_else(|| format!("this repository makes no {name}"))
    }

    fn digest(&self, path: &str) -> Option<Digest> {
        tree::digest(&self.dir.join(path)).ok().map(|(d, _)| d)
    }
}

fn checks_signature(subject: &Subject<'_>, key: Option<&Utf8Path>, checks: &mut Checks) {
    let signed = subject.dir.join(sign::SIGNATURE).is_file();
    match (key, signed) {
        (Some(key), _) => {
            checks.add("signature", sign::check(&subject.dir, key).map_err(|e| format!("{e:#}")))
        }
        (None, true) => checks.skip("signature", "there is one; give the key it should be by with --key"),
        (None, false) => checks.skip("signature", "not signed, and no --key asks for it"),
    }
}
