//! Puts a profile's outputs where people take them from: `dist/<profile>/`, whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::builtin;
pub use attest::{Manifest, ManifestNode, Output};
use attest::{
    SIGNATURE,
    manifest::{self, ImageFile, ImageParts, Part},
    statements,
};
use buildexec::ctx::Ctx;
use buildexec::{
    hash::{self, Sums, SumsHasher},
    regular,
    store::{self, StoreEntry, TEXT_LIMIT, entry_dir, write_json},
    tree::{self, Stamp},
};
use buildplan::{Arg, Artifact, Digest, Keys, Node, NodeId, Product};
use failure::{Explain as _, Failure, Kind, UNWRITABLE};
use mediaplan::stage::media::PlannedMedia;
use report::Reporter;

/// Raised when other files are written for the same outputs, so that a folder of before is not taken for current.
const FILES: &[u8] = b"5";

/// Everything that `publish` needs to know.
pub struct Publish<'a> {
    /// The run's context.
    pub ctx: &'a Ctx,
    /// What was planned and made.
    pub planned: &'a PlannedMedia,
    /// Keys of the plan's nodes, which name their store entries.
    pub keys: &'a Keys,
    /// The profile's name.
    pub profile: &'a str,
    /// How iPXE was had.
    pub engine: mediaplan::config::Engine,
    /// What signs the files that iPXE verifies; the key leaves no trace but the signatures.
    pub signer: Option<&'a pki::Signer>,
    /// Seconds since 1970 that stood for "now".
    pub epoch: u64,
}

/// Why a folder may not be written, where the system's words tell nothing better.
const FULL: &str =
    "is the disk full, or the folder another user's? `cargo xtask gc` removes old store entries";

/// What a node made is not what it was any more: it is gone from the store, to be made again.
#[derive(Debug, thiserror::Error)]
#[error("{0} does not match its manifest")]
pub struct Damaged(Utf8PathBuf);

/// What became of `dist/<profile>/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It was so already.
    Unchanged,
    /// It is new.
    Written,
}

impl Publish<'_> {
    /// Where the outputs land.
    #[must_use]
    pub(crate) fn dir(&self) -> Utf8PathBuf {
        self.ctx.dist.join(self.profile)
    }

    /// Brings `dist/<profile>/` up to date: written beside it, then renamed, so that a run that fails or is
    /// stopped leaves what was there. Files of others in it stay.
    ///
    /// What this run `built` was hashed while it was written, and is copied inside the kernel.
    ///
    /// # Errors
    /// [`Damaged`] when an output in the store is not what it was; when the store lacks one or the disk cannot be
    /// written.
    pub fn run(&self, built: &[NodeId]) -> Result<Published> {
        let dir = self.place()?;
        tree::put_back(&dir)?;
        if self.is_current()? {
            return Ok(Published::Unchanged);
        }
        create_readable(&self.ctx.dist)?;
        let new = dir.with_file_name(format!(".{}.new", dir.file_name().unwrap_or("dist")));
        tree::remove(&new)?;
        let written = self.write(&dir, &new, built).and_then(|()| self.carry_over(&dir, &new));
        let placed = written.and_then(|ours| self.put_in_place(&new, &dir, &ours));
        if placed.is_err() {
            _ = tree::remove(&new);
        }
        placed.map(|()| Published::Written).map_err(|e| match e.is::<Damaged>() {
            true => e,
            false => Failure::new(Kind::Storage, format!("cannot write {dir}; it stays as it was"))
                .help(failure::helps_of(&e).into_iter().find(|help| *help != UNWRITABLE).unwrap_or(FULL))
                .source(e)
                .into(),
        })
    }

    /// Where the outputs land for good: behind the link that a person made of the folder, if there is one.
    fn place(&self) -> Result<Utf8PathBuf> {
        let dir = self.dir();
        let Ok(meta) = dir.symlink_metadata() else { return Ok(dir) };
        if dir.is_dir() {
            return if meta.is_symlink() { Ok(dir.canonicalize_utf8()?) } else { Ok(dir) };
        }
        let text = format!("{dir} is not a folder, and is not replaced");
        Err(Failure::new(Kind::Storage, text)
            .help("move it away, or set MEDIA_DIST_DIR to another folder")
            .into())
    }

    /// Swaps `new` in, and remembers how `ours` in it were written. That is on the disk before the swap: once the media
    /// are new, nothing is left that a full disk could refuse.
    fn put_in_place(&self, new: &Utf8Path, dir: &Utf8Path, ours: &BTreeSet<String>) -> Result<()> {
        let mut stamp = tree::stamp(new)?;
        stamp.retain(|path, _| ours.contains(path));
        let remembered = Utf8PathBuf::from(format!("{}.next", self.stamp_file()));
        write_json(&remembered, &(self.goal(), stamp))?;
        let put = || {
            if self.planned.plan.nodes.iter().any(|node| node.private) {
                // The keys in it would let a short secret be guessed.
                tree::private(&remembered)?;
            }
            tree::swap(new, dir)?;
            tree::put(&remembered, &self.stamp_file())
        };
        put().inspect_err(|_| _ = tree::remove(&remembered))
    }

    /// Links what somebody else put into `dir` into `new` as well, and returns the names of what is ours there.
    fn carry_over(&self, dir: &Utf8Path, new: &Utf8Path) -> Result<BTreeSet<String>> {
        let ours: BTreeSet<String> = tree::files(new)?.into_iter().map(Utf8PathBuf::into_string).collect();
        if !dir.is_dir() {
            return Ok(ours);
        }
        let (before, stamp) = (self.written_before(dir), tree::stamp(dir)?);
        for (path, now) in &stamp {
            match before.get(path) {
                Some(Some(then)) if then != now => self.ctx.report.warn(format!(
                    "{} was changed after it was written; what was built takes its place",
                    dir.join(path)
                )),
                Some(_) => {}
                None => keep(dir, new, path, &self.ctx.report)?,
            }
        }
        Ok(ours)
    }

    /// What an earlier run wrote into `dir`, each with its stamp where that is known: as this machine remembers, and
    /// as the lists in it say.
    fn written_before(&self, dir: &Utf8Path) -> BTreeMap<String, Option<(u32, u64, u128)>> {
        let sums = regular::read_text(&dir.join("SHA256SUMS"), TEXT_LIMIT).unwrap_or_default();
        let listed = sums.lines().filter_map(|line| Some(line.split_once("  ")?.1));
        let lists = ["SHA256SUMS", "SHA512SUMS", SIGNATURE];
        let mut before: BTreeMap<_, _> = listed.chain(lists).map(|path| (path.to_owned(), None)).collect();
        if let Some((_, stamp)) = self.known() {
            before.extend(stamp.into_iter().map(|(path, then)| (path, Some(then))));
        }
        before
    }

    fn stamp_file(&self) -> Utf8PathBuf {
        stamp_file(&self.ctx.work, &self.ctx.dist, self.profile)
    }

    /// What is wanted, as one digest.
    fn goal(&self) -> Digest {
        let mut fields = buildplan::digest::Fields::default();
        fields.add("files", FILES);
        fields.add("engine", format!("{:?}", self.engine).as_bytes());
        for (path, artifact) in &self.planned.outputs {
            fields.add(path, self.keys.key(artifact.node).bytes());
        }
        if let Some(signer) = self.signer {
            fields.add("signer", signer.certificate().der());
        }
        // The manifest also says what no key depends on, such as a node's label and which package brought a file.
        for id in self.keys.ids() {
            fields.add("label", self.planned.plan.node(id).label.as_bytes());
            self.keys.inputs(id).iter().for_each(|i| fields.add(&i.label(), i.value().as_bytes()));
            for material in &self.planned.plan.node(id).materials {
                fields.add("material", attest::json(material).as_bytes());
            }
        }
        fields.finish()
    }

    fn known(&self) -> Option<(Digest, Stamp)> {
        regular::read(&self.stamp_file(), TEXT_LIMIT)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
    }

    /// Whether the folder holds what is wanted, with the sizes and times that it was written with. Contents are not
    /// read, and files of others are not looked at.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn is_current(&self) -> Result<bool> {
        let dir = self.place()?;
        let Some((goal, stamp)) = self.known().filter(|_| dir.is_dir()) else { return Ok(false) };
        let now = tree::stamp(&dir)?;
        Ok(goal == self.goal() && stamp.iter().all(|(path, then)| now.get(path) == Some(then)))
    }

    /// Writes all files. What `dir` has already is taken from there, what this run `built` is copied inside the kernel,
    /// and everything else is hashed in the one read that copies it, and compared with the store's record of it.
    fn write(&self, dir: &Utf8Path, new: &Utf8Path, built: &[NodeId]) -> Result<()> {
        let manifest = self.manifest()?;
        let before = self.unchanged(dir)?;
        let mut outputs = BTreeMap::new();
        for (path, artifact) in &self.planned.outputs {
            let (wanted, to) = (manifest.outputs[path].sha256, new.join(path));
            if let Some(parent) = to.parent() {
                fs_err::create_dir_all(parent)?;
            }
            let stays = before.get(path).filter(|sums| sums.sha256 == wanted);
            let stays = stays.filter(|_| fs_err::hard_link(dir.join(path), &to).is_ok());
            let made = match stays {
                Some(sums) => sums.clone(),
                None => self
                    .fresh(artifact, built, &to)?
                    .map_or_else(|| self.copied(artifact, wanted, &to), Ok)?,
            };
            outputs.insert(path.clone(), made);
        }
        let mut sums: Vec<_> = outputs.into_iter().collect();
        sums.extend(self.sign(new)?);
        for (name, text) in statements(&manifest) {
            fs_err::write(new.join(name), &text)?;
            let mut hasher = SumsHasher::both();
            hasher.update(text.as_bytes());
            sums.push((name.to_owned(), hasher.finish()));
        }
        let (mut sha256, mut sha512) = (String::new(), String::new());
        for (path, made) in &sums {
            sha256 += &format!("{}  {path}\n", made.sha256);
            sha512 += &format!("{}  {path}\n", made.sha512.as_deref().unwrap_or_default());
        }
        fs_err::write(new.join("SHA256SUMS"), sha256)?;
        fs_err::write(new.join("SHA512SUMS"), sha512)?;
        tree::readable_by_all(new)
    }

    /// Copies what this run built and hashed meanwhile; nothing else.
    fn fresh(&self, artifact: &Artifact, built: &[NodeId], to: &Utf8Path) -> Result<Option<Sums>> {
        if !built.contains(&artifact.node) {
            return Ok(None);
        }
        let entry = self.read_entry(artifact.node)?;
        let Some(output) = entry.outputs.get(&artifact.name).filter(|o| o.sha512.is_some()) else {
            return Ok(None);
        };
        tree::copy(&self.entry(artifact.node).join("out").join(&artifact.name), to)?;
        Ok(Some(Sums { size: output.size, sha256: output.sha256, sha512: output.sha512.clone() }))
    }

    /// Copies what the store has, and reads it meanwhile.
    fn copied(&self, artifact: &Artifact, wanted: Digest, to: &Utf8Path) -> Result<Sums> {
        let entry = self.entry(artifact.node);
        let made = hash::copy(&entry.join("out").join(&artifact.name), to, SumsHasher::both())?;
        if wanted == made.sha256 {
            return Ok(made);
        }
        tree::remove(&entry)?;
        Err(Damaged(entry).into())
    }

    /// The digests of what is in `dir` as this program left it there, the lists with the digests included.
    fn unchanged(&self, dir: &Utf8Path) -> Result<BTreeMap<String, Sums>> {
        let Some((_, then)) = self.known().filter(|_| dir.is_dir()) else { return Ok(BTreeMap::new()) };
        let now = tree::stamp(dir)?;
        let same = |path: &str| now.get(path).filter(|stamp| then.get(path) == Some(stamp));
        let list = |name: &str| same(name).and_then(|_| regular::read_text(&dir.join(name), TEXT_LIMIT).ok());
        let Some((sha256, sha512)) = list("SHA256SUMS").zip(list("SHA512SUMS")) else {
            return Ok(BTreeMap::new());
        };
        let sha512: BTreeMap<_, _> = sha512
            .lines()
            .filter_map(|line| line.split_once("  ").map(|(digest, path)| (path, digest)))
            .collect();
        let sums = sha256.lines().filter_map(|line| {
            let (digest, path) = line.split_once("  ")?;
            let sha512 = Some((*sha512.get(path)?).to_owned());
            Some((path.to_owned(), Sums { size: same(path)?.1, sha256: digest.parse().ok()?, sha512 }))
        });
        Ok(sums.collect())
    }

    /// Writes a signature beside each file that iPXE verifies.
    fn sign(&self, new: &Utf8Path) -> Result<Vec<(String, Sums)>> {
        let Some(signer) = self.signer else { return Ok(Vec::new()) };
        let one = |path: &String| {
            let signature = signer.sign(&fs_err::read(new.join(path))?)?;
            let name = format!("{path}.sig");
            fs_err::write(new.join(&name), &signature)?;
            let mut hasher = SumsHasher::both();
            hasher.update(&signature);
            Ok((name, hasher.finish()))
        };
        self.planned.signed.iter().map(one).collect()
    }

    fn entry(&self, node: NodeId) -> Utf8PathBuf {
        entry_dir(&self.ctx.work, self.planned.plan.node(node), self.keys.key(node))
    }

    fn read_entry(&self, node: NodeId) -> Result<StoreEntry> {
        store::read_entry(&self.entry(node)).with_context(|| format!("the store has no {}", self.entry(node)))
    }

    fn manifest(&self) -> Result<Manifest> {
        let mut outputs = BTreeMap::new();
        for (path, artifact) in &self.planned.outputs {
            let entry = self.read_entry(artifact.node)?;
            let made = entry.outputs.get(&artifact.name).with_context(|| format!("no output {path}"))?;
            outputs.insert(path.clone(), Output { size: made.size, sha256: made.sha256, key: entry.key });
        }
        Ok(Manifest {
            format: manifest::FORMAT,
            profile: self.profile.to_owned(),
            version: self.planned.version.clone(),
            engine: self.engine,
            epoch: self.epoch,
            outputs,
            nodes: nodes(self.ctx, self.planned, self.keys)?,
        })
    }
}

/// Where it is kept what a profile's folder in `dist` was written with: media made for a test lie below `work`, and are
/// others than the person's.
fn stamp_file(work: &Utf8Path, dist: &Utf8Path, profile: &str) -> Utf8PathBuf {
    let test =
        dist.strip_prefix(work).map(|inner| inner.as_str().replace('/', "-") + "-").unwrap_or_default();
    work.join(format!("dist-{test}{profile}.json"))
}

/// What the manifest says of each node. Made of the plan alone: the store may lack a node whose output was not needed.
///
/// # Errors
/// When a template cannot be read.
pub fn nodes(ctx: &Ctx, planned: &PlannedMedia, keys: &Keys) -> Result<BTreeMap<Digest, ManifestNode>> {
    let goals: Vec<NodeId> = planned.outputs.iter().map(|(_, a)| a.node).collect();
    let needed: BTreeSet<NodeId> = planned.plan.needed(&goals);
    let made = |id: &NodeId| {
        let node = planned.plan.node(*id);
        let made = ManifestNode {
            stage: node.stage.to_owned(),
            label: node.label.clone(),
            materials: node.materials.clone(),
            derived: node.derived,
            image: node.product.as_ref().and_then(|product| image(product, keys)),
            inputs: keys.inputs(*id).to_vec(),
            text: text(ctx, node)?,
        };
        Ok((keys.key(*id), made))
    };
    needed.iter().map(made).collect()
}

/// The digest of a text with a short secret in it would let the secret be guessed.
fn text(ctx: &Ctx, node: &Node) -> Result<Option<Digest>> {
    let mut secret = false;
    node.leaves(&mut |arg| secret |= matches!(arg, Arg::Secret(_)));
    let text = if secret { None } else { builtin::text(&ctx.root, node)? };
    Ok(text.map(|text| Digest::of(text.as_bytes())))
}

/// What the manifest says of an image's parts.
fn image(product: &Product, keys: &Keys) -> Option<ImageParts> {
    let part = |content: &Arg| match content {
        Arg::Src(path) => Part::Source { path: path.clone() },
        Arg::In(artifact) => Part::Output { key: keys.key(artifact.node), name: artifact.name.clone() },
        other => Part::Text { text: other.to_string() },
    };
    let files = |files: &[(String, Arg)]| {
        files.iter().map(|(path, content)| ImageFile { path: path.clone(), part: part(content) }).collect()
    };
    match product {
        Product::Iso(iso) => Some(ImageParts::Iso {
            label: iso.label.clone(),
            code: part(&iso.code),
            bios: iso.bios.clone(),
            catalog: iso.catalog.clone(),
            efi: iso.efi.clone(),
            files: files(&iso.files),
        }),
        Product::Fat(parts) => Some(ImageParts::Fat { files: files(parts) }),
        Product::Text(_) => None,
    }
}

/// Creates `dir`, readable by a web server whatever the umask. One that is there keeps the mode that its owner chose.
fn create_readable(dir: &Utf8Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs_err::create_dir_all(dir).explain(Kind::Storage, || format!("cannot create {dir}"))?;
    tree::readable_by_all(dir)
}

/// Keeps somebody's file, under another name where a file of ours has its own.
fn keep(dir: &Utf8Path, new: &Utf8Path, path: &str, report: &Reporter) -> Result<()> {
    let (from, mut to) = (dir.join(path), new.join(path));
    if to.symlink_metadata().is_ok() {
        to = Utf8PathBuf::from(format!("{to}.kept"));
        report.warn(format!("{from} was not written by this program; it is now {path}.kept"));
    }
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::hard_link(&from, &to).or_else(|_| tree::copy(&from, &to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_made_for_a_test_do_not_pass_for_edits_of_the_persons() {
        let file = |dist: &str| stamp_file("target/media".into(), dist.into(), "docker").into_string();
        assert_eq!(file("dist"), "target/media/dist-docker.json");
        assert_eq!(file("target/media/vm/samples"), "target/media/dist-vm-samples-docker.json");
        assert_eq!(file("target/media/vm/signed-https"), "target/media/dist-vm-signed-https-docker.json");
    }
}
