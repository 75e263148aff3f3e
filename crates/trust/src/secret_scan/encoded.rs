//! What texts hold in another spelling: base64, numbers, other alphabets, zlib, and what `decode` undoes.

use super::{alphabets, decode, numbers};
use base64::{Engine as _, alphabet, engine};

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

/// What `text` spells; runs of base64 only when they begin before `until`.
pub(super) fn spellings(text: &[u8], until: usize, hidden: &mut Decoded) {
    in_text(text, until, hidden);
    hidden.extend(decode::zlib_runs(text).into_iter().map(|bytes| (ZLIB, bytes)));
}

fn in_text(text: &[u8], until: usize, hidden: &mut Decoded) {
    let mut add = |name, all: Vec<Vec<u8>>| hidden.extend(all.into_iter().map(|bytes| (name, bytes)));
    add(BASE64, base64_runs(text, until));
    add(NUMBERS, numbers::number_runs(text));
    add(DECODED, decode::plain(text).into_iter().collect());
    add(BASE32, alphabets::base32_runs(text, until));
    add(BASE58, alphabets::base58_runs(text, until));
    add(BASE85, alphabets::base85_runs(text));
    add(UUENCODE, alphabets::uuencoded(text));
}

/// What passages of text in other bytes spell, and what zlib packed there.
pub(super) fn inside_binary(bytes: &[u8], hidden: &mut Decoded) {
    let shown = |b: &u8| (b' '..0x7F).contains(b) || b"\n\r\t".contains(b);
    for passage in bytes.split(|b| !shown(b)).filter(|p| p.len() >= PASSAGE) {
        in_text(passage, passage.len(), hidden);
    }
    hidden.extend(alphabets::wide_runs(bytes).into_iter().map(|bytes| (WIDE, bytes)));
    hidden.extend(decode::zlib_runs(bytes).into_iter().map(|bytes| (ZLIB, bytes)));
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
static BOTH_64: Values = values(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_");

/// Lenient: a run may be cut where a text says nothing about padding.
const ENGINE: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(engine::DecodePaddingMode::RequireNone),
);

/// What each run of base64 that begins before `until` decodes to, in the alphabet of addresses, too. A run goes on over
/// line ends, real or escaped.
fn base64_runs(text: &[u8], until: usize) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for mut digits in runs(text, until, &BOTH_64) {
        let of_addresses = |b: &u8| matches!(b, b'-' | b'_');
        if digits.iter().any(of_addresses) {
            let parts = digits.split(of_addresses).filter(|part| part.len() >= SHORTEST);
            found.extend(parts.map(<[u8]>::to_vec));
            for digit in &mut digits {
                *digit = match digit {
                    b'-' => b'+',
                    b'_' => b'/',
                    _ => *digit,
                };
            }
        }
        found.push(digits);
    }
    let decoded = found.into_iter().map(|digits| (digits.len(), decode(digits)));
    decoded
        .filter(|(length, bytes)| *length >= LONG || decode::says_something(bytes))
        .map(|(_, bytes)| bytes)
        .collect()
}

/// The digits of each run that begins before `until`.
pub(super) fn runs(text: &[u8], until: usize, values: &'static Values) -> impl Iterator<Item = Vec<u8>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < until {
            // Looked at from its end: no run is as long before the last other character.
            let window = text.get(at..at + SHORTEST)?;
            if let Some(other) = window.iter().rposition(|b| values[usize::from(*b)] == NONE) {
                at += other + 1;
                continue;
            }
            let mut digits = Vec::new();
            at = take_run(text, at, values, &mut digits);
            return Some(digits);
        }
        None
    })
}

/// What base64 with white space in it decodes to.
pub(super) fn decode_all(text: &str) -> Vec<u8> {
    decode(text.bytes().filter(|b| is_digit(*b)).collect())
}

fn decode(mut digits: Vec<u8>) -> Vec<u8> {
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    ENGINE.decode(digits).expect("digits alone decode")
}

fn is_digit(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'+' || b == b'/'
}

/// Collects one run; hands back where to go on.
fn take_run(text: &[u8], mut at: usize, values: &Values, digits: &mut Vec<u8>) -> usize {
    loop {
        let start = at;
        while at < text.len() && values[usize::from(text[at])] != NONE {
            at += 1;
        }
        digits.extend_from_slice(&text[start..at]);
        let next = line_end(text, at);
        if at - start < SHORTEST || next == at {
            return at;
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
