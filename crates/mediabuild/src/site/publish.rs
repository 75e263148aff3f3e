//! Puts a profile's outputs where people take them from: `dist/<profile>/`, whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::builtin;
pub use attest::{Made, Manifest, Output};
use attest::{SIGNATURE, statements};
use buildexec::ctx::Ctx;
use buildexec::{
    store::{self, Entry, entry_dir, write_json},
    tree::{self, Stamp},
};
use buildplan::{Arg, Digest, Keys, Node, NodeId, digest::sha512};
use failure::{Explain as _, Failure, Kind};
use mediaplan::stage::media::Planned;

/// Raised when other files are written for the same outputs, so that a folder of before is not taken for current.
const FILES: &[u8] = b"4";

/// Everything that `publish` needs to know.
pub struct Publish<'a> {
    /// The run's context.
    pub ctx: &'a Ctx,
    /// What was planned and made.
    pub planned: &'a Planned,
    /// Its keys.
    pub keys: &'a Keys,
    /// The profile's name.
    pub profile: &'a str,
    /// How iPXE was had.
    pub engine: mediaplan::config::Engine,
    /// Seconds since 1970 that stood for "now".
    pub epoch: u64,
}

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
    pub fn dir(&self) -> Utf8PathBuf {
        self.ctx.dist.join(self.profile)
    }

    /// Brings `dist/<profile>/` up to date: written beside it, then renamed, so that a run that fails or is
    /// stopped leaves what was there.
    ///
    /// # Errors
    /// When the store lacks an output or the disk cannot be written.
    pub fn run(&self) -> Result<Published> {
        let dir = self.dir();
        if self.is_current(&dir)? {
            return Ok(Published::Unchanged);
        }
        fs_err::create_dir_all(&self.ctx.dist)
            .explain(Kind::Storage, || format!("cannot create {}", self.ctx.dist))?;
        let new = self.ctx.dist.join(format!(".{}.new", self.profile));
        tree::remove(&new)?;
        let written = self.write(&new);
        if written.is_err() {
            _ = tree::remove(&new);
        }
        written.map_err(|e| {
            Failure::new(Kind::Storage, format!("cannot write {dir}; it stays as it was"))
                .help("is the disk full, or the folder another user's? `cargo xtask gc` removes old store entries")
                .source(e)
        })?;
        tree::swap(&new, &dir)?;
        write_json(&self.stamp_file(), &(self.goal(), stamp(&dir)?))?;
        Ok(Published::Written)
    }

    fn stamp_file(&self) -> Utf8PathBuf {
        self.ctx.work.join(format!("dist-{}.json", self.profile))
    }

    /// What is wanted, as one digest.
    fn goal(&self) -> Digest {
        let mut fields = buildplan::digest::Fields::default();
        fields.add("files", FILES);
        fields.add("engine", format!("{:?}", self.engine).as_bytes());
        for (path, artifact) in &self.planned.outputs {
            fields.add(path, self.keys.key(artifact.node).bytes());
        }
        // The manifest also says what no key depends on, such as which package brought a file.
        for input in self.keys.ids().flat_map(|id| self.keys.inputs(id)) {
            fields.add(&input.label, input.value.as_bytes());
        }
        fields.finish()
    }

    /// Whether the folder holds what is wanted, untouched since it was written.
    fn is_current(&self, dir: &Utf8Path) -> Result<bool> {
        if !dir.is_dir() {
            return Ok(false);
        }
        let known = fs_err::read(self.stamp_file()).ok();
        let known: Option<(Digest, Stamp)> = known.and_then(|b| serde_json::from_slice(&b).ok());
        Ok(known == Some((self.goal(), stamp(dir)?)))
    }

    fn write(&self, new: &Utf8Path) -> Result<()> {
        let manifest = self.manifest()?;
        for (path, artifact) in &self.planned.outputs {
            let dir = self.entry(artifact.node);
            tree::copy(&dir.join("out").join(&artifact.name), &new.join(path))?;
        }
        let written = statements(&manifest);
        let mut sums: Vec<(&str, Digest)> =
            manifest.outputs.iter().map(|(path, o)| (path.as_str(), o.sha256)).collect();
        for (name, text) in &written {
            fs_err::write(new.join(name), text)?;
            sums.push((name, Digest::of(text.as_bytes())));
        }
        let lines: String = sums.iter().map(|(path, sha256)| format!("{sha256}  {path}\n")).collect();
        fs_err::write(new.join("SHA256SUMS"), lines)?;
        let mut lines = String::new();
        for (path, _) in &sums {
            lines += &format!("{}  {path}\n", sha512(&mut fs_err::File::open(new.join(path))?)?);
        }
        fs_err::write(new.join("SHA512SUMS"), lines)?;
        tree::readable_by_all(new)
    }

    fn entry(&self, node: NodeId) -> Utf8PathBuf {
        entry_dir(&self.ctx.work, self.planned.plan.node(node), self.keys.key(node))
    }

    fn read_entry(&self, node: NodeId) -> Result<Entry> {
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
            format: 1,
            profile: self.profile.to_owned(),
            version: self.planned.version.clone(),
            engine: self.engine,
            epoch: self.epoch,
            outputs,
            nodes: nodes(self.ctx, self.planned, self.keys)?,
        })
    }
}

/// What the manifest says of each node. Made of the plan alone: the store may lack a node whose output nobody needed.
///
/// # Errors
/// When a template cannot be read.
pub fn nodes(ctx: &Ctx, planned: &Planned, keys: &Keys) -> Result<BTreeMap<Digest, Made>> {
    let goals: Vec<NodeId> = planned.outputs.iter().map(|(_, a)| a.node).collect();
    let needed: BTreeSet<NodeId> = planned.plan.needed(&goals);
    let made = |id: &NodeId| {
        let node = planned.plan.node(*id);
        let made = Made {
            stage: node.stage.to_owned(),
            label: node.label.clone(),
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
    Ok(text.map(|(_, text)| Digest::of(text.as_bytes())))
}

/// The folder's stamp but for the signature, which a person adds later and which stays while nothing changes.
fn stamp(dir: &Utf8Path) -> Result<Stamp> {
    let mut stamp = tree::stamp(dir)?;
    stamp.remove(SIGNATURE);
    Ok(stamp)
}
