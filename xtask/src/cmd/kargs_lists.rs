//! What lies beside a changed image and speaks of its digest: checksums, manifest, SBOM and provenance.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::verify::{self, VerifyArgs};
use attest::{MANIFEST, Manifest, PROVENANCE, SBOM, SIGNATURE, statements};
use bootiso::Iso;
use buildexec::ctx::Ctx;
use buildexec::run::read_limited;
use buildplan::{Digest, digest::sha512};
use failure::{Explain as _, Failure, Kind};
use mediabuild::workspace::load;
use trust::verify::{
    NO_REPOSITORY, TEXT_LIMIT, profile,
    sums::{self, SHA256, SHA512},
};

/// What is said of an image that was compared with what this repository makes.
const AS_BUILT: &str = "is as it was built";
/// What is said of one that was not.
pub(super) const RESET: &str = "has the parameters that it was built with";

/// The lists beside an image that name it.
pub(super) struct Lists {
    folder: Utf8PathBuf,
    /// The image's name in them.
    name: String,
    /// Its digest in `SHA256SUMS`.
    listed: String,
    manifest: Option<Manifest>,
}

impl Lists {
    /// Reads the lists beside `image`; nothing where none names it.
    ///
    /// # Errors
    /// [`Kind::Input`] when one is malformed. An image is changed after that, so that it is not when it is.
    pub(super) fn beside(image: &Utf8Path) -> Result<Option<Self>> {
        let folder = image.parent().filter(|p| !p.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        let Some(name) = image.file_name().filter(|_| folder.join(SHA256).is_file()) else { return Ok(None) };
        let listed = sums::read(folder, SHA256, 64).map_err(|e| malformed(folder, &e))?;
        let Some(listed) = listed.get(name).cloned() else { return Ok(None) };
        let path = folder.join(MANIFEST);
        let manifest = match path.is_file() {
            false => None,
            true => Some(
                serde_json::from_slice(&read_limited(&path, TEXT_LIMIT)?)
                    .explain(Kind::Input, || format!("{path} is not a manifest of this program"))?,
            ),
        };
        Ok(Some(Self { folder: folder.to_owned(), name: name.to_owned(), listed, manifest }))
    }

    /// Checks that `image` is the one that this repository makes, before the lists say that it is as it was built.
    /// Says which of the two is known; of an image that does not say that it is one of ours, it is less.
    ///
    /// # Errors
    /// [`Kind::Digest`], naming what differs, as `verify` does.
    pub(super) fn vouch(&self, ctx: &Ctx, image: Iso) -> Result<&'static str> {
        let loaded = if ctx.has_repository { load::load(ctx) } else { Err(anyhow::anyhow!(NO_REPOSITORY)) };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(e) => {
                ctx.report.warn(format!("cannot tell whether {} was built like this: {e:#}", self.name));
                return Ok(RESET);
            }
        };
        let folder = ctx.absolute(self.folder.clone())?;
        // A manifest may be missing because somebody took it away.
        let profile = profile::of_iso(&loaded.config, &folder.join(&self.name));
        if self.manifest.is_none() && profile.is_none() {
            return Ok(RESET);
        }
        let (only, asked) = (Some(self.name.clone()), VerifyArgs { profile, ..VerifyArgs::default() });
        let subject = verify::subject(ctx, Some(&loaded), folder, only, &asked);
        let checks = subject.image(&self.name, image);
        checks.judge().context("neither the image nor the lists are changed")?;
        Ok(if checks.unknown().is_none() { AS_BUILT } else { RESET })
    }

    /// Updates the lists, or warns that they are out of date.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub(super) fn follow(mut self, ctx: &Ctx, update: bool) -> Result<()> {
        let path = self.folder.join(&self.name);
        let (digest, size) = sha256(&path)?;
        if digest.to_string() == self.listed {
            return Ok(());
        }
        if !update {
            let text = format!("{SHA256} and the other lists beside {path} no longer match it");
            ctx.report.warn(format!("{text}; --update-sums brings them up to date"));
            return Ok(());
        }
        if let Some(manifest) = &mut self.manifest {
            if let Some(output) = manifest.outputs.get_mut(&self.name) {
                (output.sha256, output.size) = (digest, size);
            }
            let texts = statements(manifest);
            for (name, text) in texts.iter().filter(|(name, _)| self.folder.join(name).is_file()) {
                replace_file(&self.folder.join(name), text)?;
            }
        }
        self.list(SHA256, 64, |p| Ok(sha256(p)?.0.to_string()))?;
        self.list(SHA512, 128, |p| Ok(sha512(&mut fs_err::File::open(p)?)?))?;
        if self.folder.join(SIGNATURE).exists() {
            ctx.report.warn(format!("the signature of {}/{SHA256} no longer matches it", self.folder));
        }
        Ok(())
    }

    /// Replaces the digests of written files in a list; the rest stays.
    fn list(&self, list: &str, digits: usize, digest: impl Fn(&Utf8Path) -> Result<String>) -> Result<()> {
        let path = self.folder.join(list);
        if !path.is_file() {
            return Ok(());
        }
        sums::read(&self.folder, list, digits).map_err(|e| malformed(&self.folder, &e))?;
        let written = [self.name.as_str(), MANIFEST, SBOM, PROVENANCE];
        let mut new = BTreeMap::new();
        for name in written.into_iter().filter(|name| self.folder.join(name).is_file()) {
            new.insert(name, digest(&self.folder.join(name))?);
        }
        replace_file(&path, &sums::with_digests(&fs_err::read_to_string(&path)?, digits, &new))
    }
}

fn malformed(folder: &Utf8Path, why: &str) -> Failure {
    Failure::new(Kind::Input, format!("{folder}: {why}"))
}

fn sha256(path: &Utf8Path) -> Result<(Digest, u64)> {
    Ok(Digest::read(&mut fs_err::File::open(path)?)?)
}

/// Writes beside, then renames.
fn replace_file(path: &Utf8Path, text: &str) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let cannot = || format!("cannot write {path}");
    let mut temp = tempfile::Builder::new()
        .prefix(".sums-")
        .tempfile_in(folder)
        .map_err(|e| failure::nameless(&e))
        .explain(Kind::Storage, cannot)?;
    std::io::Write::write_all(&mut temp, text.as_bytes()).explain(Kind::Storage, cannot)?;
    let permissions = fs_err::metadata(path)?.permissions();
    temp.as_file().set_permissions(permissions).explain(Kind::Storage, cannot)?;
    temp.persist(path).map_err(|e| Failure::new(Kind::Storage, cannot()).source(e.error))?;
    Ok(())
}
