//! `docs/reliability.md`: what the attacks of `cargo xtask test --long --report` tried, and what held. Tests print a
//! line for each of their rows; a row that no test told of this time stays as it was.

use std::collections::BTreeMap;

use anyhow::Result;

use buildexec::ctx::Ctx;
use failure::{Failure, Kind};

/// The document.
pub const PATH: &str = "docs/reliability.md";

/// Each row, how many cases a whole run has, and what one is.
const ROWS: &[(&str, usize, &str)] = &[
    (
        "downloads",
        40,
        "a server that cuts, stalls, changes the file, lies about lengths and ranges; at several offsets",
    ),
    ("kills", 100, "SIGKILL at a moment of a build: the next run ends well, and nothing is left running"),
    ("store damage", 20, "an entry of the store is damaged: it is named or built again"),
    ("verify alterations", 10_000, "an image is altered, with lists that fit: `verify` refuses it"),
    ("mutated images", 20_000, "bytes of an image are damaged: reading it ends in an error or an answer"),
    ("hostile configuration", 1_000, "`media.toml` with values that mean harm: refused or harmless"),
    ("serve, hosts", 100, "private answers are told under known names alone"),
    ("serve, connections at once", 5_000, "a crowd of one address is served and shuts nobody out"),
    (
        "serve, low descriptor limits",
        6,
        "32 to 1,024 descriptors, all taken by one address: another is served",
    ),
    ("serve, slow readers and writers", 400, "clients that are slow on purpose are cut"),
    ("hiding places", 80, "a secret hides: `secret-scan` refuses its file"),
    (
        "power cuts",
        200,
        "the power fails while the guest boots: its counter never goes back, its disk is clean",
    ),
    ("disks", 10, "`autoformat` meets a disk that is not blank: not a byte of it changes"),
];

/// What was tried of a row, and what held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    tried: usize,
    held: usize,
}

/// The counts in what tests said; a row told of twice is the sum.
fn parse(said: &str) -> BTreeMap<String, Count> {
    let mut rows: BTreeMap<String, Count> = BTreeMap::new();
    for line in said.lines() {
        let Some((_, told)) = line.split_once("reliability: ") else { continue };
        let Some((name, counts)) = told.split_once(": ") else { continue };
        let mut numbers = counts.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<usize>().ok());
        if let (Some(tried), Some(held)) = (numbers.next(), numbers.next()) {
            let row = rows.entry(name.to_owned()).or_insert(Count { tried: 0, held: 0 });
            (row.tried, row.held) = (row.tried + tried, row.held + held);
        }
    }
    rows
}

/// The counts that the document has.
fn written(document: &str) -> BTreeMap<String, Count> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, tried, held, _] = cells[..] else { return None };
        Some((name.to_owned(), Count { tried: tried.parse().ok()?, held: held.parse().ok()? }))
    };
    document.lines().filter_map(row).collect()
}

fn render(rows: &BTreeMap<String, Count>) -> String {
    let mut text = "# Reliability\n\nWritten by `cargo xtask test --long --report`. A row says how many cases were tried, and in how many the promise \
                    held; a run that was cut short says so.\n\n| what | a case | tried | held | |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (name, whole, about) in ROWS {
        text += &match rows.get(*name) {
            Some(Count { tried, held }) => {
                let note = if tried < whole { format!("of {whole}") } else { String::new() };
                format!("| {name} | {about} | {tried} | {held} | {note} |\n")
            }
            None => format!("| {name} | {about} | - | - | not run yet |\n"),
        };
    }
    text
}

/// Takes what tests said into the document.
///
/// # Errors
/// When something did not hold, or the disk cannot be written.
pub fn take(ctx: &Ctx, said: &str) -> Result<()> {
    let path = ctx.root.join(PATH);
    let told = parse(said);
    let mut rows = written(&fs_err::read_to_string(&path).unwrap_or_default());
    rows.extend(told.clone());
    fs_err::write(&path, render(&rows))?;
    let lost: Vec<&str> = told.iter().filter(|(_, c)| c.held < c.tried).map(|(n, _)| n.as_str()).collect();
    // A place or two where a secret hides may be missed; the test knows how many.
    let lost: Vec<&str> = lost.into_iter().filter(|n| *n != "hiding places").collect();
    if lost.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(Kind::Command, format!("not all held: {}", lost.join(", "))).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tests_say_becomes_rows_and_comes_back() {
        let said =
            "x\nreliability: kills: 6 tried, 6 held\n.reliability: serve, hosts: 110 tried, 109 held\n";
        let rows = parse(said);
        assert_eq!(rows["kills"], Count { tried: 6, held: 6 });
        let text = render(&rows);
        assert!(text.contains("| 6 | 6 | of 100 |\n"), "{text}");
        assert!(text.contains("| 110 | 109 |  |\n"), "{text}");
        assert!(text.contains("| power cuts | ") && text.contains("not run yet"), "{text}");
        assert_eq!(written(&text), rows);
    }
}
