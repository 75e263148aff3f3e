//! iPXE from source: what the stages promise, on a small repository whose Makefile builds at once.

#![expect(clippy::disallowed_methods, reason = "git is run by the tests themselves")]

use std::process::Command;

use super::repo::Repo;

fn git(repo: &Repo, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"])
        .args(args)
        .current_dir(repo.path("ipxe"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits these files to the repository `ipxe/`, and returns the commit.
pub(crate) fn commit(repo: &Repo, files: &[(&str, &str)]) -> String {
    std::fs::create_dir_all(repo.path("ipxe")).unwrap();
    git(repo, &["init", "--quiet"]);
    for (name, text) in files {
        repo.write(&format!("ipxe/{name}"), text);
    }
    git(repo, &["add", "."]);
    git(repo, &["commit", "--quiet", "-m", "x"]);
    git(repo, &["rev-parse", "HEAD"])
}

/// As [`commit`], and makes media.toml ask for it, without any patch.
pub(crate) fn pin(repo: &Repo, files: &[(&str, &str)]) -> String {
    let id = commit(repo, files);
    repo.edit("media.toml", "12798ec29aa8a64d8675c4378b99f5fe28447afb", &id);
    std::fs::remove_dir_all(repo.path("bootscripts/patches")).unwrap();
    id
}
