//! The same bytes everywhere, and no work where there is none.

#![expect(clippy::disallowed_methods, reason = "a shell sets the umask that the binary runs under")]

use std::process::Command;

use buildexec::ctx::{Ctx, Env, Globals};
use mediabuild::{builtin::BUILTINS, workspace::load};
use mediaplan::config::Engine;
use xtask::cmd::build::{Build, Selection};

use super::repo::Repo;

const DIST: &[&str] = &["dist", "smoke", "--engine", "prebuilt"];

/// Runs the binary under a umask and with these variables on top of the usual ones.
fn dist_under(repo: &Repo, umask: &str, jobs: &str, variables: &[(&str, &str)]) {
    let script = format!("umask {umask}; exec \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_xtask"), jobs])
        .args(DIST)
        .current_dir(repo.root())
        .env_clear()
        .envs(repo.variables())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn two_folders_clocks_umasks_locales_and_numbers_of_jobs_give_the_same_bytes() {
    let Some(here) = Repo::with_packages("here") else { return };
    let Some(there) = Repo::with_packages("another folder = of, a longer näme/below") else { return };
    dist_under(&here, "022", "-j1", &[("LC_ALL", "C"), ("TZ", "UTC")]);
    // Sources from another day, which only their owner may read.
    let age =
        "find . -exec touch -h -d 2001-02-03T04:05:06 {} + && chmod -R go-rwx media.* bootscripts isofs";
    there.run("sh", &["-c", age]);
    dist_under(
        &there,
        "077",
        "-j4",
        &[("LC_ALL", "de_DE.UTF-8"), ("TZ", "Pacific/Kiritimati"), ("USER", "else")],
    );
    let (one, other) = (here.read("dist/smoke/SHA256SUMS"), there.read("dist/smoke/SHA256SUMS"));
    assert!(one.lines().count() > 8, "{one}");
    assert_eq!(one, other);
    // A web server under another user reads them, whatever the umask was.
    assert_eq!(
        there.run(
            "find",
            &[
                "dist", "(", "-type", "f", "!", "-perm", "644", ")", "-o", "(", "-type", "d", "!", "-perm",
                "755", ")"
            ]
        ),
        ""
    );
}

#[test]
fn a_run_without_work_starts_no_program_and_writes_no_output() {
    let Some(repo) = Repo::with_packages("repo") else { return };
    repo.record_programs();
    let only_ours = repo.path("bin").into_string();
    let run = || {
        let args = [DIST, &["--json"]].concat();
        let output = repo.xtask(&args).env("PATH", &only_ours).assert().success();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&output.get_output().stdout), text(&output.get_output().stderr))
    };
    let (first, _) = run();
    assert!(first.contains("\"changed\": true"), "{first}");
    // All that makes these media comes out of the packages.
    assert!(!repo.path("calls").exists(), "{}", repo.read("calls"));
    let (second, events) = run();
    assert!(second.contains("\"changed\": false"), "{second}");
    assert!(!repo.path("calls").exists(), "{}", repo.read("calls"));
    let kinds = |kind: &str| events.matches(&format!("\"event\":\"{kind}\"")).count();
    assert_eq!((kinds("started"), kinds("finished"), kinds("cached") > 5), (0, 0, true), "{events}");
}

#[test]
fn a_node_with_another_label_is_named_by_it_in_media_that_were_built_before() {
    let Some(repo) = Repo::with_packages("repo") else { return };
    repo.xtask(&["-q", "dist", "smoke", "--engine", "prebuilt"]).assert().success();
    let variables = repo.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ctx = Ctx::new(Globals::default(), Env::of(&variables), BUILTINS).unwrap();
    let loaded = load::load(&ctx).unwrap();
    let profile = loaded.config.profile(Some("smoke")).unwrap();
    let selection = Selection { engine: Some(Engine::Prebuilt), ..Selection::default() };
    let mut build = Build::new(&ctx, &loaded, profile, &selection).unwrap();
    let keys = build.keys().unwrap();
    assert!(build.publish(&keys).is_current().unwrap());
    // No key has the label in it, but the manifest has.
    build.planned.plan.nodes[0].label += ", as it is called now";
    assert!(!build.publish(&keys).is_current().unwrap());
}
