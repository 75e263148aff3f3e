//! `SHA256SUMS` and `SHA512SUMS`: what they list is there and is that, and nothing else is there.

use std::{collections::BTreeMap, ops::Range};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Checks, Subject, TEXT_LIMIT, read_file, sign};
use attest::{MANIFEST, PROVENANCE, SBOM};
use buildexec::{hash::Sums, paths};

/// What some editors put in front of a text.
const MARK: char = '\u{feff}';
/// The list that everything is compared with.
pub const SHA256: &str = "SHA256SUMS";
/// The same files by SHA-512.
pub const SHA512: &str = "SHA512SUMS";

/// Whether a file tells about the others, and is not listed by the manifest.
#[must_use]
pub(crate) fn is_about(path: &str) -> bool {
    is_list(path) || [MANIFEST, SBOM, PROVENANCE].contains(&path)
}

/// Whether a file is one that a list of checksums cannot list.
#[must_use]
pub(crate) fn is_list(path: &str) -> bool {
    [SHA256, SHA512, sign::SIGNATURE].contains(&path)
}

/// Whether a path from a list stays in its folder: the list comes with the media.
#[must_use]
pub(crate) fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|p| !matches!(p, "" | "." | ".."))
        && !path.contains(['\\', '\0', '\n', ':'])
}

/// A list's digests by path, as coreutils and BSD write it and as people edit it: with `./`, `#` lines, CRLF.
///
/// # Errors
/// What is wrong, with the line.
pub(crate) fn parse(text: &str, digits: usize) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for (number, line) in text.trim_start_matches(MARK).lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((hex, path)) = fields(line, digits) else {
            return Err(format!("line {} is not a checksum and a path", number + 1));
        };
        let digest = line[hex].to_ascii_lowercase();
        let old = found.insert(path.to_owned(), digest.clone());
        if old.is_some_and(|old| old != digest) {
            return Err(format!("line {} lists {path} with another digest", number + 1));
        }
    }
    if found.is_empty() { Err("it is empty".to_owned()) } else { Ok(found) }
}

/// A list with other digests of the files that `new` has by path; all else stays as it was written.
#[must_use]
pub fn with_digests(text: &str, digits: usize, new: &BTreeMap<&str, String>) -> String {
    let list = text.trim_start_matches(MARK);
    let mut changed = text[..text.len() - list.len()].to_owned();
    for line in list.split_inclusive('\n') {
        let found = fields(line, digits).and_then(|(hex, path)| Some((hex, new.get(path)?)));
        match found {
            Some((hex, digest)) => {
                changed += &line[..hex.start];
                changed += digest;
                changed += &line[hex.end..];
            }
            None => changed += line,
        }
    }
    changed
}

/// Where the digest stands in a line, and the path: `HEX  path` or `HEX *path` of coreutils, which takes one blank or
/// tab too, `SHA256 (path) = HEX` of BSD.
fn fields(line: &str, digits: usize) -> Option<(Range<usize>, &str)> {
    let line = line.trim_end();
    let (hex, path) = if let Some((path, hex)) = line.strip_prefix("SHA").and_then(|r| r.rsplit_once(") = "))
    {
        let (bits, path) = path.split_once(" (")?;
        let place = line.len() - hex.len()..line.len();
        matches!(bits, "256" | "512").then_some((place, path))?
    } else {
        let rest = line.get(digits..)?;
        (0..digits, ["  ", " *", " ", "\t"].iter().find_map(|blank| rest.strip_prefix(blank))?)
    };
    let path = path.strip_prefix("./").unwrap_or(path);
    let is_digest = hex.len() == digits && line[hex.clone()].bytes().all(|b| b.is_ascii_hexdigit());
    (is_digest && is_plain(path)).then_some((hex, path))
}

/// Files that systems leave in folders that are looked at; no firmware or loader reads them.
pub(crate) fn is_litter(path: &Utf8Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    [".DS_Store", "Thumbs.db", "desktop.ini", ".directory"].contains(&name) || name.starts_with("._")
}

/// Reads and parses the list `name` in `dir`.
///
/// # Errors
/// What is wrong.
pub fn read(dir: &Utf8Path, name: &str, digits: usize) -> Result<BTreeMap<String, String>, String> {
    read_back(&bytes(dir, name)?, name, digits)
}

/// The bytes of the list `name` in `dir`.
pub(super) fn bytes(dir: &Utf8Path, name: &str) -> Result<Vec<u8>, String> {
    read_file(&dir.join(name), TEXT_LIMIT).map_err(|e| match is_there(dir, name) {
        true => format!("{e:#}"),
        false => format!("no such file: {name}"),
    })
}

fn read_back(bytes: &[u8], name: &str, digits: usize) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"))?;
    parse(text, digits).map_err(|e| format!("{name}: {e}"))
}

/// Whether there is anything of that name: what is there and cannot be read is not a list that is missing.
#[must_use]
pub fn is_there(dir: &Utf8Path, name: &str) -> bool {
    fs_err::symlink_metadata(dir.join(name)).is_ok()
}

/// The file `path` of `dir`; a link would lead to bytes that are not among the media.
pub(super) fn regular(dir: &Utf8Path, path: &str) -> Result<Utf8PathBuf, String> {
    let full = dir.join(path);
    match fs_err::symlink_metadata(&full) {
        Ok(meta) if meta.is_file() => Ok(full),
        Ok(_) => Err(format!("{path} is not a regular file")),
        Err(_) => Err(format!("{path} is missing")),
    }
}

pub(super) fn check(subject: &Subject<'_>, checks: &mut Checks) {
    let dir = &subject.dir;
    if subject.only.is_some() && !is_there(dir, SHA256) {
        let unknown = "these bytes were not compared with what was published";
        return checks.skip("checksums", format!("no {SHA256} beside it: {unknown}"));
    }
    let listed = subject.list().and_then(|bytes| read_back(&bytes, SHA256, 64));
    checks.add(
        "checksums",
        listed.clone().and_then(|listed| compare(subject, SHA256, &listed, |sums| sums.sha256.to_string())),
    );
    if is_there(dir, SHA512) {
        let other = read(dir, SHA512, 128);
        let same = other.and_then(|other| match &listed {
            Ok(listed) if listed.keys().ne(other.keys()) => {
                Err(format!("{SHA256} and {SHA512} list different files"))
            }
            _ => compare(subject, SHA512, &other, |sums| sums.sha512.unwrap_or_default()),
        });
        checks.add("sha512", same);
    } else if subject.manifest.is_some() && subject.only.is_none() {
        checks.add("sha512", Err(format!("{SHA512} is missing: `dist` writes both lists")));
    }
    if subject.only.is_none() {
        checks.add("files", listed.and_then(|listed| extra(dir, &listed)));
    }
}

fn compare(
    subject: &Subject<'_>,
    list: &str,
    listed: &BTreeMap<String, String>,
    digest: impl Fn(Sums) -> String,
) -> Result<String, String> {
    let mut count = 0;
    for path in listed.keys().filter(|path| subject.wants(path)) {
        if digest(subject.sums(path)?) != listed[path] {
            return Err(format!("{path} does not match {list}"));
        }
        count += 1;
    }
    match (count, &subject.only) {
        (0, Some(only)) => Err(format!("{list} does not list {only}")),
        _ => Ok(format!("{count} files are as {list} says")),
    }
}

fn extra(dir: &Utf8Path, listed: &BTreeMap<String, String>) -> Result<String, String> {
    let files = paths::listed(dir).map_err(|e| format!("{e:#}"))?;
    // Lists do not list themselves, so that anything could have their names.
    for list in [SHA256, SHA512, sign::SIGNATURE].into_iter().filter(|list| is_there(dir, list)) {
        regular(dir, list)?;
    }
    let extra = files.iter().filter(|f| !listed.contains_key(f.as_str()) && !is_list(f.as_str()));
    let (litter, extra): (Vec<_>, Vec<_>) = extra.partition(|f| is_litter(f));
    match (extra.first(), litter.first()) {
        (Some(file), _) => Err(format!("{file} is in no list")),
        (None, Some(file)) => {
            Ok(format!("no file is missing or extra (note: {file} was left by a file manager)"))
        }
        (None, None) => Ok("no file is missing or extra".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_coreutils_is_read() {
        let hex = "a".repeat(64);
        let list = parse(&format!("{hex}  a b\n{hex} *c/d\n"), 64).unwrap();
        assert_eq!(list.keys().collect::<Vec<_>>(), ["a b", "c/d"]);
    }

    #[test]
    fn a_list_as_bsd_and_people_write_it_is_read() {
        let hex = "a".repeat(64);
        let text = format!("# of today\r\nSHA256 (a (b).iso) = {hex}\r\n\r\n{hex}  ./c/d\r\n");
        assert_eq!(parse(&text, 64).unwrap().keys().collect::<Vec<_>>(), ["a (b).iso", "c/d"]);
        let text = format!("{hex} a b\n{hex}\tc/d\n{hex}  a b\n");
        assert_eq!(parse(&text, 64).unwrap().keys().collect::<Vec<_>>(), ["a b", "c/d"]);
        assert!(parse(&format!("{text}{}  a b\n", "b".repeat(64)), 64).unwrap_err().contains("line 4"));
        assert!(parse(&format!("{hex}0  a\n"), 64).is_err() && parse(&format!("{hex}a\n"), 64).is_err());
        assert!(parse(&format!("MD5 (a) = {hex}\n"), 64).is_err());
        assert!(parse("# nothing\n", 64).is_err());
    }

    #[test]
    fn digests_are_replaced_and_all_else_stays() {
        let (old, new) = ("a".repeat(64), "b".repeat(64));
        let text = |hex: &str| {
            format!("\u{feff}# by hand\r\nSHA256 (./x {old}) = {hex}\r\n\r\n{hex} *y\n{old}  ./z\n{hex}  end")
        };
        let digests = [format!("x {old}"), "y".to_owned(), "end".to_owned()];
        let digests = digests.iter().map(|path| (path.as_str(), new.clone())).collect();
        assert_eq!(with_digests(&text(&old), 64, &digests), text(&new));
    }

    #[test]
    fn a_list_that_leads_away_or_contradicts_itself_is_refused() {
        let hex = "a".repeat(64);
        for text in [
            format!("{hex}  ../x\n"),
            format!("{hex}  /etc/passwd\n"),
            format!("{hex}  a\n{}  a\n", "b".repeat(64)),
            format!("{}  a\n", "g".repeat(64)),
            format!("{hex}  \n"),
            format!("{hex}  a\\b\n"),
            format!("{hex}  c:\n"),
            "abc  a\n".to_owned(),
            String::new(),
        ] {
            assert!(parse(&text, 64).is_err(), "{text}");
        }
    }
}
