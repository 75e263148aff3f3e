//! Paths of included files, as loaders write them: variables, devices, patterns, folders.

use std::collections::BTreeMap;

use super::config::VariableValue;
use crate::embed::Loader;

/// Ways to read one path, by the values that its variables may have.
const MOST: usize = 64;

/// The paths that `path`, as a file in `folder` includes it, may mean: absolute, in lower case, with `*` for what is
/// known at boot only. Nothing when that is all of it.
pub(super) fn patterns(
    loader: Loader,
    folder: &str,
    path: &str,
    values: &[VariableValue],
) -> Option<Vec<String>> {
    let folder = folder.to_lowercase();
    let mut found = Vec::new();
    let expanded = if loader == Loader::Grub { expanded(path, values) } else { vec![path.to_owned()] };
    for path in expanded {
        let path = without_device(&path).to_lowercase().replace('\\', "/");
        if path.chars().all(|c| matches!(c, '*' | '/' | '.')) {
            return None;
        }
        match path.strip_prefix('/') {
            Some(path) => found.push(normal(path)),
            // Both loaders take relative paths from a folder of theirs, which is seldom another one.
            None => found.extend([normal(&format!("{folder}/{path}")), normal(&path)]),
        }
    }
    found.sort();
    found.dedup();
    Some(found)
}

/// The paths of `files` that a pattern matches.
pub(super) fn matching<'f, T>(
    files: &'f BTreeMap<String, T>,
    pattern: &str,
) -> impl Iterator<Item = &'f String> {
    let literal = !pattern.contains(['*', '?', '[']);
    let exact = files.get_key_value(pattern).map(|(k, _)| k).filter(|_| literal);
    let others = files.keys().filter(move |_| !literal).filter({
        let pattern = pattern.to_owned();
        move |k| is_match(pattern.as_bytes(), k.as_bytes())
    });
    exact.into_iter().chain(others)
}

/// A path in which each variable has one of its known values; `*` stands for one without any.
fn expanded(path: &str, values: &[VariableValue]) -> Vec<String> {
    let mut done = Vec::new();
    let mut todo = vec![path.to_owned()];
    // Variables may have each other as values.
    for _ in 0..16 * MOST {
        let Some(path) = todo.pop() else { break };
        // The path was a word whose quotes are gone, so that every `$` is a variable.
        let Some(used) = super::grub_words::uses(&path.replace(['"', '\''], "_")).into_iter().next() else {
            done.push(path);
            continue;
        };
        let known =
            values.iter().filter(|v| v.name == used.name && !v.text.contains(&format!("${}", v.name)));
        let mut known: Vec<&str> = known.map(|v| v.text.as_str()).collect();
        // GRUB sets these itself, and scripts set them again.
        if known.is_empty() || matches!(used.name.as_str(), "prefix" | "root" | "cmdpath") {
            known.push("*");
        }
        for text in known {
            if done.len() + todo.len() < MOST {
                let mut path = path.clone();
                path.replace_range(used.range.clone(), text);
                todo.push(path);
            }
        }
    }
    done
}

/// A path without `(hd0,1)` or `::` in front.
fn without_device(path: &str) -> &str {
    let path = path.strip_prefix("::").unwrap_or(path);
    match path.strip_prefix('(').and_then(|p| p.split_once(')')) {
        Some((_, path)) if !path.is_empty() => path,
        _ => path,
    }
}

fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    let path = format!("/{}", parts.join("/"));
    // A variable in front stands for a whole path, a device or nothing.
    path.strip_prefix("/*/").map_or(path.clone(), |rest| format!("*/{rest}"))
}

/// Whether `text` matches a pattern of `*` and `?`, where `*` stands for folders too.
fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b) if *b == b'?' || *b == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_p, star_t)) = star else { return false };
                (p, t, star) = (star_p + 1, star_t + 1, Some((star_p, star_t + 1)));
            }
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, text: &str) -> VariableValue {
        let (name, text, entry) = (name.to_owned(), text.to_owned(), String::new());
        VariableValue { name, entry, text, part: None, uses: Vec::new() }
    }

    fn grub(path: &str) -> Vec<String> {
        let values = [value("f", "/a/one.cfg"), value("f", "/a/two.cfg"), value("dir", "($root)/boot")];
        patterns(Loader::Grub, "/EFI/BOOT", path, &values).unwrap_or_default()
    }

    #[test]
    fn a_path_is_found_wherever_its_variables_may_lead() {
        assert_eq!(grub("x.cfg"), ["/efi/boot/x.cfg", "/x.cfg"]);
        assert_eq!(grub("(hd0,gpt2)/boot/../X.cfg"), ["/x.cfg"]);
        assert_eq!(grub("$f"), ["/a/one.cfg", "/a/two.cfg"]);
        assert_eq!(grub("${dir}/x.cfg"), ["/boot/x.cfg"]);
        assert!(grub("$prefix/x.cfg").contains(&"*/x.cfg".to_owned()));
        assert_eq!(grub("($root)/boot/*.cfg"), ["/boot/*.cfg"]);
        assert!(grub("$unknown").is_empty());
        let isolinux = patterns(Loader::Isolinux, "/isolinux", "::/a/X.cfg", &[]).unwrap();
        assert_eq!(isolinux, ["/a/x.cfg"]);
    }

    #[test]
    fn patterns_match_as_a_shells_do() {
        for (pattern, text, is) in [
            ("*/x.cfg", "/boot/x.cfg", true),
            ("/a/*.cfg", "/a/b.cfg", true),
            ("/a/*.cfg", "/a/b.conf", false),
            ("/a/?.cfg", "/a/bb.cfg", false),
            ("*", "", true),
        ] {
            assert_eq!(is_match(pattern.as_bytes(), text.as_bytes()), is, "{pattern} {text}");
        }
    }
}
