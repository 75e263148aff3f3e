//! Keys on disk: for their owner's eyes, locked, never replaced.

use pki::{KeyError, Signer, certificates};

use crate::repo::Repo;

const NEW: &[&str] = &["key", "new", "netboot", "--to", "keys"];

#[test]
fn a_new_netboot_key_is_locked_and_readable_by_its_owner_alone() {
    let repo = Repo::new();
    repo.write("password", "correct horse\n");
    let args = [NEW, &["--password-file", "password"]].concat();
    let said = repo.xtask(&args).assert().success().get_output().clone();
    let all = [said.stdout, said.stderr].concat();
    assert!(!String::from_utf8(all).unwrap().contains("PRIVATE"));
    assert_eq!(repo.names("keys"), ["root.crt", "root.pem", "signer.pem"]);
    let signer = repo.read("keys/signer.pem");
    assert_eq!(Signer::open(&signer, None).unwrap_err(), KeyError::Locked);
    let signer = Signer::open(&signer, Some("correct horse")).unwrap();
    let root = certificates(&repo.read("keys/root.crt")).unwrap();
    assert!(pki::verify(b"x", &signer.sign(b"x").unwrap(), &root, 1_800_000_000).is_ok());
    #[cfg(unix)]
    for name in ["root.pem", "signer.pem"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs_err::metadata(repo.path("keys").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_key_is_never_replaced_and_its_root_certifies_the_next_signer() {
    let repo = Repo::new();
    let args = [NEW, &["--no-password"]].concat();
    repo.xtask(&args).assert().success();
    let before = repo.read("keys/root.pem");
    repo.xtask(&args).assert().code(2).stderr_eq("error: keys/root.crt exists; a key is never replaced\n  help: name another folder with --to, or move the file away\n");
    assert_eq!(repo.read("keys/root.pem"), before);
    let next =
        ["key", "new", "netboot", "--to", "next", "--root", "keys/root.pem", "--no-password", "--days", "1"];
    repo.xtask(&next).assert().success();
    assert_eq!(repo.names("next"), ["signer.pem"]);
    let signer = Signer::open(&repo.read("next/signer.pem"), None).unwrap();
    let root = certificates(&repo.read("keys/root.crt")).unwrap();
    let signature = signer.sign(b"x").unwrap();
    assert!(pki::verify(b"x", &signature, &root, signer.until()).is_ok());
    assert!(pki::verify(b"x", &signature, &root, signer.until() + 1).is_err());
}

#[test]
fn a_password_is_asked_for_on_a_terminal_alone() {
    let repo = Repo::new();
    let said = repo.xtask(NEW).assert().code(2).get_output().stderr.clone();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("no terminal to ask on: password of the new key"), "{said}");
    repo.write("password", "\n");
    repo.xtask(&[NEW, &["--password-file", "password"]].concat()).assert().code(2);
    assert!(!repo.path("keys/root.pem").exists() && !repo.path("keys/signer.pem").exists());
}

#[test]
fn a_file_that_is_no_key_or_certificate_is_named() {
    let repo = Repo::new();
    repo.write("other", "neither\n");
    let new = [NEW, &["--no-password", "--root", "other"]].concat();
    let serve =
        ["serve", "--tree", ".", "--listen", "127.0.0.1:0", "--tls-cert", "other", "--tls-key", "other"];
    for (args, says) in
        [(&new[..], "cannot certify a signer with other"), (&serve[..], "cannot serve HTTPS with other")]
    {
        let output = repo.whole(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(says), "{said}");
    }
    assert!(!repo.path("keys/signer.pem").exists());
}
