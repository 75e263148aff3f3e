//! Passwords that a person chose, told by where they stand: kernel parameters, loaders' scripts, addresses.

use super::{
    rules::{FindKind, MatchContext, RuleCheck, run, skip, some},
    tokens,
};

/// Words and their checks.
pub(super) const WORDS: &[(&[u8], RuleCheck)] =
    &[(b"rancher.password", kernel), (b"password", loader), (b"passwd", loader), (b"://", address)];

/// What a text as a password is; nothing when it stands for one, as a variable or in a manual, or locks an account.
/// A hash has a rule of its own.
pub(super) fn password(value: &str) -> Option<FindKind> {
    let between = |open: &str, close: &str| value.starts_with(open) && value.ends_with(close);
    let stands_for = between("${", "}") || between("{{", "}}") || between("<", ">") || between("‹", "›");
    let locked = value.chars().all(|c| matches!(c, '*' | '!' | '.' | '…'));
    let hashed = tokens::hashes().any(|h| value.as_bytes().starts_with(h)) && value.len() > 27;
    match value {
        "rancher" => Some(FindKind::DefaultPassword),
        "%s" => None,
        _ => some(!stands_for && !locked && !hashed && !value.starts_with("$("), FindKind::Password),
    }
}

/// Up to a space, a quote, or what ends a word in programs and manuals.
fn word(bytes: &[u8]) -> String {
    let ends = |b: &u8| *b <= b' ' || *b == 0x7F || b"\"'\\`,;)".contains(b);
    String::from_utf8_lossy(&bytes[..run(bytes, |b| !ends(b))]).into_owned()
}

/// A kernel parameter.
fn kernel(a: &MatchContext<'_>) -> Option<FindKind> {
    let value = skip(a.after, b"\"'").strip_prefix(b"=")?;
    password(&word(skip(value, b"\"'")))
}

/// The scripts of iPXE, SYSLINUX and GRUB.
fn loader(a: &MatchContext<'_>) -> Option<FindKind> {
    let line = String::from_utf8_lossy(a.line()).to_ascii_lowercase();
    let before: Vec<&str> = line.split_whitespace().collect();
    let after = a.after.split(|b| matches!(b, b'\n' | b'\r' | 0)).next().unwrap_or_default();
    let after = String::from_utf8_lossy(after);
    let glued = !line.is_empty() && !line.ends_with(char::is_whitespace);
    let mut words = after.split_whitespace();
    match before.as_slice() {
        // `set password x`, `set net0/reverse-password:string x`; the rest of the line is the value.
        ["set", ..] if before.len() <= 2 && after.starts_with([' ', ':']) && glued == (before.len() == 2) => {
            password(after.split_once(' ')?.1.trim())
        }
        ["menu"] | ["menu", "master"] if !glued && after.starts_with(char::is_whitespace) => {
            password(words.next()?)
        }
        // Without `superusers` GRUB takes no heed of it, and the line is somebody's prose.
        [] if after.starts_with(' ') => {
            let grub = |bytes: &[u8]| memchr::memmem::find(bytes, b"superusers").is_some();
            let (_, secret, end) = (words.next()?, words.next()?, words.next());
            let script = grub(a.before) || grub(a.after);
            if script && end.is_none() { password(secret) } else { None }
        }
        _ => None,
    }
}

/// `http://user:password@host`; programs have examples of it.
fn address(a: &MatchContext<'_>) -> Option<FindKind> {
    let account = word(a.after);
    let account = &account[..account.find(['/', '?', '#', '<', '>', ']', '|']).unwrap_or(account.len())];
    let (account, host) = account.rsplit_once('@')?;
    let (user, secret) = account.split_once(':')?;
    let example =
        ["pass", "passwd", "password", "pw", "secret", "token"].contains(&secret) && user.starts_with("user");
    let real =
        host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && !user.contains(['[', '%']);
    let scheme = a.before.last().is_some_and(u8::is_ascii_alphanumeric);
    if a.is_program || !scheme || example || !real || secret.is_empty() { None } else { password(secret) }
}
