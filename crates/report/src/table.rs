//! Numbers and tables in plain text: columns as wide as their widest cell, two spaces between.

/// A number of bytes with a unit: `14.1 MB`.
#[must_use]
pub fn bytes(n: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded to three digits anyway")]
    let float = n as f64;
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", float / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", float / 1e6),
        _ => format!("{:.2} GB", float / 1e9),
    }
}

/// A number with its noun: `1 file`, `2 files`, `1 entry`, `2 entries`.
#[must_use]
pub fn count(n: usize, noun: &str) -> String {
    match (n, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{n} {stem}ies"),
        _ => format!("{n} {noun}s"),
    }
}

/// Lays out `rows` under `head`; numbers and words alike are left-aligned.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// As [`table`], on a terminal of `width` columns: where the rows are longer, the last column is wrapped; where that leaves
/// it too little, each row becomes a paragraph.
#[must_use]
pub(crate) fn table_within(width: usize, head: &[&str], rows: &[Vec<String>]) -> String {
    /// Columns below which a column of words cannot be read.
    const LEAST: usize = 24;
    let whole = table(head, rows);
    if whole.lines().all(|line| line.chars().count() <= width) {
        return whole;
    }
    let Some((last, others)) = head.split_last() else { return whole };
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row[..others.len()].to_vec()).collect();
    let left = table(others, &cells);
    let indent = left.lines().map(|line| line.chars().count()).max().unwrap_or(0) + 2;
    if indent + LEAST > width {
        return paragraphs(width, head, rows);
    }
    let lasts = [*last].into_iter().chain(rows.iter().map(|row| row[others.len()].as_str()));
    let lines = left.lines().zip(lasts).map(|(line, last)| {
        let gap = " ".repeat(indent - line.chars().count());
        wrap(&format!("{line}{gap}{last}"), indent, width)
    });
    lines.collect()
}

/// Each row as its first cell with the others, named, below it.
fn paragraphs(width: usize, head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for row in rows {
        text += &wrap(&row[0], 4, width);
        for (name, cell) in head.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty()) {
            let name = if name.is_empty() { String::new() } else { format!("{}: ", name.to_lowercase()) };
            text += &wrap(&format!("  {name}{cell}"), 4, width);
        }
    }
    text
}

/// Breaks a line between words, with `indent` spaces before what continues it. A word that is longer than a line, such
/// as a path, stays whole.
#[must_use]
pub fn wrap(line: &str, indent: usize, width: usize) -> String {
    let (mut text, mut rest) = (String::new(), line.trim_end().to_owned());
    loop {
        let at = (rest.chars().count() > width).then(|| break_at(&rest, indent, width)).flatten();
        let Some(at) = at else { return text + &rest + "\n" };
        text += rest[..at].trim_end();
        text.push('\n');
        rest = " ".repeat(indent) + rest[at..].trim_start();
    }
}

/// The last blank within `width` columns that is behind the indent and a word, or else the first one after them.
fn break_at(line: &str, indent: usize, width: usize) -> Option<usize> {
    let blanks: Vec<(usize, usize)> = line
        .char_indices()
        .enumerate()
        .filter(|(column, (at, c))| *c == ' ' && *column > indent && !line[..*at].ends_with(' '))
        .map(|(column, (at, _))| (column, at))
        .collect();
    let within = blanks.iter().rev().find(|(column, _)| *column <= width);
    within.or(blanks.first()).map(|(_, at)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_the_terminal_by_its_last_column_or_as_paragraphs() {
        let rows =
            [vec!["smoke".to_owned(), "12 MB".to_owned(), "a kernel with a small init of ours".to_owned()]];
        let head = ["PROFILE", "BUILT", "ABOUT"];
        assert_eq!(table_within(80, &head, &rows), table(&head, &rows));
        assert_eq!(
            table_within(44, &head, &rows),
            "PROFILE  BUILT  ABOUT\nsmoke    12 MB  a kernel with a small init\n                of ours\n"
        );
        assert_eq!(
            table_within(30, &head, &rows),
            "smoke\n  built: 12 MB\n  about: a kernel with a small\n    init of ours\n"
        );
        // What has no blank is not cut: it is there to be copied.
        let path = [vec!["/a/long/path/without/blanks".to_owned(), "x".to_owned()]];
        assert_eq!(table_within(20, &["FILE", "N"], &path), "/a/long/path/without/blanks\n  n: x\n");
    }

    #[test]
    fn one_thing_is_not_called_many() {
        let said: Vec<_> =
            [(1, "file"), (0, "file"), (1, "entry"), (2, "entry")].map(|(n, noun)| count(n, noun)).into();
        assert_eq!(said, ["1 file", "0 files", "1 entry", "2 entries"]);
    }
}
