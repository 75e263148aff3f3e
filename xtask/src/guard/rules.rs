//! What a secret looks like. Each rule has a word that is searched for fast, and a check of what stands around it.
//!
//! Why stock systems stay quiet: a key needs its base64 behind the header that every TLS library has in it; a path
//! of a home folder counts in binaries only when it is this machine's own, since kernels and Go programs are full
//! of their builders'; `/root` is a folder of every system and counts only as part of this repository's path; a host
//! name counts from five letters on and as a whole word; users that RancherOS itself has are nobody's.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read},
};

use memchr::memmem::Finder;

/// A kind of find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The password `rancher`, the first that anyone tries.
    DefaultPassword,
    /// A password for the user `rancher`, or in a cloud-config.
    Password,
    /// The hash of a password, as `/etc/shadow` has it.
    PasswordHash,
    /// A private key: PEM, OpenSSH, age, minisign.
    PrivateKey,
    /// A token of GitHub, GitLab, AWS or a registry, or an `Authorization` header.
    Token,
    /// Somebody's home folder, or this repository's.
    HomePath,
    /// This machine's name.
    HostName,
}

impl What {
    /// Whether `publish-secrets` lets it pass.
    #[must_use]
    pub fn is_secret(self) -> bool {
        !matches!(self, Self::DefaultPassword | Self::HomePath | Self::HostName)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DefaultPassword => "the default password `rancher`",
            Self::Password => "a password",
            Self::PasswordHash => "the hash of a password",
            Self::PrivateKey => "a private key",
            Self::Token => "a token",
            Self::HomePath => "the path of a home folder",
            Self::HostName => "this machine's name",
        })
    }
}

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Bytes around a word that its check may look at; longer than any token.
const AROUND: usize = 1024;
/// Names that many machines have, and that therefore tell nothing.
const COMMON_HOSTS: &[&str] =
    &["localhost", "debian", "ubuntu", "fedora", "alpine", "rancher", "runner", "docker"];
/// Users of the systems that we make media of.
const SYSTEM_USERS: &[&str] = &["rancher", "docker", "dockremap", "user", "ubuntu", "debian", "linuxbrew"];

/// What stands around a word.
struct Around<'a> {
    before: &'a [u8],
    after: &'a [u8],
    text: bool,
    cloud_config: bool,
}

type Check = fn(&Around<'_>) -> Option<What>;

/// Words and their checks.
const WORDS: &[(&str, Check)] = &[
    ("PRIVATE KEY-----", pem),
    ("PRIVATE KEY BLOCK-----", pem),
    ("AGE-SECRET-KEY-1", |a| {
        some(run(a.after, |b| b.is_ascii_uppercase() || b.is_ascii_digit()) >= 50, What::PrivateKey)
    }),
    ("minisign encrypted secret key", pem),
    ("minisign secret key", pem),
    ("ghp_", |a| some(token(a) >= 36, What::Token)),
    ("gho_", |a| some(token(a) >= 36, What::Token)),
    ("ghs_", |a| some(token(a) >= 36, What::Token)),
    ("ghu_", |a| some(token(a) >= 36, What::Token)),
    ("github_pat_", |a| some(token(a) >= 22, What::Token)),
    ("glpat-", |a| some(token(a) >= 20, What::Token)),
    ("AKIA", aws),
    ("ASIA", aws),
    ("\"auth\"", docker_auth),
    ("uthorization:", authorization),
    ("rancher.password=", password),
    ("assword", config_password),
    ("passwd", config_password),
    ("$5$", hash),
    ("$6$", hash),
    ("$y$", hash),
    ("$2y$", hash),
    ("$2b$", hash),
    ("/home/", home),
    ("/Users/", home),
    (":\\Users\\", home),
];

fn some(yes: bool, what: What) -> Option<What> {
    yes.then_some(what)
}

fn run(bytes: &[u8], of: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|b| of(b)).count()
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')
}

/// A run of letters and digits that begins a word.
fn token(a: &Around<'_>) -> usize {
    let starts = !a.before.last().is_some_and(|b| b.is_ascii_alphanumeric());
    if starts { run(a.after, |b| is_word(*b)) } else { 0 }
}

/// A line end behind the header, real or escaped, and a line of base64: headers of an encrypted key may stand
/// between.
fn pem(a: &Around<'_>) -> Option<What> {
    let after = String::from_utf8_lossy(&a.after[..a.after.len().min(512)]).replace("\\n", "\n");
    let mut lines = after.lines();
    let header = lines.next().is_some_and(|rest| rest.trim().trim_matches(['"', '\'']).is_empty());
    let key = |line: &str| line.trim().len() >= 32 && line.trim().bytes().all(is_base64);
    some(header && lines.take(6).any(key), What::PrivateKey)
}

/// Sixteen capitals and digits; the ones in Amazon's manuals end in `EXAMPLE`.
fn aws(a: &Around<'_>) -> Option<What> {
    let n = run(a.after, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let starts = !a.before.last().copied().is_some_and(is_word);
    some(starts && n == 16 && !a.after[..n].ends_with(b"EXAMPLE"), What::Token)
}

/// `"auth": "dXNlcjpwYXNz"` of Docker's `config.json`.
fn docker_auth(a: &Around<'_>) -> Option<What> {
    let rest = skip(a.after, b" \t:");
    let n = run(rest.strip_prefix(b"\"")?, |b| is_base64(*b));
    some(n >= 8 && rest.get(n + 1) == Some(&b'"'), What::Token)
}

/// A scheme and at least sixteen characters: not a format (`Bearer %s`), not a manual's `<token>`.
fn authorization(a: &Around<'_>) -> Option<What> {
    let rest = skip(a.after, b" \t\"");
    let n = run(rest, u8::is_ascii_alphabetic);
    let scheme = rest[..n].to_ascii_lowercase();
    let known = [&b"basic"[..], b"bearer", b"token"].contains(&scheme.as_slice());
    let value = skip(&rest[n..], b" ");
    let n = run(value, |b| is_base64(*b) || is_word(*b) || *b == b'.');
    some(known && n >= 16 && value[..n].iter().any(u8::is_ascii_digit), What::Token)
}

fn skip<'a>(bytes: &'a [u8], these: &[u8]) -> &'a [u8] {
    &bytes[run(bytes, |b| these.contains(b))..]
}

/// A kernel parameter; a variable or a placeholder in its place is no password.
fn password(a: &Around<'_>) -> Option<What> {
    let value = skip(a.after, b"\"'");
    value_kind(&value[..run(value, |b| b.is_ascii_graphic() && !b"\"'\\`,;)".contains(b))])
}

fn value_kind(value: &[u8]) -> Option<What> {
    match value {
        [] | [b'$' | b'%' | b'<' | b'[' | b'{' | b'*' | b'!' | b'|' | b'.', ..] => None,
        b"rancher" => Some(What::DefaultPassword),
        _ => Some(What::Password),
    }
}

/// `password: …` or `passwd: …` as a key of a cloud-config. Elsewhere the words are everywhere.
fn config_password(a: &Around<'_>) -> Option<What> {
    if !a.cloud_config {
        return None;
    }
    let line = a.before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let key = line.iter().all(|b| is_word(*b) || b" -.\"'{".contains(b));
    let value = a.after.strip_prefix(b":").or_else(|| a.after.strip_prefix(b"\":"))?;
    let value = skip(value, b" \t\"'");
    let value = &value[..run(value, |b| b.is_ascii_graphic() && !b"\"'#".contains(b))];
    if !key || [&b"true"[..], b"false", b"null", b"~"].contains(&value) { None } else { value_kind(value) }
}

/// `$6$salt$hash`, with a salt and a hash that are long enough to be real.
fn hash(a: &Around<'_>) -> Option<What> {
    let crypt = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'=');
    let fields: Vec<&[u8]> = a.after.split(|b| *b == b'$').take(3).collect();
    let long = fields.iter().any(|f| (43..=90).contains(&run(f, crypt)));
    let salted = fields.len() > 1 && run(fields[0], crypt) == fields[0].len() && !fields[0].is_empty();
    some(salted && long, What::PasswordHash)
}

/// A folder of a person, in a text.
fn home(a: &Around<'_>) -> Option<What> {
    let starts = !a.before.last().is_some_and(|b| is_word(*b) && a.after.first() != Some(&b'\\'))
        || a.before.ends_with(b"C");
    let n = run(a.after, |b| is_word(*b) || *b == b'.');
    let user = std::str::from_utf8(&a.after[..n]).unwrap_or_default();
    some(a.text && starts && n > 0 && user != "." && !SYSTEM_USERS.contains(&user), What::HomePath)
}

/// The words to look for: those that everyone has, and this machine's.
pub struct Rules {
    finders: Vec<(Finder<'static>, Check)>,
}

impl Rules {
    /// `paths` and `host` are this machine's own: found also in binaries.
    #[must_use]
    pub fn new(paths: Vec<String>, host: Option<String>) -> Self {
        let mut finders: Vec<(Finder<'static>, Check)> =
            WORDS.iter().map(|(word, check)| (Finder::new(*word), *check)).collect();
        // Shorter paths, `/root` and `/src` among them, are other machines' as well.
        for path in paths.iter().filter(|p| p.len() >= 8) {
            let whole: Check = |a| some(!a.after.first().copied().is_some_and(is_word), What::HomePath);
            finders.push((Finder::new(path).into_owned(), whole));
        }
        let host = host.filter(|h| h.len() >= 5 && !COMMON_HOSTS.contains(&h.as_str()));
        if let Some(host) = host {
            let whole: Check = |a| {
                let ends = |b: Option<&u8>| !b.copied().is_some_and(is_word);
                some(ends(a.before.last()) && ends(a.after.first()), What::HostName)
            };
            finders.push((Finder::new(&host).into_owned(), whole));
        }
        Self { finders }
    }
}

/// Goes through bytes with the rules.
pub(super) struct Scanner<'a> {
    rules: &'a Rules,
    /// What was found, with the byte where its first one begins.
    pub(super) found: BTreeMap<What, u64>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(rules: &'a Rules) -> Self {
        Self { rules, found: BTreeMap::new() }
    }

    /// Looks at all that `reader` gives, chunk by chunk, each with the end of the one before.
    pub(super) fn read(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut window: Vec<u8> = Vec::new();
        let (mut at, mut kept) = (0, 0);
        let mut kind = None;
        loop {
            let have = window.len();
            (&mut *reader).take(CHUNK as u64).read_to_end(&mut window)?;
            let last = window.len() - have < CHUNK;
            let (text, config) =
                *kind.get_or_insert_with(|| (is_text(&window), window.starts_with(b"#cloud-config")));
            // What begins in the last part waits for what follows it.
            let until = if last { window.len() } else { window.len() - AROUND };
            self.window(&window, kept..until, at, (text, config));
            if last {
                return Ok(());
            }
            let from = until - AROUND;
            window.drain(..from);
            at += from as u64;
            kept = AROUND;
        }
    }

    fn window(
        &mut self,
        window: &[u8],
        range: std::ops::Range<usize>,
        at: u64,
        (text, config): (bool, bool),
    ) {
        for (finder, check) in &self.rules.finders {
            for start in finder.find_iter(window).filter(|i| range.contains(i)) {
                let end = start + finder.needle().len();
                let around = Around {
                    before: &window[start.saturating_sub(AROUND)..start],
                    after: &window[end..window.len().min(end + AROUND)],
                    text,
                    cloud_config: config,
                };
                if let Some(what) = check(&around) {
                    let first = self.found.entry(what).or_insert(u64::MAX);
                    *first = (*first).min(at + start as u64);
                }
            }
        }
    }
}

/// UTF-8 without NUL, as far as it was read.
fn is_text(bytes: &[u8]) -> bool {
    let cut = |e: std::str::Utf8Error| e.error_len().is_none();
    !bytes.contains(&0) && std::str::from_utf8(bytes).map_or_else(cut, |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Vec<What> {
        let rules = Rules::new(
            vec!["/work/builder/media".to_owned(), "/root".to_owned()],
            Some("buildhost7".to_owned()),
        );
        let mut scanner = Scanner::new(&rules);
        scanner.read(&mut &*bytes).unwrap();
        scanner.found.into_keys().collect()
    }

    #[test]
    fn each_kind_of_secret_is_known() {
        let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n", "b3BlbnNzaC1rZXktdjEA".repeat(3));
        let indented = key.replace('\n', "\n    ");
        let pat = format!("x=ghp_{}", "a1B2".repeat(9));
        let aws = ["AKIA", "ABCDEFGHIJKLMNO1"].concat();
        let hash = format!("rancher:$6$abcdefgh${}:1", "a".repeat(86));
        for (text, what) in [
            (key.as_str(), What::PrivateKey),
            (&indented, What::PrivateKey),
            (&key.replace('\n', "\\n"), What::PrivateKey),
            (&pat, What::Token),
            (&aws, What::Token),
            ("{\"auths\":{\"x\":{\"auth\": \"dXNlcjpwYXNzd29yZA==\"}}}", What::Token),
            ("Authorization: Bearer abcdef0123456789abcdef", What::Token),
            ("append quiet rancher.password=hunter2 x", What::Password),
            ("append rancher.password=\"rancher\"", What::DefaultPassword),
            ("#cloud-config\nrancher:\n  password: hunter2\n", What::Password),
            (&hash, What::PasswordHash),
            ("file:///home/alice/key", What::HomePath),
            ("see C:\\Users\\Alice\\x", What::HomePath),
            ("built on buildhost7.", What::HostName),
            ("\0/work/builder/media/target\0", What::HomePath),
        ] {
            assert_eq!(found(text.as_bytes()), [what], "{text}");
        }
    }

    #[test]
    fn what_stock_systems_are_full_of_is_no_find() {
        for text in [
            "-----BEGIN RSA PRIVATE KEY-----\0-----END",
            "\"-----BEGIN PRIVATE KEY-----\"\nif (x) { return; }\n",
            "AKIAIOSFODNN7EXAMPLE",
            "Authorization: Bearer %s",
            "Authorization: Bearer <token>",
            "root:x:0:0:root:/root:/bin/sh\nrancher:*:1:1::/home/rancher:/bin/bash\n",
            "rancher.password=${password}",
            "rancher.password=",
            "Enter password: now",
            "\0/home/buildozer/go/src/x.go\0",
            "notbuildhost7x",
            "echo \"$6$\"",
        ] {
            assert_eq!(found(text.as_bytes()), [], "{text}");
        }
    }

    #[test]
    fn a_secret_across_two_chunks_is_found_once_and_at_its_byte() {
        for shift in [0, 5, 600, 1100, 2000] {
            let mut bytes = vec![b'.'; CHUNK * 2 + 4096];
            let at = CHUNK - shift;
            let secret = format!(" ghp_{} ", "a1B2".repeat(9));
            bytes[at..at + secret.len()].copy_from_slice(secret.as_bytes());
            let rules = Rules::new(Vec::new(), None);
            let mut scanner = Scanner::new(&rules);
            scanner.read(&mut bytes.as_slice()).unwrap();
            assert_eq!(scanner.found, BTreeMap::from([(What::Token, at as u64 + 1)]), "{shift}");
        }
    }
}
