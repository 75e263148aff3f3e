//! Texts that are spelled as numbers: dumps of `xxd`, `hexdump` and `od`, arrays in programs, calls of `chr`. Each number
//! is a word, and what stands between two of them does not matter.

use super::{
    decode::says_something,
    encoded::{NONE, Values, values},
};

/// Fewer bytes hold no secret with what tells it from other text.
const SHORTEST: usize = 12;
/// What is read of a long number to see whether it goes on to say something.
const TRIED: usize = 64;
/// More than the indentation, the quotes and the call between two numbers.
const FARTHEST: usize = 48;
/// Words that stand next to numbers: calls, directives of assemblers, types, line ends that are escaped.
const BESIDE: &[&str] = &["chr", "char", "byte", "db", "b", "u", "x", "h", "n", "r", "dec", "hex"];
/// Letters in front of a hexadecimal number, or of the line end before it.
const PREFIXES: &[u8] = b"xXhHnuU";

/// How a number is written.
#[derive(Clone, Copy)]
enum Notation {
    Hex,
    /// Groups of two, four or eight bytes, the lowest first.
    HexLittle,
    Decimal,
    Octal,
    Binary,
    /// Two bytes, the lowest first: `hexdump -d` and `od`.
    DecimalPair,
    OctalPair,
}

const NOTATIONS: [Notation; 7] = [
    Notation::Hex,
    Notation::HexLittle,
    Notation::Decimal,
    Notation::Octal,
    Notation::Binary,
    Notation::DecimalPair,
    Notation::OctalPair,
];

/// What a byte may be in a word, a bit each.
const LETTER: u8 = 1;
const HEX_DIGIT: u8 = 2;
const DIGIT: u8 = 4;
static KINDS: [u8; 256] = {
    let (mut table, mut b) = ([0; 256], 0);
    while b < 256 {
        let byte = b as u8;
        if byte.is_ascii_alphanumeric() {
            table[b] |= LETTER;
        }
        if byte.is_ascii_hexdigit() {
            table[b] |= HEX_DIGIT;
        }
        if byte.is_ascii_digit() {
            table[b] |= DIGIT;
        }
        b += 1;
    }
    table
};

/// What a digit is worth.
static VALUES: Values = {
    let mut table = values(b"0123456789abcdef");
    let mut digit = 10;
    while digit < 16 {
        table[b'A' as usize + digit - 10] = digit as u8;
        digit += 1;
    }
    table
};

/// What the numbers in `text` spell, where that is text or something packed.
pub(super) fn number_runs(text: &[u8]) -> Vec<Vec<u8>> {
    let mut runs = Runs::default();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text).map(|at| at + 1).chain([text.len()]) {
        runs.line(numbers_of_dump(&text[start..end]));
        start = end;
    }
    runs.end();
    runs.spelled.extend(characters(text));
    runs.spelled
}

/// The numbers of a line, without a dump's address in front and the text beside.
fn numbers_of_dump(line: &[u8]) -> &[u8] {
    let digits = line.iter().take(17).take_while(|b| b.is_ascii_hexdigit()).count();
    let (rest, ends): (_, &[&[u8]]) = match line.get(digits..).unwrap_or_default() {
        [b':', rest @ ..] if (6..=16).contains(&digits) => (rest, &[b"  "]),
        rest @ [b' ', ..] if matches!(digits, 6 | 7) => (rest, &[b"  |", b"  >"]),
        rest @ [b' ', b' ', ..] if digits == 8 => (rest, &[b"  |"]),
        _ => return record(line).unwrap_or(line),
    };
    let end = ends.iter().filter_map(|end| memchr::memmem::find(rest, end)).min();
    &rest[..end.unwrap_or(rest.len())]
}

/// The data of a line of Intel's or Motorola's format.
fn record(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii_end();
    let (head, digits) = match line {
        [b':', digits @ ..] => (8, digits),
        [b'S', b'1', digits @ ..] => (6, digits),
        [b'S', b'2', digits @ ..] => (8, digits),
        [b'S', b'3', digits @ ..] => (10, digits),
        _ => return None,
    };
    let data = digits.get(head..digits.len().checked_sub(2)?)?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some(data)
}

/// The runs under way, one of each notation.
#[derive(Default)]
struct Runs {
    bytes: [Vec<u8>; NOTATIONS.len()],
    begun: bool,
    /// Bytes since the last number.
    gap: usize,
    spelled: Vec<Vec<u8>>,
}

impl Runs {
    fn line(&mut self, line: &[u8]) {
        let mut at = 0;
        while at < line.len() {
            let (start, mut all, mut any) = (at, u8::MAX, 0);
            while at < line.len() && KINDS[usize::from(line[at])] != 0 {
                all &= KINDS[usize::from(line[at])];
                any |= KINDS[usize::from(line[at])];
                at += 1;
            }
            if at == start {
                (at, self.gap) = (at + 1, self.gap + 1);
            } else if any & DIGIT != 0 || all & HEX_DIGIT != 0 {
                self.number(&line[start..at]);
            } else if self.begun {
                self.other(&line[start..at]);
            }
        }
    }

    /// A word that is not a number.
    fn other(&mut self, word: &[u8]) {
        if word.len() <= 4 && BESIDE.iter().any(|w| word.eq_ignore_ascii_case(w.as_bytes())) {
            self.gap += word.len();
        } else {
            self.end();
        }
    }

    fn number(&mut self, word: &[u8]) {
        if self.gap > FARTHEST {
            self.end();
        }
        (self.gap, self.begun) = (0, true);
        for (n, notation) in NOTATIONS.into_iter().enumerate() {
            if notation.read(word, &mut self.bytes[n]).is_none() {
                self.finish(n);
            }
        }
    }

    fn end(&mut self) {
        if self.begun {
            (0..NOTATIONS.len()).for_each(|n| self.finish(n));
            self.begun = false;
        }
    }

    fn finish(&mut self, n: usize) {
        let bytes = &mut self.bytes[n];
        if bytes.len() >= SHORTEST && says_something(bytes) {
            self.spelled.push(std::mem::take(bytes));
        }
        bytes.clear();
    }
}

impl Notation {
    /// Appends what a word stands for; nothing when it is not written so.
    fn read(self, word: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
        if matches!(self, Self::Hex) {
            return hex(word, bytes);
        }
        let (length, plain) = (word.len(), std::str::from_utf8(word).ok()?);
        match self {
            Self::Hex => {}
            Self::HexLittle => {
                let digits = plain.strip_prefix("0x").unwrap_or(plain);
                let value = u64::from_str_radix(digits, 16).ok()?;
                matches!(digits.len(), 2 | 4 | 8 | 16).then_some(())?;
                bytes.extend_from_slice(&value.to_le_bytes()[..digits.len() / 2]);
            }
            Self::Decimal => bytes.push(plain.strip_suffix("u8").unwrap_or(plain).parse().ok()?),
            Self::Octal => {
                let digits = plain.strip_prefix("0o").unwrap_or(plain);
                (length == 3 || word[0] == b'0' && (2..=5).contains(&length)).then_some(())?;
                bytes.push(u8::from_str_radix(digits, 8).ok()?);
            }
            Self::Binary => {
                let digits = plain.strip_prefix("0b").unwrap_or(plain).as_bytes();
                let (groups, []) = digits.as_chunks::<8>() else { return None };
                digits.iter().all(|b| matches!(b, b'0' | b'1')).then_some(())?;
                bytes.extend(groups.iter().map(|g| g.iter().fold(0, |byte, b| byte << 1 | b & 1)));
            }
            Self::DecimalPair => {
                (length == 5).then_some(())?;
                bytes.extend(plain.parse::<u16>().ok()?.to_le_bytes());
            }
            Self::OctalPair => {
                (length == 6).then_some(())?;
                bytes.extend(u16::from_str_radix(plain, 8).ok()?.to_le_bytes());
            }
        }
        Some(())
    }
}

/// `6c`, `6c69…`, `0x6c`, `0xA`, `06Ch`, `u006c`, `0x6cu8`.
fn hex(word: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    let marked = word.strip_prefix(b"0x").or(word.strip_prefix(b"0X"));
    let lettered = || word.split_first().filter(|(b, _)| PREFIXES.contains(b)).map(|(_, rest)| rest);
    let mut digits = marked.or_else(lettered).unwrap_or(word);
    digits = digits.strip_suffix(b"u8").unwrap_or(digits);
    if let [rest @ .., b'h' | b'H'] = digits {
        digits = if rest.len() == 3 { rest.strip_prefix(b"0")? } else { rest };
    }
    // One character may have a longer number: `U+006C`.
    while digits.len() > 2 && digits.len() <= 8 && digits.starts_with(b"00") {
        digits = &digits[2..];
    }
    let value = |at: usize| VALUES[usize::from(digits[at])];
    if let (true, [_]) = (marked.is_some(), digits) {
        bytes.push(Some(value(0)).filter(|value| *value != NONE)?);
        return Some(());
    }
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let (begins, mut read) = (bytes.is_empty(), vec![0; digits.len() / 2]);
    for at in 0..read.len() {
        let (high, low) = (value(2 * at), value(2 * at + 1));
        if high == NONE || low == NONE || at == TRIED && begins && !says_something(&read[..at]) {
            return None;
        }
        read[at] = high << 4 | low;
    }
    bytes.extend_from_slice(&read);
    Some(())
}

/// Characters one by one: `od -c`, whose cells have a width of four, and `'a', 'b'` of C.
fn characters(text: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    if text.starts_with(b"0000000  ") {
        let cells = text.split(|b| *b == b'\n').flat_map(|line| line.get(7..).unwrap_or_default().chunks(4));
        found.push(cells.filter_map(cell).collect());
    }
    if memchr::memmem::find(text, b"', '").is_some() || memchr::memmem::find(text, b"','").is_some() {
        let parts = text.split(|b| *b == b'\'').skip(1).step_by(2);
        found.push(parts.filter_map(character).collect());
    }
    found.retain(|bytes: &Vec<u8>| bytes.len() >= SHORTEST && says_something(bytes));
    found
}

fn cell(cell: &[u8]) -> Option<u8> {
    match cell.trim_ascii() {
        [] => (cell.len() == 4).then_some(b' '),
        octal @ [_, _, _] => u8::from_str_radix(std::str::from_utf8(octal).ok()?, 8).ok(),
        other => character(other),
    }
}

fn character(part: &[u8]) -> Option<u8> {
    match part {
        [b] => Some(*b),
        b"\\n" => Some(b'\n'),
        b"\\r" => Some(b'\r'),
        b"\\t" => Some(b'\t'),
        [b'\\', b] => Some(*b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "rancher.password=hunter2-and-more\n";

    fn each(of: impl Fn(u8) -> String, separator: &str) -> String {
        TEXT.bytes().map(of).collect::<Vec<_>>().join(separator)
    }

    #[test]
    fn numbers_spell_text_in_every_notation() {
        let words =
            |bytes: &[u8], of: fn(&[u8]) -> String| bytes.chunks(2).map(of).collect::<Vec<_>>().join(" ");
        for text in [
            each(|b| format!("{b:02x}"), ""),
            each(|b| format!("{b:02x}"), " "),
            each(|b| format!("0x{b:02X}"), ", "),
            each(|b| format!("0x{b:X}u8"), ","),
            each(|b| format!("\\x{b:02x}"), ""),
            each(|b| format!("{b:03X}h"), ", "),
            each(|b| format!("U+{b:04X}"), " "),
            each(|b| b.to_string(), ", "),
            each(|b| format!("chr({b})"), " . "),
            each(|b| format!("0{b:o}"), ",\n\t"),
            each(|b| format!("{b:08b}"), " "),
            each(
                |b| format!("'{}'", if b == b'\n' { "\\n".into() } else { char::from(b).to_string() }),
                ", ",
            ),
            words(TEXT.as_bytes(), |pair| format!("{:02x}{:02x}", pair[1], pair[0])),
        ] {
            assert!(number_runs(text.as_bytes()).contains(&TEXT.as_bytes().to_vec()), "{text}");
        }
    }

    #[test]
    fn dumps_are_read_without_their_addresses_and_texts() {
        for dump in [
            "00000000: 7261 6e63 6865 722e 7061 7373 776f 7264  rancher.password\n00000010: 3d68  =h\n",
            "00000000  72 61 6e 63 68 65 72 2e  70 61 73 73 77 6f 72 64  |rancher.password|\n00000010  3d 68  |=h|\n",
            "0000000 6172 636e 6568 2e72 6170 7373 6f77 6472\n0000010 683d\n",
            "0000000 060562 061556 062550 027162 060560 071563 067567 062162\n0000020 064075\n",
            "0000000   r   a   n   c   h   e   r   .   p   a   s   s   w   o   r   d\n0000020   =   h\n",
            ":1000000072616E636865722E70617373776F726400\n:020010003D6800\n",
        ] {
            assert!(number_runs(dump.as_bytes()).contains(&b"rancher.password=h".to_vec()), "{dump}");
        }
    }

    #[test]
    fn numbers_that_say_nothing_are_no_text() {
        for text in
            ["1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14", "da39a3ee5e6b4b0d3255bfef95601890afd80709"]
        {
            assert!(number_runs(text.as_bytes()).is_empty(), "{text}");
        }
        assert!(number_runs("00ff".repeat(20).as_bytes()).is_empty());
    }
}
