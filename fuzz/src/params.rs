//! Damaged lines by the thousand: the parser, the checks and the loaders must end, and never panic.
//!
//! Pure: the seed says all. Who calls it for a while looks at the clock.

use bootparams::{
    Context, Os, Params, SourceText, Target, Version, check, cloud_config, explain, kernel, masked, render,
    target::same_to_os,
};

use crate::random::Random;

/// Everything this module does, on any bytes: a fuzzer's entry. The first byte picks the OS.
pub fn exercise(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let text = String::from_utf8_lossy(rest);
    let os = OSES[usize::from(*first) % OSES.len()];
    line_of(&text, os);
    for d in cloud_config::check(&text, os) {
        _ = SourceText { name: "file", text: &cloud_config::masked(&text) }.show(&d);
    }
    if let Ok(Params(params)) = serde_json::from_str(&text) {
        _ = render(&params, os);
    }
}

fn line_of(text: &str, os: Os) {
    let context = Context {
        targets: Target::ALL.to_vec(),
        on_medium: true,
        nics: vec!["eth0".to_owned()],
        secure_boot: true,
    };
    let shown = masked(text, os);
    for d in check(text, os, &context) {
        assert!(d.span.start <= d.span.end && d.span.end <= text.len(), "{d:?} does not lie in {text:?}");
        _ = SourceText { name: "line", text: &shown }.show(&d);
    }
    for target in Target::ALL {
        if let Ok(spelled) = target.write(text, os) {
            let arrives = target.read(&spelled);
            assert!(same_to_os(&arrives, text.trim(), os), "{target:?} changes {text:?}");
        }
    }
    _ = (explain(text, os), kernel::args(text).count());
}

const OSES: [Os; 11] = [
    Os::Rancher(Version::new(0, 4, 4)),
    Os::Rancher(Version::new(0, 4, 5)),
    Os::Rancher(Version::new(0, 6, 1)),
    Os::Rancher(Version::new(0, 7, 1)),
    Os::Rancher(Version::new(0, 8, 2)),
    Os::Rancher(Version::new(1, 4, 3)),
    Os::Rancher(Version::new(1, 5, 8)),
    Os::Burmilla(Version::new(2, 0, 5)),
    Os::Docker,
    Os::Smoke,
    Os::Linux,
];

/// What damage puts in: everything that some reader takes for more than a letter.
const PIECES: &[&str] = &[
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\0",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ": ",
    "?",
    "-",
    "- ",
    "--",
    " -- ",
    "---",
    "...",
    "#",
    " #",
    "&a ",
    "*a",
    "!t ",
    "!!binary ",
    "\"",
    "'",
    "\\",
    "\\\"",
    "\\'",
    "\\x41",
    "\\u00e9",
    "|",
    ">",
    "@",
    "`",
    "%",
    "~",
    "null",
    "007",
    "0x1p3",
    ".inf",
    "1e999",
    "99999999999999999999",
    "2016-06-11",
    "2016-06-11T22:32:57.5+02:00",
    "“",
    "é",
    "漢",
    "=",
    ".",
    "rancher.",
    " rancher.a=",
    " cc.",
    "${",
    "||",
    "rancher.password=x",
    " console=ttyS0",
    "ssh-ed25519 AAAA",
];

/// Damages `lines` in turn as long as `more` says so, from `seed` on, and hands back how many were read. A panic is
/// left to the caller; `seed` plus the rounds before it gives the number to [`damaged`].
pub fn run(lines: &[&str], seed: u64, mut more: impl FnMut() -> bool) -> u64 {
    let mut rounds = 0;
    while more() {
        exercise(&damaged(lines, seed.wrapping_add(rounds)));
        rounds += 1;
    }
    rounds
}

/// One of `lines`, damaged; the same number gives the same text.
#[must_use]
pub fn damaged(lines: &[&str], number: u64) -> Vec<u8> {
    let mut random = Random(number);
    let mut text: Vec<char> = match lines.len() {
        0 => Vec::new(),
        n => lines[random.below(n)].chars().collect(),
    };
    for _ in 0..random.below(6) {
        let at = random.below(text.len() + 1);
        match random.below(4) {
            0 | 1 => _ = text.splice(at..at, PIECES[random.below(PIECES.len())].chars()),
            2 => _ = text.drain(at..(at + random.below(4)).min(text.len())),
            _ => {
                let end = (at + random.below(12)).min(text.len());
                let copy: Vec<char> = text[at..end].to_vec();
                let to = random.below(text.len() + 1);
                text.splice(to..to, copy);
            }
        }
    }
    let mut bytes = vec![u8::try_from(random.below(256)).unwrap_or(0)];
    bytes.extend(text.into_iter().collect::<String>().into_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thousand_damaged_lines_are_survived() {
        let lines =
            ["quiet rancher.state.autoformat=[/dev/sda,/dev/vda] cc.hostname=\"a b\" rancher.a.b=[x, 'y z']"];
        let mut left = 1_000;
        let rounds = run(&lines, 7, || {
            left -= 1;
            left >= 0
        });
        assert_eq!(rounds, 1_000);
    }

    #[test]
    fn depth_and_length_end() {
        for piece in ["[", "{", "[[a]", "- ", "? ", "&a [*a,", "rancher.a.", "\\\"", "'", "rancher.a=1 "] {
            let text = format!("\u{6}rancher.x={}", piece.repeat(2_100 / piece.len()));
            exercise(text.as_bytes());
        }
        let balanced = format!("\u{6}rancher.x={}{}", "[".repeat(1_000), "]".repeat(1_000));
        exercise(balanced.as_bytes());
        let bomb: String =
            (b'b'..=b'z').map(|c| format!(",&{0}\t[*{1},*{1}]", char::from(c), char::from(c - 1))).collect();
        let text = format!("rancher.x=[&a\t[x]{bomb}]");
        assert_eq!(bootparams::parse(&text, Os::Smoke), Err(bootparams::Crash::Endless));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            exercise(&bytes);
        }
    }
}
