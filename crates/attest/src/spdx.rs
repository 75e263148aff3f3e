//! An SPDX 2.3 document of what is *in* the media: kernel, initrd and the packages in it, loaders, iPXE at its
//! commit with each patch, scripts, cloud-config; everything by digest.
//!
//! Each part is an SPDX package, also where it is one file: SPDX files must carry a SHA-1, which says nothing any
//! more. Licences are not asserted: they were not all read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Manifest, ManifestNode};
use buildplan::{Digest, Material, digest::Fields};

/// SPDX's word for what is not known.
const NO_ASSERTION: &str = "NOASSERTION";

/// The document (<https://spdx.github.io/spdx-spec/v2.3/>).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<SpdxPackage>,
    relationships: BTreeSet<Relationship>,
}

#[derive(Debug, Serialize)]
struct CreationInfo {
    created: String,
    creators: [String; 1],
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    supplier: String,
    download_location: String,
    license_concluded: &'static str,
    license_declared: &'static str,
    copyright_text: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_refs: Option<[ExternalRef; 1]>,
    primary_package_purpose: &'static str,
}

/// A package URL.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

/// Download location of a commit of iPXE, in SPDX's and SLSA's way of writing it.
#[must_use]
pub(super) fn ipxe_location(commit: &str) -> String {
    format!("git+https://github.com/ipxe/ipxe.git@{commit}")
}

/// The package URL of a crate.
#[must_use]
pub(super) fn crate_url(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

/// The document about the outputs of `manifest`.
#[must_use]
pub fn document(manifest: &Manifest) -> Document {
    let mut parts = Parts {
        manifest,
        packages: BTreeMap::new(),
        relationships: BTreeSet::new(),
        walked: BTreeSet::new(),
    };
    for (path, output) in &manifest.outputs {
        let id = parts.output(path);
        parts.relate("SPDXRef-DOCUMENT", "DESCRIBES", &id);
        parts.walk(&id, output.key, manifest.nodes.get(&output.key).map_or(CONTAINS, how));
    }
    let mut all = Fields::default();
    all.add("manifest", super::json(manifest).as_bytes());
    let name = format!("{}-{}", manifest.profile, manifest.version);
    Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: "SPDXRef-DOCUMENT",
        // A namespace must differ for each document; this one differs where the manifest does.
        document_namespace: format!("https://spdx.org/spdxdocs/{}-{}", uri(&name), all.finish()),
        name,
        creation_info: CreationInfo {
            created: utc(manifest.epoch),
            creators: [format!("Tool: {}", super::GENERATOR)],
        },
        packages: parts.packages.into_values().collect(),
        relationships: parts.relationships,
    }
}

const CONTAINS: &str = "CONTAINS";

struct Parts<'a> {
    manifest: &'a Manifest,
    packages: BTreeMap<String, SpdxPackage>,
    relationships: BTreeSet<Relationship>,
    /// From where each node was walked to: many ways may lead to one, and a hostile manifest's never end.
    walked: BTreeSet<(String, Digest)>,
}

impl Parts<'_> {
    fn relate(&mut self, from: &str, how: &'static str, to: &str) {
        self.relationships.insert(Relationship {
            spdx_element_id: from.to_owned(),
            relationship_type: how,
            related_spdx_element: to.to_owned(),
        });
    }

    fn add(&mut self, id: String, name: &str, sha256: Option<Digest>) -> &mut SpdxPackage {
        let checksum = |d: Digest| Checksum { algorithm: "SHA256", checksum_value: d.to_string() };
        self.packages.entry(id.clone()).or_insert_with(|| SpdxPackage {
            id,
            name: name.to_owned(),
            version_info: None,
            supplier: NO_ASSERTION.to_owned(),
            download_location: NO_ASSERTION.to_owned(),
            license_concluded: NO_ASSERTION,
            license_declared: NO_ASSERTION,
            copyright_text: NO_ASSERTION,
            files_analyzed: false,
            source_info: None,
            external_refs: None,
            checksums: sha256.map(checksum).into_iter().collect(),
            primary_package_purpose: "FILE",
        })
    }

    fn output(&mut self, path: &str) -> String {
        let id = format!("SPDXRef-output-{}", uri(&path.replace('/', "-")));
        let manifest = self.manifest;
        self.add(id.clone(), path, Some(manifest.outputs[path].sha256)).version_info =
            Some(manifest.version.clone());
        id
    }

    /// Relates `from` to what the node `key` was made of. Nodes that only put together are passed through.
    fn walk(&mut self, from: &str, key: Digest, how: &'static str) {
        let manifest = self.manifest;
        let Some(node) = manifest.nodes.get(&key) else { return };
        if !self.walked.insert((from.to_owned(), key)) {
            return;
        }
        for (path, digest) in node.sources() {
            let id = self.file(path, digest);
            self.relate(from, how, &id);
        }
        for material in &node.materials {
            if let Material::Crate { name, version, sha256 } = material {
                let id = self.krate(name, version, *sha256);
                self.relate(from, how, &id);
            }
        }
        for (key, name) in node.parts() {
            match self.part(key, name) {
                Some(id) => self.relate(from, how, &id),
                None => self.walk(from, key, how),
            }
        }
        if from.starts_with("SPDXRef-output-") {
            // An output that is itself a part: the distribution's iPXE, a filled-in script, a released file.
            if let Some(id) = self.source(key, node) {
                self.relate(from, "GENERATED_FROM", &id);
            }
        }
    }

    fn file(&mut self, path: &str, digest: Digest) -> String {
        let id = format!("SPDXRef-file-{}", Digest::of(format!("{path} {digest}").as_bytes()).short(16));
        self.add(id.clone(), path, Some(digest));
        id
    }

    /// A crate: its registry says who gives it out.
    fn krate(&mut self, name: &str, version: &str, sha256: Digest) -> String {
        let id = format!("SPDXRef-crate-{}-{}", uri(name), uri(version));
        let package = self.add(id.clone(), name, Some(sha256));
        package.primary_package_purpose = "LIBRARY";
        self.brought(&id, &crate_url(name, version), version);
        id
    }

    /// Notes which package of the distribution, or which crate, a part came with.
    fn brought(&mut self, id: &str, purl: &str, version: &str) {
        let Some(package) = self.packages.get_mut(id) else { return };
        package.version_info = Some(version.to_owned());
        package.supplier = supplier(purl);
        package.external_refs = Some([ExternalRef {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: purl.to_owned(),
        }]);
    }

    /// The package that the output `name` of the node `key` is, if it is one of its own.
    fn part(&mut self, key: Digest, name: &str) -> Option<String> {
        let manifest = self.manifest;
        let same = |(path, o): &(&String, &super::Output)| o.key == key && file_name(path) == name;
        if let Some((path, _)) = manifest.outputs.iter().find(same) {
            return Some(self.output(path));
        }
        let node = manifest.nodes.get(&key)?;
        if let Some(id) = self.source(key, node) {
            return Some(id);
        }
        let id = format!("SPDXRef-{}-{}", node.stage, key.short(16));
        if self.packages.contains_key(&id) {
            return Some(id);
        }
        match node.materials.first()? {
            Material::Script { .. } => {
                self.add(id.clone(), name, node.text);
            }
            Material::Loader { name } => {
                self.add(id.clone(), name, None).primary_package_purpose = "APPLICATION";
                if let Some((purl, version)) = package_below(manifest, node, &mut BTreeSet::new()) {
                    self.brought(&id, purl, version);
                }
            }
            _ => return None,
        }
        self.walk(&id, key, how(node));
        Some(id)
    }

    /// The package of a node that brings something in from outside.
    fn source(&mut self, key: Digest, node: &ManifestNode) -> Option<String> {
        let id = format!("SPDXRef-{}-{}", node.stage, key.short(16));
        match node.materials.first()? {
            Material::Commit { name, commit, .. } => {
                let package = self.add(id.clone(), name, None);
                package.version_info = Some(format!("{commit} ({})", node.label));
                package.download_location = ipxe_location(commit);
                package.primary_package_purpose = "SOURCE";
            }
            Material::Package { name, version, purl, sha256, url } => {
                let package = self.add(id.clone(), name, Some(*sha256));
                package.primary_package_purpose = "INSTALL";
                package.download_location = url.clone().unwrap_or_else(|| NO_ASSERTION.to_owned());
                self.brought(&id, purl, version);
            }
            Material::Download { name, sha256, url } => {
                let package = self.add(id.clone(), name, Some(*sha256));
                package.primary_package_purpose = "ARCHIVE";
                package.download_location = url.clone().unwrap_or_else(|| NO_ASSERTION.to_owned());
            }
            Material::Crate { .. }
            | Material::PackageFile { .. }
            | Material::Patch { .. }
            | Material::Script { .. }
            | Material::Loader { .. } => return None,
        }
        Some(id)
    }
}

/// The package that a node's inputs come from: its URL and version.
fn package_below<'m>(
    manifest: &'m Manifest,
    node: &'m ManifestNode,
    seen: &mut BTreeSet<Digest>,
) -> Option<(&'m str, &'m str)> {
    let own = node.materials.iter().find_map(|material| match material {
        Material::Package { purl, version, .. } => Some((purl.as_str(), version.as_str())),
        _ => None,
    });
    own.or_else(|| {
        node.parts().find_map(|(key, _)| {
            let key = Some(key).filter(|key| seen.insert(*key))?;
            package_below(manifest, manifest.nodes.get(&key)?, seen)
        })
    })
}

/// How the output of a node is related to what the node was made of.
fn how(node: &ManifestNode) -> &'static str {
    if node.derived { "GENERATED_FROM" } else { CONTAINS }
}

/// Who gives out a package: `pkg:deb/debian/…` is Debian's.
fn supplier(purl: &str) -> String {
    if purl.starts_with("pkg:cargo/") {
        return NO_ASSERTION.to_owned();
    }
    let vendor = purl.split('/').nth(1).unwrap_or_default();
    let (first, rest) = vendor.split_at_checked(1).unwrap_or_default();
    format!("Organization: {}{rest}", first.to_uppercase())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Only what stands in an SPDX id: letters, digits, `.` and `-`.
fn uri(text: &str) -> String {
    text.replace(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-'), "-")
}

/// `2025-11-25T00:00:00Z`: days to a date as in <https://howardhinnant.github.io/date_algorithms.html>.
#[must_use]
pub fn utc(epoch: u64) -> String {
    let (days, second) = (epoch / 86_400 + 719_468, epoch % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let (day, month) =
        (day - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::Output;
    use buildplan::Input;
    use mediaplan::config::Engine;

    fn made(stage: &str, materials: Vec<Material>, inputs: Vec<Input>) -> ManifestNode {
        let label = match materials.first() {
            Some(Material::Package { name, version, .. }) => format!("package {name} {version}"),
            Some(Material::Commit { name, version, .. }) => format!("{name} {version} sources"),
            _ => stage.to_owned(),
        };
        let text = (stage == "script").then(|| Digest::of(b"text"));
        let derived = stage == "script";
        ManifestNode { stage: stage.to_owned(), label, materials, derived, image: None, inputs, text }
    }

    /// An ISO of an initrd (of one package) and an iPXE with one patch and a script.
    pub(crate) fn sample() -> Manifest {
        let key = |name: &str| Digest::of(name.as_bytes());
        let text = str::to_owned;
        let sha256 = key("content");
        let of = |stage: &str, output: &str| Input::Node {
            stage: stage.to_owned(),
            output: output.to_owned(),
            key: key(stage),
            tool: false,
        };
        let source = |path: &str| Input::Source { path: path.to_owned(), sha256 };
        let purl = text("pkg:deb/debian/bb@1:1");
        let package = Material::Package { name: text("bb"), version: text("1:1"), purl, sha256, url: None };
        let commit = Material::Commit { name: text("iPXE"), version: text("2.0.0"), commit: text("c0ffee") };
        let (patch, template) = ("bootscripts/patches/1.patch", "bootscripts/embed.ipxe");
        let script = Material::Script { name: text("embed.ipxe"), template: text(template) };
        let xorriso = Input::Tool { name: text("xorriso"), version: text("1.5") };
        let nodes = [
            ("deb", vec![package], vec![]),
            ("initrd", vec![], vec![of("deb", "bb.deb")]),
            ("ipxe-src", vec![commit], vec![]),
            (
                "ipxe-tree",
                vec![Material::Patch { path: text(patch) }],
                vec![of("ipxe-src", "ipxe"), source(patch)],
            ),
            ("script", vec![script], vec![source(template)]),
            ("ipxe", vec![], vec![of("ipxe-tree", "ipxe"), of("script", "embed.ipxe")]),
            ("iso", vec![], vec![of("initrd", "initrd"), xorriso]),
        ];
        let output = |name: &str| Output { size: 1, sha256: key(name), key: key(name) };
        Manifest {
            format: crate::manifest::FORMAT,
            profile: "smoke".to_owned(),
            version: "1".to_owned(),
            engine: Engine::Source,
            epoch: 1_764_028_800,
            outputs: [("a.iso", "iso"), ("ipxe.efi", "ipxe"), ("netboot/initrd", "initrd")]
                .map(|(path, name)| (path.to_owned(), output(name)))
                .into(),
            nodes: nodes.into_iter().map(|(stage, m, i)| (key(stage), made(stage, m, i))).collect(),
        }
    }

    #[test]
    fn each_medium_leads_to_its_parts() {
        let doc = document(&sample());
        let name =
            |id: &str| doc.packages.iter().find(|p| p.id == id).map_or("document", |p| &p.name).to_owned();
        let triple =
            |r: &Relationship| (name(&r.spdx_element_id), r.relationship_type, name(&r.related_spdx_element));
        let related: Vec<_> = doc.relationships.iter().map(triple).collect();
        let has = |a: &str, how: &str, b: &str| {
            let found = related.iter().any(|(x, h, y)| (x.as_str(), *h, y.as_str()) == (a, how, b));
            assert!(found, "{a} {how} {b} is not among {related:?}");
        };
        has("document", "DESCRIBES", "a.iso");
        has("a.iso", "CONTAINS", "netboot/initrd");
        has("netboot/initrd", "CONTAINS", "bb");
        has("ipxe.efi", "CONTAINS", "iPXE");
        has("ipxe.efi", "CONTAINS", "bootscripts/patches/1.patch");
        has("ipxe.efi", "CONTAINS", "embed.ipxe");
        has("embed.ipxe", "GENERATED_FROM", "bootscripts/embed.ipxe");
        let deb =
            doc.packages.iter().find(|p| p.name == "bb").and_then(|p| p.external_refs.as_ref()).unwrap();
        assert_eq!(deb[0].reference_locator, "pkg:deb/debian/bb@1:1");
        assert_eq!(supplier("pkg:deb/debian/bb@1:1"), "Organization: Debian");
        assert!(!doc.packages.iter().any(|p| p.name.contains("xorriso")), "a tool is not in the medium");
    }

    #[test]
    fn times_are_written_as_spdx_wants_them() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(1_764_028_800), "2025-11-25T00:00:00Z");
    }
}
