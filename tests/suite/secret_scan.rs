//! A secret in each place where one can hide is found, told by its place, and not shown.

#![expect(clippy::disallowed_methods, reason = "a person calls the program, not the runner")]

use std::{io::Write as _, process::Command};

use bootiso::config_initrd::{ArchiveFile, archive};
use fs_err as fs;

use super::fixtures::Lab;

const SECRET: &str = "hunter2-and-more";

/// Exit code and everything that was said.
fn guard(lab: &Lab, folder: &str) -> (i32, String) {
    guard_with(lab, folder, &[])
}

fn guard_with(lab: &Lab, folder: &str, options: &[&str]) -> (i32, String) {
    let mut command = Command::new(super::repo::whole_program());
    command.arg("guard").args(options).arg(lab.path(folder)).env("HOME", "/home/builder-of-media");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

fn refused(lab: &Lab, folder: &str, places: &[&str]) {
    let (code, said) = guard(lab, folder);
    assert_eq!(code, 13, "{said}");
    for place in places {
        assert!(said.contains(place), "{place} is not in: {said}");
    }
    assert!(!said.contains(SECRET), "the secret is shown: {said}");
}

fn key() -> String {
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n", "b3BlbnNzaC1rZXktdjEA".repeat(3))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(bytes).unwrap();
    xz.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn cpio(path: &str, bytes: &[u8]) -> Vec<u8> {
    archive(&[ArchiveFile { path: path.to_owned(), mode: 0o600, bytes: bytes.to_vec() }], 16 << 10).unwrap()
}

#[test]
fn a_clean_medium_passes() {
    let lab = Lab::new();
    if lab.xorriso() {
        lab.write("out/netboot/boot.ipxe", "#!ipxe\nkernel vmlinuz rancher.password=${password}\n");
        fs::rename(lab.path("xor.iso"), lab.path("out/x.iso")).unwrap();
        assert_eq!(guard(&lab, "out").0, 0, "{}", guard(&lab, "out").1);
    }
}

#[test]
fn a_password_in_isolinux_cfg_is_found() {
    let lab = Lab::new();
    lab.write("tree/isolinux/isolinux.cfg", &format!("append quiet rancher.password={SECRET}\n"));
    if lab.xorriso() {
        refused(&lab, "xor.iso", &["xor.iso > /isolinux/isolinux.cfg: a password"]);
    }
}

#[test]
fn the_default_password_is_refused_even_where_secrets_may_pass() {
    let lab = Lab::new();
    lab.write("out/boot.ipxe", "#!ipxe\nkernel vmlinuz rancher.password=rancher quiet\n");
    refused(&lab, "out", &["boot.ipxe: the default password `rancher`"]);
    let mut command = Command::new(super::repo::whole_program());
    let status = command.args(["guard", "--secrets"]).arg(lab.path("out")).output().unwrap().status;
    assert_eq!(status.code(), Some(13));
}

#[test]
fn a_password_in_grub_inside_the_fat_is_found() {
    let lab = Lab::new();
    lab.write("leak.cfg", &format!("linux /vmlinuz rancher.password={SECRET} quiet\n"));
    let made = lab.efi_image()
        && lab.run("mcopy", &["-o", "-i", "tree/efi.img", "leak.cfg", "::EFI/BOOT/grub.cfg"])
        && lab.xorriso_of_tree();
    if made {
        refused(&lab, "xor.iso", &["xor.iso > /efi.img > /EFI/BOOT/grub.cfg: a password"]);
    }
}

#[test]
fn a_key_in_an_initrd_is_found_however_it_is_packed() {
    let lab = Lab::new();
    let inner = cpio("etc/ssh/host_key", key().as_bytes());
    let nested = cpio("lib/module.ko.xz", &xz(key().as_bytes()));
    let microcode = cpio("kernel/x86/microcode", b"nothing");
    for (name, bytes, way) in [
        ("plain", inner.clone(), "etc/ssh/host_key"),
        ("gz", gzip(&inner), "gzip > etc/ssh/host_key"),
        ("xz", xz(&inner), "xz > etc/ssh/host_key"),
        ("zst", zstd(&inner), "zstd > etc/ssh/host_key"),
        ("behind", [microcode, gzip(&inner)].concat(), "gzip > etc/ssh/host_key"),
        ("nested", gzip(&nested), "gzip > lib/module.ko.xz > xz"),
    ] {
        lab.write(&format!("{name}/netboot/x"), "");
        fs::write(lab.path(&format!("{name}/netboot/initrd")), bytes).unwrap();
        refused(&lab, name, &[&format!("netboot/initrd > {way}: a private key")]);
    }
}

fn tar(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, path, bytes).unwrap();
    tar.into_inner().unwrap()
}

fn ar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!("!<arch>\n{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, bytes.len());
    [head.as_bytes(), bytes].concat()
}

fn odc(name: &str, bytes: &[u8]) -> Vec<u8> {
    let entry = |name: &str, bytes: &[u8]| {
        let head = format!(
            "070707{:06o}{:06o}{:06o}{:024o}{:011o}{:06o}{:011o}{name}\0",
            0,
            1,
            0o100_644,
            0,
            0,
            name.len() + 1,
            bytes.len()
        );
        [head.as_bytes(), bytes].concat()
    };
    [entry(name, bytes), entry("TRAILER!!!", b"")].concat()
}

fn lzma(bytes: &[u8]) -> Vec<u8> {
    let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    lzma.write_all(bytes).unwrap();
    lzma.finish().unwrap()
}

fn fat(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut image = std::io::Cursor::new(vec![0; 1440 << 10]);
    fatfs::format_volume(&mut image, fatfs::FormatVolumeOptions::new()).unwrap();
    let volume = fatfs::FileSystem::new(&mut image, fatfs::FsOptions::new()).unwrap();
    volume.root_dir().create_file(name).unwrap().write_all(bytes).unwrap();
    volume.unmount().unwrap();
    image.into_inner()
}

/// A disk with one partition at its second megabyte.
fn disk(partition: &[u8]) -> Vec<u8> {
    let mut disk = vec![0; 1 << 20];
    disk[446..462].copy_from_slice(&[0, 0, 0, 0, 0xEF, 0, 0, 0, 0, 8, 0, 0, 0, 0x10, 0, 0]);
    disk[510..512].copy_from_slice(&[0x55, 0xAA]);
    disk.extend_from_slice(partition);
    disk
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_key_is_found_in_every_kind_of_box() {
    let lab = Lab::new();
    let key = key();
    let k = key.as_bytes();
    let cloud = |encoding: &str, content: &str| {
        format!("#cloud-config\nwrite_files:\n- encoding: {encoding}\n  content: {content}\n").into_bytes()
    };
    let deep = (0..8).fold(k.to_vec(), |bytes, _| gzip(&bytes));
    for (name, bytes, way) in [
        ("initrd.lzma", lzma(&cpio("key", k)), "lzma > key"),
        (
            "layers",
            cpio("images.tar", &tar("layer.tar.gz", &gzip(&tar("key", k)))),
            "images.tar > layer.tar.gz > gzip > key",
        ),
        ("deb", ar("data.tar.xz", &xz(&tar("./etc/key", k))), "data.tar.xz > xz > etc/key"),
        ("odc", odc("key.gz", &gzip(k)), "key.gz > gzip"),
        ("text-gzip", [b"hello\n", &gzip(k)[..]].concat(), "gzip"),
        ("deep", deep, "gzip > gzip > gzip"),
        ("broken-cpio", [&cpio("a", b"b")[..50], b"garbage", &gzip(k)].concat(), "gzip"),
        ("fat", fat("KEY.GZ", &gzip(k)), "/KEY.GZ > gzip"),
        ("fat.gz", gzip(&fat("KEY", k)), "gzip > /KEY"),
        ("disk", disk(&fat("KEY.GZ", &gzip(k))), "/KEY.GZ > gzip"),
        ("utf16", utf16(&key), "UTF-16"),
        ("base64", base64(k).into_bytes(), "base64"),
        ("b64", cloud("b64", &base64(k)), "base64"),
        ("gz-b64", cloud("gzip+b64", &base64(&gzip(k))), "base64 > gzip"),
    ] {
        lab.write(&format!("{name}/x"), "");
        fs::write(lab.path(&format!("{name}/{name}")), bytes).unwrap();
        refused(&lab, name, &[&format!("{name} > {way}"), ": a private key"]);
    }
}

#[test]
fn a_key_is_found_in_every_place_of_an_iso() {
    let lab = Lab::new();
    lab.write("tree/x", "");
    fs::write(lab.path("tree/efi.img"), fat("KEY.GZ", &gzip(key().as_bytes()))).unwrap();
    let make = |args: &[&str]| lab.run("xorriso", &[&["-as", "mkisofs", "-quiet", "-o"], args].concat());
    lab.write("empty/x", "");
    lab.write("iso-in-iso/x", "");
    let appended = ["appended/x.iso", "-append_partition", "2", "0xef", "tree/efi.img", "empty"];
    lab.write("appended/y", "");
    lab.write("outer/y", "");
    lab.write("packed/y", "");
    if make(&["iso-in-iso/x.iso", "tree"]) && make(&appended) && make(&["outer/y.iso", "iso-in-iso"]) {
        fs::write(lab.path("packed/x.gz"), gzip(&fs::read(lab.path("appended/x.iso")).unwrap())).unwrap();
        refused(&lab, "iso-in-iso", &["x.iso > /efi.img > /KEY.GZ > gzip: a private key"]);
        refused(&lab, "appended", &["x.iso > /KEY.GZ > gzip: a private key"]);
        refused(&lab, "outer", &["y.iso > /x.iso > /efi.img > /KEY.GZ > gzip: a private key"]);
        refused(&lab, "packed", &["x.gz > gzip > /KEY.GZ > gzip: a private key"]);
    }
}

#[test]
fn what_may_pass_hides_nothing_that_may_not() {
    let lab = Lab::new();
    lab.write("tree/isolinux.cfg", "append rancher.password=meant-to-be-public\n");
    if lab.xorriso() {
        let mut iso = fs::read(lab.path("xor.iso")).unwrap();
        iso.extend_from_slice(b"rancher.password=rancher ");
        fs::write(lab.path("xor.iso"), iso).unwrap();
        let (code, said) = guard_with(&lab, "xor.iso", &["--secrets"]);
        assert_eq!(code, 13, "{said}");
        assert!(said.contains("xor.iso: the default password"), "{said}");
        assert!(!said.contains("/isolinux.cfg: a password"), "{said}");
    }
}

#[test]
fn names_and_links_of_archives_are_looked_at() {
    let lab = Lab::new();
    lab.write("name/x", "");
    lab.write("link/x", "");
    fs::write(lab.path("name/initrd"), cpio("home/alice/f", b"x")).unwrap();
    let link = ArchiveFile { path: "l".to_owned(), mode: 0o777, bytes: b"/home/alice/x".to_vec() };
    fs::write(lab.path("link/initrd"), archive(&[link], 16 << 10).unwrap()).unwrap();
    refused(&lab, "name", &["initrd > home/alice/f: the path of a home folder"]);
    refused(&lab, "link", &["initrd > l: the path of a home folder"]);
}

#[test]
fn what_cannot_be_looked_into_is_refused_unless_it_is_allowed() {
    let lab = Lab::new();
    let mut ext = vec![0; 4096];
    (ext[1080], ext[1081]) = (0x53, 0xEF);
    let deeper = (0..20).fold(b"nothing".to_vec(), |bytes, _| gzip(&bytes));
    for (name, bytes, why) in [
        ("bzip2", b"BZh91AY&SY\0\0".to_vec(), "bzip2"),
        ("lz4", b"\x02\x21\x4C\x18\0\0".to_vec(), "lz4"),
        ("zip", b"PK\x03\x04\0\0".to_vec(), "zip"),
        ("squashfs", b"hsqs\0\0\0\0".to_vec(), "a squashfs that ends too early"),
        ("old-squashfs", b"sqsh\0\0\0\0".to_vec(), "squashfs"),
        ("ext", ext.clone(), "ext"),
        ("partition", disk(&ext), "ext"),
        ("deeper", deeper, "packed more than 16 deep"),
        ("in-an-initrd", gzip(&cpio("a.zip", b"PK\x03\x04\0\0")), "zip"),
    ] {
        lab.write(&format!("{name}/x"), "");
        fs::write(lab.path(&format!("{name}/{name}")), bytes).unwrap();
        refused(&lab, name, &["could not be scanned", &format!("not looked into: {name}"), why]);
        assert_eq!(guard_with(&lab, name, &["--allow-unread"]).0, 0, "{name}");
    }
}

#[test]
fn files_of_a_squashfs_are_looked_at_by_their_names() {
    for compressor in ["gzip", "xz", "zstd"] {
        let lab = Lab::new();
        let image = super::repository().join(format!("tests/fixtures/squashfs/{compressor}.squashfs"));
        let image = fs::read(image).unwrap();
        lab.write("out/x", "");
        fs::write(lab.path("out/initrd"), cpio("system.squashfs", &image)).unwrap();
        let inside = |rest: &str| format!("initrd > system.squashfs > {rest}");
        let (boot, long) =
            (inside("etc/boot: a password at byte"), inside("etc/deep/long: a password at byte"));
        refused(&lab, "out", &[&boot, &long, &inside("etc/link: the path of a home folder")]);
        let (_, said) = guard(&lab, "out");
        assert!(said.contains("3 things") && !said.contains("not looked into"), "{compressor}: {said}");
    }
}

/// Each of its bytes damaged in turn: told or read, and never the end of the scan.
#[test]
fn a_damaged_squashfs_is_told_and_the_rest_is_scanned() {
    let image = fs::read(super::repository().join("tests/fixtures/squashfs/zstd.squashfs")).unwrap();
    let lab = Lab::new();
    for (n, at) in (0..image.len()).step_by(17).enumerate() {
        let mut damaged = image.clone();
        damaged[at] ^= 0x5A;
        lab.write(&format!("out/{n}/x"), "");
        fs::write(lab.path(&format!("out/{n}/image")), damaged).unwrap();
    }
    lab.write("out/zz.ipxe", &format!("kernel vmlinuz rancher.password={SECRET}\n"));
    refused(&lab, "out", &["zz.ipxe: a password"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let lab = Lab::new();
    lab.write("out/x", "");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, lab.path("out/pipe"), mode).unwrap();
    refused(&lab, "out", &["not looked into: pipe: neither a file"]);
}

#[test]
fn secrets_in_scripts_seeds_programs_and_manifests_are_found() {
    let lab = Lab::new();
    let token = format!("Authorization: Bearer {SECRET}0123456789");
    lab.write("out/boot.ipxe", &format!("#!ipxe\nset header {token}\n"));
    lab.write("out/ipxe.efi", &format!("MZ\0\u{1}#!ipxe\nkernel vmlinuz rancher.password={SECRET}\n\0"));
    lab.write("out/manifest.json", "{\"label\": \"copied from /home/builder-of-media/x\"}");
    let config = format!("#cloud-config\nrancher:\n  password: {SECRET}\n");
    fs::write(lab.path("out/seed.cpio"), cpio("conf/boot.yml", config.as_bytes())).unwrap();
    refused(
        &lab,
        "out",
        &[
            "boot.ipxe: a token",
            "ipxe.efi: a password",
            "manifest.json: the path of a home folder",
            "seed.cpio > conf/boot.yml: a password",
        ],
    );
}

#[test]
fn damaged_archives_are_said_and_end_nothing() {
    let lab = Lab::new();
    lab.write("out/z-last", &key());
    let whole = gzip(&cpio("a", b"b"));
    fs::write(lab.path("out/short.gz"), &whole[..whole.len() / 2]).unwrap();
    fs::write(lab.path("out/cpio"), [&b"070701"[..], &[b'z'; 200]].concat()).unwrap();
    fs::write(lab.path("out/xz"), [0xFD, b'7', b'z', b'X', b'Z', 0, 1, 2, 3]).unwrap();
    fs::write(lab.path("out/zst"), [0x28, 0xB5, 0x2F, 0xFD, 0xFF, 0xFF]).unwrap();
    let said = guard(&lab, "out").1;
    for name in ["short.gz", "cpio", "xz", "zst"] {
        assert!(said.contains(&format!("not looked into: {name}")), "{name} is not in: {said}");
    }
    refused(&lab, "out", &["z-last: a private key"]);
}
