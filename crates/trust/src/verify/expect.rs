//! What each file of the media must be: the plan of this repository, for a machine as the manifest describes it.
//!
//! Program versions of the build machine are taken from the manifest; all else is planned here
//! as `dist` would. So the keys of all nodes can be computed again, and what needs nothing of a machine (scripts,
//! loaders' files, the config initrd) is made again. What was made on *this* machine under the same key is known as well.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::read_file;
use attest::{MANIFEST, Manifest, ManifestNode};
use buildexec::ctx::Ctx;
use buildexec::{
    host_inputs::BuildHost,
    schedule,
    store::{Store, entry_dir, read_entry},
    tree,
};
use buildplan::{
    Action, Arg, Artifact, Digest, HostInputs, Input, Keys, Material, Missing, NodeId, Plan, Resource, ToolId,
};
use mediabuild::workspace::{preflight, publish};
use mediaplan::stage::{media::PlannedMedia, signed::BY_KEY};
use report::{Mode, Reporter};

/// A digest, and in words what has it: completes "it is …".
pub(super) type KnownDigest = (Digest, String);

/// What the media must be.
pub struct Expected {
    /// The plan of the profile as this repository makes it.
    pub planned: PlannedMedia,
    /// The keys of its nodes; why there are none.
    pub keys: Result<Keys, String>,
    /// What the manifest must say of each node.
    pub nodes: BTreeMap<Digest, ManifestNode>,
    /// The keys of what was made again.
    own: Keys,
    /// Seconds since 1970 that the media are dated with.
    pub epoch: u64,
    made: tempfile::TempDir,
    work: Utf8PathBuf,
}

/// The repository as it is, and the build machine as the manifest has it.
struct RecordedInputs<'a> {
    here: BuildHost<'a>,
    /// The versions of programs.
    tools: BTreeMap<&'a str, &'a str>,
    /// The digests of builtins' code.
    builtins: BTreeMap<&'a str, Digest>,
    epoch: u64,
}

impl HostInputs for RecordedInputs<'_> {
    fn source(&self, path: &str) -> Result<Digest, Missing> {
        self.here.source(path)
    }

    /// One that the manifest does not name gets a key that the manifest does not have.
    fn tool(&self, program: &str) -> Result<ToolId, Missing> {
        let version = self.tools.get(program).copied().unwrap_or_default();
        Ok(ToolId { version: version.to_owned() })
    }

    /// As with programs: what the manifest names is what made the media, and its bytes are compared with others.
    fn builtin(&self, name: &str) -> Result<Digest, Missing> {
        self.builtins.get(name).copied().map_or_else(|| self.here.builtin(name), Ok)
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl Expected {
    /// Computes the keys, and makes again what needs nothing of a machine.
    ///
    /// # Errors
    /// When the repository lacks a file or the disk cannot be written.
    pub fn new(ctx: &Ctx, planned: PlannedMedia, epoch: u64, manifest: Option<&Manifest>) -> Result<Self> {
        let nodes = || manifest.iter().flat_map(|m| m.nodes.values());
        let builtin = |input| match input {
            &Input::Builtin { ref name, sha256 } => Some((name.as_str(), sha256)),
            _ => None,
        };
        let recorded = RecordedInputs {
            here: BuildHost::new(ctx, epoch),
            tools: nodes().flat_map(ManifestNode::tools).collect(),
            builtins: nodes().flat_map(|n| &n.inputs).filter_map(builtin).collect(),
            epoch,
        };
        let own: Vec<NodeId> = own(&planned.plan).into_iter().collect();
        let own_keys =
            Keys::compute(&planned.plan, &own, &recorded).map_err(|missing| preflight::lacking(&missing))?;
        let made = make(ctx, &planned.plan, &own_keys, &own, epoch)?;
        let goals: Vec<NodeId> = planned.outputs.iter().map(|(_, a)| a.node).collect();
        let keys = Keys::compute(&planned.plan, &goals, &recorded).map_err(|missing| lacks(&missing));
        let nodes = match &keys {
            Ok(keys) => publish::nodes(ctx, &planned, keys)?,
            Err(_) => BTreeMap::new(),
        };
        Ok(Self { planned, keys, nodes, own: own_keys, epoch, made, work: ctx.work.clone() })
    }

    /// What `arg` must be, where that is known.
    pub(super) fn arg(&self, root: &Utf8Path, arg: &Arg) -> Option<KnownDigest> {
        match arg {
            Arg::Src(path) => {
                Some((tree::digest(&root.join(path)).ok()?.0, format!("{path} of this repository")))
            }
            Arg::In(artifact) => self.artifact(artifact),
            _ => None,
        }
    }

    /// What an artifact must be, where that is known.
    pub(super) fn artifact(&self, artifact: &Artifact) -> Option<KnownDigest> {
        if let Some(path) = self.own_file(artifact) {
            return Some((tree::digest(&path).ok()?.0, "what this repository produces".to_owned()));
        }
        if let Some(known) = self.picked(artifact) {
            return Some(known);
        }
        let node = self.planned.plan.node(artifact.node);
        for action in &node.actions {
            match action {
                Action::Fetch(fetch) if fetch.to == Arg::Out(artifact.name.clone()) => {
                    return Some((fetch.sha256, format!("the {} in media.lock", node.label)));
                }
                _ => {}
            }
        }
        self.stored(artifact)
            .map(|digest| (digest, "what this machine built from the same inputs".to_owned()))
    }

    /// A file of a package, which media.lock has the digest of.
    pub(super) fn picked(&self, artifact: &Artifact) -> Option<KnownDigest> {
        let node = self.planned.plan.node(artifact.node);
        let (package, sha256) = node.materials.iter().find_map(|material| match material {
            Material::PackageFile { package, output, sha256, .. } if *output == artifact.name => {
                Some((package, *sha256))
            }
            _ => None,
        })?;
        Some((sha256, format!("the {} of package {package} in media.lock", artifact.name)))
    }

    /// What the store of this machine has for an artifact, under the same key.
    fn stored(&self, artifact: &Artifact) -> Option<Digest> {
        let key = self.keys.as_ref().ok()?.key(artifact.node);
        let dir = entry_dir(&self.work, self.planned.plan.node(artifact.node), key);
        let entry = read_entry(&dir).filter(|e| e.key == key)?;
        let made = entry.outputs.get(&artifact.name)?.sha256;
        (tree::digest(&dir.join("out").join(&artifact.name)).ok()?.0 == made).then_some(made)
    }

    fn own_file(&self, artifact: &Artifact) -> Option<Utf8PathBuf> {
        let key = self.own.ids().find(|id| *id == artifact.node).map(|id| self.own.key(id))?;
        let dir =
            entry_dir(Utf8Path::from_path(self.made.path())?, self.planned.plan.node(artifact.node), key);
        Some(dir.join("out").join(&artifact.name))
    }

    /// The text that this repository makes for the output `name` of some node.
    pub(super) fn text(&self, name: &str) -> Result<String, String> {
        let makes = |id: &NodeId| self.planned.plan.node(*id).outputs.iter().any(|o| o == name);
        let path = self.own.ids().find(makes).and_then(|id| self.own_file(&id.artifact(name)));
        read_text(&path.ok_or_else(|| format!("this repository does not produce {name}"))?)
    }

    /// The text that `arg` is, where this repository makes it.
    pub(super) fn text_of(&self, arg: &Arg) -> Option<Result<String, String>> {
        match arg {
            Arg::In(artifact) => self.own_file(artifact).map(|path| read_text(&path)),
            _ => None,
        }
    }
}

fn read_text(path: &Utf8Path) -> Result<String, String> {
    let bytes = read_file(path, super::TEXT_LIMIT).map_err(|e| format!("{e:#}"))?;
    String::from_utf8(bytes).map_err(|_| format!("{} is not text", path.file_name().unwrap_or_default()))
}

/// The nodes that need nothing of a machine, of the network, or of such nodes.
fn own(plan: &Plan) -> BTreeSet<NodeId> {
    let mut own = BTreeSet::new();
    for id in plan.ids() {
        let node = plan.node(id);
        let outside = |a: &Action| match a {
            Action::Run(_) | Action::Fetch(_) => true,
            Action::Builtin { name, .. } => BY_KEY.contains(name),
            _ => false,
        };
        let mut needs = node.resource == Resource::Net || node.actions.iter().any(outside);
        node.leaves(&mut |arg| {
            needs |= match arg {
                Arg::In(artifact) => !own.contains(&artifact.node),
                _ => false,
            };
        });
        if !needs {
            own.insert(id);
        }
    }
    own
}

/// Makes `goals` in a folder of its own, so that nothing that was made before is trusted, and prints nothing.
fn make(ctx: &Ctx, plan: &Plan, keys: &Keys, goals: &[NodeId], epoch: u64) -> Result<tempfile::TempDir> {
    let made = ctx.temporary("verify-")?;
    let report = Reporter::new(Mode::Human { terminal: false }, true);
    let inner = Ctx { work: Utf8PathBuf::try_from(made.path().to_owned())?, report, ..ctx.clone() };
    let store = Store::open(&inner.work, &inner.report, &inner.runner.interrupt)?;
    schedule::execute(&inner, plan, keys, goals, epoch, &store)?;
    Ok(made)
}

fn lacks(missing: &[Missing]) -> String {
    match missing.first() {
        Some(Missing::Source(path)) => format!("this repository has no {path}"),
        Some(Missing::Builtin(name)) => format!("no builtin is called {name}"),
        Some(Missing::Tool(name)) => format!("{MANIFEST} does not say which {name} it was made with"),
        None => "nothing is missing".to_owned(),
    }
}
