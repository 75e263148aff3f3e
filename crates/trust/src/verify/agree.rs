//! The manifest and this repository: the plan that is here, for the machine that the manifest names, has the same
//! outputs out of the same nodes. Which files, packages and program versions a machine has may differ; profile,
//! parameters, pins, downloads, patches, templates and steps may not, and nothing may be missing or extra.

use std::collections::BTreeSet;

use super::{Subject, expect::Expected};
use attest::{Manifest, ManifestNode};
use buildplan::{Input, Material};
use mediabuild::workspace::load::Loaded;

/// Everything that the manifest says it was made from is what this repository says it should be made from.
pub(super) fn with_repository(
    subject: &Subject<'_>,
    loaded: &Loaded,
    manifest: &Manifest,
) -> Result<String, String> {
    let profile = loaded.config.profile(Some(&manifest.profile)).map_err(|e| e.to_string())?;
    if manifest.epoch != loaded.lock.epoch {
        return Err(format!("its time is {}, media.lock has {}", manifest.epoch, loaded.lock.epoch));
    }
    if let Some(version) = profile.version.as_ref().filter(|v| **v != manifest.version) {
        return Err(format!("its version is {}, media.toml has {version}", manifest.version));
    }
    let expected = subject.expected.as_ref().map_err(Clone::clone)?;
    outputs(expected, manifest)?;
    nodes(expected, manifest)?;
    Ok(format!(
        "{} outputs of {} nodes match this repository's plan",
        manifest.outputs.len(),
        manifest.nodes.len()
    ))
}

/// The same files, no more and no fewer, under the same version.
fn outputs(expected: &Expected, manifest: &Manifest) -> Result<(), String> {
    let planned = &expected.planned;
    if planned.version != manifest.version {
        return Err(format!("its version is {}, its kernel's is {}", manifest.version, planned.version));
    }
    let named: BTreeSet<&str> = manifest.outputs.keys().map(String::as_str).collect();
    let wanted: BTreeSet<&str> = planned.outputs.iter().map(|(path, _)| path.as_str()).collect();
    if let Some(path) = wanted.difference(&named).next() {
        return Err(format!("it lacks {path}, which this repository produces"));
    }
    match named.difference(&wanted).next() {
        Some(path) => Err(format!("it has {path}, which this repository does not produce")),
        None => Ok(()),
    }
}

/// The same nodes out of the same inputs. Inputs come first, so that the first difference is the cause of the others.
fn nodes(expected: &Expected, manifest: &Manifest) -> Result<(), String> {
    let keys = expected.keys.as_ref().map_err(Clone::clone)?;
    for id in keys.ids() {
        let want = &expected.nodes[&keys.key(id)];
        let named = |n: &&ManifestNode| n.stage == want.stage && n.label == want.label;
        let have = manifest.nodes.get(&keys.key(id));
        match have.or_else(|| manifest.nodes.values().find(named)) {
            Some(node) => same(want, node, have.is_some())?,
            None => return Err(format!("no record of what {} was made from", want.label)),
        }
    }
    if let Some((_, node)) = manifest.nodes.iter().find(|(key, _)| !expected.nodes.contains_key(key)) {
        return Err(format!("its {} is not part of this repository's plan", node.label));
    }
    let planned = expected.planned.outputs.iter();
    match planned
        .map(|(path, a)| (path, keys.key(a.node)))
        .find(|(path, key)| manifest.outputs[*path].key != *key)
    {
        Some((path, _)) => Err(format!("{path} was not made by the node that produces it here")),
        None => Ok(()),
    }
}

fn same(want: &ManifestNode, have: &ManifestNode, key: bool) -> Result<(), String> {
    let content = |n: &ManifestNode| n.materials.iter().map(Material::content).collect::<Vec<_>>();
    let (ours, theirs) = (content(want), content(have));
    if let Some(material) = ours.iter().find(|m| !theirs.contains(m)) {
        return Err(other_material(want, material, &theirs));
    }
    let other = want.inputs.iter().find(|i| !have.inputs.contains(i));
    if let Some(input) = other.or(have.inputs.iter().find(|i| !want.inputs.contains(i))) {
        return Err(other_input(want, have, input));
    }
    let rest = |n: &ManifestNode| (n.stage.clone(), n.label.clone(), n.derived, n.image.clone(), n.text);
    match key && ours == theirs && rest(want) == rest(have) {
        true => Ok(()),
        false => Err(format!("{} was made differently from what this repository says", want.label)),
    }
}

/// What to say of a material that the manifest lacks.
fn other_material(want: &ManifestNode, material: &Material, theirs: &[Material]) -> String {
    let commit = |m: &Material| match m {
        Material::Commit { commit, .. } => Some(commit.clone()),
        _ => None,
    };
    match material {
        Material::Commit { name, commit: ours, .. } => match theirs.iter().find_map(commit) {
            Some(theirs) => format!("{name} is at {theirs}, media.toml has {ours}"),
            None => format!("no record of the commit of {name} that it was made from"),
        },
        Material::Package { .. } | Material::Download { .. } => {
            format!("it was not made from the {} in media.lock", want.label)
        }
        Material::Crate { name, version, .. } => {
            format!("it was not compiled from {name} {version}, which Cargo.lock names")
        }
        Material::PackageFile { package, output, .. } => {
            format!("it was not made from the {output} of package {package} in media.lock")
        }
        Material::Patch { path } | Material::Script { template: path, .. } => {
            format!("it was made without {path}")
        }
        Material::Loader { name } => format!("no record that {} is {name}", want.label),
    }
}

/// What to say of an input that one of the two lacks.
fn other_input(want: &ManifestNode, have: &ManifestNode, input: &Input) -> String {
    match input {
        Input::Source { path, .. } => match have.sources().any(|(there, _)| there == path) {
            true => format!("it was made from a different {path} than this repository's"),
            false => format!("it was made without {path}"),
        },
        Input::Action { .. } => format!("{} was made differently from what this repository says", want.label),
        other => {
            format!(
                "the record of the {} of {} does not match this repository's plan",
                other.label(),
                want.label
            )
        }
    }
}
