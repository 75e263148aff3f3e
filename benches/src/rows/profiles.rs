//! Many profiles in one repository.

use anyhow::Result;

use crate::{
    lab::BenchLab,
    series::{Figures, Goal, Pairs, RowResult, Unit},
};

/// Row 13.
pub(super) fn run(lab: &BenchLab) -> Result<Vec<RowResult>> {
    let repositories = [1, 1000, 10_000]
        .map(|count| Ok((count, lab.repository(&format!("profiles-{count}"), &many(count))?)));
    let repositories = repositories.into_iter().collect::<Result<Vec<_>>>()?;
    let mut lines = Vec::new();
    for (what, words) in [("plan", ["plan", "p0"]), ("no-op", ["dist", "p0"])] {
        let mut times = vec![Vec::new(); repositories.len()];
        for round in 0..=lab.rounds(8) {
            for ((_, root), times) in repositories.iter().zip(&mut times) {
                let took = lab.time(&lab.xtask(root, "look at many profiles").args(words).arg("--quiet"))?;
                // The first builds.
                if round > 0 {
                    times.push(took);
                }
            }
        }
        lines.extend(of(what, &times));
    }
    Ok(lines)
}

/// What one more profile costs, and whether ten times as many cost ten times as much.
fn of(what: &str, times: &[Vec<f64>]) -> [RowResult; 2] {
    let mut pairs = Pairs::default();
    let mut each = Vec::new();
    for ((one, thousand), most) in times[0].iter().zip(&times[1]).zip(&times[2]) {
        each.push((thousand - one) / 999.0);
        pairs.add((most - one) / 9999.0, (thousand - one) / 999.0);
    }
    let limit = "reading and checking `media.toml`, all of it: a mistake in one profile is told before another is built";
    let line = RowResult {
        row: 13,
        name: format!("profiles-{what}"),
        work: format!("one more profile of 1,000: {what}"),
        against: None,
        unit: Unit::Seconds,
        ours: Figures::of(&each),
        theirs: None,
        ratio: None,
        goal: Goal::Figure(0.0001),
        limit: limit.to_owned(),
    };
    let linear = RowResult {
        name: format!("profiles-{what}-linear"),
        work: format!("one more profile of 10,000: {what}"),
        against: Some("one more of 1,000".to_owned()),
        ours: pairs.ours(),
        theirs: Some(pairs.theirs()),
        ratio: Some(pairs.ratio()),
        goal: Goal::Ratio(1.2),
        ..line.clone()
    };
    [line, linear]
}

/// Profiles as a fleet has them: alike, each with its own parameters.
fn many(count: usize) -> String {
    let one = |n: usize| {
        format!(
            "[profile.p{n}]\nabout = \"machine {n}\"\nos = \"smoke\"\nengine = \"prebuilt\"\n\
             params = [{{ console = \"ttyS0,115200n8\" }}, {{ panic = 10 }}, \"no_timer_check\", \
             {{ \"rancher.hostname\" = \"p{n}\" }}]\n\
             [profile.p{n}.media]\nkind = \"distribution\"\nkernel = \"cloud\"\n"
        )
    };
    (0..count).map(one).collect()
}
