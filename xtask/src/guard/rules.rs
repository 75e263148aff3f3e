//! Goes through bytes once and asks each rule whose word stands there. A rule has a word, which is searched for fast,
//! and a check of what stands around it; texts are also read as what they may be: a cloud-config, base64.
//!
//! Why stock systems stay quiet: a key needs its base64 behind the header that every TLS library has in it; in ELF
//! programs, kernels and Go's among them, which are full of their builders' folders and of examples of addresses, a
//! home folder counts only when it is this machine's own; `/root` is a folder of every system and counts only as part
//! of this repository's path; users that RancherOS itself has are nobody's.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read as _},
    ops::Range,
};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::{config, encoded, formats, input::Input, machine, passwords, tokens, walk::BASE64};

/// A kind of find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
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

/// What stands around a word.
pub(super) struct Around<'a> {
    pub(super) before: &'a [u8],
    /// The word as it stands there, which may differ in case from the rule's.
    pub(super) word: &'a [u8],
    pub(super) after: &'a [u8],
    pub(super) is_text: bool,
    pub(super) is_program: bool,
}

impl Around<'_> {
    /// What stands in front on the same line.
    pub(super) fn line(&self) -> &[u8] {
        self.before.rsplit(|b| matches!(b, b'\n' | b'\r' | 0)).next().unwrap_or_default()
    }
}

pub(super) type Check = fn(&Around<'_>) -> Option<What>;

pub(super) fn some(yes: bool, what: What) -> Option<What> {
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
    /// The check of each word; none is where an archive may begin.
    checks: Vec<Option<Check>>,
    /// Whether a name of this machine is looked for; one that every machine has tells nothing.
    pub looks_for_host: bool,
}

/// What was seen up to the end, or to an archive in the middle.
pub(super) struct Seen {
    /// The byte where the first of each kind begins.
    pub(super) found: BTreeMap<What, u64>,
    /// Bytes that the text holds in another form, and how it is called.
    pub(super) hidden: Vec<(&'static str, Vec<u8>)>,
    /// Why the end was not reached.
    pub(super) result: io::Result<()>,
}

impl Rules {
    /// `paths` and `host` are this machine's own: found also in programs.
    #[must_use]
    pub fn new(paths: Vec<String>, host: Option<String>) -> Self {
        let mut words: Vec<(Vec<u8>, Option<Check>)> = Vec::new();
        for (word, check) in tokens::WORDS.iter().chain(passwords::WORDS).chain(machine::WORDS) {
            words.push((word.to_vec(), Some(*check)));
        }
        words.extend(formats::WORDS.iter().map(|word| (word.to_vec(), None)));
        // Shorter paths, `/root` and `/src` among them, are other machines' as well.
        for path in paths.into_iter().filter(|p| p.len() >= 8) {
            words.push((path.replace('\\', r"\\").into_bytes(), Some(machine::own_path)));
            words.push((path.into_bytes(), Some(machine::own_path)));
        }
        let host = host.and_then(machine::host);
        let looks_for_host = host.is_some();
        words.extend(host.map(|(word, check)| (word.into_bytes(), Some(check))));
        let build = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(words.iter().map(|(word, _)| word));
        let checks = words.iter().map(|(_, check)| *check).collect();
        Self { words: build.expect("a hundred short words fit"), checks, looks_for_host }
    }

    /// Looks at all that `input` gives, chunk by chunk, each with the end of the one before. An archive that begins
    /// at the first byte is none: that was tried.
    pub(super) fn look(&self, input: &mut Input<'_>) -> Seen {
        let mut seen = Seen { found: BTreeMap::new(), hidden: Vec::new(), result: Ok(()) };
        let mut window: Vec<u8> = Vec::new();
        let (mut at, mut kept) = (input.position(), 0);
        let mut text = None;
        loop {
            let have = window.len();
            let result = (&mut *input).take(CHUNK as u64).read_to_end(&mut window);
            let last = window.len() - have < CHUNK;
            let kind =
                Kind { is_text: *text.get_or_insert_with(|| is_text(&window)), is_program: input.is_program };
            // What begins in the last part waits for what follows it.
            let until = if last { window.len() } else { window.len() - AROUND };
            let end = self.window(&window, kept..until, at, kind, &mut seen);
            if kind.is_text {
                let text = &window[kept..end.unwrap_or(window.len())];
                seen.hidden.extend(encoded::base64_runs(text, until - kept).map(|bytes| (BASE64, bytes)));
                if kept == 0 {
                    config::look(text, at, &mut seen);
                }
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
        kind: Kind,
        seen: &mut Seen,
    ) -> Option<usize> {
        let begin = range.start;
        let matches: Vec<_> = self
            .words
            .find_overlapping_iter(aho_corasick::Input::new(window).range(begin..))
            .filter(|m| range.contains(&m.start()))
            .map(|m| (m.range(), self.checks[m.pattern()]))
            .collect();
        let archives = matches.iter().filter(|(r, check)| check.is_none() && r.start > 0);
        let end = archives.map(|(r, _)| r.start).find(|start| formats::begins(&window[*start..]));
        for (word, check) in matches.iter().filter(|(r, _)| end.is_none_or(|end| r.start < end)) {
            let around = Around {
                before: &window[word.start.saturating_sub(AROUND)..word.start],
                word: &window[word.clone()],
                after: &window[word.end..window.len().min(word.end + AROUND)],
                is_text: kind.is_text,
                is_program: kind.is_program,
            };
            if let Some(what) = check.and_then(|check| check(&around)) {
                seen.found(what, at + word.start as u64);
            }
        }
        end
    }
}

/// What the bytes around a word are a part of.
#[derive(Clone, Copy)]
struct Kind {
    is_text: bool,
    is_program: bool,
}

impl Seen {
    pub(super) fn found(&mut self, what: What, at: u64) {
        let first = self.found.entry(what).or_insert(u64::MAX);
        *first = (*first).min(at);
    }
}

/// Whether it is UTF-8 without NUL, as far as it was read.
fn is_text(bytes: &[u8]) -> bool {
    let cut = |e: std::str::Utf8Error| e.error_len().is_none();
    !bytes.contains(&0) && std::str::from_utf8(bytes).map_or_else(cut, |_| true)
}
