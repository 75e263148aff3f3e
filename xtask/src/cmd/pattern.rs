//! `*` and `?` in the name of an image, for shells that leave them to the program: PowerShell and cmd.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use failure::{Failure, Kind};

/// The one file that `path` means: itself when it has no pattern or exists, else the one that matches.
///
/// # Errors
/// [`Kind::Usage`] when none or several match.
pub(super) fn one(path: &Utf8Path) -> Result<Utf8PathBuf> {
    if !path.as_str().contains(['*', '?']) || path.exists() {
        return Ok(path.to_owned());
    }
    let mut found = vec![Utf8PathBuf::new()];
    for part in path.components().map(|c| c.as_str()) {
        found = found.iter().flat_map(|dir| step(dir, part)).collect();
    }
    found.sort();
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => Err(Failure::new(Kind::Usage, format!("no file matches {path}")).into()),
        more => {
            let names: Vec<_> = more.iter().map(|p| p.as_str()).collect();
            let text = format!("{path} matches {} files: {}", more.len(), names.join(", "));
            Err(Failure::new(Kind::Usage, text).help("name one of them").into())
        }
    }
}

/// What of `dir` a part of the path means. As in a shell, a pattern does not match a name that begins with a dot.
fn step(dir: &Utf8Path, part: &str) -> Vec<Utf8PathBuf> {
    if !part.contains(['*', '?']) {
        let path = dir.join(part);
        return if path.symlink_metadata().is_ok() { vec![path] } else { Vec::new() };
    }
    let here = if dir.as_str().is_empty() { Utf8Path::new(".") } else { dir };
    let entries = here.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
    let is_it = |name: &str| part.starts_with('.') == name.starts_with('.') && matches(part, name);
    entries.filter(|e| is_it(e.file_name())).map(|e| dir.join(e.file_name())).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => {
            (0..=name.len()).filter(|i| name.is_char_boundary(*i)).any(|i| matches(rest.as_str(), &name[i..]))
        }
        Some(wanted) => {
            let mut chars = name.chars();
            chars.next().is_some_and(|c| wanted == '?' || c == wanted)
                && matches(rest.as_str(), chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_the_one_file_that_matches() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(dir.path().to_owned()).unwrap();
        fs_err::create_dir(root.join("smoke")).unwrap();
        for name in ["smoke/a-x86_64.iso", "smoke/ipxe.iso", "smoke/.hidden-x86_64.iso"] {
            fs_err::write(root.join(name), "").unwrap();
        }
        assert_eq!(one(&root.join("s*/*-x86_64.iso")).unwrap(), root.join("smoke/a-x86_64.iso"));
        assert_eq!(one(&root.join("smoke/?pxe.iso")).unwrap(), root.join("smoke/ipxe.iso"));
        assert_eq!(one(&root.join("none.iso")).unwrap(), root.join("none.iso"));
        assert!(one(&root.join("smoke/*.iso")).unwrap_err().to_string().contains("matches 2 files"));
        assert!(one(&root.join("smoke/*.img")).unwrap_err().to_string().contains("no file matches"));
    }
}
