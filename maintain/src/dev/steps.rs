//! Runs named steps one after the other, all of them even when one fails, and sums them up in a table.

use std::time::Instant;

use anyhow::Result;

use buildexec::ctx::Ctx;
use failure::{Failure, Kind};
use report::table::table;

/// How a step ended.
#[derive(Debug)]
pub(crate) enum StepEnd {
    /// It did what it should.
    Passed,
    /// It could not be tried here, for this reason.
    Skipped(String),
}

/// One line of the table.
#[derive(Debug)]
struct FinishedStep {
    name: String,
    seconds: f64,
    end: Result<StepEnd>,
}

/// Steps that were run.
pub(crate) struct Steps<'c> {
    ctx: &'c Ctx,
    only: Vec<String>,
    known: Vec<String>,
    done: Vec<FinishedStep>,
}

impl<'c> Steps<'c> {
    /// No steps yet. Where `only` names some, the others are left out.
    #[must_use]
    pub(crate) fn new(ctx: &'c Ctx, only: &[String]) -> Self {
        Self { ctx, only: only.to_vec(), known: Vec::new(), done: Vec::new() }
    }

    /// Runs a step, remembers how it ended, and says whether it did not fail. Once Ctrl-C came, nothing is run any
    /// more.
    pub(crate) fn step(&mut self, name: &str, f: impl FnOnce(&Ctx) -> Result<StepEnd>) -> bool {
        self.known.push(name.to_owned());
        if !self.only.is_empty() && !self.only.iter().any(|o| o == name) {
            return true;
        }
        self.ctx.report.note(format!("\n== {name}"));
        let start = Instant::now();
        let end = self.ctx.check_interrupt().and_then(|()| f(self.ctx));
        match &end {
            Err(e) => self.ctx.report.error(e),
            Ok(StepEnd::Skipped(why)) => self.ctx.report.warn(format!("{name} was skipped: {why}")),
            Ok(StepEnd::Passed) => {}
        }
        let ok = end.is_ok();
        self.done.push(FinishedStep { name: name.to_owned(), seconds: start.elapsed().as_secs_f64(), end });
        ok
    }

    /// Prints the table.
    ///
    /// # Errors
    /// The kind of the first failure, naming every step that failed; [`Kind::Usage`] for a step that is not known.
    pub(crate) fn finish(self) -> Result<()> {
        if let Some(unknown) = self.only.iter().find(|o| !self.known.contains(o)) {
            let known: Vec<&str> = self.known.iter().map(|name| name.as_ref()).collect();
            return Err(Failure::new(Kind::Usage, format!("unknown step `{unknown}`"))
                .help_choose(unknown, &known, "steps")
                .into());
        }
        self.ctx.report.out(&summary(&self.done));
        self.ctx.check_interrupt()?;
        let failed: Vec<&FinishedStep> = self.done.iter().filter(|d| d.end.is_err()).collect();
        let Some(FinishedStep { end: Err(first), .. }) = failed.first() else { return Ok(()) };
        let names: Vec<_> = failed.iter().map(|d| d.name.as_str()).collect();
        let kind = failure::kind_of(first).unwrap_or(Kind::Command);
        let message = format!("{} of {} steps failed: {}", failed.len(), self.done.len(), names.join(", "));
        Err(Failure::new(kind, message).into())
    }
}

fn summary(done: &[FinishedStep]) -> String {
    let row = |d: &FinishedStep| {
        let (result, note) = match &d.end {
            Ok(StepEnd::Passed) => ("passed", String::new()),
            Ok(StepEnd::Skipped(why)) => ("skipped", why.clone()),
            Err(e) => ("FAILED", e.to_string()),
        };
        let note = note.lines().next().unwrap_or("").to_owned();
        vec![d.name.clone(), result.to_owned(), format!("{:.1}", d.seconds), note]
    };
    table(&["STEP", "RESULT", "SECONDS", "NOTE"], &done.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_end_and_its_reason() {
        let done = [
            FinishedStep { name: "a".to_owned(), seconds: 0.12, end: Ok(StepEnd::Passed) },
            FinishedStep {
                name: "b".to_owned(),
                seconds: 3.0,
                end: Ok(StepEnd::Skipped("no tool".to_owned())),
            },
            FinishedStep {
                name: "c".to_owned(),
                seconds: 61.0,
                end: Err(anyhow::anyhow!("it broke\nbadly")),
            },
        ];
        let text = summary(&done);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "a     passed   0.1");
        assert_eq!(lines[2], "b     skipped  3.0      no tool");
        assert_eq!(lines[3], "c     FAILED   61.0     it broke");
    }
}
