//! The rules that a compiler does not hold: where effects may happen, and how long a file may be.

use std::{collections::BTreeSet, fs, path::PathBuf};

/// Every source file of ours, by its path from the root of the repository.
fn sources() -> Vec<(String, String)> {
    let root = super::repository();
    let mut found = Vec::new();
    let mut todo = ["xtask/src", "lab/src", "maintain/src", "benches/src"]
        .map(|dir| root.join(dir).into_std_path_buf())
        .to_vec();
    for entry in fs::read_dir(root.join("crates")).unwrap() {
        todo.push(entry.unwrap().path().join("src"));
    }
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "the sources were not found");
    found
}

#[test]
fn pure_crates_touch_no_file_process_clock_or_network() {
    let banned =
        ["std::fs", "fs_err", "std::process", "std::net", "SystemTime", "Instant::now", "ureq::", "duct::"];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let krate = file.trim_start_matches("crates/").split('/').next().unwrap();
        if !["attest", "buildplan", "mediaplan", "bootparams", "pki", "vmspec"].contains(&krate) {
            continue;
        }
        // `Product::` ends as the crate does.
        let names = |word: &str| {
            text.match_indices(word).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric()))
        };
        wrong.extend(banned.iter().filter(|b| names(b)).map(|b| format!("{file} names {b}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each crate that these packages are made of on this system, with its features.
#[expect(clippy::disallowed_methods, reason = "cargo is asked as a shell would ask it")]
fn made_of(packages: &[&str]) -> BTreeSet<String> {
    let words = ["tree", "--locked", "--offline", "--prefix", "none", "--edges", "normal,build"];
    let mut cargo = std::process::Command::new(env!("CARGO"));
    let said = cargo.args(words).args(["--format", "{p} {f}"]).args(packages);
    let said = said.current_dir(super::repository()).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let text = String::from_utf8(said.stdout).unwrap();
    let crates = text.lines().map(|line| line.trim_end_matches(" (*)").trim_end().to_owned());
    crates.filter(|line| !line.is_empty()).collect()
}

/// Who builds media waits for no server, no machines and no patterns of secrets, and who goes on to those for nothing
/// twice: with other features, cargo would compile a crate and all that is above it again.
#[test]
fn what_builds_media_is_small_and_compiled_once_for_all_packages() {
    let [xtask, lab, maintain] = ["xtask", "lab", "maintain"].map(|name| made_of(&["--package", name]));
    assert_eq!(made_of(&[]), xtask, "`cargo build` compiles what `cargo xtask` does");
    for name in ["tokio", "hyper", "netboot", "vmlab", "regex", "secretscan", "serde-saphyr"] {
        let named = |krate: &String| krate.starts_with(&format!("{name} v"));
        assert!(!xtask.iter().any(named), "xtask depends on {name}");
        assert!(maintain.iter().any(named), "{name} has another name");
    }
    for (below, above) in [(&xtask, &lab), (&lab, &maintain)] {
        let again: Vec<_> = below.difference(above).collect();
        assert!(again.is_empty(), "ask for the features of both: {again:?}");
    }
}

#[test]
fn files_stay_small() {
    let long =
        sources().into_iter().map(|(file, text)| (file, text.lines().count())).filter(|(_, n)| *n > 500);
    let long: Vec<_> = long.collect();
    assert!(long.is_empty(), "split these: {long:?}");
}

/// A test that lacks something says so with `harness::lacks` or `skip`. One that returns in silence counts as passed.
#[test]
fn no_test_of_the_suite_leaves_in_silence() {
    let silent = |text: &str| {
        let fails = text.match_indices("let Ok(").filter_map(|(at, _)| {
            let (head, rest) = text[at..].split_once(" else {")?;
            (!head.contains(';')).then(|| rest.split_once('}').map(|(block, _)| block))?
        });
        fails.filter(|block| block.trim_end_matches([' ', ';', '\n']).ends_with("return")).count()
    };
    assert_eq!(silent("let Ok(a) = b else { return };\nlet Ok(a) = b else {\n    c();\n    return;\n};"), 2);
    assert_eq!(
        silent("let Ok(a) = b else { return lacks(\"c\") };\nlet Ok(a) = b;\nif a {} else { return }"),
        0
    );
    let mut todo = vec![super::repository().join("tests/suite").into_std_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => todo.push(path),
                false if path.ends_with("tidy.rs") || path.extension().is_none_or(|e| e != "rs") => {}
                false => assert_eq!(silent(&fs::read_to_string(&path).unwrap()), 0, "{}", path.display()),
            }
        }
    }
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
