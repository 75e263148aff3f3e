//! The line as the kernel itself takes it apart (`lib/cmdline.c`, `next_arg`): any white space splits, double
//! quotes keep together, and the outer ones of a value are dropped.

use std::ops::Range;

/// What an x86 kernel keeps of the line, in bytes.
pub(crate) const MAX_LINE: usize = 2047;

/// A parameter as the kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelParam<'a> {
    /// Where it stands, in bytes.
    pub span: Range<usize>,
    /// Before the first `=`.
    pub name: &'a str,
    /// Behind it, if there is one.
    pub value: Option<&'a str>,
}

/// Takes a line apart.
pub fn args(line: &str) -> impl Iterator<Item = KernelParam<'_>> {
    // By bytes, since what splits is ASCII: a line has thousands of characters, and is taken apart often.
    let bytes = line.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while bytes.get(at).is_some_and(|b| is_space(*b)) {
            at += 1;
        }
        let start = at;
        let mut quoted = false;
        while let Some(b) = bytes.get(at).filter(|b| quoted || !is_space(**b)) {
            quoted ^= *b == b'"';
            at += 1;
        }
        (at > start).then(|| arg(line, start..at))
    })
}

fn arg(line: &str, span: Range<usize>) -> KernelParam<'_> {
    let word = &line[span.clone()];
    let quoted = word.strip_prefix('"');
    let word = quoted.map_or(word, |inner| inner.strip_suffix('"').unwrap_or(inner));
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let value = value.map(|v| match v.strip_prefix('"') {
        Some(inner) => inner.strip_suffix('"').unwrap_or(inner),
        None => v,
    });
    KernelParam { span, name, value }
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_together_and_go_away() {
        let line = "quiet a=\"b c\"\t\"d=e f\" g=[h i] =";
        let seen: Vec<_> = args(line).map(|a| (a.name, a.value)).collect();
        assert_eq!(
            seen,
            [
                ("quiet", None),
                ("a", Some("b c")),
                ("d", Some("e f")),
                ("g", Some("[h")),
                ("i]", None),
                ("", Some("")),
            ]
        );
        assert!(args(line).all(|a| line[a.span].contains(a.name)));
    }
}
