//! Diagnostics and how they look: the source line, a caret under the word, what happens at boot, what to do.

use std::{fmt::Write as _, ops::Range};

use serde::Serialize;
use unicode_width::UnicodeWidthChar as _;

use super::codes::{self, Code, Wording};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Will panic, be dropped, or cannot be expressed.
    Error,
    /// Changes meaning, or is ignored by this version.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// The word that begins a diagnostic.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A finding about a text.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Rule that it is about.
    pub code: &'static Code,
    /// The bytes of the text it is about.
    pub span: Range<usize>,
    /// What is wrong; holds no secret.
    pub message: String,
    /// What the boot makes of it.
    pub at_boot: String,
    /// The change that solves the problem.
    pub help: String,
}

/// Findings as a check makes them.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Diagnostic>);

impl Findings {
    /// Adds one: what is wrong, what the boot makes of it, what to do.
    pub(super) fn say(
        &mut self,
        code: &'static Code,
        span: Range<usize>,
        message: impl Into<String>,
        at_boot: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (message, at_boot, help) = (message.into(), at_boot.into(), help.into());
        self.0.push(Diagnostic { code, span, message, at_boot, help });
    }

    /// Adds one in the code's own words, whose `{}` take `args` in the order in which they stand.
    pub(super) fn report(&mut self, code: &'static Code, span: Range<usize>, args: &[&str]) {
        let wording = code.wording.unwrap_or(Wording { message: code.title, at_boot: "", help: "" });
        let mut args = args.iter();
        let mut fill = |text: &str| {
            let mut parts = text.split("{}");
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |text, part| text + args.next().copied().unwrap_or_default() + part)
        };
        self.say(code, span, fill(wording.message), fill(wording.at_boot), fill(wording.help));
    }

    /// All of them, in the order of the text.
    pub(super) fn in_order(mut self) -> Vec<Diagnostic> {
        self.0.sort_by_key(|d| (d.span.start, d.code.id));
        self.0
    }
}

impl Diagnostic {
    /// Whether it is a key that is not known, and much like one that is: a slip of the pen.
    #[must_use]
    pub fn is_near_miss(&self) -> bool {
        let is_unknown = [codes::UNKNOWN.id, codes::CC_UNKNOWN.id].contains(&self.code.id);
        is_unknown && self.help.starts_with("did you mean")
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity
    }
}

/// A text that diagnostics are about. Secrets in it must have been masked by the caller, unless the text is the
/// reader's own.
#[derive(Clone, Copy, Debug)]
pub struct SourceText<'a> {
    /// What it is: the OS whose line this is, or a file.
    pub name: &'a str,
    /// The whole source, so that columns can be shown.
    pub text: &'a str,
}

/// The widest part of a source line that is shown.
const WIDTH: usize = 90;

impl SourceText<'_> {
    /// Line and column of a byte, both from 1; columns count characters.
    #[must_use]
    pub(crate) fn place(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..floor(self.text, at)];
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// A diagnostic as text.
    #[must_use]
    pub fn show(&self, diagnostic: &Diagnostic) -> String {
        let Diagnostic { code, span, message, at_boot, help } = diagnostic;
        let (line, column) = self.place(span.start);
        let (text, carets) = self.excerpt(span);
        let mut out = format!("{}[{}]: {message}\n", code.severity.name(), code.id);
        let place = if self.text.contains('\n') { format!("{line}:{column}") } else { column.to_string() };
        _ = writeln!(out, "  --> {}:{place}", self.name);
        _ = writeln!(out, "   |\n   | {}\n   | {carets}", text.trim_end());
        for (label, text) in [("at boot", at_boot), ("help", help)] {
            if !text.is_empty() {
                _ = writeln!(out, "   = {label}: {text}");
            }
        }
        out
    }

    /// The part of the line around a span, and carets below it.
    fn excerpt(&self, span: &Range<usize>) -> (String, String) {
        let start = floor(self.text, span.start);
        let end = floor(self.text, span.end.max(span.start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |n| n + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |n| start + n);
        let end = end.min(line_end);
        let (before, lead) = tail(&self.text[line_start..start], WIDTH / 3);
        let (word, more) = head(&self.text[start..end], WIDTH / 2);
        let (after, rest) = head(&self.text[end..line_end], if more { 0 } else { WIDTH / 3 });
        let (before, word, after) = (visible(before), visible(word), visible(after));
        let mut text = String::from(if lead { "…" } else { "" });
        let indent = width(&text) + width(&before);
        text = text + &before + &word + &after;
        if more || rest {
            text.push('…');
        }
        (text, format!("{}{}", " ".repeat(indent), "^".repeat(width(&word).max(1))))
    }
}

/// The nearest boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn head(text: &str, most: usize) -> (&str, bool) {
    match text.char_indices().nth(most) {
        Some((at, _)) => (&text[..at], true),
        None => (text, false),
    }
}

fn tail(text: &str, most: usize) -> (&str, bool) {
    match text.char_indices().rev().nth(most) {
        Some((at, c)) => (&text[at + c.len_utf8()..], true),
        None => (text, false),
    }
}

/// Control characters as their pictures, so that columns hold and the terminal takes no commands from it.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match u32::from(c) {
            code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or('?'),
            0x7f => '\u{2421}',
            _ if c.width().unwrap_or(0) == 0 => '\u{fffd}',
            _ => c,
        })
        .collect()
}

fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(1)).sum()
}

/// A diagnostic for a script: place, code, texts; never the source itself.
#[derive(Clone, Debug, Serialize)]
pub struct Report<'a> {
    /// What the text is.
    pub source: &'a str,
    /// The rule, such as `E0201`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The span in bytes.
    pub span: [usize; 2],
    /// The problem in one sentence.
    pub message: &'a str,
    /// What the boot makes of it.
    pub at_boot: &'a str,
    /// The change that solves the problem.
    pub help: &'a str,
}

impl<'s> SourceText<'s> {
    /// A diagnostic for a script.
    #[must_use]
    pub fn report(&self, d: &'s Diagnostic) -> Report<'s> {
        let (line, column) = self.place(d.span.start);
        Report {
            source: self.name,
            code: d.code.id,
            severity: d.severity(),
            line,
            column,
            span: [d.span.start, d.span.end],
            message: &d.message,
            at_boot: &d.at_boot,
            help: &d.help,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, word: &str) -> String {
        let at = text.find(word).unwrap();
        let diagnostic = Diagnostic {
            code: super::super::codes::ALL[0],
            span: at..at + word.len(),
            message: "m".to_owned(),
            at_boot: String::new(),
            help: String::new(),
        };
        let text = SourceText { name: "x", text }.show(&diagnostic);
        text.lines().skip(3).map(|l| l.strip_prefix("   | ").unwrap().to_owned() + "\n").collect()
    }

    #[test]
    fn the_caret_stands_under_the_word_whatever_comes_before() {
        assert_eq!(shown("ü\t漢 bad x", "bad"), "ü␉漢 bad x\n     ^^^\n");
        assert_eq!(shown("first\nsecond bad\nthird", "bad"), "second bad\n       ^^^\n");
    }

    #[test]
    fn what_a_terminal_would_not_show_is_shown_as_a_picture() {
        for (text, picture) in [
            ("\u{1}", "\u{2401}"),
            ("\u{7f}", "\u{2421}"),
            ("\u{80}", "\u{fffd}"),
            ("\u{9f}", "\u{fffd}"),
            ("\u{a0}", "\u{a0}"),
            ("\u{200b}", "\u{fffd}"),
            ("a\u{301}", "a\u{fffd}"),
        ] {
            assert_eq!(visible(text), picture, "{text:?}");
        }
    }

    #[test]
    fn a_place_inside_a_character_is_that_of_the_character() {
        let text = SourceText { name: "x", text: "a\n\u{1f600}\u{1f600}b" };
        assert_eq!([2, 3, 5, 6, 9, 10, 99].map(|at| text.place(at).1), [1, 1, 1, 2, 2, 3, 4]);
        assert_eq!(text.excerpt(&(3..9)).1, "^^");
    }

    #[test]
    fn a_slip_of_the_pen_is_an_unknown_key_that_is_much_like_one() {
        let is_near_miss = |code, help: &str| {
            let (message, at_boot) = (String::new(), String::new());
            Diagnostic { code, span: 0..0, message, at_boot, help: help.to_owned() }.is_near_miss()
        };
        for code in [&codes::UNKNOWN, &codes::CC_UNKNOWN] {
            assert!(is_near_miss(code, "did you mean `a`?") && !is_near_miss(code, "remove it"));
        }
        assert!(!is_near_miss(&codes::LIST, "did you mean `a`?"));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = format!("{}a{} bad {}", "é".repeat(9), "é".repeat(29), "b".repeat(30));
        let want =
            |end: &str| format!("…{} bad {}{end}\n{}^^^\n", "é".repeat(29), "b".repeat(29), " ".repeat(31));
        assert_eq!(shown(&line, "bad"), want("…"));
        assert_eq!(shown(&line[..line.len() - 1], "bad"), want(""));
        let word = "w".repeat(46);
        let want = format!("a {}…\n  {}\n", &word[..45], "^".repeat(45));
        assert_eq!(shown(&format!("a {word} b"), &word), want);
    }

    #[test]
    fn a_long_line_is_shown_around_the_word() {
        let line = format!("{} bad {}", "a".repeat(100), "b".repeat(100));
        let text = shown(&line, "bad");
        let (source, carets) = text.split_once('\n').unwrap();
        assert!(source.starts_with('…') && source.ends_with('…') && source.chars().count() < WIDTH);
        let at = carets.find('^').unwrap();
        assert_eq!(source.chars().skip(at).take(3).collect::<String>(), "bad");
    }
}
