//! The house's rules that a compiler does not hold: directions between modules, where effects may stand, sizes.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut todo = vec![src.clone()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// Which of our modules a pure module may use (`docs/architecture.md`, Directions).
const MAY_USE: &[(&str, &[&str])] = &[
    ("plan", &["plan"]),
    ("params", &["params", "error"]),
    ("config", &["config", "params", "plan", "error", "machine"]),
    ("machine", &["machine", "plan", "error"]),
    ("stage", &["stage", "plan", "config", "params", "machine", "error", "iso"]),
    ("iso", &["iso", "cpio", "params", "error"]),
    ("attest", &["attest", "plan", "config"]),
    ("exec", &["exec", "plan", "ctx", "report", "error", "iso", "cpio"]),
    ("site", &["site", "exec", "stage", "config", "attest", "plan", "ctx", "report", "error"]),
    ("report", &["report", "error"]),
];

#[test]
fn modules_use_only_what_the_architecture_lets_them() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let module = file.split('/').next().unwrap();
        let Some((_, allowed)) = MAY_USE.iter().find(|(m, _)| *m == module) else { continue };
        for used in used_modules(&text) {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("{file} uses crate::{used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first path segment behind each `crate::`, also in `use crate::{a::…, b}`.
fn used_modules(text: &str) -> Vec<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if !rest.starts_with('{') {
            found.push(word(rest));
            continue;
        }
        let mut depth = 0;
        let mut start = true;
        for (i, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                ',' if depth == 1 => start = true,
                c if depth == 1 && start && c.is_alphabetic() => {
                    found.push(word(&rest[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found.retain(|m| !m.is_empty());
    found
}

#[test]
fn pure_modules_touch_no_file_process_clock_or_network() {
    let banned =
        ["std::fs", "fs_err", "std::process", "std::net", "SystemTime", "Instant::now", "ureq::", "duct::"];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let module = file.split('/').next().unwrap();
        if !["attest", "plan", "stage", "params", "config", "machine"].contains(&module) {
            continue;
        }
        wrong.extend(banned.iter().filter(|b| text.contains(*b)).map(|b| format!("{file} names {b}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_small() {
    let long =
        sources().into_iter().map(|(file, text)| (file, text.lines().count())).filter(|(_, n)| *n > 500);
    let long: Vec<_> = long.collect();
    assert!(long.is_empty(), "split these: {long:?}");
}

/// Git for Windows changes line ends unless it is told not to.
#[test]
fn a_checkout_has_the_bytes_that_were_committed() {
    let repo = super::repo::Repo::new();
    repo.write(".gitattributes", fs_err::read(super::repository().join(".gitattributes")).unwrap());
    let committed = "#!ipxe\nboot\n";
    repo.write("script", committed);
    repo.run("git", &["init", "--quiet"]);
    let windows = ["-c", "core.autocrlf=true", "-c", "core.eol=crlf"];
    repo.run("git", &[&windows[..], &["add", ".gitattributes", "script"]].concat());
    fs_err::remove_file(repo.path("script")).unwrap();
    repo.run("git", &[&windows[..], &["checkout-index", "--all", "--force"]].concat());
    assert_eq!(repo.read("script"), committed);
}
