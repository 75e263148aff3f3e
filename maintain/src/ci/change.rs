//! The change that records today's packages: a branch with another media.lock and a pull request, through `gh`. The
//! night's checkout cannot push, and need not: GitHub writes the file.

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;
use xshell::{Shell, cmd};

use crate::dev::shell;
use buildexec::ctx::Ctx;
use failure::{Explain as _, Kind};

/// The branch by which the change is found again; who cannot write here cannot make it.
const BRANCH: &str = "pins";
const TITLE: &str = "media.lock: today's packages";
/// `gh` puts the repository's names in.
const REPOSITORY: &str = "repos/{owner}/{repo}";

#[derive(Deserialize)]
struct PullRequest {
    number: u64,
}

/// Shows what [`open`] would do.
///
/// # Errors
/// When git cannot compare the files.
pub(crate) fn show(ctx: &Ctx, lock: &str, body: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let new = folder.path().join("media.lock");
    fs_err::write(&new, lock)?;
    let sh = shell(ctx)?;
    let old = ctx.root.join("media.lock");
    // It ends with 1 where the files differ.
    let diff = cmd!(sh, "git diff --no-index --no-color -- {old} {new}").ignore_status().quiet().read()?;
    ctx.report.out(&format!("pull request `{TITLE}` from the branch `{BRANCH}`:\n\n{body}\n{diff}"));
    Ok(())
}

/// Puts `lock` into the branch, which begins at today's default branch, and opens a pull request, or edits the open
/// one.
///
/// # Errors
/// [`Kind::Network`] when `gh` fails.
pub(crate) fn open(ctx: &Ctx, lock: &str, body: &str) -> Result<()> {
    open_by(&shell(ctx)?, lock, body)
}

fn open_by(sh: &Shell, lock: &str, body: &str) -> Result<()> {
    let failed = || "the change could not be opened".to_owned();
    commit(sh, lock).explain(Kind::Network, failed)?;
    let list = cmd!(sh, "gh pr list --state open --head {BRANCH} --json number").read();
    let list: Vec<PullRequest> =
        serde_json::from_str(&list.explain(Kind::Network, failed)?).explain(Kind::Network, failed)?;
    let write = match list.first() {
        None => cmd!(sh, "gh pr create --head {BRANCH} --title {TITLE} --body {body}"),
        Some(PullRequest { number }) => {
            let number = number.to_string();
            cmd!(sh, "gh pr edit {number} --body {body}")
        }
    };
    write.run().explain(Kind::Network, failed)
}

fn commit(sh: &Shell, lock: &str) -> Result<()> {
    let ask = |path: &str, query: &str| -> Result<String> {
        let path = format!("{REPOSITORY}{path}");
        Ok(cmd!(sh, "gh api {path} --jq {query}").read()?)
    };
    let main = ask("", ".default_branch")?;
    let sha = ask(&format!("/git/ref/heads/{main}"), ".object.sha")?;
    let refs = format!("{REPOSITORY}/git/refs");
    let (name, sha) = (format!("ref=refs/heads/{BRANCH}"), format!("sha={sha}"));
    if cmd!(sh, "gh api {refs} -f {name} -f {sha}").ignore_stdout().run().is_err() {
        // It is there since an earlier night.
        let branch = format!("{refs}/heads/{BRANCH}");
        cmd!(sh, "gh api --method PATCH {branch} -f {sha} -F force=true").ignore_stdout().run()?;
    }
    let blob = ask(&format!("/contents/media.lock?ref={BRANCH}"), ".sha")?;
    let file = json!({ "message": TITLE, "branch": BRANCH, "sha": blob, "content": STANDARD.encode(lock) });
    let path = format!("{REPOSITORY}/contents/media.lock");
    cmd!(sh, "gh api --method PUT {path} --input -").stdin(file.to_string()).ignore_stdout().run()?;
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// What is asked of `gh`, which has no branch of ours, or one, and the pull requests `open`.
    fn asked(branch: bool, open: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>{log}\ncase \"$*\" in\n  *.default_branch) echo main ;;\n  *.object.sha) echo c0ffee ;;\n  \
             *' --jq .sha') echo b10b ;;\n  *'/git/refs -f '*) exit {code} ;;\n  *'--input -') cat >>{log} ;;\n  \
             'pr list '*) echo '{open}' ;;\nesac\n",
            log = path("asked").display(),
            code = u8::from(branch),
        );
        fs_err::write(path("gh"), script).unwrap();
        fs_err::set_permissions(path("gh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let sh = Shell::new().unwrap();
        sh.set_var("PATH", format!("{}:/usr/bin:/bin", dir.path().display()));
        open_by(&sh, "new\n", "- packages: x\n").unwrap();
        fs_err::read_to_string(path("asked")).unwrap()
    }

    #[test]
    fn a_first_change_is_a_branch_a_file_and_a_pull_request() {
        let said = asked(false, "[]");
        assert!(said.contains("/git/refs -f ref=refs/heads/pins -f sha=c0ffee\n"), "{said}");
        assert!(said.contains(r#""content":"bmV3Cg==""#) && said.contains(r#""sha":"b10b""#), "{said}");
        assert!(said.contains("pr create --head pins") && !said.contains("PATCH"), "{said}");
    }

    #[test]
    fn an_open_change_is_brought_up_to_date() {
        let said = asked(true, r#"[{"number":7}]"#);
        assert!(said.contains("--method PATCH repos/{owner}/{repo}/git/refs/heads/pins"), "{said}");
        assert!(said.contains("pr edit 7 --body") && !said.contains("pr create"), "{said}");
    }
}
