//! The scenario runner: which scenarios, two at a time, and what came of them.

use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    backend::Backend,
    dist, outside,
    scenario::{self, CaseCount, FinishedScenario, Outcome, Samples, Setup, SignedMedia},
};
use bootparams::Os;
use buildexec::ctx::Ctx;
use failure::{Failure, Kind};
use mediaplan::config::Profile;
use report::{Event, table::table};
use vmspec::{
    choice::BackendChoice,
    scenario::{ALL, CONTAINERS, Scenario},
};

/// Finished runs whose transcripts are kept.
const KEPT: usize = 10;

/// What is to be shown.
pub struct Order {
    /// By which scenarios.
    pub chosen: Vec<&'static Scenario>,
    /// The media with a sample image, when one of them wants it.
    pub samples: Option<Samples>,
    /// Signed media, when one of them wants them; otherwise why there are none.
    pub signed: Result<SignedMedia, String>,
    /// Whether there is time for everything.
    pub long: bool,
    /// Power cuts of a torture.
    pub cuts: u64,
}

/// Boots `names` (all scenarios when there are none) of what was built for `profile`.
///
/// # Errors
/// When nothing was built, the back end is missing, or a scenario could not be carried out.
pub fn run(
    ctx: &Ctx,
    profile: &Profile,
    choice: BackendChoice,
    order: Order,
) -> Result<Vec<FinishedScenario>> {
    let Order { chosen, samples, signed, long, cuts } = order;
    let setup = Setup {
        dist: dist::find(ctx, profile)?,
        tree: dist::tree(ctx, profile),
        backend: Backend::find(ctx, choice)?,
        spec: profile.vm.clone(),
        samples,
        signed,
        long,
        cuts,
        port: Mutex::new(profile.base_url.port),
    };
    if !setup.dist.embed_areas {
        ctx.report.warn(format!(
            "{} has no embed areas for kernel arguments: its boots have no nonce",
            setup.dist.iso
        ));
    }
    let folder = new_run(ctx, &profile.name)?;
    let queue = Mutex::new(chosen.into_iter());
    let done = Mutex::new(Vec::new());
    // A guest under TCG takes a core, and so does each netboot's server now and then.
    let workers = setup.backend.at_once(ctx.jobs());
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            loop {
                let next = lock(&queue).next();
                let Some(scenario) = next else { return Ok(()) };
                let result = one(ctx, &setup, scenario, &folder)?;
                show(ctx, &result);
                lock(&done).push(result);
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        // All are waited for, so that no machine outlives an error of another thread.
        let ends: Vec<Result<()>> =
            threads.into_iter().map(|t| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p))).collect();
        ends.into_iter().collect::<Result<()>>()
    })?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|d| CONTAINERS.iter().chain(ALL).position(|s| s.name == d.scenario));
    Ok(done)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The scenarios for systems of this kind: those for containers come before what they have in common with others.
#[must_use]
pub(crate) fn scenarios(os: Os) -> Vec<&'static Scenario> {
    let containers: &[Scenario] = if os == Os::Docker { CONTAINERS } else { &[] };
    let others = ALL.iter().filter(|s| containers.iter().all(|c| c.name != s.name));
    containers.iter().chain(others).collect()
}

/// Those called `names`; without names all that always run, or all with `long`.
///
/// # Errors
/// [`Kind::Usage`] for another name.
pub fn choose(os: Os, names: &[String], long: bool) -> Result<Vec<&'static Scenario>> {
    let all = scenarios(os);
    if names.is_empty() {
        let always = |s: &&Scenario| long || !s.long && (os != Os::Docker || s.of_containers());
        return Ok(all.into_iter().filter(always).collect());
    }
    let find = |name: &String| {
        all.iter().copied().find(|s| s.name == name).ok_or_else(|| {
            let all: Vec<&str> = all.iter().map(|s| s.name).collect();
            Failure::new(Kind::Usage, format!("no such scenario: `{name}`"))
                .help_choose(name, &all, "scenarios")
                .into()
        })
    };
    names.iter().map(find).collect()
}

fn one(ctx: &Ctx, setup: &Setup, scenario: &'static Scenario, folder: &Utf8Path) -> Result<FinishedScenario> {
    ctx.check_interrupt()?;
    let folder = folder.join(scenario.name);
    let obstacle = setup
        .backend
        .obstacle(scenario)
        .or_else(|| setup.missing(scenario))
        .or_else(|| scenario.obstacle(setup.dist_of(scenario)))
        .or_else(|| outside::obstacle(ctx, &setup.backend, scenario, &setup.dist))
        .or_else(|| scenario::lacks_older(setup, scenario));
    if let Some(why) = obstacle {
        let outcome = Outcome::Skipped { why };
        return Ok(FinishedScenario {
            scenario: scenario.name,
            outcome,
            cases: CaseCount::default(),
            seconds: 0.0,
            stages: Vec::new(),
            folder,
        });
    }
    let label = scenario.name.to_owned();
    ctx.report.event(&Event::Started { label: label.clone() });
    let result = scenario::run(ctx, setup, scenario, &folder);
    ctx.report.event(&Event::Ended { label });
    result
}

/// One line as soon as it is known; the table at the end has them in order.
fn show(ctx: &Ctx, done: &FinishedScenario) {
    let (word, more) = words(&done.outcome);
    ctx.report.note(format!("{word:>9} {:<16} {:>5.1} s  {more}", done.scenario, done.seconds).trim_end());
    if let Outcome::Failed { evidence, .. } = &done.outcome {
        for line in evidence {
            ctx.report.note(format!("            {line}"));
        }
        ctx.report.note(format!("            everything is in {}", done.folder));
    }
}

fn words(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Passed { note } => ("passed", note.as_deref().unwrap_or_default()),
        Outcome::Failed { why, .. } => ("FAILED", why),
        Outcome::Skipped { why } => ("skipped", why),
    }
}

/// The table of a run.
#[must_use]
pub fn summary(done: &[FinishedScenario]) -> String {
    let rows: Vec<Vec<String>> = done.iter().map(row).collect();
    table(&["scenario", "result", "seconds", "stages of the last boot", ""], &rows)
}

fn row(done: &FinishedScenario) -> Vec<String> {
    let (word, more) = words(&done.outcome);
    let stages: Vec<String> =
        done.stages.iter().skip(1).map(|(mark, at)| format!("{} {at:.1}", mark.label())).collect();
    vec![
        done.scenario.to_owned(),
        word.to_owned(),
        format!("{:.1}", done.seconds),
        stages.join(" · "),
        more.chars().take(100).collect(),
    ]
}

/// Whether a run proves what was built: nothing failed, and with `strict` nothing was left out for want of a
/// tool.
///
/// # Errors
/// [`Kind::Boot`] with the names of what failed.
pub fn judge(done: &[FinishedScenario], strict: bool) -> Result<()> {
    let named = |want: fn(&Outcome) -> bool| -> Vec<&str> {
        done.iter().filter(|d| want(&d.outcome)).map(|d| d.scenario).collect()
    };
    let failed = named(|o| matches!(o, Outcome::Failed { .. }));
    let tool = |o: &Outcome| matches!(o, Outcome::Skipped { why } if why.contains("apt-get install"));
    let untried = if strict { named(tool) } else { Vec::new() };
    if failed.is_empty() && untried.is_empty() {
        return Ok(());
    }
    let mut text = Vec::new();
    if !failed.is_empty() {
        text.push(format!("{} of {} scenarios failed: {}", failed.len(), done.len(), failed.join(", ")));
    }
    if !untried.is_empty() {
        text.push(format!("not tried although MEDIA_REQUIRE_VM is set: {}", untried.join(", ")));
    }
    Err(Failure::new(Kind::Boot, text.join("; ")).into())
}

/// A new folder for a run's transcripts; the oldest runs beyond [`KEPT`] are removed.
fn new_run(ctx: &Ctx, profile: &str) -> Result<Utf8PathBuf> {
    let runs = ctx.work.join("vm").join("runs");
    fs_err::create_dir_all(&runs)?;
    let mut numbers: Vec<(u32, Utf8PathBuf)> = Vec::new();
    for entry in runs.read_dir_utf8()? {
        let entry = entry?;
        let number = entry.file_name().split('-').next().and_then(|n| n.parse().ok());
        numbers.extend(number.map(|n| (n, entry.into_path())));
    }
    numbers.sort_unstable();
    let next = numbers.last().map_or(1, |(n, _)| n + 1);
    for (_, old) in numbers.iter().rev().skip(KEPT - 1) {
        fs_err::remove_dir_all(old)?;
    }
    let dir = runs.join(format!("{next:03}-{profile}"));
    fs_err::create_dir(&dir)?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmspec::boot::Mark;

    fn done(scenario: &'static str, outcome: Outcome) -> FinishedScenario {
        let stages = vec![(Mark::Power, 0.0), (Mark::Loader, 0.41), (Mark::Up, 5.0)];
        let cases = CaseCount::default();
        FinishedScenario { scenario, outcome, cases, seconds: 6.2, stages, folder: "f".into() }
    }

    fn skipped(why: &str) -> Outcome {
        Outcome::Skipped { why: why.to_owned() }
    }

    #[test]
    fn a_failure_decides_and_a_missing_tool_does_when_asked() {
        let fine = [done("a", Outcome::Passed { note: None }), done("b", skipped("no ipxe.iso"))];
        assert!(judge(&fine, true).is_ok());
        let tool = [done("uefi", skipped("no firmware (apt-get install ovmf)"))];
        assert!(judge(&tool, false).is_ok());
        let error = judge(&tool, true).unwrap_err();
        assert!(error.to_string().contains("not tried although MEDIA_REQUIRE_VM is set: uefi"));
        let failed = [done("a", Outcome::Failed { why: "x".to_owned(), evidence: Vec::new() })];
        assert_eq!(failure::kind_of(&judge(&failed, false).unwrap_err()), Some(Kind::Boot));
    }

    #[test]
    fn the_table_has_a_line_each_with_stages() {
        let text = summary(&[done("iso-cd-bios", Outcome::Passed { note: None })]);
        let line = text.lines().nth(1).unwrap();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>().join(" "),
            "iso-cd-bios passed 6.2 loader 0.4 · up 5.0"
        );
    }

    #[test]
    fn an_unknown_scenario_is_refused_with_the_list() {
        let error = choose(Os::Smoke, &["nonsense".to_owned()], false).unwrap_err();
        assert!(failure::helps_of(&error)[0].contains("iso-cd-bios"));
        assert_eq!(choose(Os::Smoke, &["state".to_owned()], false).unwrap()[0].name, "state");
    }

    #[test]
    fn a_system_with_containers_has_its_own_power_cuts_and_takes_longer_when_asked() {
        let named = |os| choose(os, &["power-cut".to_owned()], false).unwrap()[0].of_containers();
        assert_eq!((named(Os::Smoke), named(Os::Docker)), (false, true));
        let count = |os, long| choose(os, &[], long).unwrap().len();
        let short = ALL.iter().filter(|s| !s.long).count();
        assert_eq!((count(Os::Smoke, false), count(Os::Smoke, true)), (short, ALL.len()));
        assert!(count(Os::Docker, false) < 5);
        assert_eq!(count(Os::Docker, true), ALL.len() + CONTAINERS.len() - 1);
        assert!(choose(Os::Smoke, &["heal".to_owned()], false).is_err());
    }
}
