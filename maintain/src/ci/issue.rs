//! The one issue that the night writes: found again, and edited rather than opened once more.

use anyhow::Result;
use serde::Deserialize;
use xshell::cmd;

use crate::dev::shell;
use buildexec::ctx::Ctx;
use failure::{Explain as _, Kind};

/// The title by which the issue is found again.
const TITLE: &str = "nightly: what media.toml pins has changed";
/// And the label: anybody may open an issue of that title, but only who may write here can label it.
const LABEL: &str = "pins";

#[derive(Deserialize)]
struct Issue {
    number: u64,
    title: String,
}

/// Puts `body` into the open issue, or opens one, through `gh`.
///
/// # Errors
/// [`Kind::Network`] when `gh` fails.
pub(crate) fn write(ctx: &Ctx, body: &str) -> Result<()> {
    let sh = shell(ctx)?;
    let failed = || "the issue could not be written".to_owned();
    let about = "written by the nightly workflow, which finds its issue by this label";
    cmd!(sh, "gh label create {LABEL} --force --description {about}").run().explain(Kind::Network, failed)?;
    let list = cmd!(sh, "gh issue list --state open --label {LABEL} --limit 100 --json number,title");
    let list: Vec<Issue> =
        serde_json::from_str(&list.read().explain(Kind::Network, failed)?).explain(Kind::Network, failed)?;
    let write = match list.into_iter().find(|issue| issue.title == TITLE) {
        None => cmd!(sh, "gh issue create --title {TITLE} --label {LABEL} --body {body}"),
        Some(Issue { number, .. }) => {
            let number = number.to_string();
            cmd!(sh, "gh issue edit {number} --body {body}")
        }
    };
    write.run().explain(Kind::Network, failed)
}
