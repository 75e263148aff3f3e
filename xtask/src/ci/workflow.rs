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
    pub condition: Option<String>,
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
    /// The environment whose rules guard it; GitHub's alone.
    pub environment: Option<Value>,
    /// Steps, run in this order.
    pub steps: Vec<Step>,
}

/// How often a job runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Strategy {
    /// Whether one failure stops the others.
    #[serde(default)]
    pub fail_fast: bool,
    /// `${{ fromJSON(…) }}`, or a list.
    pub matrix: MatrixText,
}

/// A matrix as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum MatrixText {
    /// An expression that gives GitHub's JSON.
    Expression(String),
    /// One list, by its name.
    Axes(BTreeMap<String, Vec<String>>),
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
    pub condition: Option<String>,
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

    /// The jobs' ids, each behind those that it needs.
    ///
    /// # Errors
    /// [`Kind::Config`] when a job needs one that is not there, or itself.
    pub fn order(&self) -> Result<Vec<&str>> {
        let mut order: Vec<&str> = Vec::new();
        while order.len() < self.jobs.len() {
            let ready = |(id, job): &(&String, &Job)| {
                !order.contains(&id.as_str()) && job.needs.iter().all(|n| order.contains(&n.as_str()))
            };
            let next: Vec<&str> = self.jobs.iter().filter(ready).map(|(id, _)| id.as_str()).collect();
            if next.is_empty() {
                let rest: Vec<_> =
                    self.jobs.keys().map(String::as_str).filter(|j| !order.contains(j)).collect();
                let text = format!("these jobs need jobs that never end: {}", rest.join(", "));
                return Err(Failure::new(Kind::Config, text).into());
            }
            order.extend(next);
        }
        Ok(order)
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
        let w = workflow(&[("a", &["c"]), ("b", &[]), ("c", &["b"])]);
        assert_eq!(w.order().unwrap(), ["b", "c", "a"]);
        let w = workflow(&[("a", &["b"]), ("b", &["a"]), ("c", &[])]);
        assert_eq!(w.order().unwrap_err().to_string(), "these jobs need jobs that never end: a, b");
    }

    #[test]
    fn a_key_that_is_not_known_is_refused_with_its_line() {
        let text = format!("{HEAD}  a:\n    name: a\n    continue-on-error: true\n");
        let error = format!("{:#}", Workflow::parse("w", &text).unwrap_err());
        assert!(error.contains("continue-on-error") && error.contains('8'), "{error}");
    }
}
