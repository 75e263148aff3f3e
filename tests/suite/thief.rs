//! Media that a careful thief touched: manifest, statements and lists are made to fit, and still the repository says
//! what everything must be.

use mediabuild::builtin::BUILTINS;
use std::path::PathBuf;

use attest::{Manifest, ManifestNode, Output};
use bootiso::Iso;
use buildexec::ctx::{Ctx, Env, Globals};
use buildplan::{Digest, Input};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use trust::verify::remote::{self, RemoteLimits};

use super::release::{MediaCopy, Repository, serve};

const ISO: &str = "mini-1-x86_64.iso";

/// Where a file begins in an image.
fn place(image: PathBuf, entry: &str) -> u64 {
    let iso = Iso::open(&Utf8PathBuf::try_from(image).unwrap()).unwrap();
    iso.find(entry).unwrap().extents[0].offset
}

fn fits(repository: &Repository, spoil: impl FnOnce(&MediaCopy<'_>), checks: &str) -> String {
    let media = repository.media();
    spoil(&media);
    media.refresh_statements();
    let said = media.broken(&[], checks);
    // A machine that has built nothing says the same.
    let (code, elsewhere) = repository.run_elsewhere(&["verify", media.dir.path().to_str().unwrap()]);
    assert!(code == 5 && elsewhere.contains(&format!("verification failed: {checks}\n")), "{elsewhere}");
    said
}

#[test]
fn whatever_starts_is_held_against_what_it_was_made_from() {
    let Some(repository) = Repository::get() else { return };
    for (entry, at) in [
        ("/isolinux/isolinux.bin", 5000),
        ("/isolinux/isolinux.bin", 12),
        ("/isolinux/ldlinux.c32", 5000),
        ("/boot/grub/mini-1.id", 3),
    ] {
        let spoil = |m: &MediaCopy<'_>| m.flip(ISO, place(m.path(ISO), entry) + at);
        let said = fits(repository, spoil, "loaders");
        assert!(said.contains("isolinux.bin") || said.contains(entry), "{said}");
    }
    assert!(fits(repository, |m| m.flip(ISO, 32), "loaders").contains("the boot sector of the ISO is not "));
    assert!(
        fits(repository, |m| m.flip(ISO, 433), "loaders")
            .contains("byte 433 of the ISO (the boot sector and")
    );
    assert!(
        fits(repository, |m| m.flip("undionly.kpxe", 100), "iPXE")
            .contains("the undionly.kpxe of package ipxe in media.lock")
    );
    fits(repository, |m| m.flip("ipxe.lkrn", 100), "iPXE");
    fits(repository, |m| m.flip("ipxe.iso", place(m.path("ipxe.iso"), "/ipxe.lkrn") + 9), "ipxe.iso");
    let spoil = |m: &MediaCopy<'_>| m.flip("ipxe.iso", place(m.path("ipxe.iso"), "/embed.ipxe") + 9);
    fits(repository, spoil, "iPXE script");
    fits(repository, |m| m.flip("netboot/cloud-config.yml", 20), "cloud-config");
    fits(repository, |m| m.flip("netboot/seed.cpio", 500), "config initrd, config initrd");
    let evil = |m: &MediaCopy<'_>| {
        let bytes = fs::read(m.path("ipxe.iso")).unwrap();
        let at = usize::try_from(place(m.path("ipxe.iso"), "/isolinux.cfg")).unwrap();
        let found = bytes[at..].windows(10).position(|w| w == b"embed.ipxe").unwrap();
        let bytes = [&bytes[..at + found], b"evill.ipxe", &bytes[at + found + 10..]].concat();
        fs::write(m.path("ipxe.iso"), bytes).unwrap();
    };
    assert!(fits(repository, evil, "ipxe.iso").contains("/isolinux.cfg of ipxe.iso is not "));
}

#[test]
fn grub_in_the_efi_image_is_ours_where_it_was_built_and_unknown_elsewhere() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let iso = Iso::open(&Utf8PathBuf::try_from(media.path(ISO)).unwrap()).unwrap();
    let grub = iso.fat_files(place(media.path(ISO), "/efi.img")).unwrap()[0].extents[0].offset;
    media.flip(ISO, grub + 4096);
    media.refresh_statements();
    media.broken(&[], "loaders");
    let dir = media.dir.path().to_str().unwrap();
    let (code, said) = repository.run_elsewhere(&["verify", dir]);
    assert!(code == 0 && said.contains("/efi.img of the ISO: its source is not at hand"), "{said}");
    let (code, said) = repository.run_elsewhere(&["verify", dir, "--strict"]);
    assert!(code == 5 && said.contains("error: not known: loaders\n"), "{said}");
}

#[test]
fn what_passes_for_a_signature_is_one() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    fs::write(media.path("netboot/boot.html.sig"), "anything").unwrap();
    media.list();
    assert!(media.broken(&[], "manifest").contains("manifest.json does not know netboot/boot.html.sig"));
    let media = repository.media();
    fs::create_dir(media.path("SHA256SUMS.minisig")).unwrap();
    assert!(media.broken(&[], "files").contains("SHA256SUMS.minisig is not a regular file"));
}

/// Changes the manifest, and makes the statements and lists fit.
fn states(repository: &Repository, spoil: impl FnOnce(&MediaCopy<'_>, &mut Manifest)) -> String {
    let media = repository.media();
    let mut manifest = media.manifest();
    spoil(&media, &mut manifest);
    media.state(&manifest);
    let (code, said) = media.verify(&[]);
    assert_eq!(code, 5, "{said}");
    said
}

fn output(media: &MediaCopy<'_>, name: &str, key: Digest) -> Output {
    let bytes = fs::read(media.path(name)).unwrap();
    Output { size: bytes.len() as u64, sha256: Digest::of(&bytes), key }
}

fn empty() -> ManifestNode {
    ManifestNode {
        stage: "x".to_owned(),
        label: String::new(),
        materials: Vec::new(),
        derived: false,
        image: None,
        inputs: Vec::new(),
        text: None,
    }
}

#[test]
fn a_manifest_is_not_believed_about_itself() {
    let Some(repository) = Repository::get() else { return };
    let said = states(repository, |_, m| m.nodes.values_mut().for_each(|n| *n = empty()));
    assert!(said.contains("lock: it was not made from "), "{said}");
    // What it names is not opened unless it is planned.
    let said = states(repository, |_, m| {
        let node = m.nodes.values_mut().find(|n| n.stage == "iso").unwrap();
        node.inputs.push(Input::Source { path: "/dev/zero".to_owned(), sha256: Digest::of(b"") });
    });
    assert!(said.contains("verification failed: lock\n"), "{said}");
    let said = states(repository, |_, m| m.nodes.retain(|_, n| n.stage != "grub"));
    assert!(said.contains("lock: "), "{said}");
    let said = states(repository, |_, m| {
        m.nodes.insert(Digest::of(b"more"), empty());
    });
    assert!(said.contains("is not part of this repository"), "{said}");
    let said = states(repository, |media, m| {
        fs::write(media.path("evil.efi"), "x").unwrap();
        m.outputs.insert("evil.efi".to_owned(), output(media, "evil.efi", m.outputs["ipxe.iso"].key));
    });
    assert!(said.contains("lock: it has evil.efi, which this repository does not produce"), "{said}");
    let said = states(repository, |media, m| {
        fs::remove_file(media.path(ISO)).unwrap();
        m.outputs.remove(ISO);
    });
    assert!(said.contains("lock: it lacks mini-1-x86_64.iso"), "{said}");
    let said = states(repository, |_, m| m.format = 1);
    assert!(said.contains("manifest.json has format 1, and this program reads 2: use the program"), "{said}");
    let said = states(repository, |_, m| m.format = 99);
    assert!(said.contains("manifest: manifest.json has format 99, and this program reads 2: "), "{said}");
    let said = states(repository, |_, m| m.version = "0.0.1-old".to_owned());
    assert!(said.contains("lock: its version is 0.0.1-old, media.toml has 1"), "{said}");
    // Under its own key, but said to hold something else as well.
    let said = states(repository, |_, m| {
        let material = m.nodes.values().find_map(|n| n.materials.first()).unwrap().clone();
        let node = m.nodes.values_mut().find(|n| n.stage == "iso").unwrap();
        node.materials.push(material);
    });
    assert!(said.contains("was made differently from what this repository says"), "{said}");
    let said = states(repository, |_, m| m.epoch += 1);
    assert!(said.contains("lock: its time is 1764028801, media.lock has 1764028800"), "{said}");
    let said = states(repository, |_, m| {
        let (key, node) = m.nodes.iter().find(|(_, n)| n.stage == "iso").unwrap();
        let (key, node) = (*key, node.clone());
        m.nodes.remove(&key);
        m.nodes.insert(Digest::of(b"another"), node);
        m.outputs.values_mut().filter(|o| o.key == key).for_each(|o| o.key = Digest::of(b"another"));
    });
    assert!(said.contains("was made differently from what this repository says"), "{said}");
    let said = states(repository, |_, m| m.version = "/../../../escaped".to_owned());
    assert!(said.contains("is not a plain name"), "{said}");
    let said = states(repository, |_, m| {
        let mut inputs = m.nodes.values_mut().flat_map(|n| &mut n.inputs);
        let key = inputs.find_map(|i| match i {
            Input::Node { key, tool: true, .. } => Some(key),
            _ => None,
        });
        *key.unwrap() = Digest::of(b"another");
    });
    assert!(said.contains("lock: "), "{said}");
}

#[test]
fn a_good_iso_beside_a_bad_one_does_not_help_it() {
    let Some(repository) = Repository::get() else { return };
    let said = states(repository, |media, m| {
        fs::copy(media.path(ISO), media.path("aaa-x86_64.iso")).unwrap();
        media.flip(ISO, place(media.path(ISO), "/vmlinuz") + 5);
        for name in [ISO, "aaa-x86_64.iso"] {
            m.outputs.insert(name.to_owned(), output(media, name, m.outputs[ISO].key));
        }
    });
    assert!(said.contains("verification failed: lock, kernel\n"), "{said}");
    let said = states(repository, |media, m| {
        media.flip(ISO, place(media.path(ISO), "/vmlinuz") + 5);
        fs::rename(media.path(ISO), media.path("mini.iso")).unwrap();
        let key = m.outputs.remove(ISO).unwrap().key;
        m.outputs.insert("mini.iso".to_owned(), output(media, "mini.iso", key));
    });
    assert!(said.contains("lock: it lacks mini-1-x86_64.iso"), "{said}");
}

fn made_of(keys: &[Digest]) -> ManifestNode {
    let input = |(i, key): (usize, &Digest)| Input::Node {
        stage: "x".to_owned(),
        output: i.to_string(),
        key: *key,
        tool: false,
    };
    ManifestNode { inputs: keys.iter().enumerate().map(input).collect(), ..empty() }
}

#[test]
fn a_manifest_without_end_is_refused_soon() {
    let Some(repository) = Repository::get() else { return };
    let key = |i: u32| Digest::of(&i.to_le_bytes());
    let circle = |m: &mut Manifest| {
        let key = m.outputs["ipxe.iso"].key;
        m.nodes.insert(key, made_of(&[key]));
    };
    let row = |m: &mut Manifest| m.nodes.extend((0..900).map(|i| (key(i), made_of(&[key(i + 1)]))));
    for spoil in [&circle as &dyn Fn(&mut Manifest), &row] {
        let media = repository.media();
        let mut manifest = media.manifest();
        spoil(&mut manifest);
        // Not stated again: a statement about a circle would never end either.
        fs::write(media.path("manifest.json"), attest::json(&manifest)).unwrap();
        media.list();
        let said = media.broken(&[], "manifest");
        assert!(said.contains("depend on themselves or are nested too deep"), "{said}");
    }
    // Two ways at each of 40 nodes are a million million ways.
    let said = states(repository, |_, m| {
        m.nodes.extend((0..40).map(|i| (key(i), made_of(&[key(i + 1), key(i + 1)]))));
        m.nodes.insert(m.outputs["ipxe.iso"].key, made_of(&[key(0)]));
    });
    assert!(said.contains("verification failed: lock"), "{said}");
}

#[test]
#[cfg(unix)]
fn a_pipe_among_the_media_is_not_opened() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let Some(repository) = Repository::get() else { return };
    for name in ["netboot/vmlinuz", ISO, "manifest.json", "sbom.spdx.json", "SHA256SUMS", "SHA512SUMS"] {
        let media = repository.media();
        fs::remove_file(media.path(name)).unwrap();
        mknodat(CWD, media.path(name), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for what in [media.dir.path().to_owned(), media.path(name)] {
            let (code, said) = repository.run(&["verify", what.to_str().unwrap()]);
            assert!(code == 5, "{name}: {said}");
        }
    }
}

#[test]
fn one_file_is_held_against_the_manifest_as_well() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    media.flip("netboot/vmlinuz", 50);
    media.flip("ipxe.iso", place(media.path("ipxe.iso"), "/ipxe.lkrn") + 9);
    media.list();
    for (name, checks) in [("netboot/vmlinuz", "manifest, released"), ("ipxe.iso", "manifest, ipxe.iso")] {
        let (code, said) = repository.run(&["verify", media.path(name).to_str().unwrap()]);
        assert!(code == 5 && said.contains(&format!("verification failed: {checks}\n")), "{said}");
    }
}

#[test]
fn an_iso_alone_is_said_to_be_unchecked_where_it_is() {
    let Some(repository) = Repository::get() else { return };
    let (media, alone) = (repository.media(), tempfile::tempdir().unwrap());
    let iso = alone.path().join(ISO);
    fs::copy(media.path(ISO), &iso).unwrap();
    let verify = |args: &[&str]| repository.run(&[&["verify", iso.to_str().unwrap()], args].concat());
    let (code, said) = verify(&[]);
    assert!(code == 0 && said.contains("these bytes were not compared with what was published"), "{said}");
    assert!(
        said.contains("warning: ") && said.contains("/vmlinuz of the ISO is the vmlinuz in media.lock"),
        "{said}"
    );
    let (code, said) = verify(&["--strict"]);
    assert!(code == 5 && said.contains("error: not known: checksums, manifest"), "{said}");
    let bytes = fs::read(&iso).unwrap();
    let at = usize::try_from(place(iso.clone(), "/vmlinuz")).unwrap();
    fs::write(&iso, [&bytes[..at], b"!", &bytes[at + 1..]].concat()).unwrap();
    let (code, said) = verify(&[]);
    assert!(code == 5 && said.contains("verification failed: kernel\n"), "{said}");
}

/// `bytes` with another text of the same length wherever `from` is.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

#[test]
fn an_iso_under_another_name_is_held_against_its_profile_or_against_itself() {
    let Some(repository) = Repository::get() else { return };
    let (media, alone) = (repository.media(), tempfile::tempdir().unwrap());
    let verify = |name: &str| repository.run(&["verify", alone.path().join(name).to_str().unwrap()]);
    let good = media.path(ISO);
    // What the file is called tells the profile, or else what is in it.
    for name in ["mini-of-mine.iso", "renamed.iso"] {
        fs::copy(&good, alone.path().join(name)).unwrap();
        let (code, said) = verify(name);
        assert!(code == 0 && said.contains("/vmlinuz of the ISO is the vmlinuz in media.lock"), "{said}");
    }
    // Where nothing tells it, the image's own table is checked.
    let bytes = replaced(&fs::read(&good).unwrap(), b"mini-1.id", b"mono-1.id");
    fs::write(alone.path().join("unknown.iso"), bytes).unwrap();
    let (code, said) = verify("unknown.iso");
    assert!(code == 0 && said.contains("regions are as /media.json says"), "{said}");
    for name in ["mini-of-mine.iso", "unknown.iso"] {
        let path = alone.path().join(name);
        let (code, said) = repository.run(&["kargs", "append", path.to_str().unwrap(), "panic=5"]);
        assert_eq!(code, 0, "{said}");
    }
    let (code, said) = verify("unknown.iso");
    assert!(code == 5 && said.contains("verification failed: embed areas\n"), "{said}");
    assert!(said.contains("the parameters in /isolinux.cfg were changed after the build"), "{said}");
    let (code, said) = verify("mini-of-mine.iso");
    let built = fs::read(&good).unwrap();
    let at = usize::try_from(place(good, "/isolinux.cfg")).unwrap();
    let mut lines = built[at..].split(|b| *b == b'\n');
    let lines = lines.position(|l| l.windows(13).any(|w| w == b"console=ttyS0")).unwrap();
    let line = format!("/isolinux.cfg differs from profile mini from line {} on", lines + 1);
    assert!(code == 5 && said.contains(&line), "{line}: {said}");
}

#[test]
fn statements_of_another_version_are_old_and_those_of_ours_are_false() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let edit = |name: &str, edits: &[(&str, &str)]| {
        let mut text = fs::read_to_string(media.path(name)).unwrap();
        for (from, to) in edits {
            assert!(text.contains(from), "{text}");
            text = text.replace(from, to);
        }
        fs::write(media.path(name), text).unwrap();
        media.list();
    };
    let older = [(attest::GENERATOR, "xtask-0.0.9"), ("downloadLocation", "whereabouts")];
    edit(attest::SBOM, &older);
    edit(attest::PROVENANCE, &older[..1]);
    let said = media.accepted(&[]);
    assert!(said.contains("another version of this program wrote sbom.spdx.json"), "{said}");
    assert!(said.contains("another version of this program wrote provenance.intoto.json"), "{said}");
    // Old or not, it is about these media.
    let digest = media.manifest().outputs["ipxe.iso"].sha256.to_string();
    edit(attest::SBOM, &[(&digest, &Digest::of(b"other").to_string())]);
    assert!(media.broken(&[], "sbom").contains("which manifest.json does not"));
    let media = repository.media();
    let text = fs::read_to_string(media.path(attest::SBOM)).unwrap().replace("\"GRUB\"", "\"LILO\"");
    fs::write(media.path(attest::SBOM), text).unwrap();
    media.list();
    media.broken(&[], "sbom");
}

#[test]
fn a_server_without_end_is_left() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let url = serve(media.dir.path().to_owned());
    let env = Env::of(&[("MEDIA_ROOT", repository.dir.path().to_str().unwrap())]);
    let ctx = Ctx::new(Globals::default(), env, BUILTINS).unwrap();
    let get = |limits: &RemoteLimits| {
        let to = tempfile::tempdir().unwrap();
        remote::get(&ctx, &url, Utf8Path::from_path(to.path()).unwrap(), limits).map(|()| to)
    };
    let all = RemoteLimits::default();
    for limits in
        [RemoteLimits { bytes: 300_000, ..all }, RemoteLimits { time: std::time::Duration::ZERO, ..all }]
    {
        let error = get(&limits).unwrap_err();
        assert_eq!(failure::kind_of(&error), Some(failure::Kind::Network), "{error:#}");
    }
    // A name with a `?` is a name, and a list that lists itself is not taken for another file.
    fs::write(media.path("netboot/a?b#c%20"), "odd").unwrap();
    media.list();
    // As many files as may be, and one more.
    let files = fs::read_to_string(media.path("SHA256SUMS")).unwrap().lines().count();
    assert!(get(&RemoteLimits { files, ..all }).is_ok());
    let error = get(&RemoteLimits { files: files - 1, ..all }).unwrap_err();
    assert!(error.to_string().contains(&format!("SHA256SUMS lists {files} files")), "{error:#}");
    let mut list = fs::read_to_string(media.path("SHA256SUMS")).unwrap();
    list += &format!("{}  SHA256SUMS\n", Digest::of(b"itself"));
    fs::write(media.path("SHA256SUMS"), &list).unwrap();
    let to = get(&all).unwrap();
    assert_eq!(fs::read_to_string(to.path().join("netboot/a?b#c%20")).unwrap(), "odd");
    assert_eq!(fs::read_to_string(to.path().join("SHA256SUMS")).unwrap(), list);
}

#[test]
fn fetch_makes_known_what_was_not() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let dir = media.dir.path().to_str().unwrap();
    let fetch =
        |args: &[&str]| repository.run_with("target-fetch", &[&["verify", dir, "--strict"], args].concat());
    let (code, said) = fetch(&[]);
    assert!(code == 5 && said.contains("error: not known: loaders\n"), "{said}");
    let (code, said) = fetch(&["--fetch"]);
    let loaders = |l: &str| l.starts_with("loaders ") && l.contains(" pass    boot/grub/mini-1.id, efi.img,");
    assert!(code == 0 && said.lines().any(loaders), "{said}");
}

#[test]
fn a_release_is_held_together_and_part_by_part() {
    let Some(repository) = Repository::get() else { return };
    let (media, to) = (repository.media(), tempfile::tempdir().unwrap());
    let (from, target) = (media.dir.path().to_str().unwrap(), to.path().join("release"));
    let args = ["publish", "--from", from, "--to", target.to_str().unwrap(), "--execute"];
    assert_eq!(repository.run(&args).0, 0);
    let latest = target.join("latest");
    let url = serve(latest.clone());
    for what in [latest.to_str().unwrap(), &url] {
        let (code, said) = repository.run(&["verify", what]);
        assert!(code == 0 && said.contains("1 folders of media and nothing else"), "{said}");
        let part = "mini-1-prebuilt: netboot/vmlinuz is the vmlinuz in media.lock";
        assert!(said.contains(part), "{said}");
    }
    fs::write(latest.join("mini-1-prebuilt/netboot/vmlinuz"), "another kernel").unwrap();
    fs::write(latest.join("unknown.efi"), "").unwrap();
    let (code, said) = repository.run(&["verify", latest.to_str().unwrap()]);
    assert!(code == 5 && said.contains("release: unknown.efi is not covered by any manifest"), "{said}");
    assert!(said.contains("released: mini-1-prebuilt: netboot/vmlinuz is not the vmlinuz"), "{said}");
}
