//! Passwords behind the name of a user in each line of a small file that holds nothing else.

use std::net::IpAddr;

use super::{
    rules::{FindKind, Seen},
    values::{is_mixed, phrase_or_random},
};

/// A longer file is something else.
const MOST: usize = 4096;

/// A file whose lines are all accounts: `user:password`, `server user:password`, `"user" "password"`,
/// `server user password`, `address password`.
pub(super) fn look(text: &[u8], at: u64, seen: &mut Seen) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if text.len() > MOST {
        return;
    }
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', ';']));
    let secrets: Vec<Option<&str>> = lines.map(secret).collect();
    if secrets.iter().all(Option::is_some)
        && let Some(what) = secrets.into_iter().flatten().find_map(told)
    {
        seen.found(what, at);
    }
}

/// Nothing but a name in front says that this is a password, so it looks like one.
fn told(secret: &str) -> Option<FindKind> {
    let digest = secret.len() >= 32 && secret.bytes().all(|b| b.is_ascii_hexdigit());
    let version = secret.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    let words = !secret.contains(|c: char| c.is_ascii_digit());
    if digest || version || !words && !is_mixed(secret.as_bytes()) { None } else { phrase_or_random(secret) }
}

/// The password of a line that is an account.
fn secret(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let inner = |word: &'_ str| word.len() > 2 && word.starts_with('"') && word.ends_with('"');
    match words.as_slice() {
        [account] | [_, account] if account.contains(':') && !account.contains("://") => {
            let (user, secret) = account.split_once(':')?;
            let secret = secret.split(':').find(|s| !s.contains('@'))?;
            (!user.is_empty() && !user.contains('/')).then_some(secret)
        }
        [user, secret] if inner(user) && inner(secret) => Some(secret.trim_matches('"')),
        [address, secret] if address.parse::<IpAddr>().is_ok() => Some(*secret),
        [number, "M" | "MD5" | "SHA1" | "SHA256" | "SHA512" | "AES128", secret]
            if number.parse::<u16>().is_ok() =>
        {
            Some(secret.trim_start_matches("ASCII:"))
        }
        [place, _, secret] if place.contains("://") || place.starts_with('/') => {
            Some(secret.trim_matches('"'))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn found(text: &str) -> Vec<FindKind> {
        let mut seen = Seen { found: BTreeMap::new(), hidden: Vec::new(), result: Ok(()) };
        look(text.as_bytes(), 0, &mut seen);
        seen.found.into_keys().collect()
    }

    #[test]
    fn a_file_of_accounts_is_one_of_passwords() {
        for text in [
            "# rsync\nbackup:Lantern1987\n",
            "bob bob@example.com:velvet-anchor-copper-willow\n",
            "\"app\" \"Lantern1987\"\n",
            "https://dav.example.com bob Lantern1987\n",
            "10.1.2.3\tLantern1987\n",
        ] {
            assert_eq!(found(text), [FindKind::Password], "{text}");
        }
        for text in [
            "backup:Lantern1987\nand prose\n",
            "nginx:1.25-Alpine3\n",
            "127.0.1.1 debian12\n",
            "root:x:0:\nadm:x:4:\n",
            "https://example.com/Lantern1987\n",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
