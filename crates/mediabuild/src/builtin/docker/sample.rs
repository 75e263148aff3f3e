//! An image of containers that holds BusyBox and one script: an OCI layout that `docker load` takes as well.

use anyhow::Result;
use buildexec::action::Call;
use buildplan::Digest;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// Names of BusyBox's programs that the scripts use.
const APPLETS: &[&str] = &["cat", "httpd", "mkdir", "mv", "sh", "sleep", "sync"];
/// The media types of an image, from the OCI image specification.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// `busybox`, `script`, `name` (with a tag), `to`.
///
/// # Errors
/// When a file cannot be read or written.
pub(in super::super) fn sample(call: &Call<'_>) -> Result<()> {
    let (busybox, script) = (fs_err::read(call.path("busybox")?)?, fs_err::read(call.path("script")?)?);
    let bytes = archive(call.text("name")?, &busybox, &script)?;
    fs_err::write(call.out("to")?, bytes)?;
    Ok(())
}

fn archive(name: &str, busybox: &[u8], script: &[u8]) -> Result<Vec<u8>> {
    let layer = layer(busybox, script)?;
    let config = serde_json::to_vec(&json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Cmd": ["/main"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [id(&layer)] },
    }))?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(CONFIG, &config),
        "layers": [described(LAYER, &layer)],
    }))?;
    let mut entry = described(MANIFEST, &manifest);
    entry["annotations"] = json!({ "io.containerd.image.name": name });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    // What `docker load` reads.
    let docker = json!([{ "Config": blob(&config), "RepoTags": [name], "Layers": [blob(&layer)] }]);
    let mut tar = Builder::new(Vec::new());
    add(&mut tar, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add(&mut tar, "index.json", 0o644, &serde_json::to_vec(&index)?)?;
    add(&mut tar, "manifest.json", 0o644, &serde_json::to_vec(&docker)?)?;
    for bytes in [&layer, &config, &manifest] {
        add(&mut tar, &blob(bytes), 0o644, bytes)?;
    }
    Ok(tar.into_inner()?)
}

fn layer(busybox: &[u8], script: &[u8]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for folder in ["bin", "data", "tmp", "www"] {
        let mut header = header(0o755, 0);
        header.set_entry_type(EntryType::Directory);
        tar.append_data(&mut header, folder, [].as_slice())?;
    }
    add(&mut tar, "bin/busybox", 0o755, busybox)?;
    for applet in APPLETS {
        let mut header = header(0o777, 0);
        header.set_entry_type(EntryType::Symlink);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    add(&mut tar, "main", 0o755, script)?;
    Ok(tar.into_inner()?)
}

fn add(tar: &mut Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    tar.append_data(&mut header(mode, bytes.len() as u64), path, bytes)?;
    Ok(())
}

/// Everything is root's, and of no time.
fn header(mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header
}

fn id(bytes: &[u8]) -> String {
    format!("sha256:{}", Digest::of(bytes))
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(bytes))
}

fn described(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": id(bytes), "size": bytes.len() })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use super::*;

    #[test]
    fn an_image_is_found_by_its_manifests_both_in_dockers_words_and_in_ocis() {
        let bytes = archive("sample/x:1", b"program", b"#!/bin/sh\n").unwrap();
        assert_eq!(bytes, archive("sample/x:1", b"program", b"#!/bin/sh\n").unwrap());
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(path, content);
        }
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        let of = |digest: &Value| {
            let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
            let content = &files[&format!("blobs/sha256/{hex}")];
            assert_eq!(Digest::of(content).to_string(), hex);
            content
        };
        let manifest = json(of(&json(&files["index.json"])["manifests"][0]["digest"]));
        let config = json(of(&manifest["config"]["digest"]));
        assert_eq!(manifest["layers"][0]["digest"], config["rootfs"]["diff_ids"][0]);
        let docker = json(&files["manifest.json"]);
        assert_eq!(docker[0]["RepoTags"][0], "sample/x:1");
        assert!(files.contains_key(docker[0]["Config"].as_str().unwrap()));
        assert!(files.contains_key(docker[0]["Layers"][0].as_str().unwrap()));
    }
}
