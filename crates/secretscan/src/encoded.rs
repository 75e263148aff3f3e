//! What texts hold in another spelling: base64, numbers, other alphabets, zlib, and what `decode` undoes.

use super::{alphabets, decode, numbers};

/// Shorter runs hold no key, and are words.
pub(super) const SHORTEST: usize = 24;
/// What a run this long decodes to is looked at even when it is not a text.
const LONG: usize = 40;
/// Shorter runs of text inside of other bytes are names and messages.
const PASSAGE: usize = 64;

/// How decoded bytes are called on the way in.
pub(super) const BASE64: &str = "base64";
pub(super) const NUMBERS: &str = "numbers";
pub(super) const ZLIB: &str = "zlib";
pub(super) const DECODED: &str = "decoded";
pub(super) const BASE32: &str = "base32";
pub(super) const BASE58: &str = "base58";
pub(super) const BASE85: &str = "base85";
pub(super) const UUENCODE: &str = "uuencode";
pub(super) const WIDE: &str = "UTF-16";
/// All of them.
pub(super) const SPELLINGS: [&str; 9] =
    [BASE64, NUMBERS, ZLIB, DECODED, BASE32, BASE58, BASE85, UUENCODE, WIDE];

/// Bytes that were spelled in another way, with how that way is called.
pub(super) type Decoded = Vec<(&'static str, Vec<u8>)>;

/// What `text` spells; runs of digits only when they begin before `until`.
pub(super) fn spellings(text: &[u8], until: usize, hidden: &mut Decoded) {
    in_text(text, until, hidden);
    hidden.extend(decode::zlib_runs(text).into_iter().map(|bytes| (ZLIB, bytes)));
}

fn in_text(text: &[u8], until: usize, hidden: &mut Decoded) {
    if text.len() >= SHORTEST {
        for run in runs(text, until) {
            run.spellings(hidden);
        }
        let mut add = |name, all: Vec<Vec<u8>>| hidden.extend(all.into_iter().map(|bytes| (name, bytes)));
        add(NUMBERS, numbers::number_runs(text));
        add(BASE85, alphabets::base85_runs(text));
        add(UUENCODE, alphabets::uuencoded(text));
    }
    hidden.extend(decode::plain(text).map(|bytes| (DECODED, bytes)));
}

/// What passages of text in other bytes spell, and what zlib packed there.
pub(super) fn inside_binary(bytes: &[u8], hidden: &mut Decoded) {
    for passage in passages(bytes) {
        in_text(passage, passage.len(), hidden);
    }
    hidden.extend(alphabets::wide_runs(bytes).into_iter().map(|bytes| (WIDE, bytes)));
    hidden.extend(decode::zlib_runs(bytes).into_iter().map(|bytes| (ZLIB, bytes)));
}

/// Which bytes are seen in a text.
pub(super) const SHOWN: [bool; 256] = {
    let (mut table, mut b) = ([false; 256], 0);
    while b < 256 {
        table[b] = matches!(b as u8, b' '..=b'~' | b'\n' | b'\r' | b'\t');
        b += 1;
    }
    table
};

/// Runs of text in other bytes.
fn passages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = next_run(bytes, at, PASSAGE, |b| SHOWN[usize::from(b)])?;
        at = start + PASSAGE;
        while at < bytes.len() && SHOWN[usize::from(bytes[at])] {
            at += 1;
        }
        Some(&bytes[start..at])
    })
}

/// Where the next run of `shortest` bytes begins. Each place is looked at from its end, as no run is as long before the last
/// other byte; so most bytes are never looked at.
pub(super) fn next_run(
    bytes: &[u8],
    mut at: usize,
    shortest: usize,
    of: impl Fn(u8) -> bool,
) -> Option<usize> {
    let mut end = at + shortest;
    while end <= bytes.len() {
        let mut from = end;
        while from > at && of(bytes[from - 1]) {
            from -= 1;
        }
        if from == at {
            return Some(at);
        }
        (at, end) = (from, from + shortest);
    }
    None
}

/// What each byte is worth in an alphabet, or [`NONE`].
pub(super) type Values = [u8; 256];
pub(super) const NONE: u8 = 0xFF;

pub(super) const fn values(alphabet: &[u8]) -> Values {
    let (mut table, mut n) = ([NONE; 256], 0);
    while n < alphabet.len() {
        table[alphabet[n] as usize] = n as u8;
        n += 1;
    }
    table
}

/// Of addresses and of everything else.
static BASE_64: Values = {
    let mut table = values(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    (table[b'-' as usize], table[b'_' as usize]) = (62, 63);
    table
};

/// The alphabets of which a byte is a digit, a bit each; none for what is not one of base64.
pub(super) type Alphabets = u8;
const IN_64: Alphabets = 1;
pub(super) const IN_58: Alphabets = 2;
/// Each alphabet of base32 is one of these bits.
pub(super) const IN_32: [Alphabets; 3] = [4, 8, 16];

static ALPHABETS: [Alphabets; 256] = {
    let (mut table, mut b) = ([0; 256], 0);
    while b < 256 {
        if BASE_64[b] != NONE {
            table[b] |= IN_64;
        }
        if alphabets::BASE58[b] != NONE {
            table[b] |= IN_58;
        }
        let mut n = 0;
        while n < 3 {
            if alphabets::BASE32[n][b] != NONE {
                table[b] |= IN_32[n];
            }
            n += 1;
        }
        b += 1;
    }
    table
};

/// Digits that follow each other, over line ends, real or escaped.
struct Run {
    digits: Vec<u8>,
    /// How many of them are of one smaller alphabet as well, and of which.
    small: (usize, Alphabets),
}

impl Run {
    fn spellings(&self, hidden: &mut Decoded) {
        self.base64(hidden);
        let (length, alphabets) = self.small;
        if alphabets != IN_64 {
            alphabets::small(&self.digits[..length], alphabets, hidden);
            return;
        }
        let joint = |b: &u8| matches!(b, b'+' | b'/' | b'-' | b'_');
        for part in self.digits.split(joint).filter(|part| part.len() >= SHORTEST) {
            alphabets::small(part, alphabets_of(part), hidden);
        }
    }

    /// In the alphabet of addresses, too.
    fn base64(&self, hidden: &mut Decoded) {
        let of_addresses = |b: &u8| matches!(b, b'-' | b'_');
        let mut add = |digits: &[u8]| {
            let bytes = decode(digits);
            if digits.len() >= LONG || decode::says_something(&bytes) {
                hidden.push((BASE64, bytes));
            }
        };
        if memchr::memchr2(b'-', b'_', &self.digits).is_some() {
            self.digits.split(of_addresses).filter(|part| part.len() >= SHORTEST).for_each(&mut add);
        }
        add(&self.digits);
    }
}

fn alphabets_of(digits: &[u8]) -> Alphabets {
    let (mut alphabets, mut at) = (Alphabets::MAX, 0);
    while at < digits.len() {
        alphabets &= ALPHABETS[usize::from(digits[at])];
        at += 1;
    }
    alphabets
}

/// Each run that begins before `until`.
fn runs(text: &[u8], until: usize) -> impl Iterator<Item = Run> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = next_run(text, at, SHORTEST, |b| ALPHABETS[usize::from(b)] != 0)?;
        if start >= until {
            return None;
        }
        // An escaped line end is not part of it.
        let escape = start > 0 && text[start - 1] == b'\\' && matches!(text[start], b'n' | b'r' | b't');
        let (run, end) = take_run(text, start + usize::from(escape));
        at = end;
        Some(run)
    })
}

/// What base64 with white space in it decodes to.
pub(super) fn decode_all(text: &str) -> Vec<u8> {
    decode(&text.bytes().filter(|b| BASE_64[usize::from(*b)] != NONE).collect::<Vec<_>>())
}

/// Lenient: a run may be cut where a text says nothing about padding.
fn decode(digits: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; digits.len() * 3 / 4];
    let (mut held, mut digit, mut at) = (0_u32, 0, 0);
    while at < bytes.len() {
        held = held << 6 | u32::from(BASE_64[usize::from(digits[digit])]);
        if digit % 4 > 0 {
            bytes[at] = (held >> (6 - 2 * (digit % 4))) as u8;
            at += 1;
        }
        digit += 1;
    }
    bytes
}

/// Collects one run; hands back where to go on.
fn take_run(text: &[u8], mut at: usize) -> (Run, usize) {
    let (mut digits, mut small, mut all) = (Vec::new(), (0, Alphabets::MAX), Alphabets::MAX);
    loop {
        let start = at;
        while at < text.len() {
            let alphabets = ALPHABETS[usize::from(text[at])];
            if alphabets == 0 {
                break;
            }
            all &= alphabets;
            at += 1;
        }
        digits.extend_from_slice(&text[start..at]);
        // What follows in another alphabet is another text.
        if all != IN_64 || small.0 == 0 {
            small = (digits.len(), all);
        }
        let next = line_end(text, at);
        if at - start < SHORTEST || next == at {
            return (Run { digits, small }, at);
        }
        at = next;
    }
}

/// Where the next line's first character is, when a line ends at `at`. Quotes, commas and marks of comments may stand
/// around the end, as in a list or a string of several parts.
fn line_end(text: &[u8], mut at: usize) -> usize {
    let from = at;
    let mut ended = false;
    loop {
        match text.get(at..) {
            Some([b'\\', b'n' | b'r', ..]) => (at, ended) = (at + 2, true),
            Some([b'\n' | b'\r', ..]) => (at, ended) = (at + 1, true),
            Some([b'"' | b'\'', b',', ..]) => (at, ended) = (at + 2, true),
            Some([b'"' | b'\'' | b'\\', ..]) => at += 1,
            Some([b' ' | b'\t', b'+', b'\n' | b' ', ..]) => at += 2,
            Some([b' ' | b'\t' | b'#' | b'>' | b'*' | b';', ..]) if ended => at += 1,
            _ => return if ended { at } else { from },
        }
    }
}
