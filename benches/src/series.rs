//! Measurements, and the figures that stand for them.

use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// What was measured for one work: a line of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RowResult {
    /// The row's number in the table of goals.
    pub(crate) row: u8,
    /// A name that stays the same from release to release.
    pub(crate) name: String,
    /// What is done.
    pub(crate) work: String,
    /// What else would do it.
    pub(crate) against: Option<String>,
    /// The unit of the figures.
    pub(crate) unit: Unit,
    /// This program's figures.
    pub(crate) ours: Figures,
    /// The alternative's.
    pub(crate) theirs: Option<Figures>,
    /// The median of ours through theirs, each pair measured one after the other.
    pub(crate) ratio: Option<f64>,
    /// What is to be reached.
    pub(crate) goal: Goal,
    /// What bounds this work, and cannot be made faster here.
    pub(crate) limit: String,
}

/// The unit of a figure. Less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// Elapsed time.
    Seconds,
    /// Time of processors.
    CpuSeconds,
    /// Bytes.
    Bytes,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// At most this ratio.
    Ratio(f64),
    /// At most this figure of ours.
    Figure(f64),
    /// None of its own; another line of the row has it.
    None,
}

/// Median and spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// The median.
    pub(crate) median: f64,
    /// The least.
    pub(crate) low: f64,
    /// The most.
    pub(crate) high: f64,
    /// How often it was measured.
    pub(crate) rounds: usize,
}

impl Figures {
    /// The figures of some measurements; of none, a measurement of nothing.
    pub(crate) fn of(measured: &[f64]) -> Self {
        let mut sorted = measured.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |n: usize| sorted.get(n).copied().unwrap_or_default();
        Self {
            median: median(&sorted),
            low: at(0),
            high: at(sorted.len().saturating_sub(1)),
            rounds: sorted.len(),
        }
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        _ if sorted.is_empty() => 0.0,
        1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Ours and theirs, measured in turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Pairs {
    /// Measures both `rounds` times, and once before that for nothing: the first of each reads from the disk.
    ///
    /// # Errors
    /// The first that fails.
    pub(crate) fn measure(
        rounds: usize,
        mut ours: impl FnMut() -> Result<f64>,
        mut theirs: impl FnMut() -> Result<f64>,
    ) -> Result<Self> {
        let mut pairs = Self::default();
        ours()?;
        theirs()?;
        for _ in 0..rounds.max(1) {
            pairs.add(ours()?, theirs()?);
        }
        Ok(pairs)
    }

    /// Adds a pair.
    pub(crate) fn add(&mut self, ours: f64, theirs: f64) {
        self.ours.push(ours);
        self.theirs.push(theirs);
    }

    /// Our figures.
    pub(crate) fn ours(&self) -> Figures {
        Figures::of(&self.ours)
    }

    /// The alternative's.
    pub(crate) fn theirs(&self) -> Figures {
        Figures::of(&self.theirs)
    }

    /// The median of the pairs' ratios.
    pub(crate) fn ratio(&self) -> f64 {
        let mut ratios: Vec<f64> = self.ours.iter().zip(&self.theirs).map(|(o, t)| o / t).collect();
        ratios.sort_by(f64::total_cmp);
        median(&ratios)
    }
}

/// Seconds that `work` takes.
///
/// # Errors
/// As `work`.
pub(crate) fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_round_moves_no_median() {
        let mut pairs = Pairs::default();
        for (ours, theirs) in [(1.0, 2.0), (1.0, 2.0), (9.0, 2.0), (1.0, 2.0), (1.0, 90.0)] {
            pairs.add(ours, theirs);
        }
        assert!((pairs.ratio() - 0.5).abs() < 1e-9);
        assert_eq!(pairs.ours(), Figures { median: 1.0, low: 1.0, high: 9.0, rounds: 5 });
    }

    #[test]
    fn of_an_even_number_the_median_is_between_the_middle_two() {
        assert!((Figures::of(&[4.0, 1.0, 2.0, 3.0]).median - 2.5).abs() < 1e-9);
        assert!(Figures::of(&[]).median.abs() < 1e-9);
    }
}
