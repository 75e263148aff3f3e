//! Goes through bytes once and asks each rule whose word stands there. A rule has a word, which is searched for fast,
//! and a check of what stands around it; texts are also read as what they may be: a cloud-config, base64.
//!
//! Why stock systems stay quiet: a key needs its base64 behind the header that every TLS library has in it; in ELF
//! programs, kernels and Go's among them, which are full of their builders' folders and of examples of addresses, a
//! home folder counts only when it is this machine's own; `/root` is a folder of every system and counts only as part
//! of this repository's path; users that RancherOS itself has are not person's. In
//! what packages ship to be read, which is full of examples, only traces of this machine count.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read as _},
    ops::Range,
};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::{
    config, encoded, formats,
    forms::FORMS,
    input::{Limit, ScannedBytes},
    machine, passwords, settings, tokens,
};

/// A kind of find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindKind {
    /// The password `rancher`, the first that anyone tries.
    DefaultPassword,
    /// A password of a user, a loader, an address, or in a cloud-config.
    Password,
    /// The hash of a password, as `/etc/shadow` has it.
    PasswordHash,
    /// A private key: PEM, DER, OpenSSH, PuTTY, age, minisign.
    PrivateKey,
    /// A token of GitHub, GitLab, AWS, a registry and others, or an `Authorization` header.
    Token,
    /// Somebody's home folder, or this repository's.
    HomePath,
    /// This machine's name.
    HostName,
}

impl FindKind {
    /// Whether `publish-secrets` lets it pass.
    #[must_use]
    pub(crate) fn is_secret(self) -> bool {
        !matches!(self, Self::DefaultPassword | Self::HomePath | Self::HostName)
    }
}

impl fmt::Display for FindKind {
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
/// The work that it is to check a word, in bytes that are read; a shorter one stands everywhere and is told by what is
/// next to it.
const CHECK: usize = 2048;
const SHORT_CHECK: usize = 64;
const LONG_WORD: usize = 6;
/// That it is to try a pattern around a word.
const FORM: usize = 256;
/// That it is to begin anew where an archive begins.
const ARCHIVE: usize = 16384;

/// What stands around a word.
pub(super) struct MatchContext<'a> {
    pub(super) before: &'a [u8],
    /// The word as it stands there, which may differ in case from the rule's.
    pub(super) word: &'a [u8],
    pub(super) after: &'a [u8],
    pub(super) is_text: bool,
    pub(super) is_program: bool,
}

impl MatchContext<'_> {
    /// What stands in front on the same line.
    pub(super) fn line(&self) -> &[u8] {
        self.before.rsplit(|b| matches!(b, b'\n' | b'\r' | 0)).next().unwrap_or_default()
    }
}

pub(super) type RuleCheck = fn(&MatchContext<'_>) -> Option<FindKind>;

pub(super) fn some(yes: bool, what: FindKind) -> Option<FindKind> {
    yes.then_some(what)
}

pub(super) fn run(bytes: &[u8], of: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|b| of(b)).count()
}

pub(super) fn skip<'a>(bytes: &'a [u8], these: &[u8]) -> &'a [u8] {
    &bytes[run(bytes, |b| these.contains(b))..]
}

pub(super) fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

/// The words to look for: those that everyone has, and this machine's.
pub struct Rules {
    words: AhoCorasick,
    /// What each word is for.
    uses: Vec<WordUse>,
    /// Whether a name of this machine is looked for; one that every machine has tells nothing.
    pub looks_for_host: bool,
}

/// What a word is for.
#[derive(Clone, Copy)]
enum WordUse {
    /// An archive may begin there.
    Archive,
    Check(RuleCheck),
    /// Something of this machine.
    Own(RuleCheck),
    /// The pattern with this number is tried around it.
    Form(usize),
}

/// What was seen up to the end, or to an archive in the middle.
pub(super) struct Seen {
    /// The byte where the first of each kind begins.
    pub(super) found: BTreeMap<FindKind, u64>,
    /// Bytes that the text holds in another form, and how it is called.
    pub(super) hidden: Vec<(&'static str, Vec<u8>)>,
    /// Why the end was not reached.
    pub(super) result: io::Result<()>,
}

impl Rules {
    /// `paths` and `host` are this machine's own: found also in programs.
    #[must_use]
    pub(crate) fn new(paths: Vec<String>, host: Option<String>) -> Self {
        let mut words: Vec<(Vec<u8>, WordUse)> = Vec::new();
        for (word, check) in
            tokens::WORDS.iter().chain(passwords::WORDS).chain(settings::WORDS).chain(machine::WORDS)
        {
            words.push((word.to_vec(), WordUse::Check(*check)));
        }
        words.extend(formats::WORDS.iter().map(|word| (word.to_vec(), WordUse::Archive)));
        words.extend(FORMS.words().iter().map(|(word, form)| (word.clone(), WordUse::Form(*form))));
        // Shorter paths, `/root` and `/src` among them, are other machines' as well.
        for path in paths.into_iter().filter(|p| p.len() >= 8) {
            words.push((path.replace('\\', r"\\").into_bytes(), WordUse::Own(machine::own_path)));
            words.push((path.into_bytes(), WordUse::Own(machine::own_path)));
        }
        let host = host.and_then(machine::host);
        let looks_for_host = host.is_some();
        words.extend(host.map(|(word, check)| (word.into_bytes(), WordUse::Own(check))));
        let build = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(words.iter().map(|(word, _)| word));
        let uses = words.iter().map(|(_, word)| *word).collect();
        Self { words: build.expect("a few hundred short words fit"), uses, looks_for_host }
    }

    /// Looks at all that `input` gives, chunk by chunk, each with the end of the one before. An archive that begins
    /// at the first byte is none: that was tried.
    pub(super) fn look(&self, input: &mut ScannedBytes<'_>) -> Seen {
        let mut seen = Seen { found: BTreeMap::new(), hidden: Vec::new(), result: Ok(()) };
        let mut window: Vec<u8> = Vec::new();
        let (mut at, mut kept) = (input.position(), 0);
        let mut text = None;
        loop {
            let have = window.len();
            let result = (&mut *input).take(CHUNK as u64).read_to_end(&mut window);
            let last = window.len() - have < CHUNK;
            let kind = WordContext {
                is_text: *text.get_or_insert_with(|| is_text(&window)),
                is_program: input.is_program,
                is_documentation: input.is_documentation,
            };
            // What begins in the last part waits for what follows it.
            let until = if last { window.len() } else { window.len() - AROUND };
            let end = self.window(&window, kept..until, at, kind, input.limit, &mut seen);
            let end = match end {
                Ok(end) => end,
                Err(e) => {
                    seen.result = Err(e);
                    return seen;
                }
            };
            let rest = &window[kept..end.unwrap_or(window.len())];
            if kind.is_documentation {
                // Examples are spelled in all ways.
            } else if kind.is_text {
                encoded::spellings(rest, (until - kept).min(rest.len()), &mut seen.hidden);
                if kept == 0 {
                    config::look(rest, at, &mut seen);
                }
            } else if !kind.is_program {
                encoded::inside_binary(rest, &mut seen.hidden);
            }
            if let Some(end) = end {
                input.put_back(&window[end..]);
            }
            if last || end.is_some() {
                seen.result = result.map(drop);
                return seen;
            }
            let from = until - AROUND;
            window.drain(..from);
            at += from as u64;
            kept = AROUND;
        }
    }

    /// Where an archive begins in `range` of the window, if one does; up to there all words are checked.
    fn window(
        &self,
        window: &[u8],
        range: Range<usize>,
        at: u64,
        kind: WordContext,
        limit: &Limit,
        seen: &mut Seen,
    ) -> io::Result<Option<usize>> {
        let matches = self
            .words
            .find_overlapping_iter(aho_corasick::Input::new(window).range(range.start..))
            .filter(|m| range.contains(&m.start()))
            .map(|m| (m.range(), self.uses[m.pattern()]));
        let mut end = None;
        let mut forms: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
        for (word, what_for) in matches {
            let check = match what_for {
                WordUse::Archive => {
                    if word.start > 0 && formats::begins(&window[word.start..]) {
                        limit.work(ARCHIVE)?;
                        end = Some(word.start);
                        break;
                    }
                    continue;
                }
                WordUse::Form(form) => {
                    let shipped = kind.is_program || kind.is_documentation;
                    if !shipped && FORMS.counts(form, &word, kind.is_text) {
                        limit.work(FORM)?;
                        forms.entry(form).or_default().push(word);
                    }
                    continue;
                }
                WordUse::Check(_) if kind.is_documentation => continue,
                WordUse::Check(check) | WordUse::Own(check) => check,
            };
            limit.work(if word.len() >= LONG_WORD { CHECK } else { SHORT_CHECK })?;
            let around = MatchContext {
                before: &window[word.start.saturating_sub(AROUND)..word.start],
                word: &window[word.clone()],
                after: &window[word.end..window.len().min(word.end + AROUND)],
                is_text: kind.is_text,
                is_program: kind.is_program,
            };
            if let Some(what) = check(&around) {
                seen.found(what, at + word.start as u64);
            }
        }
        let window = &window[..end.unwrap_or(window.len())];
        for (form, words) in forms {
            for (what, start) in FORMS.look(form, window, &words) {
                seen.found(what, at + start as u64);
            }
        }
        Ok(end)
    }
}

/// What the bytes around a word are a part of.
#[derive(Clone, Copy)]
struct WordContext {
    is_text: bool,
    is_program: bool,
    is_documentation: bool,
}

impl Seen {
    pub(super) fn found(&mut self, what: FindKind, at: u64) {
        let first = self.found.entry(what).or_insert(u64::MAX);
        *first = (*first).min(at);
    }
}

/// Whether it is text as far as it was read: UTF-8, or an older encoding in which a letter here and there is no UTF-8.
fn is_text(bytes: &[u8]) -> bool {
    let cut = |e: std::str::Utf8Error| e.error_len().is_none();
    let old = || {
        let odd =
            bytes.iter().filter(|b| **b >= 0x7F || **b < b' ' && !b.is_ascii_whitespace() && **b != 0x1B);
        odd.count() * 20 <= bytes.len()
    };
    !bytes.contains(&0) && (std::str::from_utf8(bytes).map_or_else(cut, |_| true) || old())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Limit;
    use buildexec::signals::Interrupt;

    fn seen(bytes: &[u8], host: &str, is_program: bool) -> Vec<FindKind> {
        let rules =
            Rules::new(vec!["/srv/builder/media".to_owned(), "/root".to_owned()], Some(host.to_owned()));
        let (limit, mut reader) = (Limit::new(1 << 30, Interrupt::default()), bytes);
        let mut input = ScannedBytes::new(&mut reader, &limit, 0);
        input.is_program = is_program;
        rules.look(&mut input).found.into_keys().collect()
    }

    fn found(bytes: &[u8]) -> Vec<FindKind> {
        seen(bytes, "buildhost7", false)
    }

    fn all(what: FindKind, texts: &[&str]) {
        for text in texts {
            assert_eq!(found(text.as_bytes()), [what], "{text}");
        }
    }

    #[test]
    fn private_keys_are_known_however_their_lines_end() {
        let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n", "b3BlbnNzaC1rZXktdjEA".repeat(3));
        for end in ["\n", "\r\n", "\n    ", "\\n", "\\r\\n", " "] {
            all(FindKind::PrivateKey, &[&key.replace('\n', end)]);
        }
        all(FindKind::PrivateKey, &["PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"]);
        let modulus = [&[0x30, 0x82, 4, 0xA4, 2, 1, 0, 2, 0x82, 1, 1, 0][..], &[0xA7; 256]].concat();
        let pkcs1 = [&modulus[..], &[2, 3, 1, 0, 1, 2, 0x82, 1, 0]].concat();
        let ed25519 =
            [&b"\x30\x2E\x02\x01\x00\x30\x05\x06\x03\x2B\x65\x70\x04\x22\x04\x20"[..], &[7; 32]].concat();
        let encrypted = [
            &b"\x30\x82\x01\x19\x30\x13\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0D\x30\x06"[..],
            &[5; 6],
            &[4, 0x82, 1, 0],
            &[0xA7; 256],
        ];
        assert_eq!(found(&encrypted.concat()), [FindKind::PrivateKey]);
        let other_length = [encrypted[0], encrypted[1], &[4, 0x82, 1, 1], encrypted[3]];
        assert_eq!(found(&other_length.concat()), []);
        for der in [pkcs1, ed25519] {
            assert_eq!(found(&der), [FindKind::PrivateKey]);
            assert_eq!(seen(&der, "h", true), [], "a kernel has keys for tests");
        }
    }

    #[test]
    fn tokens_and_hashes_are_known_by_their_form() {
        for start in ["ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "npm_", "dckr_pat_"] {
            all(FindKind::Token, &[&format!("x={start}{}", "a1B2".repeat(9))]);
        }
        all(
            FindKind::Token,
            &[
                &["AKIA", "ABCDEFGHIJKLMNO1"].concat(),
                &["AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENG", "bPxRfiCYzzzzzzzzKEYa"].concat(),
                &["xoxb-", "123456789012-abcdefghijklmnop"].concat(),
                &format!("K3S_TOKEN=K10{}::server:abcdef", "0a".repeat(32)),
                &format!("token-abcde:{}", "b7".repeat(27)),
                "{\"auths\":{\"x\":{\"auth\": \"dXNlcjpwYXNzd29yZA==\"}}}",
                "Authorization: Bearer abcdef0123456789abcdef",
            ],
        );
        for (start, length) in [
            ("$1$abcdefgh$", 22),
            ("$apr1$abcdefgh$", 22),
            ("$2a$12$", 53),
            ("$2y$12$", 53),
            ("$5$salt$", 43),
        ] {
            all(FindKind::PasswordHash, &[&format!("root:{start}{}:1", "a".repeat(length))]);
        }
        for start in ["$6$rounds=5000$abcdefgh$", "$6$abcdefgh$", "grub.pbkdf2.sha512.10000."] {
            all(FindKind::PasswordHash, &[&format!("{start}{}", "a".repeat(86))]);
        }
        all(
            FindKind::PasswordHash,
            &[&format!("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ${}", "a".repeat(43))],
        );
    }

    #[test]
    fn passwords_are_known_where_they_stand() {
        all(
            FindKind::Password,
            &[
                "append rancher.password=hunter2 x",
                "append rancher.password=!Sommer2024 x",
                "append rancher.password=$ommer2024 x",
                "append rancher.password=[x]Sommer x",
                "append \"rancher.password\"=hunter2",
                "rancher.cloud_init.datasources=[url:https://bob:hunter2@cfg.example/x]",
                "#!ipxe\nset password hunter2\n",
                "#!ipxe\nset net0/password:string hunter2\n",
                "MENU MASTER PASSWD hunter2\n",
                "set superusers=\"root\"\npassword root hunter2\n",
                "#cloud-config\nrancher:\n  password: hunter2\n",
                "\u{feff}#cloud-config\nrancher:\n  password: hunter2\n",
                "rancher:\n  password : 'correct horse'\n",
                "#cloud-config\nrancher: {password: \"!x\"}\n",
                "#cloud-config\nrancher:\n  password: |\n    hunter2\n",
                "#cloud-config\nchpasswd:\n  list: |\n    root:hunter2\n",
                "#cloud-config\nwrite_files:\n- content: |\n    password: hunter2\n",
                "#cloud-config\npassword: hunter2\n  broken: [\n",
            ],
        );
        all(
            FindKind::DefaultPassword,
            &["rancher.password=\"rancher\"", "#cloud-config\nrancher:\n  password: rancher\n"],
        );
        all(
            FindKind::Token,
            &["#cloud-config\nrancher:\n  registry_auths:\n    r.io:\n      auth: dXNlcjpodW50ZXI=\n"],
        );
    }

    #[test]
    fn traces_of_machines_are_known() {
        all(
            FindKind::HomePath,
            &[
                "file:///home/alice/key",
                "-I/home/alice/include",
                "/var/home/alice/x",
                "/home/ubuntu/x /home/user/x",
                "see C:\\Users\\Alice\\x",
                "{\"a\":\"c:\\\\users\\\\Alice\\\\x\"}",
                "MZ\0\u{1}set root=/home/alice/x\0",
                "\0/srv/builder/media/target\0",
            ],
        );
        all(FindKind::HostName, &["built on buildhost7."]);
        for text in ["vm.local", "root@vm:~#", "hostname: vm"] {
            assert_eq!(seen(text.as_bytes(), "vm", false), [FindKind::HostName], "{text}");
        }
        assert_eq!(seen(b"vm.swappiness = 1, a vm", "vm", false), []);
        assert_eq!(seen(b"\0/home/buildozer/go/src/x.go http://bob:pw@h/\0", "h", true), []);
        assert_eq!(seen(b"\0/srv/builder/media/target\0", "h", true), [FindKind::HomePath]);
        assert!(!Rules::new(Vec::new(), Some("localhost".to_owned())).looks_for_host);
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
            "rancher.password=‹secret›",
            "rancher.password=",
            "Enter password: now",
            "password is wrong",
            "set password ${net0/password}",
            "ftp://user:password@host/ http://[user:pass@]host http://%s:%s@%s",
            "notbuildhost7x",
            "echo \"$6$\" $1$2",
            "{\"auth\":\"anonymous\"}",
            "#cloud-config\nusers:\n- name: a\n  lock_passwd: yes\n- name: b\n  lock-passwd: \"off\"\n",
            "#cloud-config\nusers:\n- passwd: \"!\"\n",
            "#cloud-config\nwrite_files:\n- content: |\n    password: ask the admin\n    passwd: files\n",
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
            let (limit, mut reader) = (Limit::new(1 << 30, Interrupt::default()), bytes.as_slice());
            let seen = rules.look(&mut ScannedBytes::new(&mut reader, &limit, 0));
            assert_eq!(seen.found, BTreeMap::from([(FindKind::Token, at as u64 + 1)]), "{shift}");
        }
    }
}
