//! Secure Boot by a person's key, from `key new` over `dist` and `verify` to a machine that knows the key, and one that
//! does not.

use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use secureboot::{Program, RsaCertificate, sign, variables::Variables};

use super::{
    fixtures::has,
    harness::{is_everything, lacks, skip},
    packages,
    repo::Repo,
};
use buildplan::Digest;
use mediaplan::config::{Lock, Locked};

const DIST: &[&str] = &["-q", "dist", "own", "--artifacts", "artifacts"];
const KEY: &[&str] =
    &["--secure-boot-key", "keys/secure-boot.pem", "--secure-boot-password-file", "password"];
const PROFILE: &str = r#"
[profile.own]
about = "a kernel that nobody else signed"
os = "smoke"
version = "1"
engine = "prebuilt"
secure-boot = "own-key"
params = [{ console = "tty0" }, { console = "ttyS0,115200n8" }, "no_timer_check"]
[profile.own.media]
kind = "files"
kernel = { name = "vmlinuz" }
initrd = { name = "initrd" }
[profile.own.vm]
memory = 512
"#;

/// A file that the default profile's media are made of.
fn made(stage: &str, name: &str) -> Option<Vec<u8>> {
    let entries = packages::of("smoke")?.store().read_dir_utf8().unwrap().map(Result::unwrap);
    let mut entries = entries.filter(|e| e.file_name().starts_with(&format!("{stage}-")));
    entries.find_map(|e| fs::read(e.path().join("out").join(name)).ok())
}

/// The profile `own`: the default profile's system with a kernel that lost the distribution's signature, and a key.
fn lab() -> Option<Repo> {
    let repo = Repo::with_packages("own-key")?;
    if !has("openssl") {
        return None;
    }
    let kernel = sign::without_last(&made("kernel", "vmlinuz")?).unwrap();
    assert!(Program::read(&kernel).unwrap().signatures.is_empty());
    let text = repo.read("media.toml");
    let text = text.replace("[ipxe]", "[secure-boot]\ncertificate = \"keys/secure-boot.crt\"\n\n[ipxe]");
    repo.write("media.toml", text + PROFILE);
    let mut lock = Lock::parse(&repo.read("media.lock")).unwrap();
    let files = lock.files.entry("own".to_owned()).or_default();
    for (name, bytes) in [("vmlinuz", kernel), ("initrd", made("initrd", "initrd")?)] {
        repo.write(&format!("artifacts/{name}"), &bytes);
        let locked = Locked {
            version: "1".to_owned(),
            sha256: Digest::of(&bytes),
            size: Some(bytes.len() as u64),
            vouched_by: "a test".to_owned(),
        };
        files.insert(name.to_owned(), locked);
    }
    repo.write("media.lock", lock.render());
    repo.write("password", "correct horse\n");
    new_key(&repo, "keys");
    Some(repo)
}

fn new_key(repo: &Repo, folder: &str) {
    let new = ["key", "new", "secure-boot", "--to", folder, "--password-file", "password"];
    let said = repo.xtask(&new).assert().success().get_output().clone();
    assert!(!String::from_utf8([said.stdout, said.stderr].concat()).unwrap().contains("PRIVATE"));
}

/// The program, signed by the key in `folder` as well.
fn signed_by(repo: &Repo, folder: &str, program: &[u8]) -> Vec<u8> {
    let text = repo.read(&format!("{folder}/secure-boot.pem"));
    let key = pki::Signer::open_for_firmware(&text, Some("correct horse")).unwrap();
    let certificate = RsaCertificate::from_der(key.certificate().der()).unwrap();
    sign::sign(program, &certificate, &|data| key.sign_bare(data)).unwrap()
}

fn fails(repo: &Repo, args: &[&str], code: i32, why: &str) {
    let output = repo.xtask(args).assert().code(code).get_output().clone();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains(why), "{why}: {said}");
}

#[test]
fn a_machine_that_knows_the_key_can_check_every_program_and_the_key_is_nowhere() {
    let Some(repo) = lab() else { return };
    assert_eq!(repo.names("keys"), ["secure-boot.crt", "secure-boot.pem"]);
    let secret = repo.read("keys/secure-boot.pem");
    let signer = pki::Signer::open_for_firmware(&secret, Some("correct horse")).unwrap();
    repo.xtask(&[DIST, KEY].concat()).assert().success();
    let own = RsaCertificate::from_der(signer.certificate().der()).unwrap();
    assert_eq!(repo.read_bytes("dist/own/secure-boot/secure-boot.cer"), signer.certificate().der());
    for program in ["netboot/vmlinuz", "ipxe.efi", "snponly.efi"] {
        let program = Program::read(&repo.read_bytes(&format!("dist/own/{program}"))).unwrap();
        assert!(program.signatures.iter().any(|s| s.signer == own), "{program:?}");
    }
    let line = secret.lines().nth(1).unwrap();
    for folder in ["dist", "target/media"] {
        for file in buildexec::tree::files(&repo.path(folder)).unwrap() {
            let Ok(bytes) = fs::read(repo.path(folder).join(&file)) else { continue };
            assert!(!bytes.windows(line.len()).any(|w| w == line.as_bytes()), "the key is in {file}");
        }
    }
    let scan = || repo.whole(&["-q", "secret-scan", "dist/own"]).status().unwrap().code();
    assert_eq!(scan(), Some(0));
    fs::copy(repo.path("keys/secure-boot.pem"), repo.path("dist/own/netboot/notes.txt")).unwrap();
    assert_eq!(scan(), Some(13));
    fs::remove_file(repo.path("dist/own/netboot/notes.txt")).unwrap();
    let said = repo.xtask(&["verify", "dist/own"]).assert().success().get_output().stdout.clone();
    let said = String::from_utf8(said).unwrap();
    for line in [
        "/vmlinuz is signed by `boot media` for boot media",
        "/EFI/BOOT/BOOTX64.EFI is signed by `boot media`",
        "/EFI/BOOT/grubx64.efi is signed by `boot media`",
        "/EFI/BOOT/BOOTX64.EFI is signed by `Microsoft Windows UEFI Driver Publisher` for Microsoft",
        " for Debian Secure Boot CA",
        "netboot/vmlinuz is the vmlinuz in media.lock, signed by `boot media`",
        "secure-boot/db.auth is an update of firmware's keys, signed by `boot media`",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // The same key signs with the same bytes; and without the key, what it signed is still there.
    let before = repo.dist();
    fs::remove_dir_all(repo.path("dist")).unwrap();
    repo.xtask(DIST).assert().success();
    assert_eq!(repo.dist(), before);
    for entry in repo.entries("sign") {
        fs::remove_dir_all(entry).unwrap();
    }
    fs::remove_dir_all(repo.path("dist")).unwrap();
    fails(&repo, DIST, 2, "only the key of `boot media` makes this");
    repo.xtask(&[DIST, KEY].concat()).assert().success();
    assert_eq!(repo.dist(), before);
}

#[test]
fn verify_refuses_what_the_profiles_key_did_not_sign() {
    let Some(repo) = lab() else { return };
    repo.xtask(&[DIST, KEY].concat()).assert().success();
    let signed = repo.read_bytes("dist/own/netboot/vmlinuz");
    // Another key's signature, and another program by the right key: manifests tell both, and so do the programs alone.
    new_key(&repo, "other");
    let unsigned = repo.read_bytes("artifacts/vmlinuz");
    let forged = signed_by(&repo, "other", &unsigned);
    assert_eq!(forged.len(), signed.len());
    repo.write("dist/own/netboot/vmlinuz", &forged);
    fails(&repo, &["verify", "dist/own"], 5, "netboot/vmlinuz is not signed by `boot media`");
    let mut changed = unsigned;
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    repo.write("dist/own/netboot/vmlinuz", signed_by(&repo, "keys", &changed));
    fails(&repo, &["verify", "dist/own"], 5, "netboot/vmlinuz is not the vmlinuz in media.lock");
    repo.write("dist/own/netboot/vmlinuz", &signed);
    repo.xtask(&["-q", "verify", "dist/own"]).assert().success();
    let iso = repo.names("dist/own").into_iter().find(|n| n.starts_with("own-")).unwrap();
    let path = format!("dist/own/{iso}");
    let mut bytes = repo.read_bytes(&path);
    let at = bytes.windows(64).position(|w| w == &signed[signed.len() / 2..][..64]).unwrap();
    bytes[at] ^= 1;
    repo.write(&path, bytes);
    fails(&repo, &["verify", "dist/own"], 5, "it belongs to another program, or a byte was changed");
    // A profile whose certificate is another's has another chain.
    repo.xtask(&[DIST, KEY].concat()).assert().success();
    fs::copy(repo.path("other/secure-boot.crt"), repo.path("keys/secure-boot.crt")).unwrap();
    fails(&repo, &["verify", "dist/own"], 5, "is signed by");
}

#[test]
fn a_key_that_cannot_sign_for_the_profile_is_refused_before_anything_is_built() {
    let Some(repo) = lab() else { return };
    new_key(&repo, "other");
    let with = |file: &'static str| [DIST, &["--secure-boot-key", file], &KEY[2..]].concat();
    fails(&repo, &with("other/secure-boot.pem"), 2, "is not the key of keys/secure-boot.crt");
    let netboot = ["key", "new", "netboot", "--to", "ec", "--password-file", "password"];
    repo.xtask(&netboot).assert().success();
    fails(&repo, &with("ec/signer.pem"), 2, "not RSA of 2048 bits");
    repo.write("password", "wrong\n");
    fails(&repo, &with("keys/secure-boot.pem"), 2, "the password is wrong");
    repo.write("password", "correct horse\n");
    let smoke = [&["-q", "dist", "smoke"], KEY].concat();
    fails(&repo, &smoke, 2, "--secure-boot-key signs nothing of profile smoke");
    fails(&repo, DIST, 2, "only the key of `boot media` makes this");
    repo.edit("media.toml", "certificate = \"keys/secure-boot.crt\"", "");
    fails(&repo, DIST, 3, "secure-boot = \"own-key\" needs a certificate");
    repo.edit("media.toml", "[secure-boot]\n", "[secure-boot]\ncertificate = \"../x\"\n");
    fails(&repo, DIST, 3, "is not a path inside the repository");
    assert!(!repo.path("dist").exists());
}

#[test]
fn a_kernel_that_no_firmware_starts_is_named() {
    let Some(repo) = lab() else { return };
    let mut lock = Lock::parse(&repo.read("media.lock")).unwrap();
    let kernel = lock.files.get_mut("own").unwrap().get_mut("vmlinuz").unwrap();
    (kernel.sha256, kernel.size) = (Digest::of(b"a kernel\n"), Some(9));
    repo.write("media.lock", lock.render());
    repo.write("artifacts/vmlinuz", "a kernel\n");
    fails(&repo, &[DIST, KEY].concat(), 3, "vmlinuz cannot be signed for Secure Boot");
}

#[test]
fn signatures_come_off_as_they_went_on() {
    let (Some(kernel), Some(shim)) = (made("kernel", "vmlinuz"), made("files", "shimx64.efi")) else {
        return;
    };
    let text = include_str!("../fixtures/pki/signer.pem");
    let key = pki::Signer::open_for_firmware(text, Some("open")).unwrap();
    let certificate = RsaCertificate::from_der(key.certificate().der()).unwrap();
    for program in [kernel, shim] {
        let before = Program::read(&program).unwrap();
        let signed = sign::sign(&program, &certificate, &|data| key.sign_bare(data)).unwrap();
        let after = Program::read(&signed).unwrap();
        assert_eq!((after.digest, after.signatures.len()), (before.digest, before.signatures.len() + 1));
        assert_eq!(sign::without_last(&signed).unwrap(), program);
        let mut left = signed;
        for _ in 0..after.signatures.len() {
            left = sign::without_last(&left).unwrap();
        }
        assert!(Program::read(&left).unwrap().signatures.is_empty() && sign::without_last(&left).is_none());
        // Another's key is noticed.
        let wrong = sign::sign(&left, &certificate, &|_| vec![7; 256]).unwrap_err();
        assert!(wrong.to_string().contains("not made by its signer's key"), "{wrong}");
        for length in (0..4096).step_by(173) {
            let cut = &program[..length];
            assert!(sign::sign(cut, &certificate, &|data| key.sign_bare(data)).is_err(), "{length}");
            _ = sign::without_last(cut);
        }
    }
    let update = sign::key_update(&certificate, &|data| key.sign_bare(data), 1_800_000_000).unwrap();
    sign::check_key_update(&update, &certificate).unwrap();
    for at in 0..update.len() {
        let mut changed = update.clone();
        changed[at] ^= 1;
        assert!(sign::check_key_update(&changed, &certificate).is_err(), "byte {at}");
        assert!(sign::check_key_update(&update[..at], &certificate).is_err(), "{at} bytes");
    }
}

#[test]
fn a_certificate_that_firmware_is_to_trust_goes_behind_those_that_it_trusts() {
    let Ok(before) = fs::read(vmspec::qemu::SECURE_OVMF.1) else {
        return lacks("OVMF's variables are missing (package ovmf)");
    };
    let mut variables = Variables::read(before.clone()).unwrap();
    variables.trust(b"a certificate").unwrap();
    let count = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).filter(|w| *w == what).count();
    let microsoft = b"Microsoft Corporation UEFI CA 2011";
    assert_eq!(count(variables.bytes(), b"a certificate"), 1);
    // The old list is still there, marked as replaced, and in front of the new one is its copy.
    assert_eq!(count(variables.bytes(), microsoft), 2 * count(&before, microsoft));
}

const SIGNED_IPXE: &str = r#"
[profile.own.ipxe.signed]
shim = { name = "ipxe-shimx64.efi" }
program = { name = "signed.efi" }
loads = "grubx64.efi"
"#;

/// As [`lab`], with an iPXE that came signed, as a release has it: the distribution's shim stands in for iPXE's own, and the
/// profile's key for the one that iPXE's shim trusts.
fn lab_with_signed_ipxe() -> Option<Repo> {
    let repo = lab()?;
    repo.xtask(&[DIST, KEY].concat()).assert().success();
    fs::copy(repo.path("dist/own/ipxe.efi"), repo.path("artifacts/signed.efi")).unwrap();
    repo.write("artifacts/ipxe-shimx64.efi", made("files", "shimx64.efi")?);
    repo.write("media.toml", repo.read("media.toml") + SIGNED_IPXE);
    fails(&repo, DIST, 3, "media.lock has no digests for `ipxe-shimx64.efi` and `signed.efi`");
    repo.xtask(&["-q", "fetch", "own", "--update", "--artifacts", "artifacts"]).assert().success();
    repo.xtask(&[DIST, KEY].concat()).assert().success();
    Some(repo)
}

#[test]
fn an_ipxe_that_came_signed_takes_the_place_of_the_engines() {
    let Some(repo) = lab_with_signed_ipxe() else { return };
    let lock = Lock::parse(&repo.read("media.lock")).unwrap();
    let signed = repo.read_bytes("artifacts/signed.efi");
    assert_eq!(lock.files["own"]["signed.efi"].sha256, Digest::of(&signed));
    let programs: Vec<String> = repo.names("dist/own").into_iter().filter(|n| n.ends_with(".efi")).collect();
    assert_eq!(programs, ["grubx64.efi", "ipxe-shim.efi"]);
    assert_eq!(repo.read_bytes("dist/own/grubx64.efi"), signed);
    let said = repo.xtask(&["verify", "dist/own"]).assert().success().get_output().stdout.clone();
    let said = String::from_utf8(said).unwrap();
    for line in [
        "ipxe-shim.efi is the ipxe-shimx64.efi in media.lock",
        "/EFI/BOOT/BOOTX64.EFI is signed by `Microsoft Windows UEFI Driver Publisher` for Microsoft",
        "/EFI/BOOT/grubx64.efi is signed by `boot media` for boot media",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // Firmware is given the shim, and finds beside it what the shim asks for.
    let print = [
        "serve",
        "own",
        "--listen",
        "10.0.0.1:80",
        "--print",
        "dnsmasq",
        "--dhcp-range",
        "10.0.0.8-10.0.0.9",
    ];
    let text = String::from_utf8(repo.whole(&print).output().unwrap().stdout).unwrap();
    assert!(text.contains("dhcp-boot=tag:!ipxe,tag:X86-64_EFI,ipxe-shim.efi\n"), "{text}");
    assert!(text.contains("tag:http,http://192.168.56.1:8089/ipxe-shim.efi\n"), "{text}");
    assert!(text.lines().next().unwrap().contains("/grubx64.efi "), "{text}");
    // Other bytes are refused, and so is a program that nobody vouches for.
    let mut other = signed.clone();
    *other.last_mut().unwrap() ^= 1;
    repo.write("artifacts/signed.efi", &other);
    let again = ["-q", "fetch", "own", "--update", "--artifacts", "artifacts"];
    fails(&repo, &again, 5, "media.lock says");
    for (from, to, why) in [
        ("loads = \"grubx64.efi\"", "loads = \"../x.efi\"", "is not the name of an EFI program"),
        ("loads = \"../x.efi\"", "loads = \"ipxe-shim.efi\"", "is the name of another program here"),
        ("{ name = \"signed.efi\" }", "{ name = \"ipxe-shimx64.efi\" }", "have the same name"),
    ] {
        repo.edit("media.toml", from, to);
        fails(&repo, DIST, 3, why);
    }
}

#[test]
fn an_ipxe_or_shim_that_a_stranger_or_nobody_signed_is_not_taken_for_a_signed_one() {
    let Some(repo) = lab_with_signed_ipxe() else { return };
    new_key(&repo, "other");
    let unsigned = |name: &str| {
        let mut program = repo.read_bytes(&format!("artifacts/{name}"));
        while let Some(without) = sign::without_last(&program) {
            program = without;
        }
        program
    };
    let (ipxe, shim) = (unsigned("signed.efi"), unsigned("ipxe-shimx64.efi"));
    for (name, bytes, why) in [
        ("signed.efi", ipxe.clone(), "/EFI/BOOT/grubx64.efi is signed by nobody, not by Debian"),
        (
            "signed.efi",
            signed_by(&repo, "other", &ipxe),
            "/EFI/BOOT/grubx64.efi is signed by `boot media`, not by Debian",
        ),
        (
            "ipxe-shimx64.efi",
            signed_by(&repo, "other", &shim),
            "/EFI/BOOT/BOOTX64.EFI is signed by `boot media`, not by Microsoft",
        ),
    ] {
        repo.write(&format!("artifacts/{name}"), bytes);
        let mut lock = Lock::parse(&repo.read("media.lock")).unwrap();
        lock.files.get_mut("own").unwrap().remove(name);
        repo.write("media.lock", lock.render());
        repo.xtask(&["-q", "fetch", "own", "--update", "--artifacts", "artifacts"]).assert().success();
        repo.xtask(&[DIST, KEY].concat()).assert().success();
        fails(&repo, &["verify", "dist/own"], 5, why);
    }
}

/// A shim that somebody signed starts an iPXE that the machine knows by its key.
#[test]
fn a_machine_starts_a_signed_ipxe_through_its_shim() {
    if !is_everything() {
        return skip("boots with Secure Boot take minutes; MEDIA_REQUIRE_VM=1 makes them");
    }
    let Some(repo) = lab_with_signed_ipxe() else { return };
    boots(&repo, &["own-key-netboot"]);
}

/// What is said of these media is true of machines. It takes minutes, so it is asked for where everything must run.
#[test]
fn a_machine_starts_them_once_it_knows_the_key_and_refuses_them_before() {
    if !is_everything() {
        return skip("boots with Secure Boot take minutes; MEDIA_REQUIRE_VM=1 makes them");
    }
    let Some(repo) = lab() else { return };
    repo.xtask(&[DIST, KEY].concat()).assert().success();
    boots(&repo, &["secure-boot-cd", "own-key-unknown", "changed-kernel", "own-key-netboot"]);
}

/// Each of these scenarios passes. One run at a time: iPXE of both has the server's port built in.
fn boots(repo: &Repo, scenarios: &[&str]) {
    static PORT: Mutex<()> = Mutex::new(());
    let _port = PORT.lock().unwrap_or_else(PoisonError::into_inner);
    let chosen = scenarios.iter().flat_map(|name| ["--scenario", name]);
    let args: Vec<&str> = ["vm", "test", "own"].into_iter().chain(chosen).collect();
    let run = repo.whole(&args).env("MEDIA_REQUIRE_VM", "1").output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    for name in scenarios {
        let passed = |line: &str| line.starts_with(name) && line.contains(" passed ");
        assert!(said.lines().any(passed), "{name} was not booted: {said}");
    }
}
