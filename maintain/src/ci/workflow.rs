//! A workflow file as far as ours use the format. What is not known here is refused, not passed over: a local run
//! that ignores a key would show something else than GitHub does.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use failure::{Explain as _, Failure, Kind};

/// A workflow.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Workflow {
    /// Name that GitHub shows.
    pub name: String,
    /// What starts it; a person does, here.
    pub on: Value,
    /// The token's rights at the top; ours are empty.
    pub permissions: BTreeMap<String, String>,
    /// Which runs exclude each other.
    pub concurrency: Value,
    /// Jobs by their id.
    pub jobs: BTreeMap<String, Job>,
}

/// A job.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Job {
    /// Name that GitHub shows.
    pub name: String,
    /// The jobs that come first.
    #[serde(default)]
    pub needs: Vec<String>,
    /// When it runs though a job before it failed.
    #[serde(rename = "if")]
    pub condition: Option<Condition>,
    /// Runner image, such as `ubuntu-24.04`.
    pub runs_on: String,
    /// Several runs of it.
    pub strategy: Option<Strategy>,
    /// Minutes until it is stopped.
    pub timeout_minutes: u64,
    /// The token's rights.
    pub permissions: BTreeMap<String, String>,
    /// Variables of every step.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Values for the jobs that need it.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Steps, run in this order.
    pub steps: Vec<Step>,
}

/// A condition under which a job or step runs though something before it failed.
#[derive(Clone, Copy, Debug, Deserialize)]
pub enum Condition {
    /// In any case.
    #[serde(rename = "always()")]
    Always,
    /// Only then.
    #[serde(rename = "failure()")]
    Failure,
}

impl Condition {
    /// Whether a job or step with this condition runs, given whether everything before it passed.
    pub(crate) fn allows(condition: Option<Self>, passed: bool) -> bool {
        condition.map_or(passed, |c| matches!(c, Self::Always) || !passed)
    }
}

/// How often a job runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Strategy {
    /// Whether one failure stops the others.
    #[serde(default)]
    pub fail_fast: bool,
    /// An expression that gives GitHub's JSON, or one list by its name.
    pub matrix: Value,
}

/// A step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// Name that GitHub shows.
    pub name: String,
    /// What its outputs are found under.
    pub id: Option<String>,
    /// When it runs though a step before it failed.
    #[serde(rename = "if")]
    pub condition: Option<Condition>,
    /// An action.
    pub uses: Option<String>,
    /// The action's inputs.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
    /// Shell command of the step.
    pub run: Option<String>,
    /// Variables of this step.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl Workflow {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`Kind::Config`] with line and reason.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        serde_saphyr::from_str(text).explain(Kind::Config, || format!("cannot read the workflow {name}"))
    }

    /// The jobs' ids, each behind those that it needs: all, or `only` one and what that needs.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a job that the workflow does not have; [`Kind::Config`] when jobs need each other.
    pub fn order<'w>(&'w self, only: Option<&'w str>) -> Result<Vec<&'w str>> {
        let mut order = Vec::new();
        for id in self.jobs.keys().map(String::as_str).filter(|id| only.is_none_or(|o| o == *id)) {
            self.add(id, &mut order, 0)?;
        }
        only.filter(|_| order.is_empty()).map_or(Ok(order), |id| Err(self.no_job(id)))
    }

    fn add<'w>(&'w self, id: &'w str, order: &mut Vec<&'w str>, depth: usize) -> Result<()> {
        if depth > self.jobs.len() {
            return Err(Failure::new(Kind::Config, format!("the job `{id}` needs itself")).into());
        }
        for need in &self.jobs.get(id).ok_or_else(|| self.no_job(id))?.needs {
            self.add(need, order, depth + 1)?;
        }
        if !order.contains(&id) {
            order.push(id);
        }
        Ok(())
    }

    fn no_job(&self, id: &str) -> anyhow::Error {
        let jobs: Vec<&str> = self.jobs.keys().map(String::as_str).collect();
        Failure::new(Kind::Usage, format!("the workflow {} has no job `{id}`", self.name))
            .help_choose(id, &jobs, "jobs")
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name: w\non: push\npermissions: {}\nconcurrency: g\njobs:\n";

    fn workflow(jobs: &[(&str, &[&str])]) -> Workflow {
        let job = |(id, needs): &(&str, &[&str])| {
            format!(
                "  {id}:\n    name: {id}\n    needs: {needs:?}\n    runs-on: x\n    timeout-minutes: 1\n    \
                 permissions: {{}}\n    steps: []\n"
            )
        };
        Workflow::parse("w", &(HEAD.to_owned() + &jobs.iter().map(job).collect::<String>())).unwrap()
    }

    #[test]
    fn jobs_come_behind_those_that_they_need() {
        let w = workflow(&[("a", &["c"]), ("b", &[]), ("c", &["b"]), ("d", &[])]);
        assert_eq!(w.order(None).unwrap(), ["b", "c", "a", "d"]);
        assert_eq!(w.order(Some("c")).unwrap(), ["b", "c"]);
        assert_eq!(w.order(Some("e")).unwrap_err().to_string(), "the workflow w has no job `e`");
        let w = workflow(&[("a", &["b"]), ("b", &["a"])]);
        assert!(w.order(None).unwrap_err().to_string().ends_with("needs itself"));
    }

    #[test]
    fn a_key_or_condition_that_is_not_known_is_refused_with_its_line() {
        for (line, word) in
            [("continue-on-error: true", "continue-on-error"), ("if: github.ref == 'x'", "always()")]
        {
            let text = format!("{HEAD}  a:\n    name: a\n    {line}\n");
            let error = format!("{:#}", Workflow::parse("w", &text).unwrap_err());
            assert!(error.contains(word) && error.contains('8'), "{error}");
        }
        let allows = |c| (Condition::allows(c, true), Condition::allows(c, false));
        assert_eq!(allows(None), (true, false));
        assert_eq!(allows(Some(Condition::Always)), (true, true));
        assert_eq!(allows(Some(Condition::Failure)), (false, true));
    }
}
