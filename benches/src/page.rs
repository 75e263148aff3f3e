//! Results for people: a table on the terminal, a page in the documentation.

use crate::{
    history::{History, HistoryEntry},
    series::{Figures, Goal, RowResult, Unit},
};
use report::table::table;

/// What the page says above the tables.
const INTRODUCTION: &str = "# Performance

Written by `cargo run -p benches -- --write`; do not edit. Ours and the alternative run in turn, several times, in one
run. The ratio is the median of the pairs' ratios, and holds on a busy machine, where seconds do not. Rows that compile
iPXE or start machines run when they are named: `cargo run -p benches -- --list`. CI warns when a ratio is more than a
third worse than the one recorded here. What was tried and gave nothing is in `docs/adr/0009-performance.md`.
";

/// A figure in its unit.
fn figure(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Bytes => format!("{:.2} MB", value / 1e6),
        Unit::Seconds | Unit::CpuSeconds => {
            let cpu = if unit == Unit::CpuSeconds { " CPU" } else { "" };
            match value {
                v if v < 0.001 => format!("{:.0} µs{cpu}", v * 1e6),
                v if v < 0.1 => format!("{:.1} ms{cpu}", v * 1e3),
                v if v < 10.0 => format!("{v:.2} s{cpu}"),
                v => format!("{v:.0} s{cpu}"),
            }
        }
    }
}

/// Two digits that count.
pub(crate) fn short(value: f64) -> String {
    match value {
        v if v < 0.01 => format!("{v:.4}"),
        v if v < 10.0 => format!("{v:.2}"),
        v => format!("{v:.0}"),
    }
}

fn spread(unit: Unit, figures: &Figures) -> String {
    if figures.low >= figures.high {
        return figure(unit, figures.median);
    }
    let (median, low, high) = (figures.median, figures.low, figures.high);
    format!("{} ({} to {})", figure(unit, median), figure(unit, low), figure(unit, high))
}

fn goal(line: &RowResult) -> String {
    match line.goal {
        Goal::Ratio(most) => format!("≤ {most}"),
        Goal::Figure(most) => format!("≤ {}", figure(line.unit, most)),
        Goal::None => "–".to_owned(),
    }
}

/// Whether the goal is reached, in a word.
fn reached(line: &RowResult) -> &'static str {
    let met = match line.goal {
        Goal::Ratio(most) => line.ratio.is_some_and(|r| r <= most),
        Goal::Figure(most) => line.ours.median <= most,
        Goal::None => return "–",
    };
    if met { "yes" } else { "no" }
}

fn ratio(line: &RowResult) -> String {
    line.ratio.map_or("–".to_owned(), short)
}

/// The results of one run.
pub(crate) fn terminal(lines: &[RowResult]) -> String {
    let row = |line: &RowResult| {
        let theirs = line.theirs.map_or("–".to_owned(), |f| spread(line.unit, &f));
        vec![
            line.row.to_string(),
            line.name.clone(),
            spread(line.unit, &line.ours),
            theirs,
            ratio(line),
            goal(line),
            reached(line).to_owned(),
        ]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    table(&["ROW", "NAME", "OURS", "ALTERNATIVE", "RATIO", "GOAL", "REACHED"], &rows)
}

/// The page.
pub(crate) fn markdown(history: &History) -> String {
    let mut text = INTRODUCTION.to_owned();
    if let Some(release) = history.releases.last() {
        text += &now(release);
    }
    text += "\n## History\n\nThe ratio, or our own figure where nothing is compared with it.\n\n| |";
    for release in &history.releases {
        text += &format!(" {} |", release.version);
    }
    text += &format!("\n|---|{}\n", "---|".repeat(history.releases.len()));
    let mut names: Vec<&str> = Vec::new();
    for line in history.releases.iter().rev().flat_map(|r| &r.lines) {
        if !names.contains(&line.name.as_str()) {
            names.push(&line.name);
        }
    }
    for name in names {
        text += &format!("| {name} |");
        for release in &history.releases {
            let line = release.lines.iter().find(|l| l.name == name);
            let shown = line.map(|l| l.ratio.map_or_else(|| figure(l.unit, l.ours.median), short));
            text += &format!(" {} |", shown.unwrap_or_default());
        }
        text += "\n";
    }
    text
}

fn now(release: &HistoryEntry) -> String {
    let m = &release.machine;
    let mut text = format!(
        "\n## {}\n\nMeasured on {}: {} cores of {}, {:.0} GiB, {}, Linux {}; load {}.\n\n\
         | # | work | against | ours | alternative | ratio | goal | reached |\n|---|---|---|---|---|---|---|---|\n",
        release.version,
        m.date,
        m.cores,
        m.processor,
        m.memory as f64 / 1024.0,
        m.system,
        m.kernel,
        m.load,
    );
    for line in &release.lines {
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
            line.row,
            line.work,
            line.against.as_deref().unwrap_or("–"),
            spread(line.unit, &line.ours),
            line.theirs.map_or("–".to_owned(), |f| spread(line.unit, &f)),
            ratio(line),
            goal(line),
            reached(line),
        );
    }
    text += "\n### What bounds each\n\n";
    let mut said: Vec<&str> = Vec::new();
    for line in release.lines.iter().filter(|l| !l.limit.is_empty()) {
        if !said.contains(&line.limit.as_str()) {
            text += &format!("* {}. {}: {}\n", line.row, line.name, line.limit);
            said.push(&line.limit);
        }
    }
    text
}
