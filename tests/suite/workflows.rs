//! Our workflows: that a local run can read them, and that they call only existing commands.

use std::{fs, path::Path};

use clap::Parser as _;
use maintain::ci::workflow::Workflow;
use xtask::cli::Cli;

fn workflows() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/workflows");
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn every_step_is_an_action_or_one_command_of_ours() {
    for (name, text) in workflows() {
        let workflow = Workflow::parse(&name, &text).unwrap();
        workflow.order(None).unwrap();
        for step in workflow.jobs.values().flat_map(|j| &j.steps) {
            let Some(run) = &step.run else {
                assert!(step.uses.is_some(), "{name}: {} does nothing", step.name);
                continue;
            };
            assert_eq!(run.lines().count(), 1, "{name}: {}: logic belongs into xtask", step.name);
            if run.starts_with("cargo test") || run.starts_with("cargo run --locked --package benches ") {
                continue;
            }
            let run = run.strip_prefix("sudo --preserve-env env \"PATH=$PATH\" ").unwrap_or(run);
            let words = run.strip_prefix("cargo ").unwrap_or_else(|| panic!("{name}: {run}"));
            // Variables stand for a profile, an engine or a release.
            let words = words.replace("\"$PROFILE\"", "smoke").replace("\"$ENGINE\"", "source");
            let words = words.replace("\"$RELEASE\"", "trixie");
            let mut quoted = false;
            let words = words.split(|c| {
                quoted ^= c == '"';
                c == ' ' && !quoted
            });
            Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{name}: {run}: {e}"));
        }
    }
}

#[test]
fn every_action_is_pinned_by_commit_with_its_version_beside_it() {
    for (name, text) in workflows() {
        for line in text.lines().filter_map(|l| l.trim().strip_prefix("uses: ")) {
            let (action, version) = line.split_once(" # v").unwrap_or_else(|| panic!("{name}: {line}"));
            let commit = action.split_once('@').unwrap().1;
            assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{name}: {line}");
            assert_eq!(version.split('.').count(), 3, "{name}: {line}");
        }
    }
}

#[test]
fn every_workflow_ends_with_a_job_that_needs_all_others() {
    for (name, text) in workflows() {
        let workflow = Workflow::parse(&name, &text).unwrap();
        let finish = &workflow.jobs["finish"];
        let others: Vec<_> = workflow.jobs.keys().filter(|j| *j != "finish").collect();
        assert!(
            others.iter().all(|j| finish.needs.contains(j)),
            "{name}: finish does not need all of {others:?}"
        );
        assert!(workflow.permissions.is_empty(), "{name}: permissions are granted by the job");
    }
}
