//! Texts that hold other texts in another spelling: escapes of JSON, shells, addresses and HTML, lines that go on, and
//! variables that are set and used. One pass undoes one layer of each; what comes out is looked at like any text, so
//! that chains are followed as deep as a scan goes.

use std::{collections::HashMap, io::Read as _};

use super::{
    encoded::SHOWN,
    rules::{is_word, run, skip},
};
use regex::bytes::{Regex, RegexBuilder};

/// Longer texts are not configuration; they are read as they stand.
const LONGEST: usize = 1 << 20;
/// What a text may grow by in one pass, its own sixteenth and this: more than scripts do, and no bomb after all passes.
const GROWS: usize = 16 << 10;
/// Bytes that are unpacked in search of what zlib packed.
const TRIED: u64 = 4 << 20;
/// A try that fails is as much work as so many bytes.
const TRY: u64 = 512;
/// More variables than a script of ours has.
const VARIABLES: usize = 512;
/// What a variable stands for that is not set is shorter.
const LONGEST_DEFAULT: usize = 256;

/// The text that `text` spells in another way; none when it spells nothing so.
pub(super) fn plain(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > LONGEST {
        return None;
    }
    let joined = replaced(text, b"\\\"'=", joint);
    let escaped = replaced(joined.as_deref().unwrap_or(text), b"\\%&=", escape).or(joined);
    substituted(escaped.as_deref().unwrap_or(text)).or(escaped)
}

/// A pattern of this code over bytes.
pub(super) fn regex(pattern: &str) -> Regex {
    let built = RegexBuilder::new(pattern).unicode(false).build();
    built.expect("a test uses it")
}

/// `text` with what `undo` makes of each place that begins with one of `marks`, and of so many bytes there; none when it
/// makes nothing of any.
fn replaced<'t, M: AsRef<[u8]>>(
    text: &'t [u8],
    marks: &[u8],
    mut undo: impl FnMut(&'t [u8], usize) -> Option<(usize, M)>,
) -> Option<Vec<u8>> {
    // In most texts there is nothing of the kind, which this tells at no cost.
    let mut at = marks.iter().filter_map(|mark| memchr::memchr(*mark, text)).min()?;
    let mut is_mark = [false; 256];
    marks.iter().for_each(|mark| is_mark[usize::from(*mark)] = true);
    let (mut made, mut copied) = (Vec::new(), 0);
    while at < text.len() {
        if is_mark[usize::from(text[at])]
            && let Some((length, bytes)) = undo(text, at)
        {
            made.extend_from_slice(&text[copied..at]);
            made.extend_from_slice(bytes.as_ref());
            at += length;
            copied = at;
            continue;
        }
        at += 1;
    }
    made.extend_from_slice(&text[copied..]);
    (copied > 0).then_some(made)
}

/// The end of a line that goes on in the next, or of a string of several parts.
fn joint(text: &[u8], at: usize) -> Option<(usize, &'static [u8])> {
    let rest = &text[at..];
    let length = match rest {
        [b'\\', ..] => return Some((1 + line_end(&rest[1..])?, b"")),
        [b'=', ..] => 1 + line_end(&rest[1..])?,
        [b'\'', b'"', b'\'', b'"', b'\'', ..] => 5,
        [quote, ..] => between_strings(&rest[1..], *quote)?,
        [] => return None,
    };
    let word = |b: Option<&u8>| b.is_some_and(|b| is_word(*b));
    let glued = word(text.get(at.wrapping_sub(1))) && word(rest.get(length));
    glued.then_some((length, b""))
}

fn line_end(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

/// From the quote that ends one string, behind which `rest` stands, to the one that begins the next.
fn between_strings(rest: &[u8], quote: u8) -> Option<usize> {
    let blanks = |from: usize| from + run(&rest[from..], |b| matches!(b, b' ' | b'\t'));
    let at = blanks(0);
    let sign = match rest.get(at..)? {
        [b'+' | b'.', ..] => 1,
        [b'\\', end @ ..] => 1 + line_end(end)?,
        end => line_end(end).unwrap_or(0),
    };
    let end = blanks(at + sign);
    // A shell's strings stand side by side.
    (rest.get(end) == Some(&quote) && (sign > 0 || quote == b'"' || end == 0)).then_some(end + 2)
}

/// One escape, and what it stands for, where that can be shown.
fn escape(text: &[u8], at: usize) -> Option<(usize, Vec<u8>)> {
    let rest = &text[at..];
    let number = |from: usize, digits: usize, radix: u32| {
        let digits = rest.get(from..from + digits).filter(|d| d.iter().all(u8::is_ascii_hexdigit))?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
    };
    // One character by its number, up to `end`.
    let letter = |from: usize, end: u8, radix: u32| {
        let digits = run(&rest[from..rest.len().min(from + 7)], u8::is_ascii_hexdigit);
        let ended = rest.get(from + digits) == Some(&end);
        Some((from + digits + 1, ended.then(|| number(from, digits, radix))??))
    };
    let (length, code) = match rest {
        [b'\\', b'/', ..] => (2, u32::from(b'/')),
        [b'\\', b'u' | b'x', b'{', ..] => letter(3, b'}', 16)?,
        [b'\\', b'u', ..] => (6, number(2, 4, 16)?),
        [b'\\', b'U', ..] => (10, number(2, 8, 16)?),
        [b'\\', b'x', ..] => return byte(4, number(2, 2, 16)?),
        [b'\\', b'0'..=b'3', b'0'..=b'7', b'0'..=b'7', ..] => return byte(4, number(1, 3, 8)?),
        [b'\\', b'1'..=b'7', b'0'..=b'7', ..] => return byte(3, number(1, 2, 8)?),
        [b'%', ..] => return byte(3, number(1, 2, 16)?),
        [b'=', b'0'..=b'9' | b'A'..=b'F', b'0'..=b'9' | b'A'..=b'F', ..] => {
            return byte(3, number(1, 2, 16)?);
        }
        [b'&', b'#', b'x' | b'X', ..] => letter(3, b';', 16)?,
        [b'&', b'#', ..] => letter(2, b';', 10)?,
        _ => {
            NAMED.iter().find_map(|(name, b)| rest.starts_with(name).then(|| (name.len(), u32::from(*b))))?
        }
    };
    let letter = char::from_u32(code).filter(|c| !c.is_ascii_control() || c.is_ascii_whitespace())?;
    Some((length, letter.to_string().into_bytes()))
}

/// A byte of a longer character is a byte.
fn byte(length: usize, code: u32) -> Option<(usize, Vec<u8>)> {
    let byte = u8::try_from(code).ok().filter(|b| *b >= b' ' || b.is_ascii_whitespace())?;
    Some((length, vec![byte]))
}

const NAMED: &[(&[u8], u8)] =
    &[(b"&amp;", b'&'), (b"&quot;", b'"'), (b"&lt;", b'<'), (b"&gt;", b'>'), (b"&apos;", b'\'')];

/// Each variable that is set to a plain value and used, in its place: shells, GRUB, iPXE, make, templates.
fn substituted(text: &[u8]) -> Option<Vec<u8>> {
    let mut uses = [b'$', b'%', b'@', b'{'].into_iter().flat_map(|mark| memchr::memchr_iter(mark, text));
    uses.find(|at| used(text, *at).is_some())?;
    let values = values(text);
    let mut left = text.len() / 16 + GROWS;
    replaced(text, b"$%@{", |text, at| {
        let (length, name) = used(text, at)?;
        let value = *values.get(name)?;
        left = left.checked_sub(value.len().saturating_sub(length))?;
        Some((length, value))
    })
}

/// How long the use of a variable is that begins here, and the variable's name.
fn used(text: &[u8], at: usize) -> Option<(usize, &[u8])> {
    let rest = &text[at..];
    let (from, marks, end): (usize, &[u8], &[u8]) = match rest {
        [b'$', b'{', ..] => (2, b"_.-", b"}"),
        [b'$', b'(', ..] => (2, b"_.-", b")"),
        [b'$', ..] => (1, b"_", b""),
        [b'{', b'{', inner @ ..] => {
            let dash = usize::from(inner.starts_with(b"-"));
            let blanks = run(&inner[dash..], u8::is_ascii_whitespace);
            (2 + dash + blanks + usize::from(inner.get(dash + blanks) == Some(&b'.')), b"_.", b"}}")
        }
        [mark @ (b'%' | b'@'), ..] => (1, b"_", std::slice::from_ref(mark)),
        _ => return None,
    };
    let length = name(&rest[from..], marks)?;
    let (name, behind) = rest[from..].split_at(length);
    let passed = match (end, behind) {
        (b"}", [b':' | b'-' | b'=' | b'+' | b'?', ..]) => {
            run(&behind[..behind.len().min(LONGEST_DEFAULT)], |b| !matches!(b, b'}' | b'\n'))
        }
        (b"}}", _) => {
            let blanks = run(behind, u8::is_ascii_whitespace);
            blanks + usize::from(behind.get(blanks) == Some(&b'-'))
        }
        _ => 0,
    };
    behind[passed..].starts_with(end).then_some((from + length + passed + end.len(), name))
}

/// How long a name is that begins here, of letters, digits and `marks`.
fn name(rest: &[u8], marks: &[u8]) -> Option<usize> {
    let begins = rest.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    begins.then(|| run(rest, |b| b.is_ascii_alphanumeric() || marks.contains(b)))
}

/// What variables are first set to.
fn values(text: &[u8]) -> HashMap<&[u8], &[u8]> {
    let mut values = HashMap::new();
    let is_end = |b: &u8| matches!(b, b'\n' | b';' | b'&' | b'|' | b'%');
    let (mut at, mut sets) = (0, 0);
    while at < text.len() && values.len() < VARIABLES && sets < 16 * VARIABLES {
        if let Some((name, value)) = setting(&text[at..]) {
            values.entry(name).or_insert(value);
            sets += 1;
        }
        at += run(&text[at..], |b| !is_end(b)) + 1;
    }
    values
}

/// Words in front of a variable's name where it is set.
const SETS: &[&[u8]] =
    &[b"export ", b"local ", b"readonly ", b"declare ", b"typeset ", b"setenv ", b"set ", b"read ", b"-set "];

/// The variable that a statement sets, and its value.
fn setting(statement: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let mut rest = skip(statement, b" \t");
    rest = SETS.iter().find_map(|word| rest.strip_prefix(*word)).unwrap_or(rest);
    if let [b'-', option @ ..] = rest {
        let length = run(option, |b| is_word(*b));
        rest = option[length..].strip_prefix(b" ")?;
    }
    let length = name(rest, b"_.-")?;
    let (name, mut rest) = rest.split_at(length);
    if let [b':', kind @ ..] = rest {
        let length = run(kind, u8::is_ascii_alphanumeric);
        rest = if length > 0 { &kind[length..] } else { rest };
    }
    let behind = skip(rest, b" \t");
    let value = match behind {
        [b'=', value @ ..] | [b':' | b'?', b'=', value @ ..] => skip(value, b" \t"),
        [b':', value @ ..] if value.first().is_some_and(blank) => skip(value, b" \t"),
        _ if behind.len() < rest.len() => behind,
        _ => return None,
    };
    let quoted = |quote: u8| {
        let length = run(&value[1..], |b| *b != quote && *b != b'\n');
        (value.get(1 + length) == Some(&quote)).then(|| &value[1..=length])
    };
    let value = match value.first()? {
        quote @ (b'"' | b'\'') => quoted(*quote)?,
        b'#' => return None,
        _ => &value[..run(value, |b| !b.is_ascii_whitespace() && !matches!(b, b';' | b'"' | b'\''))],
    };
    (!value.is_empty()).then_some((name, value))
}

/// What zlib packed, from where it begins to where its checksum is right.
pub(super) fn zlib_runs(bytes: &[u8]) -> Vec<Vec<u8>> {
    let begins = |at: &usize| matches!(bytes.get(at + 1), Some(0x01 | 0x5E | 0x9C | 0xDA));
    let (mut runs, mut left) = (Vec::new(), TRIED);
    for at in memchr::memchr_iter(0x78, bytes).filter(begins) {
        let mut out = Vec::new();
        let read = flate2::bufread::ZlibDecoder::new(&bytes[at..]).take(left).read_to_end(&mut out);
        left = left.saturating_sub(TRY + out.len() as u64);
        if read.is_ok() && out.len() >= 8 {
            runs.push(out);
        }
        if left == 0 {
            break;
        }
    }
    runs
}

/// Whether decoded bytes are more than noise: nearly all text, or the beginning of something packed.
pub(super) fn says_something(bytes: &[u8]) -> bool {
    is_nearly_text(bytes)
        || super::formats::is_packed(bytes)
        || matches!(bytes, [0x78, 0x01 | 0x5E | 0x9C | 0xDA, ..])
        || matches!(bytes, [0x30, 0x81..=0x83, ..] | [0x30, 0x2E, 2, 1, 0, ..])
        || bytes.starts_with(b"openssh-key-v1\0")
}

fn is_nearly_text(bytes: &[u8]) -> bool {
    let (mut others, mut at) = (bytes.len() / 10 + 1, 0);
    while at < bytes.len() && others > 0 {
        if !SHOWN[usize::from(bytes[at])] {
            others -= 1;
        }
        at += 1;
    }
    others > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        while let Some(made) = plain(&bytes) {
            bytes = made;
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn spellings_are_undone_layer_by_layer() {
        for (text, want) in [
            (r"rancher.password=h\u0075nter2", "rancher.password=hunter2"),
            (r"rancher.pass\x77ord=x", "rancher.password=x"),
            ("rancher%2Epassword%3Dhunter2", "rancher.password=hunter2"),
            ("rancher%252Epassword", "rancher.password"),
            ("pass&#119;ord &amp;", "password &"),
            ("rancher.pass\\\nword=x", "rancher.password=x"),
            (r#"a = "ghp_" + "abc""#, r#"a = "ghp_abc""#),
            (r#"a = ("x" + "y") + "" "#, r#"a = ("xy") + "" "#),
        ] {
            assert_eq!(chain(text), want, "{text}");
        }
    }

    #[test]
    fn variables_are_put_where_they_are_used() {
        assert!(chain("pw=hunter2\nappend rancher.password=$pw\n").ends_with("rancher.password=hunter2\n"));
        assert!(chain("set a hun\nset b ter2\nset password ${a}${b}\n").ends_with("set password hunter2\n"));
        assert!(chain("set a=x1\nset b=${a}y\nlinux /k p=${b}\n").ends_with("p=x1y\n"));
        assert_eq!(chain("echo ${unset}"), "echo ${unset}");
    }

    #[test]
    fn variables_that_grow_end() {
        let mut text = "set a0 0123456789\n".to_owned();
        for n in 1..60 {
            text += &format!("set a{n} ${{a{0}}}${{a{0}}}${{a{0}}}${{a{0}}}\n", n - 1);
        }
        let mut bytes = text.into_bytes();
        for _ in 0..16 {
            let Some(made) = plain(&bytes) else { break };
            assert!(made.len() <= bytes.len() / 16 * 17 + 16 + GROWS);
            bytes = made;
        }
    }
}
