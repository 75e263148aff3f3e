//! Is this a public SSH key? (RFC 4253, 5656, 8709, and OpenSSH's `PROTOCOL.u2f` for keys on tokens.)

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// A key's type, and the lengths its fields must have; `None` is any.
const TYPES: &[(&str, &[Option<usize>])] = &[
    ("ssh-ed25519", &[Some(32)]),
    ("ssh-rsa", &[None, None]),
    ("ssh-dss", &[None, None, None, None]),
    ("ecdsa-sha2-nistp256", &[Some(8), Some(65)]),
    ("ecdsa-sha2-nistp384", &[Some(8), Some(97)]),
    ("ecdsa-sha2-nistp521", &[Some(8), Some(133)]),
    ("sk-ssh-ed25519@openssh.com", &[Some(32), None]),
    ("sk-ecdsa-sha2-nistp256@openssh.com", &[Some(8), Some(65), None]),
];

/// Checks one line of an `authorized_keys` file.
///
/// # Errors
/// What is wrong with it; the text itself is not repeated.
pub(crate) fn check_key(line: &str) -> Result<(), String> {
    if line.contains("PRIVATE KEY") {
        return Err("this is a private key, which must never be here".to_owned());
    }
    if line.trim().contains(['\n', '\r']) {
        return Err("a key is one line".to_owned());
    }
    let words = words(line);
    let Some((at, kind)) =
        words.iter().enumerate().find_map(|(i, w)| Some((i, TYPES.iter().find(|t| t.0 == *w)?)))
    else {
        return Err(match words.first() {
            Some(word) if STANDARD.decode(word).is_ok_and(|b| b.len() > 30) => {
                "the type, such as `ssh-ed25519`, is missing in front".to_owned()
            }
            _ => format!("no known key type; known are {}", names()),
        });
    };
    if at > 1 {
        return Err("only options without blanks may stand before the type".to_owned());
    }
    let body = words.get(at + 1).ok_or("the key itself is missing behind its type")?;
    let blob = STANDARD.decode(body).map_err(|_| "the key is not base64; is it cut off?".to_owned())?;
    check_blob(&blob, kind.0, kind.1)
}

fn names() -> String {
    TYPES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn check_blob(blob: &[u8], kind: &str, lengths: &[Option<usize>]) -> Result<(), String> {
    let mut rest = blob;
    let inner = field(&mut rest).ok_or("the key is cut off")?;
    if inner != kind.as_bytes() {
        let inner: String =
            String::from_utf8_lossy(inner).chars().filter(char::is_ascii_graphic).take(40).collect();
        return Err(format!("the line says `{kind}`, and the key inside is `{inner}`"));
    }
    let mut last = 0;
    for length in lengths {
        let field = field(&mut rest).ok_or("the key is cut off")?;
        if length.is_some_and(|n| n != field.len()) {
            return Err(format!("a field of the `{kind}` key has {} bytes", field.len()));
        }
        last = field.len();
    }
    if !rest.is_empty() {
        return Err("something follows the key inside its base64".to_owned());
    }
    // A modulus has a zero in front of its first byte; servers refuse less than 1024 bits.
    if kind == "ssh-rsa" && last < 128 {
        return Err(format!("an RSA key of {} bits is refused", last.saturating_sub(1) * 8));
    }
    Ok(())
}

/// A length of four bytes and as many bytes.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (field, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(field)
}

/// Words between blanks; quotes of options keep together.
fn words(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(|c| {
        quoted ^= c == '"';
        !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r')
    })
    .filter(|w| !w.is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(fields: &[&[u8]]) -> String {
        let mut bytes = Vec::new();
        for field in fields {
            bytes.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            bytes.extend(*field);
        }
        STANDARD.encode(bytes)
    }

    #[test]
    fn keys_are_keys() {
        let ed = blob(&[b"ssh-ed25519", &[7; 32]]);
        let rsa = blob(&[b"ssh-rsa", &[1, 0, 1], &[0x7f; 257]]);
        let ec = blob(&[b"ecdsa-sha2-nistp256", b"nistp256", &[4; 65]]);
        for line in [
            format!("ssh-ed25519 {ed} me@host"),
            format!("ssh-ed25519 {ed}"),
            format!("ssh-rsa {rsa} a comment of words"),
            format!("command=\"ls -l\",no-pty ecdsa-sha2-nistp256 {ec}"),
        ] {
            assert_eq!(check_key(&line), Ok(()), "{line}");
        }
    }

    #[test]
    fn what_is_no_key_is_told_from_what_is_wrong_with_one() {
        let ed = blob(&[b"ssh-ed25519", &[7; 32]]);
        let said = |line: &str| check_key(line).unwrap_err();
        assert!(said(&format!("ssh-rsa {ed}")).contains("the key inside is `ssh-ed25519`"));
        assert!(said(&ed).contains("missing in front"));
        assert!(said("ssh-ed25519").contains("missing behind"));
        assert!(said(&format!("ssh-ed25519 {}", &ed[..40])).contains("cut off"));
        assert!(said("-----BEGIN OPENSSH PRIVATE KEY-----").contains("private"));
        assert!(said("hunter2").contains("no known key type") && !said("hunter2").contains("hunter2"));
        let short = blob(&[b"ssh-rsa", &[3], &[0x7f; 65]]);
        assert!(said(&format!("ssh-rsa {short}")).contains("512 bits"));
        assert!(said(&format!("ssh-ed25519 {}", blob(&[b"ssh-ed25519", &[7; 31]]))).contains("31 bytes"));
    }
}
