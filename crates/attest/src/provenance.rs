//! An in-toto Statement v1 with SLSA Provenance v1: which inputs, by digest, became which outputs.
//!
//! It names no builder beyond this program, since the same inputs give the same file everywhere. Who built is said
//! by the signature around it: of a workflow (`actions/attest`) or of a person (`cargo xtask sign`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Manifest;
use buildplan::{Digest, Material};
use mediaplan::config::Engine;

/// The statement (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>).
#[derive(Debug, Serialize)]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<ResourceDescriptor>,
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: Predicate,
}

/// Something with a digest (in-toto's `ResourceDescriptor`).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct ResourceDescriptor {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    digest: BTreeMap<&'static str, String>,
}

/// SLSA's predicate (<https://slsa.dev/spec/v1.0/provenance>).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: &'static str,
    external_parameters: External,
    internal_parameters: Internal,
    resolved_dependencies: BTreeSet<ResourceDescriptor>,
}

/// What the person chose.
#[derive(Debug, Serialize)]
struct External {
    profile: String,
    engine: Engine,
    version: String,
}

/// What the machine had: tools whose versions change bytes, and the time that stood for "now".
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Internal {
    source_date_epoch: u64,
    tools: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct RunDetails {
    builder: Builder,
}

#[derive(Debug, Serialize)]
struct Builder {
    id: &'static str,
    version: BTreeMap<&'static str, &'static str>,
}

impl ResourceDescriptor {
    fn sha256(name: &str, digest: Digest) -> Self {
        let digest = BTreeMap::from([("sha256", digest.to_string())]);
        Self { name: name.to_owned(), uri: None, digest }
    }
}

/// What a node brings in from outside.
fn resource(label: &str, material: &Material) -> Option<ResourceDescriptor> {
    Some(match material {
        Material::Package { purl, sha256, .. } => {
            ResourceDescriptor { uri: Some(purl.clone()), ..ResourceDescriptor::sha256(label, *sha256) }
        }
        Material::Crate { name, version, sha256 } => ResourceDescriptor {
            uri: Some(super::spdx::crate_url(name, version)),
            ..ResourceDescriptor::sha256(&format!("crate {name} {version}"), *sha256)
        },
        Material::Download { url, sha256, .. } => {
            ResourceDescriptor { uri: url.clone(), ..ResourceDescriptor::sha256(label, *sha256) }
        }
        Material::Commit { commit, .. } => ResourceDescriptor {
            name: label.to_owned(),
            uri: Some(super::spdx::ipxe_location(commit)),
            digest: BTreeMap::from([("gitCommit", commit.clone())]),
        },
        Material::PackageFile { .. }
        | Material::Patch { .. }
        | Material::Script { .. }
        | Material::Loader { .. } => return None,
    })
}

/// The statement about the outputs of `manifest`.
#[must_use]
pub fn statement(manifest: &Manifest) -> Statement {
    let mut tools = BTreeMap::new();
    let mut resolved_dependencies = BTreeSet::new();
    for node in manifest.nodes.values() {
        tools.extend(node.tools().map(|(name, version)| (name.to_owned(), version.to_owned())));
        resolved_dependencies
            .extend(node.sources().map(|(path, digest)| ResourceDescriptor::sha256(path, digest)));
        resolved_dependencies
            .extend(node.materials.iter().filter_map(|material| resource(&node.label, material)));
    }
    Statement {
        kind: "https://in-toto.io/Statement/v1",
        subject: manifest
            .outputs
            .iter()
            .map(|(path, o)| ResourceDescriptor::sha256(path, o.sha256))
            .collect(),
        predicate_type: "https://slsa.dev/provenance/v1",
        predicate: Predicate {
            build_definition: BuildDefinition {
                build_type: "urn:boot-media:xtask-dist:v1",
                external_parameters: External {
                    profile: manifest.profile.clone(),
                    engine: manifest.engine,
                    version: manifest.version.clone(),
                },
                internal_parameters: Internal { source_date_epoch: manifest.epoch, tools },
                resolved_dependencies,
            },
            run_details: RunDetails {
                builder: Builder {
                    id: "urn:boot-media:xtask",
                    version: BTreeMap::from([("xtask", super::GENERATOR)]),
                },
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spdx::tests::sample;

    #[test]
    fn inputs_become_dependencies_and_tools_parameters() {
        let value = serde_json::to_value(statement(&sample())).unwrap();
        assert_eq!(value["subject"].as_array().unwrap().len(), 3);
        let build = &value["predicate"]["buildDefinition"];
        let names: Vec<_> = build["resolvedDependencies"].as_array().unwrap().iter().collect();
        let names: Vec<_> = names.iter().map(|d| d["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["bootscripts/embed.ipxe", "bootscripts/patches/1.patch", "iPXE 2.0.0 sources", "package bb 1:1"]
        );
        assert_eq!(build["internalParameters"]["tools"]["xorriso"], "1.5");
        assert_eq!(build["resolvedDependencies"][2]["digest"]["gitCommit"], "c0ffee");
    }
}
