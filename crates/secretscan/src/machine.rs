//! Traces of the machine that built: home folders and the host's name.

use super::rules::{FindKind, MatchContext, RuleCheck, is_word, run, some};

/// Words and their checks.
pub(super) const WORDS: &[(&[u8], RuleCheck)] = &[
    (b"/home/", home),
    (b"/Users/", home),
    (b":\\Users\\", home),
    (b":\\\\Users\\\\", home),
    (b":/Users/", home),
];

/// Names that many machines have. They count, as short ones do, only where it is clear that a machine is meant.
const COMMON_HOSTS: &[&str] = &["debian", "ubuntu", "fedora", "alpine", "rancher", "runner", "docker"];
/// Users of the systems that we make media of, and folders of no person.
const SYSTEM_USERS: &[&str] =
    &["rancher", "docker", "dockremap", "linuxbrew", "samba", "Public", "Default", "All"];
/// Words behind which a machine's name stands.
const HOST_WORDS: &[&str] = &["host", "hostname", "machine", "nodename", "builder", "buildhost"];
/// Domains of a home or an office.
const DOMAINS: &[&str] =
    &[".local", ".lan", ".home", ".internal", ".localdomain", ".corp", ".intranet", ".fritz.box"];

/// A folder of a person; programs have those of the person who compiled them.
fn home(a: &MatchContext<'_>) -> Option<FindKind> {
    let drive = a.word[0] == b':';
    let starts = match a.before {
        [.., b'-', flag] => drive || flag.is_ascii_alphabetic(),
        [.., b] if drive => b.is_ascii_alphabetic(),
        [.., b] => !is_word(*b) || a.before.ends_with(b"/var") || a.before.ends_with(b"/export"),
        [] => !drive,
    };
    // Only Windows takes no heed of case.
    let exact = drive || a.word == b"/home/" || a.word == b"/Users/";
    let n = run(a.after, |b| is_word(*b) || *b == b'.' || *b >= 0x80);
    let user = String::from_utf8_lossy(&a.after[..n]);
    let someone = user.chars().any(char::is_alphanumeric) && !SYSTEM_USERS.contains(&&*user);
    some(!a.is_program && starts && exact && someone, FindKind::HomePath)
}

/// A path of this machine, as a whole.
pub(super) fn own_path(a: &MatchContext<'_>) -> Option<FindKind> {
    some(!a.after.first().copied().is_some_and(is_word), FindKind::HomePath)
}

/// How this machine's name is looked for; not at all when every machine has it.
pub(super) fn host(name: String) -> Option<(String, RuleCheck)> {
    if name.is_empty() || name.eq_ignore_ascii_case("localhost") {
        return None;
    }
    let common = name.len() < 5 || COMMON_HOSTS.contains(&name.as_str());
    Some((name, if common { common_host } else { whole_word }))
}

fn is_whole(a: &MatchContext<'_>) -> bool {
    let ends = |b: Option<&u8>| !b.copied().is_some_and(is_word);
    ends(a.before.last()) && ends(a.after.first())
}

fn whole_word(a: &MatchContext<'_>) -> Option<FindKind> {
    some(is_whole(a), FindKind::HostName)
}

/// A short name is a word as well (`vm.swappiness`): it counts in texts, with a domain, behind `user@`, or behind a
/// word that says what it is.
fn common_host(a: &MatchContext<'_>) -> Option<FindKind> {
    // Cheap questions first: a short name stands by chance in whatever is long enough.
    if !a.is_text || !is_whole(a) {
        return None;
    }
    let domain = DOMAINS
        .iter()
        .any(|d| a.after.starts_with(d.as_bytes()) && !a.after.get(d.len()).copied().is_some_and(is_word));
    let line = a.line();
    let last = line.iter().rposition(|b| !b" \t:=\"'".contains(b)).map_or(&[][..], |at| &line[..=at]);
    let letters = last.iter().rev().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let said = HOST_WORDS.iter().any(|w| last[last.len() - letters..].eq_ignore_ascii_case(w.as_bytes()));
    let account = line.ends_with(b"@") && line.len() > 1;
    some(domain || said || account, FindKind::HostName)
}
