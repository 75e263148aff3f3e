//! What is signed, and what a signature vouches for.

use fs_err as fs;

use super::Repository;

#[test]
fn a_signature_holds_for_its_key_and_for_no_other() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let keys = tempfile::tempdir().unwrap();
    let mut public = Vec::new();
    for name in ["mine", "other"] {
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let path = keys.path().join(name);
        fs::write(path.with_extension("key"), pair.sk.to_box(None).unwrap().to_string()).unwrap();
        fs::write(path.with_extension("pub"), pair.pk.to_box().unwrap().to_string()).unwrap();
        public.push(path.with_extension("pub").to_str().unwrap().to_owned());
    }
    let said = media.broken(&["--key", &public[0]], "signature");
    assert!(said.contains("--key is given, but SHA256SUMS.minisig is missing"), "{said}");
    let key = keys.path().join("mine.key");
    let dir = media.dir.path().to_str().unwrap();
    let (code, said) = repository.run(&["sign", dir, "--key", key.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    assert!(media.accepted(&["--key", &public[0]]).contains("SHA256SUMS is signed by this key"));
    media.broken(&["--key", &public[1]], "signature");
    fs::write(media.path("netboot/vmlinuz"), "another kernel").unwrap();
    media.refresh_statements();
    media.broken(&["--key", &public[0]], "signature, kernel, released");
    // Nor is it signed anew.
    let before = fs::read(media.path("SHA256SUMS.minisig")).unwrap();
    let (code, said) = repository.run(&["sign", dir, "--key", key.to_str().unwrap()]);
    assert!(code == 5 && said.contains("verification failed: kernel, released\n"), "{said}");
    assert_eq!(fs::read(media.path("SHA256SUMS.minisig")).unwrap(), before);
}

/// `dist` looks at sizes and times alone where nothing is to be done; what is signed is read.
#[test]
fn nothing_is_signed_that_was_changed_after_it_was_built() {
    let Some(repository) = Repository::get() else { return };
    let repository = repository.again();
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let key = repository.path("a.key");
    fs::write(&key, pair.sk.to_box(None).unwrap().to_string()).unwrap();
    let artifacts = repository.path("artifacts");
    let dist = ["dist", "--artifacts", artifacts.to_str().unwrap(), "--generate-password"];
    let dist = [&dist[..], &["--sign", key.to_str().unwrap()]].concat();
    let (code, said) = repository.run(&dist);
    assert!(code == 0 && said.matches("password of the user rancher").count() == 1, "{said}");
    let dist = [&dist[..3], &dist[4..]].concat();
    let (code, said) = repository.run(&dist);
    assert_eq!(code, 0, "{said}");
    let signature = repository.path("dist/mini/SHA256SUMS.minisig");
    fs::remove_file(&signature).unwrap();
    let initrd = repository.path("dist/mini/netboot/initrd");
    let time = fs::metadata(&initrd).unwrap().modified().unwrap();
    let mut bytes = fs::read(&initrd).unwrap();
    bytes[0] ^= 1;
    fs::write(&initrd, bytes).unwrap();
    fs::OpenOptions::new().append(true).open(&initrd).unwrap().file().set_modified(time).unwrap();
    let (code, said) = repository.run(&dist);
    assert!(code == 5 && said.contains("netboot/initrd does not match SHA256SUMS"), "{said}");
    assert!(!signature.exists());
}
