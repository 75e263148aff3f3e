//! A signed tree: what is served is what was signed, or is signed anew.

#![expect(clippy::disallowed_methods, reason = "openssl is run by the test itself")]

use std::{
    process::{Command, Stdio},
    sync::Arc,
};

use netboot::Tls;

use super::{super::fixtures::has, SCRIPT, TestServer, site};

const ASKING: &str = "mac=52-54-00-00-00-01&uuid=4c4c4544-0044-4a10-8050-b4c04f4d3232";
pub(super) const NOW: u64 = 1_800_000_000;

/// A root, and a signer below it.
pub(super) fn keys() -> (Vec<pki::Certificate>, pki::Signer) {
    let chance = |n| pki::Chance { key: [n; 32].into(), serial: [n; 16], salt: [n; 16], iv: [n; 16] };
    let lifetime = pki::Lifetime { until: 2 * NOW };
    let root = pki::authority("root", lifetime, &chance(1), None).unwrap();
    let signer = pki::signer("signer", lifetime, &chance(2), None, (&root.secret, None)).unwrap();
    (pki::certificates(&root.certificate).unwrap(), pki::Signer::open(&signer.secret, None).unwrap())
}

fn signed_site(key: Option<Arc<pki::Signer>>) -> TestServer {
    let site = site(|config| config.signer = key);
    let signature = keys().1.sign(SCRIPT.as_bytes()).unwrap();
    fs_err::write(site.root.join("netboot/boot.ipxe.sig"), signature).unwrap();
    site
}

/// Whether iPXE would run what it gets.
fn is_believed(site: &TestServer, query: &str) -> bool {
    let script = site.get(&format!("/boot.ipxe?{query}"));
    let signature = site.get(&format!("/boot.ipxe.sig?{query}"));
    pki::verify(&script.body, &signature.body, &keys().0, NOW).is_ok()
}

#[test]
fn without_the_key_a_signed_script_keeps_every_byte() {
    let site = signed_site(None);
    assert_eq!(site.get("/boot.ipxe").body, SCRIPT.as_bytes());
    assert!(is_believed(&site, ASKING));
    // A machine's own script needs a signature of its own beside it.
    let own = "#!ipxe\necho mine\n";
    fs_err::write(site.root.join("machines/52-54-00-00-00-01.ipxe"), own).unwrap();
    assert_eq!(site.get(&format!("/boot.ipxe.sig?{ASKING}")).status, 404);
    let signature = keys().1.sign(own.as_bytes()).unwrap();
    fs_err::write(site.root.join("machines/52-54-00-00-00-01.ipxe.sig"), signature).unwrap();
    assert_eq!(site.get(&format!("/boot.ipxe?{ASKING}")).body, own.as_bytes());
    assert!(is_believed(&site, ASKING) && is_believed(&site, ""));
}

#[test]
fn with_the_key_what_is_made_for_a_machine_is_signed() {
    let site = signed_site(Some(Arc::new(keys().1)));
    let script = String::from_utf8(site.get("/boot.ipxe").body).unwrap();
    assert!(script.contains("set base-url http://10.1.2.3:8089"), "{script}");
    assert!(is_believed(&site, ASKING));
    fs_err::write(site.root.join("machines/52-54-00-00-00-01.ipxe"), "#!ipxe\necho mine\n").unwrap();
    assert!(is_believed(&site, ASKING) && is_believed(&site, ""));
}

#[test]
fn a_machine_whose_ipxe_refused_a_file_is_shown_with_the_reason() {
    let site = signed_site(None);
    let told = site.get(&format!("/_/refused?{ASKING}&file=vmlinuz&error=0x1c69e502&clock=0x6b0a9535"));
    assert_eq!(told.status, 200);
    let lines = site.server.lines();
    assert_eq!(lines[0].text, "iPXE refused vmlinuz: the signature does not match the file (1c69e502)");
    assert_eq!(lines[0].name, "52:54:00:00:00:01");
}

#[test]
fn https_is_spoken_with_the_suites_of_ipxe_and_scripts_say_so() {
    if !has("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).into_os_string().into_string().unwrap();
    let (certificate, key) = (path("tls.crt"), path("tls.key"));
    let new =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    let who = ["-subj", "/CN=boot", "-keyout", &key, "-out", &certificate];
    let made = Command::new("openssl").args(new).args(who).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let tls = Tls::read(certificate.as_str().into(), key.as_str().into()).unwrap();
    let site = site(|config| config.tls = Some(tls));
    // The first of iPXE's (src/crypto/mishmash), which ends its TLS at 1.2.
    for suite in ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"] {
        let at = site.server.addr().to_string();
        let client =
            ["s_client", "-connect", &at, "-quiet", "-tls1_2", "-cipher", suite, "-CAfile", &certificate];
        let mut client = Command::new("openssl")
            .args(client)
            .args(["-verify_return_error"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let request = b"GET /boot.ipxe HTTP/1.1\r\nHost: boot\r\nConnection: close\r\n\r\n";
        std::io::Write::write_all(client.stdin.as_mut().unwrap(), request).unwrap();
        let said = client.wait_with_output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("HTTP/1.1 200") && said.contains("set base-url https://boot"), "{said}");
    }
    for (a, b) in [(&key, &key), (&certificate, &certificate)] {
        assert!(Tls::read(a.as_str().into(), b.as_str().into()).is_err());
    }
}
