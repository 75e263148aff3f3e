//! Texts that hold other texts in another spelling: escapes of JSON, shells, addresses and HTML, lines that go on, and
//! variables that are set and used. One pass undoes one layer of each; what comes out is looked at like any text, so
//! that chains are followed as deep as a scan goes.

use std::{collections::HashMap, io::Read as _, sync::LazyLock};

use super::rules::is_word;
use regex::bytes::{Captures, Regex, RegexBuilder};

/// Longer texts are not configuration; they are read as they stand.
const LONGEST: usize = 1 << 20;
/// What a text may grow by in one pass, its own sixteenth and this: more than scripts do, and no bomb after all passes.
const GROWS: usize = 16 << 10;
/// Bytes that are unpacked in search of what zlib packed.
const TRIED: u64 = 4 << 20;
/// More variables than a script of ours has.
const VARIABLES: usize = 512;

/// The text that `text` spells in another way; none when it spells nothing so.
pub(super) fn plain(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > LONGEST {
        return None;
    }
    // In most texts there is nothing of the kind, which these tell at no cost.
    let has = |of: &[u8]| of.iter().any(|b| memchr::memchr(*b, text).is_some());
    if !has(b"\\\"'%&$@")
        && ![&b"=\n"[..], b"=\r", b"{{", b"=3D"].iter().any(|w| memchr::memmem::find(text, w).is_some())
    {
        return None;
    }
    let joined = joined(text);
    let escaped = unescaped(&joined);
    let made = substituted(&escaped);
    (made != text).then_some(made)
}

/// A pattern of this code over bytes.
pub(super) fn regex(pattern: &str) -> Regex {
    let built = RegexBuilder::new(pattern).unicode(false).build();
    built.expect("a test uses it")
}

/// Lines that go on in the next, and strings that are put together.
fn joined(text: &[u8]) -> Vec<u8> {
    static JOINTS: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r#"\\\r?\n|=\r?\n|"[ \t]*(?:[+.]|\\?\r?\n)?[ \t]*"|'[ \t]*(?:[+.]|\\?\r?\n)[ \t]*'|'"'"'|""|''"#,
        )
    });
    let word = |b: Option<&u8>| b.is_some_and(|b| is_word(*b));
    let replace = |c: &Captures<'_>| {
        let whole = c.get(0).expect("group 0 is the match");
        let glued = word(text.get(whole.start().wrapping_sub(1))) && word(text.get(whole.end()));
        let line = whole.as_bytes().starts_with(b"\\");
        if glued || line { Vec::new() } else { whole.as_bytes().to_vec() }
    };
    JOINTS.replace_all(text, replace).into_owned()
}

/// One layer of escapes.
fn unescaped(text: &[u8]) -> Vec<u8> {
    static ESCAPES: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"(?x) \\u\{?([0-9a-fA-F]{4,6})\}? | \\x([0-9a-fA-F]{2}) | \\([0-3][0-7]{2}) | \\0?([1-7][0-7])
            | %([0-9a-fA-F]{2}) | =([0-9A-F]{2}) | &\#x([0-9a-fA-F]{2,6}); | &\#([0-9]{2,6});
            | &(amp|quot|lt|gt|apos); | \\(/)",
        )
    });
    let replace = |c: &Captures<'_>| -> Vec<u8> {
        let whole = c[0].to_vec();
        let number = |n: usize, radix| {
            let text = std::str::from_utf8(c.get(n)?.as_bytes()).ok()?;
            u32::from_str_radix(text, radix).ok()
        };
        let letter = |code: u32| char::from_u32(code).map(|c| c.to_string().into_bytes());
        // A byte of a longer character is a byte.
        let byte = |code: u32| u8::try_from(code).ok().filter(|b| *b != 0).map(|b| vec![b]);
        let made = (number(1, 16).or(number(7, 16)).or(number(8, 10)).and_then(letter))
            .or(number(2, 16)
                .or(number(5, 16))
                .or(number(6, 16))
                .or(number(3, 8))
                .or(number(4, 8))
                .and_then(byte))
            .or_else(|| c.get(10).map(|m| m.as_bytes().to_vec()))
            .or_else(|| {
                Some(match c.get(9)?.as_bytes() {
                    b"amp" => b"&".to_vec(),
                    b"quot" => b"\"".to_vec(),
                    b"lt" => b"<".to_vec(),
                    b"gt" => b">".to_vec(),
                    _ => b"'".to_vec(),
                })
            });
        made.filter(|bytes| bytes.iter().all(|b| *b >= b' ' || b.is_ascii_whitespace())).unwrap_or(whole)
    };
    ESCAPES.replace_all(text, replace).into_owned()
}

/// Each variable that is set to a plain value and used, in its place: shells, GRUB, iPXE, make, templates.
fn substituted(text: &[u8]) -> Vec<u8> {
    static SET: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r#"(?m)(?:^|[;&|]|\{%-?)[ \t]*(?:export |local |readonly |declare |typeset |setenv |set |isset \S+ \|\| set |read )?(?:-\w+ )?([A-Za-z_][\w.-]*)(?::\w+)?(?:[ \t]*[:?]?=[ \t]*|[ \t]+|[ \t]*:[ \t]+)(?:"([^"\n]*)"|'([^'\n]*)'|([^\s;"'#][^\s;"']*))"#,
        )
    });
    static USE: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"\$\{([A-Za-z_][\w.-]*)(?::?[-=+?][^}\n]*|:\w+)?\}|\$\(([A-Za-z_][\w.-]*)\)|\$([A-Za-z_]\w*)|\{\{-?\s*\.?([A-Za-z_][\w.]*)\s*-?\}\}|%([A-Za-z_]\w*)%|@([A-Za-z_]\w*)@",
        )
    });
    if !USE.is_match(text) {
        return text.to_vec();
    }
    let mut values: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    for c in SET.captures_iter(text).take(VARIABLES * 16) {
        let value = c.get(2).or(c.get(3)).or(c.get(4)).map_or(&b""[..], |m| m.as_bytes());
        if values.len() < VARIABLES || values.contains_key(&c[1]) {
            values.entry(c[1].to_vec()).or_insert_with(|| value.to_vec());
        }
    }
    let mut left = text.len() / 16 + GROWS;
    let replace = |c: &Captures<'_>| -> Vec<u8> {
        let name = c.iter().skip(1).flatten().next().expect("each way has a name");
        let value = values.get(name.as_bytes());
        let fits =
            value.and_then(|value| left.checked_sub(value.len().saturating_sub(c[0].len())).zip(Some(value)));
        match fits {
            Some((rest, value)) => {
                left = rest;
                value.clone()
            }
            None => c[0].to_vec(),
        }
    };
    USE.replace_all(text, replace).into_owned()
}

/// What zlib packed, from where it begins to where its checksum is right.
pub(super) fn zlib_runs(bytes: &[u8]) -> Vec<Vec<u8>> {
    let begins = |at: &usize| matches!(bytes.get(at + 1), Some(0x01 | 0x5E | 0x9C | 0xDA));
    let (mut runs, mut left) = (Vec::new(), TRIED);
    for at in memchr::memchr_iter(0x78, bytes).filter(begins) {
        let mut out = Vec::new();
        let read = flate2::bufread::ZlibDecoder::new(&bytes[at..]).take(left).read_to_end(&mut out);
        left = left.saturating_sub(64 + out.len() as u64);
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
    let text = bytes.iter().filter(|b| (b' '..0x7F).contains(*b) || b"\n\r\t".contains(*b)).count();
    text * 10 >= bytes.len() * 9
        || super::formats::is_packed(bytes)
        || matches!(bytes, [0x78, 0x01 | 0x5E | 0x9C | 0xDA, ..])
        || matches!(bytes, [0x30, 0x81..=0x83, ..] | [0x30, 0x2E, 2, 1, 0, ..])
        || bytes.starts_with(b"openssh-key-v1\0")
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
