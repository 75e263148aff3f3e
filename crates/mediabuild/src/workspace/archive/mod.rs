//! `fetch --update`: today's packages of the pinned distribution, out of its signed indices.
//!
//! For each suite: `InRelease`, whose signature gpgv checks and whose signer must be named in media.toml; it has the
//! digest of `Packages.xz`, and that has the digest of each package. Only what gpgv gives back is read, so that nothing
//! around the signed text counts.

mod index;
mod reduce;
mod resolve;
mod version;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};

use super::preflight;
use buildexec::{
    ctx::Ctx,
    fetch::{self, Bounds, RetryPolicy, is_fatal, unreachable},
    run::read_limited,
};
use buildplan::{Cmd, FetchSource, FetchSpec, shown_url};
use failure::{Explain as _, Failure, Kind};
use index::{Index, ReleaseIndex};
use mediaplan::{
    config::{Archive, Distribution, LockedPackage},
    stage::{needs, packages::PICKED},
};
pub use reduce::reduced;

/// No suite's signed list is larger.
const RELEASE_LIMIT: u64 = 8 << 20;
/// No suite's index is larger, unpacked: Debian's takes a fifth of it.
const INDEX_LIMIT: u64 = 256 << 20;
/// The index of a component for the one architecture that media are made of.
const INDEX: &str = "binary-amd64/Packages.xz";

/// What the distribution has today.
pub struct Today {
    index: Index,
    /// Fingerprints of the keys that signed.
    pub signers: BTreeSet<String>,
    /// Now, as snapshot archives name times.
    snapshot: String,
}

/// Reads the indices of every suite.
///
/// # Errors
/// [`Kind::MissingTool`] without gpgv or the keyring; [`Kind::Network`] when no mirror answers; [`Kind::Digest`] when a
/// suite is not signed by a key of media.toml, is out of date, or is not the one it claims to be.
pub fn today(ctx: &Ctx, distribution: &Distribution) -> Result<Today> {
    preflight::check(ctx, &needs::update(&distribution.keyring), false)?;
    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    let snapshot = attest::utc(seconds).replace(['-', ':'], "");
    fs_err::create_dir_all(&ctx.work)?;
    let temporary = ctx.temporary("update-")?;
    let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
    let mut today = Today { index: Index::default(), signers: BTreeSet::new(), snapshot };
    for (name, archive) in &distribution.archives {
        for suite in &archive.suites {
            let suite = Suite { ctx, distribution, archive, suite, dir: &dir };
            ctx.report.task(&format!("index of {}", suite.suite), || suite.add(name, now, &mut today))?;
        }
    }
    Ok(today)
}

impl Today {
    /// Today's record of `wanted` and of all that come along. What `known` has as it is stays as it is, its time
    /// included.
    ///
    /// # Errors
    /// [`Kind::Config`] with everything that the distribution does not have.
    pub fn resolve(
        &self,
        wanted: &BTreeSet<&str>,
        known: &BTreeMap<String, LockedPackage>,
    ) -> Result<BTreeMap<String, LockedPackage>> {
        let found = resolve::resolve(&self.index, wanted.iter().copied()).map_err(|lacks| {
            Failure::new(Kind::Config, "the distribution lacks packages that media need")
                .source(anyhow!(lacks.join("\n")))
        })?;
        let mut packages = BTreeMap::new();
        for (name, (entry, needs)) in found {
            let sha256 = entry.sha256.with_context(|| format!("the index has no SHA-256 of {name}"))?;
            let mut package = LockedPackage {
                version: entry.version.clone(),
                sha256,
                size: entry.size,
                archive: entry.archive.clone(),
                path: entry.path.clone(),
                snapshot: self.snapshot.clone(),
                needs: needs.into_iter().map(str::to_owned).collect(),
                files: BTreeMap::new(),
            };
            if let Some(old) = known.get(name).filter(|old| old.sha256 == sha256 && old.path == package.path)
            {
                package.snapshot.clone_from(&old.snapshot);
                package.files.clone_from(&old.files);
            }
            packages.insert(name.to_owned(), package);
        }
        Ok(packages)
    }
}

/// Records the digests of those files of `packages` that land in media as they are.
///
/// # Errors
/// [`Kind::Network`] when a package is unavailable, [`Kind::Input`] when it lacks a file.
pub fn pick(
    ctx: &Ctx,
    distribution: &Distribution,
    packages: &mut BTreeMap<String, LockedPackage>,
) -> Result<()> {
    let temporary = ctx.temporary("update-")?;
    for (name, files) in PICKED {
        let Some(package) = packages.get_mut(*name) else { continue };
        let recorded = |names: &str| names.split('|').any(|name| package.files.contains_key(name.trim()));
        if files.iter().all(|names| recorded(names)) {
            continue;
        }
        let urls = distribution.archives.get(&package.archive).into_iter();
        let urls = urls.flat_map(|a| a.addresses(&package.path, &package.snapshot));
        let spec = FetchSpec {
            to: "deb".into(),
            sources: urls.map(FetchSource::Url).collect(),
            sha256: package.sha256,
            size: Some(package.size),
            limit: package.size,
            purl: None,
        };
        let deb = Utf8PathBuf::try_from(temporary.path().join(name))?;
        let label = format!("package {name} {}", package.version);
        ctx.report.task(&label, || fetch::fetch(ctx, &spec, &deb, &label, &RetryPolicy::default()))?;
        package.files = crate::builtin::digests(&deb, files)?;
    }
    Ok(())
}

/// A package whose record is new, has another version, or is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageChange {
    /// Name of the package that changed.
    pub name: String,
    /// The version that was recorded.
    pub old: Option<String>,
    /// The version that is today's.
    pub new: Option<String>,
    /// The archive that today's is in.
    pub archive: Option<String>,
}

impl std::fmt::Display for PackageChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, old, new, archive } = self;
        let from = archive.as_deref().unwrap_or_default();
        match (old, new) {
            (None, Some(new)) => write!(f, "{name} {new} ({from})"),
            (Some(old), None) => write!(f, "{name} {old}: no longer needed"),
            (old, new) => {
                let version = |v: &Option<String>| v.clone().unwrap_or_default();
                write!(f, "{name} {} → {} ({from})", version(old), version(new))
            }
        }
    }
}

/// What is different in `new`, by name.
#[must_use]
pub fn changes(
    old: &BTreeMap<String, LockedPackage>,
    new: &BTreeMap<String, LockedPackage>,
) -> Vec<PackageChange> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter(|name| {
        old.get(*name).map(|p| (&p.sha256, &p.path)) != new.get(*name).map(|p| (&p.sha256, &p.path))
    });
    let change = |name: &String| PackageChange {
        name: name.clone(),
        old: old.get(name).map(|p| p.version.clone()),
        new: new.get(name).map(|p| p.version.clone()),
        archive: new.get(name).map(|p| p.archive.clone()),
    };
    changed.map(change).collect()
}

/// One suite to be read.
struct Suite<'a> {
    ctx: &'a Ctx,
    distribution: &'a Distribution,
    archive: &'a Archive,
    suite: &'a str,
    dir: &'a Utf8Path,
}

impl Suite<'_> {
    fn add(&self, archive: &str, now: SystemTime, today: &mut Today) -> Result<()> {
        let signed = self.dir.join("InRelease");
        self.in_release(&signed)?;
        let text = self.verified(&signed, &mut today.signers)?;
        let release = ReleaseIndex::new(&text);
        current(&release, self.suite, now)?;
        for component in &self.archive.components {
            let packages = self.packages(&release, component)?;
            today.index.add(archive, &packages);
        }
        Ok(())
    }

    /// The index of one component.
    fn packages(&self, release: &ReleaseIndex<'_>, component: &str) -> Result<String> {
        let (sha256, size) = release.file(&format!("{component}/{INDEX}"))?;
        let packed = self.dir.join("Packages.xz");
        // By its digest, an index is there while the mirror takes in the next.
        let folder = INDEX.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = format!("dists/{}/{component}/{folder}/by-hash/SHA256/{sha256}", self.suite);
        let sources = self.archive.live().map(|m| FetchSource::Url(address(m, &path))).collect();
        let to = "Packages.xz".into();
        let spec = FetchSpec { to, sources, sha256, size: Some(size), limit: size, purl: None };
        let label = format!("index of {}", self.suite);
        fetch::fetch(self.ctx, &spec, &packed, &label, &RetryPolicy::default())?;
        let mut packages = String::new();
        let unpacked = liblzma::read::XzDecoder::new_multi_decoder(fs_err::File::open(&packed)?);
        unpacked
            .take(INDEX_LIMIT)
            .read_to_string(&mut packages)
            .explain(Kind::Input, || format!("cannot read the index of {}", self.suite))?;
        Ok(packages)
    }

    fn in_release(&self, to: &Utf8Path) -> Result<()> {
        let label = format!("InRelease of {}", self.suite);
        let mut said = Vec::new();
        for mirror in self.archive.live() {
            let url = address(mirror, &format!("dists/{}/InRelease", self.suite));
            if self.ctx.globals.offline {
                said.push(format!("{}: not tried, because of --offline", shown_url(&url)));
                continue;
            }
            buildexec::tree::remove(to)?;
            let bounds = Bounds { sha256: None, size: None, limit: RELEASE_LIMIT, until: None };
            match fetch::download(self.ctx, &bounds, &url, to, &label) {
                Ok(()) => return Ok(()),
                Err(e) if is_fatal(&e) => return Err(e),
                Err(e) => said.push(format!("{}: {e:#}", shown_url(&url))),
            }
        }
        Err(Failure::new(Kind::Network, format!("no mirror has the {label}"))
            .help(unreachable(self.ctx, true))
            .source(anyhow!(said.join("\n")))
            .into())
    }

    /// The text that a key of media.toml has signed.
    fn verified(&self, signed: &Utf8Path, signers: &mut BTreeSet<String>) -> Result<String> {
        let text = self.dir.join("Release");
        buildexec::tree::remove(&text)?;
        let cmd = Cmd::new("gpgv", "verify the distribution's signature")
            .args(["--status-fd", "1", "--keyring", &self.distribution.keyring, "--output", text.as_str()])
            .arg(signed.as_str())
            .env("GNUPGHOME", self.dir.as_str())
            .deadline(Duration::from_secs(60));
        let output = self.ctx.runner.output(&cmd)?;
        let by = signed_by(&output.text());
        let named = |key: &&String| self.distribution.keys.iter().any(|k| k.eq_ignore_ascii_case(key));
        let Some(key) = by.iter().flatten().find(named) else {
            let known = by.map_or("a signature is bad".to_owned(), |by| match by.is_empty() {
                true => format!("no key of {} signed it", self.distribution.keyring),
                false => format!("it is signed by {}", by.join(", ")),
            });
            return Err(Failure::new(
                Kind::Digest,
                format!("the index of {} is not signed by a key that media.toml names", self.suite),
            )
            .help("compare [distribution] keys with those that the distribution publishes; update its keyring package")
            .source(anyhow!("{known}\ngpgv said:\n{}", output.error_text().trim()))
            .into());
        };
        signers.insert(key.clone());
        Ok(String::from_utf8(read_limited(&text, RELEASE_LIMIT)?)?)
    }
}

fn address(mirror: &str, path: &str) -> String {
    format!("{}/{path}", mirror.trim_end_matches('/'))
}

/// Fingerprints of the primary keys of good signatures, out of gpgv's status lines (GnuPG, doc/DETAILS); `None` when
/// one is bad.
fn signed_by(status: &str) -> Option<Vec<String>> {
    let (mut keys, mut good) = (Vec::new(), false);
    for line in status.lines().filter_map(|l| l.strip_prefix("[GNUPG:] ")) {
        let mut words = line.split(' ');
        match words.next() {
            Some("BADSIG") => return None,
            Some("NEWSIG" | "EXPSIG" | "EXPKEYSIG" | "REVKEYSIG" | "ERRSIG") => good = false,
            Some("GOODSIG") => good = true,
            Some("VALIDSIG") if good => keys.extend(words.next_back().map(str::to_owned)),
            _ => {}
        }
    }
    Some(keys)
}

/// A suite is the one that was asked for, and no old one that somebody gives out again.
fn current(release: &ReleaseIndex<'_>, suite: &str, now: SystemTime) -> Result<()> {
    // Debian's `trixie-updates` has that codename and another suite; Ubuntu's `noble-updates` is the suite of `noble`.
    let names = ["Suite", "Codename"].map(|field| release.field(field).unwrap_or_default());
    let is = names.into_iter().max_by_key(|name| name.len()).unwrap_or_default();
    let named = names.contains(&suite) && !is.starts_with(&format!("{suite}-"));
    if !named {
        return Err(
            Failure::new(Kind::Digest, format!("a mirror serves the suite `{is}` as `{suite}`")).into()
        );
    }
    let Some(until) = release.field("Valid-Until") else { return Ok(()) };
    let time = httpdate::parse_http_date(&until.replace("UTC", "GMT"))
        .with_context(|| format!("the suite {suite} is valid until `{until}`, which is not a date"))?;
    if time < now {
        return Err(Failure::new(Kind::Digest, format!("the index of {suite} was valid until {until}"))
            .help("the mirror is out of date, or this machine's clock is wrong")
            .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 6ED0 Debian\n[GNUPG:] VALIDSIG 4CB5 2026-11-21 0 4 B8B8\n";

    #[test]
    fn a_signature_counts_when_it_is_good_and_by_its_primary_key() {
        assert_eq!(signed_by(GOOD).unwrap(), ["B8B8"]);
        assert_eq!(signed_by("").unwrap(), [""; 0]);
        let expired = GOOD.replace("GOODSIG", "EXPKEYSIG");
        assert_eq!(signed_by(&format!("{GOOD}{expired}")).unwrap(), ["B8B8"]);
        assert_eq!(signed_by(&expired).unwrap(), [""; 0]);
        assert!(signed_by(&format!("{GOOD}[GNUPG:] BADSIG 6ED0 Debian\n")).is_none());
    }

    #[test]
    fn a_suite_is_the_one_asked_for_and_still_valid() {
        let text = "Codename: trixie\nValid-Until: Wed, 02 Dec 2026 22:33:13 UTC\n";
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let said = |suite, now| current(&ReleaseIndex::new(text), suite, now).map_err(|e| e.to_string());
        assert_eq!(said("trixie", at(1_795_700_000)), Ok(()));
        assert!(said("trixie", at(1_800_000_000)).unwrap_err().contains("was valid until"));
        let ubuntu = |suite| {
            current(&ReleaseIndex::new("Suite: noble-updates\nCodename: noble\n"), suite, at(0)).is_ok()
        };
        assert!(ubuntu("noble-updates") && !ubuntu("noble") && !ubuntu("noble-security"));
        assert!(current(&ReleaseIndex::new("Suite: noble\nCodename: noble\n"), "noble", at(0)).is_ok());
        assert!(said("bookworm", at(0)).unwrap_err().contains("serves the suite `trixie` as `bookworm`"));
    }
}
