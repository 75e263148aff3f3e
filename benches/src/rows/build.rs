//! This program compiled from nothing.

use anyhow::Result;

use crate::{
    lab::{BenchLab, cargo},
    series::{Figures, Goal, RowResult, Unit},
};

/// Row 12.
pub(super) fn cold(lab: &BenchLab) -> Result<Vec<RowResult>> {
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..lab.rounds(2) {
        let target = lab.folder("cold-build")?;
        let before = lab.children()?;
        let build =
            cargo(&lab.ctx, "compile this program").args(["build", "--quiet", "--locked", "-p", "xtask"]);
        wall.push(lab.time(&build.args(["--target-dir", target.as_str()]))?);
        cpu.push(lab.children()? - before);
        buildexec::tree::remove(&target)?;
    }
    let line = |name: &str, unit, measured: &[f64], goal: f64| RowResult {
        row: 12,
        name: name.to_owned(),
        work: "what the first `cargo xtask` compiles".to_owned(),
        against: None,
        unit,
        ours: Figures::of(measured),
        theirs: None,
        ratio: None,
        goal: Goal::Figure(goal),
        limit: "160 crates of others, two thirds of it; TLS, keys and xz alone are 20 CPU seconds".to_owned(),
    };
    Ok(vec![
        line("cold-build", Unit::Seconds, &wall, 60.0),
        line("cold-build-cpu", Unit::CpuSeconds, &cpu, 90.0),
    ])
}
