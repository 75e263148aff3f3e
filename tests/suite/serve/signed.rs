//! A signed tree: what is served is what was signed, or is signed anew.

use std::sync::Arc;

use super::{SCRIPT, Site, site};

const ASKING: &str = "mac=52-54-00-00-00-01&uuid=4c4c4544-0044-4a10-8050-b4c04f4d3232";
const NOW: u64 = 1_800_000_000;

/// A root, and a signer below it.
fn keys() -> (Vec<pki::Certificate>, pki::Signer) {
    let chance = |n| pki::Chance { key: [n; 32].into(), serial: [n; 16], salt: [n; 16], iv: [n; 16] };
    let lifetime = pki::Lifetime { until: 2 * NOW };
    let root = pki::authority("root", lifetime, &chance(1), None).unwrap();
    let signer = pki::signer("signer", lifetime, &chance(2), None, (&root.secret, None)).unwrap();
    (pki::certificates(&root.certificate).unwrap(), pki::Signer::open(&signer.secret, None).unwrap())
}

fn signed_site(key: Option<Arc<pki::Signer>>) -> Site {
    let site = site(|config| config.signer = key);
    let signature = keys().1.sign(SCRIPT.as_bytes()).unwrap();
    fs_err::write(site.root.join("netboot/boot.ipxe.sig"), signature).unwrap();
    site
}

/// Whether iPXE would run what it gets.
fn is_believed(site: &Site, query: &str) -> bool {
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
