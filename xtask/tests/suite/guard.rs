//! A secret in each place where one can hide is found, told by its place, and not shown.

#![expect(clippy::disallowed_methods, reason = "a person calls the program, not the runner")]

use std::{io::Write as _, process::Command};

use fs_err as fs;
use xtask::iso::seed::{File, archive};

use super::fixtures::Lab;

const SECRET: &str = "hunter2-and-more";

/// Exit code and everything that was said.
fn guard(lab: &Lab, folder: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output =
        command.arg("guard").arg(lab.path(folder)).env("HOME", "/home/builder-of-media").output().unwrap();
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
    archive(&[File { path: path.to_owned(), mode: 0o600, bytes: bytes.to_vec() }], 16 << 10).unwrap()
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
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
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
        refused(&lab, "xor.iso", &["xor.iso > /efi.img > /EFI/BOOT/GRUB.CFG: a password"]);
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
