//! `cargo xtask ci`: workflows run here, a release laid out and uploaded, the pins. `gh` is a program of the test.

use super::repo::Repo;

/// The steps of a job that checks out and then does this.
fn job(id: &str, more: &str, steps: &[&str]) -> String {
    let checkout = "    steps:\n      - name: check out\n        uses: actions/checkout@0\n";
    let steps: String = steps.iter().map(|s| format!("      - name: do it\n        {s}\n")).collect();
    format!(
        "  {id}:\n    name: {id}\n    runs-on: x\n    timeout-minutes: 1\n    permissions: {{}}\n{more}{checkout}{steps}"
    )
}

/// A repository with the workflow `w` of these jobs, committed.
fn workflow(jobs: &[String]) -> Repo {
    let repo = Repo::new();
    let head = "name: w\non: push\npermissions: {}\nconcurrency: g\njobs:\n";
    repo.write(".github/workflows/w.yml", head.to_owned() + &jobs.concat());
    repo.write(".gitignore", "target\nbin\n");
    repo.run("git", &["init", "--quiet", "--initial-branch=main"]);
    repo.run("git", &["add", "."]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"];
    repo.run("git", &[&who[..], &["commit", "--quiet", "-m", "all"]].concat());
    repo
}

/// Runs the maintainers' binary; exit code and everything that was said.
fn said(repo: &Repo, args: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let output = repo.whole(args).envs(env.iter().copied()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_job_has_what_cargo_made_for_another_but_not_what_we_made() {
    let repo = workflow(&[
        job("a", "", &["run: mkdir -p target/media && touch target/media/ours target/debug/cargos"]),
        job("b", "    needs: [a]\n", &["run: test ! -e target/media/ours && test -e target/debug/cargos"]),
    ]);
    let (code, said) = said(&repo, &["ci", "run", "w"], &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_matrix_without_values_fails_as_it_does_at_github() {
    let plan = "    outputs:\n      m: ${{ steps.s.outputs.m }}\n";
    let set = "id: s\n        run: echo 'm={\"include\":[]}' >> \"$GITHUB_OUTPUT\"";
    let build = "    needs: [plan]\n    strategy:\n      matrix: ${{ fromJSON(needs.plan.outputs.m) }}\n";
    let repo = workflow(&[job("plan", plan, &[set]), job("build", build, &["run: echo never"])]);
    let (code, said) = said(&repo, &["ci", "run", "w"], &[]);
    assert!(code == 3 && said.contains("the matrix of `build` is empty"), "{said}");
}

#[test]
fn a_run_that_no_matrix_has_is_refused_with_those_that_there_are() {
    let axes = "    strategy:\n      matrix:\n        engine: [prebuilt, source]\n";
    let repo = workflow(&[job("build", axes, &["run: echo made ${{ matrix.engine }}"])]);
    let (code, text) = said(&repo, &["ci", "run", "w", "--matrix", "sorce"], &[]);
    assert!(code == 2 && text.contains("its entries are: prebuilt, source"), "{text}");
    assert!(!text.contains("made "), "nothing was run: {text}");
    let (code, text) = said(&repo, &["ci", "run", "w", "--matrix", "source"], &[]);
    assert!(code == 0 && text.contains("made source") && !text.contains("made prebuilt"), "{text}");
}

#[test]
fn a_workflow_or_job_that_is_missing_is_named_with_those_that_exist() {
    let repo = workflow(&[job("a", "", &["run: echo made it"])]);
    let (code, text) = said(&repo, &["ci", "run", "v"], &[]);
    assert!(code == 2 && text.contains("the workflows are: ci, nightly, release"), "{text}");
    assert!(!text.contains("os error"), "{text}");
    let (code, text) = said(&repo, &["ci", "run", "w", "--job", "b"], &[]);
    assert!(code == 2 && text.contains("the jobs are: a") && !text.contains("made it"), "{text}");
}

#[test]
fn a_second_artifact_of_one_name_is_refused() {
    let axes = "    strategy:\n      matrix:\n        engine: [prebuilt, source]\n";
    let upload =
        "uses: actions/upload-artifact@0\n        with:\n          name: same\n          path: media.toml";
    let repo = workflow(&[job("build", axes, &[upload])]);
    let (code, said) = said(&repo, &["ci", "run", "w"], &[]);
    assert!(code != 0 && said.contains("an artifact named same already exists"), "{said}");
}

#[test]
fn a_shell_that_is_not_the_runners_own_is_refused() {
    let repo = workflow(&[job("a", "", &["run: echo x\n        shell: python"])]);
    let (code, said) = said(&repo, &["ci", "run", "w"], &[]);
    assert!(code == 3 && said.contains("shell"), "{said}");
}

#[test]
fn what_cannot_work_is_refused_before_anything_else_is_said() {
    let repo = Repo::new();
    for (args, error) in [
        (&["ci", "assets", "nothere"][..], "error: no such file or folder: nothere\n"),
        (&["ci", "finish"], "error: the variable NEEDS is not set\n"),
        (&["test", "--only", "fnt"], "error: unknown step `fnt`\n  help: did you mean `fmt`?"),
    ] {
        let (code, text) = said(&repo, args, &[]);
        assert!(code == 2 && text.contains(error), "{text}");
    }
    let (code, text) = said(&repo, &["ci", "run", "nightyl"], &[]);
    assert!(code == 2 && text.contains("did you mean `nightly`? the workflows are: "), "{text}");
}

/// The binary hands over what `cargo` is asked to run, in its own place: `cargo` is a program of the test.
#[test]
fn commands_of_other_packages_are_handed_over_with_their_words_exit_code_and_signals() {
    let repo = Repo::new();
    let run = |args: &[&str]| repo.command(args).output().unwrap();
    repo.program("cargo", "printf '<%s>' \"$@\"; exit 5");
    for (package, words, way_out) in [
        ("maintain", &["test", "--only", "a step"][..], "in a clone of its repository"),
        ("lab", &["vm", "ls"], "or by the program that a release carries"),
        ("lab", &["serve", "--tree", "a folder"], ""),
        ("lab", &["secret-scan", "a folder"], ""),
        ("lab", &["publish", "--to", "a folder"], ""),
    ] {
        let manifest = repo.path(package).join("Cargo.toml");
        if !manifest.exists() {
            let alone = run(words);
            let text = String::from_utf8(alone.stderr).unwrap();
            assert!(text.contains(&format!("no such file: {package}/Cargo.toml\n  help: ")), "{text}");
            assert!(alone.status.code() == Some(2) && text.contains(way_out), "{text}");
            repo.write(&format!("{package}/Cargo.toml"), "");
        }
        let ended = run(words);
        let all = format!("<run><--manifest-path><{manifest}><--><{}>", words.join("><"));
        assert_eq!((ended.status.code(), String::from_utf8(ended.stdout).unwrap()), (Some(5), all));
    }
    // ring would be compiled again by a cargo that sees what the first one says of a package.
    repo.program("cargo", "env");
    let said = repo.command(&["codegen"]).envs([("CARGO_PKG_NAME", "x"), ("CARGO_TERM_COLOR", "x")]).output();
    let variables = String::from_utf8(said.unwrap().stdout).unwrap();
    assert!(!variables.contains("CARGO_PKG_") && variables.contains("CARGO_TERM_COLOR=x"), "{variables}");
    repo.program("cargo", "kill -TERM $$");
    let killed = run(&["codegen"]);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killed.status), Some(15), "{killed:?}");
    // What is mistyped is said without compiling anything.
    for words in [["ci", "matrx"], ["vm", "rnu"], ["serve", "--lisen"]] {
        let mistyped = run(&words);
        assert!(mistyped.status.code() == Some(2) && mistyped.stdout.is_empty(), "{mistyped:?}");
    }
}

/// A release that was published, its assets laid out, and a `gh` that says what it is asked.
fn release() -> Repo {
    let repo = Repo::new();
    for part in ["smoke-1-prebuilt", "smoke-1-source"] {
        repo.write(&format!("release/latest/{part}/smoke-1-x86_64.iso"), "an ISO");
        repo.write(&format!("release/latest/{part}/netboot/vmlinuz"), part);
    }
    repo.write("release/latest/NOTES.md", "notes");
    repo.program("gh", "echo \"$@\" > asked");
    let (code, said) = said(&repo, &["ci", "assets", "release/latest"], &[]);
    assert_eq!(code, 0, "{said}");
    repo
}

const PUSHED: &[(&str, &str)] = &[("GITHUB_EVENT_NAME", "push"), ("GH_TOKEN", "x")];

#[test]
fn a_pushed_tag_uploads_both_lists_and_every_file_that_they_have() {
    let repo = release();
    let (code, text) = said(&repo, &["ci", "upload", "release/latest", "--tag", "refs/tags/v1"], PUSHED);
    assert_eq!(code, 0, "{text}");
    let asked = repo.read("asked");
    assert!(asked.starts_with("release create v1 --verify-tag"), "{asked}");
    for file in
        ["SHA256SUMS", "SHA512SUMS", "smoke-1-x86_64.iso", "smoke-1-prebuilt.tar", "smoke-1-source.tar"]
    {
        assert!(asked.contains(&format!("/assets/{file}")), "{file}: {asked}");
        let lists = repo.read("release/assets/SHA256SUMS");
        assert_eq!(lists.contains(&format!("  {file}\n")), !file.starts_with("SHA"), "{lists}");
    }
}

#[test]
fn what_a_person_starts_on_a_tag_or_a_branch_uploads_nothing() {
    let repo = release();
    let by_hand =
        [("GITHUB_EVENT_NAME", "workflow_dispatch"), ("GITHUB_REF", "refs/tags/v1"), ("GH_TOKEN", "x")];
    for (tag, env) in [("refs/tags/v1", &by_hand[..]), ("refs/heads/main", PUSHED), ("v1", &PUSHED[..1])] {
        let (code, text) = said(&repo, &["ci", "upload", "release/latest", "--tag", tag], env);
        assert!(code == 0 && text.contains("dry run"), "{text}");
    }
    assert!(!repo.path("asked").exists());
}

#[test]
fn assets_that_were_changed_are_not_uploaded() {
    let repo = release();
    repo.write("release/assets/smoke-1-x86_64.iso", "another");
    let (code, text) = said(&repo, &["ci", "upload", "release/latest", "--tag", "v1"], PUSHED);
    assert!(code == 5 && !repo.path("asked").exists(), "{text}");
    repo.write("release/latest/smoke-1-source/smoke-1-x86_64.iso", "another");
    let (code, text) = said(&repo, &["ci", "assets", "release/latest"], &[]);
    assert!(code == 5 && text.contains("different files smoke-1-x86_64.iso"), "{text}");
}

/// A repository whose pins are `repositories` and, for a profile, a file on this machine's port 1, where nothing is.
fn pins(repositories: &str) -> Repo {
    let repo = Repo::new();
    let toml = repo.read("media.toml");
    let urls = "urls = [\"http://127.0.0.1:1/x\"]\n";
    let mut rest = toml.as_str();
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once("urls = [") {
        text = text + before + urls;
        rest = after.split_once(']').unwrap().1;
    }
    let (mut text, whole) = (String::new(), text + rest);
    let mut rest = whole.as_str();
    while let Some((before, after)) = rest.split_once("mirrors = [") {
        text = text + before + "mirrors = [\"http://127.0.0.1:1/debian\"]";
        rest = after.split_once(']').unwrap().1;
    }
    let text = text + rest;
    let (before, after) = text.split_once("repositories = [").unwrap();
    let after = after.split_once(']').unwrap().1;
    repo.write("media.toml", format!("{before}repositories = [{repositories}]{after}"));
    repo
}

#[test]
fn without_a_network_no_pin_is_said_to_be_gone_and_no_issue_is_written() {
    let repo = pins("\"http://127.0.0.1:1/ipxe.git\"");
    repo.program("gh", "echo \"$@\" >> asked");
    let (code, text) = said(&repo, &["-q", "ci", "pins", "--issue"], &[("GH_TOKEN", "x")]);
    assert!(code == 7 && text.contains("requests was answered"), "{text}");
    assert!(!text.contains("does not answer") && !repo.path("asked").exists(), "{text}");
    assert_eq!(said(&repo, &["-q", "ci", "pins"], &[]).0, 7);
    let (code, text) = said(&repo, &["-q", "ci", "pins", "--issue"], &[]);
    assert!(code == 0 && text.contains("with GH_TOKEN this would fail"), "a rehearsal: {text}");
}

#[test]
fn only_the_issue_of_our_title_is_edited() {
    let repo = pins("\"./ipxe\"");
    repo.write("ipxe/x", "");
    repo.run("git", &["init", "--quiet", "ipxe"]);
    let ours = "nightly: what media.toml pins has changed";
    for (found, wanted) in [
        (
            format!(r#"[{{"number":3,"title":"re: {ours}"}},{{"number":7,"title":"{ours}"}}]"#),
            "issue edit 7 ",
        ),
        (format!(r#"[{{"number":3,"title":"{ours} again"}}]"#), "issue create --title"),
    ] {
        let list =
            format!("case \"$*\" in 'issue list'*--label*) echo '{found}';; *) echo \"$@\" >> asked;; esac");
        repo.program("gh", &list);
        let (code, text) = said(&repo, &["ci", "pins", "--issue"], &[("GH_TOKEN", "x")]);
        assert_eq!(code, 0, "{text}");
        let asked = repo.read("asked");
        assert!(asked.contains(wanted) && asked.contains("has no v2.0.0"), "{asked}");
        assert_eq!(asked.matches("issue edit").count() + asked.matches("issue create").count(), 1, "{asked}");
        fs_err::remove_file(repo.path("asked")).unwrap();
    }
}
