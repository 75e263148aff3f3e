//! A signed netboot tree from `key new` over `dist` to `verify`, with an iPXE that builds at once.

use fs_err as fs;

use super::{fixtures::has, repo::Repo, source_engine};

const DIST: &[&str] = &[
    "-q",
    "dist",
    "linux",
    "--engine",
    "source",
    "--artifacts",
    "artifacts",
    "--ipxe-repo",
    "ipxe",
    "--netboot-key",
    "keys/signer.pem",
    "--netboot-password-file",
    "password",
];

/// The profile `linux` with a key, whose netboot is signed.
fn lab() -> Option<Repo> {
    let (repo, _) = source_engine::lab()?;
    if !has("openssl") {
        return None;
    }
    repo.write("password", "correct horse\n");
    let new = ["key", "new", "netboot", "--to", "keys", "--password-file", "password"];
    repo.xtask(&new).assert().success();
    repo.edit("media.toml", "[ipxe]", "[netboot]\ntrust = \"signed\"\nroots = [\"keys/root.crt\"]\n\n[ipxe]");
    Some(repo)
}

/// Every file below a folder.
fn files(repo: &Repo, folder: &str) -> Vec<camino::Utf8PathBuf> {
    let root = repo.path(folder);
    buildexec::tree::files(&root).unwrap().iter().map(|f| root.join(f)).collect()
}

#[test]
fn what_ipxe_loads_is_signed_and_the_key_is_nowhere() {
    let Some(repo) = lab() else { return };
    repo.xtask(DIST).assert().success();
    let netboot = repo.names("dist/linux/netboot");
    let signed: Vec<&String> = netboot.iter().filter(|n| n.ends_with(".sig")).collect();
    assert_eq!(signed, ["boot.ipxe.sig", "initrd.sig", "vmlinuz.sig"]);
    let embedded = repo.read("dist/linux/ipxe.lkrn");
    assert!(embedded.contains("imgtrust --permanent") && !embedded.contains("shell\n"));
    let key = repo.read("keys/signer.pem");
    let secret = key.lines().nth(1).unwrap().to_owned();
    let made = [files(&repo, "dist"), files(&repo, "target/media")].concat();
    // A link may lead to a folder.
    for file in made.into_iter().filter(|f| f.is_file()) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "the key is in {file}");
    }
    // The same key signs with the same bytes.
    let before = repo.dist();
    fs::remove_dir_all(repo.path("dist")).unwrap();
    repo.xtask(DIST).assert().success();
    assert_eq!(repo.dist(), before);
    let said = repo.xtask(&["verify", "dist/linux"]).assert().success().get_output().stdout.clone();
    assert!(String::from_utf8(said).unwrap().contains("3 files signed by CN=netboot under CN=netboot root"));
}

#[test]
fn verify_says_what_ipxe_will_refuse() {
    let Some(repo) = lab() else { return };
    repo.xtask(DIST).assert().success();
    let fails = |why: &str| {
        let said = repo.xtask(&["verify", "dist/linux"]).assert().code(5).get_output().stdout.clone();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(why), "{why}: {said}");
    };
    let signature = fs::read(repo.path("dist/linux/netboot/vmlinuz.sig")).unwrap();
    repo.write("dist/linux/netboot/initrd.sig", &signature);
    fails("iPXE refuses netboot/initrd: the signature does not match the file");
    fs::remove_file(repo.path("dist/linux/netboot/initrd.sig")).unwrap();
    fails("netboot/initrd has no signature");
    // With none left, the tree looks like one that nobody wanted signed.
    for file in ["boot.ipxe", "vmlinuz"] {
        fs::remove_file(repo.path(&format!("dist/linux/netboot/{file}.sig"))).unwrap();
    }
    fails("has no signature: iPXE refuses it");
    fs::remove_dir_all(repo.path("keys")).unwrap();
    let new = ["key", "new", "netboot", "--to", "keys", "--no-password"];
    repo.xtask(&new).assert().success();
    repo.xtask(DIST).assert().success();
    repo.xtask(&["-q", "verify", "dist/linux"]).assert().success();
}

#[test]
fn a_signed_profile_wants_a_key_that_its_ipxe_believes_and_its_own_ipxe() {
    let Some(repo) = lab() else { return };
    let fails = |args: &[&str], code: i32, why: &str| {
        let said = repo.xtask(args).assert().code(code).get_output().stderr.clone();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(why), "{why}: {said}");
    };
    fails(&DIST[..9], 2, "no key is given");
    let other = ["key", "new", "netboot", "--to", "other", "--no-password"];
    repo.xtask(&other).assert().success();
    let with_other = [&DIST[..10], &["other/signer.pem"]].concat();
    fails(&with_other, 2, "is not certified by any of the roots");
    let prebuilt: Vec<&str> = DIST.iter().map(|a| if *a == "source" { "prebuilt" } else { a }).collect();
    fails(&prebuilt, 3, "needs iPXE from source");
    repo.edit("media.toml", "trust = \"signed\"", "trust = \"off\"");
    fails(DIST, 2, "signs nothing");
    repo.edit("media.toml", "trust = \"off\"\nroots = [\"keys/root.crt\"]", "trust = \"signed\"");
    fails(DIST, 3, "names no certificate");
    assert!(!repo.path("dist").exists());
}
