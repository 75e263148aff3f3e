//! The check of a long line of parameters.

use anyhow::Result;

use crate::{
    lab::BenchLab,
    series::{Figures, Goal, RowResult, Unit, seconds},
};
use bootparams::{Context, Os, Target, check};

/// Words in the line.
const WORDS: usize = 1000;

/// Row 14.
pub(super) fn run(lab: &BenchLab) -> Result<Vec<RowResult>> {
    let line = (0..WORDS).map(word).collect::<Vec<_>>().join(" ");
    let context =
        Context { targets: Target::ALL.to_vec(), on_medium: true, nics: Vec::new(), secure_boot: true };
    let time = |_| {
        seconds(|| {
            anyhow::ensure!(
                !check(&line, Os::Smoke, &context).is_empty(),
                "nothing was found in a line of unknown keys"
            );
            Ok(())
        })
    };
    let times = (0..lab.rounds(20)).map(time).collect::<Result<Vec<_>>>()?;
    Ok(vec![RowResult {
        row: 14,
        name: "params".to_owned(),
        work: format!("a line of {WORDS} parameters, checked"),
        against: None,
        unit: Unit::Seconds,
        ours: Figures::of(&times),
        theirs: None,
        ratio: None,
        goal: Goal::Figure(0.02),
        limit: "each word is read as the system's own parser reads it, quirks included".to_owned(),
    }])
}

/// Some of each kind: known and unknown keys, quotes, lists, modules' options.
fn word(n: usize) -> String {
    match n % 4 {
        0 => format!("rancher.services_include.s{n}=true"),
        1 => format!("rancher.environment.V{n}=\"a b {n}\""),
        2 => format!("rancher.network.interfaces.eth{n}.addresses=[10.0.0.{n}/24]"),
        _ => format!("module{n}.option=0x{n:x}"),
    }
}
