//! minisign signatures over `SHA256SUMS`, which covers everything else. Off unless asked for: a key is a person's.

use std::rc::Rc;

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use super::{Subject, TEXT_LIMIT, sums::SHA256};
pub use attest::SIGNATURE;
use buildexec::run::read_limited;
use failure::{Explain as _, Failure, Kind};

/// No key or signature is longer.
const KEY_LIMIT: u64 = 64 << 10;

/// Signs `SHA256SUMS` in `dir` with the secret key in the file `key`, once `vouch` has verified what that list says.
/// Without a password, a key that has one is asked for it on the terminal.
///
/// # Errors
/// [`Kind::Usage`] when the key or its password is wrong; [`Kind::Storage`] when the signature cannot be written;
/// as `vouch`.
pub fn sign(
    dir: &Utf8Path,
    key: &Utf8Path,
    password: Option<String>,
    vouch: impl FnOnce() -> Result<Rc<[u8]>>,
) -> Result<()> {
    read_limited(&dir.join(SHA256), TEXT_LIMIT)?;
    let secret = secret_key(key, password)?;
    let list = vouch()?;
    // No time: the list itself names the version, and signing again should change nothing but the signature.
    let comment = format!("file:{SHA256}");
    let signature = minisign::sign(None, &secret, &*list, Some(&comment), Some("boot media"))
        .map_err(|e| Failure::new(Kind::Usage, format!("cannot sign with {key}")).source(e))?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    std::io::Write::write_all(&mut file, signature.to_string().as_bytes())?;
    readable(file.path())?;
    file.persist(dir.join(SIGNATURE)).explain(Kind::Storage, || format!("cannot write {dir}/{SIGNATURE}"))?;
    Ok(())
}

#[cfg(unix)]
fn readable(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o644))?)
}

#[cfg(not(unix))]
fn readable(_: &std::path::Path) -> Result<()> {
    Ok(())
}

fn secret_key(path: &Utf8Path, password: Option<String>) -> Result<minisign::SecretKey> {
    let bytes = read_limited(path, KEY_LIMIT)?;
    let text = String::from_utf8(bytes).ok().with_context(|| format!("{path} is not text"))?;
    let wrong = |e| {
        Failure::new(Kind::Usage, format!("{path} is not a minisign secret key, or the password is wrong"))
            .source(e)
    };
    let parse = || minisign::SecretKeyBox::from_string(&text).map_err(wrong);
    // The box is opened only when it is used: without a password, a text that is not a key looks like a locked one.
    if !is_secret_key(&text) {
        return Err(Failure::new(Kind::Usage, format!("{path} is not a minisign secret key")).into());
    }
    if password.is_none()
        && let Ok(key) = parse()?.into_unencrypted_secret_key()
    {
        return Ok(key);
    }
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
    if password.is_none() && !terminal {
        let failure = Failure::new(Kind::Usage, format!("{path} is a minisign secret key with a password"));
        return Err(failure.help("give it with --key-password-env or --key-password-file").into());
    }
    Ok(parse()?.into_secret_key(password).map_err(wrong)?)
}

/// Whether a text has a comment and, below it, as many bytes in base64 as a minisign secret key, with its mark.
fn is_secret_key(text: &str) -> bool {
    use base64::Engine as _;
    let line = text.lines().nth(1).unwrap_or_default().trim();
    base64::prelude::BASE64_STANDARD.decode(line).is_ok_and(|b| b.len() == 158 && b.starts_with(b"Ed"))
}

/// Whether a text has the four lines of a signature and no more: nobody signs what else stands in that file.
fn is_signature_alone(text: &str) -> bool {
    text.starts_with("untrusted comment: ") && text.lines().count() == 4 && !text.contains(is_unprintable)
}

fn is_unprintable(c: char) -> bool {
    c.is_control() && !['\r', '\n', '\t'].contains(&c)
}

/// Checks the signature over the `SHA256SUMS` of `subject` against the public key in the file `key`, and says what was
/// seen.
///
/// # Errors
/// Why it does not hold.
pub(crate) fn check(subject: &Subject<'_>, key: &Utf8Path) -> Result<String> {
    let text = |path: &Utf8Path| -> Result<String> {
        let bytes = read_limited(path, KEY_LIMIT)?;
        String::from_utf8(bytes).ok().with_context(|| format!("{path} is not text"))
    };
    let public = text(key)?;
    let public = minisign_verify::PublicKey::decode(&public)
        .or_else(|_| minisign_verify::PublicKey::from_base64(public.trim()))
        .with_context(|| format!("{key} is not a minisign public key"))?;
    let path = subject.dir.join(SIGNATURE);
    anyhow::ensure!(path.is_file(), "--key is given, but {SIGNATURE} is missing");
    let signature = text(&path)?;
    anyhow::ensure!(is_signature_alone(&signature), "{SIGNATURE} holds something else than one signature");
    let signature = minisign_verify::Signature::decode(&signature)
        .with_context(|| format!("{SIGNATURE} is not a signature"))?;
    let list = subject.list().map_err(anyhow::Error::msg)?;
    public.verify(&list, &signature, false).with_context(|| {
        format!("{SHA256} was not signed so by the key in {}", key.file_name().unwrap_or("it"))
    })?;
    Ok(format!("{SHA256} is signed by this key"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    #[test]
    fn a_signature_has_four_lines_and_nothing_else() {
        let good = "untrusted comment: boot media\nRUQ\ntrusted comment: file:SHA256SUMS\nAAAA\n";
        assert!(is_signature_alone(good) && is_signature_alone(&good.replace('\n', "\r\n")));
        for bad in [
            format!("{good}{good}"),
            format!("{good}more\n"),
            format!("\u{feff}{good}"),
            good.replace("untrusted comment: ", "SHA256SUMS is signed: "),
            good.replace("boot", "\u{1b}[2J"),
            good.lines().take(3).map(|line| format!("{line}\n")).collect(),
        ] {
            assert!(!is_signature_alone(&bad), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_key_is_told_from_what_looks_like_one() {
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let secret = pair.sk.to_box(None).unwrap().to_string();
        assert!(is_secret_key(&secret));
        assert!(!is_secret_key(&pair.pk.to_box().unwrap().to_string()));
        let text = |bytes: &[u8]| format!("untrusted comment: x\n{}\n", BASE64_STANDARD.encode(bytes));
        let bytes = BASE64_STANDARD.decode(secret.lines().nth(1).unwrap()).unwrap();
        assert!(is_secret_key(&text(&bytes)));
        assert!(
            !is_secret_key(&text(&bytes[..157])) && !is_secret_key(&text(&[b"ED", &bytes[2..]].concat()))
        );
        assert!(!is_secret_key("") && !is_secret_key(secret.lines().nth(1).unwrap()));
    }
}
