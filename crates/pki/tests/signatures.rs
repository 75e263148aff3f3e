//! Signatures are what OpenSSL makes, hold for what they were made over, and for nothing else.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use pki::{Chance, KeyError, Lifetime, Refusal, Signer, authority, certificates, signer, verify};

const OPENSSL_KEY: &str = include_str!("../../../tests/fixtures/pki/signer.pem");
const OPENSSL_ROOT: &str = include_str!("../../../tests/fixtures/pki/root.crt");
const OPENSSL_SIGNATURE: &[u8] = include_bytes!("../../../tests/fixtures/pki/data.sig");
const DATA: &[u8] = b"boot me\n";
/// 2027-01-15.
const NOW: u64 = 1_800_000_000;
const YEAR: u64 = 365 * 86_400;

fn chance(seed: u8) -> Chance {
    Chance { key: [seed; 32].into(), serial: [seed; 16], salt: [seed; 16], iv: [seed; 16] }
}

/// A root and a signer that ends then.
fn ours(seed: u8, until: u64) -> (String, Signer) {
    let root = authority("our root", Lifetime { until: NOW + 20 * YEAR }, &chance(seed), None).unwrap();
    let by = (root.secret.as_str(), None);
    let made = signer("our signer", Lifetime { until }, &chance(seed + 1), None, by).unwrap();
    (root.certificate, Signer::open(&made.secret, None).unwrap())
}

#[test]
fn a_signature_by_rsa_is_openssls_byte_for_byte() {
    let key = Signer::open(OPENSSL_KEY, Some("open")).unwrap();
    assert_eq!(key.sign(DATA).unwrap(), OPENSSL_SIGNATURE);
}

#[test]
fn openssls_signature_holds_for_its_data_alone() {
    let roots = certificates(OPENSSL_ROOT).unwrap();
    let good = verify(DATA, OPENSSL_SIGNATURE, &roots, NOW + 10 * YEAR).unwrap();
    assert_eq!(good.by.subject(), "CN=Example signer,O=Example,C=DE");
    assert_eq!(good.root, "CN=Example root,O=Example,C=DE");
    assert_eq!(verify(b"boot you\n", OPENSSL_SIGNATURE, &roots, NOW + YEAR), Err(Refusal::Mismatch));
    for bad in [&b""[..], b"0", &OPENSSL_SIGNATURE[..100], &[0x30; 64]] {
        assert_eq!(verify(DATA, bad, &roots, NOW), Err(Refusal::Malformed));
    }
}

#[test]
fn any_changed_byte_of_a_signature_is_refused() {
    let (root, key) = ours(1, NOW + YEAR);
    let roots = certificates(&root).unwrap();
    let signature = key.sign(DATA).unwrap();
    assert!(verify(DATA, &signature, &roots, NOW).is_ok());
    // The root's copy is for readers: iPXE compares it with the one that it was built with.
    let copy = roots[0].der();
    let begin = signature.windows(copy.len()).position(|w| w == copy).unwrap();
    for at in (0..signature.len()).filter(|at| !(begin..begin + copy.len()).contains(at)) {
        let mut changed = signature.clone();
        changed[at] ^= 0x55;
        assert!(verify(DATA, &changed, &roots, NOW).is_err(), "byte {at}");
    }
}

#[test]
fn our_signatures_are_the_same_each_time_and_hold_until_the_first_end_in_the_chain() {
    let (root, key) = ours(1, NOW + YEAR);
    let roots = certificates(&root).unwrap();
    let signature = key.sign(DATA).unwrap();
    assert_eq!(signature, key.sign(DATA).unwrap());
    let good = verify(DATA, &signature, &roots, NOW).unwrap();
    assert_eq!((good.by.subject(), good.until), ("CN=our signer".to_owned(), NOW + YEAR));
    // A clock that was never set.
    assert!(verify(DATA, &signature, &roots, 946_684_800).is_ok());
    let late = verify(DATA, &signature, &roots, NOW + YEAR + 1).unwrap_err();
    assert_eq!(late.to_string(), "the certificate of CN=our signer expired on 2028-01-15");
}

#[test]
fn another_authority_of_the_same_name_is_not_trusted() {
    let (root, _) = ours(1, NOW + YEAR);
    let (other_root, other) = ours(5, NOW + YEAR);
    let roots = certificates(&root).unwrap();
    let signature = other.sign(DATA).unwrap();
    let refusal = verify(DATA, &signature, &roots, NOW).unwrap_err();
    assert!(matches!(refusal, Refusal::Untrusted { .. }), "{refusal}");
    // While roots are exchanged both are trusted.
    let both = certificates(&format!("{root}{other_root}")).unwrap();
    assert!(verify(DATA, &signature, &both, NOW).is_ok());
    assert!(verify(DATA, &signature, &[], NOW).is_err());
}

#[test]
fn a_root_signs_no_file_and_a_signer_certifies_nobody() {
    let root = authority("r", Lifetime { until: NOW + YEAR }, &chance(1), None).unwrap();
    assert_eq!(Signer::open(&root.secret, None).unwrap_err(), KeyError::NotForCode);
    let by = (root.secret.as_str(), None);
    let made = signer("s", Lifetime { until: NOW + YEAR }, &chance(2), None, by).unwrap();
    let below = signer("t", Lifetime { until: NOW }, &chance(3), None, (made.secret.as_str(), None));
    assert!(below.is_err_and(|e| e.contains("not a CA")));
}

#[test]
fn a_key_says_why_it_cannot_be_used() {
    let open = |text: &str, password| Signer::open(text, password).map(|_| ());
    assert_eq!(open(OPENSSL_KEY, None), Err(KeyError::Locked));
    assert_eq!(open(OPENSSL_KEY, Some("closed")), Err(KeyError::WrongPassword));
    assert_eq!(open("", None), Err(KeyError::NoKey));
    assert_eq!(open(OPENSSL_ROOT, None), Err(KeyError::NoKey));
    let (key, _) = OPENSSL_KEY.split_once("-----BEGIN CERTIFICATE").unwrap();
    assert_eq!(open(key, Some("open")), Err(KeyError::NoCertificate));
    assert_eq!(open(&format!("{key}{OPENSSL_ROOT}"), Some("open")), Err(KeyError::OtherCertificate));
    assert!(Signer::is_locked(OPENSSL_KEY) && !Signer::is_locked(OPENSSL_ROOT));
}

#[test]
fn a_new_key_opens_with_its_password_alone() {
    let made = authority("r", Lifetime { until: NOW }, &chance(9), Some("hunter2")).unwrap();
    assert!(Signer::is_locked(&made.secret) && made.secret.contains("BEGIN CERTIFICATE"));
    let with = |password| signer("s", Lifetime { until: NOW }, &chance(2), None, (&made.secret, password));
    assert!(with(Some("hunter2")).is_ok() && with(Some("hunter3")).is_err() && with(None).is_err());
    for name in ["", " x", "a,CN=b", "a\nb", "ä"] {
        assert!(authority(name, Lifetime { until: NOW }, &chance(9), None).is_err(), "{name}");
    }
}

/// An update of a library must not change what is made.
#[test]
fn the_same_chance_makes_the_same_keys_certificates_and_signatures() {
    let digest = |bytes: &[u8]| {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        digest.as_ref()[..8].iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let root = authority("our root", Lifetime { until: NOW + 20 * YEAR }, &chance(1), Some("open")).unwrap();
    let by = (root.secret.as_str(), Some("open"));
    let made = signer("our signer", Lifetime { until: NOW + YEAR }, &chance(2), None, by).unwrap();
    let signature = Signer::open(&made.secret, None).unwrap().sign(DATA).unwrap();
    let texts = [root.certificate.as_bytes(), root.secret.as_bytes(), made.secret.as_bytes(), &signature];
    assert_eq!(
        texts.map(digest),
        ["15d6b9545fbc22de", "97a44b9c36f7bf30", "a0b54652aa47cae2", "8b1ce4b5a9ab6b5a"]
    );
}
