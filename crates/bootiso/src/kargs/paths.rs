//! Paths of included files, as loaders write them: variables, devices, patterns, folders.

use std::collections::BTreeMap;

use super::config::VariableValue;
use crate::{Entry, EntryKind, embed::Loader};

/// Ways to read one path, by the values that its variables may have.
const MOST: usize = 64;
/// Links to links that are followed, as many as GRUB follows (`grub-core/fs/fshelp.c`).
const MOST_LINKED: usize = 8;
/// A link to a folder around itself gives names without an end.
const MOST_NAMES: usize = 1 << 16;
const LONGEST: usize = 1024;

/// The paths that `path`, where relative ones begin at one of `folders`, may mean: absolute, in lower case, with `*` for what is
/// known at boot only. Nothing when that is all of it.
pub(super) fn patterns(
    loader: Loader,
    folders: &[String],
    path: &str,
    values: &[VariableValue],
) -> Option<Vec<String>> {
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
            None => {
                found.push(normal(&path));
                found.extend(folders.iter().map(|f| normal(&format!("{}/{path}", f.to_lowercase()))));
            }
        }
    }
    found.sort();
    found.dedup();
    Some(found)
}

/// The other names of `files` by way of the symbolic links among `entries`, in lower case. Links to folders give one to
/// each file below, also to one that is a link itself.
pub(super) fn linked<T>(files: &BTreeMap<String, T>, entries: &[Entry]) -> BTreeMap<String, String> {
    let links: Vec<(String, String)> = entries
        .iter()
        .filter_map(|entry| {
            let EntryKind::Link(target) = &entry.kind else { return None };
            let path = entry.path.to_lowercase();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let base = if target.starts_with('/') { "" } else { folder };
            let target = parts(&format!("{base}/{}", target.to_lowercase()));
            Some((path, target))
        })
        .collect();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..MOST_LINKED {
        let mut more = BTreeMap::new();
        for (link, target) in &links {
            let target = target.trim_end_matches('/');
            let below = (format!("{target}/"), format!("{target}0"));
            let whole = files.get_key_value(target).map(|(path, _)| (path, path));
            let linked = found.get_key_value(target);
            let in_folder = files.range(below.0.clone()..below.1.clone()).map(|(path, _)| (path, path));
            let named = whole.into_iter().chain(linked).chain(in_folder).chain(found.range(below.0..below.1));
            for (name, path) in named.take(MOST_NAMES.saturating_sub(found.len() + more.len())) {
                let name = format!("{link}{}", &name[target.len()..]);
                if name.len() < LONGEST && !files.contains_key(&name) && !found.contains_key(&name) {
                    more.insert(name, path.clone());
                }
            }
        }
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    found
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

/// A path without `.`, `..` and empty parts.
fn parts(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn normal(path: &str) -> String {
    let path = parts(path);
    // A variable in front stands for a whole path, a device or nothing.
    path.strip_prefix("/*/").map_or(path.clone(), |rest| format!("*/{rest}"))
}

/// Whether `text` matches a pattern of `*` and `?`, where `*` stands for folders too.
pub(super) fn is_match(pattern: &str, text: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return pattern == text;
    }
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
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

    #[test]
    fn a_link_gives_a_name_to_what_is_below_it_and_a_loop_ends() {
        let names = ["/conf/menu.txt", "/conf/d/e.cfg", "/other"];
        let files: BTreeMap<String, ()> = names.iter().map(|n| ((*n).to_owned(), ())).collect();
        let link = |path: &str, target: &str| Entry {
            path: path.to_owned(),
            kind: EntryKind::Link(target.to_owned()),
            size: 0,
            extents: Vec::new(),
            packing: None,
            records: Vec::new(),
        };
        let linked = |links: &[Entry]| linked(&files, links);
        let entries = [
            link("/boot/grub/grub.cfg", "../../Conf/./menu.txt"),
            link("/entries", "/conf/d"),
            link("/more", "entries"),
            link("/nowhere", "missing"),
        ];
        let found: Vec<_> =
            linked(&entries).into_iter().map(|(name, path)| format!("{name} {path}")).collect();
        let expected = [
            "/boot/grub/grub.cfg /conf/menu.txt",
            "/entries/e.cfg /conf/d/e.cfg",
            "/more/e.cfg /conf/d/e.cfg",
        ];
        assert_eq!(found, expected);
        assert_eq!(linked(&[link("/debian", ".")]).get("/debian/debian/other").unwrap(), "/other");
    }

    fn grub(path: &str) -> Vec<String> {
        let values = [value("f", "/a/one.cfg"), value("f", "/a/two.cfg"), value("dir", "($root)/boot")];
        patterns(Loader::Grub, &["/EFI/BOOT".to_owned()], path, &values).unwrap_or_default()
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
        let isolinux = patterns(Loader::Isolinux, &[], "::/a/X.cfg", &[]).unwrap();
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
            assert_eq!(is_match(pattern, text), is, "{pattern} {text}");
        }
    }
}
