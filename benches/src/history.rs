//! `docs/performance.json`: what was measured, one entry a release.

use anyhow::Result;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::{machine::BenchHost, page, series::RowResult};
use failure::{Explain as _, Kind};

/// Where the history is, from the repository's root.
const JSON: &str = "docs/performance.json";
/// Where a person reads it.
const PAGE: &str = "docs/performance.md";
/// A ratio that is this many times the recorded one is worth a warning.
const WORSE: f64 = 4.0 / 3.0;

/// All releases, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct History {
    /// The releases.
    pub(crate) releases: Vec<HistoryEntry>,
}

/// What was measured of one release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HistoryEntry {
    /// Its version.
    pub(crate) version: String,
    /// Where it was measured.
    pub(crate) machine: BenchHost,
    /// What was measured.
    pub(crate) lines: Vec<RowResult>,
}

impl History {
    /// Reads the history of the repository at `root`; none where nothing was recorded.
    ///
    /// # Errors
    /// When the file cannot be understood.
    pub(crate) fn read(root: &Utf8Path) -> Result<Self> {
        let path = root.join(JSON);
        match fs_err::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(e.into()),
            Ok(bytes) => {
                serde_json::from_slice(&bytes).explain(Kind::Config, || format!("cannot read {path}"))
            }
        }
    }

    /// Takes in new lines of the present release. What was not measured anew stays.
    pub(crate) fn record(&mut self, machine: BenchHost, lines: Vec<RowResult>) {
        let version = env!("CARGO_PKG_VERSION");
        if self.releases.last().is_none_or(|r| r.version != version) {
            self.releases.push(HistoryEntry {
                version: version.to_owned(),
                machine: machine.clone(),
                lines: Vec::new(),
            });
        }
        let Some(release) = self.releases.last_mut() else { return };
        release.machine = machine;
        release.lines.retain(|old| lines.iter().all(|new| new.name != old.name));
        release.lines.extend(lines);
        // Several lines of a row stay in the order in which they were measured.
        release.lines.sort_by_key(|line| line.row);
    }

    /// A sentence for each line whose ratio, or figure where it has no ratio, is a third worse than the recorded one.
    pub(crate) fn worse(&self, lines: &[RowResult]) -> Vec<String> {
        let Some(release) = self.releases.last() else { return Vec::new() };
        let compare = |line: &RowResult| {
            let recorded = release.lines.iter().find(|old| old.name == line.name)?;
            let (what, now, then) = match (line.ratio, recorded.ratio) {
                (Some(now), Some(then)) => ("ratio", now, then),
                // Seconds of two machines say nothing; bytes do.
                _ if line.unit == crate::series::Unit::Bytes => {
                    ("size", line.ours.median, recorded.ours.median)
                }
                _ => return None,
            };
            (now > then * WORSE).then(|| {
                format!(
                    "{}: the {what} is {}, and was {} in {}; run `cargo run -p benches -- {}` again on a quiet machine",
                    line.name,
                    page::short(now),
                    page::short(then),
                    release.version,
                    line.row,
                )
            })
        };
        lines.iter().filter_map(compare).collect()
    }

    /// Writes both files.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn write(&self, root: &Utf8Path) -> Result<()> {
        fs_err::write(root.join(JSON), serde_json::to_string_pretty(self)? + "\n")?;
        fs_err::write(root.join(PAGE), page::markdown(self))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Figures, Goal, Unit};

    fn line(name: &str, unit: Unit, ours: f64, ratio: Option<f64>) -> RowResult {
        RowResult {
            row: 1,
            name: name.to_owned(),
            work: String::new(),
            against: None,
            unit,
            ours: Figures::of(&[ours]),
            theirs: None,
            ratio,
            goal: Goal::None,
            limit: String::new(),
        }
    }

    #[test]
    fn a_ratio_or_a_size_that_is_a_third_worse_is_told_and_seconds_alone_are_not() {
        let mut history = History::default();
        let then = [
            line("a", Unit::Seconds, 1.0, Some(0.3)),
            line("b", Unit::Seconds, 1.0, Some(0.3)),
            line("c", Unit::Seconds, 1.0, None),
            line("d", Unit::Bytes, 900.0, None),
        ];
        history.record(BenchHost::default(), then.to_vec());
        let now = [
            line("a", Unit::Seconds, 9.0, Some(0.39)),
            line("b", Unit::Seconds, 1.0, Some(0.41)),
            line("c", Unit::Seconds, 9.0, None),
            line("d", Unit::Bytes, 1201.0, None),
            line("new", Unit::Bytes, 1.0, None),
        ];
        let told = history.worse(&now);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("b: the ratio is 0.41, and was 0.30"), "{told:?}");
        assert!(told[1].starts_with("d: the size is "), "{told:?}");
    }

    #[test]
    fn what_was_not_measured_anew_stays_in_its_release() {
        let mut history = History::default();
        history.record(BenchHost::default(), vec![line("a", Unit::Seconds, 1.0, None)]);
        history.record(BenchHost::default(), vec![line("b", Unit::Seconds, 2.0, None)]);
        history.record(BenchHost::default(), vec![line("b", Unit::Seconds, 3.0, None)]);
        assert_eq!(history.releases.len(), 1);
        let medians: Vec<f64> = history.releases[0].lines.iter().map(|l| l.ours.median).collect();
        assert_eq!(medians, [1.0, 3.0]);
    }

    #[test]
    fn the_page_in_the_repository_is_what_its_history_gives() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let history = History::read(root).unwrap();
        assert_eq!(fs_err::read_to_string(root.join(PAGE)).unwrap(), page::markdown(&history));
    }
}
