//! The manifest and this repository: the same profile, pins, downloads, patches and sources.

use super::Subject;
use crate::{attest::Manifest, config::Engine, exec::tree, verify::sums::is_plain};

/// Everything that the manifest says it was made from is what this repository says it should be made from.
pub(super) fn with_repository(subject: &Subject<'_>, manifest: &Manifest) -> Result<String, String> {
    let loaded = subject.loaded;
    let profile = loaded.config.profile(Some(&manifest.profile)).map_err(|e| e.to_string())?;
    if manifest.epoch != loaded.lock.epoch {
        return Err(format!("its time is {}, media.lock has {}", manifest.epoch, loaded.lock.epoch));
    }
    if let Some(version) = profile.version.as_ref().filter(|v| **v != manifest.version) {
        return Err(format!("its version is {}, media.toml has {version}", manifest.version));
    }
    downloads(subject, manifest)?;
    ipxe(subject, manifest)?;
    sources(subject, manifest)
}

/// Each released file has the digest of the lock.
fn downloads(subject: &Subject<'_>, manifest: &Manifest) -> Result<(), String> {
    let Some(files) = subject.loaded.lock.files.get(&manifest.profile) else { return Ok(()) };
    for (name, locked) in files {
        let mut nodes = manifest.nodes.values().filter(|n| n.stage == "download" && n.label == *name);
        let known = nodes.next().and_then(|n| n.input("fetch sha256"));
        if known != Some(locked.sha256.to_string().as_str()) {
            return Err(format!("it was not made from the {name} that media.lock has"));
        }
    }
    Ok(())
}

/// iPXE is at the pinned commit, with the patches and headers that are here.
fn ipxe(subject: &Subject<'_>, manifest: &Manifest) -> Result<(), String> {
    if manifest.engine != Engine::Source {
        return Ok(());
    }
    let pin = &subject.loaded.config.ipxe.commit;
    let commits: Vec<&str> = manifest.nodes.values().filter_map(|n| n.input("git-checkout commit")).collect();
    if commits != [pin.as_str()] {
        return Err(format!("iPXE is at {commits:?}, media.toml has {pin}"));
    }
    let used: Vec<&str> = manifest.nodes.values().flat_map(|n| n.inputs_of("src").map(|(p, _)| p)).collect();
    let scripts = &subject.loaded.bootscripts;
    match scripts.patches.iter().chain(&scripts.config).find(|p| !used.contains(&p.as_str())) {
        Some(missing) => Err(format!("it was made without {missing}")),
        None => Ok(()),
    }
}

/// Each source file is the one that is here.
fn sources(subject: &Subject<'_>, manifest: &Manifest) -> Result<String, String> {
    let mut count = 0;
    for (path, digest) in manifest.nodes.values().flat_map(|n| n.inputs_of("src")) {
        let here = is_plain(path).then(|| tree::digest(&subject.ctx.root.join(path)).ok()).flatten();
        if here.is_none_or(|(d, _)| d.to_string() != digest) {
            return Err(format!("it was made from another {path} than this repository has"));
        }
        count += 1;
    }
    Ok(format!("{count} sources and every pin are those of this repository"))
}
