//! Runs a workflow's steps on this machine, each job in a clean clone of `HEAD`, with the variables and folders that
//! a runner gives, so that a workflow is never run for the first time at GitHub.
//!
//! Jobs for other systems are run here too: their steps are the same commands. Actions are GitHub's: a checkout is
//! the clone, artifacts are folders; others, its cache among them, are skipped by name.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::{
    expr,
    workflow::{Condition, Job, Step, Workflow},
};
use crate::dev::steps::{StepEnd, Steps};
use buildexec::ctx::Ctx;
use buildexec::tree;
use buildplan::Cmd;
use failure::{Failure, Kind};
use xtask::cmd::ci::JobChoice;

/// A person's variables that a clean runner has not: where cargo, rustup and pip are told to look, and what stands
/// in for servers that cannot be reached from here.
const PASSED: &[&str] = &[
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "PIP_FIND_LINKS",
    "MEDIA_IPXE_REPO",
    "MEDIA_ARTIFACTS",
];

/// Variables of one run of a job.
type Vars = BTreeMap<String, String>;

/// A workflow under way.
struct Local<'c> {
    ctx: &'c Ctx,
    workflow: &'c Workflow,
    /// Workspace, target folder, artifacts and logs.
    dir: Utf8PathBuf,
    github: Value,
    commit: String,
    /// What `needs` says of each job that has ended.
    ended: BTreeMap<&'c str, Value>,
}

/// Runs the workflow `.github/workflows/<name>.yml`, or what is chosen of it.
///
/// # Errors
/// When a step fails, or the workflow has what a local run cannot do.
pub(crate) fn run(ctx: &Ctx, name: &str, choice: &JobChoice) -> Result<()> {
    let path = ctx.root.join(format!(".github/workflows/{name}.yml"));
    if !path.is_file() {
        return Err(Failure::new(Kind::Usage, format!("no workflow `{name}` in .github/workflows"))
            .help_choose(name, &["ci", "nightly", "release"], "workflows")
            .into());
    }
    let text = fs_err::read_to_string(&path)?;
    let workflow = Workflow::parse(name, &text)?;
    let git = |words: &[&str]| -> Result<String> {
        let cmd = Cmd::new("git", "ask git about HEAD").args(words.iter().copied());
        Ok(ctx.runner.run(&cmd)?.text().trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    if !git(&["status", "--porcelain"])?.is_empty() {
        ctx.report.warn("uncommitted changes are missing from a clean clone");
    }
    let branch = git(&["rev-parse", "--abbrev-ref", "HEAD"])?;
    let github = json!({
        "ref": format!("refs/heads/{branch}"), "ref_name": branch, "sha": commit, "token": "",
        "repository": "local/local", "event_name": "workflow_dispatch",
    });
    let dir = ctx.work.join("ci");
    tree::remove(&dir.join("artifacts"))?;
    let mut local = Local { ctx, workflow: &workflow, dir, github, commit, ended: BTreeMap::new() };
    local.all(choice)
}

impl<'c> Local<'c> {
    fn all(&mut self, choice: &'c JobChoice) -> Result<()> {
        let workflow = self.workflow;
        let order = workflow.order(choice.job.as_deref())?;
        let last = order.iter().rposition(|id| workflow.jobs[*id].strategy.is_some());
        let mut names = Vec::new();
        let mut steps = Steps::new(self.ctx, &[]);
        for (at, id) in order.into_iter().enumerate() {
            let job = &workflow.jobs[id];
            let passed = job.needs.iter().all(|n| self.ended[n.as_str()]["result"] == "success");
            if !Condition::allows(job.condition, passed) {
                steps.step(id, |_| Ok(StepEnd::Skipped("a job before it failed".to_owned())));
                self.ended.insert(id, json!({ "result": "skipped", "outputs": {} }));
                continue;
            }
            let mut entries = self.entries(job)?;
            names.extend(entries.iter().map(|(name, _)| name.clone()).filter(|name| !name.is_empty()));
            if let Some(chosen) = &choice.run {
                if last.is_none_or(|last| at >= last) && !names.contains(chosen) {
                    let text = format!("no matrix in the workflow has an entry `{chosen}`");
                    let help = format!("its entries are: {}", names.join(", "));
                    return Err(Failure::new(Kind::Usage, text).help(help).into());
                }
                if entries.iter().any(|(name, _)| name == chosen) {
                    self.ctx.report.warn(format!("only the entry `{chosen}` of `{id}` is run"));
                    entries.retain(|(name, _)| name == chosen);
                }
            }
            let (mut outputs, mut result) = (json!({}), "success");
            for (name, matrix) in entries {
                let label = if name.is_empty() { id.to_owned() } else { format!("{id} ({name})") };
                let ok = steps.step(&label, |_| {
                    outputs = self.job(job, &matrix)?;
                    Ok(StepEnd::Passed)
                });
                result = if ok { result } else { "failure" };
            }
            self.ended.insert(id, json!({ "result": result, "outputs": outputs }));
        }
        steps.finish()
    }

    /// The entries of a job's matrix, by their names; one without a name, where it has no matrix.
    fn entries(&self, job: &Job) -> Result<Vec<(String, Value)>> {
        let Some(strategy) = &job.strategy else { return Ok(vec![(String::new(), json!({}))]) };
        let matrix = match &strategy.matrix {
            Value::String(text) => {
                serde_json::from_str(&expr::expand(&self.contexts(job, &json!({})), text)?)?
            }
            lists => lists.clone(),
        };
        let axes = matrix.as_object().context("a matrix is an expression, or lists")?;
        anyhow::ensure!(axes.len() == 1, "the matrix of `{}` has several axes: use one", job.name);
        let list = axes.iter().filter_map(|(axis, values)| Some((axis, values.as_array()?)));
        let entries: Vec<(String, Value)> = list
            .flat_map(|(axis, values)| values.iter().map(move |value| (axis, value)))
            .map(|(axis, value)| match axis == "include" {
                true => (value["name"].as_str().unwrap_or_default().to_owned(), value.clone()),
                false => (value.as_str().unwrap_or_default().to_owned(), json!({ axis: value })),
            })
            .collect();
        // GitHub fails such a job: "Matrix vector does not contain any values".
        if entries.is_empty() {
            return Err(Failure::new(Kind::Config, format!("the matrix of `{}` is empty", job.name)).into());
        }
        Ok(entries)
    }

    fn contexts(&self, job: &Job, matrix: &Value) -> Value {
        let needs: BTreeMap<_, _> =
            self.ended.iter().filter(|(id, _)| job.needs.iter().any(|n| n == *id)).collect();
        json!({ "github": self.github, "matrix": matrix, "needs": needs, "steps": {} })
    }

    /// One run of a job: its outputs.
    fn job(&self, job: &Job, matrix: &Value) -> Result<Value> {
        let mut contexts = self.contexts(job, matrix);
        for folder in ["workspace", "temp"].map(|name| self.dir.join(name)) {
            tree::remove(&folder)?;
            fs_err::create_dir_all(&folder)?;
        }
        let mut vars = self.variables();
        for (name, value) in &job.env {
            vars.insert(name.clone(), expr::expand(&contexts, value)?);
        }
        let mut first = None;
        let limit = Duration::from_secs(job.timeout_minutes * 60);
        let begin = Instant::now();
        for step in &job.steps {
            if !Condition::allows(step.condition, first.is_none()) {
                continue;
            }
            self.ctx.report.note(format!("-- {}", step.name));
            // One limit for all steps, as the runner has.
            let deadline = limit.saturating_sub(begin.elapsed());
            let done = match &step.uses {
                Some(uses) => self.action(uses, step, &contexts),
                None => self.script(step, &mut contexts, &vars, deadline),
            };
            if let Err(e) = done {
                self.ctx.check_interrupt()?;
                self.ctx.report.error(&e);
                first.get_or_insert(e.context(format!("the step `{}` failed", step.name)));
            }
        }
        match first {
            Some(error) => Err(error),
            None => {
                job.outputs.iter().map(|(k, v)| Ok((k.clone(), json!(expr::expand(&contexts, v)?)))).collect()
            }
        }
    }

    fn variables(&self) -> Vars {
        let mut vars: Vars = [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_OUTPUT", self.dir.join("temp/output").as_str()),
            ("GITHUB_STEP_SUMMARY", self.dir.join("temp/summary").as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let github = self.github.as_object().into_iter().flatten().filter(|(name, _)| *name != "token");
        let named = |(name, value): (&String, &Value)| {
            (format!("GITHUB_{}", name.to_uppercase()), value.as_str().unwrap_or("").to_owned())
        };
        vars.extend(github.map(named));
        for name in PASSED {
            vars.extend(self.ctx.env.get(name).map(|v| ((*name).to_owned(), v.to_owned())));
        }
        vars
    }

    fn script(&self, step: &Step, contexts: &mut Value, vars: &Vars, limit: Duration) -> Result<()> {
        let text = expr::expand(contexts, step.run.as_deref().context("a step has `run` or `uses`")?)?;
        let temp = self.dir.join("temp");
        let script = temp.join("step.sh");
        fs_err::write(&script, text)?;
        for file in ["output", "summary"] {
            fs_err::write(temp.join(file), "")?;
        }
        let mut cmd = Cmd::new("bash", format!("run the step `{}`", step.name))
            // What a runner starts where no `shell` is given, which is refused as unknown.
            .arg("-e")
            .arg(script)
            .cwd(self.dir.join("workspace"))
            .deadline(limit);
        cmd.env.clone_from(vars);
        for (name, value) in &step.env {
            cmd = cmd.env(name, expr::expand(contexts, value)?);
        }
        let logs = self.dir.join("logs");
        fs_err::create_dir_all(&logs)?;
        let log = logs.join(format!("{}.log", self.workflow.name));
        let show = &mut |line: &str| self.ctx.report.err_line(line);
        self.ctx.runner.logged(&cmd, &log, show)?;
        let outputs = pairs(&fs_err::read_to_string(temp.join("output"))?)?;
        if let Some(id) = &step.id {
            contexts["steps"][id] = json!({ "outputs": outputs });
        }
        Ok(())
    }

    fn action(&self, uses: &str, step: &Step, contexts: &Value) -> Result<()> {
        let action = uses.split('@').next().unwrap_or(uses);
        let with = |name: &str| -> Result<Option<String>> {
            let text = step.with.get(name).and_then(Value::as_str);
            text.map(|t| expr::expand(contexts, t)).transpose()
        };
        let artifacts = self.dir.join("artifacts");
        let workspace = self.dir.join("workspace");
        match action {
            "actions/checkout" => self.check_out(&workspace),
            "actions/upload-artifact" => {
                let from = workspace.join(with("path")?.context("no path")?);
                let name = with("name")?.context("an artifact needs a name")?;
                let to = artifacts.join(&name);
                anyhow::ensure!(
                    !to.exists(),
                    "an artifact named {name} already exists, from another run of a job"
                );
                if !from.exists() {
                    // As GitHub does, unless it is told that nothing is an error.
                    anyhow::ensure!(
                        with("if-no-files-found")?.as_deref() != Some("error"),
                        "no such file: {from}"
                    );
                    return Ok(());
                }
                tree::copy(&from, &to)
            }
            "actions/download-artifact" => {
                let to = workspace.join(with("path")?.context("no path")?);
                let pattern = with("pattern")?.context("artifacts are downloaded by a pattern")?;
                let merge = with("merge-multiple")?.as_deref() == Some("true");
                download_all(&artifacts, &pattern, merge, &to)
            }
            _ => {
                self.ctx.report.note(format!("{action} is GitHub's: skipped"));
                Ok(())
            }
        }
    }

    /// A clone whose files have the commit's time, so that cargo sees what it has compiled already. A runner compiles
    /// from nothing in each job; that teaches nothing here, so that what cargo made is one for all. What *we* made is
    /// not: a job that finds another's store would show something else than GitHub does.
    fn check_out(&self, to: &Utf8Path) -> Result<()> {
        let run = |words: Vec<String>| {
            let cmd = Cmd::new("git", "clone the repository").args(words).deadline(Duration::from_secs(300));
            self.ctx.runner.run(&cmd).map(|o| o.text().trim().to_owned())
        };
        let words = |w: &[&str]| w.iter().map(|w| (*w).to_owned()).collect();
        run(words(&["clone", "--quiet", "--no-checkout", self.ctx.root.as_str(), to.as_str()]))?;
        run(words(&["-C", to.as_str(), "checkout", "--quiet", "--detach", &self.commit]))?;
        let time = run(words(&["-C", to.as_str(), "show", "--no-patch", "--format=%ct", "HEAD"]))?;
        let time = std::time::UNIX_EPOCH + Duration::from_secs(time.parse()?);
        let compiled = self.dir.join("target/debug");
        fs_err::create_dir_all(&compiled)?;
        fs_err::create_dir_all(to.join("target"))?;
        tree::link(compiled.as_std_path(), &to.join("target/debug"))?;
        for file in tree::files(to)?.into_iter().filter(|f| !f.starts_with(".git")) {
            let path = to.join(file);
            if path.is_file() {
                fs_err::OpenOptions::new().append(true).open(&path)?.file().set_modified(time)?;
            }
        }
        Ok(())
    }
}

/// Lines `NAME=VALUE` of a file that steps write to.
fn pairs(text: &str) -> Result<Vars> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=').with_context(|| format!("no NAME=VALUE: {line}"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    text.lines().filter(|l| !l.is_empty()).map(pair).collect()
}

/// Artifacts whose name begins as a pattern that ends in `*`, each in a folder of its own unless they are merged.
fn download_all(artifacts: &Utf8Path, pattern: &str, merge: bool, to: &Utf8Path) -> Result<()> {
    let start = pattern.strip_suffix('*').context("only patterns that end in `*` are supported")?;
    for entry in artifacts.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_name().starts_with(start) {
            let to = if merge { to.to_owned() } else { to.join(entry.file_name()) };
            tree::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steps_write_is_read_back() {
        assert_eq!(
            pairs("a=1\n\nb=x=y\n").unwrap(),
            Vars::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x=y".to_owned())])
        );
        assert!(
            pairs("a<<EOF\n1\nEOF\n").is_err(),
            "values of several lines are not used, and not guessed at"
        );
    }

    #[test]
    fn artifacts_are_downloaded_by_the_start_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(dir.path().to_owned()).unwrap();
        for file in ["all/media-a/x", "all/program-linux/p", "all/program-windows/p.exe"] {
            fs_err::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs_err::write(root.join(file), "").unwrap();
        }
        download_all(&root.join("all"), "media-*", false, &root.join("media")).unwrap();
        download_all(&root.join("all"), "program-*", true, &root.join("programs")).unwrap();
        assert_eq!(tree::files(&root.join("media")).unwrap(), ["media-a/x"]);
        assert_eq!(tree::files(&root.join("programs")).unwrap(), ["p", "p.exe"]);
    }
}
