//! Runs a workflow's steps on this machine, each job in a clean clone of `HEAD`, with the variables and folders that
//! a runner gives, so that a workflow is never run for the first time at GitHub.
//!
//! Jobs for other systems are run here too: their steps are the same commands. Actions are GitHub's: a checkout is
//! the clone, artifacts are folders; others, its cache among them, are skipped by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::{
    expr::{Contexts, runs},
    workflow::{Job, MatrixText, Step, Workflow},
};
use crate::dev::steps::{StepEnd, Steps};
use buildexec::ctx::Ctx;
use buildexec::tree;
use buildplan::Cmd;
use failure::{Failure, Kind};

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

/// Variables of one run of a job, as steps add to them.
type Vars = BTreeMap<String, String>;

/// The part of a workflow to run; by default all of it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct JobChoice {
    /// Only this job, and those that it needs.
    #[arg(long)]
    pub job: Option<String>,
    /// Run only the matrix entry of this name, in jobs that have one. Use it to skip media whose inputs are
    /// unavailable; at least one job must match.
    #[arg(long = "matrix", value_name = "NAME")]
    pub run: Option<String>,
}

/// A workflow under way.
struct Local<'c> {
    ctx: &'c Ctx,
    workflow: Workflow,
    /// Workspace, target folder, artifacts and logs.
    dir: Utf8PathBuf,
    github: Value,
    commit: String,
    choice: JobChoice,
    /// What `needs` says of each job that has ended.
    ended: BTreeMap<String, Value>,
    /// The names of every matrix that was met.
    names: BTreeSet<String>,
}

/// Runs the workflow `.github/workflows/<name>.yml`, or what is chosen of it.
///
/// # Errors
/// When a step fails, or the workflow has what a local run cannot do.
pub fn run(ctx: &Ctx, name: &str, choice: &JobChoice) -> Result<()> {
    let path = ctx.root.join(format!(".github/workflows/{name}.yml"));
    let text = fs_err::read_to_string(&path).map_err(|e| {
        Failure::new(Kind::Usage, format!("no workflow `{name}` in .github/workflows")).source(e)
    })?;
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
        "repository": "local/local", "event_name": "workflow_dispatch", "run_id": "1", "workflow": workflow.name,
    });
    let dir = ctx.work.join("ci");
    tree::remove(&dir.join("artifacts"))?;
    let choice = choice.clone();
    let (ended, names) = (BTreeMap::new(), BTreeSet::new());
    let mut local = Local { ctx, workflow, dir, github, commit, choice, ended, names };
    local.all()
}

impl Local<'_> {
    fn all(&mut self) -> Result<()> {
        let wanted = self.wanted()?;
        let last = wanted.iter().rposition(|id| self.workflow.jobs[id].strategy.is_some());
        let mut steps = Steps::new(self.ctx, &[]);
        for (at, id) in wanted.into_iter().enumerate() {
            let job = self.workflow.jobs[&id].clone();
            let passed = job.needs.iter().all(|n| self.ended[n]["result"] == "success");
            if !runs(job.condition.as_deref(), passed)? {
                steps.step(&id, |_| Ok(StepEnd::Skipped("a job before it failed".to_owned())));
                self.ended.insert(id, json!({ "result": "skipped", "outputs": {} }));
                continue;
            }
            let mut outputs = json!({});
            let mut ok = true;
            let runs = self.runs_of(&job)?;
            if Some(at) == last || last.is_none() {
                self.check_choice()?;
            }
            for (label, matrix) in runs {
                let label = format!("{id}{label}");
                ok &= steps.step(&label, |_| {
                    outputs = self.job(&job, matrix)?;
                    Ok(StepEnd::Passed)
                });
            }
            let result = if ok { "success" } else { "failure" };
            self.ended.insert(id, json!({ "result": result, "outputs": outputs }));
        }
        steps.finish()
    }

    /// The matrix that comes last has had its say: the run that was chosen is in one of them.
    fn check_choice(&self) -> Result<()> {
        let Some(run) = self.choice.run.as_ref().filter(|run| !self.names.contains(*run)) else {
            return Ok(());
        };
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        Err(Failure::new(Kind::Usage, format!("no matrix of the workflow has an entry `{run}`"))
            .help(format!("its runs are: {}", names.join(", ")))
            .into())
    }

    /// The jobs to run in order: all, or one and what it needs.
    fn wanted(&self) -> Result<Vec<String>> {
        let order: Vec<String> = self.workflow.order()?.into_iter().map(str::to_owned).collect();
        let Some(only) = &self.choice.job else { return Ok(order) };
        if !order.contains(only) {
            let text = format!("the workflow {} has no job `{only}`", self.workflow.name);
            let help = format!("its jobs are: {}", order.join(", "));
            return Err(Failure::new(Kind::Usage, text).help(help).into());
        }
        let mut wanted = vec![only.clone()];
        for id in order.iter().rev() {
            if wanted.contains(id) {
                wanted.extend(self.workflow.jobs[id].needs.iter().cloned());
            }
        }
        Ok(order.into_iter().filter(|id| wanted.contains(id)).collect())
    }

    /// The runs of a job, each with what its name ends in.
    fn runs_of(&mut self, job: &Job) -> Result<Vec<(String, Value)>> {
        let Some(strategy) = &job.strategy else { return Ok(vec![(String::new(), json!({}))]) };
        let all: Vec<Value> = match &strategy.matrix {
            MatrixText::Axes(axes) => {
                anyhow::ensure!(axes.len() == 1, "the matrix of `{}` has several axes: use one", job.name);
                axes.iter()
                    .flat_map(|(name, values)| values.iter().map(move |v| json!({ name: v })))
                    .collect()
            }
            MatrixText::Expression(text) => {
                let expression = text.trim().strip_prefix("${{").and_then(|t| t.strip_suffix("}}"));
                let expression = expression.context("a matrix is one expression, or lists")?;
                let value = self.contexts(job, json!({})).value(expression.trim())?;
                value["include"].as_array().cloned().context("the matrix has no `include`")?
            }
        };
        // GitHub fails such a job: "Matrix vector does not contain any values".
        if all.is_empty() {
            return Err(Failure::new(Kind::Config, format!("the matrix of `{}` is empty", job.name)).into());
        }
        let name = |one: &Value| -> String {
            let name = one.get("name").or_else(|| one.as_object()?.values().next());
            name.and_then(Value::as_str).unwrap_or("").to_owned()
        };
        let mut named: Vec<(String, Value)> = all.into_iter().map(|one| (name(&one), one)).collect();
        self.names.extend(named.iter().map(|(name, _)| name.clone()));
        if let Some(chosen) = self.choice.run.as_ref().filter(|c| named.iter().any(|(n, _)| n == *c)) {
            let (kept, left): (Vec<_>, Vec<_>) = named.into_iter().partition(|(n, _)| n == chosen);
            let left: Vec<_> = left.into_iter().map(|(n, _)| n).collect();
            self.ctx.report.warn(format!("left out: {}", left.join(", ")));
            named = kept;
        }
        Ok(named.into_iter().map(|(name, one)| (format!(" ({name})"), one)).collect())
    }

    fn contexts(&self, job: &Job, matrix: Value) -> Contexts {
        let needs: BTreeMap<_, _> = self.ended.iter().filter(|(id, _)| job.needs.contains(id)).collect();
        Contexts(BTreeMap::from([
            ("github".to_owned(), self.github.clone()),
            ("matrix".to_owned(), matrix),
            ("needs".to_owned(), json!(needs)),
            ("steps".to_owned(), json!({})),
            ("runner".to_owned(), json!({ "os": "Linux", "temp": self.dir.join("temp") })),
        ]))
    }

    /// One run of a job: its outputs.
    fn job(&self, job: &Job, matrix: Value) -> Result<Value> {
        let mut contexts = self.contexts(job, matrix);
        let (workspace, temp) = (self.dir.join("workspace"), self.dir.join("temp"));
        for folder in [&workspace, &temp] {
            tree::remove(folder)?;
        }
        fs_err::create_dir_all(&temp)?;
        fs_err::create_dir_all(&workspace)?;
        let mut vars = self.variables(&workspace, &temp);
        for (name, value) in &job.env {
            vars.insert(name.clone(), contexts.expand(value)?);
        }
        let mut first = None;
        let limit = Duration::from_secs(job.timeout_minutes * 60);
        let begin = Instant::now();
        for step in &job.steps {
            if !runs(step.condition.as_deref(), first.is_none())? {
                continue;
            }
            self.ctx.report.note(format!("-- {}", step.name));
            // One limit for all steps, as the runner has.
            let deadline = limit.saturating_sub(begin.elapsed());
            let done = match &step.uses {
                Some(uses) => self.action(uses, step, &contexts),
                None => self.script(step, &mut contexts, &mut vars, deadline),
            };
            if let Err(e) = done {
                self.ctx.check_interrupt()?;
                self.ctx.report.error(&e);
                first.get_or_insert(e.context(format!("the step `{}` failed", step.name)));
            }
        }
        match first {
            Some(error) => Err(error),
            None => job.outputs.iter().map(|(k, v)| Ok((k.clone(), json!(contexts.expand(v)?)))).collect(),
        }
    }

    fn variables(&self, workspace: &Utf8Path, temp: &Utf8Path) -> Vars {
        let mut vars: Vars = [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_WORKSPACE", workspace.as_str()),
            ("GITHUB_OUTPUT", temp.join("output").as_str()),
            ("GITHUB_ENV", temp.join("env").as_str()),
            ("GITHUB_STEP_SUMMARY", temp.join("summary").as_str()),
            ("RUNNER_TEMP", temp.as_str()),
            ("RUNNER_OS", "Linux"),
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

    fn script(&self, step: &Step, contexts: &mut Contexts, vars: &mut Vars, limit: Duration) -> Result<()> {
        let text = contexts.expand(step.run.as_deref().context("a step has `run` or `uses`")?)?;
        let temp = self.dir.join("temp");
        let script = temp.join("step.sh");
        fs_err::write(&script, text)?;
        for file in ["output", "env", "summary"] {
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
            cmd = cmd.env(name, contexts.expand(value)?);
        }
        let logs = self.dir.join("logs");
        fs_err::create_dir_all(&logs)?;
        let log = logs.join(format!("{}.log", self.workflow.name));
        let show = &mut |line: &str| self.ctx.report.err_line(line);
        self.ctx.runner.logged(&cmd, &log, show)?;
        vars.extend(pairs(&fs_err::read_to_string(temp.join("env"))?)?);
        let outputs = pairs(&fs_err::read_to_string(temp.join("output"))?)?;
        if let (Some(id), Some(steps)) = (&step.id, contexts.0.get_mut("steps")) {
            steps[id] = json!({ "outputs": outputs });
        }
        Ok(())
    }

    fn action(&self, uses: &str, step: &Step, contexts: &Contexts) -> Result<()> {
        let action = uses.split('@').next().unwrap_or(uses);
        let with = |name: &str| -> Result<Option<String>> {
            let text = step.with.get(name).and_then(Value::as_str);
            text.map(|t| contexts.expand(t)).transpose()
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
                    "there is an artifact {name} already, from another run of a job"
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
                match (with("name")?, with("pattern")?) {
                    (Some(name), _) => tree::copy(&artifacts.join(name), &to),
                    (None, Some(pattern)) => {
                        let merge = with("merge-multiple")?.as_deref() == Some("true");
                        download_all(&artifacts, &pattern, merge, &to)
                    }
                    (None, None) => tree::copy(&artifacts, &to),
                }
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
    let start = pattern.strip_suffix('*').context("a pattern is known that ends in `*`")?;
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
