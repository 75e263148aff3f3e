//! `docs/reliability.md`: what the attacks of `cargo xtask test --long --report` tried, and what held. Tests print a
//! line for each of their rows; a row that no test told of this time stays as it was.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;

use buildexec::ctx::Ctx;
use buildplan::Cmd;
use failure::{Failure, Kind};

/// The document.
pub(crate) const PATH: &str = "docs/reliability.md";

/// How a row is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Tests of the suite whose names begin so.
    Test(&'static str),
    /// The fuzzer of images.
    Images,
    /// `vm test --torture`.
    PowerCuts,
    /// `vm test docker --long --scenario power-cut`.
    ContainerCuts,
    /// `vm test --disks`.
    Disks,
}

/// One row of the table.
#[derive(Debug)]
pub struct ReliabilityRow {
    /// What it is called.
    pub name: &'static str,
    /// How many cases a whole run has.
    whole: u64,
    /// What one case is.
    about: &'static str,
    /// What tries it.
    pub attack: Attack,
}

const fn row(name: &'static str, whole: u64, attack: Attack, about: &'static str) -> ReliabilityRow {
    ReliabilityRow { name, whole, about, attack }
}

/// The table.
pub const ROWS: &[ReliabilityRow] = &[
    row(
        "downloads",
        40,
        Attack::Test("downloads::whatever"),
        "a server that breaks off, stalls, changes the file, or lies about lengths and ranges, at several offsets",
    ),
    row(
        "kills",
        100,
        Attack::Test("kills::"),
        "SIGKILL at a moment of a build: the next run ends well, and nothing is left running",
    ),
    row(
        "store damage",
        20,
        Attack::Test("damage::every"),
        "an entry of the store is damaged: it is named or rebuilt",
    ),
    row(
        "verify alterations",
        10_000,
        Attack::Test("alterations::an_image"),
        "an image is altered and its lists are made to fit: `verify` refuses it",
    ),
    row(
        "mutated images",
        20_000,
        Attack::Images,
        "bytes of an image are damaged: reading it ends in an error or an answer",
    ),
    row(
        "hostile configuration",
        1_000,
        Attack::Test("hostile_config::"),
        "`media.toml` with malicious values: refused or harmless",
    ),
    row("serve, hosts", 100, Attack::Test("serve::"), "private answers are served only under known names"),
    row(
        "serve, connections at once",
        5_000,
        Attack::Test("serve::"),
        "many clients at one address are served and lock no other address out",
    ),
    row(
        "serve, low descriptor limits",
        6,
        Attack::Test("serve::"),
        "32 to 1,024 descriptors, all taken by one address: another is served",
    ),
    row(
        "serve, slow readers and writers",
        400,
        Attack::Test("serve::"),
        "deliberately slow clients are disconnected",
    ),
    row(
        "hiding places",
        80,
        Attack::Test("hiding::secrets"),
        "a secret is hidden in a file: `secret-scan` refuses it",
    ),
    row(
        "power cuts",
        200,
        Attack::PowerCuts,
        "the power fails while the guest boots: its counter never goes back, its disk is clean",
    ),
    row(
        "power cuts, containers",
        100,
        Attack::ContainerCuts,
        "the power fails while Docker starts a container or writes: the container runs again and counts on from what was \
         synced, the disk is clean",
    ),
    row(
        "disks",
        10,
        Attack::Disks,
        "`autoformat` meets a disk that is not blank: not a byte of it changes, or the system's rule has it formatted \
         and a warning says so",
    ),
];

/// What was tried of a row, and what held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Count {
    tried: u64,
    held: u64,
    /// The day and the commit of the run.
    when: String,
}

/// The counts in what tests said; a row told of twice is the sum.
fn parse(said: &str, when: &str) -> BTreeMap<String, Count> {
    let mut rows: BTreeMap<String, Count> = BTreeMap::new();
    for line in said.lines() {
        let Some((_, told)) = line.split_once("reliability: ") else { continue };
        let Some((name, counts)) = told.split_once(": ") else { continue };
        let mut numbers = counts.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u64>().ok());
        if let (Some(tried), Some(held)) = (numbers.next(), numbers.next()) {
            let row = rows.entry(name.to_owned()).or_default();
            (row.tried, row.held) = (row.tried + tried, row.held + held);
            when.clone_into(&mut row.when);
        }
    }
    rows
}

/// The counts that the document has.
fn written(document: &str) -> BTreeMap<String, Count> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, tried, held, when, ..] = cells[..] else { return None };
        let (tried, held) = (tried.parse().ok()?, held.parse().ok()?);
        // A table without that column has its note there.
        let when = if when.contains(" at ") { when } else { "" };
        Some((name.to_owned(), Count { tried, held, when: when.to_owned() }))
    };
    document.lines().filter_map(row).collect()
}

/// What was told, with what the document has. No two power cuts come at the same moment, so a run of them goes on where
/// one that was cut short ended; all else is reported again.
fn joined(mut rows: BTreeMap<String, Count>, told: BTreeMap<String, Count>) -> BTreeMap<String, Count> {
    for (name, mut count) in told {
        let row = ROWS.iter().find(|r| r.name == name);
        let adds = row.is_some_and(|r| matches!(r.attack, Attack::PowerCuts | Attack::ContainerCuts));
        let whole = row.map_or(0, |r| r.whole);
        if let Some(before) = rows.get(&name).filter(|before| adds && before.tried < whole) {
            (count.tried, count.held) = (count.tried + before.tried, count.held + before.held);
        }
        rows.insert(name, count);
    }
    rows
}

/// The table between the document's words.
fn table(rows: &BTreeMap<String, Count>) -> String {
    let mut text =
        "| what | a case | tried | held | last run | |\n| --- | --- | --- | --- | --- | --- |\n".to_owned();
    for ReliabilityRow { name, whole, about, .. } in ROWS {
        text += &match rows.get(*name) {
            Some(Count { tried, held, when }) => {
                let short = (tried < whole).then(|| format!("of {whole}"));
                let lost = (held < tried).then(|| format!("{} lost", tried - held));
                let note: Vec<String> = short.into_iter().chain(lost).collect();
                format!("| {name} | {about} | {tried} | {held} | {when} | {} |\n", note.join(", "))
            }
            None => format!("| {name} | {about} | - | - | - | not run yet |\n"),
        };
    }
    text
}

/// The document with another table; what stands behind the table is a person's and stays.
fn render(document: &str, rows: &BTreeMap<String, Count>) -> String {
    let begins = "# Reliability\n\nThe table is written by `cargo xtask test --long --report`, or row by row with `--row`. Each row gives \
                  the number of cases tried, how many of them held, and the last run; a run that was cut short is marked.\n\n";
    let behind: String = document
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .skip_while(|line| line.starts_with('|'))
        .flat_map(|line| [line, "\n"])
        .collect();
    format!("{begins}{}{behind}", table(rows))
}

/// The day, and the commit of the sources; a `+` behind it says that they were changed since.
fn today(ctx: &Ctx) -> String {
    let git = |words: &[&str]| {
        let said = ctx.runner.run(&Cmd::new("git", "ask git about HEAD").args(words.iter().copied()));
        said.map(|said| said.text().trim().to_owned()).unwrap_or_default()
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    let others = format!(":!{PATH}");
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", &others]);
    let mark = if changed.is_empty() { "" } else { "+" };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    format!("{} at {commit}{mark}", attest::date(now))
}

/// Takes what tests said into the document.
///
/// # Errors
/// When something did not hold, or the disk cannot be written.
pub fn take(ctx: &Ctx, said: &str) -> Result<()> {
    let path = ctx.root.join(PATH);
    let document = fs_err::read_to_string(&path).unwrap_or_default();
    let told = parse(said, &today(ctx));
    let lost: Vec<&str> = told.iter().filter(|(_, c)| c.held < c.tried).map(|(n, _)| n.as_str()).collect();
    // A place or two where a secret hides may be missed; the test knows how many.
    let lost: Vec<&str> = lost.into_iter().filter(|n| *n != "hiding places").collect();
    let failure =
        (!lost.is_empty()).then(|| Failure::new(Kind::Command, format!("not all held: {}", lost.join(", "))));
    fs_err::write(&path, render(&document, &joined(written(&document), told)))?;
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// Writes the section with this title, behind the table and in front of other sections.
///
/// # Errors
/// When the disk cannot be read or written.
pub fn write_section(ctx: &Ctx, title: &str, text: &str) -> Result<()> {
    let path = ctx.root.join(PATH);
    Ok(fs_err::write(&path, with_section(&fs_err::read_to_string(&path)?, title, text))?)
}

fn with_section(document: &str, title: &str, text: &str) -> String {
    let head = format!("## {title}\n");
    let before = document.split(&head).next().unwrap_or_default();
    let behind =
        document.split_once(&head).and_then(|(_, rest)| rest.find("\n## ").map(|at| &rest[at + 1..]));
    let (before, behind) = match behind {
        None if before.len() == document.len() => {
            document.split_at(document.find("\n## ").map_or(document.len(), |at| at + 1))
        }
        behind => (before, behind.unwrap_or_default()),
    };
    let gap = if behind.is_empty() { "" } else { "\n" };
    format!("{}\n\n{head}\n{text}{gap}{behind}", before.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(tried: u64, held: u64, when: &str) -> Count {
        Count { tried, held, when: when.to_owned() }
    }

    #[test]
    fn what_tests_say_becomes_rows_and_comes_back() {
        let said =
            "x\nreliability: kills: 6 tried, 6 held\n.reliability: serve, hosts: 110 tried, 109 held\n";
        let rows = parse(said, "2026-11-28 at abc");
        assert_eq!(rows["kills"], count(6, 6, "2026-11-28 at abc"));
        let text = render("# Old\n\n| what |\n| a |\n\nWords behind.\n", &rows);
        assert!(text.contains("| 6 | 6 | 2026-11-28 at abc | of 100 |\n"), "{text}");
        assert!(text.contains("| 110 | 109 | 2026-11-28 at abc | 1 lost |\n"), "{text}");
        assert!(text.contains("| power cuts | ") && text.contains("not run yet"), "{text}");
        assert!(text.ends_with("|\n\nWords behind.\n") && !text.contains("# Old"), "{text}");
        assert_eq!(written(&text), rows);
        assert_eq!(render(&text, &rows), text);
    }

    #[test]
    fn a_section_is_added_once_and_written_again_in_its_place() {
        let document = "# R\n\n| a |\n\n## Mutants\n\nMany.\n";
        let with = with_section(document, "Lines", "9.\n");
        assert_eq!(with, "# R\n\n| a |\n\n## Lines\n\n9.\n\n## Mutants\n\nMany.\n");
        assert_eq!(with_section(&with, "Lines", "9.\n"), with);
        assert_eq!(with_section(&with, "Lines", "10.\n"), with.replace("9.", "10."));
        assert_eq!(with_section("# R\n", "Lines", "9.\n"), "# R\n\n## Lines\n\n9.\n");
        assert_eq!(with_section("# R\n\n## Lines\n\n8.\n", "Lines", "9.\n"), "# R\n\n## Lines\n\n9.\n");
    }

    #[test]
    fn power_cuts_add_up_until_they_are_all_and_other_rows_are_reported_again() {
        let row = |name: &str, n| BTreeMap::from([(name.to_owned(), count(n, n, "b"))]);
        assert_eq!(joined(row("power cuts", 60), row("power cuts", 50))["power cuts"], count(110, 110, "b"));
        assert_eq!(joined(row("power cuts", 200), row("power cuts", 50))["power cuts"].tried, 50);
        assert_eq!(joined(row("kills", 60), row("kills", 50))["kills"].tried, 50);
        assert_eq!(joined(row("kills", 60), row("disks", 50)).len(), 2);
    }
}
